"""Matches -> recommendations: which rules stand, in which form, in which order.

A rule that holds stands unless a standing rule suppresses it. A standing rule's card takes the form of its first
variant that applies; modifiers change it; a rule that merges into another standing card loses its own. Most dangerous
first: critical, warning, info, then the topic's level, then (of critical cards) what silences more. At most five cards:
critical and warning always stay, info is merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cds.cards.text import sentence
from cds.engine import Outcome, Subject
from cds.facts.model import Census, Fact
from cds.knowledge.lint import suppressed_by
from cds.knowledge.model import (
    Activity,
    AnyOf,
    CardText,
    Clause,
    Condition,
    FactKey,
    KnowledgeBase,
    Rule,
    SuggestionRule,
    TextPart,
    Threshold,
    Variant,
    conditions_of,
)
from cds.knowledge.vocabulary import INDICATORS, KINDS

MOST_CARDS = 5


@dataclass(frozen=True)
class Part:
    """One rule's share in a card: the rule, what it rests on, what it could not know."""

    rule: Rule
    variant: Variant | None
    facts: tuple[Fact, ...]
    missing: tuple[Fact, ...]
    unchecked: tuple[Clause, ...]
    branches: tuple[str, ...]
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True)
class Recommendation:
    """A card in the making: text, suggestions with what made some needless, and the parts it is made of."""

    rule: Rule
    indicator: str
    summary: str
    detail: tuple[TextPart, ...]
    suggest: tuple[SuggestionRule, ...]
    redundant: tuple[tuple[Activity, tuple[Fact, ...]], ...]
    bound: Mapping[str, tuple[Fact, ...]]
    parts: tuple[Part, ...]

    @property
    def rank(self) -> int:
        return -INDICATORS.index(self.indicator)


@dataclass(frozen=True)
class Verdict:
    """What became of every rule that held: it stands, or which standing rule removed it."""

    held: tuple[Rule, ...]
    removed: dict[str, str]


def standing(base: KnowledgeBase, outcome: Outcome, hook: str) -> Verdict:
    """Rules that hold, and those that a standing rule removes. Lint has refused circles, so the order is no matter."""
    held = [r for r in base.rules_for(hook) if r.concludes is None and outcome.is_true(f"rule:{r.id}")]
    removers: dict[str, list[Rule]] = {}
    for rule in held:
        for name in suppressed_by(base, rule):
            removers.setdefault(name, []).append(rule)
    removed: dict[str, str] = {}
    decided: dict[str, bool] = {}

    def stands(rule: Rule) -> bool:
        if rule.id not in decided:
            by = next((other for other in removers.get(rule.id, ()) if stands(other)), None)
            decided[rule.id] = by is None
            if by is not None:
                removed[rule.id] = by.id
        return decided[rule.id]

    return Verdict(tuple(rule for rule in held if stands(rule)), removed)


def recommend(base: KnowledgeBase, census: Census, outcome: Outcome) -> tuple[Recommendation, ...]:
    """The recommendations for one patient on one hook, in the order of their cards."""
    rules = standing(base, outcome, census.hook).held
    made = {
        rule.id: _recommendation(base, census, outcome, rule)
        for rule in rules
        if rule.then is not None and rule.then.card
    }
    for rule in rules:
        if rule.then is not None and rule.then.modifies is not None:
            _modify(base, census, outcome, rule, made)
    for rule in rules:
        if rule.then is not None and rule.id in made:
            target = next((t for t in rule.then.merge_into if t in made), None)
            if target is not None:
                made[target] = _merged(made[target], made.pop(rule.id), with_summary=False)
    order = {rule.id: n for n, rule in enumerate(base.rules)}
    ranked = sorted(made.values(), key=lambda r: (r.rank, base.level_of(r.rule), order[r.rule.id]))
    return _limited(ranked)


