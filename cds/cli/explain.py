"""`prenatal-cds explain`: what every rule made of one request, condition by condition, fact by fact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from cds.advise import ClauseTrace, RuleTrace
from cds.cards import fact_proof
from cds.cli.asking import Answer, answer
from cds.cli.options import AsJson, Hook, Now, Profile, RequestFile, RulesDir, SiteFile, settings_from
from cds.cli.stop import WRONG_USE, Stop
from cds.cli.terminal import Line, paragraph, print_bytes, print_lines, safe
from cds.facts import Fact
from cds.knowledge import KnowledgeBase
from cds.knowledge.errors import did_you_mean
from cds.knowledge.model import AnyOf, Condition
from cds.service.json_input import dump_json

RuleName = Annotated[str | None, typer.Option("--rule", metavar="ID", help="Explain this rule only.")]

_RESULTS: Final = ("fired", "suppressed", "silent")
_STYLES: Final = {"fired": "bold green", "suppressed": "bold yellow", "silent": "bold"}


def explain_request(
    request: RequestFile,
    now: Now = None,
    as_json: AsJson = False,
    rule: RuleName = None,
    hook: Hook = None,
    rules: RulesDir = None,
    site: SiteFile = None,
    profile: Profile = None,
) -> None:
    """Say for every rule why it fired, was suppressed or kept silent on one CDS Hooks request."""
    settings = settings_from(fixed_now=now, rules_dir=rules, site_file=site, profile=profile)
    with answer(request, hook, settings) as given:
        traces = _chosen(given.adviser.explain(given.advice), rule, given.hook)
        if as_json:
            print_bytes(dump_json(_json(given, traces)))
        else:
            print_lines(_text(given, traces))


def _chosen(traces: tuple[RuleTrace, ...], name: str | None, hook: str) -> tuple[RuleTrace, ...]:
    """Fired rules first, then suppressed and silent ones, each in the order of the knowledge base."""
    known = [trace.rule.id for trace in traces]
    if name is not None and name not in known:
        raise Stop(f"--rule: no rule '{name}' is asked on {hook}{did_you_mean(name, known)}", WRONG_USE)
    chosen = (trace for trace in traces if name in (None, trace.rule.id))
    return tuple(sorted(chosen, key=lambda trace: _RESULTS.index(trace.result)))


# -- text --------------------------------------------------------------------------------------------


def _text(given: Answer, traces: tuple[RuleTrace, ...]) -> Iterator[Line]:
    for trace in traces:
        yield from _rule(given.knowledge, trace)
        yield ""
    if given.advice.remarks:
        yield "Not supplied or not used:"
        for remark in given.advice.remarks:
            yield from paragraph(remark, 2, first="- ")
        yield ""
    counts = Counter(trace.result for trace in traces)
    yield ", ".join(f"{counts[result]} {result}" for result in _RESULTS)
    yield from paragraph(given.footer)


def _rule(base: KnowledgeBase, trace: RuleTrace) -> Iterator[Line]:
    rule = trace.rule
    by = f" by {trace.by}" if trace.by else ""
    concludes = f" (finding '{rule.concludes}')" if rule.concludes else ""
    heading = f"{rule.id} {rule.version}: {rule.title}{concludes}"
    yield from paragraph(heading, first=f"{trace.result.upper()}{by}  ", style=_STYLES[trace.result])
    for title, clauses in (("when", trace.conditions), ("unless", trace.exclusions)):
        if clauses:
            yield f"  {title}"
        for clause in clauses:
            yield from _clause(base, clause, 4)


def _clause(base: KnowledgeBase, trace: ClauseTrace, indent: int) -> Iterator[Line]:
    """A condition with its facts; of an `any` its alternatives, further in."""
    mark = f"{trace.truth.value:9}"
    if isinstance(trace.clause, AnyOf):
        alternatives = len(trace.clause.alternatives)
        yield from paragraph("any of" if alternatives > 1 else "all of", indent, first=mark)
        for part in trace.parts:
            yield from _clause(base, part, indent + 2)
        return
    yield from paragraph(trace.text, indent, first=mark)
    for note in _notes(base, trace.clause):
        yield from paragraph(note, indent + len(mark))
    for fact in trace.facts:
        yield from paragraph(_fact(fact), indent + len(mark), first="- ")


def _notes(base: KnowledgeBase, condition: Condition) -> Iterator[str]:
    """What a name in the condition stands for: the number of a threshold, the rules behind a finding."""
    for assertion in condition.assertions:
        if assertion.threshold:
            yield f"{assertion.threshold} is {base.threshold(assertion.threshold).quoted}"
    if condition.kind == "finding":
        makers = ", ".join(rule.id for rule in base.rules if rule.concludes == condition.concept)
        yield f"concluded by {makers}"


def _fact(fact: Fact) -> str:
    word = "" if fact.state == "known" else f" ({fact.state})"
    return "; ".join([f"{fact.line}{word}", *fact.remarks])


# -- JSON --------------------------------------------------------------------------------------------


def _json(given: Answer, traces: tuple[RuleTrace, ...]) -> dict[str, Any]:
    base = given.knowledge
    return {
        "hook": given.hook,
        "evaluatedAt": given.now.isoformat(),
        "knowledge": {"hash": base.hash, "profile": base.profile, "site": base.site},
        "rules": [_rule_json(trace) for trace in traces],
        "remarks": [safe(remark) for remark in given.advice.remarks],
    }


def _rule_json(trace: RuleTrace) -> dict[str, Any]:
    rule = trace.rule
    extra = {"suppressedBy": trace.by, "concludes": rule.concludes}
    return {
        "id": rule.id,
        "version": rule.version,
        "title": rule.title,
        "topic": rule.topic,
        "result": trace.result,
        **{name: value for name, value in extra.items() if value},
        "conditions": [_clause_json(clause) for clause in trace.conditions],
        "exclusions": [_clause_json(clause) for clause in trace.exclusions],
    }


def _clause_json(trace: ClauseTrace) -> dict[str, Any]:
    clause: dict[str, Any] = {"text": trace.text, "truth": trace.truth.value}
    if trace.parts:
        return {**clause, "parts": [_clause_json(part) for part in trace.parts]}
    return {**clause, "facts": [fact_proof(fact) for fact in trace.facts]}
