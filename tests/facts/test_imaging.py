"""Leg vein imaging: what a report says, of which leg, and whether it answers the newest sign."""

from __future__ import annotations

from typing import Any

import pytest

from cds.facts import Fact
from tests.facts.charts import (
    LOCAL,
    LOINC,
    SNOMED,
    Json,
    concept,
    days_ago,
    fact_of,
    observation,
    quantity,
    resource,
)

LEFT_SITE, RIGHT_SITE = concept(SNOMED, "7771000"), concept(SNOMED, "24028007")
NEGATIVE = "No evidence of deep vein thrombosis."


def report(
    conclusion: str | None = NEGATIVE, code: str = "30881-7", id: str = "us", days: int = 1, **more: Any
) -> Json:
    whole = {"status": "final", "code": concept(LOINC, code), "effectiveDateTime": days_ago(days)}
    return resource("DiagnosticReport", id, **{**whole, "conclusion": conclusion, **more})


def swelling(side: Json | None = LEFT_SITE, days: int = 2, **more: Any) -> Json:
    return observation(concept(SNOMED, "449615005"), "swelling", days_ago(days), bodySite=side, **more)


def imaging(*resources: Json, **how: Any) -> Fact:
    return fact_of("imaging", "leg-vein-ultrasound", *resources, **how)


def result(*resources: Json) -> Any:
    return imaging(*resources).attributes.get("result")


def after_signs(*resources: Json) -> Any:
    return imaging(*resources).attributes.get("after_signs")


@pytest.mark.parametrize(
    ("conclusion", "expected"),
    [
        ("No evidence of deep vein thrombosis.", "negative"),
        ("No evidence of deep venous thrombosis in the left leg", "negative"),
        ("Negative for DVT", "negative"),
        ("No DVT.", "negative"),
        ("no sonographic evidence of acute DVT", "negative"),
        ("No evidence of left lower limb DVT. Repeat if clinical suspicion persists.", "negative"),
        ("No evidence of proximal DVT", "unclear"),
        ("No DVT, calf veins not seen", "unclear"),
        ("No definite DVT", "unclear"),
        ("Limited study. No DVT.", "unclear"),
        ("No DVT in the thigh; possible thrombus in a calf vein", "unclear"),
        ("No DVT. Popliteal vein non-compressible.", "unclear"),
        ("No DVT of the femoral vein. Thrombus in the popliteal vein.", "unclear"),
        ("DVT cannot be excluded", "unclear"),
        ("Not diagnostic", "unclear"),
        ("No history of DVT", "unclear"),
        ("No DVT prophylaxis given.", "unclear"),
        ("No DVT was excluded.", "unclear"),
        ("No DVT; left leg not examined", "unclear"),
        ("Normal", "unclear"),
        ("Femoral DVT of the left leg", "positive"),
        ("Deep vein thrombosis confirmed", "positive"),
        (None, "unclear"),
    ],
)
def test_only_a_plain_wording_without_doubt_is_negative(conclusion: str | None, expected: str) -> None:
    assert result(report(conclusion)) == expected


def test_a_coded_thrombosis_is_positive_whatever_the_text_says() -> None:
    assert result(report(NEGATIVE, conclusionCode=[concept(SNOMED, "128053003")])) == "positive"
    assert result(report(None, conclusionCode=[{"text": "No evidence of DVT"}])) == "negative"


@pytest.mark.parametrize("status", ["final", "amended", "corrected", "appended"])
def test_a_final_report_counts(status: str) -> None:
    assert result(report(status=status)) == "negative"


@pytest.mark.parametrize("status", ["registered", "partial", "preliminary", "unknown"])
def test_a_report_that_is_not_final_proves_nothing_and_is_named(status: str) -> None:
    fact = imaging(report(status=status))
    assert (fact.state, fact.reason) == ("unknown", "a report is not final (DiagnosticReport/us)")


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_report_taken_back_does_not_exist(status: str) -> None:
    assert imaging(report(status=status)).state == "absent"


