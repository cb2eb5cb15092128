"""Run the cases that stand beside the rules, with the real engine, without FHIR and without a server.

A case is judged on its own rule: what other rules would suppress, merge or change is shown by the golden
pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from cds.advise import Adviser, ClauseTrace, RuleTrace
from cds.cards.recommend import Recommendation, own_recommendation
from cds.cards.render import render
from cds.engine import EngineError, Outcome, Truth
from cds.facts.model import Census, Fact
from cds.knowledge.cases import Case, CaseFact
from cds.knowledge.errors import did_you_mean
from cds.knowledge.model import FactKey, KnowledgeBase, Rule, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS, HOOKS

_ESCAPED = re.compile(r"\\([^\w\s])")
_NOBODY = "case"
_LONGEST = 120


@dataclass(frozen=True)
class CaseResult:
    """One case with everything in which the rule did not do what the case says."""

    case: Case
    passed: bool
    problems: tuple[str, ...]


def run_cases(adviser: Adviser, cases: tuple[Case, ...]) -> tuple[CaseResult, ...]:
    """The results of many cases, in their order."""
    return tuple(run_case(adviser, case) for case in cases)


def run_case(adviser: Adviser, case: Case) -> CaseResult:
    """Evaluate one case on the first hook of its rule; a fact that the case does not name is unknown.

    ``adviser`` must hold the rule (KeyError otherwise). An engine failure is a problem of the case, not an
    exception.
    """
    rule = adviser.knowledge.rule(case.rule)
    hook = hook_of(adviser.knowledge, rule)
    if hook is None:
        return _result(case, [f"finding '{rule.concludes}' is used on no hook; drop it or test it"])
    census = case_census(adviser.knowledge, case, hook)
    problems = list(_strangers(census, case))
    try:
        outcome = adviser.evaluate(census)
    except EngineError as error:
        return _result(case, [*problems, f"the engine gave no answer: {error}"])
    fires = adviser.holds(census, outcome, rule)
    if fires != case.fires:
        problems.append(_unexpected(adviser.consider(census, outcome, rule), fires))
    elif fires:
        problems.extend(_differences(adviser.knowledge, census, outcome, rule, case))
    return _result(case, problems)


def hook_of(base: KnowledgeBase, rule: Rule) -> str | None:
    """The hook on which a rule's cases run: its first, or for a finding the first whose program needs it."""
    if rule.concludes is None:
        return rule.hooks[0] if rule.hooks else None
    return next((hook for hook in (*rule.hooks, *HOOKS) if rule in base.rules_for(hook)), None)


def case_census(base: KnowledgeBase, case: Case, hook: str) -> Census:
    """The census that a case describes: each fact of the hook as the case gives it, or unknown."""
    facts = {key: _fact(base, key, case.facts.get(key)) for key in base.facts_for(hook)}
    return Census(_NOBODY, hook, facts)


def _result(case: Case, problems: list[str]) -> CaseResult:
    return CaseResult(case, not problems, tuple(problems))


def _fact(base: KnowledgeBase, key: FactKey, given: CaseFact | None) -> Fact:
    title = base.title_of(key)
    if given is None or given.state == "unknown":
        return Fact(key, title, "unknown", reason="not given in this case")
    if given.state == "absent":
        return Fact(key, title, "absent", given.attributes, reason="none, says the case")
    return Fact(key, title, "known", given.attributes, _shown(key, given.attributes), given.day)


def _shown(key: FactKey, attributes: Mapping[str, object]) -> str:
    """The value in the words of a card, as far as a case knows it."""
    value = attributes.get("value", attributes.get("dose"))
    if not isinstance(value, Decimal):
        return str(attributes.get("level", ""))
    if key == ("gestation", "age"):
        return f"{value // 7} weeks {value % 7} days"
    return quantity_text(value, CANONICAL_UNITS.get(key, ""))


def _strangers(census: Census, case: Case) -> Iterator[str]:
    """A misspelt concept would silently be an unknown fact."""
    known = [" ".join(key) for key in census.facts]
    for kind, concept in case.facts:
        if (kind, concept) not in census.facts:
            near = did_you_mean(f"{kind} {concept}", known)
            yield f"no rule of {census.hook} asks about {kind}: {concept}{near}"


def _unexpected(trace: RuleTrace, fires: bool) -> str:
    if fires:
        return "expected silent, but it fires: all conditions are true and no exclusion is"
    lines = [_line("condition", c) for c in trace.conditions if c.truth is not Truth.TRUE]
    lines += [_line("exclusion", c) for c in trace.exclusions if c.truth is Truth.TRUE]
    return f"expected to fire, but it is silent: {'; '.join(lines)}"


def _line(role: str, clause: ClauseTrace) -> str:
    text = clause.text if len(clause.text) <= _LONGEST else f"{clause.text[:_LONGEST]}…"
    return f"{role} '{text}' is {clause.truth.value}"


def _differences(base: KnowledgeBase, census: Census, outcome: Outcome, rule: Rule, case: Case) -> Iterator[str]:
    own = own_recommendation(base, census, outcome, rule)
    if own is None:
        if case.indicator or case.says or case.says_not or case.suggests is not None:
            yield "a finding has no card; drop indicator, says, says_not and suggests"
        return
    if case.indicator is not None and own.indicator != case.indicator:
        yield f"indicator: expected {case.indicator}, got {own.indicator}"
    proposed = _proposed(own)
    if case.suggests is not None and proposed != case.suggests:
        yield f"suggests: expected {list(case.suggests)}, got {list(proposed)}"
    if case.says or case.says_not:
        card = render(base, census, own, None, datetime.combine(case.today, time(12), UTC))
        text = card.summary + "\n" + _ESCAPED.sub(r"\1", card.detail or "")
        for words in case.says:
            if words not in text:
                yield f"says: '{words}' stands neither in the summary '{card.summary}' nor in the detail"
        for words in case.says_not:
            if words in text:
                yield f"says_not: '{words}' stands in the summary '{card.summary}' or in the detail"


def _proposed(own: Recommendation) -> tuple[str, ...]:
    """The activities that the card offers to create, in order; what is already ordered or done is not among them."""
    needless = {activity.id for activity, _ in own.redundant}
    return tuple(name for suggestion in own.suggest for name in suggestion.create if name not in needless)
