"""Interactions on whole requests: orders, prescriptions and statements as a record carries them."""

from __future__ import annotations

from typing import Any

import pytest

from cds.advise import Adviser
from cds.hooks import Card
from tests.patients import NOW, SNOMED, calcium, draft, due, request

Resource = dict[str, Any]
ATC, RXNORM = "http://www.whocc.no/atc", "http://www.nlm.nih.gov/research/umls/rxnorm"
INTERACTIONS = {
    "levothyroxine-spacing",
    "iron-and-calcium-spacing",
    "integrase-inhibitor-and-minerals",
    "minerals-and-antibiotic",
    "thiazide-with-calcium-or-vitamin-d",
    "digoxin-with-calcium-or-vitamin-d",
    "calcium-interaction-note",
    "quinine-for-leg-cramps",
}
CALCIUM = "Calcium carbonate 1250 mg tablet"


def takes(name: str, kind: str = "MedicationStatement", id: str = "taken", **more: Any) -> Resource:
    """An active medicine: a statement, or a prescription."""
    intent = {"intent": "order"} if kind == "MedicationRequest" else {}
    medicine = {"medicationCodeableConcept": {"text": name}}
    return {"resourceType": kind, "id": id, "status": "active", **intent, **medicine, **more}


def coded(system: str, code: str) -> Resource:
    return {"medicationCodeableConcept": {"coding": [{"system": system, "code": code}]}}


def cards(adviser: Adviser, *resources: Resource, hook: str = "order-sign", **how: Any) -> dict[str, Card]:
    """The cards by rule."""
    asked = request(hook, due(), *resources, **how)
    return {card.source.topic.code: card for card in adviser.advise(asked, NOW).cards if card.source.topic}


def warned(adviser: Adviser, *resources: Resource, **how: Any) -> set[str]:
    """The interactions that have a card."""
    return cards(adviser, *resources, **how).keys() & INTERACTIONS


# -- either direction, and which drafts count -------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
@pytest.mark.parametrize("kind", ["MedicationStatement", "MedicationRequest"])
def test_a_calcium_order_meets_the_levothyroxine_that_she_takes(adviser: Adviser, hook: str, kind: str) -> None:
    found = cards(adviser, takes("Levothyroxine 75 mcg tablet", kind), drafts=(draft(CALCIUM),), hook=hook)
    card = found["levothyroxine-spacing"]
    assert card.indicator == "warning"
    assert "at least 4 hours" in card.summary
    assert card.detail is not None
    assert "Levothyroxine 75 mcg tablet" in card.detail


@pytest.mark.parametrize("kind", ["MedicationStatement", "MedicationRequest"])
def test_a_levothyroxine_order_meets_the_calcium_that_she_takes(adviser: Adviser, kind: str) -> None:
    assert warned(adviser, takes(CALCIUM, kind), drafts=(draft("Levothyroxine 75 mcg tablet"),)) == {
        "levothyroxine-spacing"
    }


def test_two_drafts_of_one_session_meet_each_other(adviser: Adviser) -> None:
    drafts = (draft(CALCIUM, "a"), draft("Levothyroxine 75 mcg tablet", "b"))
    assert warned(adviser, drafts=drafts) == {"levothyroxine-spacing"}


def test_while_orders_are_selected_only_a_selected_draft_brings_up_an_interaction(adviser: Adviser) -> None:
    drafts = (draft(CALCIUM, "a"), draft("Folic acid 400 mcg tablet", "b"))
    levothyroxine = takes("Levothyroxine 75 mcg tablet")
    select = {"hook": "order-select", "drafts": drafts}
    assert warned(adviser, levothyroxine, selections=("MedicationRequest/b",), **select) == set()
    assert warned(adviser, levothyroxine, selections=("MedicationRequest/a",), **select) == {"levothyroxine-spacing"}


def test_what_she_takes_already_is_not_brought_up_by_another_order(adviser: Adviser) -> None:
    both = (takes(CALCIUM, id="one"), takes("Levothyroxine 75 mcg tablet", id="two"))
    assert warned(adviser, *both, drafts=(draft("Folic acid 400 mcg tablet"),)) == set()


def test_a_stopped_medicine_interacts_with_nothing(adviser: Adviser) -> None:
    stopped = takes("Levothyroxine 75 mcg tablet", status="completed")
    assert warned(adviser, stopped, drafts=(draft(CALCIUM),)) == set()


