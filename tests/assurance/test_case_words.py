"""What a case may say about a card: text that stands on it, text that must not, and exactly what it proposes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.advise import Adviser
from cds.assurance import run_case
from cds.knowledge import load_cases
from tests.knowledge.small_rules import Rules, small_rules

CASES = "advice/calcium-test-missing.cases.yaml"
FIRST = "calcium-test-missing::calcium was never measured"
SUMMARY, OTHERS = "No serum calcium in 42 days", "tests at other hospitals"


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """A folder of two rules without a problem."""
    return small_rules(tmp_path)


def problems(rules: Rules, name: str = FIRST) -> tuple[str, ...]:
    base = rules.load()
    cases, faults = load_cases(base, rules.root)
    assert faults == []
    with Adviser(base) as adviser:
        return run_case(adviser, next(case for case in cases if case.id == name)).problems


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("says_not: [started without a test]", ()),
        (
            f"says_not: [{OTHERS}]",
            (f"says_not: {OTHERS!r} stands in the summary {SUMMARY!r} or in the detail",),
        ),
        ("suggests: [serum-calcium-test]", ()),
        ("suggests: []", ("suggests: expected [], got ['serum-calcium-test']",)),
        (
            "suggests: [serum-calcium-test, albumin-test]",
            ("suggests: expected ['serum-calcium-test', 'albumin-test'], got ['serum-calcium-test']",),
        ),
    ],
)  # fmt: skip
def test_a_card_is_held_to_what_its_case_says(rules: Rules, line: str, told: tuple[str, ...]) -> None:
    rules.edit(CASES, "    indicator: info\n", f"    indicator: info\n    {line}\n")
    assert problems(rules) == told


def test_an_order_that_is_already_open_is_not_among_the_proposals(rules: Rules) -> None:
    rules.edit("advice/calcium-test-missing.yaml", "open_within: order-window}", "open_within: calcium-recency}")
    rules.edit(
        "activities.yaml",
        "redundant:\n    - {request: serum-calcium, open_within: order-window}",
        "redundant:\n    - {request: albumin, open_within: order-window}",
    )
    rules.write(CASES, CASES_WITH_AN_OPEN_ORDER)
    assert problems(rules, "calcium-test-missing::albumin is on its way") == ()


CASES_WITH_AN_OPEN_ORDER = """\
today: 2026-11-22
base:
  - {gestation: pregnant}
  - {lab: serum-calcium, absent: true}
  - {request: serum-calcium, absent: true}
cases:
  - name: albumin is on its way
    with:
      - {request: albumin, date: 2026-11-20}
    expect: fires
    suggests: []
  - {name: at the limit, with: [{lab: serum-calcium, value: 2.20 mmol/L, date: 2026-10-11}], expect: silent}
  - {name: past the limit, with: [{lab: serum-calcium, value: 2.20 mmol/L, date: 2026-10-10}], expect: fires}
  - {name: ordered, with: [{request: serum-calcium, date: 2026-10-11}], expect: silent}
  - {name: ordered long ago, with: [{request: serum-calcium, date: 2026-10-10}], expect: fires}
  - {name: pregnancy unknown, with: [{gestation: pregnant, unknown: true}], expect: silent}
  - {name: laboratory unknown, with: [{lab: serum-calcium, unknown: true}], expect: silent}
"""
