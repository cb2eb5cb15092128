"""The cases beside a rule: sentence-named patients in facts, a frozen day, and what the rule must do.

    today: 2026-11-22
    base:
      - {gestation: pregnant}
      - {lab: serum-calcium, value: 2.02 mmol/L, date: 2026-11-10}
    cases:
      - name: measured one day too early
        with:
          - {lab: serum-calcium, value: 2.02 mmol/L, date: 2026-10-10}
        expect: fires
        indicator: warning
        says: [text of the card, another text of it]
        says_not: [text that must not stand on the card]
        suggests: [serum-calcium-test]
        seed: [S23]

A fact that no case names is unknown. `with` adds to the base or replaces the fact of the same kind and concept.
`suggests` lists every activity that the card proposes, in order; an empty list says that it proposes none.
`seed` names the statements of the founding text that the case shows being kept; the rule carries them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from cds.knowledge.errors import Problem
from cds.knowledge.model import Assertion, Condition, FactKey, KnowledgeBase, Rule, conditions_of
from cds.knowledge.source import Item, Place, Reader
from cds.knowledge.vocabulary import CANONICAL_UNITS, INDICATORS, KINDS, SIDES

Value = bool | Decimal | str


@dataclass(frozen=True)
class CaseFact:
    """One fact of a case. ``state`` is known, absent or unknown; ``attributes`` are the values the engine sees."""

    kind: str
    concept: str
    state: str
    attributes: Mapping[str, Value]
    day: date | None


@dataclass(frozen=True)
class Case:
    rule: str
    name: str
    today: date
    facts: Mapping[FactKey, CaseFact]
    fires: bool
    indicator: str | None
    says: tuple[str, ...]
    says_not: tuple[str, ...]
    suggests: tuple[str, ...] | None
    seed: tuple[str, ...]
    place: Place

    @property
    def id(self) -> str:
        return f"{self.rule}::{self.name}"


def load_cases(base: KnowledgeBase, root: Path) -> tuple[tuple[Case, ...], list[Problem]]:
    """All cases of all rules, and what is wrong with them, missing ones included."""
    reader = Reader()
    cases: list[Case] = []
    for rule in base.rules:
        path = root / rule.topic / f"{rule.id}.cases.yaml"
        if not path.is_file():
            reader.report(rule.place, f"no cases: write {rule.topic}/{rule.id}.cases.yaml beside the rule")
            continue
        cases.extend(_cases(reader, rule, path, root))
    problems = list(reader.problems)
    if not problems:
        for rule in base.rules:
            problems.extend(_demands(base, rule, [c for c in cases if c.rule == rule.id]))
    return tuple(cases), sorted(set(problems))


_CASE_KEYS = ("name", "with", "expect", "indicator", "says", "says_not", "suggests", "seed")


def _cases(reader: Reader, rule: Rule, path: Path, root: Path) -> Iterator[Case]:
    item = reader.file(path, root)
    entry = item.mapping(("today", "base", "cases"), ("today", "cases"))
    today = entry["today"].day() if "today" in entry else date(1970, 1, 1)
    common = _facts(entry.get("base"), today)
    names: set[str] = set()
    for row in entry["cases"].list() if "cases" in entry else []:
        case = row.mapping(_CASE_KEYS, ("name", "expect"))
        name = case["name"].text() if "name" in case else ""
        if name in names:
            row.problem(f"two cases are named '{name}'; a name says what is special")
        names.add(name)
        expect = case["expect"].choice(("fires", "silent")) if "expect" in case else "silent"
        yield Case(
            rule=rule.id,
            name=name,
            today=today,
            facts={**common, **_facts(case.get("with"), today)},
            fires=expect == "fires",
            indicator=case["indicator"].choice(INDICATORS) if "indicator" in case else None,
            says=case["says"].texts() if "says" in case else (),
            says_not=case["says_not"].texts() if "says_not" in case else (),
            suggests=case["suggests"].texts() if "suggests" in case else None,
            seed=tuple(_carried(rule, case["seed"])) if "seed" in case else (),
            place=row.place,
        )


def _carried(rule: Rule, item: Item) -> Iterator[str]:
    """The statements that a case names; its rule must carry them."""
    for row in item.list():
        if row.text() not in rule.seed:
            row.problem(f"the rule does not list '{row.text()}' under seed; list it there or drop it here")
        yield row.text()


_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?)\s*(\S+)")
_GESTATION = re.compile(r"(\d+)w([0-6])d")
_KEYS = (
    "value", "date", "absent", "unknown", "is", "side", "one_sided", "persistent", "active", "selected", "dose",
    "single_dose", "dose_known", "present", "coded", "severe", "above_range", "below_range", "lower_limit",
    "upper_limit", "pregnancy_range", "result", "after_signs", "reason", "days_after_counselling",
)  # fmt: skip


def _facts(item: Item | None, today: date) -> dict[FactKey, CaseFact]:
    facts: dict[FactKey, CaseFact] = {}
    for row in item.list() if item else []:
        entries = dict(row.items())
        subject = [key for key in entries if key in KINDS]
        if len(subject) != 1:
            row.problem(f"a fact names one kind: {', '.join(KINDS)}")
            continue
        kind = subject[0]
        concept = entries.pop(kind).text()
        for key, value in list(entries.items()):
            if key not in _KEYS:
                value.problem(f"a case says nothing with '{key}' (known: {', '.join(_KEYS)})")
                del entries[key]
        facts[(kind, concept)] = _fact(kind, concept, entries, today)
    return facts


_FLAGS = (
    "one_sided", "persistent", "severe", "active", "selected", "dose_known", "present", "coded", "above_range",
    "below_range", "lower_limit", "upper_limit", "after_signs",
)  # fmt: skip
_WORDS = {
    "pregnancy_range": ("below", "inside", "above", "none"),
    "result": ("negative", "positive", "unclear"),
    "reason": ("malaria",),
}


def _ranges(said: Mapping[str, Value]) -> dict[str, Value]:
    """What a laboratory fact says about ranges where the case does not: as cds/facts would give it."""
    place = said.get("pregnancy_range", "none")
    above, below = said.get("above_range", place == "above"), said.get("below_range", place == "below")
    return {
        "pregnancy_range": place,
        "above_range": above,
        "below_range": below,
        "upper_limit": place in ("above", "inside") or "above_range" in said,
        "lower_limit": place in ("below", "inside") or "below_range" in said,
    }


def _fact(kind: str, concept: str, entries: dict[str, Item], today: date) -> CaseFact:
    if "unknown" in entries:
        return CaseFact(kind, concept, "unknown", {}, None)
    if "absent" in entries:
        return CaseFact(kind, concept, "absent", {"present": False}, None)
    attributes: dict[str, Value] = {"present": True}
    day = entries["date"].day() if "date" in entries else None
    if day is not None:
        attributes["age"] = Decimal((today - day).days)
    for key in ("value", "dose", "single_dose"):
        if key in entries:
            attributes[key] = _quantity(entries[key], kind, concept, once=key == "single_dose")
    for key, name in (("is", "level"), ("side", "side")):
        if key in entries and not (kind == "gestation" and key == "is"):
            attributes[name] = entries[key].choice(SIDES) if key == "side" else entries[key].text()
    for key, choices in _WORDS.items():
        if key in entries:
            attributes[key] = entries[key].choice(choices)
    if "days_after_counselling" in entries:
        attributes["days_after_counselling"] = entries["days_after_counselling"].number()
    for key in _FLAGS:
        if key in entries:
            attributes[key] = entries[key].boolean()
    if kind == "gestation" and "is" in entries:
        attributes["present"] = entries["is"].boolean()
    if kind == "order":
        attributes.setdefault("selected", True)
    if kind in ("order", "medication"):
        attributes.setdefault("dose_known", "dose" in attributes)
    if kind == "lab":
        attributes = {**_ranges(attributes), **attributes}
    if kind == "symptom" and attributes["present"] is True:
        attributes.setdefault("coded", True)
    if attributes.get("side") in SIDES:
        attributes.setdefault("one_sided", attributes["side"] in ("left", "right"))
        if attributes["side"] == "unknown":
            del attributes["one_sided"]
    return CaseFact(kind, concept, "known", attributes, day)


def _quantity(item: Item, kind: str, concept: str, *, once: bool = False) -> Decimal:
    text = item.text()
    unit = CANONICAL_UNITS.get((kind, concept), "")
    unit = unit.removesuffix("/d") if once else unit
    weeks = _GESTATION.fullmatch(text)
    if weeks and unit == "d":
        return Decimal(int(weeks[1]) * 7 + int(weeks[2]))
    match = _QUANTITY.fullmatch(text)
    if not match or match[2] != unit:
        item.problem(f"'{text}': write a number and its unit, here {unit}, for example '2.02 {unit}'")
        return Decimal(0)
    return Decimal(match[1])


def _demands(base: KnowledgeBase, rule: Rule, cases: list[Case]) -> Iterator[Problem]:
    """What every rule's cases must show: both outcomes, each limit from both sides, each needed fact unknown."""
    place = cases[0].place if cases else rule.place

    def problem(message: str) -> Problem:
        return Problem(place.file, 1, message)

    if not any(case.fires for case in cases):
        yield problem("no case fires; show the patient this rule is for")
    if not any(not case.fires for case in cases):
        yield problem("no case is silent; show a patient this rule must leave alone")
    for condition in conditions_of(rule.clauses()):
        for assertion, limit in _limits(base, condition):
            seen = {
                fact.attributes[assertion.word.attribute]
                for case in cases
                if (fact := case.facts.get(condition.key)) is not None and assertion.word.attribute in fact.attributes
            }
            for value, where in ((limit, "at"), across(assertion, limit)):
                if value not in seen:
                    yield problem(
                        f"no case has {condition.kind}: {condition.concept} {where} "
                        f"'{assertion.threshold}' ({value.normalize():f})"
                    )
    for condition in conditions_of(iter(rule.when)):
        if condition.is_fact and not any(
            (fact := case.facts.get(condition.key)) is None or fact.state == "unknown" for case in cases
        ):
            yield problem(f"no case leaves {condition.kind}: {condition.concept} unknown")


def _limits(base: KnowledgeBase, condition: Condition) -> Iterator[tuple[Assertion, Decimal]]:
    for assertion in condition.assertions:
        if assertion.threshold is not None:
            yield assertion, base.number(assertion.threshold)


def across(assertion: Assertion, limit: Decimal) -> tuple[Decimal, str]:
    """The nearest value on the other side of a limit, one step of its last digit away, and where that is.

    At the limit itself `at_most` still holds and `above` does not yet: both change just above it. `at_least` still
    holds and `below` does not yet: both change just below it.
    """
    step = Decimal(1).scaleb(min(0, int(limit.as_tuple().exponent)))
    if assertion.word.operator in ("<=", ">"):
        return limit + step, "just above"
    return limit - step, "just below"
