"""`prenatal-cds explain`: why a rule spoke, and why it did not."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.cli.conftest import Body, Ended, bundle, calcium
from tests.knowledge.small_rules import Rules

Ask = Callable[..., Ended]
RESULT = "Total calcium in serum or plasma: 2.05 mmol/L, 2026-09-01, Observation/calcium-result-of-november-2026"


def test_a_rule_that_fired_shows_each_condition_with_the_fact_behind_it(asking: Ask, body: Body) -> None:
    ended = asking("explain", body)
    assert (ended.code, ended.err) == (0, "")
    text = " ".join(ended.out.split())
    assert text.startswith("FIRED low-calcium 1.0.0: Read a low serum calcium when true gestation: pregnant")
    assert f"true lab: serum-calcium, below: calcium-low calcium-low is 2.10 mmol/L - {RESULT}" in text


def test_a_suppressed_rule_names_the_rule_that_silenced_it(asking: Ask, body: Body, rules: Rules) -> None:
    ended = asking("explain", body)
    assert "SUPPRESSED by low-calcium  calcium-test-missing 1.0.0: " in ended.out
    assert ended.out.splitlines()[-2:] == [
        "1 fired, 1 suppressed, 0 silent",
        f"patient-view at 2026-11-22T12:00+00:00, profile seed, knowledge {rules.load().hash[:12]}",
    ]


def test_a_silent_rule_shows_the_condition_that_failed(asking: Ask, body: Body) -> None:
    body["prefetch"]["laboratory"] = bundle(calcium(2.30, "2026-11-20"))
    ended = asking("explain", body, "--rule", "low-calcium")
    assert ended.out.startswith("SILENT  low-calcium")
    assert "false    lab: serum-calcium, below: calcium-low\n" in ended.out


def test_an_unknown_condition_says_why_it_is_unknown(asking: Ask, body: Body) -> None:
    del body["prefetch"]["laboratory"]
    ended = asking("explain", body, "--rule", "low-calcium")
    text = " ".join(ended.out.split())
    assert "unknown lab: serum-calcium, below: calcium-low" in text
    assert "- Total calcium in serum or plasma: laboratory results were not supplied (unknown)" in text


def test_an_exclusion_that_could_not_be_checked_is_unknown(asking: Ask, body: Body) -> None:
    text = " ".join(asking("explain", body, "--rule", "calcium-test-missing").out.split())
    assert "unless unknown request: serum-calcium, open_within: order-window" in text
    assert "open orders and referrals were not supplied (unknown)" in text


def test_each_alternative_has_its_own_truth(asking: Ask, body: Body, rules_with_any: None) -> None:
    text = " ".join(asking("explain", body, "--rule", "low-calcium").out.split())
    assert "true any of true lab: serum-calcium, below: calcium-low" in text
    assert "unknown all of true gestation: pregnant" in text
    assert "unknown request: serum-calcium, open_within: order-window" in text


def test_lines_fit_100_columns_and_no_reference_is_cut(asking: Ask, body: Body) -> None:
    id = "a" * 64
    body["prefetch"]["laboratory"] = bundle(calcium(2.05, "2026-11-20", id))
    out = asking("explain", body).out
    assert f"Observation/{id}" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_json_has_the_same_truths_and_facts(asking: Ask, body: Body) -> None:
    ended = asking("explain", body, "--json")
    told = json.loads(ended.out)
    assert [(rule["id"], rule["result"], rule.get("suppressedBy")) for rule in told["rules"]] == [
        ("low-calcium", "fired", None),
        ("calcium-test-missing", "suppressed", "low-calcium"),
    ]
    condition = told["rules"][0]["conditions"][1]
    assert condition["truth"] == "true"
    assert condition["facts"][0]["sources"] == ["Observation/calcium-result-of-november-2026"]
    assert told["rules"][1]["exclusions"][0]["truth"] == "unknown"
    assert told["evaluatedAt"] == "2026-11-22T12:00:00+00:00"


def test_what_could_not_be_read_is_told(asking: Ask, body: Body) -> None:
    body["prefetch"]["laboratory"]["entry"].append({"resource": {"resourceType": "Observation", "id": "nobody"}})
    ended = asking("explain", body)
    told = ended.out.split("Not supplied or not used:\n")[1]
    assert "- Observation/nobody: names no patient and was ignored\n" in told


def test_a_rule_that_this_hook_does_not_ask_is_wrong_use(asking: Ask, body: Body) -> None:
    ended = asking("explain", body, "--rule", "low-calcum")
    assert ended.code == 2
    assert ended.complaint == "--rule: no rule 'low-calcum' is asked on patient-view; did you mean 'low-calcium'?"
