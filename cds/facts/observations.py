"""What all readers of Observations share: status, day, coded value, quantity.

Status (rule GA-03): final, amended and corrected count; preliminary and registered are pending; entered-in-error and
cancelled do not exist; anything else cannot be used. A dataAbsentReason is a missing value, not a negative one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, Literal

from cds.facts.coding import Match, by_code, texts
from cds.facts.dates import Moment, moment, order_of
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

    @property
    def is_missing(self) -> bool:
        """Whether the record says that there is no value."""
        return getattr(self.holder, "dataAbsentReason", None) is not None

    def order(self, zone: tzinfo) -> datetime:
        return order_of(self.when, zone)


def observations(
    base: KnowledgeBase, record: Record, concepts: frozenset[str], zone: tzinfo, *, about_another: bool = False
) -> Iterator[Seen]:
    """Every readable Observation or component whose code is in one of ``concepts``. Only those are validated."""
    for resource in record.of("Observation", about_another=about_another):
        if concepts.isdisjoint(glance(base, resource).asked):
            continue
        model = resource.read.model
        if model is None:
            continue
        when = effective(model, zone)
        for holder in (model, *(model.component or ())):
            for match in by_code(base, holder.code):
                if match.concept in concepts:
                    yield Seen(resource, match, holder, model, standing(model.status), when)


def standing(status: object) -> Standing:
    """What a status lets an Observation prove."""
    return _STANDING.get(status, "unusable") if isinstance(status, str) else "unusable"


@dataclass(frozen=True)
class Broken:
    """An Observation of interest that cannot be read, with the day that its raw form still shows."""

    name: str
    when: Moment | None


def unreadable(base: KnowledgeBase, record: Record, concepts: frozenset[str], zone: tzinfo) -> Iterator[Broken]:
    """Observations of interest that could not be read at all, except those that their status takes back."""
    for resource in record.of("Observation"):
        raw = resource.raw
        if concepts.isdisjoint(glance(base, resource).asked) or standing(raw.get("status")) == "void":
            continue
        if resource.read.model is not None:
            continue
        days = (moment(raw.get(name), zone) for name in ("effectiveDateTime", "effectiveInstant", "issued"))
        yield Broken(resource.name, next((day for day in days if day is not None), None))


@dataclass(frozen=True)
class Glance:
    """What the raw Observation and its components are about, before anything is validated.

    ``asked`` are the concepts of their codes, ``answered`` those of their coded values, ``spoken`` the texts where no
    code is known.
    """

    asked: frozenset[str]
    answered: frozenset[str]
    spoken: tuple[str, ...]


def glance(base: KnowledgeBase, resource: Resource) -> Glance:
    """A cheap look, taken once for each resource."""
    found = resource.memo.get("glance")
    if not isinstance(found, Glance):
        found = resource.memo["glance"] = _glance(base, resource.raw)
    return found


def _glance(base: KnowledgeBase, raw: dict[str, Any]) -> Glance:
    components = raw.get("component")
    holders = [raw, *(c for c in (components if isinstance(components, list) else ()) if isinstance(c, dict))]
    named: dict[str, set[str]] = {"code": set(), "valueCodeableConcept": set()}
    spoken = [holder["valueString"] for holder in holders if isinstance(holder.get("valueString"), str)]
    for holder in holders:
        for element, concepts in named.items():
            matches = by_code(base, holder.get(element))
            concepts.update(match.concept for match in matches)
            if not matches:
                spoken.extend(texts(holder.get(element)))
    return Glance(frozenset(named["code"]), frozenset(named["valueCodeableConcept"]), tuple(dict.fromkeys(spoken)))


def effective(model: Any, zone: tzinfo) -> Moment | None:
    """When the observation was true: effective[x], else issued."""
    period = model.effectivePeriod
    candidates = (
        model.effectiveDateTime,
        model.effectiveInstant,
        getattr(period, "end", None) or getattr(period, "start", None),
        model.issued,
    )
    found = (moment(value, zone) for value in candidates if value is not None)
    return next((when for when in found if when is not None), None)


@dataclass(frozen=True)
class Quantity:
    """A value with its UCUM unit (None when missing, unknown or contradictory) as the record gives it."""

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
    value = Decimal(found.value)
    return Quantity(value, unit, found.comparator, f"{_plain(value)} {shown}")


def _plain(value: Decimal) -> str:
    sane = value.is_finite() and abs(value) < Decimal(10) ** 12 and abs(value.adjusted()) < 12
    return format(value.normalize() + 0, "f") if sane else "a number out of range"
