"""What lint finds in rules that are well-formed but wrong."""

from __future__ import annotations

import pytest

from cds.knowledge import check
from tests.knowledge.small_rules import LOW_RULE, Rules, threshold

RULE = "advice/calcium-test-missing.yaml"
LOW = "advice/low-calcium.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (RULE, "not_measured_within: calcium-recency", "not_measured_within: calcium-recent",
         "not_measured_within: no threshold 'calcium-recent'; did you mean 'calcium-recency'?"),
        (RULE, "not_measured_within: calcium-recency", "not_measured_within: calcium-low",
         "not_measured_within: 'calcium-low' is in mmol/L, this fact is in d"),
        (LOW, "below: calcium-low,", "below: order-window,", "below: 'order-window' is in d, this fact is in mmol/L"),
        (RULE, "lab: serum-calcium", "lab: serum-calcum", "no concept 'serum-calcum'; did you mean 'serum-calcium'?"),
        (LOW, "lab: serum-calcium, below", "lab: whole-blood-calcium, below", "is a look-alike and must not be used"),
        (RULE, "Consider measuring calcium.", "Consider measuring calcium within 2 weeks.",
         "text: a number stands in the text; name it as a threshold and quote it"),
        (RULE, "in {calcium-recency}", "in {calcium-recent}",
         "text: nothing named '{calcium-recent}'; did you mean 'calcium-recency'?"),
        (RULE, "Consider measuring", "Consider <b>measuring</b>", "text: no angle brackets"),
        (RULE, " Ask about tests at other hospitals.", "", "detail: 1 sentences; two to four are read"),
        (RULE, "summary: No", f"summary: {'No ' * 50}", "summary: 17"),
        (RULE, "version: 1.0.0", "version: first", "version 'first' must look like 1.0.0"),
        (RULE, "{source: local-policy, section: tests, supports: tests}", "{source: local-polic}",
         "evidence: no source 'local-polic'; did you mean 'local-policy'?"),
        (RULE, "override_reasons: [checked-elsewhere]", "override_reasons: [checked-somewhere]",
         "override_reasons: no reason 'checked-somewhere'; did you mean 'checked-elsewhere'?"),
        (RULE, "create: [serum-calcium-test]", "create: [calcium-test]",
         "suggest: no activity 'calcium-test'; did you mean 'serum-calcium-test'?"),
        (RULE, "create: [serum-calcium-test]", "remove: supplement",
         "suggest: nothing is bound to 'supplement'; add `as: supplement` to an order"),
        (RULE, "create: [serum-calcium-test]", "stop: [supplement]", "suggest: no concept 'supplement'"),
        (LOW, "      indicator: info", "      suggest: [{label: Remove it, remove: result}]",
         "suggest: 'remove' needs an order, and 'result' is bound to lab"),
        (LOW, "suppresses: [calcium-test-missing]", "suppresses: [calcium-test-mising]",
         "suppresses: no rule or topic 'calcium-test-mising'; did you mean 'calcium-test-missing'?"),
        (RULE, "{gestation: pregnant}", "{finding: pregnancy}", "no rule concludes finding 'pregnancy'"),
        (RULE, "{gestation: pregnant}", "{profile: low-calcium}", "no profile flag 'low-calcium'"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_file_and_way_out(rules: Rules, file: str, old: str, new: str, problem: str) -> None:
    rules.edit(file, old, new)
    assert any(row.startswith(f"{file}:") and problem in row for row in rules.problems()), rules.problems()


def test_a_fault_in_a_condition_is_told_with_the_line_of_that_condition(rules: Rules) -> None:
    rules.edit(LOW, "below: calcium-low,", "below: calcium-lo,")
    line = rules.line_of(LOW, "below: calcium-lo,")
    assert rules.problems() == [f"{LOW}:{line}: when[1]: below: no threshold 'calcium-lo'; did you mean 'calcium-low'?"]


def test_a_threshold_that_no_rule_uses_is_refused(rules: Rules) -> None:
    file = "advice/thresholds.yaml"
    rules.write(file, (rules.root / file).read_text() + threshold("forgotten-limit", "5 d"))
    line = rules.line_of(file, "forgotten-limit")
    told = [row for row in rules.problems() if "forgotten-limit" in row]
    assert len(told) == 1
    assert told[0].startswith((f"{file}:{line}: ", f"{file}:{line + 1}: "))
    assert told[0].endswith("is used by no rule; drop it")


def test_an_activity_that_no_card_suggests_is_refused(rules: Rules) -> None:
    rules.edit(RULE, "  suggest:\n    - {label: Request serum calcium, create: [serum-calcium-test]}\n", "")
    assert any("activity 'serum-calcium-test' is suggested by no rule" in row for row in rules.problems())


def test_a_finding_that_no_rule_tests_is_refused(rules: Rules) -> None:
    head, _, _ = LOW_RULE.partition("suppresses:")
    rules.write(LOW, f"{head}concludes: calcium-is-low\n")
    assert any("finding 'calcium-is-low' is tested by no rule; drop it" in row for row in rules.problems())


def test_a_number_of_the_fact_layer_cannot_be_left_out(rules: Rules) -> None:
    rules.edit("basics/thresholds.yaml", "albumin-reference:", "albumin-normal:")
    assert any("needs threshold 'albumin-reference' (g/L)" in row for row in rules.problems())


def test_a_number_of_the_fact_layer_keeps_its_unit(rules: Rules) -> None:
    rules.edit("basics/thresholds.yaml", "value: 40\n  unit: g/L", "value: 4\n  unit: g/dL")
    assert any("'albumin-reference' must be in g/L, not g/dL" in row for row in rules.problems())


def test_two_rules_must_not_suppress_each_other(rules: Rules) -> None:
    rules.edit(RULE, "then:\n", "suppresses: [low-calcium]\nthen:\n")
    told = [row for row in rules.problems() if "is part of a circle" in row]
    assert {row.partition(":")[0] for row in told} == {RULE, LOW}


def test_a_finding_must_not_depend_on_itself(rules: Rules) -> None:
    head, _, _ = LOW_RULE.partition("when:")
    rules.write(LOW, f"{head}when:\n  - {{finding: calcium-is-low}}\nconcludes: calcium-is-low\n")
    assert any("finding 'calcium-is-low' depends on itself" in row for row in rules.problems())


def test_an_open_sign_off_does_not_stop_loading(rules: Rules) -> None:
    told = [str(problem) for problem in check(rules.load()) if problem.open_sign_off]
    assert any("rule 'calcium-test-missing' (XX-01) is draft" in row for row in told)
    assert any("threshold 'calcium-recency' (T00, 42 days) is DESIGN" in row for row in told)
    unsure = [salt for salt in rules.load().salts if salt.confidence != "VERIFIED"]
    assert unsure
    for salt in unsure:
        assert any(f"elemental share of {salt.title} ({salt.share}) is {salt.confidence}" in row for row in told)
    assert len(told) == 2 + len(unsure)


def test_a_salt_names_a_source_that_exists(rules: Rules) -> None:
    rules.edit("sources.yaml", "molar-mass:", "molar-masses:")
    assert any("no source 'molar-mass'; did you mean 'molar-masses'?" in row for row in rules.problems())
