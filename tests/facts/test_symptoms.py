"""Symptoms and signs: reported, denied, or never asked; and on which side."""

from __future__ import annotations

import re
from datetime import UTC
from decimal import Decimal
from time import perf_counter
from typing import Any

import pytest

from cds.facts import Fact
from cds.facts.symptoms import symptom_fact
from tests.facts.charts import (
    ICD,
    LOCAL,
    LOINC,
    SNOMED,
    TODAY,
    WHO,
    Json,
    clinical,
    concept,
    condition,
    days_ago,
    fact_of,
    knowledge,
    observation,
    quantity,
    resource,
    taken,
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


LEG_SIGNS = ("leg-swelling", "leg-redness", "leg-warmth", "calf-tenderness", "leg-pain")
SIGNS = (*LEG_SIGNS, "leg-cramps", "back-or-groin-pain")


def reported(*resources: Json) -> dict[str, str]:
    """Every leg sign that the record reports, with its side ("one" where one side is meant but not named)."""
    facts = {kind: fact_of("symptom", kind, *resources) for kind in SIGNS}
    return {
        kind: "one"
        if (side := str(fact.attributes["side"])) == "unknown" and fact.attributes.get("one_sided")
        else side
        for kind, fact in facts.items()
        if answer(fact)
    }


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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("swelling and pain in one leg", {"leg-swelling": "one", "leg-pain": "one"}),
        ("a single leg is swollen", {"leg-swelling": "one"}),
        ("redness of one calf", {"leg-redness": "one"}),
        ("one of her legs is hot", {"leg-warmth": "one"}),
        ("pain and swelling of left lower leg", {"leg-swelling": "left", "leg-pain": "left"}),
        ("Swelling of left lower leg", {"leg-swelling": "left"}),
        ("Edema of left lower extremity", {"leg-swelling": "left"}),
        ("LLE edema", {"leg-swelling": "left"}),
        ("R calf red, rt foot swollen", {"leg-redness": "right", "leg-swelling": "right"}),
        ("pain behind the left knee", {"leg-pain": "left"}),
        ("pain in the left hip radiating to the leg", {"leg-pain": "left"}),
        ("swelling left leg", {"leg-swelling": "left"}),
        ("swollen left lower leg", {"leg-swelling": "left"}),
        ("swelling of the whole left leg", {"leg-swelling": "left"}),
        ("swelling since two days in her left leg", {"leg-swelling": "left"}),
        ("left thigh swelling", {"leg-swelling": "left"}),
        ("left leg, swollen up to the groin", {"leg-swelling": "left"}),
        ("left leg feels hot", {"leg-warmth": "left"}),
        ("redness over right shin", {"leg-redness": "right"}),
        ("my left leg is aching and swollen", {"leg-swelling": "left", "leg-pain": "left"}),
        ("right calf: swelling, warmth", {"leg-swelling": "right", "leg-warmth": "right"}),
        ("swelling, redness, left leg", {"leg-swelling": "left", "leg-redness": "left"}),
        ("her left foot is red; tender", {"leg-redness": "left", "calf-tenderness": "left"}),
        ("left groin pain", {"back-or-groin-pain": "left"}),
        ("pain in the left buttock", {"back-or-groin-pain": "left"}),
        ("back pain, left leg swelling", {"leg-swelling": "left", "back-or-groin-pain": "unknown"}),
        ("pain in the back of the left calf", {"leg-pain": "left"}),
        ("left leg pain is back", {"leg-pain": "left"}),
        ("swelling of both hands, pain in left leg", {"leg-pain": "left"}),
        ("swelling of the left hand and cramps in the right leg", {"leg-cramps": "right"}),
        ("swelling of the hands and feet", {"leg-swelling": "unknown"}),
        ("pain in the left arm and leg", {"leg-pain": "left"}),
    ],
)
def test_a_sign_and_a_leg_in_any_order_are_a_leg_sign(text: str, found: dict[str, str]) -> None:
    assert reported(said(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("painful cramps in the left leg", {"leg-cramps": "left"}),
        ("leg cramps, very painful", {"leg-cramps": "unknown"}),
        ("the cramps in her left calf are painful", {"leg-cramps": "left"}),
        ("cramping pain in the left calf", {"leg-cramps": "left"}),
        ("pain in the left calf", {"leg-pain": "left"}),
        ("cramps and constant pain in the left calf", {"leg-cramps": "left", "leg-pain": "left"}),
        ("cramp-like pain in the left calf", {"leg-cramps": "left", "leg-pain": "left"}),
        ("no cramps but left calf painful", {"leg-pain": "left"}),
    ],
)
def test_a_painful_cramp_is_a_cramp_and_a_pain_is_a_pain(text: str, found: dict[str, str]) -> None:
    assert reported(said(text)) == found


