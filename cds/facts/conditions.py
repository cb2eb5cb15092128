"""Diagnoses, allergies, procedures and open requests: coded entries with a status and a day.

A refuted or mistaken entry does not exist; an unreadable or future one proves nothing, not even absence. An unconfirmed
entry counts, and the card says that it is not confirmed (rule GA-03); so does one without a clinical status, as active.
History counts as history: a resolved kidney stone is still a kidney stone once had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, by_text, texts
from cds.facts.dates import Moment, age_in_days, moment, order_of
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.record import Record, Resource
from cds.knowledge.model import Concept, FactKey, KnowledgeBase

_ACTIVE = {"active", "recurrence", "relapse"}
_INACTIVE = {"inactive", "remission", "resolved"}
_VOID = {"refuted", "entered-in-error"}
_UNSURE = {"unconfirmed", "provisional", "differential"}
_OVER = {"revoked", "completed", "entered-in-error"}


@dataclass(frozen=True)
class Entry:
    """One entry that means the concept.

    ``active`` is None where it has no meaning; ``doubt`` says why the entry proves nothing, ``remark`` what to know
    of it.
    """

    resource: Resource
    shown: str
    when: Moment | None
    active: bool | None = None
    doubt: str = ""
    remark: str = ""

    def order(self, zone: tzinfo) -> tuple[bool, datetime, str]:
        """Active entries above others, then by date."""
        return (self.active is True, order_of(self.when, zone), self.resource.name)


def status_words(concept: Any) -> set[str]:
    """Codes of a status CodeableConcept (clinicalStatus, verificationStatus)."""
    rows = getattr(concept, "coding", None) or ()
    return {row.code for row in rows if row.code}


def is_trusted(model: Any) -> bool:
    """Whether the entry is confirmed, so that it may prove a pregnancy (missing counts as confirmed, as in FHIR)."""
    return not status_words(model.verificationStatus) & (_VOID | _UNSURE)


def exists(model: Any) -> bool:
    """Whether the entry counts at all: it is neither refuted nor entered in error (rule GA-03)."""
    return not status_words(model.verificationStatus) & _VOID


def clinical_state(model: Any) -> str:
    """active, inactive or unknown."""
    words = status_words(model.clinicalStatus)
    if words & _ACTIVE:
        return "active"
    return "inactive" if words & _INACTIVE else "unknown"


def onset(model: Any) -> Any:
    """When a Condition began, as recorded: a date or the start of a period; None when neither is given."""
    return model.onsetDateTime or getattr(model.onsetPeriod, "start", None)


def performed(model: Any) -> Any:
    """When a Procedure was done: a date or the end (else the start) of a period."""
    period = model.performedPeriod
    return model.performedDateTime or getattr(period, "end", None) or getattr(period, "start", None)


def means(base: KnowledgeBase, raw_code: Any, target: Concept, *more: str) -> bool:
    """Whether a raw code means the concept, by code; by text (and ``more`` text) where no code of its family is known.

    A code of another family does not silence the text: O99.283 says "endocrine disease in pregnancy", the text which.
    """
    coded = by_code(base, raw_code)
    if any(match.concept == target.id for match in coded):
        return True
    if any(base.concepts[match.concept].family == target.family for match in coded):
        return False
    return bool(by_text([target], (*texts(raw_code), *more)))


def entries(
    base: KnowledgeBase, record: Record, types: tuple[str, ...], concept: str, zone: tzinfo, *, drafts: bool = False
) -> Iterator[Entry]:
    """Entries of these resource types that mean ``concept``, also the doubtful ones."""
    target = base.concepts[concept]
    for resource in record.of(*types, drafts=drafts):
        raw_code = resource.raw.get("code")
        more = _MORE[resource.type](raw_code) if resource.type in _MORE else ()
        if not means(base, raw_code, target, *more):
            continue
        model = resource.read.model
        if model is None:
            yield Entry(resource, "", None, doubt="cannot be read")
            continue
        found = _ENTRY[resource.type](resource, model, zone)
        if found is not None:
            yield found


def _as_reactions(raw_code: Any) -> tuple[str, ...]:
    """An allergy list names substances: "Milk" there is what a diagnosis calls "milk allergy"."""
    return tuple(f"{text} {kind}" for text in texts(raw_code) for kind in ("allergy", "intolerance"))


def _as_ordered(raw_code: Any) -> tuple[str, ...]:
    """An order list writes "CALCIUM, SERUM" and "Calcium (ionized)"; one that names only the substance means its level.

    Urine is another matter, and says so.
    """
    spoken = (" ".join(re.sub(r"[,()/-]", " ", text).split()) for text in texts(raw_code))
    return tuple(text if " " in text else f"{text} level" for text in spoken)


_MORE = {"AllergyIntolerance": _as_reactions, "ServiceRequest": _as_ordered}


def _name(model: Any) -> str:
    spoken = texts(model.code)
    return spoken[0] if spoken else "coded entry"


def _verified(resource: Resource, model: Any, when: Moment | None, active: bool | None, *also: str) -> Entry | None:
    if not exists(model):
        return None
    unsure = status_words(model.verificationStatus) & _UNSURE
    remarks = [*(["not confirmed"] if unsure else []), *also]
    remark = f"{', '.join(remarks)} ({resource.name})" if remarks else ""
    return Entry(resource, _name(model), when, active, remark=remark)


def _condition(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    state = clinical_state(model)
    when = moment(model.recordedDate or onset(model), zone)
    if state == "unknown":
        # Without a status and without an end it may well go on: a contraindication must not be lost over that.
        over = any(getattr(model, f"abatement{kind}") for kind in ("DateTime", "Period", "Age", "Range", "String"))
        remark = f"no clinical status; read as {'past' if over else 'active'}"
        return _verified(resource, model, when, not over, remark)
    return _verified(resource, model, when, state == "active")


def _allergy(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if clinical_state(model) == "inactive":
        return None
    return _verified(resource, model, moment(model.recordedDate, zone), None)


def _procedure(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if model.status != "completed":
        return None
    return Entry(resource, _name(model), moment(performed(model), zone))


def _request(resource: Resource, model: Any, zone: tzinfo) -> Entry | None:
    if model.doNotPerform or (model.status in _OVER if resource.draft else model.status != "active"):
        return None
    return Entry(resource, _name(model), moment(model.authoredOn, zone))


_ENTRY = {"Condition": _condition, "AllergyIntolerance": _allergy, "Procedure": _procedure, "ServiceRequest": _request}


def condition_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """A diagnosis, present or past; ``active`` says which, where the record does."""
    return _newest(base, record, key, today, zone, ("Condition",), "not in the diagnoses supplied")


def allergy_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """An allergy or intolerance, from the allergy list or the diagnoses."""
    types = ("AllergyIntolerance", "Condition")
    return _newest(base, record, key, today, zone, types, "not in the allergies supplied")


def procedure_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """Something done, counselling included."""
    return _newest(base, record, key, today, zone, ("Procedure",), "none in the procedures supplied")


def request_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """An open order. A draft of this session counts as ordered today: proposing it again would be noise."""
    drafts = [e for e in entries(base, record, ("ServiceRequest",), key[1], zone, drafts=True) if not e.doubt]
    if drafts:
        first = drafts[0]
        return known(
            key,
            base.title_of(key),
            f"{first.shown} (draft)",
            day=today,
            sources=(first.resource.name,),
            age=Decimal(0),
        )
    return _newest(base, record, key, today, zone, ("ServiceRequest",), "no open order in the data supplied")


def _newest(
    base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo, types: tuple[str, ...], none: str
) -> Fact:
    title = base.title_of(key)
    found = list(entries(base, record, types, key[1], zone))
    doubts = [f"an entry {e.doubt} ({e.resource.name})" for e in found if e.doubt]
    sure = [e for e in found if not e.doubt]
    rows = [e for e in sure if e.when is None or e.when.first <= today]
    doubts += [f"an entry is dated in the future ({e.resource.name})" for e in sure if e not in rows]
    gap = record.gap(key[0])
    if not rows:
        reason = "; ".join([*([gap] if gap else []), *doubts])
        return unknown(key, title, reason) if reason else absent(key, title, none)
    best = max(rows, key=lambda e: e.order(zone))
    when = best.when
    shown = best.shown if best.shown.lower() != title.lower() else ""
    if when is not None and when.is_partial:
        shown = f"{shown} ({when.text})".strip()
    return known(
        key,
        title,
        shown,
        day=when.day if when else None,
        sources=(best.resource.name,),
        remarks=(*([best.remark] if best.remark else []), *doubts),
        age=age_in_days(when, today, base.day_limits),
        active=best.active,
    )
