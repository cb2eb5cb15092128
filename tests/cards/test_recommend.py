"""Which cards stand, in which order and form, when several things are true at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from cds.advise import Adviser
from cds.cards import PROOF
from cds.cards.recommend import MOST_CARDS
from cds.hooks import Card, HookRequest
from cds.knowledge.vocabulary import INDICATORS
from tests.patients import (
    LEFT,
    LOINC,
    NOW,
    SNOMED,
    albumin,
    calcium,
    cramps,
    diet,
    draft,
    due,
    little_sun,
    observation,
    quantity,
    request,
    swelling,
)


def cards_of(adviser: Adviser, asked: HookRequest) -> tuple[Card, ...]:
    return adviser.advise(asked, NOW).cards


def topics(adviser: Adviser, asked: HookRequest) -> list[str]:
    """Rule ids of the cards, in order."""
    return [card.source.topic.code for card in cards_of(adviser, asked) if card.source.topic]


def proof(card: Card) -> Any:
    assert card.extension is not None
    return card.extension[PROOF]


def test_a_swollen_leg_silences_self_care_assessment_and_nutrition(adviser: Adviser) -> None:
    asked = request("patient-view", due(), cramps(), swelling(), diet(400), little_sun())
    assert topics(adviser, asked) == ["possible-deep-vein-thrombosis"]


def test_no_card_of_a_swollen_leg_names_stretching_or_proposes_a_d_dimer(adviser: Adviser) -> None:
    (card,) = cards_of(adviser, request("patient-view", due(), cramps(), swelling()))
    text = f"{card.summary} {card.detail}".lower()
    assert "stretch" not in text
    assert "gentle calf massage" not in text
    codes = [a.resource["code"]["coding"][0]["code"] for s in card.suggestions for a in s.actions if a.resource]
    assert codes == ["30881-7"]


def test_both_legs_swollen_is_no_one_leg_sign(adviser: Adviser) -> None:
    both = {"coding": [{"system": SNOMED, "code": "51440002"}]}
    found = topics(adviser, request("patient-view", due(), cramps(), swelling(bodySite=both)))
    assert "possible-deep-vein-thrombosis" not in found
    assert "leg-cramps-self-care" in found


def test_the_most_dangerous_card_comes_first_and_high_calcium_replaces_the_check(adviser: Adviser) -> None:
    asked = request(
        "order-sign",
        due(),
        calcium(2.9),
        albumin(36),
        swelling(),
        drafts=(draft("Calcium Carbonate 1250 MG Oral Tablet"),),
    )
    found = topics(adviser, asked)
    assert set(found[:2]) == {"possible-deep-vein-thrombosis", "calcium-or-vitamin-d-in-hypercalcaemia"}
    assert found[2:] == ["high-calcium-result"]
    order = [INDICATORS.index(card.indicator) for card in cards_of(adviser, asked)]
    assert order == sorted(order, reverse=True)


def test_a_normal_calcium_replaces_the_proposal_to_measure_it(adviser: Adviser) -> None:
    found = topics(adviser, request("patient-view", due(), cramps(), calcium(2.3), albumin(38)))
    assert "leg-cramps-with-normal-calcium" in found
    assert "leg-cramps-review" not in found


def test_one_card_of_self_care_carries_leg_load_and_side_lying(adviser: Adviser) -> None:
    (card,) = [c for c in cards_of(adviser, request("patient-view", due(), cramps())) if "Self-care" in c.summary]
    ids = [rule["id"] for rule in proof(card)["rules"]]
    education = ["nutrition-assessment-missing", "reduce-leg-load"]
    assert ids == ["leg-cramps-self-care", "side-lying-from-late-pregnancy", *education]
    assert any("Questionnaire" in link.label for link in card.links)
    assert card.detail is not None
    assert "not flat on the back" in card.detail
    assert "Resting with legs raised is an option." not in card.detail


@pytest.mark.parametrize(("day", "side_lying"), [("2027-02-15", False), ("2027-02-14", True)])
def test_side_lying_starts_on_the_first_day_of_week_28(adviser: Adviser, day: str, side_lying: bool) -> None:
    """Due 2027-02-14: 28 weeks 0 days today; one day later: 27 weeks 6 days."""
    (card,) = [c for c in cards_of(adviser, request("patient-view", due(day), cramps())) if "Self-care" in c.summary]
    assert ("not flat on the back" in (card.detail or "")) is side_lying


def test_an_order_that_is_open_is_said_and_not_proposed_again(adviser: Adviser) -> None:
    ordered = {
        "resourceType": "ServiceRequest", "id": "open", "status": "active", "intent": "order",
        "authoredOn": "2026-11-20", "code": {"coding": [{"system": LOINC, "code": "1751-7"}]},
    }  # fmt: skip
    asked = request("order-sign", due(), ordered, drafts=(draft("Calcium Carbonate 1250 MG Oral Tablet"),))
    (card,) = cards_of(adviser, asked)
    descriptions = [a.description for s in card.suggestions for a in s.actions]
    assert "Propose: Serum albumin" not in descriptions
    assert "Propose: Serum calcium" in descriptions
    assert "Serum albumin is already ordered" in (card.detail or "")


def test_an_exclusion_that_cannot_be_checked_does_not_exclude_and_is_named(adviser: Adviser) -> None:
    asked = request(
        "order-sign", due(), drafts=(draft("Calcium Carbonate 1250 MG Oral Tablet"),), withheld=("serviceRequests",)
    )
    (card,) = cards_of(adviser, asked)
    assert card.indicator == "warning"
    assert "Could not be checked" in (card.detail or "")
    assert proof(card)["rules"][0]["unchecked"]


def test_removing_the_order_names_every_draft_it_is_about(adviser: Adviser) -> None:
    drafts = (
        draft("Calcium Carbonate 1250 MG Oral Tablet", "a"),
        draft("Cholecalciferol 5000 UNT Oral Capsule", "b", 1),
    )
    asked = request("order-sign", due(), calcium(2.9), albumin(36), drafts=drafts)
    card = next(c for c in cards_of(adviser, asked) if c.indicator == "critical")
    removed = [a.resource_id for s in card.suggestions for a in s.actions if a.type == "delete"]
    assert removed == ["MedicationRequest/a", "MedicationRequest/b"]


def test_many_cards_become_five_and_no_warning_is_merged_away(adviser: Adviser) -> None:
    crowd = (due(), cramps(), calcium(1.98), diet(900), little_sun())
    cards = cards_of(adviser, request("patient-view", *crowd))
    rules = [rule["id"] for card in cards for rule in proof(card)["rules"]]
    assert len(cards) <= MOST_CARDS
    assert {"leg-cramps-review", "leg-cramps-self-care", "calcium-intake-may-be-short", "vitamin-d-risk-advice"} <= set(
        rules
    )
    assert "calcium-not-interpretable" in rules


def test_the_card_shows_value_unit_day_and_resource_of_what_it_rests_on(adviser: Adviser) -> None:
    asked = request("patient-view", due(), calcium(8.1, "mg/dL"), albumin(3.4, "g/dL"))
    card = cards_of(adviser, asked)[0]
    for piece in (
        "8.1 mg/dL",
        "2.02 mmol/L",
        "2026-11-17",
        "Observation/calcium",
        "Observation/albumin",
        "1.0.0",
        "LB-02",
    ):
        assert piece in (card.detail or ""), piece
    facts = {(f["kind"], f["concept"]): f for f in proof(card)["facts"]}
    assert facts[("lab", "serum-calcium")]["sources"] == ["Observation/calcium"]
    assert proof(card)["knowledge"]["profile"] == "seed"


def test_gestational_age_that_is_not_recorded_is_said_on_the_card(adviser: Adviser) -> None:
    pregnant = observation(
        "status",
        LOINC,
        "82810-3",
        "2026-11-01",
        valueCodeableConcept={"coding": [{"system": SNOMED, "code": "77386006"}]},
    )
    for card in cards_of(adviser, request("patient-view", pregnant, cramps())):
        assert "Gestational age: not recorded" in (card.detail or "")


def test_cramps_alone_never_suggest_a_medicine(adviser: Adviser) -> None:
    for asked in (request("patient-view", due(), cramps()), request("patient-view", due(), cramps(), diet(300))):
        for card in cards_of(adviser, asked):
            for suggestion in card.suggestions:
                assert all((a.resource or {}).get("resourceType") == "ServiceRequest" for a in suggestion.actions)


def test_every_card_has_fresh_uuids(adviser: Adviser) -> None:
    asked = request("patient-view", due(), cramps())
    first, second = cards_of(adviser, asked), cards_of(adviser, asked)
    assert {c.uuid for c in first}.isdisjoint({c.uuid for c in second})
    assert [(c.summary, c.detail, c.indicator) for c in first] == [(c.summary, c.detail, c.indicator) for c in second]


def test_record_text_on_a_card_is_no_markup(adviser: Adviser) -> None:
    hostile = "Calcium Carbonate 1250 MG <img src=x onerror=alert(1)> [click](https://evil.example) **Tablet**"
    (card,) = cards_of(adviser, request("order-sign", due(), drafts=(draft(hostile),)))
    shown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(card.detail or "")
    assert "<img" not in shown
    assert "evil.example" in shown
    assert [m for m in re.findall(r"<(\w+)", shown) if m not in ("p", "ul", "li", "strong")] == []
    assert "<strong>Tablet" not in shown
    assert "<" not in card.summary


def test_the_ionised_calcium_is_enough_of_a_check(adviser: Adviser) -> None:
    ionised = observation("ionised", LOINC, "1995-0", "2026-10-11", valueQuantity=quantity(1.2, "mmol/L"))
    asked = request("order-sign", due(), ionised, drafts=(draft("Calcium Carbonate 1250 MG Oral Tablet"),))
    assert topics(adviser, asked) == []
    older = {**ionised, "effectiveDateTime": "2026-10-10"}
    asked = request("order-sign", due(), older, drafts=(draft("Calcium Carbonate 1250 MG Oral Tablet"),))
    assert topics(adviser, asked) == ["calcium-check-before-supplement"]


def test_a_sign_eight_days_old_is_no_red_flag_any_more(adviser: Adviser) -> None:
    assert "possible-deep-vein-thrombosis" in topics(adviser, request("patient-view", due(), swelling("2026-11-15")))
    old = topics(adviser, request("patient-view", due(), swelling("2026-11-14", bodySite=LEFT)))
    assert old == ["nutrition-assessment-missing"]
