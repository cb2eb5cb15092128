"""Whole requests of women whom nobody wrote a rule for: pregnancy, time and laboratory. Today is 2026-11-22.

Each patient is judged by what a clinician would read: which topics stand on cards, how urgent, what is said.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from cds.advise import Advice, Adviser
from cds.facts import PARTS
from cds.hooks import Card, parse_request
from tests.patients import LOINC, NOW, SNOMED, TODAY, UCUM, Resource

HIGH, SEVERE_LOW, UNUSABLE = "high-calcium-result", "suspected-acute-hypocalcaemia", "calcium-value-unusable"
REVIEW, NORMAL, LOW_D = "leg-cramps-review", "leg-cramps-with-normal-calcium", "low-vitamin-d"


def day(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


def seen(code: str, ago: int | str, id: str, system: str = LOINC, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": system, "code": code}]},
        "effectiveDateTime": ago if isinstance(ago, str) else f"{day(ago)}T08:30:00Z",
        **more,
    }


def measured(code: str, value: float, unit: str, ago: int | str = 3, id: str = "lab", **more: Any) -> Resource:
    given = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return seen(code, ago, id, valueQuantity={**given, **more})


def status(**answer: Any) -> Resource:
    return seen("82810-3", 5, "status", **answer)


PREGNANT = status(valueCodeableConcept={"coding": [{"system": SNOMED, "code": "77386006"}]})
DUE = seen("11779-6", 100, "due", valueDateTime=(TODAY + timedelta(days=80)).isoformat())
CRAMPS = seen("449918009", 5, "cramps", SNOMED, valueBoolean=True)


def ask(adviser: Adviser, *resources: Resource, born: str = "1995-03-04", order: Resource | None = None) -> Advice:
    prefetch: dict[str, Any] = {
        part: {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": r} for r in resources if r["resourceType"] == kind],
        }
        for part, kind in PARTS.items()
    }
    prefetch["patient"] = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": born}
    context: dict[str, Any] = {"userId": "Practitioner/1", "patientId": "p1", "encounterId": "e1"}
    if order is not None:
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}
    hook = "order-sign" if order is not None else "patient-view"
    body = {"hook": hook, "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": prefetch}
    return adviser.advise(parse_request(body, hook=hook), NOW)


def topics(advice: Advice) -> dict[str, Card]:
    rows = zip(advice.recommendations, advice.cards, strict=True)
    return {part.rule.id: card for recommendation, card in rows for part in recommendation.parts}


def said(card: Card) -> str:
    """The detail as it is read, without the escapes of Markdown."""
    return (card.detail or "").replace("\\", "")


# -- dates of which only the month is known ---------------------------------------------------------------------------


def test_a_high_calcium_of_this_month_warns(adviser: Adviser) -> None:
    card = topics(ask(adviser, PREGNANT, DUE, measured("2000-8", 2.9, "mmol/L", "2026-11")))[HIGH]
    assert card.indicator == "warning"
    assert "2.9 mmol/L (2026-11)" in said(card)


def test_a_normal_calcium_of_this_month_is_no_reason_to_measure_again(adviser: Adviser) -> None:
    found = topics(ask(adviser, PREGNANT, DUE, CRAMPS, measured("1995-0", 1.2, "mmol/L", "2026-11")))
    assert NORMAL in found
    assert REVIEW not in found


@pytest.mark.parametrize(
    ("value", "month"), [(1.5, "2026-11"), (2.9, "2026-10"), (2.9, "2026")], ids=["low", "high", "only the year"]
)
def test_a_calcium_that_may_be_too_old_to_count_is_verified_and_not_passed_over(
    adviser: Adviser, value: float, month: str
) -> None:
    card = topics(ask(adviser, PREGNANT, DUE, measured("2000-8", value, "mmol/L", month)))[UNUSABLE]
    assert f"{month} ({value} mmol/L) has a date that leaves its age open" in said(card)


# -- results of one time, bounds, values that cannot be right ---------------------------------------------------------


@pytest.mark.parametrize(("value", "topic"), [(2.9, HIGH), (1.6, SEVERE_LOW)])
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_two_calciums_of_one_time_the_alarming_one_counts(
    adviser: Adviser, value: float, topic: str, names: tuple[str, str]
) -> None:
    normal = measured("2000-8", 2.2, "mmol/L", id=names[0])
    assert topic in topics(ask(adviser, PREGNANT, DUE, normal, measured("2000-8", value, "mmol/L", id=names[1])))


def test_a_bound_stays_a_bound_in_the_summary(adviser: Adviser) -> None:
    found = topics(ask(adviser, PREGNANT, DUE, measured("62292-8", 4, "ng/mL", comparator="<")))
    assert "＜4 ng/mL" in found[LOW_D].summary


def test_a_creatinine_of_milligrams_with_the_unit_of_micromoles_does_not_prove_healthy_kidneys(
    adviser: Adviser,
) -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "magnesium",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {"text": "Magnesium oxide 400 mg tablet"},
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
            }
        ],
    }
    card = topics(ask(adviser, PREGNANT, DUE, measured("14682-9", 1.4, "umol/L"), order=order))["magnesium-dose-check"]
    assert "1.4 umol/L) is not plausible in its unit" in said(card)


@pytest.mark.parametrize("value", [0, 18])
def test_a_magnesium_that_cannot_be_is_named(adviser: Adviser, value: float) -> None:
    advice = ask(adviser, PREGNANT, DUE, measured("2601-3", value, "mmol/L"))
    assert "low-magnesium" not in topics(advice)
    assert any(f"({value} mmol/L) is not plausible" in remark for remark in advice.remarks)


# -- pregnant or not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"valueCodeableConcept": {"text": "Not pregnant"}},
        {"valueCodeableConcept": {"coding": [{"system": "urn:oid:1.2.3", "code": "2", "display": "Not Pregnant"}]}},
        {"valueString": "No"},
        {"valueBoolean": False},
    ],
)
def test_not_pregnant_in_words_is_not_pregnant_whatever_an_older_due_date_says(
    adviser: Adviser, answer: dict[str, Any]
) -> None:
    assert not ask(adviser, status(**answer), DUE, CRAMPS, measured("2000-8", 2.9, "mmol/L")).cards


@pytest.mark.parametrize("answer", ["Pregnant", "currently pregnant", "Yes"])
def test_pregnant_in_words_is_pregnant(adviser: Adviser, answer: str) -> None:
    assert HIGH in topics(ask(adviser, status(valueString=answer), measured("2000-8", 2.9, "mmol/L")))


@pytest.mark.parametrize("answer", ["Possibly pregnant", "Post partum", "Pregnant? No test yet"])
def test_other_words_prove_neither(adviser: Adviser, answer: str) -> None:
    advice = ask(adviser, status(valueString=answer), CRAMPS)
    assert not advice.cards
    assert advice.census.facts[("gestation", "pregnant")].state == "unknown"


def test_the_pregnancy_of_the_mother_in_the_record_of_the_newborn_is_not_the_childs(adviser: Adviser) -> None:
    diagnosis = {
        "resourceType": "Condition",
        "id": "pregnancy",
        "subject": {"reference": "Patient/p1"},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"coding": [{"system": SNOMED, "code": "77386006"}]},
        "recordedDate": day(30),
    }
    assert not ask(adviser, diagnosis, CRAMPS, born=day(3)).cards


@pytest.mark.parametrize(
    ("weeks", "days"), [(13.857, 97), (13.71, 96), (12.9, 90), (13.99, 97), (14, 98), (27.857, 195), (28, 196)]
)
def test_weeks_with_decimals_are_the_days_that_were_meant_and_never_the_next_week(
    adviser: Adviser, weeks: float, days: int
) -> None:
    advice = ask(adviser, PREGNANT, measured("18185-9", weeks, "wk", 0, "age"))
    assert advice.census.facts[("gestation", "age")].attributes["value"] == days


# -- whose result it is, and what it is called ------------------------------------------------------------------------


def test_a_calcium_of_the_newborn_in_her_record_is_not_hers(adviser: Adviser) -> None:
    of_the_child = {**measured("2000-8", 3.2, "mmol/L"), "focus": [{"reference": "Patient/child"}]}
    advice = ask(adviser, PREGNANT, DUE, CRAMPS, of_the_child)
    assert REVIEW in topics(advice)
    assert any("a result is about another person" in remark for remark in advice.remarks)


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Serum calcium"},
        {"coding": [{"system": "urn:oid:1.2.3", "code": "CA", "display": "CALCIUM, TOTAL"}]},
        {"coding": [{"code": "2000-8", "display": "Calcium"}]},
    ],
)
def test_a_calcium_without_a_known_code_is_verified_and_never_called_missing(
    adviser: Adviser, code: dict[str, Any]
) -> None:
    found = topics(ask(adviser, PREGNANT, DUE, CRAMPS, {**measured("2000-8", 3.2, "mmol/L"), "code": code}))
    assert "3.2 mmol/L" in said(found[UNUSABLE])
    assert REVIEW not in found


@pytest.mark.parametrize("name", ["Calcium urine", "Calcium intake", "Coronary calcium score"])
def test_another_calcium_in_words_is_no_blood_level(adviser: Adviser, name: str) -> None:
    found = topics(ask(adviser, PREGNANT, DUE, CRAMPS, {**measured("x", 3.2, "mmol/L"), "code": {"text": name}}))
    assert UNUSABLE not in found
    assert REVIEW in found


def test_a_calcium_in_words_does_not_hide_a_coded_high_one(adviser: Adviser) -> None:
    in_words = {**measured("2000-8", 2.3, "mmol/L", 1, "words"), "code": {"text": "Calcium"}}
    assert HIGH in topics(ask(adviser, PREGNANT, DUE, in_words, measured("2000-8", 2.9, "mmol/L", 4)))


def test_a_newer_total_above_the_range_is_not_called_normal_by_an_older_ionised_calcium(adviser: Adviser) -> None:
    older, newer = measured("1995-0", 1.2, "mmol/L", 30, "ionised"), measured("2000-8", 2.5, "mmol/L", 2, "total")
    found = topics(ask(adviser, PREGNANT, DUE, CRAMPS, older, newer))
    assert "calcium-not-interpretable" in found
    assert NORMAL not in found


@pytest.mark.parametrize("code", ["O80", "O82", "O02.1", "O03.4", "O04.5", "Z33.2", "Z37.1", "Z39.0", "O85"])
def test_after_a_birth_or_a_loss_of_any_kind_no_cramp_or_nutrition_card_is_left(adviser: Adviser, code: str) -> None:
    ended = {
        "resourceType": "Condition",
        "id": "end",
        "subject": {"reference": "Patient/p1"},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
        "recordedDate": day(2),
    }
    assert not ask(adviser, DUE, CRAMPS, ended).cards
    leg = seen("449615005", 1, "leg", SNOMED, bodySite={"text": "left calf"})
    assert topics(ask(adviser, DUE, CRAMPS, ended, leg)).keys() == {"possible-deep-vein-thrombosis"}
