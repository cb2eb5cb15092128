"""Laboratory results and vital signs: the newest usable value in its canonical unit, and calcium adjusted for albumin.

The newest result decides. If it cannot be used (unit missing, value implausible, status unknown, not readable) the fact
is unknown and says why: an older value must not speak for it.

A bound ("<1.0 mmol/L") has no value, only a lowest and a highest that it may be. It counts where it proves that the
result is low or high; where it proves neither, the fact is unknown as if there were no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, codings, texts
from cds.facts.dates import Moment, age_in_days, ages_in_days, order_of
from cds.facts.model import Fact, Value, absent, known, unknown
from cds.facts.observations import (
    Quantity,
    Seen,
    effective,
    glance,
    observations,
    quantity,
    standing,
    unreadable,
)
from cds.facts.record import Record
from cds.facts.units import to_canonical, unit_of
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS

_PLAUSIBLE = {
    "serum-calcium": "total-calcium",
    "corrected-calcium": "total-calcium",
    "ionised-calcium": "ionised-calcium",
    "albumin": "albumin",
    "creatinine": "creatinine",
    "magnesium": "magnesium",
}
# Concept -> the lowest limit below which a rule may call it low.
_LOWEST_NORMAL = {
    "serum-calcium": "total-calcium-low-early",
    "corrected-calcium": "adjusted-calcium-low",
    "ionised-calcium": "ionised-calcium-low-early",
}
LOOK_ALIKES = {
    "serum-calcium": ("whole-blood-calcium", "protein-corrected-calcium"),
    "ionised-calcium": ("calculated-ionised-calcium", "ph-adjusted-ionised-calcium"),
    "vitamin-d-25oh": ("vitamin-d-1-25",),
    "albumin": ("molar-albumin",),
    "magnesium": ("ionised-magnesium",),
    "creatinine": ("estimated-glomerular-filtration-rate",),
    "ferritin": ("molar-ferritin",),
}
# Concept -> what a bound must lie below to prove a low result, and above to prove a high one: limits that rules act on.
# A bound within them proves nothing and must not pass for a measured normal value.
ALARMS: dict[str, tuple[str | None, str | None]] = {
    "serum-calcium": ("total-calcium-severely-low", "unadjusted-calcium-high"),
    "corrected-calcium": ("adjusted-calcium-low", "adjusted-calcium-high"),
    "ionised-calcium": ("ionised-calcium-low", "ionised-calcium-high"),
    "magnesium": ("magnesium-low", None),
    "vitamin-d-25oh": ("vitamin-d-low", "vitamin-d-high"),
    "vitamin-d3-25oh": ("vitamin-d-low", "vitamin-d-high"),
    "creatinine": (None, "creatinine-high"),
    "ferritin": ("ferritin-restless-legs", None),
}
_MARKS = re.compile(r"[^a-z0-9+]+")
_BOUND = "is only a bound"
# The finest step of the engine's numbers: "<1.0" is at most this much below 1.0, so no limit lies between.
_STEP = Decimal("0.000001")
# Codes whose property is already "in 24 hours" may carry the plain mass (rules/sites: unit "mg|mg/d").
_PER_DAY = {"mg": "mg/d", "g": "g/d"}


@dataclass(frozen=True)
class Result:
    """One result in its canonical unit, or the problem for which it cannot be used.

    ``low`` and ``high`` are the least and the most that it may be: both the value itself, or the two sides of a bound,
    of which None is open. ``seen`` is None if the result is unreadable.
    """

    name: str
    when: Moment | None
    value: Decimal | None
    shown: str
    problem: str | None
    seen: Seen | None = None
    low: Decimal | None = None
    high: Decimal | None = None

    def is_below(self, limit: Decimal) -> bool | None:
        """Whether the result is below ``limit``; None when its bound leaves that open."""
        if self.high is not None and self.high < limit:
            return True
        return False if self.low is not None and self.low >= limit else None

    def is_above(self, limit: Decimal) -> bool | None:
        """Whether the result is above ``limit``; None when its bound leaves that open."""
        if self.low is not None and self.low > limit:
            return True
        return False if self.high is not None and self.high <= limit else None

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
        _result(base, seen, concept, today)
        for seen in observations(base, record, frozenset({concept}), zone)
        if seen.standing not in ("void", "pending")
        and _is_past(seen.when, today)
        and not (seen.is_missing and quantity(seen.holder) is None)
    ]
    broken = unreadable(base, record, frozenset({concept}), zone)
    rows += [Result(b.name, b.when, None, "", "could not be read") for b in broken if _is_past(b.when, today)]
    rows = rows or list(_named_in_words(base, record, concept, today, zone))
    # Of two results of one time the more alarming one counts: which of them is wrong is not ours to guess.
    return sorted(
        rows, key=lambda r: (r.order(zone), r.problem is None, _alarm(base, concept, r), r.name), reverse=True
    )


def _named_in_words(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> Iterator[Result]:
    """Results without any known code whose name is one of the concept's: never read, but there, and to be verified."""
    words = frozenset((*base.concepts[concept].text, *base.concepts[concept].exact))
    for resource in record.of("Observation") if words else ():
        seen = glance(base, resource)
        if seen.asked or words.isdisjoint(_bare(text) for text in texts(resource.raw.get("code"))):
            continue
        model = resource.read.model
        if model is None or standing(model.status) != "usable":
            continue
        found, when = quantity(model), effective(model, zone)
        if found is not None and to_canonical(concept, found.value, found.unit) is not None and _is_past(when, today):
            yield Result(resource.name, when, None, found.given, "is named in words only, without a code")