def test_medicines_that_were_not_supplied_are_no_interaction_and_the_gap_is_named(adviser: Adviser) -> None:
    withheld = ("medications", "statements")
    asked = request("order-sign", due(), drafts=(draft(CALCIUM),), withheld=withheld)
    found = adviser.advise(asked, NOW).cards
    assert not {card.source.topic.code for card in found if card.source.topic} & INTERACTIONS
    assert any("Medication" in (card.detail or "") for card in found)


# -- which medicine is which ------------------------------------------------------------------------------------------

MEETS_CALCIUM = [
    (takes("", **coded(ATC, "H03AA01")), "levothyroxine-spacing"),
    (takes("", **coded(RXNORM, "310325")), "iron-and-calcium-spacing"),
    (takes("Ferrous sulfate 200 mg tablet"), "iron-and-calcium-spacing"),
    (takes("Iron 27 MG / folic acid 0.4 MG Oral Tablet"), "iron-and-calcium-spacing"),
    (takes("", **coded(RXNORM, "1433879")), "integrase-inhibitor-and-minerals"),
    (takes("Raltegravir 400 mg tablet"), "integrase-inhibitor-and-minerals"),
    (takes("", **coded(RXNORM, "2551")), "minerals-and-antibiotic"),
    (takes("Doxycycline 100 mg capsule"), "minerals-and-antibiotic"),
    (takes("Indapamide 2.5 mg tablet"), "thiazide-with-calcium-or-vitamin-d"),
    (takes("losartan 50 MG / hydrochlorothiazide 12.5 MG Oral Tablet"), "thiazide-with-calcium-or-vitamin-d"),
    (takes("", **coded(RXNORM, "197604")), "digoxin-with-calcium-or-vitamin-d"),
    (takes("Lithium carbonate 400 mg tablet"), "calcium-interaction-note"),
    (takes("Prednisolone 20 mg tablet"), "calcium-interaction-note"),
    (takes("Carbamazepine 200 mg tablet"), "calcium-interaction-note"),
    (takes("Omeprazole 20 mg capsule"), "calcium-interaction-note"),
    (takes("", **coded(RXNORM, "904462")), "calcium-interaction-note"),
]


@pytest.mark.parametrize(("medicine", "rule"), MEETS_CALCIUM)
def test_calcium_meets_a_medicine_by_code_or_by_name(adviser: Adviser, medicine: Resource, rule: str) -> None:
    assert warned(adviser, medicine, drafts=(draft(CALCIUM),)) == {rule}


@pytest.mark.parametrize(
    "name",
    [
        "Liothyronine 20 mcg tablet",
        "Digitoxin 0.07 mg tablet",
        "Levofloxacin 5 MG/ML Ophthalmic Solution",
        "Ciprofloxacin 0.3 % ear drops",
        "Tetracycline 3 % topical ointment",
        "Prednisolone acetate 1 % eye drops",
        "Methylprednisolone 0.1 % cream",
        "Budesonide 200 mcg inhaler",
        "Iron sucrose 20 mg/mL injection",
        "Ferric carboxymaltose 50 mg/mL injection",
        "Cabotegravir 200 mg/mL prolonged-release suspension for injection",
        "Ibandronic acid 3 mg solution for injection",
        "Digoxin immune fab 40 mg",
        "Lithium heparin tube",
        "Atorvastatin calcium 20 mg tablet",
    ],
)
def test_a_look_alike_or_another_form_is_not_the_medicine(adviser: Adviser, name: str) -> None:
    assert warned(adviser, takes(name), drafts=(draft(CALCIUM),)) == set()


def test_the_route_of_an_order_makes_it_another_form(adviser: Adviser) -> None:
    def levofloxacin(route: str) -> Resource:
        return takes("Levofloxacin", dosage=[{"route": {"text": route}}])

    assert warned(adviser, levofloxacin("Oral"), drafts=(draft(CALCIUM),)) == {"minerals-and-antibiotic"}
    assert warned(adviser, levofloxacin("Ophthalmic route"), drafts=(draft(CALCIUM),)) == set()


def test_one_tablet_with_iron_and_calcium_is_not_to_be_kept_apart_from_itself(adviser: Adviser) -> None:
    tablet = "Calcium carbonate 500 MG / ferrous fumarate 60 MG Oral Tablet"
    assert warned(adviser, drafts=(draft(tablet),)) == set()
    assert warned(adviser, takes(tablet), drafts=(draft("Levothyroxine 75 mcg tablet"),)) == {"levothyroxine-spacing"}


