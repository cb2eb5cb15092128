"""Red flags on whole requests: what an EHR sends, and which cards come back in which order."""

from __future__ import annotations

from typing import Any

import pytest

from cds.advise import Adviser
from cds.hooks import Card, HookRequest
from tests.patients import (
    LEFT,
    LOINC,
    NOW,
    SNOMED,
    Resource,
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

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
DVT, EMBOLISM = "possible-deep-vein-thrombosis", "possible-pulmonary-embolism"
LOW_CALCIUM, HIGH_CALCIUM = "suspected-acute-hypocalcaemia", "severe-hypercalcaemia"
PRESSURE, NO_PRESSURE = "raised-blood-pressure-with-symptoms", "swelling-without-blood-pressure"


def cards(adviser: Adviser, *resources: Resource, hook: str = "patient-view", **how: Any) -> dict[str, Card]:
    """Rule id -> card, in the order of the response."""
    asked: HookRequest = request(hook, due(), *resources, **how)
    return {card.source.topic.code: card for card in adviser.advise(asked, NOW).cards if card.source.topic}


def said(text: str, day: str = "2026-11-20") -> Resource:
    return {
        "resourceType": "Observation", "id": "note", "status": "final", "code": {"text": "Examination"},
        "effectiveDateTime": day, "valueString": text,
    }  # fmt: skip


def finding(code: str, id: str, **more: Any) -> Resource:
    return observation(id, SNOMED, code, "2026-11-20", **more)


def condition(code: str, system: str = SNOMED, id: str = "diagnosis", **more: Any) -> Resource:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    coding = {"coding": [{"system": system, "code": code}]}
    return {
        "resourceType": "Condition", "id": id, "clinicalStatus": status, "code": coding,
        "recordedDate": "2026-11-20", **more,
    }  # fmt: skip


def pressure(systolic: float, diastolic: float, day: str = "2026-11-21", unit: str = "mm[Hg]") -> Resource:
    """A panel as the FHIR vital signs profile has it."""
    parts = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity(value, unit)}
        for code, value in (("8480-6", systolic), ("8462-4", diastolic))
    ]
    return observation("pressure", LOINC, "85354-9", day, component=parts)


def ultrasound(conclusion: str, day: str = "2026-11-21", code: str = "30881-7") -> Resource:
    return {
        "resourceType": "DiagnosticReport", "id": "ultrasound", "status": "final", "effectiveDateTime": day,
        "code": {"coding": [{"system": LOINC, "code": code}]}, "conclusion": conclusion,
    }  # fmt: skip


def activities(card: Card) -> list[str]:
    return [a.resource["code"]["coding"][0]["code"] for s in card.suggestions for a in s.actions if a.resource]


CALM = pressure(118, 72)
DYSPNOEA = finding("267036007", "dyspnoea")
EARLIER_CLOT = condition("161508001")


# -- one leg (RF-01) --------------------------------------------------------------------------------------------------


def test_a_negative_ultrasound_since_the_sign_is_information_and_orders_nothing(adviser: Adviser) -> None:
    card = cards(adviser, CALM, swelling("2026-11-20"), ultrasound("No evidence of deep vein thrombosis."))[DVT]
    assert card.indicator == "info"
    assert activities(card) == []
    assert "day 3 and day 7" in (card.detail or "")
    assert "DiagnosticReport/ultrasound" in (card.detail or "")


@pytest.mark.parametrize(
    "report",
    [
        ultrasound("No evidence of deep vein thrombosis.", "2026-11-19"),
        ultrasound("No evidence of deep vein thrombosis.", code="39443-7"),
        ultrasound("DVT cannot be excluded."),
        {**ultrasound("No evidence of deep vein thrombosis."), "status": "preliminary"},
    ],
    ids=["before the sign", "the other leg", "in doubt", "not final"],
)
def test_another_report_lowers_nothing(adviser: Adviser, report: Resource) -> None:
    card = cards(adviser, CALM, swelling("2026-11-20"), report)[DVT]
    assert card.indicator == "critical"
    assert activities(card) == ["30881-7"]


