"""Answered questionnaires: ours by linkId, others by their wording; what was not asked stays unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.facts import Census, Fact
from cds.facts.coding import OWN_SYSTEM
from cds.facts.questionnaire import MOST_ANSWERS
from tests.facts.charts import (
    ANNA,
    SNOMED,
    Json,
    concept,
    days_ago,
    fact_of,
    facts_of,
    observation,
    prescription,
    quantity,
    resource,
    taken,
    value_of,
)

OURS = "https://prenatal-cds.example/Questionnaire/nutrition-and-leg-check"
LEFT, RIGHT = (
    {"valueCoding": {"system": SNOMED, "code": code, "display": display}}
    for code, display in (("7771000", "Left"), ("24028007", "Right"))
)
YES, NO = {"valueBoolean": True}, {"valueBoolean": False}


def item(link: str, *answers: Json, text: str | None = None, below: list[Json] | None = None) -> Json:
    whole: Json = {"linkId": link, "answer": list(answers), "item": below, "text": text}
    return {name: value for name, value in whole.items() if value}


def option(code: str) -> Json:
    return {"valueCoding": {"system": "https://prenatal-cds.example/any", "code": code}}


def response(*items: Json, id: str = "qr", days: int = 10, **more: Any) -> Json:
    elements = {"status": "completed", "questionnaire": f"{OURS}|1.0.0", "authored": days_ago(days), **more}
    kept = {name: value for name, value in elements.items() if value is not None}
    return resource("QuestionnaireResponse", id, item=list(items), **kept)


def foreign(*items: Json, **more: Any) -> Json:
    return response(*items, **{"questionnaire": "http://example.org/Questionnaire/other", **more})


def symptom(name: str, *resources: Json) -> Fact:
    return fact_of("symptom", name, *resources)


def exposure(name: str, *resources: Json) -> Fact:
    return fact_of("exposure", name, *resources)


# -- our own form -----------------------------------------------------------------------------------------------------


def test_a_swollen_left_leg_is_a_coded_one_sided_sign_of_that_day() -> None:
    fact = symptom("leg-swelling", response(item("leg-swelling", YES), item("leg-swelling-side", LEFT)))
    assert fact.attributes["present"] is True
    assert (fact.attributes["side"], fact.attributes["one_sided"]) == ("left", True)
    assert fact.attributes["coded"] is True
    assert fact.attributes["age"] == 10
    assert fact.sources == ("QuestionnaireResponse/qr item leg-swelling",)


def test_both_legs_named_are_no_one_sided_sign() -> None:
    answers = response(item("leg-swelling", YES), item("leg-swelling-side", LEFT, RIGHT))
    assert symptom("leg-swelling", answers).attributes["one_sided"] is False


@pytest.mark.parametrize("name", ["leg-swelling", "leg-redness", "leg-warmth", "calf-tenderness", "leg-pain"])
def test_a_leg_sign_without_a_side_has_no_known_side(name: str) -> None:
    fact = symptom(name, response(item(name, YES)))
    assert fact.attributes["present"] is True
    assert fact.attributes["side"] == "unknown"
    assert "one_sided" not in fact.attributes


def test_a_no_denies_and_no_answer_leaves_it_unasked() -> None:
    answers = response(item("leg-swelling", NO), item("leg-redness"))
    assert symptom("leg-swelling", answers).attributes["present"] is False
    assert symptom("leg-redness", answers).state == "unknown"
    assert symptom("leg-warmth", answers).reason == "not recorded"


def test_cramps_that_disturb_sleep_are_severe_and_those_that_keep_coming_persist() -> None:
    plain = symptom("leg-cramps", response(item("leg-cramps", YES)))
    assert not {"severe", "persistent"} & plain.attributes.keys()
    told = response(item("leg-cramps", YES), item("leg-cramps-sleep", YES), item("leg-cramps-persistent", YES))
    assert symptom("leg-cramps", told).attributes["severe"] is True
    assert symptom("leg-cramps", told).attributes["persistent"] is True
    denied = response(item("leg-cramps", YES), item("leg-cramps-sleep", NO), item("leg-cramps-persistent", NO))
    assert not {"severe", "persistent"} & symptom("leg-cramps", denied).attributes.keys()


@pytest.mark.parametrize("nested", ["item", "answer", "group"])
def test_follow_ups_are_found_beside_and_below_the_question(nested: str) -> None:
    side = item("leg-swelling-side", RIGHT)
    sign = {
        "item": item("leg-swelling", YES, below=[side]),
        "answer": item("leg-swelling", {**YES, "item": [side]}),
        "group": item("leg-signs", below=[item("leg-swelling", YES), side]),
    }[nested]
    assert symptom("leg-swelling", response(sign)).attributes["side"] == "right"


def test_a_side_is_not_borrowed_from_another_round_of_the_same_question() -> None:
    rounds = [item("leg-swelling", YES)], [item("leg-swelling", YES), item("leg-swelling-side", LEFT)]
    facts = symptom("leg-swelling", response(*(item("leg-signs", below=below) for below in rounds)))
    assert facts.attributes["side"] == "left"
    denied = [item("leg-swelling", YES)], [item("leg-swelling", NO), item("leg-swelling-side", LEFT)]
    fact = symptom("leg-swelling", response(*(item("leg-signs", below=below) for below in denied)))
    assert fact.attributes["side"] == "unknown"


@pytest.mark.parametrize("name", ["dairy", "greens", "sun"])
@pytest.mark.parametrize("level", ["low", "moderate", "high"])
def test_how_often_is_a_level(name: str, level: str) -> None:
    fact = exposure(f"{name}-{'exposure' if name == 'sun' else 'frequency'}", response(item(name, option(level))))
    assert fact.attributes["level"] == level


def test_do_not_know_is_no_answer_and_leaves_an_older_one_in_force() -> None:
    unsure = response(item("dairy", option("unknown")), id="new", days=3)
    assert exposure("dairy-frequency", unsure).state == "unknown"
    older = response(item("dairy", option("low")), id="old", days=20)
    assert exposure("dairy-frequency", unsure, older).attributes["level"] == "low"


@pytest.mark.parametrize("name", ["prolonged-standing", "high-heels"])
def test_habits_are_yes_no_or_unasked(name: str) -> None:
    assert exposure(name, response(item(name, YES))).attributes["present"] is True
    assert exposure(name, response(item(name, NO))).attributes["present"] is False
    assert exposure(name, response()).state == "unknown"


def test_milligrams_from_food_need_their_unit() -> None:
    said = {"valueQuantity": quantity(700, "mg/d")}
    assert value_of(fact_of("diet", "dietary-calcium", response(item("calcium-from-food", said)))) == 700
    bare = {"valueQuantity": {"value": 700}}
    assert fact_of("diet", "dietary-calcium", response(item("calcium-from-food", bare))).state == "unknown"
    text = {"valueQuantity": {**quantity(700, "mg/d"), "value": "700"}}
    assert fact_of("diet", "dietary-calcium", response(item("calcium-from-food", text))).state == "unknown"


def test_vegan_and_milk_allergy_are_unconfirmed_entries_and_a_no_is_none() -> None:
    answers = response(item("vegan", YES), item("milk-allergy", YES), item("lactose-intolerance", NO))
    vegan = fact_of("condition", "vegan-diet", answers)
    assert vegan.attributes["active"] is True
    assert any("not confirmed" in remark for remark in vegan.remarks)
    assert fact_of("allergy", "milk-allergy", answers).state == "known"
    assert fact_of("allergy", "lactose-intolerance", answers).state == "absent"


def test_the_newest_answer_takes_an_older_vegan_diet_back() -> None:
    older, newer = response(item("vegan", YES), id="a", days=40), response(item("vegan", NO), id="b", days=2)
    assert fact_of("condition", "vegan-diet", older, newer).state == "absent"
    silent = response(item("dairy", option("low")), id="c", days=1)
    assert fact_of("condition", "vegan-diet", older, silent).state == "known"


# -- medicines over the counter ---------------------------------------------------------------------------------------


def medicine(kind: str | None = None, product: str | None = None, units: Any = None, times: Any = None) -> Json:
    rows = (
        ("medicine-kind", option(kind) if kind else None),
        ("medicine-product", {"valueString": product} if product else None),
        ("medicine-units", {"valueDecimal": units} if units is not None else None),
        ("medicine-times", {"valueInteger": times} if times is not None else None),
    )
    return item("medicine", below=[item(link, answer) for link, answer in rows if answer])


def calcium(*resources: Json) -> Fact:
    return fact_of("medication", "calcium-supplement", *resources, hook="order-sign")


def test_a_calcium_tablet_without_prescription_counts_with_its_dose() -> None:
    fact = calcium(response(medicine("calcium", "Calcium carbonate 1250 mg", 1, 2)))
    assert fact.attributes["dose"] == Decimal(1000)
    assert fact.sources == ("QuestionnaireResponse/qr item medicine",)


def test_it_is_added_to_calcium_from_food() -> None:
    food = item("calcium-from-food", {"valueQuantity": quantity(500, "mg/d")})
    total = fact_of("intake", "calcium", response(food, medicine("calcium", "Calcium carbonate 1250 mg", 1, 1)))
    assert value_of(total) == 1000


@pytest.mark.parametrize(
    "answer",
    [
        medicine("calcium"),
        medicine("calcium", "Caltrate", 1, 2),
        medicine("calcium", "Calcium carbonate 1250 mg", 1),
        medicine("calcium", "Calcium carbonate 1250 mg", None, 2),
        medicine("calcium", "Calcium carbonate 1250 mg", "1", 2),
        medicine("calcium", "Calcium carbonate 1250 mg", -1, 2),
        medicine(None, "Calcium carbonate 1250 mg"),
    ],
    ids=["kind only", "brand", "how often missing", "how many missing", "text as number", "negative", "no kind"],
)
def test_calcium_whose_dose_cannot_be_read_is_there_with_an_unknown_dose(answer: Json) -> None:
    fact = calcium(response(answer))
    assert fact.state == "known"
    assert fact.attributes["dose_known"] is False


def test_calcium_with_vitamin_d_is_both() -> None:
    answers = response(medicine("calcium-vitamin-d", "Caltrate", 1, 1))
    assert calcium(answers).state == "known"
    assert fact_of("medication", "vitamin-d", answers, hook="order-sign").state == "known"


@pytest.mark.parametrize("kind", ["antacid", "other", None])
def test_a_medicine_that_nobody_can_tell_proves_no_absence(kind: str | None) -> None:
    assert calcium(response(medicine(kind, None, 1, 1))).state == "unknown"


def test_taking_nothing_takes_back_an_older_answer_but_no_prescription() -> None:
    older = response(medicine("calcium", "Calcium carbonate 1250 mg", 1, 1), id="a", days=30)
    newer = response(item("takes-medicines", NO), id="b", days=3)
    assert calcium(older).state == "known"
    assert calcium(older, newer).state == "absent"
    assert calcium(older, newer, prescription("Calcium carbonate 1250 mg")).state == "known"


def test_medicines_reported_on_the_last_day_of_the_window_count_and_a_day_later_are_named_as_left_out() -> None:
    def reported(days: int) -> Json:
        return response(medicine("calcium", "Calcium carbonate 1250 mg", 1, 1), days=days)

    assert calcium(reported(56)).state == "known"
    census = facts_of(reported(57), hook="order-sign")
    assert census.facts[("medication", "calcium-supplement")].state == "absent"
    assert any("medicines reported more than 56 days ago" in remark for remark in census.remarks)


# -- status, owner, date ----------------------------------------------------------------------------------------------

SWOLLEN = (item("leg-swelling", YES), item("leg-swelling-side", LEFT), item("vegan", YES), medicine("calcium"))


@pytest.mark.parametrize(("status", "state"), [("completed", "known"), ("amended", "known")])
def test_a_completed_or_amended_response_counts(status: str, state: str) -> None:
    assert symptom("leg-swelling", response(*SWOLLEN, status=status)).state == state


@pytest.mark.parametrize("status", ["in-progress", "stopped", "entered-in-error", "unheard-of", None])
def test_a_response_that_is_not_completed_says_nothing(status: str | None) -> None:
    answers = response(*SWOLLEN, status=status)
    assert symptom("leg-swelling", answers).state == "unknown"
    assert fact_of("condition", "vegan-diet", answers).state == "absent"
    assert calcium(answers).state == "absent"


def test_an_answer_in_progress_is_named_as_not_final_and_a_withdrawn_one_is_not() -> None:
    assert symptom("leg-swelling", response(*SWOLLEN, status="in-progress")).remarks
    assert not symptom("leg-swelling", response(*SWOLLEN, status="entered-in-error")).remarks


def test_the_answers_of_another_woman_are_ignored() -> None:
    census = facts_of(response(*SWOLLEN, subject={"reference": "Patient/berta"}))
    assert census.facts[("symptom", "leg-swelling")].state == "unknown"
    assert any("another patient" in remark for remark in census.remarks)


def test_an_answer_from_the_future_is_not_used() -> None:
    answers = response(*SWOLLEN, days=-2)
    assert symptom("leg-swelling", answers).state == "unknown"
    assert fact_of("condition", "vegan-diet", answers).state == "absent"
    assert calcium(answers).state == "absent"


def test_a_response_without_a_date_has_no_age() -> None:
    fact = symptom("leg-swelling", response(*SWOLLEN, authored=None))
    assert fact.state == "known"
    assert "age" not in fact.attributes


def test_a_later_no_of_the_form_outweighs_an_older_yes() -> None:
    older, newer = response(item("leg-swelling", YES), id="a"), response(item("leg-swelling", NO), id="b", days=1)
    assert symptom("leg-swelling", older, newer).attributes["present"] is False
    assert symptom("leg-swelling", newer, older).attributes["present"] is False


def test_an_unreadable_answer_leaves_the_others_in_force() -> None:
    answers = response(item("leg-swelling", {"valueBoolean": {"no": "boolean"}}), item("leg-redness", YES))
    assert symptom("leg-swelling", answers).state == "unknown"
    assert symptom("leg-redness", answers).state == "known"


ODD: list[Any] = [None, [], {}, "x", 1, True, [None], [[]], {"a": 1}, 20261119, {"code": None}]
PLACES = ("status", "questionnaire", "authored", "item", "linkId", "text", "answer", "valueBoolean", "valueCoding")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_response_in_an_odd_shape_is_no_failure_and_does_not_silence_a_sound_one(place: str, odd: Any) -> None:
    """Whatever stands there, the swollen leg of the other response is seen."""
    broken = foreign(item("1", {"valueBoolean": False}, text="Tea"), id="broken", days=20)
    question = broken["item"][0]
    answer = question["answer"][0]
    holder = answer if place in answer or place == "valueCoding" else question if place in question else broken
    if place == "valueCoding":
        answer.clear()
    holder[place] = odd
    assert symptom("leg-swelling", broken, response(*SWOLLEN)).attributes["side"] == "left"


def test_an_item_that_a_modifier_changes_is_not_read() -> None:
    changed = {
        **item("leg-swelling", YES),
        "modifierExtension": [{"url": "http://example.org/not", "valueBoolean": True}],
    }
    assert symptom("leg-swelling", response(changed)).state == "unknown"


@pytest.mark.parametrize("odd", [{"linkId": "a\n**b**", "text": "Swelling of the left leg", "answer": [YES]}])
def test_a_link_id_that_is_no_plain_name_is_not_repeated(odd: Json) -> None:
    assert symptom("leg-swelling", foreign(odd)).sources == ("QuestionnaireResponse/qr",)


# -- a questionnaire that the site has mapped -------------------------------------------------------------------------


def booking(*items: Json, **more: Any) -> Json:
    return response(*items, **{"questionnaire": "http://example.org/fhir/Questionnaire/antenatal-booking", **more})


def test_the_codes_and_link_ids_of_a_site_mean_what_its_file_says() -> None:
    fact = symptom("leg-cramps", booking(item("4.1", option("1")), item("4.2", option("R"))))
    assert (fact.attributes["present"], fact.attributes["side"], fact.attributes["coded"]) == (True, "right", True)
    assert symptom("leg-cramps", booking(item("4.1", option("2")))).attributes["present"] is False
    assert symptom("leg-cramps", booking(item("4.1", option("9")))).state == "unknown"
    assert exposure("dairy-frequency", booking(item("5.1", option("sometimes")))).attributes["level"] == "moderate"
    assert value_of(fact_of("diet", "dietary-calcium", booking(item("5.2", {"valueInteger": 650})))) == 650


@pytest.mark.parametrize(
    ("answer", "present"),
    [
        ({"valueString": "yes"}, True),
        ({"valueString": "No"}, False),
        ({"valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/v2-0136", "code": "Y"}}, True),
        ({"valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/v2-0136", "code": "N"}}, False),
        ({"valueCoding": {"system": "http://example.org/answers", "code": "unknown"}}, None),
        ({"valueString": "sometimes"}, True),
        ({"valueString": "not sure"}, None),
        ({"valueInteger": 1}, None),
    ],
)  # fmt: skip
def test_yes_and_no_are_understood_in_their_usual_spellings(answer: Json, present: bool | None) -> None:
    assert exposure("high-heels", booking(item("5.3", answer))).attributes.get("present") is present


def test_an_item_that_the_site_did_not_map_is_read_by_its_wording_unless_it_says_not_to() -> None:
    assert symptom("leg-swelling", booking(item("7", YES, text="Swelling of a leg"))).attributes["coded"] is False
    assert symptom("leg-swelling", booking(item("9.1", YES, text="Swelling of a leg"))).state == "unknown"


def test_a_medicine_of_a_site_form_counts_without_a_kind() -> None:
    product, times = item("6.1", {"valueString": "Calcium carbonate 1250 mg"}), item("6.2", {"valueInteger": 2})
    assert calcium(booking(item("6", below=[product, times]))).attributes["dose_known"] is False


# -- questionnaires of others -----------------------------------------------------------------------------------------


def test_a_yes_to_a_question_in_words_is_free_text() -> None:
    fact = symptom("leg-swelling", foreign(item("1", YES, text="Swelling of the left leg")))
    assert fact.attributes["coded"] is False
    assert fact.attributes["side"] == "left"


def test_a_no_to_a_question_in_words_is_a_denial() -> None:
    assert symptom("leg-cramps", foreign(item("1", NO, text="Leg cramps at night"))).attributes["present"] is False


def test_a_coded_answer_of_an_unknown_form_counts_as_free_text_only() -> None:
    coded = {"valueCoding": {"system": SNOMED, "code": "449917004", "display": "Cramp in lower limb"}}
    bare = {"valueCoding": {"system": SNOMED, "code": "449917004"}}
    for answer in (coded, bare):
        fact = symptom("leg-cramps", foreign(item("1", answer, text="Which complaints do you have?")))
        assert fact.attributes["coded"] is False


def test_what_an_unknown_form_does_not_name_is_not_absent() -> None:
    answers = foreign(item("1", {"valueString": "headache"}, text="Complaints"))
    assert symptom("leg-swelling", answers).state == "unknown"
    assert symptom("leg-cramps", answers).state == "unknown"


@pytest.mark.parametrize(
    "asked",
    [
        item("1", YES, text="Have you ever had swelling of a leg?"),
        item("1", YES, text="Swelling of a leg in an earlier pregnancy"),
        item("g", text="Family history", below=[item("1", YES, text="Swelling of a leg")]),
        item("1", NO, text="No swelling of the legs?"),
        item("1", YES, text="Are your legs without swelling?"),
        item("1", {"valueInteger": 3}, text="Swelling of a leg"),
        item("1", {"valueCoding": {"code": "unknown", "display": "Unknown"}}, text="Swelling of a leg"),
        item("1", YES),
    ],
    ids=["ever", "earlier", "family", "negated", "without", "number", "unknown", "no text"],
)
def test_a_question_that_is_not_about_now_or_not_clear_says_nothing(asked: Json) -> None:
    assert symptom("leg-swelling", foreign(asked)).state == "unknown"


def test_habits_are_read_from_words_too() -> None:
    assert exposure("high-heels", foreign(item("1", YES, text="Do you wear high heels?"))).attributes["present"] is True
    assert exposure("high-heels", foreign(item("1", NO, text="Do you wear high heels?"))).attributes["present"] is False
    free = foreign(item("1", {"valueString": "shop assistant, standing all day"}, text="Your work"))
    assert exposure("prolonged-standing", free).attributes["present"] is True
    assert exposure("prolonged-standing", free).shown == "yes, from free text"


# -- what surrounds them ----------------------------------------------------------------------------------------------


def test_our_own_codes_mean_nothing_when_a_client_sends_them() -> None:
    for system in ("urn:prenatal-cds:concept", "https://prenatal-cds.example/concept"):
        assert (
            symptom("leg-swelling", observation(concept(system, "leg-swelling"), valueBoolean=True)).state == "unknown"
        )


def test_our_own_codes_never_leave_the_reader() -> None:
    census, _ = taken(response(*SWOLLEN))
    assert OWN_SYSTEM not in repr(census)


def test_more_answers_than_are_ever_real_are_left_out_from_the_oldest_and_named() -> None:
    filler = [item(f"x{n}", YES, text="Tea") for n in range(MOST_ANSWERS // 2)]
    newest = response(item("leg-swelling", YES), *filler[1:], id="a", days=1)
    second = response(item("leg-redness", YES), *filler[1:], id="b", days=2)
    oldest = response(item("leg-warmth", YES), id="c", days=3)
    census = facts_of(oldest, second, newest)
    states = {name: census.facts[("symptom", name)].state for name in ("leg-swelling", "leg-redness", "leg-warmth")}
    assert states == {"leg-swelling": "known", "leg-redness": "known", "leg-warmth": "unknown"}
    assert "QuestionnaireResponse/c: was not read, the request holds too many answers" in census.remarks


def _without(*parts: str) -> Census:
    return facts_of(**dict.fromkeys(parts, ...))


def test_questionnaires_that_were_not_supplied_make_no_other_fact_doubtful() -> None:
    whole, without = _without(), _without("questionnaireResponses")
    assert without.gaps == ()
    differing = {key for key in whole.facts if whole.facts[key] != without.facts[key]}
    assert differing <= {("data", "questionnaireResponses")}


def test_a_questionnaire_is_read_whichever_way_its_patient_is_named() -> None:
    named = response(*SWOLLEN, subject={"reference": f"https://ehr.example.org/fhir/Patient/{ANNA}"})
    assert symptom("leg-swelling", named).state == "known"