def test_reports_that_were_not_supplied_are_unknown_and_none_is_absent() -> None:
    assert imaging(diagnosticReports=...).reason == "reports of leg ultrasound were not supplied"
    assert imaging().state == "absent"
    assert imaging(report(code="24531-6")).state == "absent"


def test_a_report_is_known_by_its_name_too() -> None:
    assert result({**report(), "code": {"text": "Venous duplex left leg"}}) == "negative"


def test_a_report_of_the_day_of_the_sign_or_later_answers_it_and_an_older_one_does_not() -> None:
    for days, expected in ((3, False), (2, True), (1, True)):
        assert after_signs(swelling(days=2), report(code="39432-0", days=days)) is expected
    fact = imaging(swelling(days=2), report(code="39432-0", days=3))
    assert "the report is older than the newest leg sign (DiagnosticReport/us)" in fact.remarks


def test_a_new_sign_after_the_report_opens_the_question_again() -> None:
    again = observation(concept(SNOMED, "449615005"), "again", days_ago(0), bodySite=LEFT_SITE)
    assert after_signs(swelling(days=4), report(days=2), again) is False


def test_pain_of_both_legs_after_the_report_is_no_new_one_leg_sign() -> None:
    pain = observation(concept(SNOMED, "10601006"), "pain", days_ago(0), valueString="both legs")
    assert after_signs(swelling(days=4), report(days=2), pain) is True


@pytest.mark.parametrize(
    ("code", "conclusion", "expected"),
    [
        ("39432-0", NEGATIVE, True),
        ("39443-7", NEGATIVE, False),
        ("39420-5", NEGATIVE, True),
        ("30881-7", "No evidence of DVT in the left leg", True),
        ("30881-7", "No evidence of DVT in the right leg", False),
        ("39420-5", "No DVT in the right leg.", False),
        ("30881-7", "Left leg swollen. No DVT in the right leg.", False),
        ("30881-7", "No DVT in the left or right leg", True),
        ("39443-7", "No DVT in either leg", True),
        ("30881-7", NEGATIVE, True),
    ],
)
def test_a_report_of_the_other_leg_only_is_none_for_this_one(code: str, conclusion: str, expected: bool) -> None:
    assert after_signs(swelling(), report(conclusion, code)) is expected


def test_a_report_that_names_no_side_says_so() -> None:
    remark = "the report names no side: check that it is of the leg with the sign (DiagnosticReport/us)"
    assert remark in imaging(swelling(), report()).remarks
    assert remark not in imaging(swelling(), report(code="39432-0")).remarks


def test_code_and_text_that_name_different_legs_are_unclear() -> None:
    assert result(report("No DVT in the right leg", "39432-0")) == "unclear"


def test_signs_in_both_legs_apart_need_both_legs_examined() -> None:
    redness = observation(concept(SNOMED, "444827008"), "redness", days_ago(2), bodySite={"text": "right calf"})
    left, right = report(code="39432-0", id="l"), report(code="39443-7", id="r")
    assert after_signs(swelling(), redness, left) is False
    assert after_signs(swelling(), redness, left, right) is True


def test_one_leg_without_a_name_needs_both_legs_examined() -> None:
    unnamed = swelling(None, valueString="unilateral")
    assert after_signs(unnamed, report(code="39432-0")) is False
    assert after_signs(unnamed, report(code="39420-5")) is True


def test_the_newest_report_of_a_leg_decides_and_on_one_day_the_worst() -> None:
    old, new = report("Femoral DVT", days=3, id="old"), report(NEGATIVE, days=1, id="new")
    assert result(old, new) == "negative"
    assert result({**old, "effectiveDateTime": days_ago(1)}, new) == "positive"
    other = report(NEGATIVE, "39443-7", days=1, id="other")
    assert result(report("DVT of the left leg", "39432-0", days=3), other) == "positive"


def test_without_a_day_nobody_knows_which_came_first() -> None:
    assert "after_signs" not in imaging(swelling(), report(effectiveDateTime=None)).attributes
    assert "after_signs" not in imaging(swelling(effectiveDateTime=None), report()).attributes


