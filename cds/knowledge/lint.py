"""Checks over the whole knowledge base: what YAML alone cannot promise.

A problem stops loading. Neither an open sign-off does, which is what a clinician still has to confirm, nor a gap, which
is a text that a language lacks; `check` lists both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from cds.knowledge.errors import Problem, did_you_mean
from cds.knowledge.languages import check_languages
from cds.knowledge.model import (
    Activity,
    AnyOf,
    CardText,
    Clause,
    Condition,
    Evidence,
    KnowledgeBase,
    Rule,
    SuggestionRule,
    conditions_of,
)
from cds.knowledge.source import Place
from cds.knowledge.vocabulary import CANONICAL_UNITS, DERIVED, KINDS
from cds.knowledge.wording import SUMMARY_LIMIT, has_number, placeholders

# Numbers that the arithmetic of cds/facts needs; they live in rules/ like all others.
FACT_THRESHOLDS = {
    "gestation-longest": "d",
    "due-date-passed": "d",
    "pregnancy-condition-lookback": "d",
    "pregnancy-status-lookback": "d",
    "due-date-recent": "d",
    "dating-disagreement": "d",
    "early-ultrasound-limit": "d",
    "diet-window": "d",
    "total-calcium-plausible-low": "mmol/L",
    "total-calcium-plausible-high": "mmol/L",
    "ionised-calcium-plausible-low": "mmol/L",
    "ionised-calcium-plausible-high": "mmol/L",
    "creatinine-plausible-low": "umol/L",
    "creatinine-plausible-high": "umol/L",
    "magnesium-plausible-low": "mmol/L",
    "magnesium-plausible-high": "mmol/L",
    "albumin-plausible-low": "g/L",
    "albumin-plausible-high": "g/L",
    "calf-difference": "cm",
    "albumin-reference": "g/L",
    "albumin-adjustment-factor": "mmol/g",
}

# Numbers that lose their meaning out of order, whatever profile or site sets them: each is below the next, or, where
# the last word says so, may equal it.
ASCENDING = (
    ("calcium-average-requirement", "calcium-reference-intake", "below"),
    ("calcium-reference-intake", "calcium-upper-limit", "below"),
    ("calcium-average-requirement-adolescent", "calcium-reference-intake-adolescent", "below"),
    ("calcium-reference-intake-adolescent", "calcium-upper-limit-adolescent", "below"),
    ("calcium-average-requirement", "calcium-average-requirement-adolescent", "at most"),
    ("calcium-reference-intake", "calcium-reference-intake-adolescent", "at most"),
)

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


def check(base: KnowledgeBase) -> list[Problem]:
    """Every problem, open sign-off and gap of a knowledge base, sorted by place."""
    problems: list[Problem] = []
    for name, unit in FACT_THRESHOLDS.items():
        threshold = base.thresholds.get(name)
        if threshold is None:
            problems.append(
                Problem("thresholds", 1, f"the fact layer needs threshold '{name}' ({unit}); add it to a topic")
            )
        elif threshold.unit != unit:
            problems.append(_at(threshold.place, f"'{name}' must be in {unit}, not {threshold.unit}"))
    seen: dict[str, Rule] = {}
    for rule in base.rules:
        if rule.id in seen:
            problems.append(_at(rule.place, f"id '{rule.id}' stands also in {seen[rule.id].place}; ids are unique"))
        if rule.id in base.topics:
            problems.append(_at(rule.place, f"'{rule.id}' is the name of a topic; choose another id"))
        seen[rule.id] = rule
        problems.extend(_check_rule(base, rule))
    for threshold in base.thresholds.values():
        if not _NAME.fullmatch(threshold.id):
            problems.append(_at(threshold.place, f"'{threshold.id}': names are lower-case words joined by hyphens"))
        problems.extend(_check_evidence(base, threshold.evidence, threshold.place))
        if threshold.confidence in ("SECONDARY", "DESIGN"):
            text = f"threshold '{threshold.id}' ({threshold.catalogue}, {threshold.quoted}) is {threshold.confidence}"
            problems.append(_sign_off(threshold.place, text))
    for salt in base.salts:
        problems.extend(_check_evidence(base, (Evidence(salt.source, "", ""),), salt.place))
        if salt.confidence in ("SECONDARY", "DESIGN"):
            text = f"elemental share of {salt.title} ({salt.share}) is {salt.confidence}"
            problems.append(_sign_off(salt.place, text))
    problems.extend(_out_of_order(base))
    for activity in base.activities.values():
        problems.extend(_check_clauses(base, activity.redundant))
        if not activity.code.code or not activity.code.display:
            problems.append(_at(activity.place, f"activity '{activity.id}' needs a code with a display"))
    problems.extend(_unused(base))
    problems.extend(_circles(base))
    problems.extend(check_languages(base))
    return sorted(set(problems))


def _out_of_order(base: KnowledgeBase) -> Iterator[Problem]:
    for lower, upper, relation in ASCENDING:
        if lower not in base.thresholds or upper not in base.thresholds:
            continue
        small, large = base.threshold(lower), base.threshold(upper)
        if small.value > large.value or (small.value == large.value and relation == "below"):
            text = f"'{lower}' ({small.quoted}) must be {relation} '{upper}' ({large.quoted})"
            yield _at(small.place, f"{text} in profile {base.profile}; correct the profile or the site file")


def _at(place: Place, message: str) -> Problem:
    prefix = f"{place.path}: " if place.path else ""
    return Problem(place.file, place.line, prefix + message)


def _sign_off(place: Place, message: str) -> Problem:
    return Problem(place.file, place.line, f"open sign-off: {message}", open_sign_off=True)


def _check_rule(base: KnowledgeBase, rule: Rule) -> Iterator[Problem]:
    if not _NAME.fullmatch(rule.id):
        yield _at(rule.place, f"'{rule.id}': names are lower-case words joined by hyphens")
    if not _VERSION.fullmatch(rule.version):
        yield _at(rule.place, f"version '{rule.version}' must look like 1.0.0")
    if not rule.hooks:
        yield _at(rule.place, "hooks: name at least one hook")
    if not rule.when:
        yield _at(rule.place, "when: a rule needs at least one condition")
    if not rule.evidence:
        yield _at(rule.place, "evidence: name at least one source; use local-policy where there is none")
    for seed in rule.seed:
        if seed not in base.statements:
            yield _at(rule.place, f"seed: no statement '{seed}' in seed.yaml")
    yield from _check_evidence(base, rule.evidence, rule.place)
    yield from _check_clauses(base, tuple(rule.clauses()))
    if rule.status == "draft":
        yield _sign_off(rule.place, f"rule '{rule.id}' ({rule.catalogue}) is draft; no clinician has signed it")
    others = {other.id for other in base.rules if other.concludes is None}
    for name in rule.suppresses:
        if name not in others and name not in base.topics:
            yield _at(rule.place, f"suppresses: no rule or topic '{name}'{did_you_mean(name, [*others, *base.topics])}")
    if rule.then is not None:
        yield from _check_advice(base, rule, others)


def _check_advice(base: KnowledgeBase, rule: Rule, others: set[str]) -> Iterator[Problem]:
    then = rule.then
    assert then is not None  # noqa: S101 - the caller asked
    for reason in then.override_reasons:
        if reason not in base.override_reasons:
            yield _at(
                rule.place, f"override_reasons: no reason '{reason}'{did_you_mean(reason, list(base.override_reasons))}"
            )
    shipped = [questionnaire.id for questionnaire in base.questionnaires.values() if questionnaire.form]
    for name in then.questionnaires:
        if name not in shipped:
            yield _at(rule.place, f"links: no questionnaire '{name}'{did_you_mean(name, shipped)}")
    targets = [*then.merge_into, *(then.modifies.rules if then.modifies else ())]
    for name in targets:
        if name not in others or name == rule.id:
            yield _at(
                rule.place, f"then: no other rule '{name}' to merge into or modify{did_you_mean(name, list(others))}"
            )
    bound = _bound(rule.when)
    if then.modifies is not None:
        for name in then.modifies.replace:
            if not any(name in _part_ids(base, target) for target in then.modifies.rules):
                yield _at(rule.place, f"then.modifies.replace: no part '{name}' in {', '.join(then.modifies.rules)}")
        yield from _check_texts(base, rule, bound, [*then.modifies.replace.values(), *then.modifies.add])
    if then.card is None:
        return
    forms = [(then.card, bound)]
    for variant in then.variants:
        if not variant.when:
            yield _at(variant.place, "a variant needs a condition")
        form = CardText(
            variant.indicator or then.card.indicator,
            variant.summary or then.card.summary,
            variant.detail if variant.detail is not None else then.card.detail,
            variant.suggest if variant.suggest is not None else then.card.suggest,
        )
        forms.append((form, _bound((*rule.when, *variant.when))))
    for form, names in forms:
        yield from _check_texts(base, rule, names, [form.summary, *(p.text for p in form.detail)])
        yield from _check_card(base, rule, form, names)


def _bound(clauses: Iterable[Clause]) -> dict[str, set[str]]:
    """Each name that a condition binds with `as`, and the kinds of fact that it may stand for."""
    names: dict[str, set[str]] = {}
    for condition in conditions_of(iter(clauses)):
        if condition.bind:
            names.setdefault(condition.bind, set()).add(condition.kind)
    return names


def _part_ids(base: KnowledgeBase, rule_id: str) -> set[str]:
    rule = next((r for r in base.rules if r.id == rule_id), None)
    if rule is None or rule.then is None or rule.then.card is None:
        return set()
    return {part.id for part in rule.then.card.detail if part.id}


def _check_card(base: KnowledgeBase, rule: Rule, form: CardText, bound: Mapping[str, set[str]]) -> Iterator[Problem]:
    length = len(_fill(base, form.summary))
    if not 0 < length <= SUMMARY_LIMIT:
        yield _at(rule.place, f"summary: {length} characters; CDS Hooks allows 1 to {SUMMARY_LIMIT}")
    sentences = len(_SENTENCE_END.findall(" ".join(p.text for p in form.detail)))
    if not 2 <= sentences <= 4 and not any(p.id for p in form.detail):
        yield _at(rule.place, f"detail: {sentences} sentences; two to four are read")
    for suggestion in form.suggest:
        yield from _check_suggestion(base, rule, suggestion, bound)


def _check_suggestion(
    base: KnowledgeBase, rule: Rule, suggestion: SuggestionRule, bound: Mapping[str, set[str]]
) -> Iterator[Problem]:
    for name in suggestion.create:
        if name not in base.activities:
            yield _at(rule.place, f"suggest: no activity '{name}'{did_you_mean(name, list(base.activities))}")
    for name in suggestion.stop:
        if name not in base.concepts:
            yield _at(rule.place, f"suggest: no concept '{name}'{did_you_mean(name, list(base.concepts))}")
    bind = suggestion.remove
    if bind is not None and bind not in bound:
        yield _at(rule.place, f"suggest: nothing is bound to '{bind}'; add `as: {bind}` to an order")
    elif bind is not None and bound[bind] != {"order"}:
        kinds = " and ".join(sorted(bound[bind]))
        yield _at(rule.place, f"suggest: 'remove' needs an order, and '{bind}' is bound to {kinds}")


def _fill(base: KnowledgeBase, text: str) -> str:
    return _PLACEHOLDER.sub(lambda m: base.thresholds[m[1]].quoted if m[1] in base.thresholds else "x" * 20, text)


def _check_texts(base: KnowledgeBase, rule: Rule, bound: Iterable[str], texts: Iterable[str]) -> Iterator[Problem]:
    for text in texts:
        for name in placeholders(text):
            if name not in base.thresholds and name not in bound:
                known = [*base.thresholds, *bound]
                yield _at(rule.place, f"text: nothing named '{{{name}}}'{did_you_mean(name, known)}")
        if has_number(text):
            yield _at(
                rule.place, f"text: a number stands in the text; name it as a threshold and quote it: '{text[:60]}'"
            )
        if "<" in text or ">" in text:
            yield _at(rule.place, "text: no angle brackets; cards are shown as Markdown")


def _check_evidence(base: KnowledgeBase, rows: tuple[Evidence, ...], place: Place) -> Iterator[Problem]:
    for row in rows:
        if row.source not in base.sources:
            yield _at(place, f"evidence: no source '{row.source}'{did_you_mean(row.source, list(base.sources))}")


def _check_clauses(base: KnowledgeBase, clauses: tuple[Clause, ...]) -> Iterator[Problem]:
    for condition in conditions_of(iter(clauses)):
        yield from _check_condition(base, condition)


def _check_condition(base: KnowledgeBase, condition: Condition) -> Iterator[Problem]:
    place = condition.place
    if condition.kind == "finding":
        known = sorted({rule.concludes for rule in base.rules if rule.concludes})
        if condition.concept not in known:
            yield _at(place, f"no rule concludes finding '{condition.concept}'{did_you_mean(condition.concept, known)}")
        return
    if condition.kind == "profile":
        if condition.concept not in base.flags:
            yield _at(
                place, f"no profile flag '{condition.concept}'{did_you_mean(condition.concept, list(base.flags))}"
            )
        return
    kind = KINDS[condition.kind]
    derived = [concept for k, concept in DERIVED if k == kind.name]
    known = list(kind.concepts) if kind.concepts else [*base.concepts, *derived]
    if kind.name != "data" and condition.concept not in known:
        yield _at(place, f"{kind.name}: no concept '{condition.concept}'{did_you_mean(condition.concept, known)}")
    concept = base.concepts.get(condition.concept)
    if concept is not None and concept.not_used:
        yield _at(place, f"'{condition.concept}' is a look-alike and must not be used: {concept.not_used}")
    for assertion in condition.assertions:
        if assertion.threshold is None:
            continue
        threshold = base.thresholds.get(assertion.threshold)
        if threshold is None:
            near = did_you_mean(assertion.threshold, list(base.thresholds))
            yield _at(place, f"{assertion.keyword}: no threshold '{assertion.threshold}'{near}")
            continue
        in_days = assertion.word.attribute in ("age", "days_after_counselling")
        needed = "d" if in_days else CANONICAL_UNITS.get(condition.key)
        if assertion.word.attribute == "single_dose" and needed:
            needed = needed.removesuffix("/d")
        if needed is None:
            yield _at(place, f"{assertion.keyword}: '{condition.concept}' has no number to compare")
        elif threshold.unit != needed:
            yield _at(place, f"{assertion.keyword}: '{threshold.id}' is in {threshold.unit}, this fact is in {needed}")


def _all_clauses(base: KnowledgeBase) -> Iterator[Clause]:
    for rule in base.rules:
        yield from rule.clauses()
    for activity in base.activities.values():
        yield from activity.redundant


def _texts(base: KnowledgeBase) -> Iterator[str]:
    for rule in base.rules:
        if rule.then is None:
            continue
        cards = [rule.then.card] if rule.then.card else []
        for card in cards:
            yield card.summary
            yield from (part.text for part in card.detail)
        for variant in rule.then.variants:
            yield variant.summary or ""
            yield from (part.text for part in variant.detail or ())
        if rule.then.modifies:
            yield from (*rule.then.modifies.replace.values(), *rule.then.modifies.add)


def _unused(base: KnowledgeBase) -> Iterator[Problem]:
    used = set(FACT_THRESHOLDS)
    for condition in conditions_of(_all_clauses(base)):
        used.update(a.threshold for a in condition.assertions if a.threshold)
    for text in _texts(base):
        used.update(placeholders(text))
    for threshold in base.thresholds.values():
        if threshold.id not in used:
            yield _at(threshold.place, f"threshold '{threshold.id}' is used by no rule; drop it")
    wanted = {a for rule in base.rules for a in (activity.id for activity in _activities(base, rule))}
    for activity in base.activities.values():
        if activity.id not in wanted:
            yield _at(activity.place, f"activity '{activity.id}' is suggested by no rule; drop it")
    tested = {c.concept for c in conditions_of(_all_clauses(base)) if c.kind == "finding"}
    for rule in base.rules:
        if rule.concludes and rule.concludes not in tested:
            yield _at(rule.place, f"finding '{rule.concludes}' is tested by no rule; drop it")


def _activities(base: KnowledgeBase, rule: Rule) -> Iterator[Activity]:
    if rule.then is None:
        return
    forms = [rule.then.card.suggest] if rule.then.card else []
    forms.extend(variant.suggest or () for variant in rule.then.variants)
    for suggestions in forms:
        for suggestion in suggestions:
            for name in suggestion.create:
                if name in base.activities:
                    yield base.activities[name]


def _circles(base: KnowledgeBase) -> Iterator[Problem]:
    """Suppression and findings must each be free of circles, or the order of evaluation would decide."""
    shown = [rule for rule in base.rules if rule.concludes is None]
    suppression = {rule.id: suppressed_by(base, rule) for rule in shown}
    for name in _on_circle(suppression):
        yield _at(base.rule(name).place, f"suppresses: '{name}' is part of a circle; one of them must not suppress")
    needs: dict[str, set[str]] = {}
    for rule in base.rules:
        if rule.concludes:
            tested = {c.concept for c in conditions_of(rule.clauses()) if c.kind == "finding"}
            needs.setdefault(rule.concludes, set()).update(tested)
    for name in _on_circle(needs):
        rule = next(r for r in base.rules if r.concludes == name)
        yield _at(rule.place, f"concludes: finding '{name}' depends on itself")


def suppressed_by(base: KnowledgeBase, rule: Rule) -> set[str]:
    """The rules that a standing card of ``rule`` removes (topics expanded, itself excepted)."""
    names: set[str] = set()
    for name in rule.suppresses:
        if name in base.topics:
            names.update(r.id for r in base.rules if r.topic == name and r.concludes is None and r.id != rule.id)
        else:
            names.add(name)
    return names


def _on_circle(graph: Mapping[str, set[str]]) -> list[str]:
    found = []
    for start in graph:
        queue, seen = list(graph[start]), set()
        while queue:
            node = queue.pop()
            if node == start:
                found.append(start)
                break
            if node not in seen:
                seen.add(node)
                queue.extend(graph.get(node, ()))
    return found


def clause_text(clause: Clause) -> str:
    """A clause as it stands in the rule file, on one line."""
    if isinstance(clause, AnyOf):
        return "any: " + " | ".join(" & ".join(clause_text(c) for c in a) for a in clause.alternatives)
    words = [f"{a.keyword}: {a.threshold or str(a.literal).lower()}" for a in clause.assertions]
    extra = ["or unknown"] if clause.or_unknown else []
    return ", ".join([f"{clause.kind}: {clause.concept}", *words, *extra])