@pytest.mark.parametrize(
    ("medicine", "rule"),
    [
        ("Levothyroxine 75 mcg tablet", "levothyroxine-spacing"),
        ("Dolutegravir 50 mg tablet", "integrase-inhibitor-and-minerals"),
    ],
)
def test_a_prenatal_multivitamin_without_amounts_is_taken_to_hold_minerals(
    adviser: Adviser, medicine: str, rule: str
) -> None:
    prenatal = "Prenatal multivitamin tablet"
    assert warned(adviser, takes(medicine), drafts=(draft(prenatal),)) == {rule}
    assert warned(adviser, takes(prenatal), drafts=(draft(medicine),)) == {rule}


def test_vitamin_d_binds_nothing_but_meets_thiazide_and_digoxin(adviser: Adviser) -> None:
    hers = (
        takes("Levothyroxine 75 mcg tablet", id="one"),
        takes("Hydrochlorothiazide 25 mg tablet", id="two"),
        takes("Digoxin 125 mcg tablet", id="three"),
    )
    assert warned(adviser, *hers, drafts=(draft("Cholecalciferol 1000 IU capsule"),)) == {
        "thiazide-with-calcium-or-vitamin-d",
        "digoxin-with-calcium-or-vitamin-d",
    }


def test_magnesium_meets_an_antibiotic_and_no_thiazide(adviser: Adviser) -> None:
    hers = (takes("Ciprofloxacin 500 mg tablet", id="one"), takes("Indapamide 2.5 mg tablet", id="two"))
    assert warned(adviser, *hers, drafts=(draft("Magnesium citrate 300 mg tablet"),)) == {"minerals-and-antibiotic"}


# -- what the cards say -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("medicine", "says", "not_said"),
    [
        ("Dolutegravir 50 mg tablet", "2 hours before or 6 hours after", "4 hours"),
        ("dolutegravir 50 MG / rilpivirine 25 MG Oral Tablet", "4 hours before or 6 hours after", "2 hours"),
        ("Elvitegravir 150 mg / cobicistat 150 mg tablet", "more than 2 hours", "6 hours"),
        ("Bictegravir 50 mg tablet", "differs from drug to drug", "hours"),
    ],
)
def test_each_integrase_inhibitor_has_its_own_gap(adviser: Adviser, medicine: str, says: str, not_said: str) -> None:
    card = cards(adviser, takes(medicine), drafts=(draft(CALCIUM),))["integrase-inhibitor-and-minerals"]
    advice = (card.detail or "").split("\n\n")[0]
    assert says in advice
    assert not_said not in advice
    assert "HIV team" in advice


def test_an_aluminium_antacid_meets_an_integrase_inhibitor(adviser: Adviser) -> None:
    antacid = draft("Aluminium hydroxide 500 mg tablet")
    found = cards(adviser, takes("Dolutegravir 50 mg tablet"), drafts=(antacid,))
    assert "antacids may not" in (found["integrase-inhibitor-and-minerals"].detail or "")


def test_the_antibiotic_card_asks_for_a_review_of_the_choice(adviser: Adviser) -> None:
    card = cards(adviser, takes(CALCIUM), drafts=(draft("Doxycycline 100 mg capsule"),))["minerals-and-antibiotic"]
    assert "usually avoided in pregnancy" in (card.detail or "")


def test_the_note_beside_calcium_names_every_medicine_found(adviser: Adviser) -> None:
    hers = (takes("Lithium carbonate 400 mg tablet", id="one"), takes("Omeprazole 20 mg capsule", id="two"))
    card = cards(adviser, *hers, drafts=(draft(CALCIUM),))["calcium-interaction-note"]
    assert card.indicator == "info"
    assert "Lithium carbonate" in card.summary
    assert "Omeprazole" in card.summary


@pytest.mark.parametrize("medicine", ["Hydrochlorothiazide 25 mg tablet", "Digoxin 125 mcg tablet"])
def test_a_high_calcium_leaves_only_the_card_that_stops_the_order(adviser: Adviser, medicine: str) -> None:
    found = cards(adviser, takes(medicine), calcium(2.80), drafts=(draft(CALCIUM),))
    assert "calcium-or-vitamin-d-in-hypercalcaemia" in found
    assert not found.keys() & INTERACTIONS


# -- quinine ----------------------------------------------------------------------------------------------------------


def diagnosis(text: str, status: str = "active") -> Resource:
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition", "id": "diagnosis", "code": {"text": text},
        "clinicalStatus": {"coding": [{"system": clinical, "code": status}]},
    }  # fmt: skip


