"""The worked example of CONTRIBUTING.md is a rule: its blocks load, pass their cases, and put a card on the screen."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cds.advise import Adviser
from cds.assurance import run_cases
from cds.hooks import HookRequest
from cds.knowledge import Case, KnowledgeBase, bundled_rules, check, load_cases, load_knowledge
from tests.patients import NOW, due, little_sun, request

TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^`rules/([^`]+)`[^\n]*\n\n```yaml\n(.*?)```", TEXT, flags=re.MULTILINE | re.DOTALL)
RULE = "sunlight-answer-outdated"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of rules/ with the blocks in it: new files, and lines at the end of one that was there."""
    root = tmp_path_factory.mktemp("example") / "rules"
    shutil.copytree(bundled_rules(), root)
    for name, block in BLOCKS:
        path = root / name
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        path.write_text(before + block, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def base(root: Path) -> KnowledgeBase:
    return load_knowledge(root)


@pytest.fixture(scope="module")
def cases(root: Path, base: KnowledgeBase) -> tuple[Case, ...]:
    cases, problems = load_cases(base, root)
    assert [str(problem) for problem in problems] == []
    return tuple(case for case in cases if case.rule == RULE)


def asked_in_june() -> HookRequest:
    return request("patient-view", due(), little_sun("2026-06-15"))


def topics(adviser: Adviser, asked: HookRequest) -> list[str]:
    """The rules whose cards are shown."""
    cards = adviser.advise(asked, NOW).cards
    return [card.source.topic.code for card in cards if card.source.topic is not None]


def test_the_example_has_a_rule_a_number_cases_and_both_languages() -> None:
    assert [Path(name).name for name, _ in BLOCKS] == [
        f"{RULE}.yaml",
        "thresholds.yaml",
        f"{RULE}.cases.yaml",
        f"{RULE}.es.yaml",
        f"{RULE}.zh-Hans.yaml",
    ]


def test_nothing_but_a_signature_is_missing_from_the_example(base: KnowledgeBase) -> None:
    told = [str(problem) for problem in check(base) if RULE in str(problem) or "sunlight-answer" in str(problem)]
    assert len(told) == 2
    assert all("open sign-off" in row for row in told)


def test_the_cases_of_the_example_pass(base: KnowledgeBase, cases: tuple[Case, ...]) -> None:
    with Adviser(base) as adviser:
        results = run_cases(adviser, cases)
    assert len(results) == 4
    assert [(result.case.name, result.problems) for result in results if not result.passed] == []


def test_the_card_of_the_example_is_shown_only_where_the_rule_is(adviser: Adviser, base: KnowledgeBase) -> None:
    assert RULE not in topics(adviser, asked_in_june())
    with Adviser(base) as taught:
        (card,) = [
            card
            for card in taught.advise(asked_in_june(), NOW).cards
            if card.source.topic is not None and card.source.topic.code == RULE
        ]
        assert card.summary == "The last answer on sunlight is older than 90 days: consider asking again"
        assert "The newest answer on record is: low." in (card.detail or "")
        assert RULE not in topics(taught, request("patient-view", due(), little_sun("2026-11-02")))