def _bare(text: str) -> str:
    """A name in lower case without marks: "Calcium, Serum" is "calcium serum"."""
    return " ".join(_MARKS.sub(" ", text.lower()).split())


def _alarm(base: KnowledgeBase, concept: str, row: Result) -> Decimal:
    """How far the result lies beyond the nearer limit that rules act on; negative within the limits."""
    under, over = (base.thresholds.get(name) if name else None for name in ALARMS.get(concept, (None, None)))
    far = [row.low - over.value] if over is not None and row.low is not None else []
    far += [under.value - row.high] if under is not None and row.high is not None else []
    return max(far, default=Decimal(0))


def _is_past(when: Moment | None, today: date) -> bool:
    return when is None or when.first <= today


def _result(base: KnowledgeBase, seen: Seen, concept: str, today: date) -> Result:
    found = quantity(seen.holder)
    if found is None:
        return Result(seen.name, seen.when, None, "", "has no number", seen)
    unit = _unit(seen, found)
    value = to_canonical(concept, found.value, unit)
    low, high = _ends(found.comparator, value)
    problem = _problem(base, seen, concept, found, value) or _open_age(base, seen.when, concept, high, today)
    shown = f"{found.comparator or ''}{found.given}"
    if problem is not None or value is None:
        return Result(seen.name, seen.when, None, shown, problem, seen, low, high)
    canonical = next(text for (_, name), text in CANONICAL_UNITS.items() if name == concept)
    if unit != canonical:
        shown = f"{shown} = {found.comparator or ''}{quantity_text(value, canonical)}"
    return Result(seen.name, seen.when, None if found.comparator else value, shown, None, seen, low, high)


