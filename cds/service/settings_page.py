"""The settings told to an operator: the page docs/settings.md, and the values in effect as a TOML file.

Both are made from the fields of Settings, so that a setting without its explanation cannot exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cds.service.settings import ENV_PREFIX, Settings

_HEAD: Final = """\
# Settings

Made by `prenatal-cds settings --markdown --output docs/settings.md`; do not edit.

Each setting can be made in three places; the first that has it wins: the command line (where there is an option), the
environment variable, a TOML file named by `serve --config FILE` or `PRENATAL_CDS_CONFIG`. The file holds one
`name = value` for each setting, without sections. A name or a value that cannot be used stops the start with one line
that says where it stands. Relative paths start at the working folder. `prenatal-cds settings` prints what is in effect
and where it comes from, in a form that can be saved as such a file.

| setting | variable | type | default | meaning |
| --- | --- | --- | --- | --- |
"""
_FORMATS: Final = {
    "date-time": "time (ISO 8601)",
    "directory-path": "folder",
    "file-path": "file",
    "path": "path",
}
_TYPES: Final = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}


def markdown() -> str:
    """The page: one line for each setting."""
    described = Settings.model_json_schema()["properties"]
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default is None else f"`{_toml(field.default)}`"
        cells = (f"`{name}`", f"`{ENV_PREFIX}{name.upper()}`", _type(described[name]), default, field.description)
        rows.append(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |\n")
    return _HEAD + "".join(rows)


def effective(settings: Settings, made_by: Mapping[str, str]) -> str:
    """The values in effect as TOML, each with where it was made (a value of `sources`)."""
    values = settings.model_dump(mode="json")
    lines = [_line(name, values[name], made_by[name]) for name in values if name != "config"]
    return "".join(lines)


def _line(name: str, value: Any, made_by: str) -> str:
    if value is None:
        return f"# {name} is not set\n"
    return f"{name} = {_toml(value)}  # {made_by}\n"


def _toml(value: Any) -> str:
    """JSON's texts, numbers, booleans and lists are TOML's as well, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _type(described: Mapping[str, Any]) -> str:
    """A field of the JSON schema in words: `whole number, 1 to 65535`."""
    alternatives = [kind for kind in described.get("anyOf", [described]) if kind.get("type") != "null"]
    return " or ".join(_one_type(kind) for kind in alternatives)


def _one_type(kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return ", ".join(f"`{word}`" for word in kind["enum"])
    if kind.get("type") == "array":
        return f"list of {_type(kind.get('items', {}))}"
    word = _FORMATS.get(kind.get("format", "")) or _TYPES.get(kind.get("type", ""), "text")
    least = kind.get("minimum", kind.get("exclusiveMinimum"))
    most = kind.get("maximum", kind.get("exclusiveMaximum"))
    above = "above " if "exclusiveMinimum" in kind else ""
    if least is not None and most is not None:
        return f"{word}, {above}{least} to {most}"
    if least is not None:
        return f"{word}, {above}{least}{'' if above else ' or more'}"
    return f"{word}, at most {most}" if most is not None else word
