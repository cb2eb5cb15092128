"""What a client supplied, withheld or mixed up: only a complete answer proves that something is absent."""

from __future__ import annotations

from typing import Any

import pytest

from cds.facts import PARTS, take_census
from cds.facts.record import COVERAGE, OtherPatient, take_record
from tests.facts.charts import (
    ANNA,
    ICD,
    LOINC,
    NOW,
    Json,
    bundle,
    concept,
    condition,
    fact_of,
    facts_of,
    knowledge,
    observation,
    prefetch_of,
    quantity,
    taken,
    woman,
)

OUTCOME: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
CALCIUM = observation(concept(LOINC, "2000-8"), "ca", valueQuantity=quantity(2.3, "mmol/L"))
STRANGER: Json = {"resourceType": "Encounter", "id": "e1", "subject": {"reference": "Patient/anna"}}

WITHHELD: list[tuple[str, Any, str]] = [
    ("missing key", ..., "were not supplied"),
    ("OperationOutcome", OUTCOME, "could not be fetched by the client"),
    ("next page", bundle([], link=[{"relation": "next", "url": "x"}]), "came in part only"),
    ("fewer than the total", bundle([], total=3), "came in part only"),
    ("OperationOutcome entry", bundle([OUTCOME]), "came with an error report of the server"),
    ("no list of entries", {**bundle([]), "entry": {"resource": STRANGER}}, "came in a form that is no search result"),
    (
        "entry without resource",
        {**bundle([]), "entry": [{"fullUrl": "x"}]},
        "came with an entry that holds no resource",
    ),
    ("entry without type", bundle([{"id": "x"}]), "came with an entry that holds no resource"),
    ("bundle in a bundle", bundle([bundle([])]), "came with an entry that holds no resource"),
    ("only another type", bundle([STRANGER]), "came without any resource of the type that was asked for"),
    ("a list", [], "came in a form that is no FHIR resource"),
    ("a text", "none", "came in a form that is no FHIR resource"),
    ("a resource without type", {}, "came in a form that is no FHIR resource"),
    ("another resource", STRANGER, "came as Encounter"),
    ("a hostile type", {"resourceType": "<b>x</b>"}, "came as an unknown resource"),
]


@pytest.mark.parametrize("answer", [None, {**bundle([]), "entry": None}, {"resourceType": "Bundle"}, bundle([])])
def test_a_part_that_was_answered_and_is_empty_proves_absence(answer: Json | None) -> None:
    census = facts_of(**dict.fromkeys(set(PARTS) - {"patient"}, answer))
    states = {
        fact.state for (kind, _), fact in census.facts.items() if kind in ("lab", "condition", "procedure", "request")
    }
    assert states == {"absent"}


@pytest.mark.parametrize(("value", "reason"), [row[1:] for row in WITHHELD], ids=[row[0] for row in WITHHELD])
def test_a_part_that_was_not_answered_in_full_leaves_its_facts_unknown(value: Any, reason: str) -> None:
    for part, kind, name in (
        ("laboratory", "lab", "serum-calcium"),
        ("conditions", "condition", "malabsorption"),
        ("procedures", "procedure", "nutrition-counselling"),
        ("serviceRequests", "request", "serum-calcium"),
        ("medicationStatements", "medication", "vitamin-d"),
        ("allergies", "allergy", "milk-allergy"),
    ):
        fact = fact_of(kind, name, **{part: value})
        assert fact.state == "unknown", part
        assert reason in fact.reason, part


@pytest.mark.parametrize(("value", "reason"), [row[1:] for row in WITHHELD], ids=[row[0] for row in WITHHELD])
def test_what_rules_ask_about_the_supply_is_answered(value: Any, reason: str) -> None:
    fact = fact_of("data", "conditions", conditions=value)
    assert (fact.state, fact.attributes) == ("absent", {"present": False})
    assert reason in fact.reason
    assert fact_of("data", "conditions").attributes == {"present": True}


def test_what_an_incomplete_answer_does_hold_is_used() -> None:
    page = bundle([CALCIUM], link=[{"relation": "next", "url": "x"}])
    fact = fact_of("lab", "serum-calcium", laboratory=page)
    assert fact.state == "known"
    assert fact.remarks == (
        "laboratory results came in part only (the search result has further pages): a newer result may exist",
    )


def test_a_single_resource_instead_of_a_search_result_is_used_but_proves_nothing_else_absent() -> None:
    census = facts_of(laboratory=CALCIUM)
    assert census.facts[("lab", "serum-calcium")].state == "known"
    assert census.facts[("lab", "ionised-calcium")].state == "unknown"


