"""Diet, sunlight and total calcium intake."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.facts import Fact
from tests.facts.charts import (
    LOCAL,
    LOINC,
    Json,
    concept,
    days_ago,
    draft,
    fact_of,
    observation,
    prescription,
    quantity,
    statement,
    value_of,
)

FOOD, SUN = concept(LOCAL, "dietary-calcium-intake"), concept(LOCAL, "sun-exposure")


def eaten(value: Any = 600, unit: str = "mg/d", days: int = 10, **more: Any) -> Json:
    return observation(FOOD, "food", days_ago(days), **{"valueQuantity": quantity(value, unit), **more})


def diet(*resources: Json, **how: Any) -> Fact:
    return fact_of("diet", "dietary-calcium", *resources, **how)


def intake(*resources: Json, **how: Any) -> Fact:
    return fact_of("intake", "calcium", *resources, **how)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (eaten(), 600),
        (eaten(0.6, "g/d"), 600),
        (eaten(valueQuantity={"value": 600, "unit": "mg/day"}), 600),
        (observation(concept(LOINC, "81137-2"), valueQuantity=quantity(600, "mg")), 600),
        (observation(concept(LOINC, "35264-1"), valueQuantity=quantity(600, "mg/d")), 600),
        (eaten(600, "mg"), None),
        (eaten(valueQuantity={"value": 600}), None),
        (eaten(-600), None),
        (eaten(valueQuantity=quantity(600, "mg/d", comparator="<")), None),
        (eaten(status="unknown"), None),
        (eaten(valueQuantity=None, valueString="enough"), None),
        (eaten(effectiveDateTime=None), None),
    ],
)
def test_an_intake_needs_a_number_a_daily_unit_and_a_day(reading: Json, expected: int | None) -> None:
    assert value_of(diet(reading)) == (None if expected is None else Decimal(expected))


def test_an_intake_nobody_asked_for_is_unknown_and_never_absent() -> None:
    assert (diet().state, diet().reason) == ("unknown", "not recorded")
    assert diet(nutrition=...).reason == "diet and sunlight observations were not supplied"


@pytest.mark.parametrize("days", [56, 57, 400])
def test_an_old_intake_says_how_old_it_is(days: int) -> None:
    assert diet(eaten(days=days)).attributes["age"] == Decimal(days)


# -- total ------------------------------------------------------------------------------------------------------------


def test_food_alone_is_the_total_when_no_medicine_holds_calcium() -> None:
    fact = intake(eaten(), prescription("Ferrous sulfate 325 mg"))
    assert fact.attributes == {"present": True, "value": Decimal(600), "age": Decimal(10)}


def test_supplements_and_antacids_add_to_food_in_elemental_milligrams() -> None:
    fact = intake(
        eaten(),
        prescription("Calcium carbonate 500 mg"),
        statement("Calcium carbonate antacid 750 mg chewable tablet"),
    )
    assert value_of(fact) == Decimal(600 + 400 + 600)
    assert fact.sources == ("Observation/food", "MedicationRequest/m1", "MedicationStatement/s1")


def test_a_product_that_is_supplement_and_antacid_counts_once() -> None:
    both = {"coding": concept("http://www.whocc.no/atc", "A02AC01")["coding"], "text": "Calcium carbonate 500 mg"}
    assert value_of(intake(eaten(), prescription("", medicationCodeableConcept=both))) == Decimal(1000)


def test_a_draft_is_not_eaten() -> None:
    assert value_of(intake(eaten(), drafts=[draft("Calcium carbonate 1250 mg")])) == Decimal(600)


@pytest.mark.parametrize(
    "how",
    [
        {"medicationRequests": ...},
        {"medicationStatements": {"resourceType": "OperationOutcome"}},
        {"nutrition": ..., "resources": []},
    ],
)
def test_a_missing_part_makes_the_total_unknown_and_never_smaller(how: dict[str, Any]) -> None:
    resources = how.pop("resources", [eaten()])
    assert intake(*resources, prescription("Calcium carbonate 500 mg"), **how).state == "unknown"


@pytest.mark.parametrize(
    "medicine",
    [
        prescription("Calcium 600 mg"),
        prescription("Calcium carbonate 500 mg", dosageInstruction=[{"text": "as needed"}]),
    ],
)
def test_a_supplement_of_unknown_dose_makes_the_total_unknown(medicine: Json) -> None:
    fact = intake(eaten(), medicine)
    assert fact.state == "unknown"
    assert "is not known (MedicationRequest/m1)" in fact.reason


# -- sunlight ---------------------------------------------------------------------------------------------------------


def sun(*answers: Json) -> Fact:
    return fact_of("exposure", "sun-exposure", *answers)


def answered(value: Json | str, days: int = 5, id: str = "sun", **more: Any) -> Json:
    key = "valueString" if isinstance(value, str) else "valueCodeableConcept"
    return observation(SUN, id, days_ago(days), **{key: value, **more})


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (concept(LOCAL, "low"), "low"),
        (concept(LOCAL, "high"), "high"),
        ({"text": "Moderate"}, "moderate"),
        ("low", "low"),
        ("little sun exposure", "low"),
        ("no sun exposure", "low"),
        ("works indoors", None),
        ({"coding": [{"system": LOCAL, "code": "low"}, {"system": LOCAL, "code": "high"}]}, None),
    ],
)
def test_a_sunlight_answer_is_one_of_three_steps_or_unknown(answer: Json | str, level: str | None) -> None:
    assert sun(answered(answer)).attributes.get("level") == level


def test_a_newer_answer_that_is_not_understood_is_not_passed_over() -> None:
    fact = sun(answered(concept(LOCAL, "low"), 20, "old"), answered("works indoors", 2, "new"))
    assert fact.reason == "the newest answer is not understood (Observation/new)"


def test_an_answer_that_does_not_count_changes_nothing() -> None:
    low = answered(concept(LOCAL, "low"), 20, "old")
    for odd in (
        answered(concept(LOCAL, "high"), 2, status="preliminary"),
        answered(concept(LOCAL, "high"), -2),
        observation(SUN, "asked", dataAbsentReason=concept("x", "not-asked")),
    ):
        assert sun(low, odd).attributes["level"] == "low"
    assert sun().reason == "not recorded"