def _recommendation(base: KnowledgeBase, census: Census, outcome: Outcome, rule: Rule) -> Recommendation:
    then = rule.then
    assert then is not None  # noqa: S101 - the caller asked
    assert then.card is not None  # noqa: S101 - the caller asked
    variant = next((v for n, v in enumerate(then.variants) if outcome.is_true(f"variant:{rule.id}:{n}")), None)
    card = _form(then.card, variant)
    part = _part(base, census, outcome, rule, variant)
    bound = _bound(census, [*rule.when, *(variant.when if variant else ())], part.facts)
    redundant = tuple(_redundant(base, census, outcome, card.suggest))
    return Recommendation(rule, card.indicator, card.summary, card.detail, card.suggest, redundant, bound, (part,))


def own_recommendation(base: KnowledgeBase, census: Census, outcome: Outcome, rule: Rule) -> Recommendation | None:
    """What one rule that holds says by itself, before suppression, modifiers and merging; None for a finding.

    The texts that a modifier puts into other cards follow its own; without a card its title is the summary.
    """
    then = rule.then
    if then is None:
        return None
    change = then.modifies
    texts = tuple(TextPart(None, text) for text in (*change.replace.values(), *change.add)) if change else ()
    if then.card is not None:
        own = _recommendation(base, census, outcome, rule)
        return replace(own, detail=(*own.detail, *texts))
    indicator = "warning" if change and change.raise_indicator else "info"
    part = _part(base, census, outcome, rule, None)
    return Recommendation(rule, indicator, rule.title, texts, (), (), _bound(census, rule.when, part.facts), (part,))


def _form(card: CardText, variant: Variant | None) -> CardText:
    if variant is None:
        return card
    return CardText(
        indicator=variant.indicator or card.indicator,
        summary=variant.summary or card.summary,
        detail=variant.detail if variant.detail is not None else card.detail,
        suggest=variant.suggest if variant.suggest is not None else card.suggest,
    )


def _bound(census: Census, clauses: Iterable[Clause], behind: tuple[Fact, ...]) -> dict[str, tuple[Fact, ...]]:
    """The facts that conditions named with `as`: those the rule rests on, where alternatives share a name."""
    named: dict[str, dict[FactKey, Fact]] = {}
    for condition in conditions_of(iter(clauses)):
        fact = census.facts.get(condition.key)
        if condition.bind and fact is not None and fact.state == "known" and fact in behind:
            named.setdefault(condition.bind, {})[fact.key] = fact
    return {name: tuple(facts.values()) for name, facts in named.items()}


def _redundant(
    base: KnowledgeBase, census: Census, outcome: Outcome, suggestions: tuple[SuggestionRule, ...]
) -> Iterator[tuple[Activity, tuple[Fact, ...]]]:
    for name in dict.fromkeys(name for s in suggestions for name in s.create):
        activity = base.activities[name]
        facts: list[Fact] = []
        for number in range(len(activity.redundant)):
            statement = f"redundant:{name}:{number}"
            if outcome.is_true(statement):
                facts.extend(_facts_behind(census, outcome, statement))
        if facts:
            yield activity, _unique(facts)


