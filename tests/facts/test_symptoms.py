"""Symptoms and signs: reported, denied, or never asked; and on which side."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.facts import Fact
from tests.facts.charts import (
    ICD,
    LOCAL,
    LOINC,
    SNOMED,
    WHO,
    Json,
    clinical,
    concept,
    condition,
    days_ago,
    fact_of,
    observation,
    quantity,
    verification,
)

CRAMPS, SWELLING = concept(SNOMED, "449917004"), concept(SNOMED, "449615005")
ERYTHEMA, TENDERNESS = concept(SNOMED, "444827008"), concept(SNOMED, "247348008")
LEFT, RIGHT = concept(SNOMED, "7771000"), concept(SNOMED, "24028007")
CALF = concept(SNOMED, "53840002")
Y, N = (concept("http://terminology.hl7.org/CodeSystem/v2-0136", letter) for letter in "YN")


def said(text: str, id: str = "note", days: int = 1) -> Json:
    """A finding in free text under a code that nobody knows."""
    return observation({"text": "Examination of the legs"}, id, days_ago(days), valueString=text)


def cramps(*resources: Json, **how: Any) -> Fact:
    return fact_of("symptom", "leg-cramps", *resources, **how)


def swelling(*resources: Json, **how: Any) -> Fact:
    return fact_of("symptom", "leg-swelling", *resources, **how)


def answer(fact: Fact) -> bool | None:
    """Reported, denied, or None when unknown."""
    assert fact.state in ("known", "unknown"), "silence is never absence"
    found = fact.attributes.get("present")
    assert found is None or isinstance(found, bool)
    return found


# -- asked and answered -----------------------------------------------------------------------------------------------


def test_silence_is_not_a_no() -> None:
    assert (cramps().state, cramps().reason) == ("unknown", "not recorded")
    assert cramps(symptoms=...).reason == "symptom observations were not supplied"


@pytest.mark.parametrize(
    ("code", "value", "expected"),
    [
        (CRAMPS, {"valueBoolean": True}, True),
        (CRAMPS, {"valueBoolean": False}, False),
        (CRAMPS, {}, True),  # a SNOMED CT finding states itself
        (concept(LOCAL, "leg-cramps"), {}, None),  # a question without a value was not answered
        (concept(LOCAL, "leg-cramps"), {"valueBoolean": True}, True),
        (concept(LOCAL, "leg-cramps"), {"valueCodeableConcept": CRAMPS}, True),
        (concept(WHO, "ANC.B7.DE56"), {"valueBoolean": False}, False),
        (concept(WHO, "ANC.B7.DE56"), {"valueBoolean": True}, True),
        (CRAMPS, {"valueCodeableConcept": Y}, True),
        (CRAMPS, {"valueCodeableConcept": N}, False),
        (CRAMPS, {"valueCodeableConcept": concept(SNOMED, "373067005", display="No (qualifier value)")}, False),
        (CRAMPS, {"valueCodeableConcept": concept(SNOMED, "373066001", display="Yes (qualifier value)")}, True),
        (CRAMPS, {"valueCodeableConcept": {"text": "Known absent"}}, False),
        (CRAMPS, {"valueCodeableConcept": {"text": "Unknown"}}, None),
        (CRAMPS, {"valueCodeableConcept": concept("http://x/v3-NullFlavor", "ASKU", display="asked")}, None),
        (CRAMPS, {"valueCodeableConcept": concept(SNOMED, "385432009")}, None),
        (CRAMPS, {"dataAbsentReason": concept("x", "not-asked")}, None),
        (CRAMPS, {"valueQuantity": quantity(0, "h")}, None),
        (CRAMPS, {"valueString": "no"}, False),
        (CRAMPS, {"valueString": "No cramps."}, False),
        (CRAMPS, {"valueString": "denies leg cramps"}, False),
        (CRAMPS, {"valueString": "severe, at night"}, True),
        (CRAMPS, {"valueString": "no change since last visit"}, None),
        (CRAMPS, {"valueString": "not sure"}, None),
        (CRAMPS, {"valueString": "not asked"}, None),
        (CRAMPS, {"valueString": "unable to assess"}, None),
        (CRAMPS, {"valueString": "3"}, None),
    ],
)  # fmt: skip
def test_an_answer_is_a_yes_a_no_or_no_answer(code: Json, value: Json, expected: bool | None) -> None:
    assert answer(cramps(observation(code, **value))) is expected


def test_no_answer_is_named() -> None:
    assert cramps(observation(CRAMPS, dataAbsentReason=concept("x", "unknown"))).remarks == (
        "recorded without an answer (Observation/o1)",
    )


def test_a_code_as_the_answer_to_a_general_question_counts() -> None:
    fact = cramps(observation(concept(LOINC, "75325-1"), valueCodeableConcept=CRAMPS))
    assert fact.attributes["coded"] is True


def test_components_are_read_like_symptoms() -> None:
    parts = [{"code": CRAMPS, "valueBoolean": True}, {"code": SWELLING, "valueBoolean": False}]
    review = observation(concept(LOINC, "10187-3"), component=parts)
    assert (answer(cramps(review)), answer(swelling(review))) == (True, False)


@pytest.mark.parametrize("status", ["preliminary", "registered", "unknown"])
def test_a_record_that_is_not_final_is_no_answer_but_is_named(status: str) -> None:
    fact = cramps(observation(CRAMPS, status=status))
    assert (fact.state, fact.remarks) == ("unknown", ("a record is not final (Observation/o1)",))


def test_a_record_taken_back_does_not_exist() -> None:
    assert cramps(observation(CRAMPS, status="entered-in-error")).remarks == ()


# -- which day --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("yes", "no", "expected"), [(3, 5, True), (5, 3, False), (3, 3, True)])
def test_the_newest_day_decides_and_on_it_a_report_outweighs_a_denial(yes: int, no: int, expected: bool) -> None:
    rows = [observation(CRAMPS, "yes", days_ago(yes)), observation(CRAMPS, "no", days_ago(no), valueBoolean=False)]
    fact = cramps(*rows)
    assert answer(fact) is expected
    assert fact.attributes["age"] == Decimal(min(yes, no))


def test_a_later_record_without_an_answer_takes_nothing_back() -> None:
    rows = [observation(CRAMPS, "yes", days_ago(3)), observation(CRAMPS, "asked", days_ago(1), valueString="not asked")]
    assert answer(cramps(*rows)) is True


def test_a_report_dated_in_the_future_is_not_used_but_named() -> None:
    fact = cramps(observation(CRAMPS, day=days_ago(-1)))
    assert (fact.state, fact.remarks) == ("unknown", ("dated in the future, not used (Observation/o1)",))


def test_a_report_without_a_date_is_known_without_an_age() -> None:
    fact = swelling(observation(SWELLING, effectiveDateTime=None, bodySite=LEFT))
    assert fact.attributes["one_sided"] is True
    assert "age" not in fact.attributes


# -- which side -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "side"),
    [
        (observation(SWELLING, bodySite=LEFT), "left"),
        (observation(SWELLING, bodySite=RIGHT), "right"),
        (observation(SWELLING, bodySite=concept(SNOMED, "51440002")), "both"),
        (observation(SWELLING, bodySite={"text": "left calf"}), "left"),
        (observation(SWELLING, bodySite={"coding": [*CALF["coding"], *RIGHT["coding"]]}), "right"),
        (observation({**SWELLING, "text": "Swelling of right lower leg"}), "right"),
        (observation(SWELLING, valueString="left leg, since two days"), "left"),
        (observation(SWELLING, valueString="bilateral, worse in the evening"), "both"),
        (observation(SWELLING, valueString="left calf swollen compared with right"), "left"),
        (observation(SWELLING, valueString="right calf swollen, left normal"), "right"),
        (observation(SWELLING, valueString="left and right"), "both"),
        (observation(SWELLING, valueString="left ankle and right ankle"), "both"),
        (observation(SWELLING), "unknown"),
        (observation(SWELLING, bodySite=CALF), "unknown"),
        (condition(concept(ICD, "R22.41")), "right"),
        (condition(concept(ICD, "R22.42")), "left"),
        (condition(concept(ICD, "R22.43")), "both"),
        (condition(SWELLING, bodySite=[LEFT]), "left"),
        (condition(SWELLING, bodySite=[LEFT, RIGHT]), "both"),
        (observation(concept(SNOMED, "762898005")), "both"),
    ],
)
def test_the_side_comes_from_site_code_or_text(finding: Json, side: str) -> None:
    fact = swelling(finding)
    assert fact.attributes["side"] == side
    one_sided = {"left": True, "right": True, "both": False, "unknown": None}[side]
    assert fact.attributes.get("one_sided") is one_sided


def test_one_leg_without_a_name_is_still_one_leg() -> None:
    fact = swelling(observation(SWELLING, valueString="unilateral"))
    assert (fact.attributes["side"], fact.attributes["one_sided"]) == ("unknown", True)


def test_left_and_right_on_one_day_are_both() -> None:
    left, right = observation(SWELLING, "l", bodySite=LEFT), observation(SWELLING, "r", bodySite=RIGHT)
    assert swelling(left, right).attributes["side"] == "both"
    assert swelling(left, {**right, "effectiveDateTime": days_ago(4)}).attributes["side"] == "left"


def test_a_no_for_one_leg_is_no_no_for_the_other() -> None:
    left = observation(SWELLING, "l", bodySite=LEFT, valueBoolean=False)
    right = observation(SWELLING, "r", bodySite=RIGHT, valueBoolean=False)
    assert swelling(left).reason == "denied for one side only (Observation/l)"
    assert answer(swelling(left, right)) is False
    assert swelling(left, {**right, "valueBoolean": True}).attributes["side"] == "right"


# -- codes that need a leg --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code"),
    [("leg-redness", ERYTHEMA), ("calf-tenderness", TENDERNESS), ("leg-swelling", concept(ICD, "R60.0"))],
)
def test_a_general_code_is_a_leg_sign_only_where_a_leg_is_named(kind: str, code: Json) -> None:
    def found(**more: Any) -> bool | None:
        return answer(fact_of("symptom", kind, observation(code, **more)))

    assert found() is None
    assert found(bodySite=concept(SNOMED, "368208006", display="Left upper arm")) is None
    assert found(bodySite=CALF) is True
    assert found(bodySite={"text": "Left calf"}) is True
    assert found(valueString="over the left calf") is True


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"bodySite": CALF}, True),
        ({"bodySite": {"text": "right hand"}}, None),
        ({"code": concept(SNOMED, "55300003", text="Abdominal cramps")}, None),
        ({"code": concept(SNOMED, "55300003", text="Menstrual cramp")}, None),
        ({"code": concept(SNOMED, "55300003", text="Cramp in the calf, not the back")}, True),
    ],
)
def test_a_plain_cramp_is_one_of_the_leg_unless_the_record_says_elsewhere(more: Json, expected: bool | None) -> None:
    assert answer(cramps(observation(**{"code": concept(SNOMED, "55300003"), **more}))) is expected


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "side"),
    [
        ("swelling of the left calf", True, "left"),
        ("Left calf is swollen, tender", True, "left"),
        ("swollen left calf with no redness", True, "left"),
        ("calf swelling not improving", True, "unknown"),
        ("no fever, swelling of the left calf", True, "left"),
        ("no redness but the left calf is swollen", True, "left"),
        ("not only swollen left calf", True, "left"),
        ("no leg swelling", False, None),
        ("denies swelling of the leg or redness", False, None),
        ("leg swelling: no", False, None),
        ("Leg swelling has resolved.", False, None),
        ("no evidence of leg swelling", False, None),
        ("no swelling of the left calf", None, None),  # says nothing about the right
        ("no redness and swollen calf", None, None),  # may be read both ways
        ("family history of leg swelling", None, None),
        ("her mother has leg swelling", None, None),
        ("feels well", None, None),
        ("swelling of the face", None, None),
    ],
)
def test_free_text_is_read_with_its_negations_and_marked_as_text(
    text: str, expected: bool | None, side: str | None
) -> None:
    fact = swelling(said(text))
    assert answer(fact) is expected
    assert fact.attributes.get("side") == side
    if expected:
        assert fact.attributes["coded"] is False
        assert "from free text" in fact.shown


def test_text_and_code_of_one_day_together_are_coded() -> None:
    fact = swelling(said("left calf swelling"), observation(SWELLING, "coded"))
    assert (fact.attributes["coded"], fact.attributes["side"]) == (True, "left")


def test_a_history_is_not_a_present_symptom() -> None:
    assert answer(cramps(observation({"text": "History of leg cramps"}, valueBoolean=True))) is None
    assert answer(cramps(condition({"text": "Family history of leg cramps"}))) is None
    assert answer(cramps(condition({"text": "Leg cramps in previous pregnancy"}))) is None


@pytest.mark.parametrize(
    ("finding", "persistent"),
    [
        (observation(concept(WHO, "ANC.B7.DE30"), valueBoolean=True), True),
        (observation(CRAMPS, valueString="constant pain in the calf"), True),
        (observation(CRAMPS), None),
    ],
)
def test_persistence_is_stated_or_unknown(finding: Json, persistent: bool | None) -> None:
    assert cramps(finding).attributes.get("persistent") is persistent


# -- diagnoses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"clinicalStatus": None}, True),
        ({"clinicalStatus": clinical("recurrence")}, True),
        ({"clinicalStatus": clinical("resolved")}, None),
        ({"verificationStatus": verification("refuted")}, None),
        ({"verificationStatus": verification("entered-in-error")}, None),
        ({"recordedDate": days_ago(-2)}, None),
    ],
)
def test_a_symptom_in_the_problem_list_counts_while_it_is_active(change: Json, expected: bool | None) -> None:
    assert answer(cramps(condition(CRAMPS, **change))) is expected


def test_a_diagnosis_counts_from_the_day_it_was_recorded() -> None:
    assert cramps(condition(CRAMPS, recorded=days_ago(4), onsetDateTime="2026-01-01")).attributes["age"] == Decimal(4)


def test_a_symptom_known_to_the_month_shows_the_month() -> None:
    fact = cramps(observation(CRAMPS, day="2026-11"))
    assert (fact.day, fact.shown) == (None, "reported (2026-11)")
    assert "age" not in fact.attributes


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"valueBoolean": True}, True), ({"valueBoolean": False}, False), ({"valueString": "no"}, False)],
)
def test_a_question_in_words_is_answered_like_a_coded_one_but_stays_text(value: Json, expected: bool) -> None:
    fact = cramps(observation({"text": "Leg cramps?"}, **value))
    assert answer(fact) is expected
    assert fact.attributes.get("coded") is (False if expected else None)


def test_the_card_names_side_and_finding_and_that_it_is_text() -> None:
    calf = {**SWELLING, "text": "Swollen calf"}
    assert swelling(observation(calf, bodySite=LEFT)).shown == "left, Swollen calf"
    assert swelling(observation(SWELLING, valueString="unilateral")).shown == "one side"
    assert swelling(said("swollen leg")).shown == "swollen leg, from free text"
    assert swelling(observation(SWELLING, valueBoolean=False)).shown == "denied"
