"""What all readers of Observations share: status, day, coded value, quantity.

Status (rule GA-03): final, amended and corrected count; preliminary and registered are pending; entered-in-error and
cancelled do not exist; anything else cannot be used. A dataAbsentReason is a missing value, not a negative one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from decimal import Decimal
from typing import Any, Literal

from cds.facts.coding import Match, by_code
from cds.facts.dates import Moment, moment
from cds.facts.record import Record, Resource
from cds.facts.units import unit_of
from cds.knowledge.model import KnowledgeBase

Standing = Literal["usable", "pending", "void", "unusable"]

_STANDING: dict[str | None, Standing] = {
    "final": "usable",
    "amended": "usable",
    "corrected": "usable",
    "preliminary": "pending",
    "registered": "pending",
    "entered-in-error": "void",
    "cancelled": "void",
}


@dataclass(frozen=True)
class Seen:
    """One Observation (or one component of it) that carries a code of interest, not yet interpreted."""

    resource: Resource
    match: Match
    holder: Any
    observation: Any
    standing: Standing
    when: Moment | None

    @property
    def name(self) -> str:
        return self.resource.name

    def order(self, zone: tzinfo) -> datetime:
        return self.when.order(zone) if self.when else datetime.combine(datetime.min, time.min, zone)


def observations(base: KnowledgeBase, record: Record, concepts: frozenset[str], zone: tzinfo) -> Iterator[Seen]:
    """Every Observation or component whose code is in one of ``concepts``. Only those are validated."""
    for resource in record.of("Observation"):
        if not _mentions(base, resource.raw, concepts):
            continue
        model = resource.read.model
        if model is None:
            continue
        standing = _STANDING.get(model.status, "unusable")
        when = effective(model, zone)
        for holder in (model, *(model.component or ())):
            for match in by_code(base, holder.code):
                if match.concept in concepts:
                    yield Seen(resource, match, holder, model, standing, when)


def unreadable(base: KnowledgeBase, record: Record, concepts: frozenset[str]) -> tuple[str, ...]:
    """Names of Observations of interest that could not be read at all."""
    return tuple(
        resource.name
        for resource in record.of("Observation")
        if _mentions(base, resource.raw, concepts) and resource.read.model is None
    )


def _mentions(base: KnowledgeBase, raw: dict[str, Any], concepts: frozenset[str]) -> bool:
    components = raw.get("component")
    holders = [raw, *(c for c in (components if isinstance(components, list) else []) if isinstance(c, dict))]
    return any(match.concept in concepts for holder in holders for match in by_code(base, holder.get("code")))


def effective(model: Any, zone: tzinfo) -> Moment | None:
    """When the observation was true: effective[x], else issued."""
    period = getattr(model, "effectivePeriod", None)
    candidates = (
        getattr(model, "effectiveDateTime", None),
        getattr(model, "effectiveInstant", None),
        getattr(period, "end", None) or getattr(period, "start", None),
        getattr(model, "issued", None),
    )
    for value in candidates:
        if value is not None and (found := moment(value, zone)) is not None:
            return found
    return None


@dataclass(frozen=True)
class Quantity:
    """A value with its UCUM unit (None when missing, foreign or contradictory) as the record gives it."""

    value: Decimal
    unit: str | None
    comparator: str | None
    given: str


def quantity(holder: Any) -> Quantity | None:
    """valueQuantity of an observation or component; None when there is no number."""
    found = getattr(holder, "valueQuantity", None)
    if found is None or found.value is None:
        return None
    unit = unit_of(found.system, found.code, found.unit)
    shown = found.unit or found.code or "(no unit)"
    return Quantity(Decimal(found.value), unit, found.comparator, f"{_plain(Decimal(found.value))} {shown}")


def _plain(value: Decimal) -> str:
    return format(value.normalize() + 0, "f") if abs(value) < Decimal(10) ** 12 else "a number out of range"
