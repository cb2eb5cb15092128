"""Every case that stands beside a rule, run with the real engine; the command line runs the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from cds.advise import Adviser
from cds.assurance import run_case
from cds.knowledge import Case, KnowledgeBase, bundled_rules, load_cases, load_knowledge

PROFILES = sorted(path.stem for path in (bundled_rules() / "profiles").glob("*.yaml"))


@cache
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@cache
def cases() -> tuple[Case, ...]:
    return load_cases(knowledge(), bundled_rules())[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cases are read while tests are collected, so that each is a test of its own with the id `rule::case`."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", cases(), ids=lambda case: case.id)


@pytest.fixture(scope="module")
def adviser() -> Iterator[Adviser]:
    with Adviser(knowledge()) as made:
        yield made


def test_the_rule_does_what_its_case_says(adviser: Adviser, case: Case) -> None:
    assert run_case(adviser, case).problems == ()


def test_the_cases_show_all_that_lint_demands_of_them() -> None:
    assert [str(problem) for problem in load_cases(knowledge(), bundled_rules())[1]] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_the_rules_load_with_every_profile(profile: str) -> None:
    base = load_knowledge(profile=profile)
    assert base.profile == profile
    assert {rule.id for rule in base.rules} == {rule.id for rule in knowledge().rules}
