"""The census: every fact that a hook's rules ask about, known, absent or unknown - nothing else, nobody else's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cds.facts.conditions import allergy_fact, condition_fact, procedure_fact, request_fact
from cds.facts.laboratory import adjusted_calcium, newest_value
from cds.facts.medicines import medication_fact, order_fact
from cds.facts.model import Census, Fact, absent, known
from cds.facts.nutrition import diet_fact, exposure_fact, intake_fact
from cds.facts.pregnancy import pregnancy_facts
from cds.facts.record import PART_TITLES, Record, take_record
from cds.facts.symptoms import symptom_fact
from cds.knowledge.model import FactKey, KnowledgeBase


def take_census(
    base: KnowledgeBase,
    hook: str,
    patient_id: str,
    prefetch: Mapping[str, Any] | None,
    drafts: Mapping[str, Any] | None,
    selections: tuple[str, ...] | None,
    now: datetime,
) -> tuple[Census, Record]:
    """Facts of one patient for one hook at ``now`` (aware; its zone decides what "today" is)."""
    zone = now.tzinfo
    if zone is None:
        raise ValueError("now must carry a time zone")
    record = take_record(patient_id, prefetch, drafts, selections)
    today = now.date()
    wanted = base.facts_for(hook)
    facts: dict[FactKey, Fact] = {}
    if any(kind in ("gestation", "person") for kind, _ in wanted):
        pregnancy = pregnancy_facts(base, record, today, zone)
        facts.update({key: pregnancy[key] for key in wanted if key in pregnancy})
    for key in wanted:
        if key not in facts:
            facts[key] = _fact(base, record, key, facts, now)
    return Census(patient_id, hook, facts, (*record.remarks, *_unreadable(record))), record


def _fact(base: KnowledgeBase, record: Record, key: FactKey, facts: Mapping[FactKey, Fact], now: datetime) -> Fact:
    kind, today, zone = key[0], now.date(), now.tzinfo
    assert zone is not None  # noqa: S101 - take_census asked
    if key == ("lab", "adjusted-calcium"):
        return adjusted_calcium(base, record, today, zone)
    if kind in ("lab", "vital"):
        return newest_value(base, record, key, today, zone)
    if kind == "diet":
        return diet_fact(base, record, key, today, zone)
    if kind == "intake":
        diet = diet_fact(base, record, ("diet", "dietary-calcium"), today, zone)
        medicines = tuple(
            medication_fact(base, record, ("medication", name)) for name in ("calcium-supplement", "calcium-antacid")
        )
        return intake_fact(base, diet, medicines, key)
    if kind == "exposure":
        return exposure_fact(base, record, key, today, zone)
    if kind == "symptom":
        return symptom_fact(base, record, key, today, zone)
    if kind == "order":
        return order_fact(base, record, key)
    if kind == "medication":
        return medication_fact(base, record, key)
    if kind == "data":
        return _data(record, key)
    readers = {"condition": condition_fact, "allergy": allergy_fact, "procedure": procedure_fact, "request": request_fact}
    return readers[kind](base, record, key, today, zone)


def _data(record: Record, key: FactKey) -> Fact:
    """Whether a part of the record was supplied."""
    title = PART_TITLES.get(key[1], key[1])
    if key[1] in record.withheld:
        return absent(key, title, record.withheld[key[1]])
    return known(key, title, "supplied")


def _unreadable(record: Record) -> tuple[str, ...]:
    """What reading had to drop. Only resources that a reader asked for were read at all."""
    found = []
    for rows in record.resources.values():
        for resource in rows:
            if "read" in resource.__dict__:
                found.extend(resource.read.remarks)
    return tuple(found)
