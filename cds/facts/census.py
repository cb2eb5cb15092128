"""The census: every fact that a hook's rules ask about, known, absent or unknown - nothing else, nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, tzinfo
from typing import Any

from cds.facts.calf import calf_difference
from cds.facts.conditions import allergy_fact, condition_fact, procedure_fact
from cds.facts.imaging import imaging_fact, request_of_the_leg
from cds.facts.intake import intake_fact
from cds.facts.laboratory import (
    adjusted_calcium,
    body_mass_index_before,
    newest_value,
    unadjusted_calcium,
    vitamin_d,
)
from cds.facts.medicines import medication_fact, order_fact
from cds.facts.model import Census, Fact, absent, known
from cds.facts.nutrition import diet_fact, exposure_fact
from cds.facts.pregnancy import pregnancy_facts
from cds.facts.questionnaire import with_answers
from cds.facts.record import COVERAGE, PART_TITLES, Record, take_record
from cds.facts.symptoms import symptom_fact
from cds.knowledge.model import FactKey, KnowledgeBase

_BEFORE: FactKey = ("vital", "body-mass-index-before-pregnancy")
_Derived = Callable[[KnowledgeBase, Record, date, tzinfo], Fact]
_DERIVED: dict[FactKey, _Derived] = {
    ("lab", "adjusted-calcium"): adjusted_calcium,
    ("lab", "unadjusted-calcium"): unadjusted_calcium,
    ("vital", "calf-circumference-difference"): calf_difference,
    ("lab", "vitamin-d-25oh"): vitamin_d,
}
_Reader = Callable[[KnowledgeBase, Record, FactKey, date, tzinfo], Fact]
_READERS: dict[str, _Reader] = {
    "lab": newest_value,
    "vital": newest_value,
    "diet": diet_fact,
    "intake": intake_fact,
    "exposure": exposure_fact,
    "symptom": symptom_fact,
    "imaging": imaging_fact,
    "medication": medication_fact,
    "condition": condition_fact,
    "allergy": allergy_fact,
    "procedure": procedure_fact,
    "request": request_of_the_leg,
}


def take_census(
    base: KnowledgeBase,
    hook: str,
    patient_id: str,
    prefetch: Mapping[str, Any] | None,
    drafts: Mapping[str, Any] | None,
    selections: tuple[str, ...] | None,
    now: datetime,
    *,
    gaps: Mapping[str, str] | None = None,
    tick: Callable[[], None] | None = None,
    server: str | None = None,
) -> tuple[Census, Record]:
    """Facts of one patient for one hook at ``now`` (aware; its zone decides what "today" is).

    ``gaps``, ``tick`` and ``server`` as in take_record; ``tick`` is called for each fact too.
    Raises OtherPatient when the `patient` part is another person, ValueError when ``now`` has no zone.
    """
    zone = now.tzinfo
    if zone is None:
        raise ValueError("now must carry a time zone")
    record = take_record(patient_id, prefetch, drafts, selections, gaps, tick, server)
    record = with_answers(base, record, now.date(), zone)
    given = pregnancy_facts(base, record, now.date(), zone)
    wanted = base.facts_for(hook)
    if _BEFORE in wanted:
        given[_BEFORE] = body_mass_index_before(base, record, given[("gestation", "age")], now.date(), zone)
    facts = {key: given[key] if key in given else _fact(base, record, key, now.date(), zone) for key in wanted}
    remarks = (*record.remarks, *_reading_remarks(record))
    return Census(patient_id, hook, facts, remarks, tuple(_gaps(base, record, hook))), record


def _gaps(base: KnowledgeBase, record: Record, hook: str) -> Iterator[str]:
    """Parts that this hook asks for and that were not supplied."""
    asked = {part for kind, _ in base.facts_for(hook) for part in COVERAGE[kind]}
    for part, reason in record.withheld.items():
        if part in asked:
            yield f"{PART_TITLES[part]} {reason}"


def _fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    record.tick()
    if key in _DERIVED:
        return _DERIVED[key](base, record, today, zone)
    if key[0] == "order":
        return order_fact(base, record, key)
    if key[0] == "data":
        return _data(record, key)
    return _READERS[key[0]](base, record, key, today, zone)


def _data(record: Record, key: FactKey) -> Fact:
    """Whether a part of the record was supplied."""
    title = PART_TITLES.get(key[1], key[1])
    if key[1] in record.withheld:
        return absent(key, title, record.withheld[key[1]])
    return known(key, title, "supplied")


def _reading_remarks(record: Record) -> tuple[str, ...]:
    """What reading had to drop. Only resources that a reader asked for were read at all."""
    rows = (resource for kind in record.resources.values() for resource in kind if resource.was_read)
    return tuple(remark for resource in rows for remark in resource.read.remarks)
