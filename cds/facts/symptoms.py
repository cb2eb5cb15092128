"""Symptoms and signs: reported, denied, or never asked - with a side.

Silence is not a "no": a symptom nobody recorded stays unknown. On the newest day with an answer, a report outweighs a
denial. The side comes from bodySite, from the code, or from text; text alone, without a known code, is marked
(`coded` is false) so that a rule can say less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from cds.facts.coding import Match, Site, by_code, by_text, codings, denies, site_of, texts
from cds.facts.conditions import clinical_state, is_trusted
from cds.facts.dates import Moment, age_in_days, moment
from cds.facts.model import Fact, known, unknown
from cds.facts.observations import effective
from cds.facts.record import Record, Resource
from cds.knowledge.model import Code, Concept, FactKey, KnowledgeBase

_YES = {"yes", "y", "true", "present", "positive", "reported", "confirmed"}
_NO = {"no", "n", "false", "absent", "none", "negative", "not present", "denied", "denies"}
_PERSISTENT = re.compile(r"\b(persistent|persisting|constant|continuous|ongoing|does not go away|all the time)\b")
_FINDING_SYSTEMS = ("http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
_OTHER_PERSON = re.compile(r"\b(family|mother|father|sister|history)\b")


@dataclass(frozen=True)
class Report:
    """One answer about a symptom: present, denied, or recorded without an answer (None)."""

    resource: Resource
    present: bool | None
    when: Moment | None
    side: str
    persistent: bool
    coded: bool
    shown: str

    def order(self, zone: tzinfo) -> datetime:
        return self.when.order(zone) if self.when else datetime.min.replace(tzinfo=zone)


def symptom_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """The fact of one symptom concept."""
    title = base.title_of(key)
    target = base.concepts[key[1]]
    rows = [*_from_observations(base, record, target, zone), *_from_conditions(base, record, target, zone)]
    remarks = [f"recorded without an answer ({r.resource.name})" for r in rows if r.present is None]
    remarks += [
        f"dated in the future, not used ({r.resource.name})" for r in rows if r.when and r.when.first > today and r.present is not None
    ]
    answers = [r for r in rows if r.present is not None and not (r.when and r.when.first > today)]
    if not answers:
        return unknown(key, title, record.gap("symptom") or "not recorded", tuple(remarks))
    dated = [r for r in answers if r.when is not None]
    newest = max((r.when.last for r in dated if r.when), default=None)
    day_rows = [r for r in dated if r.when and r.when.last == newest] or answers
    reports = [r for r in day_rows if r.present]
    if not reports:
        first = day_rows[0]
        when = first.when
        return Fact(
            key, title, "known", _denied(when, today, base), "denied", newest, (first.resource.name,), "", tuple(remarks)
        )
    return _reported(base, key, title, reports, newest, today, tuple(remarks))


def _denied(when: Moment | None, today: date, base: KnowledgeBase) -> dict[str, Any]:
    age = age_in_days(when, today, base.day_limits) if when else None
    return {"present": False} | ({"age": age} if age is not None else {})


def _reported(
    base: KnowledgeBase,
    key: FactKey,
    title: str,
    reports: list[Report],
    newest: date | None,
    today: date,
    remarks: tuple[str, ...],
) -> Fact:
    sides = {r.side for r in reports} - {"unknown"}
    side = "both" if "both" in sides or {"left", "right"} <= sides else next(iter(sides), "unknown")
    reports = sorted(reports, key=lambda r: (not r.coded, r.side == "unknown", r.resource.name))
    when = reports[0].when
    names = tuple(dict.fromkeys(r.resource.name for r in reports))
    coded = any(r.coded for r in reports)
    parts = [side if side != "unknown" else "", reports[0].shown if reports[0].shown.lower() != title.lower() else ""]
    if not coded:
        parts.append("from free text")
    return known(
        key,
        title,
        ", ".join(p for p in parts if p) or "reported",
        day=newest,
        sources=names,
        remarks=remarks,
        age=age_in_days(when, today, base.day_limits) if when else None,
        side=side,
        one_sided=None if side == "unknown" else side in ("left", "right"),
        persistent=True if any(r.persistent for r in reports) else None,
        coded=coded,
    )


def _from_observations(base: KnowledgeBase, record: Record, target: Concept, zone: tzinfo) -> Iterator[Report]:
    for resource in record.of("Observation"):
        if not _may_mean(base, resource.raw, target):
            continue
        model = resource.read.model
        if model is None or model.status not in ("final", "amended", "corrected"):
            continue
        when = effective(model, zone)
        for holder in (model, *(model.component or ())):
            for match, present in _meanings(base, target, holder):
                report = _report(base, resource, match, present, when, model, holder)
                if report is not None:
                    yield report


def _may_mean(base: KnowledgeBase, raw: dict[str, Any], target: Concept) -> bool:
    """Cheap look at the raw JSON before anything is validated."""
    components = raw.get("component")
    holders = [raw, *(c for c in (components if isinstance(components, list) else []) if isinstance(c, dict))]
    for holder in holders:
        for field in ("code", "valueCodeableConcept"):
            concept = holder.get(field)
            if any(m.concept == target.id for m in by_code(base, concept)):
                return True
            if isinstance(concept, dict) and not by_code(base, concept):
                spoken = texts(concept)
                if by_text([target], spoken) or any(denies(t, target.text) for t in spoken):
                    return True
        if isinstance(holder.get("valueString"), str) and by_text([target], [holder["valueString"]]):
            return True
    return False


def _meanings(base: KnowledgeBase, target: Concept, holder: Any) -> Iterator[tuple[Match, bool | None]]:
    """(match, present) for the question or finding that this holder states about the target."""
    own = [m for m in by_code(base, holder.code) if m.concept == target.id]
    if own:
        yield own[0], _answer(base, target, holder, own[0].code)
        return
    spoken = texts(holder.code)
    if any(_OTHER_PERSON.search(t.lower()) for t in spoken):
        return
    value = holder.valueCodeableConcept
    named = [m for m in by_code(base, value) if m.concept == target.id] if value is not None else []
    if named:
        yield named[0], True
        return
    if by_code(base, holder.code):
        return
    by_words = by_text([target], spoken)
    if by_words:
        yield by_words[0], _answer(base, target, holder, None)
        return
    free = [t for t in (*texts(value), holder.valueString or "") if t]
    matched = by_text([target], free)
    if matched:
        yield matched[0], True
    elif any(denies(t, target.text) for t in (*free, *spoken)):
        yield Match(target.id, None), False


def _answer(base: KnowledgeBase, target: Concept, holder: Any, code: Code | None) -> bool | None:
    """What the value says: true, false, or None when there is no answer that can be understood."""
    if getattr(holder, "dataAbsentReason", None) is not None:
        return None
    if holder.valueBoolean is not None:
        return bool(holder.valueBoolean)
    if holder.valueCodeableConcept is not None:
        return _coded_answer(base, target, holder.valueCodeableConcept)
    if holder.valueString is not None:
        return _spoken_answer(holder.valueString, target)
    others = ("valueQuantity", "valueInteger", "valueRange", "valueRatio", "valueDateTime", "valuePeriod", "valueTime")
    if any(getattr(holder, name, None) is not None for name in others) or getattr(holder, "component", None):
        return None
    # A finding code without a value states the finding; a question code without a value was not answered.
    return True if code is not None and code.system in _FINDING_SYSTEMS else None


def _coded_answer(base: KnowledgeBase, target: Concept, value: Any) -> bool | None:
    if any(m.concept == target.id for m in by_code(base, value)):
        return True
    spoken = [t.strip().lower().split("(")[0].strip() for t in texts(value)]
    if any(t in _NO for t in spoken):
        return False
    if any(t in _YES for t in spoken):
        return True
    # Coded values such as HL7 v2-0136 Y/N carry their meaning in the code alone.
    letters = {code.lower() for _, code, _ in codings(value)}
    if letters & {"y", "n"}:
        return "y" in letters
    named = [_spoken_answer(t, target) for t in spoken]
    return next((n for n in named if n is not None), None)


def _spoken_answer(text: str, target: Concept) -> bool | None:
    plain = text.strip().lower().rstrip(".!")
    if plain in _NO:
        return False
    if plain in _YES:
        return True
    if denies(plain, target.text) or re.match(r"(no|denies|denied|none|not|without|never)\b", plain):
        return False
    return True if plain else None


def _from_conditions(base: KnowledgeBase, record: Record, target: Concept, zone: tzinfo) -> Iterator[Report]:
    for resource in record.of("Condition"):
        raw = resource.raw.get("code")
        coded = [m for m in by_code(base, raw) if m.concept == target.id]
        matched = coded or ([] if by_code(base, raw) else list(by_text([target], texts(raw))))
        if not matched:
            continue
        model = resource.read.model
        if model is None or not is_trusted(model) or clinical_state(model) == "inactive":
            continue
        # The day it was recorded is the day it was known to be there; an onset before that only says since when.
        when = moment(model.recordedDate or model.onsetDateTime or getattr(model.onsetPeriod, "start", None), zone)
        report = _report(base, resource, matched[0], True, when, model, model)
        if report is not None:
            yield report


def _report(
    base: KnowledgeBase,
    resource: Resource,
    match: Match,
    present: bool | None,
    when: Moment | None,
    model: Any,
    holder: Any,
) -> Report | None:
    """A report with its side, or None when the code needs a leg as body site and the record names none."""
    body = model.bodySite
    sites = body if isinstance(body, list) else [body] if body is not None else []
    spoken = [*texts(holder.code), *texts(getattr(holder, "valueCodeableConcept", None))]
    if getattr(holder, "valueString", None):
        spoken.append(holder.valueString)
    sided = site_of(base, sites, spoken, match.code)
    if match.code is not None and (not _fits(match.code, sided) or (match.code.unspecific and sided.elsewhere)):
        return None
    lowered = " ".join(spoken).lower()
    persistent = bool(match.code and match.code.persistent) or bool(_PERSISTENT.search(lowered))
    name = texts(holder.code)
    shown = match.text or (name[0] if name else "")
    return Report(resource, present, when, sided.side, persistent, match.code is not None, shown)


def _fits(code: Code, site: Site) -> bool:
    return code.needs_site != "leg" or site.leg
