"""The matrix of duties holds: every SHALL is shown by tests that exist, and the page says so."""

from __future__ import annotations

import ast
import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.page import BALLOT, PAGE, markdown
from tests.conformance.requirements import Requirement, load

TESTS = Path(__file__).resolve().parents[1]
LIST = TESTS.parents[1] / "shared" / "data" / "cds-hooks" / "cds-hooks_2.0_requirements.csv"
REQUIREMENTS = load()
BINDING = 73  # 69 SHALL and 4 SHALL NOT, those shared with the client included


@cache
def _named(path: Path) -> tuple[frozenset[str], frozenset[Any]]:
    """The test functions of a file, and the texts that stand in it: the names of cases are among them."""
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(functions), frozenset(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))


def exists(test: str) -> bool:
    """Whether there is such a test: `path::function` or `path::function[case]`."""
    path, _, name = test.partition("::")
    function, _, case = name.removesuffix("]").partition("[")
    functions, texts = _named(TESTS / path)
    return function in functions and (not case or case in texts)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: str(requirement.id))
def test_a_duty_is_shown_by_tests_that_exist_or_has_a_reason(requirement: Requirement) -> None:
    assert requirement.duty.endswith(".")
    assert not requirement.pending, f"still to be built and shown: {requirement.pending}"
    assert bool(requirement.tests) != bool(requirement.reason), "name its tests, or give the reason why there is none"
    for test in requirement.tests:
        assert exists(test), f"there is no test {test}"


@pytest.mark.parametrize("requirement", [row for row in REQUIREMENTS if row.binding], ids=lambda row: str(row.id))
def test_every_shall_has_a_test(requirement: Requirement) -> None:
    assert requirement.tests, f"{requirement.strength}: {requirement.duty}"


@pytest.mark.parametrize(
    ("test", "there"),
    [
        ("conformance/test_requirements.py::test_every_shall_has_a_test", True),
        ("conformance/test_requirements.py::test_only_a_test_that_is_there_exists[a case of this test]", True),
        ("conformance/test_requirements.py::test_only_a_test_that_is_there_exists[another" + " case]", False),
        ("conformance/test_requirements.py::test_every_shall_has_tests", False),
        ("conformance/test_nothing.py::test_every_shall_has_a_test", False),
    ],
    ids=["a function", "a case of this test", "no such case", "no such function", "no such file"],
)
def test_only_a_test_that_is_there_exists(test: str, there: bool) -> None:
    assert exists(test) == there


def test_the_list_is_as_long_as_the_one_that_it_follows() -> None:
    strengths = [requirement.strength for requirement in REQUIREMENTS]
    assert len(strengths) == len({requirement.id for requirement in REQUIREMENTS}) == 120
    assert sum(strength.startswith("SHALL") for strength in strengths) == BINDING


def test_the_duties_are_those_of_the_numbered_list() -> None:
    if not LIST.is_file():
        pytest.skip("the list is not on this machine (shared/data/cds-hooks beside the checkout)")
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "Service" in row["Actors"]]
    listed = [(int(row["ID"]), row["URL"].partition("#")[2], row["Conformance"]) for row in rows]
    assert [(row.id, row.section, row.strength) for row in REQUIREMENTS] == listed
    sentences = {row["Requirement"].strip() for row in rows}
    assert not [row.id for row in REQUIREMENTS if row.duty in sentences], "duties are told in our own words"


@pytest.mark.parametrize("name", re.findall(r"`(\w+)`\)", BALLOT))
def test_what_the_page_says_of_the_ballot_is_shown_by_tests_that_exist(name: str) -> None:
    files = (*TESTS.glob("conformance/test_*.py"), *TESTS.glob("service/test_*.py"))
    assert any(f"test_{name}" in _named(file)[0] for file in files)


def test_the_page_is_up_to_date() -> None:
    said = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    assert said == markdown(REQUIREMENTS), "run `python -m tests.conformance.page`"
