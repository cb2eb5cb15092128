"""`prenatal-cds test`: what a rule's author sees."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli
from tests.knowledge.small_rules import Rules

CASES = "advice/low-calcium.cases.yaml"


def test_all_cases_pass_and_are_counted(cli: Cli, rules: Rules) -> None:
    ended = cli("test", "--rules", rules.root)
    assert (ended.code, ended.out, ended.err) == (0, "0 failures in 12 cases of 2 rules\n", "")


def test_one_rule_is_run_alone(cli: Cli, rules: Rules) -> None:
    assert cli("test", "low-calcium", "--rules", rules.root).out == "0 failures in 5 cases of 1 rule\n"


@pytest.mark.parametrize(
    ("old", "new", "name", "told"),
    [
        ("value: 2.10 mmol/L", "value: 2.09 mmol/L", "at the limit",
         "expected silent, but it fires: all conditions are true and no exclusion is"),
        ("value: 2.09 mmol/L, date: 2026-10-11", "value: 2.11 mmol/L, date: 2026-10-11", "just below the limit",
         "expected to fire, but it is silent: condition 'lab: serum-calcium, below: calcium-low' is false"),
        ("{lab: serum-calcium, value: 2.09 mmol/L, date: 2026-10-11}", "{lab: serum-calcium, unknown: true}",
         "just below the limit", "condition 'lab: serum-calcium, below: calcium-low' is unknown"),
        ("date: 2026-10-10", "date: 2026-10-11", "just below the limit but long ago",
         "indicator: expected info, got warning"),
        ("[Serum calcium 2.09 mmol/L is", "[Serum calcium 2.08 mmol/L is", "just below the limit",
         "says: 'Serum calcium 2.08 mmol/L is below 2.10 mmol/L' stands neither in the summary"),
        ("  - {gestation: pregnant}\ncases", "  - {gestation: pregnant}\n  - {lab: serum-calcum, absent: true}\ncases",
         "at the limit", "no rule of patient-view asks about lab: serum-calcum; did you mean 'lab serum-calcium'?"),
    ],
)  # fmt: skip
def test_a_failing_case_is_told_with_its_line_and_what_differed(
    cli: Cli, rules: Rules, old: str, new: str, name: str, told: str
) -> None:
    rules.edit(CASES, old, new)
    ended = cli("test", "low-calcium", "--rules", rules.root)
    assert ended.code == 1
    line = rules.line_of(CASES, f"name: {name}")
    rows = [row for row in ended.out.splitlines() if f"{CASES}:{line}: low-calcium::{name}: " in row]
    assert any(told in row for row in rows), ended.out


def test_an_exclusion_that_holds_is_named(cli: Cli, rules: Rules) -> None:
    rules.edit("advice/calcium-test-missing.cases.yaml", "date: 2026-11-07", "date: 2026-11-09")
    ended = cli("test", "calcium-test-missing", "--rules", rules.root)
    assert ended.code == 1
    assert "exclusion 'request: serum-calcium, open_within: order-window' is true" in ended.out


def test_a_rule_that_another_would_suppress_is_still_judged_by_itself(cli: Cli, rules: Rules) -> None:
    """low-calcium suppresses calcium-test-missing, yet a low result of long ago makes both fire."""
    rules.edit(
        "advice/calcium-test-missing.cases.yaml",
        "value: 2.20 mmol/L, date: 2026-10-10",
        "value: 2.00 mmol/L, date: 2026-10-10",
    )
    assert cli("test", "calcium-test-missing", "--rules", rules.root).code == 0


def test_a_finding_is_judged_by_its_own_rule_though_another_concludes_the_same(cli: Cli, rules: Rules) -> None:
    head = (
        "title: T\nversion: 1.0.0\nstatus: active\ndate: 2026-11-22\ncatalogue: X\nhooks: [patient-view]\n"
        "evidence: [{source: local-policy}]\nstrength: policy\ncaution: None known.\nwhen:\n"
    )
    rules.write(
        "advice/is-low.yaml",
        f"id: is-low\n{head}  - {{lab: serum-calcium, below: calcium-low}}\nconcludes: calcium-matters\n",
    )
    rules.write(
        "advice/is-pregnant.yaml",
        f"id: is-pregnant\n{head}  - {{gestation: pregnant}}\nconcludes: calcium-matters\n",
    )
    rules.edit(
        "advice/low-calcium.yaml",
        "when:\n  - {gestation",
        "when:\n  - {finding: calcium-matters}\n  - {gestation",
    )
    rules.write(
        "advice/is-low.cases.yaml",
        "today: 2026-11-22\nbase: [{gestation: pregnant}]\ncases:\n"
        "  - {name: only the other rule holds, expect: fires}\n",
    )
    ended = cli("test", "is-low", "--rules", rules.root)
    assert ended.code == 1
    assert "only the other rule holds: expected to fire, but it is silent" in ended.out


def test_no_case_at_all_is_a_failure(cli: Cli, rules: Rules) -> None:
    (rules.root / CASES).unlink()
    ended = cli("test", "low-calcium", "--rules", rules.root)
    assert ended.code == 1
    assert ended.out.startswith("0 failures in 0 cases of 1 rule; ")


def test_a_case_file_that_lint_refuses_is_not_passed_over(cli: Cli, rules: Rules) -> None:
    rules.edit(CASES, "value: 2.10 mmol/L", "value: 2.10 mg/dL")
    ended = cli("test", "low-calcium", "--rules", rules.root)
    assert ended.code == 1
    assert "in the case files, see prenatal-cds check" in ended.out


def test_an_unknown_rule_is_wrong_use(cli: Cli, rules: Rules) -> None:
    ended = cli("test", "low-calcum", "--rules", rules.root)
    assert ended.code == 2
    assert ended.complaint == "no rule 'low-calcum'; did you mean 'low-calcium'?"
