"""Diagnoses, allergies, procedures and open requests: coded entries with a status and a day.

A refuted or mistaken entry does not exist; an unconfirmed one proves nothing. History counts as history: a resolved
kidney stone is still a kidney stone once had.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, by_text, texts
from cds.facts.dates import Moment, age_in_days, moment
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.record import Record, Resource
from cds.knowledge.model import FactKey, KnowledgeBase

_ACTIVE = {"active", "recurrence", "relapse"}
_INACTIVE = {"inactive", "remission", "resolved"}
_UNTRUSTED = {"refuted", "entered-in-error", "unconfirmed", "provisional", "differential"}


@dataclass(frozen=True)
class Entry:
    """One entry that means the concept. ``active`` is None when the record does not say."""

    resource: Resource
    shown: str
    when: Moment | None
    active: bool | None = None


def status_words(concept: Any) -> set[str]:
    """Codes of a status CodeableConcept (clinicalStatus, verificationStatus)."""
    rows = getattr(concept, "coding", None) or ()
    return {row.code for row in rows if row.code}


def is_trusted(model: Any) -> bool:
    """Whether the entry's verificationStatus lets it count (missing counts as confirmed, as FHIR allows)."""
    return not status_words(model.verificationStatus) & _UNTRUSTED


def clinical_state(model: Any) -> str:
    """active, inactive or unknown."""
    words = status_words(model.clinicalStatus)
    if words & _ACTIVE:
        return "active"
    return "inactive" if words & _INACTIVE else "unknown"


def entries(
    base: KnowledgeBase, record: Record, types: tuple[str, ...], concept: str, zone: tzinfo, *, drafts: bool = False
) -> Iterator[Entry]:
    """Usable entries of these resource types that mean ``concept`` by code, or by text when no code is known."""
    target = base.concepts[concept]
    for resource in record.of(*types, drafts=drafts):
        coded = by_code(base, resource.raw.get("code"))
        spoken = texts(resource.raw.get("code")) if not coded else ()
        if not any(m.concept == concept for m in coded) and not by_text([target], spoken):
            continue
        model = resource.read.model
        if model is None:
            continue
        found = _ENTRY[resource.type](resource, model, zone)
        if found is not None:
            yield found


def _name(model: Any) -> str:
    spoken = texts(model.code)
    return spoken[0] if spoken else "coded entry"


def _condition(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if not is_trusted(model):
        return None
    state = clinical_state(model)
    when = moment(model.recordedDate or model.onsetDateTime or getattr(model.onsetPeriod, "start", None), zone)
    return Entry(resource, _name(model), when, {"active": True, "inactive": False}.get(state))


def _allergy(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if not is_trusted(model) or clinical_state(model) == "inactive":
        return None
    return Entry(resource, _name(model), moment(model.recordedDate, zone))


def _procedure(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if model.status != "completed":
        return None
    period = model.performedPeriod
    when = moment(model.performedDateTime or getattr(period, "end", None) or getattr(period, "start", None), zone)
    return Entry(resource, _name(model), when)


def _request(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if model.doNotPerform or (model.status != "active" and not resource.draft):
        return None
    return Entry(resource, _name(model), moment(model.authoredOn, zone))


_ENTRY = {"Condition": _condition, "AllergyIntolerance": _allergy, "Procedure": _procedure, "ServiceRequest": _request}


def condition_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    return _newest(base, record, key, today, zone, ("Condition",), "not in the diagnoses supplied")


def allergy_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    return _newest(base, record, key, today, zone, ("AllergyIntolerance", "Condition"), "not in the allergies supplied")


def procedure_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    return _newest(base, record, key, today, zone, ("Procedure",), "none in the procedures supplied")


def request_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """An open order. A draft of this session counts as ordered today: proposing it again would be noise."""
    drafts = [e for e in entries(base, record, ("ServiceRequest",), key[1], zone, drafts=True)]
    if drafts:
        sources = (drafts[0].resource.name,)
        return known(key, base.title_of(key), f"{drafts[0].shown} (draft)", day=today, sources=sources, age=Decimal(0))
    return _newest(base, record, key, today, zone, ("ServiceRequest",), "no open order in the data supplied")


def _newest(
    base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo, types: tuple[str, ...], none: str
) -> Fact:
    title = base.title_of(key)
    rows = [e for e in entries(base, record, types, key[1], zone) if e.when is None or e.when.first <= today]
    gap = record.gap(key[0])
    if not rows:
        return unknown(key, title, gap) if gap else absent(key, title, none)
    dated = sorted((e for e in rows if e.when), key=lambda e: (e.when.order(zone), e.resource.name), reverse=True)  # type: ignore[union-attr]
    best = next((e for e in rows if e.active), None) or (dated[0] if dated else rows[0])
    when = best.when
    return known(
        key,
        title,
        best.shown if best.shown.lower() != title.lower() else "",
        day=when.last if when else None,
        sources=(best.resource.name,),
        age=age_in_days(when, today, base.day_limits) if when else None,
        active=True if any(e.active for e in rows) else best.active,
    )
