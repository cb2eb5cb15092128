"""Whole requests about the nutrition form: who is offered it, where it links to, and what its answers change."""

from __future__ import annotations

from typing import Any

import pytest

from cds.advise import Adviser
from cds.hooks import Card
from tests.patients import NOW, SNOMED, diet, draft, due, observation, request

FORM = "https://prenatal-cds.example/Questionnaire/nutrition-and-leg-check"
LEFT = {"valueCoding": {"system": SNOMED, "code": "7771000", "display": "Left"}}
YES = {"valueBoolean": True}
Json = dict[str, Any]


def answered(*rows: tuple[str, Json], day: str = "2026-11-16", **more: Any) -> Json:
    items = [{"linkId": link, "answer": [answer]} for link, answer in rows]
    return {
        "resourceType": "QuestionnaireResponse", "id": "form", "status": "completed", "questionnaire": FORM,
        "authored": day, "item": items, **more,
    }  # fmt: skip


def option(code: str) -> Json:
    return {"valueCoding": {"code": code}}


def cards(adviser: Adviser, *resources: Json, **how: Any) -> dict[str, Card]:
    hook = how.pop("hook", "patient-view")
    url = how.pop("public_url", None)
    advice = adviser.advise(request(hook, *resources, **how), NOW, public_url=url)
    return {card.source.topic.code: card for card in advice.cards if card.source.topic}


def counselled(day: str) -> Json:
    code = {"coding": [{"system": SNOMED, "code": "61310001"}]}
    return {"resourceType": "Procedure", "id": "talk", "status": "completed", "code": code, "performedDateTime": day}


def test_a_woman_without_any_diet_record_is_offered_the_form(adviser: Adviser) -> None:
    card = cards(adviser, due())["nutrition-assessment-missing"]
    assert card.indicator == "info"
    assert card.links[0].label == "Questionnaire: Nutrition and leg check in pregnancy"
    assert (card.links[0].url, card.links[0].type) == (FORM, "absolute")


@pytest.mark.parametrize("base", ["https://cds.example.org/prenatal", "https://cds.example.org/prenatal/"])
def test_the_link_begins_with_the_address_of_the_service_where_it_is_known(adviser: Adviser, base: str) -> None:
    card = cards(adviser, due(), public_url=base)["nutrition-assessment-missing"]
    assert card.links[0].url == "https://cds.example.org/prenatal/questionnaires/nutrition-and-leg-check"


@pytest.mark.parametrize(
    "seen",
    [
        answered(("dairy", option("moderate"))),
        answered(("greens", option("moderate"))),
        diet(1300),
        counselled("2026-06-01"),
    ],
    ids=["dairy", "greens", "intake", "counselling"],
)
def test_who_was_assessed_this_pregnancy_is_not_offered_it_again(adviser: Adviser, seen: Json) -> None:
    assert "nutrition-assessment-missing" not in cards(adviser, due(), seen)


@pytest.mark.parametrize(
    "response",
    [
        answered(("dairy", option("moderate")), status="in-progress"),
        answered(("dairy", option("unknown"))),
        answered(("dairy", option("moderate")), status="entered-in-error"),
        answered(("leg-cramps", {"valueBoolean": False})),
    ],
    ids=["in progress", "do not know", "entered in error", "about legs only"],
)
def test_a_form_that_says_nothing_about_food_is_no_diet_record(adviser: Adviser, response: Json) -> None:
    assert "nutrition-assessment-missing" in cards(adviser, due(), response)


@pytest.mark.parametrize("part", ["nutrition", "procedures"])
def test_what_was_not_supplied_is_not_called_missing(adviser: Adviser, part: str) -> None:
    assert "nutrition-assessment-missing" not in cards(adviser, due(), withheld=(part,))


def test_questionnaires_that_were_not_supplied_are_named_on_this_card_only(adviser: Adviser) -> None:
    found = cards(adviser, due(), withheld=("questionnaireResponses",))
    detail = found.pop("nutrition-assessment-missing").detail or ""
    assert "Answered questionnaires were not supplied" in detail
    assert not any("uestionnaire" in (card.detail or "") for card in found.values())


def test_a_low_intake_and_food_advice_stand_before_the_offer(adviser: Adviser) -> None:
    vegan = answered(("vegan", YES))
    found = cards(adviser, due(), vegan)
    assert "calcium-intake-may-be-short" in found
    assert "nutrition-assessment-missing" not in found


def test_a_swollen_left_leg_in_the_form_is_a_red_flag_and_silences_the_offer(adviser: Adviser) -> None:
    found = cards(adviser, due(), answered(("leg-swelling", YES), ("leg-swelling-side", LEFT)))
    card = found["possible-deep-vein-thrombosis"]
    assert card.indicator == "critical"
    assert "QuestionnaireResponse/form item leg-swelling" in (card.detail or "").replace("\\", "")
    assert "nutrition-assessment-missing" not in found


def test_the_same_words_in_a_form_of_another_make_no_critical_card(adviser: Adviser) -> None:
    other = answered(("1", YES), questionnaire="http://example.org/Questionnaire/other")
    other["item"][0]["text"] = "Swelling of the left leg"
    found = cards(adviser, due(), other)
    assert found
    assert "critical" not in {card.indicator for card in found.values()}


@pytest.mark.parametrize("habit", ["prolonged-standing", "high-heels"])
def test_tired_legs_and_a_habit_of_the_form_call_for_less_load(adviser: Adviser, habit: str) -> None:
    assert "reduce-leg-load" in cards(adviser, due(), answered(("fatigue", YES), (habit, YES)))
    assert "reduce-leg-load" not in cards(adviser, due(), answered(("fatigue", YES), (habit, {"valueBoolean": False})))
    assert "reduce-leg-load" not in cards(adviser, due(), answered(("fatigue", YES)))


def test_high_calcium_meets_calcium_bought_without_prescription(adviser: Adviser) -> None:
    """The active supplement is known from the form alone."""
    high = observation("ca", "http://loinc.org", "1995-0", "2026-11-20", valueQuantity={"value": 1.5, "unit": "mmol/L"})
    form = answered()
    product = {"linkId": "medicine-product", "answer": [{"valueString": "Calcium carbonate 1250 mg"}]}
    form["item"] = [{"linkId": "medicine", "item": [product]}]
    with_form, without = cards(adviser, due(), high, form), cards(adviser, due(), high)
    said = "holding what she takes: Calcium carbonate 1250 mg"
    assert said in (with_form["high-calcium-result"].detail or "")
    assert said not in (without["high-calcium-result"].detail or "")


def test_every_hook_asks_for_answered_questionnaires_and_takes_them(adviser: Adviser) -> None:
    for service in adviser.services():
        assert (service.prefetch or {})["questionnaireResponses"] == (
            "QuestionnaireResponse?patient={{context.patientId}}"
        )
    found = cards(
        adviser, due(), answered(("dairy", option("low"))), hook="order-sign", drafts=(draft("Calcium 500 mg"),)
    )
    assert found