@pytest.mark.parametrize(
    "text",
    [
        "swelling of the left hand",
        "face swelling",
        "pain in left arm",
        "red hair",
        "hot flushes",
        "leg exam normal, hot flushes",
        "warm-up exercises for legs",
        "legs warm and well perfused",
        "leg swelling: no",
        "swelling of the left leg: no",
        "varicose veins",
        "no swelling of the left calf",
        "denies redness or swelling of leg",
        "no left leg swelling, redness or warmth",
        "no swelling, redness, or warmth of the left calf",
        "left leg not swollen but not red either",
        "calves soft, non-tender",
        "pain-free legs",
        "her mother has leg swelling, redness",
        "abdominal cramps, sore throat",
        "left leg normal, swollen face",
    ],
)
def test_signs_of_another_place_and_denied_signs_are_no_leg_signs(text: str) -> None:
    assert reported(said(text)) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("left leg is swollen but not red", {"leg-swelling": "left"}),
        ("left leg not painful but swollen", {"leg-swelling": "left"}),
        ("no pain, swollen left leg", {"leg-swelling": "left"}),
        ("left leg: no pain; swollen", {"leg-swelling": "left"}),
        ("non-tender swelling of left leg", {"leg-swelling": "left"}),
        ("no fever, swelling of the left calf", {"leg-swelling": "left"}),
        ("no pain or swelling in left leg, right leg swollen", {"leg-swelling": "right"}),
    ],
)
def test_a_denial_of_one_sign_leaves_the_other_standing(text: str, found: dict[str, str]) -> None:
    assert reported(said(text)) == found


def test_a_denied_leg_sign_is_a_no() -> None:
    for text in (
        "denies redness or swelling of leg",
        "no redness of either leg",
        "redness and swelling absent in legs",
    ):
        assert answer(fact_of("symptom", "leg-redness", said(text))) is not True
    assert answer(fact_of("symptom", "leg-redness", said("denies redness or swelling of leg"))) is False
    assert answer(fact_of("symptom", "leg-swelling", said("denies redness or swelling of leg"))) is False


_WORDS = {
    "leg-swelling": ("swelling", "swollen", "oedema", "edema"),
    "leg-redness": ("redness", "red", "erythema"),
    "leg-warmth": ("warmth", "hot"),
    "calf-tenderness": ("tenderness", "tender"),
    "leg-pain": ("pain", "aching", "sore"),
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in _WORDS.items() for word in words])
@pytest.mark.parametrize("place", ["left leg", "left lower leg", "left calf"])
def test_the_order_of_sign_side_and_leg_does_not_matter(kind: str, word: str, place: str) -> None:
    for text in (
        f"{word} {place}",
        f"{place} {word}",
        f"{word}, {place}",
        f"{place}: {word}",
        f"{word} of the {place}",
    ):
        assert reported(said(text)) == {kind: "left"}, text
        assert answer(fact_of("symptom", kind, said(f"no {text}"))) is not True, text


@pytest.mark.parametrize("site", [{"text": "left leg"}, concept(SNOMED, "x", display="Left lower leg")])
def test_the_body_site_gives_a_sign_in_words_its_leg(site: Json) -> None:
    assert reported(observation({"text": "Swelling"}, bodySite=site)) == {}  # a question without an answer
    assert reported(observation({"text": "Swelling"}, bodySite=site, valueBoolean=True)) == {"leg-swelling": "left"}
    assert reported(observation({"text": "note"}, bodySite=site, valueString="red. Swollen")) == {
        "leg-swelling": "left",
        "leg-redness": "left",
    }
    assert reported(condition({"text": "Swelling"}, bodySite=[site])) == {"leg-swelling": "left"}
    assert reported(observation({"text": "note"}, bodySite=site, valueString="swollen hand")) == {}


