"""From checked rules to a program: each condition becomes an expression over the census' flat variables.

rule:ID            the rule holds (conditions true, no exclusion definitely true)
finding:NAME       a named finding holds
unless:ID:N        the rule's N-th exclusion holds
unchecked:ID:N     whether it holds is not known; the card then says that it could not be checked
variant:ID:N       the N-th variant of the rule's card applies
redundant:ID:N     the activity need not be suggested
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cds.engine.expression import (
    All,
    Any,
    Constant,
    Definitely,
    Expression,
    IsKnown,
    Kind,
    Not,
    Op,
    Program,
    Statement,
    Test,
    Truth,
)
from cds.facts.model import variable
from cds.knowledge.model import AnyOf, Assertion, Clause, Condition, KnowledgeBase, Rule, conditions_of
from cds.knowledge.vocabulary import BOUNDED, BOUNDED_NUMBERS

_KINDS = {"threshold": Kind.NUMBER, "word": Kind.TEXT, "flag": Kind.BOOLEAN}


def lower(base: KnowledgeBase, hook: str) -> Program:
    """The program of one hook: its rules, the findings they need, their exclusions, variants and activities."""
    rules = base.rules_for(hook)
    findings: dict[str, list[Expression]] = {}
    statements: dict[str, Expression] = {}
    for rule in rules:
        if rule.concludes:
            findings.setdefault(rule.concludes, []).append(_whole(base, rule))
    for name, parts in findings.items():
        statements[f"finding:{name}"] = parts[0] if len(parts) == 1 else Any(tuple(parts))
    for rule in rules:
        for number, clause in enumerate(rule.unless):
            excluded = _clause(base, clause)
            statements[f"unless:{rule.id}:{number}"] = excluded
            statements[f"unchecked:{rule.id}:{number}"] = Not(Definitely(Any((excluded, Not(excluded)))))
        if rule.concludes:
            continue
        statements[f"rule:{rule.id}"] = _whole(base, rule)
        for number, variant in enumerate(rule.then.variants if rule.then else ()):
            statements[f"variant:{rule.id}:{number}"] = _all(base, variant.when)
        for activity in base.activities_of(rule):
            for number, clause in enumerate(activity.redundant):
                statements[f"redundant:{activity.id}:{number}"] = _clause(base, clause)
    return Program(_variables(base, rules), statements)


def _whole(base: KnowledgeBase, rule: Rule) -> Expression:
    """Conditions, and no exclusion that is definitely true: an unknown exclusion does not exclude."""
    exclusions = (Not(Definitely(Statement(f"unless:{rule.id}:{n}"))) for n in range(len(rule.unless)))
    parts = (*(_clause(base, clause) for clause in rule.when), *exclusions)
    return parts[0] if len(parts) == 1 else All(parts)


def _all(base: KnowledgeBase, clauses: Iterable[Clause]) -> Expression:
    parts = tuple(_clause(base, clause) for clause in clauses)
    return parts[0] if len(parts) == 1 else All(parts)


def clause_expression(base: KnowledgeBase, clause: Clause) -> Expression:
    """The expression of one clause, for explanations."""
    return _clause(base, clause)


def _clause(base: KnowledgeBase, clause: Clause) -> Expression:
    if isinstance(clause, AnyOf):
        parts = tuple(_all(base, alternative) for alternative in clause.alternatives)
        return parts[0] if len(parts) == 1 else Any(parts)
    expression = _condition(base, clause)
    # Erring on the side of firing, where the catalogue says so: true or unknown, that is, not definitely false.
    return Not(Definitely(Not(expression))) if clause.or_unknown else expression


def _condition(base: KnowledgeBase, condition: Condition) -> Expression:
    wanted = all(a.literal is not False for a in condition.assertions if a.keyword == "is")
    if condition.kind == "finding":
        found = Statement(f"finding:{condition.concept}")
        return found if wanted else Not(found)
    if condition.kind == "profile":
        held = base.flags[condition.concept] is wanted
        return Constant(Truth.TRUE if held else Truth.FALSE)
    present = Test(variable(condition.key, "present"), Op.EQ, True)
    positive = [a for a in condition.assertions if not a.word.negated]
    negative = [a for a in condition.assertions if a.word.negated]
    parts: list[Expression] = []
    if any(a.word.needs_presence for a in positive) or not condition.assertions:
        parts.append(present)
    parts.extend(_assertion(base, condition, a) for a in positive)
    parts.extend(Not(All((present, _assertion(base, condition, a)))) for a in negative)
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _assertion(base: KnowledgeBase, condition: Condition, assertion: Assertion) -> Expression:
    name = variable(condition.key, assertion.word.attribute)
    if assertion.word.operator == "known":
        known = IsKnown(name)
        return known if assertion.literal else Not(known)
    if assertion.threshold is not None:
        limit = base.number(assertion.threshold)
        if _may_be_bound(condition, assertion):
            return bounded(name, Op(assertion.word.operator), limit)
        return Test(name, Op(assertion.word.operator), limit)
    assert assertion.literal is not None  # noqa: S101 - the loader gives one of the two
    return Test(name, Op.EQ, assertion.literal)


def _may_be_bound(condition: Condition, assertion: Assertion) -> bool:
    return condition.kind in BOUNDED and assertion.word.attribute in BOUNDED_NUMBERS


def bounded(name: str, op: Op, limit: Decimal) -> Expression:
    """A comparison of a number of which only the least and the most may be known.

    True when the end that is nearer to the limit satisfies it, false when not even the other end does, else unknown. An
    exact value is both ends.
    """
    low, high = f"{name}_low", f"{name}_high"
    worst, best = (high, low) if op in (Op.LT, Op.LE) else (low, high)
    undecided = All((Not(Test(best, op.negated, limit)), Constant(Truth.UNKNOWN)))
    return Any((Test(worst, op, limit), undecided))


def _variables(base: KnowledgeBase, rules: tuple[Rule, ...]) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for rule in rules:
        clauses = [*rule.clauses(), *(c for a in base.activities_of(rule) for c in a.redundant)]
        for condition in conditions_of(iter(clauses)):
            if condition.is_fact:
                found[variable(condition.key, "present")] = Kind.BOOLEAN
                for assertion in condition.assertions:
                    name = variable(condition.key, assertion.word.attribute)
                    if _may_be_bound(condition, assertion):
                        found.update({f"{name}_low": Kind.NUMBER, f"{name}_high": Kind.NUMBER})
                    else:
                        found[name] = _KINDS[assertion.word.argument]
    return found
