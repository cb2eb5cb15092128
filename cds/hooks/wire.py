"""What all wire models share: camelCase, frozen values, errors without input, JSON without empty elements."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

# An answer with nothing in these two arrays is a statement ("no guidance", "no services"), not an empty
# element.
_MEANT_WHEN_EMPTY = frozenset({"cards", "services"})


class WireModel(BaseModel):
    """A CDS Hooks object: snake_case here, camelCase on the wire, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )


def _absolute(url: str) -> str:
    """cds-hooks_2.0@107, @111, @139: an absolute URL; http or https, so that no link can run a script."""
    try:
        parts = urlsplit(url)
        absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        absolute = False
    if not absolute or any(character.isspace() for character in url):
        raise ValueError("is not an absolute http or https URL")
    return url


def _reverse_domain(extension: dict[str, Any]) -> dict[str, Any]:
    """cds-hooks_2.0@215: names of extensions are globally unique, so each one is a reverse domain name."""
    if not all("." in name for name in extension):
        raise ValueError("has a name that is not a reverse domain name such as org.example.trace")
    return extension


Text = Annotated[str, StringConstraints(min_length=1)]
Url = Annotated[str, AfterValidator(_absolute)]
Extension = Annotated[dict[str, Any], AfterValidator(_reverse_domain)]  # cds-hooks_2.0@214: a JSON object


def to_json(model: WireModel) -> dict[str, Any]:
    """The JSON object of a wire model: camelCase names, no null and no empty member (cds-hooks_2.0@3).

    `cards: []` and `services: []` of the outermost object stay. Numbers keep their type (Decimal stays
    Decimal); null inside an array stays as well, because FHIR pairs such arrays by position.
    """
    dumped = model.model_dump(by_alias=True)
    pruned = {name: _prune(value) for name, value in dumped.items()}
    return {name: value for name, value in pruned.items() if name in _MEANT_WHEN_EMPTY or not _empty(value)}


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        members = {name: _prune(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if not _empty(member)}
    if isinstance(value, list | tuple):
        return [_prune(member) for member in value]
    return value


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