def test_the_body_site_may_be_two_codes() -> None:
    both_codes = {"coding": [*CALF["coding"], *LEFT["coding"]]}
    assert reported(observation({"text": "Redness"}, bodySite=both_codes, valueBoolean=True)) == {"leg-redness": "left"}


def test_a_sign_without_a_leg_or_at_another_site_is_none() -> None:
    assert reported(observation({"text": "Swelling"}, valueBoolean=True)) == {}
    assert reported(observation({"text": "Swelling"}, bodySite={"text": "left hand"}, valueBoolean=True)) == {}
    assert reported(condition({"text": "Swelling"})) == {}
    assert reported(condition({"text": "Swelling"}, bodySite=[{"text": "left arm"}])) == {}


def test_an_examination_of_a_leg_gives_its_answer_the_leg() -> None:
    assert reported(observation({"text": "Left leg"}, valueString="swollen, warm")) == {
        "leg-swelling": "left",
        "leg-warmth": "left",
    }
    assert reported(observation({"text": "Leg cramps"}, valueString="painful")) == {"leg-cramps": "unknown"}


def test_a_sign_in_words_stays_text() -> None:
    fact = swelling(observation({"text": "Swelling"}, bodySite={"text": "left leg"}, valueBoolean=True))
    assert fact.attributes["coded"] is False


def test_every_wording_that_is_no_sign_holds_a_word_of_its_concept() -> None:
    for kind in SIGNS:
        signs = knowledge().concepts[kind]
        words = re.compile("|".join(rf"(?<!\w){re.escape(w)}(?!\w)" for w in (*signs.text, *signs.sign, *signs.site)))
        assert [wording for wording in signs.void if not words.search(wording)] == []


def test_a_long_text_of_signs_is_read_in_no_time() -> None:
    for text in ("red leg " * 250, "no red, " * 250, "red leg hand " * 160, "to the mid " * 180, "pain and " * 220):
        started = perf_counter()
        fact_of("symptom", "leg-redness", said(text))
        fact_of("symptom", "leg-pain", said(text))
        assert perf_counter() - started < 3


@pytest.mark.parametrize(
    ("finding", "severe"),
    [
        (observation(CRAMPS, valueString="severe, at night"), True),
        (observation(CRAMPS, valueString="sleep-disrupting"), True),
        (observation(CRAMPS, valueString="sleep disrupted"), True),
        (observation(CRAMPS, valueString="disturbs her sleep"), True),
        (observation(CRAMPS, valueCodeableConcept={"text": "Severe"}), True),
        (observation({**CRAMPS, "text": "Severe leg cramps"}), True),
        (said("cramps in both legs wake her at night"), True),
        (said("leg cramps, keep her awake"), True),
        (condition(CRAMPS, severity=concept(SNOMED, "24484000")), True),
        (condition(CRAMPS, severity={"text": "Severe"}), True),
        (condition(CRAMPS, severity={"text": "Mild"}), None),
        (observation(CRAMPS), None),
        (observation(CRAMPS, valueString="every night"), None),
        (said("leg cramps, not severe"), None),
        (observation(CRAMPS, valueString="on waking"), None),
        (observation(CRAMPS, note=[{"text": "wake her every night"}]), True),
        (said("leg cramps, severe headache"), None),
        (said("leg cramps that do not disturb her sleep"), None),
    ],
)
def test_severity_is_stated_or_unknown(finding: Json, severe: bool | None) -> None:
    assert answer(cramps(finding)) is True
    assert cramps(finding).attributes.get("severe") is severe


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
        (observation(CRAMPS, note=[{"text": "persisting since the last visit"}]), True),
        (observation(CRAMPS, note=[{"text": "does not go away"}]), True),
        (observation(CRAMPS, note=[{"text": "brief, not constant"}]), None),
        (observation(CRAMPS, note=[{"text": "constant headache"}]), None),
        (said("calf cramps, persistent vomiting"), None),
        (observation(CRAMPS), None),
    ],
)
def test_persistence_is_stated_or_unknown(finding: Json, persistent: bool | None) -> None:
    assert cramps(finding).attributes.get("persistent") is persistent


# -- notes, timing, counselling ---------------------------------------------------------------------------------------


def noted(text: str, code: Json = SWELLING, **more: Any) -> Json:
    return observation(code, note=[{"text": text}], **more)


