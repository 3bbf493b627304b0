"""Configuration files -> one merged mapping, unchecked."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mmran.errors import UserError

# libyaml's parser: the one in Python takes minutes for a file nested a thousand deep.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Far beyond any configuration; a bomb of anchors expands to billions of nodes.
_MAX_DEPTH, _MAX_NODES = 30, 100_000


PAPER = Path(__file__).with_name("paper.yaml")
"""The paper's configuration, as it comes with the package."""


def load(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Read configuration files, each laid over those before it.

    Raises:
        UserError: as `read_yaml`.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merged = overlay(merged, read_yaml(path))
    return merged


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read one configuration file.

    Raises:
        UserError: the file is absent, not UTF-8 or not a YAML mapping, has a key twice, or has nesting or aliases that
            no configuration needs.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        _refuse_traps(path, text)
        values = yaml.load(text, Loader=_LOADER)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}, expected a mapping of keys")
    return values


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another: mappings merge key by key, everything else is replaced.

    A null stays in place, so that the mapping below, or defaults laid under it later, lose the key (`without_nulls`).
    """
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if both else copy.deepcopy(value)
    return merged


def without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without keys whose value is null, at every depth."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


class _Frame:
    """An open mapping or list of a YAML file.

    Attributes:
        keys: those of a mapping so far; None for a list.
        at_key: whether the next node is a key.
        nodes: number of nodes in it so far, aliases expanded.
        anchor: its name for aliases.
    """

    def __init__(self, keys: set[str] | None, anchor: str | None) -> None:
        self.keys, self.anchor = keys, anchor
        self.at_key, self.nodes = keys is not None, 1


def _refuse_traps(path: Path | str, text: str) -> None:
    """Refuse duplicate keys, and nesting or aliases beyond what a configuration needs, before anything is built."""
    root, anchors = _Frame(None, None), dict[str, int]()
    stack = [root]
    for event in yaml.parse(text, Loader=_LOADER):
        where = f"{path}, line {event.start_mark.line + 1}" if event.start_mark else str(path)
        nodes = 1
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            keys = set[str]() if isinstance(event, yaml.MappingStartEvent) else None
            stack.append(_Frame(keys, event.anchor))
            if len(stack) > _MAX_DEPTH:
                raise UserError(f"{where}: nested more than {_MAX_DEPTH} deep; no configuration needs that")
            continue
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            closed = stack.pop()
            nodes = closed.nodes
            if closed.anchor:
                anchors[closed.anchor] = nodes
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise UserError(f"{where}: alias *{event.anchor} has no anchor before it, or is inside its own")
            nodes = anchors[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                anchors[event.anchor] = 1
        else:
            continue
        _add(stack[-1], event, nodes, where)


def _add(frame: _Frame, event: Any, nodes: int, where: str) -> None:
    frame.nodes += nodes
    if frame.nodes > _MAX_NODES:
        raise UserError(f"{where}: more than {_MAX_NODES} values, aliases expanded; no configuration needs that many")
    if frame.keys is None:
        return
    if frame.at_key and isinstance(event, yaml.ScalarEvent):
        if event.value in frame.keys:
            raise UserError(f"{where}: duplicate key {event.value!r}; keep one of them")
        frame.keys.add(event.value)
    frame.at_key = not frame.at_key
