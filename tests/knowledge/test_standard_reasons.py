"""Override reasons of others: what the file may say, and what becomes of it."""

from __future__ import annotations

import pytest

from cds.knowledge import KnowledgeBase
from tests.knowledge.small_rules import Rules

FILE = "standard-reasons.yaml"
TEXT = """\
system: https://example.org/reasons
codes:
  done: It was done
  no-time: There was no time
offered: [no-time]
narrower:
  checked-elsewhere: done
"""
# What no published reason holds; a new reason of ours is mapped, or put here on purpose.
WITHOUT = {
    "already-managed",
    "already-taking",
    "corrected",
    "data-wrong",
    "monitored",
    "on-treatment",
    "programme-supply",
    "side-effects",
    "under-emergency-care",
}


def test_rules_may_do_without_them(rules: Rules) -> None:
    standard = rules.load().standard_reasons
    assert (standard.offered, standard.same, standard.narrower) == ((), {}, {})


def test_what_is_offered_stands_among_the_reasons_that_languages_translate(rules: Rules) -> None:
    before = rules.load().hash
    rules.write(FILE, TEXT)
    base = rules.load()
    assert base.override_reasons["no-time"] == "There was no time"
    assert "done" not in base.override_reasons
    assert base.standard_reasons.narrower == {"checked-elsewhere": "done"}
    assert base.hash != before, "it changes cards"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("system: https://example.org/reasons\n", "", "'system' is missing"),
        ("offered: [no-time]", "offered: [no-tine]", "no code 'no-tine' under codes; did you mean 'no-time'?"),
        ("checked-elsewhere: done", "checked-elsewhere: dome", "no code 'dome' under codes; did you mean 'done'?"),
        ("checked-elsewhere: done", "checked-elsewere: done", "did you mean 'checked-elsewhere'?"),
        ("narrower:", "same: {checked-elsewhere: done}\nnarrower:", "stands under same as well"),
        ("  done: It was done", "  checked-elsewhere: It was done\n  done: It was done", ""),
        ("offered:", "offerred:", "did you mean 'offered'?"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(rules: Rules, old: str, new: str, problem: str) -> None:
    rules.write(FILE, TEXT)
    rules.edit(FILE, old, new)
    found = rules.problems()
    if problem:
        assert any(row.startswith(f"{FILE}:") and problem in row for row in found), found
    else:
        assert found == []


def test_an_offered_code_is_no_id_of_ours(rules: Rules) -> None:
    rules.write(
        FILE, TEXT.replace("no-time", "checked-elsewhere").replace("narrower:\n  checked-elsewhere: done\n", "")
    )
    assert any("also an id in override-reasons.yaml" in row for row in rules.problems())


def test_each_reason_of_ours_names_a_published_one_or_is_known_to_have_none(knowledge: KnowledgeBase) -> None:
    standard = knowledge.standard_reasons
    ours = set(knowledge.override_reasons) - set(standard.offered)
    assert ours - set(standard.same) - set(standard.narrower) == WITHOUT
    used = {*standard.offered, *standard.same.values(), *standard.narrower.values()}
    assert used == set(standard.displays), "a code without use"
