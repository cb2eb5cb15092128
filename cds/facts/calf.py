"""The difference between the two calf circumferences, measured on one day (LEFt rule: part of what a clinician weighs).

Either somebody recorded the difference, or both circumferences were recorded with their sides. No code was verified for
them: a site maps its own, and the names of the value set count where a number with a unit stands beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, names, site_of, texts
from cds.facts.dates import Moment, age_in_days, order_of
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.observations import effective, glance, quantity, standing
from cds.facts.record import Record, Resource
from cds.facts.units import to_canonical
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text

_ONE, _DIFFERENCE = "calf-circumference", "calf-circumference-difference"
_KEY: FactKey = ("vital", _DIFFERENCE)


@dataclass(frozen=True)
class Measure:
    """One number: a circumference of one side, or (side None) a difference; in cm, None where it cannot be used."""

    resource: Resource
    side: str | None
    value: Decimal | None
    when: Moment | None
    given: str


def calf_difference(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Fact:
    """Difference between the calves in cm, of the newest day that has one.

    A newest measurement that cannot be used (no unit, one side only) leaves it unknown: an older one must not speak
    for it.
    """
    title = base.title_of(_KEY)
    rows = [m for m in _measures(base, record, zone) if m.when is None or m.when.first <= today]
    gap = record.gap("vital")
    if not rows:
        return unknown(_KEY, title, gap) if gap else absent(_KEY, title, "no calf was measured in the data supplied")
    newest = max(rows, key=lambda m: order_of(m.when, zone)).when
    if newest is None:
        return unknown(_KEY, title, f"a measurement has no date ({rows[0].resource.name})")
    of_the_day = [m for m in rows if m.when is not None and m.when.last == newest.last]
    difference, shown, side = _of_one_day(of_the_day)
    sources = tuple(dict.fromkeys(m.resource.name for m in of_the_day))
    if difference is None:
        return unknown(_KEY, title, f"the newest measurement of {newest.text} {shown} ({', '.join(sources)})")
    return known(
        _KEY,
        title,
        shown + (f" ({newest.text})" if newest.is_partial else ""),
        day=newest.day,
        sources=sources,
        remarks=(f"{gap}: a newer measurement may exist",) if gap else (),
        value=difference,
        age=age_in_days(newest, today, base.day_limits),
        side=side,
    )


def _of_one_day(rows: list[Measure]) -> tuple[Decimal | None, str, str | None]:
    """The difference that one day's numbers give, how the card says it, and the larger side where that is known.

    None and the reason where there is no difference.
    """
    said = [m.value for m in rows if m.side is None and m.value is not None]
    legs = {
        side: [m.value for m in rows if m.side == side and m.value is not None and m.value > 0]
        for side in ("left", "right")
    }
    if said:
        return abs(max(said, key=abs)), quantity_text(abs(max(said, key=abs)), "cm"), None
    # Measured twice on one side: the last word is not known, so nothing is computed from a mixture.
    if all(len(set(values)) == 1 for values in legs.values()):
        left, right = legs["left"][0], legs["right"][0]
        difference = abs(left - right)
        shown = (
            f"{quantity_text(difference, 'cm')} (left {quantity_text(left, 'cm')}, right {quantity_text(right, 'cm')})"
        )
        return difference, shown, "left" if left > right else "right"
    if any(m.value is None for m in rows):
        return None, "has no usable number and unit", None
    return None, "does not give one number for each leg", None


def _measures(base: KnowledgeBase, record: Record, zone: tzinfo) -> Iterator[Measure]:
    for resource in record.of("Observation"):
        if standing(resource.raw.get("status")) != "usable" or not _may_be(base, resource):
            continue
        model = resource.read.model
        if model is None:
            continue
        when = effective(model, zone)
        whole = _concept(base, model.code)
        for holder in (model, *(model.component or ())):
            own = _concept(base, holder.code) or (whole if holder is not model else None)
            found = quantity(holder)
            if own is None or (found is None and (holder is not model or model.component)):
                continue
            value = to_canonical(own, found.value, found.unit) if found is not None and not found.comparator else None
            given = found.given if found is not None else ""
            if own == _DIFFERENCE:
                yield Measure(resource, None, value, when, given)
                continue
            code = next((m.code for m in by_code(base, holder.code) if m.concept == _ONE), None)
            site: tuple[Any, ...] = (model.bodySite,) if model.bodySite is not None else ()
            side = site_of(base, site if holder is model else (), (*texts(holder.code),), code).side
            yield Measure(resource, side, value, when, given)


def _may_be(base: KnowledgeBase, resource: Resource) -> bool:
    """Cheap look before anything is validated."""
    seen = glance(base, resource)
    phrases = (*base.concepts[_ONE].text, *base.concepts[_DIFFERENCE].text)
    return not seen.asked.isdisjoint({_ONE, _DIFFERENCE}) or any(names(text, phrases) for text in seen.spoken)


def _concept(base: KnowledgeBase, code: Any) -> str | None:
    """Which of the two a code means: by code, else by name (the longer name first)."""
    coded = {m.concept for m in by_code(base, code)}
    if coded:
        return next((name for name in (_DIFFERENCE, _ONE) if name in coded), None)
    return next(
        (name for name in (_DIFFERENCE, _ONE) if any(names(t, base.concepts[name].text) for t in texts(code))), None
    )
