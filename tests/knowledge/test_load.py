"""What the loader refuses, and what a knowledge base's hash stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.knowledge import KnowledgeError, bundled_rules, load_knowledge
from tests.knowledge.small_rules import Rules, threshold

RULE = "advice/calcium-test-missing.yaml"


def test_a_folder_without_faults_loads_every_rule_and_threshold(rules: Rules) -> None:
    base = rules.load()
    assert [rule.id for rule in base.rules] == ["calcium-test-missing", "low-calcium"]
    assert base.threshold("calcium-low").quoted == "2.10 mmol/L"
    assert base.rule("low-calcium").topic == "advice"


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("strength: policy", "strength: policy\nstrength: weak", "strength: weak", "strength: this key stands twice"),
        ("strength: policy", "strenght: policy", "strenght", "strenght: unknown key; did you mean 'strength'?"),
        ("{gestation: pregnant}", "{gestation: !!python/name:os pregnant}", "!!python", "when[0].gestation: tag"),
        ("id: calcium-test-missing", "id: calcium-test", "id: ", "id 'calcium-test' and file name"),
        ("status: draft\ndate: 2026-11-22", "date: 2026-11-22\nstatus: draft", "id: ", "keys stand in this order: id,"),
        ("hooks: [patient-view]", "hooks: [patient-veiw]", "hooks", "'patient-veiw' is not one of patient-view"),
        ("strength: policy", "strength: policies", "policies", "did you mean 'policy'?"),
        ("not_measured_within", "not_mesured_within", "not_mesured", "did you mean 'not_measured_within'?"),
        ("{gestation: pregnant}", "{gestation: pregnant, lab: x}", "lab: x", "when[0]: a condition names one fact"),
        ("  indicator: info\n", "", "summary", "then: 'indicator' is missing"),
        ("create: [serum-calcium-test]", "", "label", "suggest[0]: a suggestion does one thing"),
        ("status: draft", "status: draft\ncolour: red", "colour", "colour: unknown key (known: id, title,"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_line_and_way_out(rules: Rules, old: str, new: str, line: str, problem: str) -> None:
    rules.edit(RULE, old, new)
    place = f"{RULE}:{rules.line_of(RULE, line)}: "
    assert any(row.startswith(place) and problem in row for row in rules.problems()), rules.problems()


def test_an_anchor_is_refused_where_it_is_used(rules: Rules) -> None:
    rules.edit(RULE, "  - {gestation: pregnant}", "  - &her {gestation: pregnant}\n  - *her")
    assert any("anchor" in row or "alias" in row for row in rules.problems())


def test_a_merge_key_is_refused(rules: Rules) -> None:
    rules.edit(RULE, "  - {gestation: pregnant}", "  - {<<: {gestation: pregnant}}")
    assert any(row.startswith(f"{RULE}:{rules.line_of(RULE, '<<')}: when[0]") for row in rules.problems())


def test_text_that_is_not_yaml_is_one_problem_with_its_line(rules: Rules) -> None:
    rules.edit(RULE, "hooks: [patient-view]", "hooks: [patient-view")
    readable = [row for row in rules.problems() if "not readable as YAML" in row]
    assert len(readable) == 1
    assert readable[0].startswith(f"{RULE}:")


def test_every_problem_is_told_at_once(rules: Rules) -> None:
    rules.edit(RULE, "strength: policy", "strength: policies")
    rules.edit("advice/low-calcium.yaml", "status: active", "status: final")
    problems = rules.problems()
    assert {row.partition(":")[0] for row in problems} >= {RULE, "advice/low-calcium.yaml"}


def test_a_code_without_quotes_is_refused(rules: Rules) -> None:
    rules.write("sites/example.yaml", _site("77386006"))
    assert any(
        row.startswith("sites/example.yaml:3: ") and "a code must stand in quotes" in row for row in rules.problems()
    )
    rules.write("sites/example.yaml", _site('"77386006"'))
    assert rules.problems() == []


def test_a_threshold_of_one_name_stands_once(rules: Rules) -> None:
    rules.write("basics/thresholds.yaml", (rules.root / "basics/thresholds.yaml").read_text() + _window())
    assert any("threshold 'order-window' stands also in basics/thresholds.yaml" in row for row in rules.problems())


def test_a_folder_that_is_no_topic_is_not_left_out_silently(rules: Rules) -> None:
    rules.write("forgotten/lost-rule.yaml", "id: lost-rule\n")
    assert any("folder 'forgotten' is not listed as a topic" in row for row in rules.problems())


def test_a_missing_folder_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"^nowhere:1: no such rules folder; give the folder"):
        load_knowledge(tmp_path / "nowhere")


def test_a_profile_changes_values_only(rules: Rules) -> None:
    assert rules.load(profile="strict").threshold("calcium-low").quoted == "2.20 mmol/L"
    rules.edit("profiles/strict.yaml", "unit: mmol/L", "unit: mg/dL")
    with pytest.raises(KnowledgeError, match=r"profiles/strict\.yaml:3: .*the unit of 'calcium-low' is mmol/L"):
        rules.load(profile="strict")


def test_a_profile_that_does_not_exist_gets_the_nearest_name(rules: Rules) -> None:
    with pytest.raises(KnowledgeError, match=r"no profile 'strickt'; did you mean 'strict'\?"):
        rules.load(profile="strickt")


def test_a_profile_cannot_bring_a_new_number(rules: Rules) -> None:
    rules.edit("profiles/strict.yaml", "calcium-low", "calcium-lo")
    with pytest.raises(KnowledgeError, match=r"no threshold 'calcium-lo'; did you mean 'calcium-low'\?"):
        rules.load(profile="strict")


def test_a_site_code_counts_for_its_concept_only_where_the_site_is_loaded(rules: Rules, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(_site('"local-1"'), encoding="utf-8")
    key = ("http://example.org/codes", "local-1")
    assert [concept for concept, _ in rules.load(site).codes[key]] == ["leg-cramps"]
    assert key not in rules.load().codes


def test_two_sites_give_two_hashes(rules: Rules, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("title: Another site\n", encoding="utf-8")
    assert rules.load(site).hash != rules.load().hash


def test_two_profiles_give_two_hashes(rules: Rules) -> None:
    assert rules.load(profile="strict").hash != rules.load().hash


def test_one_byte_of_a_rule_changes_the_hash(rules: Rules) -> None:
    before = rules.load().hash
    assert rules.load().hash == before
    rules.edit(RULE, "Consider measuring calcium.", "Consider measuring calcium!")
    assert rules.load().hash != before


def test_a_new_case_does_not_change_the_hash(rules: Rules) -> None:
    before = rules.load().hash
    rules.edit("advice/low-calcium.cases.yaml", "calcium unknown", "calcium was not measured")
    assert rules.load().hash == before


def test_the_bundled_rules_are_found_without_naming_them() -> None:
    assert (bundled_rules() / "topics.yaml").is_file()


def _site(code: str) -> str:
    return (
        "title: Test site\ncodes:\n  - {concept: leg-cramps, system: 'http://example.org/codes',"
        f" code: {code}, display: Cramps}}\n"
    )


def _window() -> str:
    return threshold("order-window", "14 d")