def _ends(comparator: str | None, value: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """The least and the most that a result may be; concentrations have no negative values."""
    if value is None or comparator is None:
        return value, value
    ends = {
        "<": (Decimal(0), value - _STEP),
        "<=": (Decimal(0), value),
        ">": (value + _STEP, None),
        ">=": (value, None),
    }
    return ends.get(comparator, (None, None))


def _decides(base: KnowledgeBase, concept: str, low: Decimal | None, high: Decimal | None) -> bool:
    """Whether a bound proves that the result is low or high."""
    under, over = (base.thresholds.get(name) if name else None for name in ALARMS.get(concept, (None, None)))
    return bool(
        (under is not None and high is not None and high < under.value)
        or (over is not None and low is not None and low > over.value)
    )


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
    low, high = _limits(base, concept)
    if value < low or (high is not None and value > high):
        return "is not plausible in its unit; verify it"
    if found.comparator and not _decides(base, concept, *_ends(found.comparator, value)):
        return _BOUND
    return None


def _open_age(base: KnowledgeBase, when: Moment | None, concept: str, high: Decimal | None, today: date) -> str | None:
    """Whether a partial date leaves open that a calcium counts: it is then verified, never passed over in silence.

    A low one counts for a shorter time than one in range or a high one.
    """
    if when is None or not when.is_partial or concept not in _LOWEST_NORMAL:
        return None
    is_low = high is not None and high < base.number(_LOWEST_NORMAL[concept])
    windows = ("calcium-recency", *(["calcium-abnormal-window"] if is_low else []))
    unclear = age_in_days(when, today, [base.number(name) for name in windows]) is None
    return "has a date that leaves its age open" if unclear else None


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
    is_bound = row.value is None
    fact = known(
        key,
        title,
        row.shown + partial,
        day=when.day if when else None,
        sources=(row.name,),
        remarks=(*remarks, *([f"the result is a bound, not a value ({row.name})"] if is_bound else [])),
        value=row.value,
        value_low=row.low if is_bound else None,
        value_high=row.high if is_bound else None,
    )
    if key[0] != "lab":
        age = age_in_days(when, today, base.day_limits)
        return fact if age is None else replace(fact, attributes={**fact.attributes, "age": age})
    ranges = _against_ranges(base, row, key[1])
    return replace(fact, attributes={**fact.attributes, **ages_in_days(when, today), **ranges})


Range = tuple[Decimal | None, Decimal | None]
_NO_RANGE: dict[str, Value] = {
    "above_range": False, "below_range": False, "upper_limit": False, "lower_limit": False, "pregnancy_range": "none",
}  # fmt: skip


def _own_ranges(base: KnowledgeBase, row: Result, concept: str) -> tuple[list[Range], list[Range]]:
    """The result's own reference ranges in the canonical unit: those marked for pregnancy, those marked for nobody.

    A range of another meaning than "normal" (therapeutic, critical, a phase of the cycle) is none.
    """
    marked: list[Range] = []
    plain: list[Range] = []
    own = quantity(row.seen.holder) if row.seen else None
    for found in getattr(row.seen.holder, "referenceRange", None) or () if row.seen else ():
        meanings = [code for _, code, _ in codings(found.type)]
        if meanings and "normal" not in meanings:
            continue
        whom = found.appliesTo or ()
        spoken = (*(text for who in whom for text in texts(who)), found.text or "")
        coded = {match.concept for who in whom for match in by_code(base, who)}
        low, high = (_limit(limit, own.unit if own else None, concept) for limit in (found.low, found.high))
        if coded & {"pregnant-value", "pregnancy"} or any("pregnan" in text.lower() for text in spoken):
            marked.append((low, high))
        elif not whom:
            plain.append((low, high))
    return marked, plain


def _against_ranges(base: KnowledgeBase, row: Result, concept: str) -> dict[str, Value]:
    """How the result lies against the laboratory's own limits, those for pregnancy first.

    ``upper_limit`` and ``lower_limit`` say whether there is one that decides: several ranges that disagree about this
    result (one for each trimester) decide nothing, and so does a bound across a limit; the table then speaks.
    ``pregnancy_range`` is "none" where no range for pregnancy decides.
    """
    marked, plain = _own_ranges(base, row, concept)
    found = dict(_NO_RANGE)
    lows, highs = (
        [r[end] for r in marked] if any(r[end] for r in marked) else [r[end] for r in plain] for end in (0, 1)
    )
    below = {row.is_below(limit) for limit in lows if limit is not None}
    above = {row.is_above(limit) for limit in highs if limit is not None}
    if below in ({True}, {False}):
        found.update(lower_limit=True, below_range=True in below)
    if above in ({True}, {False}):
        found.update(upper_limit=True, above_range=True in above)
    places_in = {_place(row, low, high) for low, high in marked if low is not None or high is not None}
    if len(places_in) == 1:
        found["pregnancy_range"] = places_in.pop() or "none"
    return found


def _place(row: Result, low: Decimal | None, high: Decimal | None) -> str | None:
    """below, inside or above a range, of which one side may be open; None when a bound leaves that open."""
    sides = (row.is_below(low) if low is not None else False, row.is_above(high) if high is not None else False)
    if True in sides:
        return "below" if sides[0] else "above"
    return None if None in sides else "inside"


def _limit(limit: Any, unit: str | None, concept: str) -> Decimal | None:
    """A range limit in the canonical unit; without a unit of its own it is in that of the result."""
    if limit is None or limit.value is None:
        return None
    named = limit.system or limit.code or limit.unit
    return to_canonical(concept, Decimal(limit.value), unit_of(limit.system, limit.code, limit.unit) if named else unit)


def _remarks(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> Iterator[str]:
    """What exists beside the results that count."""
    for seen in observations(base, record, frozenset({concept}), zone, about_another=True):
        if seen.standing != "void":
            yield f"a result is about another person ({seen.name})"
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


# -- body mass index before the pregnancy -----------------------------------------------------------------------------


def body_mass_index_before(
    base: KnowledgeBase, record: Record, gestational_age: Fact, today: date, zone: tzinfo
) -> Fact:
    """The newest body mass index of a day before this pregnancy, in kg/m2.

    Only what is dated before the first day of gestation counts: later weights include the pregnancy. It needs the
    gestational age; a weight or height alone is not read.
    """
    key: FactKey = ("vital", "body-mass-index-before-pregnancy")
    title = base.title_of(key)
    days = gestational_age.attributes.get("value")
    if not isinstance(days, Decimal):
        return unknown(key, title, "gestational age is not known, so no value can be placed before the pregnancy")
    start = today - timedelta(days=int(days))
    rows = results(base, record, "body-mass-index", today, zone)
    earlier = [row for row in rows if row.when is not None and row.when.last < start]
    if earlier:
        first = earlier[0]
        if first.problem is not None:
            return unknown(key, title, first.trouble)
        return _known(base, key, title, first, today, ())
    gap = record.gap("vital")
    reason = "no body mass index dated before the pregnancy in the data supplied"
    return unknown(key, title, gap) if gap else absent(key, title, reason)


# -- 25-OH vitamin D --------------------------------------------------------------------------------------------------


def vitamin_d(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Fact:
    """25-OH vitamin D, D2 and D3 together, in nmol/L.

    The newest day decides, and on it a total that the laboratory reports. Else D3 and D2 of the same specimen or day
    are converted, each with its own factor (knowledge.md 5.1), and added. A part below what the assay can measure
    ("<4 ng/mL") counts as none, and the fact says so. One part alone is only a bound: the other is not known.
    """
    key: FactKey = ("lab", "vitamin-d-25oh")
    totals = results(base, record, key[1], today, zone)
    parts = {name: results(base, record, f"vitamin-{name}-25oh", today, zone) for name in ("d3", "d2")}
    newest = max((rows[0] for rows in parts.values() if rows), key=lambda r: (r.order(zone), r.name), default=None)
    if newest is None or (totals and _last(totals[0]) >= _last(newest)):
        return newest_value(base, record, key, today, zone)
    title, gap = base.title_of(key), record.gap("lab")
    near = {
        name: next((r for r in rows if r is newest or _same_sample(newest, r)), None) for name, rows in parts.items()
    }
    found = {name: row for name, row in near.items() if row is not None}
    remarks = [f"{gap}: a newer result may exist"] if gap else []
    for row in found.values():
        if row.problem not in (None, _BOUND):
            return unknown(key, title, row.trouble, tuple(remarks))
    shown = ", ".join(f"{name.upper()} {row.shown}" for name, row in found.items())
    row = _sum(newest, found)
    undetected = [name.upper() for name, part in found.items() if part.value is None and row.value is not None]
    remarks += [f"{name} is below what was measurable and was counted as none" for name in undetected]
    remarks += [f"{name.upper()} of the same day was not reported" for name, part in near.items() if part is None]
    if row.value is None and not _decides(base, key[1], row.low, row.high):
        reason = f"{shown} of {newest.when.text if newest.when else 'no day'} {_BOUND} of the total ({newest.name})"
        return unknown(key, title, reason, tuple(remarks))
    spoken = shown if row.value is None else f"{quantity_text(row.value, 'nmol/L')} ({shown})"
    fact = _known(base, key, title, replace(row, shown=spoken), today, tuple(remarks))
    sources = tuple(dict.fromkeys(part.name for part in found.values()))
    return replace(fact, sources=sources, brief=_in_short(row))


def _in_short(row: Result) -> str:
    """The total as a summary says it; the parts stand in the detail."""
    if row.value is not None:
        return quantity_text(row.value, "nmol/L")
    if row.high is not None:
        return f"<{quantity_text(row.high.quantize(Decimal(1)), 'nmol/L')}"
    return f">{quantity_text((row.low or Decimal(0)).quantize(Decimal(1)), 'nmol/L')}"


def _sum(newest: Result, found: dict[str, Result]) -> Result:
    """The total of D3 and D2: exact where both parts are, or one is and the other cannot be measured."""
    rows = list(found.values())
    whole = Decimal(1)
    low = sum((row.low or Decimal(0) for row in rows), Decimal(0))
    highs = [row.high for row in rows]
    is_open = len(rows) == 1 or None in highs
    exact = [row.value for row in rows if row.value is not None]
    if len(rows) == 2 and exact and all(row.value is not None or row.low == 0 for row in rows):
        value = sum(exact, Decimal(0)).quantize(whole)
        return replace(newest, problem=None, seen=None, value=value, low=value, high=value)
    high = None if is_open else sum((h for h in highs if h is not None), Decimal(0))
    return replace(newest, problem=None, seen=None, value=None, low=low, high=high)


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
    if total.value is None:
        return unknown(key, title, f"total calcium {_BOUND}, which adjusts to nothing ({total.name})", remarks)
    day = total.when.text if total.when else ""
    near = [r for r in albumins if _same_sample(total, r)]
    usable = [(r, r.value) for r in near if r.value is not None]
    if not usable:
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
    fact = known(
        key,
        title,
        f"{value} mmol/L (total {total.shown}, albumin {albumin.shown})",
        day=total.when.day if total.when else None,
        sources=tuple(dict.fromkeys((total.name, albumin.name))),
        remarks=remarks,
        value=value,
    )
    return replace(fact, attributes={**fact.attributes, **ages_in_days(total.when, today), **_NO_RANGE})


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
