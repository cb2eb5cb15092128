"""A proposal to put an active medicine on hold repeats the whole request, changes its status only, and is hers."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.medicationrequest import MedicationRequest

from cds.advise import Adviser
from cds.hooks import Card, to_json
from tests.patients import LOINC, NOW, albumin, calcium, due, observation, quantity, request

Resource = dict[str, Any]


def prescription(id: str | None = "tablets", text: str = "Calcium carbonate 1250 mg tablet", **more: Any) -> Resource:
    whole: Resource = {
        "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
        "medicationCodeableConcept": {"text": text}, **more,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not None}


RICH = prescription(
    meta={"versionId": "7", "lastUpdated": "2026-11-01T08:00:00Z", "tag": [{"system": "urn:x", "code": "keep"}]},
    identifier=[{"system": "urn:oid:1.2.3", "value": "RX-99"}],
    contained=[{"resourceType": "Practitioner", "id": "p", "name": [{"text": "Dr. Berg"}]}],
    requester={"reference": "#p"},
    authoredOn="2026-10-01",
    reasonCode=[{"text": "low intake"}],
    note=[{"text": "take with food", "time": "2026-10-01T08:00:00Z"}],
    dosageInstruction=[
        {
            "text": "one twice daily",
            "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
            "doseAndRate": [{"doseQuantity": {"value": 1.50, "unit": "tablet"}}],
        }
    ],
    dispenseRequest={"numberOfRepeatsAllowed": 3, "quantity": {"value": 60, "unit": "tablet"}},
    extension=[{"url": "https://hospital.example/billing", "valueString": "A1"}],
)


def cards(adviser: Adviser, *medicines: Resource, **how: Any) -> tuple[Card, ...]:
    return adviser.advise(request("patient-view", due(), calcium(2.75), albumin(40), *medicines, **how), NOW).cards


def high(adviser: Adviser, *medicines: Resource, **how: Any) -> Card:
    found = cards(adviser, *medicines, **how)
    return next(c for c in found if c.source.topic and c.source.topic.code == "high-calcium-result")


def updates(card: Card) -> list[Resource]:
    actions = [action for s in to_json(card).get("suggestions", []) for action in s["actions"]]
    return [action for action in actions if action["type"] == "update"]


def test_the_update_is_the_whole_request_with_another_status(adviser: Adviser) -> None:
    (action,) = updates(high(adviser, RICH))
    expected = {"subject": {"reference": "Patient/anna"}, **copy.deepcopy(RICH), "status": "on-hold"}
    resource = dict(action["resource"])
    assert resource.pop("statusReason") == {"text": "Act on a high calcium before anything is supplemented"}
    assert resource == expected


def test_the_update_is_a_valid_medication_request_on_hold(adviser: Adviser) -> None:
    (action,) = updates(high(adviser, RICH))
    model = MedicationRequest.model_validate(action["resource"])
    assert (model.status, model.id) == ("on-hold", "tablets")


def test_the_description_names_the_medicine_that_would_be_put_on_hold(adviser: Adviser) -> None:
    (action,) = updates(high(adviser, RICH))
    assert action["description"] == (
        "Propose to put on hold: Calcium carbonate 1250 mg tablet (MedicationRequest/tablets)"
    )


def test_the_numbers_of_the_original_keep_their_digits(adviser: Adviser) -> None:
    exact = copy.deepcopy(RICH)
    exact["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] = Decimal("1.50")
    (action,) = updates(high(adviser, exact))
    dose = action["resource"]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"]
    assert str(dose) == "1.50"


def test_a_request_is_not_changed_by_the_proposal(adviser: Adviser) -> None:
    asked = request("patient-view", due(), calcium(2.75), albumin(40), RICH)
    before = json.dumps(asked.prefetch)
    adviser.advise(asked, NOW)
    assert json.dumps(asked.prefetch) == before


def test_a_combination_of_calcium_and_vitamin_d_is_put_on_hold_once(adviser: Adviser) -> None:
    both = prescription("both", "Calcium carbonate 1250 mg / Vitamin D3 400 IU tablet")
    assert [a["resource"]["id"] for a in updates(high(adviser, both))] == ["both"]


def test_each_active_product_is_proposed(adviser: Adviser) -> None:
    card = high(adviser, prescription("c"), prescription("d", "Vitamin D3 2000 IU capsule"))
    assert sorted(a["resource"]["id"] for a in updates(card)) == ["c", "d"]


@pytest.mark.parametrize("level", [300, 400])
def test_a_high_vitamin_d_proposes_to_hold_the_vitamin_d_that_she_takes_and_nothing_else(
    adviser: Adviser, level: int
) -> None:
    result = observation("vitd", LOINC, "62292-8", "2026-11-17", valueQuantity=quantity(level, "nmol/L"))
    medicines = [prescription("c"), prescription("d", "Vitamin D3 2000 IU capsule")]
    found = adviser.advise(request("patient-view", due(), result, *medicines), NOW).cards
    (card,) = [c for c in found if c.source.topic and c.source.topic.code == "high-vitamin-d"]
    assert [a["resource"]["id"] for a in updates(card)] == ["d"]


def test_without_a_medicine_there_is_nothing_to_put_on_hold(adviser: Adviser) -> None:
    result = observation("vitd", LOINC, "62292-8", "2026-11-17", valueQuantity=quantity(300, "nmol/L"))
    found = adviser.advise(request("patient-view", due(), result), NOW).cards
    (card,) = [c for c in found if c.source.topic and c.source.topic.code == "high-vitamin-d"]
    assert [s.label for s in card.suggestions] == ["Request serum calcium, albumin and creatinine"]


def test_a_medicine_that_has_nothing_to_do_with_calcium_is_left_alone(adviser: Adviser) -> None:
    card = high(adviser, prescription("c"), prescription("amox", "Amoxicillin 500 mg capsule"))
    assert [a["resource"]["id"] for a in updates(card)] == ["c"]


def test_a_statement_is_named_but_never_changed(adviser: Adviser) -> None:
    taken = {
        "resourceType": "MedicationStatement", "id": "own", "status": "active",
        "medicationCodeableConcept": {"text": "Calcium carbonate 1250 mg"},
    }  # fmt: skip
    card = high(adviser, taken)
    assert updates(card) == []
    assert "Calcium carbonate 1250 mg" in (card.detail or "")


@pytest.mark.parametrize(
    "flaw",
    [
        {"authoredOn": "last week"},
        {"colour": "red"},
        {"intent": None},
        {"id": None},
        {"dosageInstruction": [{"doseAndRate": "two"}]},
    ],
)
def test_a_request_that_did_not_read_cleanly_is_named_but_never_changed(adviser: Adviser, flaw: Resource) -> None:
    card = high(adviser, prescription(**flaw))
    assert updates(card) == []
    assert "Calcium carbonate 1250 mg" in (card.detail or "")


def test_a_request_that_came_twice_with_different_content_is_never_changed(adviser: Adviser) -> None:
    card = high(adviser, prescription(), prescription(authoredOn="2026-01-01"))
    assert updates(card) == []


@pytest.mark.parametrize("status", ["on-hold", "stopped", "completed", "draft", "entered-in-error"])
def test_what_is_not_active_is_not_put_on_hold(adviser: Adviser, status: str) -> None:
    assert updates(high(adviser, prescription(status=status))) == []


def test_nothing_of_another_patient_reaches_card_or_proposal(adviser: Adviser) -> None:
    foreign = prescription("other", subject={"reference": "Patient/berta"}, note=[{"text": "Berta's secret"}])
    answer = [to_json(card) for card in cards(adviser, prescription(), foreign)]
    assert [a["resource"]["id"] for a in updates(high(adviser, prescription(), foreign))] == ["tablets"]
    assert "erta" not in json.dumps(answer, default=str)


def test_the_next_patient_gets_nothing_of_the_last(adviser: Adviser) -> None:
    high(adviser, RICH)
    assert "RX-99" not in json.dumps([to_json(c) for c in cards(adviser, patient_id="berta")], default=str)


def test_the_proof_on_the_card_does_not_repeat_the_request(adviser: Adviser) -> None:
    card = to_json(high(adviser, RICH))
    assert "RX-99" not in json.dumps([card["extension"], card["detail"]], default=str)
