"""Pages made when the site is built: configuration from its schema, verbs from `--help`, the API from docstrings."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).resolve().parents[1] / "src"
sys.path.insert(0, str(SOURCE))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    pages = {"reference/configuration.md": configuration(), "reference/command-line.md": command_line(), **api()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put one API page for each package into the navigation."""
    entries = [{path.split("/")[-1].removesuffix(".md"): path} for path in api()]
    for section in config.nav or []:
        for pages in section.values():
            for page in pages if isinstance(pages, list) else []:
                if page.get("API") == "reference/api/":
                    page["API"] = entries
    return config


def configuration() -> str:
    """Every key of config.yaml, from the schema that checks it."""
    from mmran.config.schema import schema as read_schema

    schema = read_schema()
    lines = ["# Configuration", "", schema["description"], ""]
    for name, entry in schema["properties"].items():
        lines += [f"## `{name}`", ""]
        lines += _described(entry, schema)
        rows = list(_rows("", entry, schema))
        if rows:
            lines += ["| key | value | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _resolved(entry: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if reference := entry.get("$ref"):
        return _resolved(schema["$defs"][reference.split("/")[-1]], schema) | {
            key: value for key, value in entry.items() if key != "$ref"
        }
    if "allOf" in entry:
        merged: dict[str, Any] = {}
        for part in entry["allOf"]:
            merged |= _resolved(part, schema)
        return merged | {key: value for key, value in entry.items() if key != "allOf"}
    return entry


def _described(entry: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    entry = _resolved(entry, schema)
    text = [entry["description"], ""] if "description" in entry else []
    return text if entry.get("properties") else [*text, f"Value: {_value(entry, schema)}.", ""]


def _rows(prefix: str, entry: dict[str, Any], schema: dict[str, Any]) -> "Any":
    entry = _resolved(entry, schema)
    nested = entry.get("additionalProperties")
    if isinstance(nested, dict):
        choices = [_resolved(choice, schema) for choice in nested.get("anyOf", [nested])]
        for choice in choices:
            if choice.get("properties"):
                yield from _rows(f"{prefix}NAME.", choice, schema)
    for key, value in entry.get("properties", {}).items():
        value = _resolved(value, schema)
        meaning = value.get("description", "").replace("|", "\\|")
        if value.get("properties"):
            yield f"| `{prefix}{key}` | mapping | {meaning} |"
            yield from _rows(f"{prefix}{key}.", value, schema)
            continue
        yield f"| `{prefix}{key}` | {_value(value, schema)} | {meaning} |"
        if isinstance(named := value.get("additionalProperties"), dict):
            yield from _rows(f"{prefix}{key}.", {"additionalProperties": named}, schema)
        items = _resolved(value.get("items", {}), schema)
        if items.get("properties"):
            yield from _rows(f"{prefix}{key}[].", items, schema)


_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}


def _value(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a key may hold, in words."""
    entry = _resolved(entry, schema)
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    for several in ("anyOf", "oneOf"):
        if several in entry:
            return " or ".join(dict.fromkeys(_value(choice, schema) for choice in entry[several]))
    kinds = entry.get("type", "any value")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if entry.get("type") == "array":
        text = f"list of {_value(entry.get('items', {}), schema)}"
    bounds = [form.format(entry[key]) for key, form in _BOUNDS.items() if key in entry]
    return ", ".join([text, *bounds])


def command_line() -> str:
    """The help of every verb."""
    from mmran.cli import build_parser

    parser = build_parser()
    (verbs,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    lines = ["# Command line", "", "```text", _help(parser), "```", ""]
    for name, verb in verbs.choices.items():
        lines += [f"## `mmran {name}`", "", "```text", _help(verb), "```", ""]
    return "\n".join(lines)


def _help(parser: argparse.ArgumentParser) -> str:
    # argparse folds lines at the width of a terminal, which a build does not have.
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100)  # type: ignore[assignment]
    return re.sub(r"\x1b\[[0-9;]*m", "", parser.format_help()).rstrip()


def api() -> dict[str, str]:
    """A page for each package: its modules with their public members."""
    pages = {}
    for package in sorted(path.parent for path in SOURCE.glob("mmran/*/__init__.py")):
        modules = [
            ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            for path in sorted(package.rglob("*.py"))
            if path.name[0] != "_" or path.name == "__init__.py"
        ]
        text = "\n\n".join(f"::: {module}" for module in modules)
        pages[f"reference/api/{package.name}.md"] = f"# mmran.{package.name}\n\n{text}\n"
    return pages
