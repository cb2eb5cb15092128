"""What must not change the census: order, repetition, strangers, members that nobody knows."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.facts import Census
from cds.knowledge.vocabulary import HOOKS
from tests.facts.charts import (
    ATC,
    ICD,
    LOCAL,
    LOINC,
    SNOMED,
    UCUM,
    Json,
    bundle,
    clinical,
    concept,
    condition,
    days_ago,
    draft,
    facts_of,
    knowledge,
    observation,
    prefetch_of,
    prescription,
    quantity,
    resource,
    statement,
    taken,
    verification,
)

LEFT = concept(SNOMED, "7771000")
# A full chart with several resources for most facts, ties and contradictions among them.
CHART: tuple[Json, ...] = (
    observation(concept(LOINC, "82810-3"), "p1", days_ago(20), valueCodeableConcept=concept(SNOMED, "77386006")),
    observation(concept(LOINC, "82810-3"), "p2", days_ago(20), valueCodeableConcept=concept(SNOMED, "77386006")),
    observation(concept(LOINC, "11779-6"), "e1", days_ago(90), valueDateTime=days_ago(-80)),
    observation(concept(LOINC, "11779-6"), "e2", days_ago(90), valueDateTime=days_ago(-81)),
    observation(concept(LOINC, "18185-9"), "g1", days_ago(5), valueQuantity=quantity(24, "wk")),
    observation(concept(LOINC, "8665-2"), "l1", valueDateTime=days_ago(150)),
    condition(concept(ICD, "Z34.90"), "dx"),
    condition(concept(ICD, "Z37.0"), "earlier", days_ago(700)),
    observation(concept(LOINC, "2000-8"), "ca1", days_ago(2), valueQuantity=quantity(2.1, "mmol/L")),
    observation(concept(LOINC, "2000-8"), "ca2", days_ago(2), valueQuantity=quantity(2.2, "mmol/L")),
    observation(
        concept(LOINC, "2000-8"), "ca3", days_ago(1), status="preliminary", valueQuantity=quantity(3, "mmol/L")
    ),
    observation(concept(LOINC, "1751-7"), "alb1", days_ago(2), valueQuantity=quantity(30, "g/L")),
    observation(concept(LOINC, "1751-7"), "alb2", days_ago(2), valueQuantity=quantity(3.2, "g/dL")),
    observation(concept(LOINC, "13959-2"), "look", days_ago(2), valueQuantity=quantity(1.2, "mmol/L")),
    observation(concept(SNOMED, "449615005"), "sw1", days_ago(1), bodySite=LEFT),
    observation(concept(SNOMED, "449615005"), "sw2", days_ago(1), valueString="both ankles"),
    observation(concept(SNOMED, "449917004"), "cr1", days_ago(1), valueBoolean=False),
    observation({"text": "Review"}, "cr2", days_ago(1), valueString="leg cramps at night"),
    observation(concept(LOCAL, "dietary-calcium-intake"), "food", days_ago(9), valueQuantity=quantity(600, "mg/d")),
    observation(concept(LOCAL, "sun-exposure"), "sun", days_ago(9), valueCodeableConcept=concept(LOCAL, "low")),
    condition(concept(ICD, "K91.2"), "gut1", days_ago(30)),
    condition(concept(ICD, "K91.2"), "gut2", days_ago(30), clinicalStatus=clinical("resolved")),
    condition(concept(ICD, "K91.2"), "gut3", days_ago(30)),
    condition(concept(ICD, "N20.0"), "stone", verificationStatus=verification("provisional")),
    prescription("Calcium carbonate 500 mg", "m1"),
    prescription("Calcium citrate 950 mg", "m2", status="active", colour="red"),
    statement("Calcium carbonate 500 mg", "s1"),
    statement("Vitamin D3 1000 IU", "s2"),
    statement(
        "Vitamin D3 1000 IU", "s3", medicationCodeableConcept={**concept(ATC, "A11CC05"), "text": "Vitamin D3 1000 IU"}
    ),
    resource("AllergyIntolerance", "al", code={"text": "Milk"}, clinicalStatus=clinical("active")),
    resource("Procedure", "pr1", status="completed", code=concept(SNOMED, "11816003"), performedDateTime=days_ago(9)),
    resource("Procedure", "pr2", status="completed", code=concept(SNOMED, "61310001"), performedDateTime=days_ago(9)),
    resource(
        "ServiceRequest", "r1", status="active", intent="order", code=concept(LOINC, "2000-8"), authoredOn=days_ago(3)
    ),
    resource(
        "ServiceRequest", "r2", status="active", intent="order", code=concept(LOINC, "2000-8"), authoredOn=days_ago(3)
    ),
)
DRAFTS: tuple[Json, ...] = (
    draft("Calcium carbonate 1250 mg", "d1"),
    draft("Calcium carbonate 500 mg", "d2", category={"text": "x"}),
    resource("ServiceRequest", "d3", status="draft", intent="order", code=concept(LOINC, "1751-7")),
    resource("ServiceRequest", "d4", status="draft", intent="order", code=concept(LOINC, "1751-7")),
)
STRANGERS: tuple[Json, ...] = (
    observation(concept(LOINC, "8867-4"), "pulse", valueQuantity=quantity(80, "/min")),
    observation(concept(LOINC, "718-7"), "hb", valueQuantity=quantity(11, "g/dL")),
    condition(concept(ICD, "J06.9"), "cold"),
    prescription("Amoxicillin 500 mg capsule", "amox"),
    resource("Procedure", "appendix", status="completed", code={"text": "Appendectomy"}),
    resource("AllergyIntolerance", "pen", code={"text": "Penicillin"}),
    resource("ServiceRequest", "xray", status="active", intent="order", code={"text": "Chest X-ray"}),
    resource("Encounter", "visit", status="finished"),
)
PICKED = ("MedicationRequest/d1",)


def census(rows: tuple[Json, ...] = CHART, drafts: tuple[Json, ...] = DRAFTS, hook: str = "order-select") -> Census:
    return facts_of(*rows, hook=hook, drafts=drafts, selections=PICKED if hook == "order-select" else None)


def test_the_chart_of_these_tests_fills_the_census() -> None:
    """Otherwise the tests below would compare nothing with nothing."""
    states = [fact.state for hook in HOOKS for fact in census(hook=hook).facts.values()]
    assert states.count("known") > 40
    assert {"known", "absent", "unknown"} <= set(states)


@pytest.mark.parametrize("hook", HOOKS)
@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_the_order_of_resources_and_parts_changes_nothing(hook: str, seed: int) -> None:
    random = Random(seed)
    rows, drafts = random.sample(CHART, len(CHART)), tuple(random.sample(DRAFTS, len(DRAFTS)))
    assert census(tuple(rows), drafts, hook) == census(hook=hook)


@given(st.lists(st.sampled_from(CHART), max_size=30), st.lists(st.sampled_from(DRAFTS), max_size=3))
@settings(max_examples=15, deadline=None)
def test_repeating_resources_changes_nothing(more: list[Json], drafts: list[Json]) -> None:
    assert census((*CHART, *more), (*DRAFTS, *drafts)) == census()


@given(st.lists(st.sampled_from(STRANGERS), max_size=8))
@settings(max_examples=15, deadline=None)
def test_resources_that_no_rule_asks_about_change_nothing(more: list[Json]) -> None:
    assert census((*more, *CHART)) == census()


def spread(node: Any, random: Random, depth: int = 0) -> Any:
    """The same JSON with members that FHIR does not know strewn in at every level."""
    if isinstance(node, list):
        return [spread(inner, random, depth + 1) for inner in node]
    if not isinstance(node, dict):
        return node
    whole = {name: spread(inner, random, depth + 1) for name, inner in node.items()}
    if random.random() < 0.5:
        whole[f"zz{random.randrange(9)}"] = random.choice([1, "x", [1], {"a": {}}, None])
    return whole


@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_members_that_fhir_does_not_know_change_no_fact(seed: int) -> None:
    random = Random(seed)
    rows, drafts = (tuple(spread(json.loads(json.dumps(group)), random)) for group in (CHART, DRAFTS))
    found = census(rows, drafts)
    assert found.facts == census().facts
    assert set(census().remarks) <= set(found.remarks)


def test_a_request_is_never_written_to() -> None:
    supplied, drafts = prefetch_of(*CHART), bundle(DRAFTS)
    before = json.dumps([supplied, drafts])
    census()
    facts_of(**supplied, drafts=DRAFTS, hook="order-sign")
    assert json.dumps([supplied, drafts]) == before


@pytest.mark.parametrize("hook", HOOKS)
def test_every_fact_is_asked_for_and_none_else(hook: str) -> None:
    assert tuple(census(hook=hook).facts) == knowledge().facts_for(hook)


def lab(code: str, value: float, unit: str) -> Json:
    return observation(concept(LOINC, code), valueQuantity=quantity(value, unit))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("serum-calcium", lab("2000-8", 2.0, "mmol/L"), lab("2000-8", 4.0, "meq/L")),
        ("albumin", lab("1751-7", 31, "g/L"), lab("1751-7", 3.1, "g/dL")),
        ("vitamin-d-25oh", lab("62292-8", 50, "nmol/L"), lab("62292-8", 20, "ng/mL")),
    ],
)
def test_the_same_value_in_another_unit_is_the_same_fact(name: str, one: Json, other: Json) -> None:
    first, second = (facts_of(row).facts[("lab", name)].attributes for row in (one, other))
    assert first == second


def test_unit_text_and_unit_code_are_two_ways_to_say_it() -> None:
    spelled = [{"unit": "mmol/L"}, {"system": UCUM, "code": "mmol/L"}, {"code": "mmol/l"}, {"unit": "MMOL/L "}]
    rows = [observation(concept(LOINC, "2000-8"), valueQuantity={"value": 2.2, **how}) for how in spelled]
    assert {str(facts_of(row).facts[("lab", "serum-calcium")].attributes) for row in rows} == {
        str(facts_of(rows[0]).facts[("lab", "serum-calcium")].attributes)
    }


@pytest.mark.parametrize(
    "id", ["e1", "ca2", "ca3", "alb1", "look", "sw1", "sw2", "cr2", "food", "sun", "m2", "al", "g1"]
)
def test_leaving_out_what_decides_changes_the_census(id: str) -> None:
    """The other tests are about sameness; the census must also be able to differ."""
    rest = tuple(row for row in CHART if row["id"] != id)
    assert census(rest, hook="patient-view") != census(hook="patient-view")


def test_two_patients_one_after_the_other_share_nothing() -> None:
    first, _ = taken(*CHART)
    empty, _ = taken()
    again, _ = taken(*CHART)
    assert first == again
    assert all(fact.state != "known" or fact.key[0] in ("data", "person") for fact in empty.facts.values())