@pytest.mark.parametrize(
    ("note", "side"),
    [
        ("left leg, at night", "left"),
        ("right calf swollen; no swelling of the left calf", "right"),
        ("no swelling of the right leg", "unknown"),
        ("left arm in plaster", "unknown"),
        ("worse than last week", "unknown"),
    ],
)
def test_a_note_beside_a_coded_finding_gives_its_side(note: str, side: str) -> None:
    fact = swelling(noted(note))
    assert (fact.attributes["side"], fact.attributes["coded"]) == (side, True)


@pytest.mark.parametrize(
    ("value", "side"),
    [
        (LEFT, "left"),
        ({"text": "Right"}, "right"),
        ({"text": "both legs"}, "both"),
        ({"text": "not recorded"}, "unknown"),
    ],
)
def test_a_component_may_name_the_side(value: Json, side: str) -> None:
    part = {"code": {"text": "Laterality"}, "valueCodeableConcept": value}
    assert swelling(observation(SWELLING, component=[part])).attributes["side"] == side


def test_the_answer_of_another_component_is_no_side() -> None:
    part = {"code": {"text": "Handedness"}, "valueCodeableConcept": LEFT}
    assert swelling(observation(SWELLING, valueBoolean=True, component=[part])).attributes["side"] == "unknown"


def test_a_body_site_comes_before_a_note() -> None:
    assert swelling(noted("pain in the right leg too", bodySite=LEFT)).attributes["side"] == "left"


def test_a_note_without_a_coded_finding_is_no_finding() -> None:
    assert reported(observation({"text": "Visit"}, note=[{"text": "left calf swollen, red and tender"}])) == {}


def test_a_note_of_a_panel_gives_its_parts_no_side() -> None:
    parts = [{"code": CRAMPS, "valueBoolean": True}, {"code": SWELLING, "valueBoolean": True}]
    panel = observation(concept(LOINC, "10187-3"), component=parts, note=[{"text": "left"}])
    assert reported(panel) == {"leg-cramps": "unknown", "leg-swelling": "unknown"}


def test_a_denial_in_the_text_leaves_the_other_sign_of_the_sentence() -> None:
    assert reported(said("left calf not swollen but red")) == {"leg-redness": "left"}
    assert answer(fact_of("symptom", "leg-pain", said("denies calf pain"))) is False


@pytest.mark.parametrize(
    ("finding", "shown"),
    [
        (observation(CRAMPS, valueString="at night, for 3 weeks"), "at night, for 3 weeks"),
        (noted("every night for the last two weeks", CRAMPS), "every night, for the last two weeks"),
        (observation(concept(ICD, "G47.62")), "sleep related"),
        (observation({**CRAMPS, "text": "Leg cramps at night"}), "Leg cramps at night"),
        (observation(CRAMPS), "reported"),
    ],
)
def test_night_or_day_and_since_when_stand_on_the_card(finding: Json, shown: str) -> None:
    assert cramps(finding).shown == shown


def counselled(days: int, **more: Any) -> Json:
    code = concept(WHO, "ANC.B10.DE37")
    whole = {"status": "completed", "code": code, "performedDateTime": days_ago(days), **more}
    return resource("Procedure", f"p{days}", **whole)


@pytest.mark.parametrize(
    ("procedures", "expected"),
    [
        ([counselled(16)], 14),
        ([counselled(15)], 13),
        ([counselled(30), counselled(16)], 14),
        ([counselled(2)], None),  # the report is of that day
        ([counselled(1)], None),  # the report came before
        ([counselled(16, status="not-done")], None),
        ([counselled(16, performedDateTime="2026-11")], None),
        ([counselled(16, performedDateTime=None)], None),
        ([], None),
    ],
)
def test_days_after_counselling_count_from_the_newest_one_to_a_later_report(
    procedures: list[Json], expected: int | None
) -> None:
    fact = cramps(observation(CRAMPS, day=days_ago(2)), *procedures)
    assert fact.attributes.get("days_after_counselling") == (None if expected is None else Decimal(expected))


def test_counselling_that_was_not_supplied_gives_no_days() -> None:
    fact = cramps(observation(CRAMPS, day=days_ago(2)), procedures=...)
    assert "days_after_counselling" not in fact.attributes


