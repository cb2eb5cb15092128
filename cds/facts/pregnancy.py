"""Is she pregnant, since when, and when did it end: rules GA-01 and GA-02 as arithmetic over dated evidence.

Evidence, strongest first: the newest explicit status observation; an active pregnancy diagnosis that is not stale; a due
date that is in the future or only just passed; a gestational age that still holds. A birth, loss or end of pregnancy
after the evidence ends it. Equal evidence that disagrees leaves it unknown. All limits are thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from cds.facts.coding import by_code, says, texts
from cds.facts.conditions import clinical_state, is_trusted
from cds.facts.dates import Moment, moment, whole_years
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.observations import Seen, effective, observations, quantity
from cds.facts.record import Record
from cds.facts.units import to_canonical
from cds.knowledge.model import FactKey, KnowledgeBase

TERM = 280
"""Days from the last menstrual period to the due date (definition of the due date, ACOG Committee Opinion 700)."""

_DUE_DATES = (
    ("expected-delivery-date-by-ovulation", 0, "assisted conception or ovulation date"),
    ("expected-delivery-date-by-last-period", 2, "last menstrual period"),
    ("expected-delivery-date-unspecified", 3, "method not stated"),
)
_EARLY_ULTRASOUND = (1, "early ultrasound")


@dataclass(frozen=True)
class Sign:
    """One piece of evidence for or against a current pregnancy. ``since`` is the day it speaks about."""

    rank: int
    positive: bool
    since: date
    shown: str
    source: str


@dataclass(frozen=True)
class Dating:
    """Gestational age today, in days, by one source. Lower rank is preferred."""

    rank: int
    days: int
    recorded: date
    shown: str
    source: str


@dataclass
class Evidence:
    """What the record says about pregnancy, collected before anything is decided."""

    signs: list[Sign] = field(default_factory=list)
    ends: list[tuple[date, str, str]] = field(default_factory=list)
    datings: list[Dating] = field(default_factory=list)
    due: list[tuple[int, date, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    uncertain: list[date] = field(default_factory=list)
    """Days of positive evidence that is too old or too vague to count: an older end must not speak over it."""


def pregnancy_facts(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> dict[FactKey, Fact]:
    """The facts gestation pregnant, age, post-partum and past-due, and person age."""
    patient = next(iter(record.of("Patient")), None)
    model = patient.read.model if patient else None
    evidence = Evidence()
    _status_observations(base, record, evidence, today, zone)
    _pregnancy_conditions(base, record, evidence, today, zone)
    _end_events(base, record, evidence, today, zone)
    _due_dates(base, record, evidence, today, zone)
    _gestational_ages(base, record, evidence, today, zone)
    _last_periods(base, record, evidence, today, zone)
    facts = _decide(base, record, evidence, model, patient.name if patient else "", today)
    facts[("person", "age")] = _age(base, record, model, patient.name if patient else "", today, zone)
    return facts


# -- evidence -------------------------------------------------------------------------------------------------------


def _status_observations(base: KnowledgeBase, record: Record, evidence: Evidence, today: date, zone: tzinfo) -> None:
    """LOINC 82810-3 and findings recorded as an observation with true or false; older than the look-back proves nothing."""
    lookback = base.number("pregnancy-status-lookback")
    for seen in observations(base, record, frozenset({"pregnancy-status", "pregnancy-condition"}), zone):
        if seen.standing != "usable":
            continue
        answer = _status_answer(base, seen)
        if answer is None:
            continue
        if seen.when is None:
            evidence.doubts.append(f"a pregnancy status has no date ({seen.name})")
        elif seen.when.first > today:
            evidence.doubts.append(f"a pregnancy status is dated in the future ({seen.name})")
        elif (today - seen.when.first).days > lookback:
            evidence.doubts.append(f"the pregnancy status of {seen.when.text} is too old ({seen.name})")
            if answer:
                evidence.uncertain.append(seen.when.last)
        else:
            word = "pregnant" if answer else "not pregnant"
            evidence.signs.append(Sign(1, answer, seen.when.last, f"status: {word}", seen.name))


def _status_answer(base: KnowledgeBase, seen: Seen) -> bool | None:
    holder = seen.holder
    if getattr(holder, "dataAbsentReason", None) is not None:
        return None
    if holder.valueBoolean is not None:
        return bool(holder.valueBoolean)
    if holder.valueCodeableConcept is not None:
        named = {m.concept for m in by_code(base, holder.valueCodeableConcept)}
        positive = bool(named & {"pregnant-value", "pregnancy-condition"})
        negative = "not-pregnant-value" in named
        return None if positive == negative else positive
    return None


def _pregnancy_conditions(base: KnowledgeBase, record: Record, evidence: Evidence, today: date, zone: tzinfo) -> None:
    lookback = base.number("pregnancy-condition-lookback")
    for resource in record.of("Condition"):
        if not any(m.concept in ("pregnancy-condition", "multiple-pregnancy") for m in by_code(base, resource.raw.get("code"))):
            continue
        model = resource.read.model
        if model is None or not is_trusted(model):
            continue
        onset = moment(model.onsetDateTime or getattr(model.onsetPeriod, "start", None), zone)
        recorded = moment(model.recordedDate, zone) or onset
        ended = moment(model.abatementDateTime or getattr(model.abatementPeriod, "end", None), zone)
        state = clinical_state(model)
        if ended is not None or state == "inactive":
            if ended is not None and ended.first <= today:
                evidence.ends.append((ended.last, "pregnancy ended", resource.name))
            elif state == "inactive" and recorded is not None and recorded.last <= today:
                evidence.ends.append((recorded.last, "pregnancy no longer active", resource.name))
            if state == "inactive" or (ended is not None and ended.first <= today):
                continue
        if recorded is None:
            evidence.doubts.append(f"a pregnancy diagnosis has no date ({resource.name})")
            continue
        oldest = min(m.first for m in (recorded, onset) if m is not None)
        if recorded.first > today:
            evidence.doubts.append(f"a pregnancy diagnosis is dated in the future ({resource.name})")
        elif (today - oldest).days > lookback:
            evidence.doubts.append(f"the pregnancy diagnosis of {oldest} is stale ({resource.name})")
            evidence.uncertain.append(recorded.last)
        elif state == "active":
            evidence.signs.append(Sign(2, True, recorded.last, f"pregnancy diagnosis of {recorded.text}", resource.name))
        else:
            evidence.doubts.append(f"a pregnancy diagnosis has no clinical status ({resource.name})")
            evidence.uncertain.append(recorded.last)


def _end_events(base: KnowledgeBase, record: Record, evidence: Evidence, today: date, zone: tzinfo) -> None:
    """Births, losses and post-partum records, from diagnoses, procedures and observations."""
    for resource in record.of("Condition", "Procedure"):
        if not any(m.concept == "pregnancy-end" for m in by_code(base, resource.raw.get("code"))):
            continue
        model = resource.read.model
        if model is None:
            continue
        if resource.type == "Condition":
            if not is_trusted(model):
                continue
            when = moment(model.onsetDateTime or getattr(model.onsetPeriod, "start", None) or model.recordedDate, zone)
        else:
            if model.status != "completed":
                continue
            period = model.performedPeriod
            when = moment(model.performedDateTime or getattr(period, "end", None) or getattr(period, "start", None), zone)
        _end(evidence, when, resource.name, today)
    for seen in observations(base, record, frozenset({"pregnancy-end"}), zone):
        denied = seen.holder.valueBoolean is False or getattr(seen.holder, "dataAbsentReason", None) is not None
        if seen.standing == "usable" and not denied:
            # Some systems give the day of birth as the value, others as the time of the observation.
            _end(evidence, _date_value(seen.holder, zone) or seen.when, seen.name, today)


def _end(evidence: Evidence, when: Moment | None, name: str, today: date) -> None:
    if when is None:
        evidence.doubts.append(f"an end of pregnancy has no date ({name})")
    elif when.first <= today:
        evidence.ends.append((min(when.last, today), "birth, loss or end of pregnancy", name))


def _due_dates(base: KnowledgeBase, record: Record, evidence: Evidence, today: date, zone: tzinfo) -> None:
    for concept, rank, method in _DUE_DATES:
        for seen in observations(base, record, frozenset({concept}), zone):
            if seen.standing != "usable":
                continue
            due = _date_value(seen.holder, zone)
            if due is None or due.is_partial:
                evidence.doubts.append(f"a due date cannot be read as a day ({seen.name})")
                continue
            rank_here, method_here = _early_ultrasound(base, seen, due.first, zone) or (rank, method)
            days = TERM - (due.first - today).days
            recorded = seen.when.last if seen.when else date.min
            shown = f"due date {due.first} ({method_here})"
            if _plausible(base, days):
                evidence.datings.append(Dating(rank_here, days, recorded, shown, seen.name))
                evidence.due.append((rank_here, due.first, seen.name))
            elif 0 <= days <= TERM + base.number("due-date-recent"):
                evidence.due.append((rank_here, due.first, seen.name))
            else:
                evidence.doubts.append(f"the due date {due.first} is outside a pregnancy today ({seen.name})")


def _date_value(holder: Any, zone: tzinfo) -> Moment | None:
    period = getattr(holder, "valuePeriod", None)
    return moment(holder.valueDateTime or getattr(period, "start", None), zone)


def _early_ultrasound(base: KnowledgeBase, seen: Seen, due: date, zone: tzinfo) -> tuple[int, str] | None:
    """A due date of unstated method that says it is from an ultrasound before the limit counts as early ultrasound."""
    concept = base.concepts.get("ultrasound-dating")
    if concept is None or not seen.match.concept.endswith("unspecified"):
        return None
    spoken = (*texts(seen.observation.method), *texts(seen.observation.code))
    if not any(says(text, concept.text, concept.void) for text in spoken):
        return None
    when = effective(seen.observation, zone)
    if when is None or TERM - (due - when.last).days >= base.number("early-ultrasound-limit"):
        return None
    return _EARLY_ULTRASOUND


def _gestational_ages(base: KnowledgeBase, record: Record, evidence: Evidence, today: date, zone: tzinfo) -> None:
    for seen in observations(base, record, frozenset({"gestational-age"}), zone):
        if seen.standing != "usable" or getattr(seen.holder, "dataAbsentReason", None) is not None:
            continue
        found = quantity(seen.holder)
        if found is None:
            evidence.doubts.append(f"a gestational age has no number ({seen.name})")
            continue
        value = to_canonical("gestational-age", found.value, found.unit)
        if value is None or found.comparator:
            evidence.doubts.append(f"a gestational age is not in weeks or days ({seen.name})")
        elif seen.when is None or seen.when.is_partial:
            evidence.doubts.append(f"a gestational age has no day ({seen.name})")
        elif seen.when.first > today:
            evidence.doubts.append(f"a gestational age is dated in the future ({seen.name})")
        else:
            then = int(value.to_integral_value(rounding=ROUND_FLOOR))
            days = then + (today - seen.when.last).days
            if not _plausible(base, then):
                evidence.doubts.append(f"the gestational age of {seen.when.text} is not plausible ({seen.name})")
            elif _plausible(base, days):
                shown = f"gestational age {_weeks(then)} on {seen.when.text}"
                evidence.datings.append(Dating(4, days, seen.when.last, shown, seen.name))
            else:
                evidence.doubts.append(f"the gestational age of {seen.when.text} no longer holds ({seen.name})")


def _last_periods(base: KnowledgeBase, record: Record, evidence: Evidence, today: date, zone: tzinfo) -> None:
    for seen in observations(base, record, frozenset({"last-menstrual-period"}), zone):
        if seen.standing != "usable" or getattr(seen.holder, "dataAbsentReason", None) is not None:
            continue
        start = _date_value(seen.holder, zone)
        if start is None or start.is_partial:
            evidence.doubts.append(f"a last menstrual period cannot be read as a day ({seen.name})")
            continue
        days = (today - start.first).days
        if _plausible(base, days):
            recorded = seen.when.last if seen.when else date.min
            evidence.datings.append(Dating(5, days, recorded, f"last menstrual period {start.first}", seen.name))


def _plausible(base: KnowledgeBase, days: int) -> bool:
    return 0 <= days <= base.number("gestation-longest")


# -- decision -------------------------------------------------------------------------------------------------------


def _decide(
    base: KnowledgeBase, record: Record, evidence: Evidence, patient: Any, patient_name: str, today: date
) -> dict[FactKey, Fact]:
    pregnant_key, age_key = ("gestation", "pregnant"), ("gestation", "age")
    title = base.title_of(pregnant_key)
    against = _never_pregnant(patient)
    if against:
        fact = Fact(pregnant_key, title, "known", {"present": False}, against, None, (patient_name,))
        return _with_dates(base, record, evidence, fact, today, ended=None, over=True)
    ended = max(evidence.ends, default=None)
    signs = _standing(evidence, ended)
    due = _standing_due(base, evidence, ended, today)
    fact = _pregnant(base, record, evidence, signs, due, ended, title, today)
    facts = _with_dates(base, record, evidence, fact, today, ended, over=False)
    if fact.attributes.get("present") is True:
        facts[age_key] = _gestational_age(base, evidence, ended, today)
    return facts


def _never_pregnant(patient: Any) -> str:
    """Why this patient cannot be pregnant whatever else the record says; empty when she may be."""
    if patient is None:
        return ""
    if patient.deceasedBoolean or patient.deceasedDateTime is not None:
        return "not pregnant (the patient has died)"
    return "not pregnant (male patient)" if patient.gender == "male" else ""


def _standing(evidence: Evidence, ended: tuple[date, str, str] | None) -> list[Sign]:
    """Signs that no later end has overtaken; a 'not pregnant' gives way to positive evidence recorded after it."""
    signs = [s for s in evidence.signs if ended is None or s.since > ended[0]]
    newest_positive = max((s.since for s in signs if s.positive), default=date.min)
    return [s for s in signs if s.positive or s.since >= newest_positive]


def _standing_due(
    base: KnowledgeBase, evidence: Evidence, ended: tuple[date, str, str] | None, today: date
) -> list[Dating]:
    """Datings of a pregnancy that has not ended and, for due dates, is not passed by more than the limit."""
    denied = max((s.since for s in evidence.signs if not s.positive), default=date.min)
    last = max(ended[0] if ended else date.min, denied)
    limit = TERM + base.number("due-date-passed")
    rows = [d for d in evidence.datings if today - timedelta(days=d.days) > last and d.days <= limit]
    return sorted(rows, key=lambda d: (d.rank, -d.recorded.toordinal(), d.source))


def _pregnant(
    base: KnowledgeBase,
    record: Record,
    evidence: Evidence,
    signs: list[Sign],
    dated: list[Dating],
    ended: tuple[date, str, str] | None,
    title: str,
    today: date,
) -> Fact:
    key = ("gestation", "pregnant")
    remarks = tuple(evidence.doubts)
    overdue = [d for d in evidence.due if (today - d[1]).days > base.number("due-date-passed")]
    statuses = [s for s in signs if s.rank == 1]
    if statuses:
        day = max(s.since for s in statuses)
        newest = [s for s in statuses if s.since == day]
        if len({s.positive for s in newest}) > 1:
            return unknown(key, title, f"two pregnancy statuses of {day} disagree", remarks)
        signs = newest
    elif signs:
        signs = sorted(signs, key=lambda s: (s.rank, -s.since.toordinal()))[:1]
    if overdue and not dated and (not ended or min(d[1] for d in overdue) - timedelta(days=TERM) > ended[0]):
        name, day = overdue[0][2], overdue[0][1]
        if not any(s.positive and s.since > day for s in signs) and not any(not s.positive for s in signs):
            return unknown(key, title, f"the due date {day} has passed and no birth is recorded ({name})", remarks)
    if signs:
        sign = signs[0]
        text = ("current, " if sign.positive else "not pregnant, ") + sign.shown
        return Fact(key, title, "known", {"present": sign.positive}, text, sign.since, (sign.source,), "", remarks)
    if dated:
        best = dated[0]
        return Fact(key, title, "known", {"present": True}, f"current, {best.shown}", None, (best.source,), "", remarks)
    if ended is not None and not _doubted(evidence, ended):
        return Fact(key, title, "known", {"present": False}, f"not pregnant, {ended[1]}", ended[0], (ended[2],), "", remarks)
    reason = record.gap("gestation") or "; ".join(evidence.doubts[:2]) or "no evidence of a current pregnancy is recorded"
    return unknown(key, title, reason, remarks)


def _doubted(evidence: Evidence, ended: tuple[date, str, str]) -> bool:
    """Whether there is a sign of a later pregnancy than the one that ended, even if it is too weak to count."""
    return any(day > ended[0] for day in evidence.uncertain)


def _with_dates(
    base: KnowledgeBase,
    record: Record,
    evidence: Evidence,
    pregnant: Fact,
    today: date,
    ended: tuple[date, str, str] | None,
    *,
    over: bool,
) -> dict[FactKey, Fact]:
    """The pregnancy fact with its companions: gestational age, time since the end, days past a due date."""
    age_key, post_key, due_key = ("gestation", "age"), ("gestation", "post-partum"), ("gestation", "past-due")
    current = pregnant.attributes.get("present") is True
    facts = {pregnant.key: pregnant}
    reason = "pregnancy is not established" if pregnant.state == "unknown" else "not pregnant"
    age_title, post_title, due_title = (base.title_of(k) for k in (age_key, post_key, due_key))
    facts[age_key] = (
        unknown(age_key, age_title, reason) if pregnant.state == "unknown" else absent(age_key, age_title, reason)
    )
    if ended is not None and not current and not _doubted(evidence, ended):
        days = (today - ended[0]).days
        facts[post_key] = known(
            post_key, post_title, f"{days} days", day=ended[0], sources=(ended[2],), value=Decimal(days)
        )
    elif over or current:
        facts[post_key] = absent(post_key, post_title, "no birth or loss is recorded for this pregnancy")
    else:
        facts[post_key] = unknown(post_key, post_title, record.gap("gestation") or "no birth or loss is recorded")
    due = sorted(evidence.due)
    if due and not over:
        days = (today - due[0][1]).days
        facts[due_key] = known(
            due_key, due_title, f"due date {due[0][1]}", day=due[0][1], sources=(due[0][2],), value=Decimal(days)
        )
    elif over:
        facts[due_key] = absent(due_key, due_title, "not pregnant")
    else:
        facts[due_key] = unknown(due_key, due_title, record.gap("gestation") or "no due date is recorded")
    return facts


def _gestational_age(
    base: KnowledgeBase, evidence: Evidence, ended: tuple[date, str, str] | None, today: date
) -> Fact:
    key = ("gestation", "age")
    title = base.title_of(key)
    rows = [d for d in evidence.datings if ended is None or today - timedelta(days=d.days) > ended[0]]
    rows.sort(key=lambda d: (d.rank, -d.recorded.toordinal(), d.source))
    if not rows:
        reason = evidence.doubts[0] if evidence.doubts else "gestational age is not recorded"
        text = reason if reason.startswith("gestational age") else f"gestational age is not recorded; {reason}"
        return unknown(key, title, text, tuple(evidence.doubts))
    best = rows[0]
    limit = base.number("dating-disagreement")
    remarks = [
        f"{other.shown} differs by {abs(other.days - best.days)} days ({other.source})"
        for other in rows[1:]
        if abs(other.days - best.days) > limit
    ]
    shown = f"{_weeks(best.days)} by {best.shown}"
    return known(key, title, shown, sources=(best.source,), remarks=(*remarks, *evidence.doubts), value=Decimal(best.days))


def _weeks(days: int) -> str:
    return f"{days // 7} weeks {days % 7} days"


def _age(base: KnowledgeBase, record: Record, patient: Any, name: str, today: date, zone: tzinfo) -> Fact:
    key = ("person", "age")
    title = base.title_of(key)
    birth = moment(patient.birthDate, zone) if patient is not None else None
    if birth is None or birth.first > today:
        return unknown(key, title, record.gap("person") or "the birth date is not recorded or cannot be right")
    years = whole_years(birth, today)
    if years is None:
        return unknown(key, title, f"the birth date {birth.text} leaves the age open")
    return known(key, title, f"{years} years", sources=(name,), value=years)
