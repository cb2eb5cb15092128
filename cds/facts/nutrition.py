"""Diet and sunlight: what was asked and answered, never what silence might mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, tzinfo

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
    if first.value is None:
        return unknown(key, title, first.trouble)
    when = first.when
    partial = f" ({when.text})" if when is not None and when.is_partial else ""
    return known(
        key,
        title,
        quantity_text(first.value, "mg/d") + partial,
        day=when.day if when else None,
        sources=(first.name,),
        value=first.value,
        age=age_in_days(when, today, base.day_limits),
    )


def exposure_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """An exposure in steps (low, moderate, high), from the newest coded answer or its text."""
    title = base.title_of(key)
    rows = list(_answers(base, record, key[1], today, zone))
    if not rows:
        return unknown(key, title, record.gap("exposure") or "not recorded")
    seen, level = max(rows, key=lambda row: (row[0].order(zone), row[0].name))
    if level is None:
        return unknown(key, title, f"the newest answer is not understood ({seen.name})")
    when = seen.when
    partial = f" ({when.text})" if when is not None and when.is_partial else ""
    return known(
        key,
        title,
        level + partial,
        day=when.day if when else None,
        sources=(seen.name,),
        level=level,
        age=age_in_days(when, today, base.day_limits),
    )


def _answers(
    base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo
) -> Iterator[tuple[Seen, str | None]]:
    """Each answer with its level; None for one that names no level or several."""
    levels = {f"{concept}-{word}": word for word in _LEVELS if f"{concept}-{word}" in base.concepts}
    for seen in observations(base, record, frozenset({concept}), zone):
        if seen.standing != "usable" or seen.is_missing or (seen.when and seen.when.first > today):
            continue
        value = seen.holder.valueCodeableConcept
        named = {m.concept for m in by_code(base, value)} & levels.keys()
        if not named:
            spoken = [*texts(value), *([seen.holder.valueString] if seen.holder.valueString else [])]
            named = {m.concept for m in by_text([base.concepts[name] for name in levels], spoken)}
            named |= {f"{concept}-{text.strip().lower()}" for text in spoken} & levels.keys()
        yield seen, levels[named.pop()] if len(named) == 1 else None
