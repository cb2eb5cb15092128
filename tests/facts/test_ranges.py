"""The laboratory's own ranges, and single doses: what a result or an order says beside its number."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.facts import Fact, take_census
from cds.knowledge import KnowledgeBase
from tests.patients import LOINC, NOW, SNOMED, draft, observation, quantity, request

PREGNANT = {"coding": [{"system": SNOMED, "code": "77386006"}]}


def fact(knowledge: KnowledgeBase, kind: str, concept: str, *resources: Any, drafts: tuple[Any, ...] = ()) -> Fact:
    asked = request("order-sign", *resources, drafts=drafts)
    bundle = {"entry": [{"resource": d} for d in drafts]}
    census, _ = take_census(knowledge, "order-sign", "anna", asked.prefetch, bundle, None, NOW)
    return census.facts[(kind, concept)]


def ionised(value: float, *ranges: dict[str, Any], unit: str = "mmol/L") -> dict[str, Any]:
    more = {"valueQuantity": quantity(value, unit), "referenceRange": list(ranges)}
    return observation("ionised", LOINC, "1995-0", "2026-11-17", **more)


@pytest.mark.parametrize(("value", "above"), [(1.30, False), (1.31, True)])
def test_the_laboratory_upper_limit_decides_above_range(knowledge: KnowledgeBase, value: float, above: bool) -> None:
    found = fact(knowledge, "lab", "ionised-calcium", ionised(value, {"high": quantity(1.30, "mmol/L")}))
    assert found.attributes["above_range"] is above


def test_a_range_in_another_unit_is_converted_and_one_without_unit_is_in_that_of_the_result(
    knowledge: KnowledgeBase,
) -> None:
    in_mass = fact(knowledge, "lab", "ionised-calcium", ionised(1.31, {"high": quantity(5.2, "mg/dL")}))
    assert in_mass.attributes["above_range"] is True  # 5.2 mg/dL are 1.30 mmol/L
    bare = fact(knowledge, "lab", "ionised-calcium", ionised(1.31, {"high": {"value": 1.30}}))
    assert bare.attributes["above_range"] is True


def test_a_range_for_somebody_else_says_nothing(knowledge: KnowledgeBase) -> None:
    men = {"high": quantity(1.30, "mmol/L"), "appliesTo": [{"text": "male"}]}
    found = fact(knowledge, "lab", "ionised-calcium", ionised(1.31, men)).attributes
    assert (found["above_range"], found["upper_limit"]) == (False, False)


@pytest.mark.parametrize(("value", "place"), [(1.89, "below"), (1.90, "inside"), (2.30, "inside"), (2.31, "above")])
def test_a_range_marked_for_pregnancy_comes_before_the_others(
    knowledge: KnowledgeBase, value: float, place: str
) -> None:
    general = {"low": quantity(2.20, "mmol/L"), "high": quantity(2.55, "mmol/L")}
    special = {"low": quantity(1.90, "mmol/L"), "high": quantity(2.30, "mmol/L"), "appliesTo": [PREGNANT]}
    total = observation(
        "total",
        LOINC,
        "2000-8",
        "2026-11-17",
        valueQuantity=quantity(value, "mmol/L"),
        referenceRange=[general, special],
    )
    assert fact(knowledge, "lab", "serum-calcium", total).attributes["pregnancy_range"] == place


def test_a_monthly_dose_keeps_its_single_amount(knowledge: KnowledgeBase) -> None:
    order = draft("Cholecalciferol 20000 UNT Oral Capsule")
    order["dosageInstruction"][0]["timing"]["repeat"] = {"frequency": 1, "period": 1, "periodUnit": "mo"}
    found = fact(knowledge, "order", "vitamin-d", drafts=(order,))
    assert found.attributes["single_dose"] == Decimal(20000)
    assert Decimal(str(found.attributes["dose"])) < Decimal(1000)


def test_micrograms_in_words_are_read(knowledge: KnowledgeBase) -> None:
    found = fact(knowledge, "order", "vitamin-d", drafts=(draft("Vitamin D3 25 microgram tablet", times=1),))
    assert found.attributes["dose"] == Decimal(1000)


@pytest.mark.parametrize("code", ["Z34.03", "O09.93", "O24.410", "O36.0130"])
def test_a_code_of_a_block_named_by_the_site_is_a_pregnancy(knowledge: KnowledgeBase, code: str) -> None:
    row = {
        "resourceType": "Condition",
        "id": "block",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "recordedDate": "2026-10-01",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
    }
    assert fact(knowledge, "gestation", "pregnant", row).attributes == {"present": True}


@pytest.mark.parametrize("code", ["O80", "O03.4", "O90.81", "O99.893", "O24.430"])
def test_a_code_of_birth_loss_or_puerperium_is_no_pregnancy(knowledge: KnowledgeBase, code: str) -> None:
    row = {
        "resourceType": "Condition",
        "id": "after",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "recordedDate": "2026-10-01",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
    }
    assert fact(knowledge, "gestation", "pregnant", row).attributes.get("present") is not True


def test_a_date_given_as_a_number_is_no_date(knowledge: KnowledgeBase) -> None:
    row = ionised(1.5)
    row["effectiveDateTime"] = 20261117
    found = fact(knowledge, "lab", "ionised-calcium", row)
    assert found.state == "unknown"
    assert "has no date" in found.reason


def test_a_coding_list_with_a_hole_is_still_read(knowledge: KnowledgeBase) -> None:
    row = ionised(1.5)
    row["code"]["coding"].insert(0, None)
    assert fact(knowledge, "lab", "ionised-calcium", row).attributes["value"] == Decimal("1.5")


def test_a_code_with_a_blank_does_not_make_the_result_none(knowledge: KnowledgeBase) -> None:
    row = ionised(1.5)
    row["code"]["coding"][0]["code"] = " 1995-0"
    assert fact(knowledge, "lab", "ionised-calcium", row).state != "absent"
