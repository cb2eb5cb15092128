"""Laboratory results and vital signs: the newest usable value in its canonical unit, and calcium adjusted for albumin.

The newest result decides. If it cannot be used (unit missing, value implausible, status unknown, not readable) the fact
is unknown and says why: an older value must not speak for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, texts
from cds.facts.dates import Moment, age_in_days, order_of
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.observations import Quantity, Seen, observations, quantity, unreadable
from cds.facts.record import Record
from cds.facts.units import to_canonical, unit_of
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS

_PLAUSIBLE = {
    "serum-calcium": "total-calcium",
    "corrected-calcium": "total-calcium",
    "ionised-calcium": "ionised-calcium",
    "albumin": "albumin",
}
LOOK_ALIKES = {
    "serum-calcium": ("whole-blood-calcium", "protein-corrected-calcium"),
    "ionised-calcium": ("calculated-ionised-calcium", "ph-adjusted-ionised-calcium"),
    "vitamin-d-25oh": ("vitamin-d-1-25",),
}
# Codes whose property is already "in 24 hours" may carry the plain mass (rules/sites: unit "mg|mg/d").
_PER_DAY = {"mg": "mg/d", "g": "g/d"}


@dataclass(frozen=True)
class Result:
    """One result: canonical value, or the problem for which it cannot be used. ``seen`` is None if it is unreadable."""

    name: str
    when: Moment | None
    value: Decimal | None
    shown: str
    problem: str | None
    seen: Seen | None = None

    def order(self, zone: tzinfo) -> datetime:
        return order_of(self.when, zone)

    @property
    def trouble(self) -> str:
        """The problem with the result's day, value and name, as a reason."""
        day = f" of {self.when.text}" if self.when else ""
        shown = f" ({self.shown})" if self.shown else ""
        return f"the newest result{day}{shown} {self.problem} ({self.name})"