def _unique(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple({fact.key: fact for fact in facts}.values())


def _part(base: KnowledgeBase, census: Census, outcome: Outcome, rule: Rule, variant: Variant | None) -> Part:
    statement = f"rule:{rule.id}"
    facts = list(_facts_behind(census, outcome, statement))
    branches = [hit.words for hit in outcome.hits.get(statement, ())]
    clauses: list[Clause] = [*rule.when]
    if variant is not None and rule.then is not None:
        number = rule.then.variants.index(variant)
        facts.extend(_facts_behind(census, outcome, f"variant:{rule.id}:{number}"))
        clauses.extend(variant.when)
    unchecked = tuple(c for n, c in enumerate(rule.unless) if outcome.is_true(f"unchecked:{rule.id}:{n}"))
    keys = dict.fromkeys(_keys(base, (*rule.when, *unchecked)))
    missing = tuple(census.facts[key] for key in keys if key in census.facts and census.facts[key].state == "unknown")
    return Part(
        rule, variant, _unique(facts), missing, unchecked, tuple(branches), _thresholds(base, (*clauses, *rule.unless))
    )


def _facts_behind(
    census: Census, outcome: Outcome, statement: str, seen: frozenset[str] = frozenset()
) -> Iterator[Fact]:
    """Facts named by the tests of the branches that held, through findings; exclusions are left out."""
    for hit in outcome.hits.get(statement, ()):
        for test in hit.tests:
            if test.subject in (Subject.VARIABLE, Subject.KNOWN):
                kind, concept, _ = test.name.split(".")
                fact = census.facts.get((kind, concept))
                if fact is not None:
                    yield fact
            elif test.name not in seen and not test.name.startswith("unless:"):
                yield from _facts_behind(census, outcome, test.name, seen | {statement})


def _keys(base: KnowledgeBase, clauses: Iterable[Clause], seen: frozenset[str] = frozenset()) -> Iterator[FactKey]:
    """Facts whose ignorance the card should name, through findings.

    An alternative that this rule did without counts only where data were due: a symptom nobody asked about is no gap.
    """
    for condition, sole in _with_need(clauses):
        if condition.is_fact:
            if sole or KINDS[condition.kind].closed:
                yield condition.key
        elif condition.kind == "finding" and condition.concept not in seen:
            for rule in base.rules:
                if rule.concludes == condition.concept:
                    yield from _keys(base, rule.when, seen | {condition.concept})


def _with_need(clauses: Iterable[Clause]) -> Iterator[tuple[Condition, bool]]:
    """Each condition, and whether the rule cannot do without it."""
    for clause in clauses:
        for condition in conditions_of(iter((clause,))):
            yield condition, not isinstance(clause, AnyOf)


def _thresholds(
    base: KnowledgeBase, clauses: Iterable[Clause], seen: frozenset[str] = frozenset()
) -> tuple[Threshold, ...]:
    found: dict[str, Threshold] = {}
    for condition in conditions_of(iter(clauses)):
        found.update({a.threshold: base.threshold(a.threshold) for a in condition.assertions if a.threshold})
        if condition.kind == "finding" and condition.concept not in seen:
            for rule in base.rules:
                if rule.concludes == condition.concept:
                    inner = _thresholds(base, (*rule.when, *rule.unless), seen | {condition.concept})
                    found.update({t.id: t for t in inner})
    return tuple(found.values())


def _modify(base: KnowledgeBase, census: Census, outcome: Outcome, rule: Rule, made: dict[str, Recommendation]) -> None:
    modification = rule.then.modifies if rule.then else None
    assert modification is not None  # noqa: S101 - the caller asked
    part = _part(base, census, outcome, rule, None)
    for target in modification.rules:
        if target not in made:
            continue
        old = made[target]
        detail = tuple(
            TextPart(p.id, modification.replace[p.id]) if p.id and p.id in modification.replace else p
            for p in old.detail
        )
        detail = (*detail, *(TextPart(None, text) for text in modification.add))
        raised = "warning" if modification.raise_indicator and old.indicator == "info" else old.indicator
        bound = {**old.bound, **_bound(census, rule.when, part.facts)}
        made[target] = replace(old, detail=detail, indicator=raised, bound=bound, parts=(*old.parts, part))


def _merged(into: Recommendation, other: Recommendation, *, with_summary: bool) -> Recommendation:
    """One card of two: the second's text and suggestions follow the first's."""
    heading = (TextPart(None, sentence(other.summary)),) if with_summary else ()
    known = {s.label for s in into.suggest}
    return replace(
        into,
        indicator=max(into.indicator, other.indicator, key=INDICATORS.index),
        detail=(*into.detail, *heading, *other.detail),
        suggest=(*into.suggest, *(s for s in other.suggest if s.label not in known)),
        redundant=(*into.redundant, *(r for r in other.redundant if r not in into.redundant)),
        bound={**other.bound, **into.bound},
        parts=(*into.parts, *other.parts),
    )


def _limited(ranked: list[Recommendation]) -> tuple[Recommendation, ...]:
    """Merge the last info cards into one until at most five cards are left; warnings are never merged away."""
    rows = list(ranked)
    while len(rows) > MOST_CARDS and len([r for r in rows if r.indicator == "info"]) > 1:
        last = rows.pop()
        rows[-1] = _merged(rows[-1], last, with_summary=True)
    return tuple(rows)
