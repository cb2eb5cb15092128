"""The founding text is kept: every statement has rules that carry it and cases that show it, and the page says so."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from cds.assurance.document import to_markdown
from cds.assurance.matrix import Row, as_document, gaps, matrix
from cds.cli import main
from cds.knowledge import KnowledgeBase, bundled_rules, load_cases, load_knowledge
from tests.knowledge.small_rules import Rules, small_rules

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT.parent / "shared" / "clinical"
# Rows of the catalogue that are no card: the reading of the record itself, in Python.
IN_PYTHON = {"GA-02": "cds/facts/pregnancy.py", "GA-03": "cds/facts/record.py"}


@pytest.fixture(scope="module")
def base() -> KnowledgeBase:
    return load_knowledge()


@pytest.fixture(scope="module")
def rows(base: KnowledgeBase) -> tuple[Row, ...]:
    return matrix(base, load_cases(base, bundled_rules())[0])


def catalogue(name: str) -> Iterator[dict[str, str]]:
    path = CATALOGUE / name
    if not path.is_file():
        pytest.skip("the clinical catalogue is not on this machine (folder shared/clinical beside the checkout)")
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def test_the_founding_text_has_thirty_five_statements_in_order(base: KnowledgeBase) -> None:
    assert list(base.statements) == [f"S{number}" for number in range(1, 36)]


def test_every_statement_has_a_rule_and_a_case_that_shows_it(rows: tuple[Row, ...]) -> None:
    assert list(gaps(rows)) == []


def test_the_page_is_what_the_rules_say_today(base: KnowledgeBase, rows: tuple[Row, ...]) -> None:
    page = (ROOT / "rules" / "MATRIX.md").read_text(encoding="utf-8")
    assert page == to_markdown(as_document(base, rows)), "run: prenatal-cds matrix --output rules/MATRIX.md"


def test_every_link_of_the_page_leads_to_a_file(base: KnowledgeBase, rows: tuple[Row, ...]) -> None:
    page = to_markdown(as_document(base, rows))
    targets = {part.partition(">")[0] for part in page.split("](<")[1:]}
    assert targets
    assert {target for target in targets if not (ROOT / "rules" / target).is_file()} == set()


def test_every_statement_is_carried_by_each_rule_of_the_catalogue_that_it_names(base: KnowledgeBase) -> None:
    written = {row["rule_id"] for row in catalogue("rules.csv")}
    missing = []
    for row in catalogue("seed-statements.csv"):
        for pattern in row["rule_ids"].split():
            for id in sorted(name for name in written if fnmatchcase(name, pattern)):
                if not any(rule.catalogue == id and row["statement_id"] in rule.seed for rule in base.rules):
                    missing.append(f"{row['statement_id']} {id}")
    assert missing == []


def test_a_statement_is_agreed_with_as_far_as_the_catalogue_says(base: KnowledgeBase) -> None:
    for row in catalogue("seed-statements.csv"):
        said = row["agreement_with_guidance"].upper()
        first = said.split(" (")[0].split(" WITH")[0].split(" AS ")[0].split(" ON ")[0].replace(" ", "-").lower()
        mixed = "/ DISAGREE" in said
        allowed = {"partly-agree", "partly-disagree"} if mixed else {first}
        assert base.statements[row["statement_id"]].agreement in allowed, row["statement_id"]


def test_every_row_of_the_catalogue_is_a_rule_or_named_as_python(base: KnowledgeBase) -> None:
    have = {rule.catalogue for rule in base.rules}
    assert [r["rule_id"] for r in catalogue("rules.csv") if r["rule_id"] not in have | IN_PYTHON.keys()] == []
    assert {id: path for id, path in IN_PYTHON.items() if not (ROOT / path).is_file()} == {}


# -- the verb, and what lint says of a tag ----------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Rules:
    rules = small_rules(tmp_path)
    rules.edit("advice/low-calcium.yaml", "catalogue: XX-02\n", "catalogue: XX-02\nseed: [S1]\n")
    rules.edit("advice/low-calcium.cases.yaml", "2.09 mmol/L is below 2.10 mmol/L]\n", "2.09]\n    seed: [S1]\n")
    return rules


def test_a_statement_without_rule_or_case_is_told_and_is_a_failure(
    small: Rules, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["matrix", "--rules", str(small.root)]) == 1
    out, err = capfd.readouterr()
    assert err.splitlines() == ["S2: no rule lists it under seed", "S2: no case is tagged with it (seed: [S2])"]
    assert (
        "| S1 | Calcium may be low. | Measure it first. | agree | [XX-02 low-calcium](<advice/low-calcium.yaml>)" in out
    )


def test_the_matrix_for_programs_holds_the_same(
    small: Rules, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "matrix.json"
    assert main(["matrix", "--rules", str(small.root), "--format", "json", "--output", str(path)]) == 1
    first, second = json.loads(path.read_text(encoding="utf-8"))
    assert first["rules"] == [{"id": "low-calcium", "catalogue": "XX-02"}]
    assert first["cases"] == [{"rule": "low-calcium", "name": "just below the limit", "fires": True}]
    assert (second["rules"], second["cases"], second["but"]) == ([], [], "Not in tests.")
    assert capfd.readouterr().out == ""


def test_a_case_shows_only_what_its_rule_carries(small: Rules) -> None:
    small.edit("advice/low-calcium.cases.yaml", "seed: [S1]", "seed: [S2]")
    (problem,) = small.case_problems()
    assert problem.endswith("the rule does not list 'S2' under seed; list it there or drop it here")


def test_a_rule_carries_only_statements_that_exist(small: Rules) -> None:
    small.edit("advice/low-calcium.yaml", "seed: [S1]", "seed: [S3]")
    assert any(problem.endswith("seed: no statement 'S3' in seed.yaml") for problem in small.problems())


def test_the_founding_text_changes_no_hash_because_it_reaches_no_card(small: Rules) -> None:
    before = small.load().hash
    small.edit("seed.yaml", "Measure it first.", "Measure it twice.")
    assert small.load().hash == before
    small.edit("profiles/seed.yaml", "The test's own", "Another")
    assert small.load().hash != before, "a profile of the same name still counts"