def test_measured_calves_are_a_sign_without_any_complaint(adviser: Adviser) -> None:
    def calf(side: str, value: float) -> Resource:
        named = {"resourceType": "Observation", "id": side, "status": "final", "effectiveDateTime": "2026-11-20"}
        return {
            **named, "code": {"text": "Calf circumference"}, "bodySite": {"text": side},
            "valueQuantity": quantity(value, "cm"),
        }  # fmt: skip

    found = cards(adviser, CALM, calf("left", 38), calf("right", 36))
    assert found[DVT].indicator == "critical"
    assert "left 38 cm, right 36 cm" in (found[DVT].detail or "")
    assert DVT not in cards(adviser, CALM, calf("left", 38), calf("right", 36.1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("left calf swollen and red", "warning"),
        ("swelling and pain in one leg", "warning"),
        ("both legs swollen, pain in the left groin", "warning"),
        ("left calf not swollen but red", "warning"),
        ("both legs swollen", None),
        ("no swelling of the right leg", None),
        ("denies calf pain", None),
        ("painful cramps in the left calf", None),
    ],
)
def test_free_text_alone_is_a_warning_at_most_and_not_lost(adviser: Adviser, text: str, expected: str | None) -> None:
    card = cards(adviser, CALM, said(text)).get(DVT)
    assert (card.indicator if card else None) == expected


# -- pulmonary embolism (RF-02) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["patient-view", "order-select", "order-sign"])
def test_breathlessness_beside_a_swollen_leg_is_an_emergency_on_every_hook(adviser: Adviser, hook: str) -> None:
    drafts = () if hook == "patient-view" else (draft("Calcium carbonate 1250 mg tablet"),)
    found = cards(adviser, swelling(), DYSPNOEA, cramps(), diet(300), little_sun(), hook=hook, drafts=drafts)
    assert [(id, card.indicator) for id, card in found.items()] == [(EMBOLISM, "critical"), (DVT, "critical")]
    assert activities(found[EMBOLISM]) == ["164847006", "30881-7"]


def test_an_earlier_thrombosis_and_chest_pain_need_no_leg_sign(adviser: Adviser) -> None:
    found = cards(adviser, CALM, EARLIER_CLOT, finding("29857009", "chest"), cramps(), calcium(2.0), diet(300))
    assert [(id, card.indicator) for id, card in found.items()] == [(EMBOLISM, "critical")]
    assert activities(found[EMBOLISM]) == ["164847006"]


def test_a_chest_symptom_in_free_text_is_a_warning(adviser: Adviser) -> None:
    found = cards(adviser, CALM, EARLIER_CLOT, said("short of breath since yesterday"))
    assert found[EMBOLISM].indicator == "warning"
    assert EMBOLISM not in cards(adviser, CALM, EARLIER_CLOT, said("no shortness of breath"))
    assert EMBOLISM not in cards(adviser, CALM, DYSPNOEA)


# -- low calcium (RF-03) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([finding("10629009", "tetany")], "critical"),
        ([said("tetany since this morning")], "warning"),
        ([said("carpopedal spasm"), calcium(2.05), albumin(40)], "critical"),
        ([said("seizure this morning")], "warning"),
        ([said("laryngospasm")], "warning"),
        ([said("tingling around the mouth and in the fingers")], "warning"),
        ([finding("91019004", "tingling", valueString="around the mouth and in the fingers")], "critical"),
        ([finding("91019004", "tingling")], None),
        ([finding("91019004", "tingling"), calcium(2.05), albumin(40)], "critical"),
        ([finding("10629009", "tetany"), calcium(2.3), albumin(40)], None),
        ([said("no tetany")], None),
    ],
)
def test_signs_of_a_low_calcium_are_as_certain_as_their_record(
    adviser: Adviser, resources: list[Resource], expected: str | None
) -> None:
    card = cards(adviser, CALM, *resources).get(LOW_CALCIUM)
    assert (card.indicator if card else None) == expected


# -- high calcium (RF-04) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([calcium(3.0), albumin(40)], "critical"),
        ([calcium(2.7), albumin(40), condition("O21.1", ICD)], "critical"),
        ([calcium(2.7), albumin(40), condition("N20.0", ICD)], "critical"),
        ([calcium(2.7), condition("N20.0", ICD)], "critical"),
        ([calcium(2.7), albumin(40), said("confused and drowsy")], "warning"),
        ([calcium(2.7), albumin(40), condition("O21.0", ICD)], None),
        ([calcium(2.7), albumin(40), condition("429025008")], None),
        ([calcium(2.7), albumin(40), condition("N20.0", ICD, recordedDate="2026-11-14")], None),
        ([calcium(2.3), albumin(40), condition("O21.1", ICD)], None),
        ([calcium(2.7), albumin(40)], None),
    ],
)
def test_a_high_calcium_with_symptoms_is_as_urgent_as_a_severely_high_one(
    adviser: Adviser, resources: list[Resource], expected: str | None
) -> None:
    card = cards(adviser, CALM, *resources).get(HIGH_CALCIUM)
    assert (card.indicator if card else None) == expected


# -- blood pressure (RF-05) -------------------------------------------------------------------------------------------