def results(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> list[Result]:
    """All results of a concept that exist (not void, pending, future-dated or recorded as missing), newest first."""
    rows = [
        _result(base, seen, concept)
        for seen in observations(base, record, frozenset({concept}), zone)
        if seen.standing not in ("void", "pending")
        and _is_past(seen.when, today)
        and not (seen.is_missing and quantity(seen.holder) is None)
    ]
    broken = unreadable(base, record, frozenset({concept}), zone)
    rows += [Result(b.name, b.when, None, "", "could not be read") for b in broken if _is_past(b.when, today)]
    return sorted(rows, key=lambda r: (r.order(zone), r.problem is None, r.name), reverse=True)


def _is_past(when: Moment | None, today: date) -> bool:
    return when is None or when.first <= today


def _result(base: KnowledgeBase, seen: Seen, concept: str) -> Result:
    found = quantity(seen.holder)
    if found is None:
        return Result(seen.name, seen.when, None, "", "has no number", seen)
    unit = _unit(seen, found)
    value = to_canonical(concept, found.value, unit)
    problem = _problem(base, seen, concept, found, value)
    if problem is not None or value is None:
        return Result(seen.name, seen.when, None, f"{found.comparator or ''}{found.given}", problem, seen)
    canonical = next(text for (_, name), text in CANONICAL_UNITS.items() if name == concept)
    shown = found.given if unit == canonical else f"{found.given} = {quantity_text(value, canonical)}"
    return Result(seen.name, seen.when, value, shown, None, seen)


def _unit(seen: Seen, found: Quantity) -> str | None:
    code = seen.match.code
    usual = (code.unit or "").split("|") if code is not None else []
    return _PER_DAY[found.unit] if found.unit in _PER_DAY and found.unit in usual and "mg/d" in usual else found.unit


def _problem(base: KnowledgeBase, seen: Seen, concept: str, found: Quantity, value: Decimal | None) -> str | None:
    """Why a number cannot be used; None when it can."""
    if seen.standing == "unusable":
        return "has a status that is not final"
    if seen.is_missing:
        return "is recorded as missing and yet has a value"
    if seen.when is None:
        return "has no date"
    if value is None:
        return "has no usable unit" if found.unit is None else "has a unit that does not fit"
    if found.comparator:
        return "is only a bound"
    low, high = _limits(base, concept)
    if value < low or (high is not None and value > high):
        return "is not plausible in its unit; verify it"
    return None


def _limits(base: KnowledgeBase, concept: str) -> tuple[Decimal, Decimal | None]:
    name = _PLAUSIBLE.get(concept)
    return (base.number(f"{name}-plausible-low"), base.number(f"{name}-plausible-high")) if name else (Decimal(0), None)


def newest_value(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """The fact of a laboratory or vital concept."""
    title = base.title_of(key)
    rows = results(base, record, key[1], today, zone)
    remarks = list(_remarks(base, record, key[1], today, zone))
    gap = record.gap(key[0])
    if not rows:
        if gap:
            return unknown(key, title, gap, tuple(remarks))
        return absent(key, title, "no final result in the data supplied", tuple(remarks))
    first = rows[0]
    if first.problem is not None:
        older = next((r for r in rows[1:] if r.problem is None and r.when is not None), None)
        if older is not None and older.when is not None:
            remarks.append(f"the older result of {older.when.text} does not speak for it ({older.name})")
        return unknown(key, title, first.trouble, tuple(remarks))
    if gap:
        remarks.append(f"{gap}: a newer result may exist")
    return _known(base, key, title, first, today, tuple(remarks))


def _known(base: KnowledgeBase, key: FactKey, title: str, row: Result, today: date, remarks: tuple[str, ...]) -> Fact:
    when = row.when
    partial = f" ({when.text})" if when is not None and when.is_partial else ""
    return known(
        key,
        title,
        row.shown + partial,
        day=when.day if when else None,
        sources=(row.name,),
        remarks=remarks,
        value=row.value,
        age=age_in_days(when, today, base.day_limits),
        above_range=_above_range(base, row, key[1]),
        pregnancy_range=_pregnancy_range(base, row, key[1]),
    )


Range = tuple[Decimal | None, Decimal | None]


def _own_ranges(base: KnowledgeBase, row: Result, concept: str) -> tuple[list[Range], list[Range]]:
    """The result's own reference ranges in the canonical unit: those marked for pregnancy, those marked for nobody."""
    marked: list[Range] = []
    plain: list[Range] = []
    own = quantity(row.seen.holder) if row.seen else None
    for found in getattr(row.seen.holder, "referenceRange", None) or () if row.seen else ():
        whom = found.appliesTo or ()
        spoken = (*(text for who in whom for text in texts(who)), found.text or "")
        coded = {match.concept for who in whom for match in by_code(base, who)}
        low, high = (_limit(limit, own.unit if own else None, concept) for limit in (found.low, found.high))
        if coded & {"pregnant-value", "pregnancy"} or any("pregnan" in text.lower() for text in spoken):
            marked.append((low, high))
        elif not whom:
            plain.append((low, high))
    return marked, plain


def _above_range(base: KnowledgeBase, row: Result, concept: str) -> bool | None:
    """Whether the value is above the laboratory's upper limit, that for pregnancy first; None without a limit."""
    marked, plain = _own_ranges(base, row, concept)
    upper = next((high for _, high in marked or plain if high is not None), None)
    return row.value > upper if upper is not None and row.value is not None else None


def _pregnancy_range(base: KnowledgeBase, row: Result, concept: str) -> str | None:
    """below, inside or above a range that is marked for pregnancy; None where there is none."""
    low, high = next(iter(_own_ranges(base, row, concept)[0]), (None, None))
    if row.value is None or (low is None and high is None):
        return None
    if low is not None and row.value < low:
        return "below"
    if high is not None and row.value > high:
        return "above"
    return "inside" if low is not None and high is not None else None


def _limit(limit: Any, unit: str | None, concept: str) -> Decimal | None:
    """A range limit in the canonical unit; without a unit of its own it is in that of the result."""
    if limit is None or limit.value is None:
        return None
    named = limit.system or limit.code or limit.unit
    return to_canonical(concept, Decimal(limit.value), unit_of(limit.system, limit.code, limit.unit) if named else unit)


def _remarks(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> Iterator[str]:
    """What exists beside the results that count."""
    for seen in observations(base, record, frozenset({concept}), zone):
        if seen.standing == "pending":
            yield f"a result is pending ({seen.name})"
        elif seen.standing != "void" and not _is_past(seen.when, today):
            yield f"a result dated in the future was not used ({seen.name})"
        elif seen.standing == "usable" and seen.is_missing:
            yield f"a result is recorded as missing ({seen.name})"
    alikes = frozenset(LOOK_ALIKES.get(concept, ())) & base.concepts.keys()
    found = [s for s in observations(base, record, alikes, zone) if s.standing == "usable"]
    if found:
        seen = max(found, key=lambda s: (s.order(zone), s.name))
        day = f" of {seen.when.text}" if seen.when else ""
        yield f"{base.concepts[seen.match.concept].title}{day} is not used for this ({seen.name})"


# -- calcium adjusted for albumin -------------------------------------------------------------------------------------


def adjusted_calcium(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Fact:
    """Calcium adjusted for albumin, in mmol/L.

    The newest day with a calcium decides: a calcium that the laboratory corrected is used as it is; else total calcium
    with albumin of the same specimen or day: total + factor x (reference - albumin in g/L) (knowledge.md 5.2; factor
    T36). A missing albumin is never assumed, and an older sample never speaks for a newer one: it could hide a high
    calcium.
    """
    key = ("lab", "adjusted-calcium")
    title = base.title_of(key)
    corrected = results(base, record, "corrected-calcium", today, zone)
    totals = results(base, record, "serum-calcium", today, zone)
    gap = record.gap("lab")
    beside = [r for name in ("corrected-calcium", "serum-calcium") for r in _remarks(base, record, name, today, zone)]
    remarks = (*([f"{gap}: a newer result may exist"] if gap else ()), *dict.fromkeys(beside))
    if corrected and (not totals or _last(corrected[0]) >= _last(totals[0])):
        first = corrected[0]
        if first.problem is not None:
            return unknown(key, title, first.trouble, remarks)
        fact = _known(base, key, title, first, today, remarks)
        return replace(fact, shown=f"{fact.shown} (corrected by the laboratory)")
    if totals:
        if totals[0].problem is not None:
            return unknown(key, title, totals[0].trouble, remarks)
        albumins = results(base, record, "albumin", today, zone)
        return _adjust(base, key, totals[0], albumins, today, zone, gap, remarks)
    if gap:
        return unknown(key, title, gap, remarks[1:])
    return absent(key, title, "no calcium result to adjust in the data supplied", remarks)


def _last(row: Result) -> date:
    return row.when.last if row.when else date.min


def _adjust(
    base: KnowledgeBase,
    key: FactKey,
    total: Result,
    albumins: list[Result],
    today: date,
    zone: tzinfo,
    gap: str,
    remarks: tuple[str, ...],
) -> Fact:
    title = base.title_of(key)
    day = total.when.text if total.when else ""
    near = [r for r in albumins if _same_sample(total, r)]
    usable = [(r, r.value) for r in near if r.value is not None]
    if not usable or total.value is None:
        if near:
            return unknown(key, title, f"albumin of the same day {near[0].problem} ({near[0].name})", remarks)
        if gap:
            return unknown(key, title, f"no albumin of the same day; {gap}", remarks)
        return absent(key, title, f"no albumin of the same specimen or day as the calcium of {day}", remarks)
    # The same specimen first, then the sample taken closest in time.
    albumin, grams = min(usable, key=lambda row: _distance(total, row[0], zone))
    factor, reference = base.number("albumin-adjustment-factor"), base.number("albumin-reference")
    # Two decimals, as laboratories report: the card shows the number that was compared.
    value = (total.value + factor * (reference - grams)).quantize(Decimal("0.01"))
    return known(
        key,
        title,
        f"{value} mmol/L (total {total.shown}, albumin {albumin.shown})",
        day=total.when.day if total.when else None,
        sources=tuple(dict.fromkeys((total.name, albumin.name))),
        remarks=remarks,
        value=value,
        age=age_in_days(total.when, today, base.day_limits),
    )


def _distance(total: Result, albumin: Result, zone: tzinfo) -> tuple[bool, timedelta, str]:
    apart = abs(albumin.order(zone) - total.order(zone))
    return (not _same_specimen(total, albumin), apart, albumin.name)


def _same_specimen(a: Result, b: Result) -> bool:
    first, second = (r.seen.observation.specimen if r.seen else None for r in (a, b))
    reference = getattr(first, "reference", None)
    return reference is not None and reference == getattr(second, "reference", None)


def _same_sample(a: Result, b: Result) -> bool:
    if _same_specimen(a, b):
        return True
    days = [r.when.day if r.when else None for r in (a, b)]
    return days[0] is not None and days[0] == days[1]


def unadjusted_calcium(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Fact:
    """The newest total calcium, in mmol/L, when nothing better speaks for its day.

    Known only if neither an adjusted nor an ionised calcium is of the same day or later: an old normal value must not
    silence a newer total. Withheld albumin or ionised calcium leaves it standing.
    """
    key = ("lab", "unadjusted-calcium")
    title = base.title_of(key)
    total = replace(newest_value(base, record, ("lab", "serum-calcium"), today, zone), key=key, title=title)
    ionised = newest_value(base, record, ("lab", "ionised-calcium"), today, zone)
    for better in (adjusted_calcium(base, record, today, zone), ionised):
        if better.day is not None and total.day is not None and better.day >= total.day:
            return absent(key, title, f"{better.title} of {better.day} speaks for it", total.remarks)
    return total
