"""Diet, sunlight and habits: what was asked and answered, never what silence might mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from typing import Any

from cds.facts.coding import by_code, by_text, judged, names, texts
from cds.facts.dates import Moment, age_in_days, order_of
from cds.facts.laboratory import results
from cds.facts.model import Fact, known, unknown
from cds.facts.observations import Seen, effective, glance, observations, standing
from cds.facts.record import Record
from cds.facts.symptoms import answer_to
from cds.knowledge.model import Concept, FactKey, KnowledgeBase, quantity_text
from cds.knowledge.questionnaires import levels_of


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
    """An exposure from its newest answer: in steps (low, moderate, high) where such answers exist, else yes or no."""
    title = base.title_of(key)
    rows = list(_answers(base, record, key[1], today, zone))
    if not rows:
        return unknown(key, title, record.gap("exposure") or "not recorded")
    newest = max(rows, key=lambda row: (row.order(zone), row.name))
    if newest.answer is None:
        return unknown(key, title, f"the newest answer is not understood ({newest.name})")
    when = newest.when
    level = newest.answer if isinstance(newest.answer, str) else None
    words = [level or ("yes" if newest.answer else "no"), *([] if newest.coded else ["from free text"])]
    partial = f" ({when.text})" if when is not None and when.is_partial else ""
    fact = known(
        key,
        title,
        ", ".join(words) + partial,
        day=when.day if when else None,
        sources=(newest.name,),
        level=level,
        age=age_in_days(when, today, base.day_limits),
    )
    return fact if level else replace(fact, attributes={**fact.attributes, "present": newest.answer})


@dataclass(frozen=True)
class _Answer:
    """One answer about an exposure: a level, yes or no, or None when it cannot be understood."""

    name: str
    when: Moment | None
    answer: str | bool | None
    coded: bool

    def order(self, zone: tzinfo) -> datetime:
        return order_of(self.when, zone)


def _answers(base: KnowledgeBase, record: Record, concept: str, today: date, zone: tzinfo) -> Iterator[_Answer]:
    levels = levels_of(concept, base.concepts)
    for seen in observations(base, record, frozenset({concept}), zone):
        if seen.standing != "usable" or seen.is_missing or (seen.when and seen.when.first > today):
            continue
        answer = _level(base, levels, seen.holder) if levels else _yes_or_no(base, concept, seen)
        yield _Answer(seen.name, seen.when, answer, True)
    if not levels:
        yield from _in_words(base, record, base.concepts[concept], today, zone)


def _level(base: KnowledgeBase, levels: dict[str, str], holder: Any) -> str | None:
    """The level that a coded answer or its text names; None for none or several."""
    value = holder.valueCodeableConcept
    named = {m.concept for m in by_code(base, value)} & levels.keys()
    if not named:
        spoken = [*texts(value), *([holder.valueString] if holder.valueString else [])]
        named = {m.concept for m in by_text([base.concepts[name] for name in levels], spoken)}
        words = {text.strip().lower() for text in spoken}
        named |= {name for name, level in levels.items() if level in words}
    return levels[named.pop()] if len(named) == 1 else None


def _yes_or_no(base: KnowledgeBase, concept: str, seen: Seen) -> bool | None:
    return answer_to(base, base.concepts[concept], seen.holder, seen.match.code)


def _in_words(base: KnowledgeBase, record: Record, target: Concept, today: date, zone: tzinfo) -> Iterator[_Answer]:
    """Answers to questions that name the exposure in free text, where no code says what was asked."""
    for resource in record.of("Observation"):
        seen = glance(base, resource)
        if seen.asked or standing(resource.raw.get("status")) != "usable":
            continue
        if not any(names(text, target.text) for text in seen.spoken) or resource.read.model is None:
            continue
        model = resource.read.model
        when = effective(model, zone)
        if when is not None and when.first > today:
            continue
        question = {judged(text, target) for text in texts(model.code)}
        if True in question:
            yield _Answer(resource.name, when, answer_to(base, target, model, None), False)
            continue
        free = (*texts(model.valueCodeableConcept), *([model.valueString] if model.valueString else []))
        said = {judged(text, target) for text in free} - {None}
        if len(said) == 1:
            yield _Answer(resource.name, when, said.pop(), False)
