"""Is she pregnant, since when, and when did it end: rules GA-01 and GA-02 as arithmetic over dated evidence.

Evidence, strongest first: the newest explicit status observation; an active pregnancy diagnosis that is not stale; a
due date that is in the future or only just passed; a gestational age that still holds. A birth, loss or end of
pregnancy after the evidence ends it. Equal evidence that disagrees leaves it unknown. All limits are thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from cds.facts.coding import by_code, says, texts
from cds.facts.conditions import clinical_state, exists, is_trusted, onset, performed
from cds.facts.dates import Moment, moment, whole_years
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.observations import Seen, observations, quantity
from cds.facts.record import Record, Resource
from cds.facts.units import to_canonical
from cds.knowledge.model import FactKey, KnowledgeBase

TERM = 280
"""Days from the last menstrual period to the due date (definition of the due date, ACOG Committee Opinion 700)."""

PREGNANT: FactKey = ("gestation", "pregnant")
AGE: FactKey = ("gestation", "age")
POST_PARTUM: FactKey = ("gestation", "post-partum")
PAST_DUE: FactKey = ("gestation", "past-due")
FETUSES: FactKey = ("gestation", "fetuses")

_DUE_DATES = (
    ("expected-delivery-date-by-ovulation", 0, "assisted conception or ovulation date"),
    ("expected-delivery-date-by-last-period", 2, "last menstrual period"),
    ("expected-delivery-date-unspecified", 3, "method not stated"),
)
_EARLY_ULTRASOUND = (1, "early ultrasound")
_GESTATIONAL_AGE, _LAST_PERIOD = 4, 5
_EXPLICIT = 1
"""Rank of an explicit pregnancy status among the signs."""

# Diagnoses that are the pregnancy itself: when one of them is over, so is the pregnancy. The end of a vomiting, of a
# gestational oedema or of "12 weeks gestation" is not.
_ITSELF = frozenset({"pregnancy", "multiple-pregnancy"})
_WHILE_PREGNANT = _ITSELF | {"pregnancy-condition"}
# What a system without codes answers to "pregnancy status"; any other word ("possible", "post partum") proves nothing.
_ANSWERS = {
    **dict.fromkeys({"pregnant", "currently pregnant", "is pregnant", "yes", "embarazada"}, True),
    **dict.fromkeys({"not pregnant", "not currently pregnant", "is not pregnant", "no", "no embarazada"}, False),
}
_MULTIPLE = Decimal(2)
"""What "multiple" or "twins" says of the number of fetuses: two at least."""
_ROUNDED_WEEKS = Decimal("0.03")
"""Days: 13 weeks 5 days written as 13.71 or 13.714 wk is just short of the day. No rounding up beyond this."""
_COUNT_UNITS = (None, "", "1", "{#}", "{fetus}", "{fetuses}", "fetus", "fetuses")


@dataclass(frozen=True)
class Sign:
    """One piece of evidence for or against a current pregnancy. ``since`` is the day it speaks about."""

    rank: int
    positive: bool
    since: date
    shown: str
    source: str


@dataclass(frozen=True)
class End:
    """A birth, loss or other end. ``dated`` is False where only the record of a finished pregnancy has a day."""

    day: date
    shown: str
    source: str
    dated: bool = True


@dataclass(frozen=True)
class Dating:
    """Gestational age today, in days, by one source. Lower rank is preferred."""

    rank: int
    days: int
    recorded: date
    shown: str
    source: str


@dataclass(frozen=True)
class Due:
    """A due date, current or passed."""

    rank: int
    day: date
    source: str


@dataclass(frozen=True)
class Count:
    """How many fetuses one record says there are, or at least are. ``day`` is None where the record has none."""

    number: Decimal
    day: date | None
    shown: str
    source: str


@dataclass
class Evidence:
    """What the record says about pregnancy, collected before anything is decided.

    ``doubts`` are not used but named; ``hints`` are the days of those that speak for a pregnancy all the same, so that
    an earlier end cannot be the last word. ``count_doubts`` concern the number of fetuses alone.
    """

    today: date
    signs: list[Sign] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    datings: list[Dating] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    hints: list[date] = field(default_factory=list)
    count_doubts: list[str] = field(default_factory=list)

    def hint(self, doubt: str, since: date | None) -> None:
        """Evidence for a pregnancy that does not count; without a day it may be of any."""
        self.doubts.append(doubt)
        self.hints.append(since or self.today)

    def forget_her_own_birth(self, born: Moment) -> None:
        """Leave out a pregnancy that began before she was born, and the birth of her own first day.

        In the chart of a newborn the gestational age, the due date, the diagnosis and the birth are those of her
        mother's pregnancy. An explicit status stays: the birth date may be the wrong one.
        """
        datings = [d for d in self.datings if self.today - timedelta(days=d.days) > born.last]
        due = [d for d in self.due if d.day - timedelta(days=TERM) > born.last]
        ends = [e for e in self.ends if not born.first <= e.day <= born.last]
        signs = [s for s in self.signs if s.rank == _EXPLICIT or s.since > born.last]
        if (datings, due, ends, signs) != (self.datings, self.due, self.ends, self.signs):
            self.doubts.append("dates of a pregnancy that began before her own birth were not used")
        self.datings, self.due, self.ends, self.signs = datings, due, ends, signs
        self.hints = [day for day in self.hints if day > born.last]

    @property
    def ended(self) -> End | None:
        """The last end."""
        return max(self.ends, key=lambda end: (end.day, end.dated, end.source), default=None)

    @property
    def last_end(self) -> date:
        return self.ended.day if self.ended else date.min

    def sorted_datings(self, latest_start: date) -> list[Dating]:
        """Datings of a pregnancy that began after a day, best first."""
        rows = [d for d in self.datings if self.today - timedelta(days=d.days) > latest_start]
        return sorted(rows, key=lambda d: (d.rank, -d.recorded.toordinal(), d.source))

    def current_due(self) -> Due | None:
        """The best due date of a pregnancy that has not ended: by method, then the latest."""
        rows = [d for d in self.due if d.day - timedelta(days=TERM) > self.last_end]
        return min(rows, key=lambda d: (d.rank, -d.day.toordinal(), d.source), default=None)


def pregnancy_facts(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> dict[FactKey, Fact]:
    """The facts gestation pregnant, age, post-partum, past-due and fetuses, and person age."""
    patient = next(iter(record.of("Patient")), None)
    evidence = Evidence(today)
    _status_observations(base, record, evidence, zone)
    _pregnancy_conditions(base, record, evidence, zone)
    _end_events(base, record, evidence, zone)
    _due_dates(base, record, evidence, zone)
    _gestational_ages(base, record, evidence, zone)
    _last_periods(base, record, evidence, zone)
    _fetus_counts(base, record, evidence, zone)
    model = patient.read.model if patient else None
    born = moment(model.birthDate, zone) if model is not None else None
    if born is not None and born.first <= today:
        evidence.forget_her_own_birth(born)
    # One order, whatever the order of the record.
    evidence.doubts = sorted(set(evidence.doubts))
    return {**_decide(base, record, evidence, patient), ("person", "age"): _age(base, record, patient, today, zone)}


# -- evidence ---------------------------------------------------------------------------------------------------------


def _usable(
    base: KnowledgeBase, record: Record, doubts: list[str], concepts: frozenset[str], what: str, zone: tzinfo
) -> Iterator[Seen]:
    """Final observations of her with a value; one that is pending, of unknown status or about the child is named."""
    for seen in observations(base, record, concepts, zone):
        if seen.standing in ("pending", "unusable"):
            doubts.append(f"{what} is not final ({seen.name})")
        elif seen.standing == "usable" and not seen.is_missing:
            yield seen
    for seen in observations(base, record, concepts, zone, about_another=True):
        if seen.standing == "usable" and not seen.is_missing:
            doubts.append(f"{what} is about another person ({seen.name})")


def _status_observations(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    """LOINC 82810-3, and pregnancy recorded as a finding; older than the look-back it proves nothing."""
    lookback = base.number("pregnancy-status-lookback")
    today = evidence.today
    concepts = frozenset({"pregnancy-status", "pregnancy", "pregnancy-condition"})
    for seen in _usable(base, record, evidence.doubts, concepts, "a pregnancy status", zone):
        answer = _status_answer(base, seen)
        # "Multiple pregnancy: no" is no "not pregnant".
        explicit = bool(_concepts(base, seen.holder.code) & {"pregnancy-status", "pregnancy"})
        if answer is None:
            if explicit:
                evidence.doubts.append(f"a pregnancy status has no answer that is understood ({seen.name})")
        elif not explicit and not answer:
            continue  # "no vomiting of pregnancy" does not say "not pregnant"
        elif seen.when is not None and seen.when.first > today:
            evidence.doubts.append(f"a pregnancy status is dated in the future ({seen.name})")
        elif seen.when is None or seen.when.is_partial or (today - seen.when.first).days > lookback:
            day = seen.when.day if seen.when else None
            doubt = f"the pregnancy status of {day} is too old" if day else "a pregnancy status has no day"
            if answer:
                evidence.hint(f"{doubt} ({seen.name})", seen.when.last if seen.when else None)
            else:
                evidence.doubts.append(f"{doubt} ({seen.name})")
        else:
            word = "pregnant" if answer else "not pregnant"
            rank = _EXPLICIT if explicit else 2
            evidence.signs.append(Sign(rank, answer, seen.when.first, f"status: {word}", seen.name))


def _status_answer(base: KnowledgeBase, seen: Seen) -> bool | None:
    holder = seen.holder
    if holder.valueBoolean is not None:
        return bool(holder.valueBoolean)
    named = _concepts(base, holder.valueCodeableConcept)
    if not named:
        return _spoken_answer(holder)
    positive = bool(named & {"pregnant-value", *_WHILE_PREGNANT})
    negative = "not-pregnant-value" in named
    return None if positive == negative else positive


def _spoken_answer(holder: Any) -> bool | None:
    """An answer given in words alone, where its words are one of a few that leave no doubt."""
    given = (*texts(holder.valueCodeableConcept), *([holder.valueString] if holder.valueString else []))
    answers = {_ANSWERS.get(" ".join(text.lower().replace("-", " ").split()).rstrip(".")) for text in given}
    return answers.pop() if len(answers) == 1 else None


def _concepts(base: KnowledgeBase, concept: Any) -> set[str]:
    return {match.concept for match in by_code(base, concept)}


def _is_pregnancy_itself(base: KnowledgeBase, concept: Any) -> bool:
    return bool(_concepts(base, concept) & _ITSELF)


def _pregnancy_conditions(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    for resource in record.of("Condition"):
        if _concepts(base, resource.raw.get("code")) & _WHILE_PREGNANT:
            _pregnancy_condition(base, resource, evidence, zone)


def _pregnancy_condition(base: KnowledgeBase, resource: Resource, evidence: Evidence, zone: tzinfo) -> None:
    model = resource.read.model
    if model is None or not is_trusted(model):
        return
    today, name = evidence.today, resource.name
    began = moment(onset(model), zone)
    recorded = moment(model.recordedDate, zone) or began
    state = clinical_state(model)
    abated = moment(model.abatementDateTime or getattr(model.abatementPeriod, "end", None), zone)
    undated_end = state == "inactive" or any(
        getattr(model, f"abatement{kind}") is not None for kind in ("Age", "Range", "String")
    )
    if abated is not None and abated.first <= today:
        if _is_pregnancy_itself(base, model.code):
            evidence.ends.append(End(min(abated.last, today), "pregnancy ended", name))
    elif undated_end:
        if _is_pregnancy_itself(base, model.code) and recorded is not None and recorded.first <= today:
            evidence.ends.append(End(min(recorded.last, today), "pregnancy no longer active", name, dated=False))
    elif recorded is None:
        evidence.hint(f"a pregnancy diagnosis has no date ({name})", None)
    elif recorded.first > today:
        evidence.doubts.append(f"a pregnancy diagnosis is dated in the future ({name})")
    elif (today - min(m.first for m in (recorded, began) if m is not None)).days > base.number(
        "pregnancy-condition-lookback"
    ):
        evidence.hint(f"the pregnancy diagnosis of {recorded.text} is stale ({name})", recorded.last)
    elif state != "active":
        evidence.hint(f"a pregnancy diagnosis has no clinical status ({name})", recorded.last)
    else:
        evidence.signs.append(Sign(2, True, recorded.first, f"pregnancy diagnosis of {recorded.text}", name))


def _end_events(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    """Births, losses and post-partum records, from diagnoses, procedures and observations."""
    for resource in record.of("Condition", "Procedure"):
        if not any(m.concept == "pregnancy-end" for m in by_code(base, resource.raw.get("code"))):
            continue
        model = resource.read.model
        if model is None:
            evidence.doubts.append(f"an end of pregnancy cannot be read ({resource.name})")
        elif resource.type == "Procedure":
            if model.status == "completed":
                _end(evidence, moment(performed(model), zone), resource.name)
        elif is_trusted(model):
            # A resolved entry without an onset is history, typed in at some later visit: its day is not known.
            day = onset(model) or (None if clinical_state(model) == "inactive" else model.recordedDate)
            _end(evidence, moment(day, zone), resource.name)
    for seen in _usable(base, record, evidence.doubts, frozenset({"pregnancy-end"}), "an end of pregnancy", zone):
        if seen.holder.valueBoolean is not False:
            # Some systems give the day of birth as the value, others as the time of the observation.
            _end(evidence, _date_value(seen.holder, zone) or seen.when, seen.name)


def _end(evidence: Evidence, when: Moment | None, name: str) -> None:
    if when is None:
        evidence.doubts.append(f"an end of pregnancy has no date ({name})")
    elif when.first > evidence.today:
        evidence.doubts.append(f"an end of pregnancy is dated in the future ({name})")
    else:
        evidence.ends.append(End(min(when.last, evidence.today), "birth, loss or end of pregnancy", name))


def _due_dates(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    for concept, rank, method in _DUE_DATES:
        for seen in _usable(base, record, evidence.doubts, frozenset({concept}), "a due date", zone):
            due = _date_value(seen.holder, zone)
            if due is None or due.is_partial:
                evidence.doubts.append(f"a due date cannot be read as a day ({seen.name})")
                continue
            if not _is_past(seen.when, evidence.today):
                evidence.doubts.append(f"a due date is recorded in the future ({seen.name})")
                continue
            own_rank, own_method = _early_ultrasound(base, seen, due.first) or (rank, method)
            days = TERM - (due.first - evidence.today).days
            if _is_plausible(base, days):
                shown = f"due date {due.first} ({own_method})"
                evidence.datings.append(Dating(own_rank, days, _recorded(seen), shown, seen.name))
            if 0 <= days <= TERM + base.number("due-date-recent"):
                evidence.due.append(Due(own_rank, due.first, seen.name))
            else:
                began = _before(due.first, TERM)
                evidence.hint(f"the due date {due.first} is outside a pregnancy today ({seen.name})", began)


def _before(day: date, days: int) -> date:
    """So many days before; exports write 0001-01-01 for a day that is not known, and there is no day before it."""
    return date.fromordinal(max(1, day.toordinal() - days))


def _is_past(when: Moment | None, today: date) -> bool:
    return when is None or when.first <= today


def _recorded(seen: Seen) -> date:
    return seen.when.first if seen.when else date.min


def _date_value(holder: Any, zone: tzinfo) -> Moment | None:
    return moment(holder.valueDateTime or getattr(holder.valuePeriod, "start", None), zone)


def _early_ultrasound(base: KnowledgeBase, seen: Seen, due: date) -> tuple[int, str] | None:
    """A due date of unstated method that says it is from an ultrasound before the limit counts as early ultrasound."""
    if seen.match.concept != "expected-delivery-date-unspecified" or seen.when is None:
        return None
    concept = base.concepts["ultrasound-dating"]
    spoken = (*texts(seen.observation.method), *texts(seen.holder.code))
    early = TERM - (due - seen.when.last).days < base.number("early-ultrasound-limit")
    return _EARLY_ULTRASOUND if early and any(says(text, concept.text, concept.void) for text in spoken) else None


def _gestational_ages(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    today = evidence.today
    for seen in _usable(base, record, evidence.doubts, frozenset({"gestational-age"}), "a gestational age", zone):
        found = quantity(seen.holder)
        value = to_canonical("gestational-age", found.value, found.unit) if found is not None else None
        if found is None:
            evidence.doubts.append(f"a gestational age has no number ({seen.name})")
        elif value is None or found.comparator:
            evidence.doubts.append(f"a gestational age is not in weeks or days ({seen.name})")
        elif seen.when is None or seen.when.is_partial:
            evidence.doubts.append(f"a gestational age has no day ({seen.name})")
        elif seen.when.first > today:
            evidence.doubts.append(f"a gestational age is dated in the future ({seen.name})")
        else:
            then = int((value + _ROUNDED_WEEKS).to_integral_value(rounding=ROUND_FLOOR))
            days = then + (today - seen.when.first).days
            if not _is_plausible(base, then):
                evidence.doubts.append(f"the gestational age of {seen.when.text} is not plausible ({seen.name})")
            elif not _is_plausible(base, days):
                began = _before(seen.when.first, then)
                evidence.hint(f"the gestational age of {seen.when.text} no longer holds ({seen.name})", began)
            else:
                shown = f"gestational age {_weeks(then)} on {seen.when.text}"
                evidence.datings.append(Dating(_GESTATIONAL_AGE, days, seen.when.first, shown, seen.name))


def _last_periods(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    concepts = frozenset({"last-menstrual-period"})
    for seen in _usable(base, record, evidence.doubts, concepts, "a last menstrual period", zone):
        start = _date_value(seen.holder, zone)
        if start is None or start.is_partial:
            evidence.doubts.append(f"a last menstrual period cannot be read as a day ({seen.name})")
            continue
        days = (evidence.today - start.first).days
        if _is_plausible(base, days):
            shown = f"last menstrual period {start.first}"
            evidence.datings.append(Dating(_LAST_PERIOD, days, _recorded(seen), shown, seen.name))
        else:
            text = f"the last menstrual period {start.first} is outside a pregnancy today ({seen.name})"
            evidence.doubts.append(text)


def _is_plausible(base: KnowledgeBase, days: int) -> bool:
    return 0 <= days <= base.number("gestation-longest")


def _fetus_counts(base: KnowledgeBase, record: Record, evidence: Evidence, zone: tzinfo) -> None:
    """Counted fetuses, "multiple pregnancy" answered with yes, no or a kind, and diagnoses of twins and more."""
    doubts = evidence.count_doubts
    what = "a number of fetuses"
    for seen in _usable(base, record, doubts, frozenset({"number-of-fetuses", "multiple-pregnancy"}), what, zone):
        number = _count(seen.holder) if seen.match.concept == "number-of-fetuses" else _multiple(base, seen.holder)
        if number is None:
            doubts.append(f"{what} cannot be read as a number ({seen.name})")
        elif not _is_past(seen.when, evidence.today):
            doubts.append(f"{what} is dated in the future ({seen.name})")
        else:
            day = seen.when.last if seen.when else None
            evidence.counts.append(Count(number, day, _count_text(seen.match.concept, number), seen.name))
    for resource in record.of("Condition"):
        if "multiple-pregnancy" not in _concepts(base, resource.raw.get("code")):
            continue
        model = resource.read.model
        if model is None:
            doubts.append(f"a diagnosis of multiple pregnancy cannot be read ({resource.name})")
        elif exists(model) and clinical_state(model) != "inactive" and model.abatementDateTime is None:
            when = moment(model.recordedDate or onset(model), zone)
            if _is_past(when, evidence.today):
                shown = next(iter(texts(model.code)), _count_text("multiple-pregnancy", _MULTIPLE))
                evidence.counts.append(Count(_MULTIPLE, when.last if when else None, shown, resource.name))


def _count(holder: Any) -> Decimal | None:
    """A whole number of one or more; None for anything else."""
    given = holder.valueQuantity
    if given is not None and (given.comparator or (given.code or given.unit) not in _COUNT_UNITS):
        return None
    raw = given.value if given is not None else holder.valueInteger
    value = Decimal(raw) if raw is not None else Decimal(0)
    return value.to_integral_value() if value.is_finite() and value >= 1 and value % 1 == 0 else None


def _multiple(base: KnowledgeBase, holder: Any) -> Decimal | None:
    """Two at least for "multiple pregnancy: yes" or a kind of it, one for "no"."""
    if "multiple-pregnancy" in _concepts(base, holder.valueCodeableConcept):
        return _MULTIPLE
    spoken = {text.strip().lower() for text in texts(holder.valueCodeableConcept)}
    if holder.valueBoolean is True or (spoken and spoken <= {"yes"}):
        return _MULTIPLE
    return Decimal(1) if holder.valueBoolean is False or (spoken and spoken <= {"no"}) else None


def _count_text(concept: str, number: Decimal) -> str:
    if concept == "number-of-fetuses":
        return format(number, "f")
    return "multiple pregnancy" if number > 1 else "no multiple pregnancy"


# -- decision ---------------------------------------------------------------------------------------------------------


def _decide(base: KnowledgeBase, record: Record, evidence: Evidence, patient: Resource | None) -> dict[FactKey, Fact]:
    model = patient.read.model if patient else None
    title = base.title_of(PREGNANT)
    if patient is not None and model is None:
        # She may be a man, or dead: nothing about a pregnancy may be said.
        fact = unknown(PREGNANT, title, f"the patient resource cannot be read ({patient.name})")
        return {PREGNANT: fact, **_companions(base, record, evidence, fact)}
    against = _never_pregnant(model)
    if against and patient is not None:
        fact = Fact(PREGNANT, title, "known", {"present": False}, against, None, (patient.name,))
        others = (AGE, POST_PARTUM, PAST_DUE, FETUSES)
        return {PREGNANT: fact, **{key: absent(key, base.title_of(key), against) for key in others}}
    fact = _pregnant(base, record, evidence)
    return {PREGNANT: fact, **_companions(base, record, evidence, fact)}


def _never_pregnant(patient: Any) -> str:
    """Why this patient cannot be pregnant whatever else the record says; empty when she may be."""
    if patient is None:
        return ""
    if patient.deceasedBoolean or patient.deceasedDateTime is not None:
        return "not pregnant (the patient has died)"
    return "not pregnant (male patient)" if patient.gender == "male" else ""


def _standing_datings(base: KnowledgeBase, evidence: Evidence) -> list[Dating]:
    """Datings, best first, that show a pregnancy: not ended, and not passed by more than the limit.

    A last period shows none: it is asked of every woman.
    """
    limit = TERM + base.number("due-date-passed")
    rows = evidence.sorted_datings(evidence.last_end)
    return [d for d in rows if d.rank != _LAST_PERIOD and d.days <= limit]


def _standing_signs(evidence: Evidence, datings: list[Dating]) -> list[Sign]:
    """Signs that no later end has overtaken; a "not pregnant" gives way to a pregnancy recorded or begun after it."""
    signs = [s for s in evidence.signs if s.since > evidence.last_end]
    dated = [max(d.recorded, evidence.today - timedelta(days=d.days)) for d in datings]
    newest = max((*(s.since for s in signs if s.positive), *dated), default=date.min)
    return [s for s in signs if s.positive or s.since >= newest]


def _pregnant(base: KnowledgeBase, record: Record, evidence: Evidence) -> Fact:
    title = base.title_of(PREGNANT)
    remarks = tuple(evidence.doubts)
    datings = _standing_datings(base, evidence)
    signs = _standing_signs(evidence, datings)
    best = min((s.rank for s in signs), default=0)
    day = max((s.since for s in signs if s.rank == best), default=None)
    newest = sorted((s for s in signs if s.rank == best and s.since == day), key=lambda s: s.source)
    if len({s.positive for s in newest}) > 1:
        return unknown(PREGNANT, title, f"two pregnancy statuses of {day} disagree", remarks)
    sign = newest[0] if newest else None
    overdue = None if datings else _overdue(base, evidence)
    if overdue is not None and (sign is None or (sign.positive and sign.since <= overdue.day)):
        reason = f"the due date {overdue.day} has passed and no birth is recorded ({overdue.source})"
        return unknown(PREGNANT, title, reason, remarks)
    if sign is not None:
        text = ("current, " if sign.positive else "not pregnant, ") + sign.shown
        return Fact(PREGNANT, title, "known", {"present": sign.positive}, text, sign.since, (sign.source,), "", remarks)
    if datings:
        text, sources = f"current, {datings[0].shown}", (datings[0].source,)
        return Fact(PREGNANT, title, "known", {"present": True}, text, None, sources, "", remarks)
    return _without_evidence(base, record, evidence)


def _overdue(base: KnowledgeBase, evidence: Evidence) -> Due | None:
    """The due date, when it is passed by more than the limit."""
    due = evidence.current_due()
    return due if due and (evidence.today - due.day).days > base.number("due-date-passed") else None


def _without_evidence(base: KnowledgeBase, record: Record, evidence: Evidence) -> Fact:
    """An end is a "no" unless something later hints at a pregnancy; an old end only where nothing was withheld."""
    title = base.title_of(PREGNANT)
    remarks = tuple(evidence.doubts)
    ended = evidence.ended
    gap = record.gap("gestation")
    is_recent = ended is not None and (evidence.today - ended.day).days <= base.number("pregnancy-status-lookback")
    hinted = any(day > evidence.last_end for day in evidence.hints)
    if ended is not None and not hinted and (is_recent or not gap):
        if is_recent and not ended.dated:
            reason = f"a pregnancy is recorded as over, but not since when ({ended.source})"
            return unknown(PREGNANT, title, reason, remarks)
        text = f"not pregnant, {ended.shown}"
        return Fact(PREGNANT, title, "known", {"present": False}, text, ended.day, (ended.source,), "", remarks)
    reason = gap or "; ".join(evidence.doubts[:2]) or "no evidence of a current pregnancy is recorded"
    return unknown(PREGNANT, title, reason, remarks)


def _companions(base: KnowledgeBase, record: Record, evidence: Evidence, pregnant: Fact) -> dict[FactKey, Fact]:
    """Gestational age, time since the end of pregnancy, days past the due date, number of fetuses."""
    current = pregnant.attributes.get("present") is True
    gap = record.gap("gestation")
    if current:
        age = _gestational_age(base, evidence, gap)
    elif pregnant.state == "unknown":
        age = unknown(AGE, base.title_of(AGE), "pregnancy is not established")
    else:
        age = absent(AGE, base.title_of(AGE), "not pregnant")
    return {
        AGE: age,
        POST_PARTUM: _post_partum(base, evidence, current, gap),
        PAST_DUE: _past_due(base, evidence, gap),
        FETUSES: _fetuses(base, evidence, pregnant, age, gap),
    }


def _post_partum(base: KnowledgeBase, evidence: Evidence, current: bool, gap: str) -> Fact:
    title, ended = base.title_of(POST_PARTUM), evidence.ended
    if current:
        return absent(POST_PARTUM, title, "no birth or loss is recorded for this pregnancy")
    if ended is None:
        return unknown(POST_PARTUM, title, gap or "no birth or loss is recorded")
    if not ended.dated:
        return unknown(POST_PARTUM, title, f"the end of the pregnancy has no date ({ended.source})")
    days = (evidence.today - ended.day).days
    return known(POST_PARTUM, title, f"{days} days", day=ended.day, sources=(ended.source,), value=Decimal(days))


def _past_due(base: KnowledgeBase, evidence: Evidence, gap: str) -> Fact:
    title, due = base.title_of(PAST_DUE), evidence.current_due()
    if due is None:
        return unknown(PAST_DUE, title, gap or "no due date is recorded")
    days = Decimal((evidence.today - due.day).days)
    return known(PAST_DUE, title, f"due date {due.day}", day=due.day, sources=(due.source,), value=days)


def _fetuses(base: KnowledgeBase, evidence: Evidence, pregnant: Fact, age: Fact, gap: str) -> Fact:
    """The newest count of this pregnancy, the larger of one day; an earlier pregnancy says nothing about it.

    Twins and "multiple" read as two: the number is what there is at least. A record without a day counts only where
    no dated one does.
    """
    title = base.title_of(FETUSES)
    remarks = tuple(sorted(set(evidence.count_doubts)))
    if pregnant.state == "unknown":
        return unknown(FETUSES, title, "pregnancy is not established", remarks)
    if pregnant.attributes.get("present") is not True:
        return absent(FETUSES, title, "not pregnant")
    days = age.attributes.get("value")
    longest = days if isinstance(days, Decimal) else base.number("gestation-longest")
    began = max(evidence.today - timedelta(days=int(longest)), evidence.last_end)
    rows = [c for c in evidence.counts if c.day is not None and c.day >= began]
    rows = rows or ([c for c in evidence.counts if c.day is None] if not evidence.ends else [])
    if not rows:
        return unknown(FETUSES, title, gap or "not recorded", remarks)
    best = max(rows, key=lambda c: (c.day or date.min, c.number, c.source))
    return known(FETUSES, title, best.shown, day=best.day, sources=(best.source,), remarks=remarks, value=best.number)


def _gestational_age(base: KnowledgeBase, evidence: Evidence, gap: str) -> Fact:
    title = base.title_of(AGE)
    rows = evidence.sorted_datings(evidence.last_end)
    doubts = tuple(evidence.doubts)
    if not rows:
        reason = "; ".join([gap or "not recorded", *doubts[:1]])
        return unknown(AGE, title, reason, doubts)
    best, limit = rows[0], base.number("dating-disagreement")
    remarks = [
        f"{other.shown} differs by {abs(other.days - best.days)} days ({other.source})"
        for other in rows[1:]
        if abs(other.days - best.days) > limit
    ]
    shown = f"{_weeks(best.days)} by {best.shown}"
    return known(AGE, title, shown, sources=(best.source,), remarks=(*remarks, *doubts), value=Decimal(best.days))


def _weeks(days: int) -> str:
    return f"{days // 7} weeks {days % 7} days"


def _age(base: KnowledgeBase, record: Record, patient: Resource | None, today: date, zone: tzinfo) -> Fact:
    key = ("person", "age")
    title = base.title_of(key)
    model = patient.read.model if patient else None
    birth = moment(model.birthDate, zone) if model is not None else None
    if patient is None or birth is None or birth.first > today:
        return unknown(key, title, record.gap("person") or "the birth date is not recorded or cannot be right")
    years = whole_years(birth, today)
    if years is None:
        return unknown(key, title, f"the birth date {birth.text} leaves the age open")
    return known(key, title, f"{years} years", sources=(patient.name,), value=years)
