"""Laboratory results and vital signs: the newest usable value in its canonical unit, and calcium adjusted for albumin.

The newest result decides. If it cannot be used (unit missing, value implausible, status unknown) the fact is unknown
and says why: an older value must not speak for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal

from cds.facts.dates import Moment, age_in_days
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.observations import Seen, observations, quantity, unreadable
from cds.facts.record import Record
from cds.facts.units import to_canonical
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS

_PLAUSIBLE = {
    "serum-calcium": "total-calcium",
    "corrected-calcium": "total-calcium",
    "ionised-calcium": "ionised-calcium",
}
LOOK_ALIKES = {
    "serum-calcium": ("whole-blood-calcium", "protein-corrected-calcium"),
    "ionised-calcium": ("calculated-ionised-calcium", "ph-adjusted-ionised-calcium"),
    "vitamin-d-25oh": ("vitamin-d-1-25",),
}


@dataclass(frozen=True)
class Result:
    """One result: canonical value, or the reason why it cannot be used."""

    seen: Seen
    value: Decimal | None
    shown: str
    problem: str | None

    @property
    def day(self) -> date | None:
        return self.seen.when.last if self.seen.when else None


def results(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> list[Result]:
    """All results of a concept that exist (not void, not pending, not future-dated, not missing), newest first."""
    rows = []
    for seen in observations(base, record, frozenset({concept}), zone):
        if seen.standing in ("void", "pending") or (seen.when and seen.when.first > today):
            continue
        if quantity(seen.holder) is None and _is_missing(seen):
            continue
        rows.append(_result(base, seen, concept))
    return sorted(rows, key=lambda r: (r.seen.order(zone), r.seen.name), reverse=True)


def _is_missing(seen: Seen) -> bool:
    """No value at all: a dataAbsentReason, or a panel whose values stand in components."""
    reason = getattr(seen.holder, "dataAbsentReason", None)
    return reason is not None or bool(seen.holder is seen.observation and seen.observation.component)


def _result(base: KnowledgeBase, seen: Seen, concept: str) -> Result:
    found = quantity(seen.holder)
    if found is None:
        return Result(seen, None, "", "has no number")
    if seen.standing == "unusable":
        return Result(seen, None, found.given, "has a status that is not final")
    if seen.when is None:
        return Result(seen, None, found.given, "has no date")
    value = to_canonical(concept, found.value, found.unit)
    if value is None:
        problem = "has no unit" if found.unit is None else "has a unit that does not fit"
        return Result(seen, None, found.given, problem)
    if found.comparator:
        return Result(seen, None, f"{found.comparator}{found.given}", "is only a bound")
    limits = _PLAUSIBLE.get(concept)
    if limits is not None and not base.number(f"{limits}-plausible-low") <= value <= base.number(f"{limits}-plausible-high"):
        return Result(seen, None, found.given, "is not plausible in its unit; verify it")
    canonical = next(unit for (_, name), unit in CANONICAL_UNITS.items() if name == concept)
    shown = found.given if found.unit == canonical else f"{found.given} = {quantity_text(_short(value), canonical)}"
    return Result(seen, value, shown, None)


def _short(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01")) if value != value.quantize(Decimal("0.01")) else value


def newest_value(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """The fact of a laboratory or vital concept."""
    title = base.title_of(key)
    concept = key[1]
    remarks = [*_remarks(base, record, concept, today, zone)]
    rows = results(base, record, concept, today, zone)
    gap = record.gap(key[0])
    if rows:
        first = rows[0]
        if first.problem:
            day = f" of {first.seen.when.text}" if first.seen.when else ""
            shown = f" ({first.shown})" if first.shown else ""
            older = next((r for r in rows[1:] if r.problem is None), None)
            if older is not None:
                remarks.append(f"older result not used: {older.shown}, {older.day}")
            return unknown(key, title, f"the newest result{day}{shown} {first.problem} ({first.seen.name})", tuple(remarks))
        if gap:
            remarks.append(f"{gap}: a newer result may exist")
        return _known(base, key, title, first, today, tuple(remarks))
    if gap:
        return unknown(key, title, gap, tuple(remarks))
    broken = unreadable(base, record, frozenset({concept}))
    if broken:
        return unknown(key, title, f"{', '.join(broken)} could not be read", tuple(remarks))
    return absent(key, title, "no final result in the data supplied", tuple(remarks))


def _known(base: KnowledgeBase, key: FactKey, title: str, row: Result, today: date, remarks: tuple[str, ...]) -> Fact:
    when = row.seen.when
    assert when is not None  # noqa: S101 - _result refuses undated results
    age = age_in_days(when, today, base.day_limits)
    sources = (row.seen.name,)
    return known(key, title, row.shown, day=when.last, sources=sources, remarks=remarks, value=row.value, age=age)


def _remarks(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> list[str]:
    found = []
    for seen in observations(base, record, frozenset({concept}), zone):
        if seen.standing == "pending":
            found.append(f"a result is pending ({seen.name})")
        elif seen.when and seen.when.first > today and seen.standing != "void":
            found.append(f"a result dated in the future was not used ({seen.name})")
        elif seen.standing == "usable" and getattr(seen.holder, "dataAbsentReason", None) is not None:
            found.append(f"a result is recorded as missing ({seen.name})")
    alikes = frozenset(LOOK_ALIKES.get(concept, ())) & base.concepts.keys()
    newest = sorted(
        (s for s in observations(base, record, alikes, zone) if s.standing == "usable"),
        key=lambda s: (s.order(zone), s.name),
        reverse=True,
    )
    for seen in newest[:1]:
        day = f" of {seen.when.text}" if seen.when else ""
        found.append(f"{base.concepts[seen.match.concept].title}{day} is not used for this ({seen.name})")
    return found


def adjusted_calcium(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Fact:
    """Calcium adjusted for albumin, in mmol/L.

    The newest of: a calcium that the laboratory corrected (used as it is), or total calcium with albumin of the same
    specimen or day: total + factor x (reference - albumin in g/L) (knowledge.md 5.2; factor T36). A missing albumin is
    never assumed.
    """
    key = ("lab", "adjusted-calcium")
    title = base.title_of(key)
    corrected = newest_value(base, record, ("lab", "corrected-calcium"), today, zone)
    total = newest_value(base, record, ("lab", "serum-calcium"), today, zone)
    own = _adjust(base, record, total, today, zone) if total.state == "known" else None
    ready = [
        fact
        for fact in (_renamed(corrected, key, title), own)
        if fact is not None and fact.state == "known" and fact.day is not None
    ]
    if ready:
        return max(ready, key=lambda fact: (fact.day or date.min, fact.key == corrected.key))
    for fact in (own, corrected, total):
        if fact is not None and fact.state == "unknown":
            return unknown(key, title, fact.reason)
    if own is not None:
        return own
    return absent(key, title, "no calcium result to adjust in the data supplied")


def _renamed(fact: Fact, key: FactKey, title: str) -> Fact:
    return Fact(key, title, fact.state, fact.attributes, f"{fact.shown} (corrected by the laboratory)", fact.day,
                fact.sources, fact.reason, fact.remarks)  # fmt: skip


def _adjust(base: KnowledgeBase, record: Record, total: Fact, today: date, zone: tzinfo) -> Fact:
    key = ("lab", "adjusted-calcium")
    title = base.title_of(key)
    calcium = next(r for r in results(base, record, "serum-calcium", today, zone) if r.seen.name == total.sources[0])
    same = [r for r in results(base, record, "albumin", today, zone) if _same_sample(calcium.seen, r.seen)]
    usable = [r for r in same if r.problem is None and r.value is not None]
    if not usable or calcium.value is None:
        if same:
            return unknown(key, title, f"albumin of the same day {same[0].problem} ({same[0].seen.name})")
        gap = record.gap("lab")
        if gap:
            return unknown(key, title, f"no albumin of the same day; {gap}")
        return absent(key, title, f"no albumin of the same specimen or day ({total.day})")
    albumin = usable[0]
    assert albumin.value is not None  # noqa: S101 - filtered above
    factor, reference = base.number("albumin-adjustment-factor"), base.number("albumin-reference")
    value = (calcium.value + factor * (reference - albumin.value)).quantize(Decimal("0.0001"))
    shown = f"{_short(value):f} mmol/L (total {calcium.shown}, albumin {albumin.shown})"
    names = tuple(dict.fromkeys((calcium.seen.name, albumin.seen.name)))
    when: Moment | None = calcium.seen.when
    age = age_in_days(when, today, base.day_limits) if when else None
    return known(key, title, shown, day=total.day, sources=names, value=value, age=age)


def _same_sample(a: Seen, b: Seen) -> bool:
    first, second = (getattr(s.observation.specimen, "reference", None) for s in (a, b))
    if first and second and first == second:
        return True
    if a.when is None or b.when is None or a.when.is_partial or b.when.is_partial:
        return False
    return a.when.last == b.when.last