HEADACHE = finding("25064002", "headache")
OEDEMA = finding("267038008", "oedema")


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (pressure(140, 80), "warning"),
        (pressure(130, 90), "warning"),
        (pressure(139, 89), None),
        (pressure(160, 100), "critical"),
        (pressure(150, 110), "critical"),
        (pressure(159, 109), "warning"),
        (pressure(150, 95, "2026-11-15"), "warning"),
        (pressure(150, 95, "2026-11-14"), None),
        (observation("systolic", LOINC, "8480-6", valueQuantity=quantity(142, "mm[Hg]")), "warning"),
        (pressure(19, 12, unit="kPa"), None),
    ],
)
def test_a_raised_pressure_with_headache_is_assessed(adviser: Adviser, reading: Resource, expected: str | None) -> None:
    card = cards(adviser, HEADACHE, reading).get(PRESSURE)
    assert (card.indicator if card else None) == expected


def test_the_newest_pressure_decides(adviser: Adviser) -> None:
    earlier = {**pressure(165, 112, "2026-11-19"), "id": "earlier"}
    assert PRESSURE not in cards(adviser, HEADACHE, earlier, pressure(120, 75, "2026-11-21"))


def test_before_twenty_weeks_the_card_is_not_given(adviser: Adviser) -> None:
    for day, expected in (("2027-04-11", True), ("2027-04-12", False)):
        asked = request("patient-view", due(day), HEADACHE, pressure(150, 95))
        found = [card.source.topic.code for card in adviser.advise(asked, NOW).cards if card.source.topic]
        assert (PRESSURE in found) is expected


def test_nutrition_and_self_care_stay_beside_a_raised_pressure(adviser: Adviser) -> None:
    found = cards(adviser, HEADACHE, pressure(150, 95), cramps(), diet(300))
    assert next(iter(found)) == PRESSURE
    assert {"low-calcium-intake", "leg-cramps-self-care"} <= set(found)
    assert "leg-cramps-review" not in found


def test_swelling_without_a_pressure_asks_for_one_and_claims_nothing_that_was_not_supplied(adviser: Adviser) -> None:
    card = cards(adviser, OEDEMA)[NO_PRESSURE]
    assert (card.indicator, "no blood pressure of the last 7 days" in card.summary) == ("info", True)
    withheld = cards(adviser, OEDEMA, withheld=("vitals",))[NO_PRESSURE]
    assert "not known here" in withheld.summary
    assert "no blood pressure" not in f"{withheld.summary} {withheld.detail}"
    kilopascals = cards(adviser, OEDEMA, pressure(19, 12, unit="kPa"))[NO_PRESSURE]
    assert "not known here" in kilopascals.summary
    assert "19 kPa" in (kilopascals.detail or "")
    assert NO_PRESSURE not in cards(adviser, OEDEMA, CALM)
    assert NO_PRESSURE not in cards(adviser, swelling(bodySite=LEFT))


# -- all at once ------------------------------------------------------------------------------------------------------


def test_of_many_dangers_none_is_dropped_and_the_worst_come_first(adviser: Adviser) -> None:
    found = cards(
        adviser,
        *(
            swelling(),
            DYSPNOEA,
            finding("91175000", "seizure"),
            calcium(1.6),
            albumin(40),
            pressure(165, 112),
            HEADACHE,
        ),
        *(cramps(), diet(300), little_sun(), condition("N20.0", ICD)),
    )
    assert {DVT, EMBOLISM, LOW_CALCIUM, PRESSURE} <= set(found)
    assert [card.indicator for card in found.values()][:4] == ["critical"] * 4
    assert len(found) <= 5
    assert not {"leg-cramps-self-care", "leg-cramps-review", "low-calcium-intake"} & set(found)


def test_a_calcium_order_in_severe_hypercalcaemia_keeps_both_critical_cards_beside_the_clot(adviser: Adviser) -> None:
    found = cards(
        adviser,
        *(swelling(), DYSPNOEA, calcium(3.2), albumin(40), cramps(), diet(300)),
        hook="order-sign",
        drafts=(draft("Calcium carbonate 1250 mg tablet"),),
    )
    critical = [id for id, card in found.items() if card.indicator == "critical"]
    assert critical == [EMBOLISM, DVT, HIGH_CALCIUM, "calcium-or-vitamin-d-in-hypercalcaemia"]
    assert list(found) == critical


def test_the_order_of_the_record_does_not_change_the_cards(adviser: Adviser) -> None:
    rows = [swelling(), DYSPNOEA, HEADACHE, pressure(150, 95), calcium(2.05), albumin(40), cramps(), diet(300)]
    assert list(cards(adviser, *rows)) == list(cards(adviser, *reversed(rows)))
