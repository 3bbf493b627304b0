"""Configuration files -> one merged mapping, not checked yet."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mmran.errors import UserError


def load(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Read configuration files, each laid over those before it.

    Raises:
        UserError: a file is absent or not a YAML mapping.
    """
    merged: dict[str, Any] = {}
    for path in map(Path, paths):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}: holds a {type(values).__name__}, expected a mapping of keys")
        merged = overlay(merged, values)
    return merged


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another: mappings merge key by key, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if both else copy.deepcopy(value)
    return merged
