"""Diagnoses, allergies, procedures and open requests."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds.facts import Fact
from tests.facts.charts import (
    ICD,
    LOINC,
    SNOMED,
    Json,
    clinical,
    concept,
    condition,
    days_ago,
    fact_of,
    resource,
    verification,
)

STONE = concept(ICD, "N20.0")


def stone(*resources: Json) -> Fact:
    return fact_of("condition", "kidney-stone", *resources, hook="order-select")


def gland(*resources: Json) -> Fact:
    return fact_of("condition", "hyperparathyroidism", *resources, hook="order-select")


@pytest.mark.parametrize(
    ("status", "active"),
    [("active", True), ("recurrence", True), ("resolved", False), ("remission", False), (None, True)],
)
def test_history_counts_and_without_a_status_it_is_read_as_active(status: str | None, active: bool) -> None:
    fact = stone(condition(STONE, clinicalStatus=clinical(status) if status else None))
    assert fact.attributes["present"] is True
    assert fact.attributes.get("active") is active
    assert fact.attributes["age"] == Decimal(30)


@pytest.mark.parametrize("word", ["refuted", "entered-in-error"])
def test_a_refuted_diagnosis_does_not_exist(word: str) -> None:
    assert stone(condition(STONE, verificationStatus=verification(word))).state == "absent"


@pytest.mark.parametrize("word", ["unconfirmed", "provisional", "differential"])
def test_an_unconfirmed_diagnosis_counts_and_is_said_to_be_unconfirmed(word: str) -> None:
    fact = stone(condition(STONE, verificationStatus=verification(word)))
    assert fact.state == "known"
    assert any("not confirmed" in remark for remark in fact.remarks)


def test_a_diagnosis_dated_in_the_future_is_not_absent() -> None:
    assert stone(condition(STONE, recorded=days_ago(-1))).reason == "an entry is dated in the future (Condition/c1)"


def test_an_active_entry_speaks_before_a_newer_resolved_one() -> None:
    fact = stone(condition(STONE, "old"), condition(STONE, "new", days_ago(3), clinicalStatus=clinical("resolved")))
    assert (fact.sources, fact.attributes["active"]) == (("Condition/old",), True)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Primary hyperparathyroidism", "known"),
        ("no hyperparathyroidism", "absent"),
        ("Hyperparathyroidism ruled out", "absent"),
        ("Family history of hyperparathyroidism", "absent"),
        ("hypoparathyroidism", "absent"),
    ],
)
def test_a_diagnosis_in_words_is_read_with_its_negations(text: str, state: str) -> None:
    assert gland(condition({"text": text})).state == state


def test_a_code_of_another_family_does_not_silence_the_text() -> None:
    """O99.283 says "endocrine disease in pregnancy"; only the text says which."""
    assert gland(condition(concept(ICD, "O99.283", text="Primary hyperparathyroidism"))).state == "known"


def test_a_code_of_the_same_family_outweighs_the_text() -> None:
    assert gland(condition(concept(ICD, "E20.9", text="Parathyroid disease, hyperparathyroidism?"))).state == "absent"


def test_the_familial_form_is_not_the_disease() -> None:
    fact = fact_of(
        "condition", "hypercalcaemia", condition({"text": "Familial hypocalciuric hypercalcaemia"}), hook="order-select"
    )
    assert fact.state == "absent"


# -- allergies --------------------------------------------------------------------------------------------------------


def allergy(code: Json, **more: object) -> Json:
    return resource("AllergyIntolerance", "a1", code=code, clinicalStatus=clinical("active"), **more)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (concept(SNOMED, "782555009"), "milk-allergy"),
        ({"text": "Milk"}, "milk-allergy"),
        ({"text": "Cow's milk"}, "milk-allergy"),
        ({"text": "Milk allergy"}, "milk-allergy"),
        ({"text": "Lactose"}, "lactose-intolerance"),
    ],
)
def test_an_allergy_list_may_name_the_substance_only(code: Json, name: str) -> None:
    assert fact_of("allergy", name, allergy(code)).state == "known"


def test_other_allergies_are_not_to_milk() -> None:
    assert fact_of("allergy", "milk-allergy", allergy({"text": "Penicillin"})).state == "absent"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"clinicalStatus": clinical("inactive")}, "absent"),
        ({"verificationStatus": verification("refuted")}, "absent"),
        ({"verificationStatus": verification("unconfirmed")}, "known"),
    ],
)
def test_an_allergy_over_or_refuted_does_not_count(change: Json, state: str) -> None:
    assert fact_of("allergy", "milk-allergy", {**allergy({"text": "Milk"}), **change}).state == state


def test_an_allergy_among_the_diagnoses_counts() -> None:
    assert fact_of("allergy", "milk-allergy", condition(concept(ICD, "Z91.011"))).state == "known"


# -- procedures and requests ------------------------------------------------------------------------------------------


def counselling(**more: object) -> Json:
    whole = {"status": "completed", "code": concept(SNOMED, "11816003"), "performedDateTime": days_ago(10), **more}
    return resource("Procedure", "p1", **whole)


@pytest.mark.parametrize(
    ("change", "state", "age"),
    [
        ({}, "known", 10),
        ({"performedDateTime": None, "performedPeriod": {"start": days_ago(12), "end": days_ago(9)}}, "known", 9),
        ({"performedDateTime": None}, "known", None),
        ({"status": "not-done"}, "absent", None),
        ({"status": "in-progress"}, "absent", None),
        ({"status": "entered-in-error"}, "absent", None),
        ({"performedDateTime": days_ago(-5)}, "unknown", None),
    ],
)
def test_only_a_completed_procedure_was_done(change: Json, state: str, age: int | None) -> None:
    fact = fact_of("procedure", "nutrition-counselling", counselling(**change))
    assert fact.state == state
    assert fact.attributes.get("age") == (None if age is None else Decimal(age))


def order(**more: object) -> Json:
    whole = {"status": "active", "intent": "order", "code": concept(LOINC, "2000-8"), "authoredOn": days_ago(3), **more}
    return resource("ServiceRequest", "r1", **whole)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "known"),
        ({"intent": None}, "known"),
        ({"status": "completed"}, "absent"),
        ({"status": "revoked"}, "absent"),
        ({"status": "draft"}, "absent"),
        ({"doNotPerform": True}, "absent"),
        ({"status": 5}, "unknown"),
    ],
)
def test_only_an_active_request_is_open(change: Json, state: str) -> None:
    assert fact_of("request", "serum-calcium", order(**change)).state == state


def test_a_draft_of_this_session_counts_as_ordered_today() -> None:
    how = {"hook": "order-select", "selections": ()}
    fact = fact_of("request", "serum-calcium", drafts=[order(status="draft", authoredOn=None)], **how)
    assert (fact.state, fact.attributes["age"]) == ("known", Decimal(0))
    assert fact_of("request", "serum-calcium", drafts=[order(status="revoked")], **how).state == "absent"
    assert fact_of("request", "serum-calcium", drafts=[order(doNotPerform=True)], **how).state == "absent"