def test_resources_under_unexpected_keys_are_used_but_prove_no_absence() -> None:
    census = facts_of(laboratory=..., everything=bundle([CALCIUM]))
    assert census.facts[("lab", "serum-calcium")].state == "known"
    assert census.facts[("lab", "ionised-calcium")].state == "unknown"


def test_no_prefetch_at_all_leaves_every_fact_unknown() -> None:
    census, record = take_census(knowledge(), "patient-view", ANNA, None, None, None, NOW)
    states = {key: fact.state for key, fact in census.facts.items() if key[0] != "data"}
    assert set(states.values()) == {"unknown"}
    assert set(record.withheld) == set(PARTS)


def test_every_kind_of_fact_says_which_parts_its_absence_rests_on() -> None:
    assert set(COVERAGE) >= {
        kind for hook in ("patient-view", "order-select") for kind, _ in knowledge().facts_for(hook)
    }
    assert {part for parts in COVERAGE.values() for part in parts} <= set(PARTS)


# -- whose record -----------------------------------------------------------------------------------------------------


def test_another_patient_in_the_patient_part_stops_everything() -> None:
    with pytest.raises(OtherPatient) as caught:
        taken(patient={"resourceType": "Patient", "id": "bella"})
    assert str(caught.value) == ""


@pytest.mark.parametrize(
    "patient",
    [
        None,
        OUTCOME,
        ...,
        bundle([woman()]),
        {"resourceType": "Patient"},
        "anna",
        {"resourceType": "Person", "id": ANNA},
    ],
)
def test_a_patient_part_without_her_patient_resource_is_withheld(patient: Any) -> None:
    prefetch = prefetch_of()
    prefetch.pop("patient")
    record = take_record(ANNA, prefetch if patient is ... else {**prefetch, "patient": patient}, None, None)
    assert "patient" in record.withheld


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/anna",
        "https://ehr.example.org/fhir/Patient/anna",
        "Patient/anna/_history/3",
        "https://ehr.example.org/fhir/Patient/anna/_history/3",
        "urn:uuid:anna",
    ],
)
def test_every_form_of_reference_to_her_is_hers(reference: str) -> None:
    mine = {**CALCIUM, "subject": {"reference": reference}}
    assert fact_of("lab", "serum-calcium", mine).state == "known"


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/anna2",
        "Patient/hanna",
        "Group/anna",
        "https://ehr.example.org/Patient/anna/x",
        "anna",
        "#anna",
        "urn:uuid:x",
    ],
)
def test_what_is_anyone_elses_is_ignored_and_counted(reference: str) -> None:
    other = {**CALCIUM, "subject": {"reference": reference}}
    census = facts_of(other)
    assert census.facts[("lab", "serum-calcium")].state == "absent"
    assert census.remarks == ("1 resource(s) of another patient were ignored",)


@pytest.mark.parametrize("subject", [None, {}, {"display": "Anna"}, {"reference": 5}, "Patient/anna", []])
def test_a_result_that_names_no_patient_is_not_used_and_leaves_its_part_unproven(subject: Any) -> None:
    nobody = {**CALCIUM, "subject": subject}
    census = facts_of(nobody)
    assert census.facts[("lab", "serum-calcium")].state == "unknown"
    assert "Observation/ca: names no patient and was ignored" in census.remarks


def test_of_two_versions_of_one_resource_the_later_counts() -> None:
    old = {**CALCIUM, "meta": {"lastUpdated": "2026-11-20T10:00:00Z"}}
    new = {**CALCIUM, "status": "entered-in-error", "meta": {"lastUpdated": "2026-11-21T10:00:00Z"}}
    for rows in ((old, new), (new, old)):
        census = facts_of(laboratory=bundle(rows))
        assert census.facts[("lab", "serum-calcium")].state == "absent"
        assert "Observation/ca: came in two versions; the later one was used" in census.remarks


def test_resources_without_a_valid_id_are_all_kept() -> None:
    stone = {**condition(concept(ICD, "N20.0")), "id": "not valid"}
    gut = {**condition(concept(ICD, "K91.2")), "id": "not valid"}
    census = facts_of(stone, gut, hook="order-select")
    assert census.facts[("condition", "kidney-stone")].state == "known"
    assert census.facts[("condition", "malabsorption")].state == "known"
    assert census.facts[("condition", "kidney-stone")].sources == ("Condition without id",)


def test_now_must_carry_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        take_census(knowledge(), "patient-view", ANNA, {}, None, None, NOW.replace(tzinfo=None))