@pytest.mark.parametrize("how", [{}, coded(RXNORM, "9071"), coded(ATC, "M09AA72")])
def test_quinine_is_critical_and_its_draft_can_be_removed(adviser: Adviser, how: Resource) -> None:
    card = cards(adviser, drafts=(draft("Quinine sulfate 300 mg tablet", **how),))["quinine-for-leg-cramps"]
    assert card.indicator == "critical"
    actions = [action for suggestion in card.suggestions for action in suggestion.actions]
    assert [(action.type, action.resource_id) for action in actions] == [("delete", "MedicationRequest/draft")]


@pytest.mark.parametrize(
    ("known", "stopped"),
    [
        ((), True),
        ((diagnosis("Falciparum malaria"),), False),
        ((diagnosis("Malaria", "resolved"),), True),
        ((diagnosis("Malaria prophylaxis"),), True),
    ],
)
def test_only_malaria_now_is_a_reason_for_quinine(adviser: Adviser, known: tuple[Resource, ...], stopped: bool) -> None:
    found = warned(adviser, *known, drafts=(draft("Quinine sulfate 300 mg tablet"),))
    assert found == ({"quinine-for-leg-cramps"} if stopped else set())


@pytest.mark.parametrize("name", ["Quinidine sulfate 200 mg tablet", "Tonic water with quinine"])
def test_quinidine_and_tonic_water_are_not_quinine(adviser: Adviser, name: str) -> None:
    assert warned(adviser, drafts=(draft(name),)) == set()


# -- contraindications ------------------------------------------------------------------------------------------------


def creatinine(value: float, high: float) -> Resource:
    """A creatinine with the laboratory's own range for pregnancy, in umol/L."""
    unit = {"unit": "umol/L", "system": "http://unitsofmeasure.org", "code": "umol/L"}
    return {
        "resourceType": "Observation", "id": "creatinine", "status": "final", "effectiveDateTime": "2026-11-10",
        "code": {"coding": [{"system": "http://loinc.org", "code": "14682-9"}]},
        "valueQuantity": {"value": value, **unit},
        "referenceRange": [{
            "low": {"value": 30, **unit}, "high": {"value": high, **unit}, "appliesTo": [{"text": "Pregnant"}],
        }],
    }  # fmt: skip


def test_a_specialists_disease_replaces_the_check_before_calcium(adviser: Adviser) -> None:
    sarcoidosis = {**diagnosis("", "resolved"), "code": {"coding": [{"system": SNOMED, "code": "31541009"}]}}
    found = cards(adviser, sarcoidosis, drafts=(draft(CALCIUM),))
    assert list(found) == ["disease-that-raises-calcium"]
    assert found["disease-that-raises-calcium"].indicator == "warning"


@pytest.mark.parametrize("status", ["active", "resolved"])
def test_a_kidney_stone_at_any_time_replaces_the_check_before_calcium(adviser: Adviser, status: str) -> None:
    found = cards(adviser, diagnosis("Kidney stone", status), drafts=(draft(CALCIUM),))
    assert list(found) == ["calcium-with-kidney-stones"]


def test_a_high_calcium_replaces_the_cards_of_parathyroid_disease_and_stones(adviser: Adviser) -> None:
    stones = {**diagnosis("Kidney stone"), "id": "stones"}
    found = cards(adviser, diagnosis("Primary hyperparathyroidism"), stones, calcium(2.80), drafts=(draft(CALCIUM),))
    assert "calcium-or-vitamin-d-in-hypercalcaemia" in found
    assert not found.keys() & {"disease-that-raises-calcium", "calcium-with-kidney-stones"}


@pytest.mark.parametrize(("value", "fires"), [(70, False), (71, True)])
def test_the_laboratorys_limit_for_pregnancy_decides_on_creatinine(adviser: Adviser, value: float, fires: bool) -> None:
    found = cards(adviser, creatinine(value, 70), drafts=(draft("Magnesium citrate 300 mg tablet"),))
    assert ("minerals-in-kidney-disease" in found) is fires


@pytest.mark.parametrize(
    ("disease", "order", "indicator"),
    [
        ("Chronic kidney disease", "Magnesium citrate 300 mg tablet", "warning"),
        ("CKD stage 4", "Magnesium citrate 300 mg tablet", "critical"),
        ("CKD stage 5", "Magnesium hydroxide 300 mg tablet", "critical"),
        ("CKD stage 4", CALCIUM, "warning"),
    ],
)
def test_magnesium_is_critical_only_in_severe_kidney_disease(
    adviser: Adviser, disease: str, order: str, indicator: str
) -> None:
    found = cards(adviser, diagnosis(disease), drafts=(draft(order),))
    assert found["minerals-in-kidney-disease"].indicator == indicator