# -- signs of a low and of a high calcium -----------------------------------------------------------------------------

TINGLING = concept(SNOMED, "91019004")


def tingling(*resources: Json) -> set[str]:
    names = ("perioral-paraesthesia", "digital-paraesthesia", "paraesthesia")
    return {name for name in names if answer(fact_of("symptom", name, *resources))}


@pytest.mark.parametrize(
    ("finding", "found"),
    [
        (said("tingling around the mouth and in the fingers"), {"perioral-paraesthesia", "digital-paraesthesia"}),
        (said("perioral numbness, tingling of the fingertips"), {"perioral-paraesthesia", "digital-paraesthesia"}),
        (said("numb lips"), {"perioral-paraesthesia"}),
        (said("pins and needles in both hands"), {"digital-paraesthesia"}),
        (said("no tingling around the mouth or in the fingers"), set()),
        (observation(TINGLING, bodySite={"text": "Perioral"}), {"perioral-paraesthesia"}),
        (observation(TINGLING, bodySite={"text": "Fingers of both hands"}), {"digital-paraesthesia"}),
        (observation(TINGLING, valueString="lips and fingers"), {"perioral-paraesthesia", "digital-paraesthesia"}),
        (observation(TINGLING, bodySite={"text": "Left thigh"}), set()),
        (observation(TINGLING, bodySite={"text": "Perioral"}, valueBoolean=False), set()),
        (condition(concept(ICD, "R20.2", text="Tingling around mouth and in fingers")),
         {"perioral-paraesthesia", "digital-paraesthesia"}),
    ],
)  # fmt: skip
def test_tingling_around_the_mouth_and_in_the_fingers_is_told_from_other_tingling(
    finding: Json, found: set[str]
) -> None:
    assert tingling(finding) - {"paraesthesia"} == found


@pytest.mark.parametrize(
    ("name", "finding", "expected"),
    [
        ("laryngospasm", said("laryngospasm this morning"), True),
        ("tetany", said("carpopedal spasm"), True),
        ("tetany", said("laryngospasm this morning"), None),
        ("vomiting", observation(concept(SNOMED, "444673007")), True),
        ("vomiting", condition(concept(ICD, "O21.0")), True),
        ("vomiting", said("no vomiting"), False),
        ("vomiting-with-dehydration", condition(concept(ICD, "O21.1")), True),
        ("vomiting-with-dehydration", condition(concept(ICD, "O21.0")), None),
        ("vomiting-with-dehydration", said("vomiting and dehydration"), True),
        ("dehydration", said("looks dehydrated"), True),
        ("dehydration", said("drink to avoid dehydration"), None),
        ("confusion", said("drowsy and confused"), True),
        ("polyuria", said("denies polyuria"), False),
        ("stone-now", condition(concept(SNOMED, "95570007"), recorded=days_ago(2)), True),
        ("stone-now", condition(concept(SNOMED, "429025008")), None),
        ("stone-now", condition(concept(SNOMED, "95570007"), clinicalStatus=clinical("resolved")), None),
        ("pancreatitis", said("history of pancreatitis"), None),
        ("pancreatitis", said("acute pancreatitis"), True),
    ],
)
def test_signs_of_a_calcium_out_of_range_are_read_from_codes_and_words(
    name: str, finding: Json, expected: bool | None
) -> None:
    assert answer(fact_of("symptom", name, finding)) is expected


@pytest.mark.parametrize(
    ("finding", "coded"),
    [
        (condition(concept(SNOMED, "32914008")), True),
        (condition(concept(ICD, "G25.81")), True),
        (observation(concept(SNOMED, "32914008"), valueBoolean=True), True),
        (said("urge to move the legs in the evening"), False),
    ],
)
def test_restless_legs_are_read_from_diagnoses_and_observations(finding: Json, coded: bool) -> None:
    fact = symptom_fact(knowledge(), taken(finding)[1], ("symptom", "restless-legs"), TODAY, UTC)
    assert fact.attributes["coded"] is coded


# -- diagnoses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"clinicalStatus": None}, True),
        ({"clinicalStatus": clinical("recurrence")}, True),
        ({"clinicalStatus": clinical("resolved")}, None),
        ({"clinicalStatus": None, "abatementDateTime": days_ago(3)}, None),
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
