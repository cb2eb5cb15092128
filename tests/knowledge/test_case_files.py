"""What the cases beside a rule must show before the knowledge counts as tested."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds.knowledge import load_cases
from tests.knowledge.small_rules import Rules, threshold

CASES = "advice/calcium-test-missing.cases.yaml"
LOW_CASES = "advice/low-calcium.cases.yaml"


def test_complete_cases_have_no_problem(rules: Rules) -> None:
    assert rules.case_problems() == []


def test_a_case_is_its_facts_over_those_of_the_base(rules: Rules) -> None:
    cases, _ = load_cases(rules.load(), rules.root)
    case = next(case for case in cases if case.id == "calcium-test-missing::measured one day too early")
    assert case.fires
    assert case.facts[("lab", "serum-calcium")].attributes == {
        "present": True,
        "value": Decimal("2.20"),
        "age": Decimal(43),
        "above_range": False,
        "below_range": False,
        "upper_limit": False,
        "lower_limit": False,
        "pregnancy_range": "none",
    }
    assert case.facts[("request", "serum-calcium")].state == "absent"
    assert case.place.line == rules.line_of(CASES, "measured one day too early")


@pytest.mark.parametrize(
    ("file", "case", "problem"),
    [
        (CASES, "measured on the last day that counts", "no case has lab: serum-calcium at 'calcium-recency' (42)"),
        (CASES, "measured one day too early", "no case has lab: serum-calcium just above 'calcium-recency' (43)"),
        (CASES, "ordered on the first day of the window", "no case has request: serum-calcium at 'order-window' (14)"),
        (CASES, "nobody knows whether she is pregnant", "no case leaves gestation: pregnant unknown"),
        (CASES, "the laboratory history was not supplied", "no case leaves lab: serum-calcium unknown"),
        (LOW_CASES, "at the limit", "no case has lab: serum-calcium at 'calcium-low' (2.1)"),
    ],
)  # fmt: skip
def test_a_limit_or_an_unknown_fact_without_a_case_is_told(rules: Rules, file: str, case: str, problem: str) -> None:
    text = (rules.root / file).read_text()
    head, _, rest = text.partition(f"  - name: {case}\n")
    _, mark, tail = rest.partition("  - name: ")
    rules.write(file, head + mark + tail)
    assert any(row.startswith(f"{file}:") and problem in row for row in rules.case_problems())


@pytest.mark.parametrize(
    ("outcome", "other", "problem"),
    [
        ("fires", "silent", "no case fires; show the patient this rule is for"),
        ("silent", "fires", "no case is silent; show a patient this rule must leave alone"),
    ],
)
def test_a_rule_is_shown_firing_and_silent(rules: Rules, outcome: str, other: str, problem: str) -> None:
    text = (rules.root / CASES).read_text()
    rules.write(CASES, text.replace(f"expect: {outcome}", f"expect: {other}"))
    assert any(problem in row for row in rules.case_problems())


@pytest.mark.parametrize(
    ("word", "across"),
    [("below", "just below"), ("at_least", "just below"), ("above", "just above"), ("at_most", "just above")],
)
def test_each_word_asks_for_the_value_on_the_other_side_of_its_own_limit(rules: Rules, word: str, across: str) -> None:
    rules.edit("advice/low-calcium.yaml", "below: calcium-low", f"{word}: calcium-low")
    text = (rules.root / LOW_CASES).read_text()
    rules.write(LOW_CASES, text.replace("2.09", "2.00").replace("2.10", "2.20"))
    missing = {row.partition("serum-calcium ")[2] for row in rules.case_problems() if "'calcium-low'" in row}
    value = "2.09" if across == "just below" else "2.11"
    assert missing == {"at 'calcium-low' (2.1)", f"{across} 'calcium-low' ({value})"}


def test_two_limits_of_one_line_are_each_asked_for(rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "below: calcium-low", "at_least: calcium-lowest, at_most: calcium-low")
    limits = (rules.root / "advice/thresholds.yaml").read_text() + threshold("calcium-lowest", "1.00 mmol/L")
    rules.write("advice/thresholds.yaml", limits)
    missing = {row.partition("serum-calcium ")[2] for row in rules.case_problems() if "'calcium-low" in row}
    assert missing == {
        "at 'calcium-lowest' (1)",
        "just below 'calcium-lowest' (0.99)",
        "just above 'calcium-low' (2.11)",
    }


def test_a_rule_without_cases_is_told_where_to_write_them(rules: Rules) -> None:
    (rules.root / CASES).unlink()
    assert rules.case_problems() == [f"advice/calcium-test-missing.yaml:1: no cases: write {CASES} beside the rule"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("2.20 mmol/L, date: 2026-10-11", "8.8 mg/dL, date: 2026-10-11", "write a number and its unit, here mmol/L"),
        ("date: 2026-11-08", "day: 2026-11-08", "a case says nothing with 'day'"),
        ("date: 2026-11-08", "date: 8 November", "a date like 2026-11-22 is needed here"),
        ("measured one day too early", "calcium was never measured", "two cases are named"),
        ("{request: serum-calcium, date: 2026-11-08}", "{order: x, lab: y}", "a fact names one kind"),
        ("    indicator: info", "    indicator: danger", "'danger' is not one of info, warning, critical"),
    ],
)  # fmt: skip
def test_a_fault_in_a_case_is_told_with_its_line(rules: Rules, old: str, new: str, problem: str) -> None:
    rules.edit(CASES, old, new)
    assert any(row.startswith(f"{CASES}:") and problem in row for row in rules.case_problems())
