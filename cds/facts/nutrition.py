"""Diet, sunlight and total calcium intake: what was asked and answered, never what silence might mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal

from cds.facts.coding import by_code, by_text, texts
from cds.facts.dates import age_in_days
from cds.facts.laboratory import results
from cds.facts.model import Fact, known, unknown
from cds.facts.observations import Seen, observations
from cds.facts.record import Record
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text

_LEVELS = ("low", "moderate", "high")


def diet_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """Daily intake from food. A number without a unit is no intake."""
    title = base.title_of(key)
    rows = results(base, record, key[1], today, zone)
    if not rows:
        return unknown(key, title, record.gap("diet") or "not recorded")
    first = rows[0]
    when = first.seen.when
    if first.problem or first.value is None or when is None:
        given = f" ({first.shown})" if first.shown else ""
        return unknown(key, title, f"the newest record{given} {first.problem} ({first.seen.name})")
    age = age_in_days(when, today, base.day_limits)
    shown = quantity_text(first.value, "mg/d")
    return known(key, title, shown, day=when.last, sources=(first.seen.name,), value=first.value, age=age)


@dataclass(frozen=True)
class _Answer:
    seen: Seen
    level: str


def exposure_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """An exposure in steps (low, moderate, high), from a coded answer or its text."""
    title = base.title_of(key)
    rows = sorted(_answers(base, record, key[1], today, zone), key=lambda a: (a.seen.order(zone), a.seen.name), reverse=True)
    if not rows:
        return unknown(key, title, record.gap("exposure") or "not recorded")
    best = rows[0]
    when = best.seen.when
    age = age_in_days(when, today, base.day_limits) if when else None
    day = when.last if when else None
    return known(key, title, best.level, day=day, sources=(best.seen.name,), level=best.level, age=age)


def _answers(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> Iterator[_Answer]:
    levels = {f"{concept}-{word}": word for word in _LEVELS}
    known_levels = [base.concepts[name] for name in levels if name in base.concepts]
    for seen in observations(base, record, frozenset({concept}), zone):
        if seen.standing != "usable" or (seen.when and seen.when.first > today):
            continue
        value = seen.holder.valueCodeableConcept
        spoken = [*texts(value), *([seen.holder.valueString] if seen.holder.valueString else [])]
        named = {m.concept for m in by_code(base, value)} & levels.keys() if value is not None else set()
        if not named:
            named = {m.concept for m in by_text(known_levels, spoken)}
            named |= {f"{concept}-{t.strip().lower()}" for t in spoken} & levels.keys()
        if len(named) == 1:
            yield _Answer(seen, levels[named.pop()])


def intake_fact(base: KnowledgeBase, diet: Fact, medicines: tuple[Fact, ...], key: FactKey) -> Fact:
    """Total daily calcium: food plus recorded supplements and antacids, in elemental mg/d.

    Known only when food is known and every medicine with calcium is known or known to be absent: a part that is missing
    would make the total look smaller than it is.
    """
    title = base.title_of(key)
    if diet.state != "known":
        return unknown(key, title, diet.reason)
    total = Decimal(str(diet.attributes["value"]))
    words, sources = [f"food {diet.shown}"], [*diet.sources]
    for fact in medicines:
        if fact.state == "unknown":
            return unknown(key, title, fact.reason)
        if fact.state == "absent":
            continue
        dose = fact.attributes.get("dose")
        if not isinstance(dose, Decimal):
            return unknown(key, title, f"the dose of {fact.shown} is not known")
        total += dose
        words.append(fact.shown)
        sources.extend(fact.sources)
    shown = f"{quantity_text(total.quantize(Decimal(1)), 'mg/d')} ({' + '.join(words)})"
    age = diet.attributes.get("age")
    return known(key, title, shown, day=diet.day, sources=tuple(sources), value=total, age=age)