def test_a_report_dated_in_the_future_is_not_used() -> None:
    assert imaging(report(days=-1)).reason == "a report is dated in the future (DiagnosticReport/us)"


# -- calves -----------------------------------------------------------------------------------------------------------


def calf(side: str, value: float, id: str, days: int = 1, unit: str = "cm", **more: Any) -> Json:
    named = {"text": "Calf circumference"}
    site = {"bodySite": {"text": side}} if side else {}
    return observation(named, id, days_ago(days), valueQuantity=quantity(value, unit), **site, **more)


def difference(*resources: Json, **how: Any) -> Fact:
    return fact_of("vital", "calf-circumference-difference", *resources, **how)


def value(fact: Fact) -> float | None:
    found = fact.attributes.get("value")
    return None if found is None else float(found)


def test_two_circumferences_of_one_day_give_the_difference_and_the_larger_side() -> None:
    fact = difference(calf("left", 38.5, "l"), calf("right", 36, "r"))
    assert (value(fact), fact.attributes["side"]) == (2.5, "left")
    assert fact.shown == "2.5 cm (left 38.5 cm, right 36 cm)"
    assert set(fact.sources) == {"Observation/l", "Observation/r"}


def test_circumferences_may_be_components_or_codes_of_the_site() -> None:
    parts = [
        {"code": {"text": side}, "valueQuantity": quantity(number, "cm")}
        for side, number in (("Left", 35), ("Right", 38))
    ]
    assert value(difference(observation({"text": "Calf circumference"}, component=parts))) == 3
    coded = [
        observation(concept(LOCAL, f"calf-circumference-{side}"), side, valueQuantity=quantity(number, "mm"))
        for side, number in (("left", 350), ("right", 371))
    ]
    assert value(difference(*coded)) == 2.1


def test_a_recorded_difference_is_used_as_it_is() -> None:
    assert (
        value(difference(observation({"text": "Calf circumference difference"}, valueQuantity=quantity(2, "cm")))) == 2
    )
    coded = observation(concept(LOCAL, "calf-circumference-difference"), valueQuantity=quantity(25, "mm"))
    assert value(difference(coded)) == 2.5


@pytest.mark.parametrize(
    "rows",
    [
        [calf("left", 38, "l")],
        [calf("left", 38, "l"), calf("right", 35, "r", days=2)],
        [calf("left", 38, "l"), calf("", 35, "r")],
        [calf("left", 38, "l"), calf("right", 14, "r", unit="kg")],
        [calf("left", 38, "l"), calf("left", 36, "l2"), calf("right", 35, "r")],
        [calf("left", 38, "l", effectiveDateTime=None), calf("right", 35, "r", effectiveDateTime=None)],
    ],
    ids=["one leg", "two days", "no side", "another unit", "twice on one side", "no date"],
)
def test_what_is_not_one_number_for_each_leg_of_one_day_is_unknown(rows: list[Json]) -> None:
    fact = difference(*rows)
    assert fact.state == "unknown"
    assert "Observation/" in fact.reason


def test_an_older_difference_does_not_speak_for_a_newer_measurement() -> None:
    older = [calf("left", 38, "l", days=3), calf("right", 35, "r", days=3)]
    assert value(difference(*older)) == 3
    assert difference(*older, calf("left", 38, "n", days=1)).state == "unknown"


def test_calves_not_measured_are_absent_only_where_vital_signs_were_supplied() -> None:
    assert difference().state == "absent"
    assert difference(vitals=...).reason == "vital signs were not supplied"
    assert difference(calf("left", 38, "l", status="preliminary")).state == "absent"


def test_a_measured_difference_is_a_sign_that_a_report_must_answer() -> None:
    rows = [calf("left", 38, "l", days=1), calf("right", 35, "r", days=1)]
    assert after_signs(*rows, report(code="39432-0", days=2)) is False
    assert after_signs(*rows, report(code="39443-7", days=1)) is False
    assert after_signs(*rows, report(code="39432-0", days=1)) is True
