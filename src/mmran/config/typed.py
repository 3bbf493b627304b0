"""Values as the user means them: Snakemake's `--config` can pass numbers as text, and folder names as numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from mmran.config.schema import schema
from mmran.errors import UserError


def as_typed(values: Mapping[str, Any], words: Sequence[str] = ()) -> dict[str, Any]:
    """Give every value the type that the schema expects of its key, if its text can be parsed as that type.

    `--config results=123_456` arrives as the number 123456, `data={keep_going: true}` as the text "true", and YAML
    reads 1e-3 as text.

    Args:
        values: a merged configuration.
        words: the command line, which still has the text of such a number.

    Raises:
        UserError: a number or date appears where text is expected, and its text is not among the words.
    """
    return {key: _top(key, value, words) for key, value in values.items()}


def _top(key: str, value: Any, words: Sequence[str]) -> Any:
    nodes = list(_children([schema()], key))
    if value == "null" and f"{key}=null" in words:
        return None
    if isinstance(value, str | Mapping | list) or value is None or "string" not in _types(nodes):
        return _typed(value, nodes)
    texts = [word.partition("=")[2] for word in words if word.startswith(f"{key}=")]
    if not texts:
        raise UserError(f"config: {key}: {value} is a {type(value).__name__}, expected text; quote it: '{value}'")
    return texts[-1]


def _typed(value: Any, nodes: Sequence[Mapping[str, Any]]) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(child, list(_children(nodes, key))) for key, child in value.items()}
    if isinstance(value, list):
        items = [item for node in nodes if "items" in node for item in _flat(node["items"])]
        return [_typed(child, items) for child in value]
    types = _types(nodes)
    if isinstance(value, str) and "string" not in types:
        value = _parsed(value)
    if isinstance(value, float) and value.is_integer() and "integer" in types and "number" not in types:
        return int(value)
    return value


def _parsed(text: str) -> Any:
    """The number, boolean, or null that the text spells; else the text."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if found is None or isinstance(found, bool | int | float):
        return found
    try:
        return float(text)
    except ValueError:
        return text


def _children(nodes: Iterable[Mapping[str, Any]], key: str) -> Iterator[Mapping[str, Any]]:
    """The schemas of a key of a mapping."""
    for node in nodes:
        child = node.get("properties", {}).get(key, node.get("additionalProperties"))
        if isinstance(child, Mapping):
            yield from _flat(child)


def _flat(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema, and the schemas that it refers to or consists of."""
    if "$ref" in node:
        yield from _flat(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    for part in (*node.get("anyOf", ()), *node.get("allOf", ())):
        yield from _flat(part)
    yield node


def _types(nodes: Iterable[Mapping[str, Any]]) -> set[str]:
    """Allowed types; a list of choices counts as text."""
    found: set[str] = set()
    for node in nodes:
        types = node.get("type", [])
        found |= {types} if isinstance(types, str) else set(types)
        found |= {"string"} if "enum" in node or isinstance(node.get("const"), str) else set()
    return found
