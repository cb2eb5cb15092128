"""`prenatal-cds check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.knowledge.small_rules import REAL_RULES, Rules


def test_rules_without_faults_end_in_a_count_of_everything(cli: Cli, rules: Rules) -> None:
    ended = cli("check", "--rules", rules.root)
    assert (ended.code, ended.err) == (0, "")
    base = rules.load()
    salts = len([salt for salt in base.salts if salt.confidence != "VERIFIED"])
    assert ended.out == (
        f"2 rules, 12 cases, {len(base.thresholds)} thresholds, {len(base.concepts)} value sets; profile seed, "
        f"knowledge {base.hash[:12]}; {2 + salts} open sign-offs (1 rule, 1 number, {salts} salts; "
        "--sign-offs lists them)\n"
    )


def test_open_sign_offs_are_listed_on_demand_and_are_no_failure(cli: Cli, rules: Rules) -> None:
    ended = cli("check", "--rules", rules.root, "--sign-offs")
    assert ended.code == 0
    heading, *rows, empty, total = ended.out.splitlines()
    assert (heading, empty) == ("Open sign-offs", "")
    assert f"; {len(rows)} open sign-offs (1 rule, 1 number, " in total
    assert "open sign-off: rule 'calcium-test-missing' (XX-01) is draft" in ended.out


def test_a_problem_is_printed_with_a_path_that_opens(cli: Cli, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    rules.edit("advice/low-calcium.yaml", "below: calcium-low,", "below: calcium-lo,")
    monkeypatch.chdir(rules.root.parent)
    ended = cli("check", "--rules", "rules")
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "Problems",
        "rules/advice/low-calcium.yaml:14: when[1]: below: no threshold 'calcium-lo'; did you mean 'calcium-low'?",
        "",
        "1 problem; nothing was loaded",
    ]
    assert Path(ended.out.splitlines()[1].partition(":")[0]).is_file()


def test_a_missing_case_is_a_problem(cli: Cli, rules: Rules) -> None:
    rules.edit("advice/low-calcium.cases.yaml", "value: 2.10", "value: 2.30")
    ended = cli("check", "--rules", rules.root)
    assert ended.code == 1
    assert "low-calcium.cases.yaml:1: no case has lab: serum-calcium at 'calcium-low' (2.1)" in ended.out
    assert "1 problem; 2 rules, 12 cases" in ended.out


def test_a_missing_translation_is_listed_under_its_own_heading_and_is_a_failure(cli: Cli, rules: Rules) -> None:
    rules.write("languages/es.yaml", (REAL_RULES / "languages" / "es.yaml").read_text(encoding="utf-8"))
    ended = cli("check", "--rules", rules.root)
    assert ended.code == 1
    heading, *rows = ended.out.splitlines()
    assert heading == "Missing or stale translations (these cards are shown in English)"
    assert any(row.endswith("advice/low-calcium.yaml:1: es: rule 'low-calcium' is not translated") for row in rows)
    assert " gaps; 2 rules, 12 cases" in rows[-1]


def test_cases_are_held_against_the_default_profile_whichever_is_checked(cli: Cli, rules: Rules) -> None:
    ended = cli("check", "--rules", rules.root, "--profile", "strict")
    assert ended.code == 0
    assert "profile strict" in ended.out


def test_a_fault_in_a_site_file_is_found(cli: Cli, rules: Rules, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("title: Here\ncodes:\n  - {concept: cramps, system: sct, code: '1', display: x}\n")
    ended = cli("check", "--rules", rules.root, "--site", site)
    assert ended.code == 1
    assert "site.yaml:3: codes[0]: no concept 'cramps'" in ended.out


def test_a_flag_wins_over_the_environment(cli: Cli, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_RULES_DIR", str(rules.root))
    monkeypatch.setenv("PRENATAL_CDS_PROFILE", "strict")
    assert "profile strict" in cli("check").out
    assert "profile seed" in cli("check", "--profile", "seed").out
