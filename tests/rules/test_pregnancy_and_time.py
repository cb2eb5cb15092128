"""Pregnancy and time on whole requests: which cards a record brings, by the day. Today is 2026-11-22."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cds.advise import Adviser
from cds.hooks import Card
from tests.patients import (
    LOINC,
    NOW,
    SNOMED,
    TODAY,
    Resource,
    cramps,
    diet,
    draft,
    observation,
    quantity,
    request,
    swelling,
)

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CLOT, OUTCOME = "possible-deep-vein-thrombosis", "pregnancy-outcome-not-recorded"
REVIEW, EARLY, SIDE = (
    "leg-cramps-review",
    "leg-cramps-before-mid-pregnancy",
    "raised while sitting or lying on the side",
)
LOW = "low-calcium-intake"


def day(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


def coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def edd(gestation: int, code: str = "11779-6", id: str = "edd", seen: int = 20) -> Resource:
    """A due date that makes her ``gestation`` days pregnant today."""
    return observation(id, LOINC, code, day(seen), valueDateTime=day(gestation - 280))


def gestational_age(days: int, seen: int = 10) -> Resource:
    return observation("ga", LOINC, "18185-9", day(seen), valueQuantity=quantity(days - seen, "d"))


def last_period(days: int) -> Resource:
    return observation("lmp", LOINC, "8665-2", day(1), valueDateTime=day(days))


def status(code: str = "77386006", ago: int = 5, id: str = "status") -> Resource:
    return observation(id, LOINC, "82810-3", day(ago), valueCodeableConcept=coded(SNOMED, code))


def no(ago: int = 5) -> Resource:
    return status("60001007", ago, "no")


def diagnosis(ago: int, id: str = "dx", **more: Any) -> Resource:
    return {
        "resourceType": "Condition", "id": id, "code": coded(SNOMED, "77386006"), "recordedDate": day(ago),
        "clinicalStatus": coded(CLINICAL, "active"), "verificationStatus": coded(VERIFICATION, "confirmed"), **more,
    }  # fmt: skip


def birth(ago: int) -> Resource:
    code = coded(ICD, "Z37.0")
    return {
        "resourceType": "Procedure", "id": "birth", "status": "completed", "code": code, "performedDateTime": day(ago)
    }  # fmt: skip


def loss(ago: int) -> Resource:
    return diagnosis(ago, "loss", code=coded(ICD, "O03.9"))


def cards(adviser: Adviser, *resources: Resource, hook: str = "patient-view", **how: Any) -> dict[str, Card]:
    found = adviser.advise(request(hook, *resources, **how), NOW).cards
    return {card.source.topic.code: card for card in found if card.source.topic}


EVERYTHING = (cramps(), swelling(), diet(400))


# -- who gets no card -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [{"gender": "male"}, {"deceasedBoolean": True}, {"deceasedDateTime": "2026-11-01"}])
def test_a_man_or_a_dead_patient_gets_no_card_at_all(adviser: Adviser, person: Resource) -> None:
    assert cards(adviser, edd(200), status(), *EVERYTHING, patient=person) == {}


@pytest.mark.parametrize("record", [(no(),), (edd(200, seen=60), no(5)), (diagnosis(60), no(5))])
def test_a_woman_who_is_not_pregnant_gets_no_card_of_a_pregnancy(
    adviser: Adviser, record: tuple[Resource, ...]
) -> None:
    assert cards(adviser, *record, cramps(), diet(400)) == {}
    assert cards(adviser, *record, hook="order-sign", drafts=(draft("Calcium carbonate 1250 mg tablet"),)) == {}


def test_a_pregnancy_finding_answered_with_no_is_a_no(adviser: Adviser) -> None:
    denied = observation("finding", SNOMED, "77386006", day(2), valueBoolean=False)
    assert cards(adviser, denied, cramps(), diet(400)) == {}


def test_a_refuted_pregnancy_is_no_pregnancy(adviser: Adviser) -> None:
    refuted = diagnosis(10, verificationStatus=coded(VERIFICATION, "refuted"))
    assert cards(adviser, refuted, cramps(), diet(400)) == {}


def test_no_multiple_pregnancy_is_not_no_pregnancy(adviser: Adviser) -> None:
    single = observation("single", SNOMED, "16356006", day(2), valueBoolean=False)
    assert LOW in cards(adviser, edd(200, seen=60), single, diet(400))


def test_an_active_pregnancy_of_three_years_ago_is_stale(adviser: Adviser) -> None:
    assert cards(adviser, diagnosis(3 * 365), cramps(), diet(400)) == {}


# -- after birth or loss ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [birth, loss])
@pytest.mark.parametrize(("ago", "expected"), [(0, {CLOT}), (41, {CLOT}), (42, {CLOT}), (43, set())])
def test_after_a_birth_or_loss_only_the_clot_rules_stay_and_for_six_weeks(
    adviser: Adviser, end: Any, ago: int, expected: set[str]
) -> None:
    record = (edd(285 - ago if end is birth else 100, seen=120), end(ago), *EVERYTHING)
    assert set(cards(adviser, *record)) == expected


def test_after_a_birth_a_calcium_order_is_not_judged(adviser: Adviser) -> None:
    drafts = (draft("Calcium carbonate 1250 mg tablet"),)
    assert cards(adviser, edd(290, seen=60), birth(10), hook="order-sign", drafts=drafts) == {}


# -- a passed due date ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("past", "weeks"), [(7, "41 weeks 0 days"), (21, "43 weeks 0 days")])
def test_a_due_date_that_has_just_passed_leaves_her_pregnant(adviser: Adviser, past: int, weeks: str) -> None:
    card = cards(adviser, edd(280 + past), cramps())[REVIEW]
    assert f"Gestational age: {weeks}" in (card.detail or "")


@pytest.mark.parametrize("past", [22, 30, 294])
def test_a_due_date_long_past_asks_for_the_outcome_and_keeps_the_clot_rules(adviser: Adviser, past: int) -> None:
    assert set(cards(adviser, edd(280 + past, seen=past + 60), cramps(), diet(400))) == {OUTCOME}
    found = cards(adviser, edd(280 + past, seen=past + 60), *EVERYTHING)
    assert CLOT in found
    assert {CLOT, OUTCOME} >= set(found)


def test_a_due_date_of_last_year_is_history(adviser: Adviser) -> None:
    assert cards(adviser, edd(280 + 295, seen=400), *EVERYTHING) == {}


# -- conflicting and impossible dates ---------------------------------------------------------------------------------


def test_two_statuses_of_one_day_that_disagree_give_no_card(adviser: Adviser) -> None:
    assert cards(adviser, status(), no(), cramps(), diet(400)) == {}


def test_assisted_conception_dates_before_scan_and_period_and_the_difference_is_named(adviser: Adviser) -> None:
    """13 weeks 6 days by the day of ovulation, 16 weeks by the period: the early card, and the disagreement on it."""
    record = (edd(97, "11780-4", "ivf", seen=60), edd(112, "11779-6", "period", seen=1), gestational_age(112))
    found = cards(adviser, *record, cramps())
    assert EARLY in found
    assert REVIEW not in found
    detail = found[EARLY].detail or ""
    assert "13 weeks 6 days by due date" in detail
    assert "differs by 15 days" in detail


@pytest.mark.parametrize(
    "wrong",
    [
        observation("edd", LOINC, "11779-6", day(5), valueDateTime="2036-01-01"),
        observation("edd", LOINC, "11779-6", day(5), valueDateTime="1999-01-01"),
        observation("ga", LOINC, "18185-9", day(0), valueQuantity=quantity(60, "wk")),
        observation("ga", LOINC, "18185-9", day(0), valueQuantity=quantity(-3, "wk")),
    ],
)
def test_an_impossible_date_is_not_used_and_named_on_the_card(adviser: Adviser, wrong: Resource) -> None:
    card = cards(adviser, status(), wrong, cramps())[REVIEW]
    assert "Gestational age: not recorded" in (card.detail or "")
    assert f"Observation/{wrong['id']}" in (card.detail or "")
    assert "before 14 weeks cramps are less typical" in (card.detail or "")


def test_an_impossible_date_alone_shows_no_pregnancy(adviser: Adviser) -> None:
    wrong = observation("edd", LOINC, "11779-6", day(5), valueDateTime="2036-01-01")
    assert cards(adviser, wrong, cramps(), diet(400)) == {}


# -- the baby's record ------------------------------------------------------------------------------------------------


def test_the_gestational_age_of_a_baby_is_not_hers(adviser: Adviser) -> None:
    of_the_baby = observation("ga", LOINC, "57714-8", day(2), valueQuantity=quantity(38, "wk"))
    of_the_baby["subject"] = {"reference": "Patient/baby"}
    assert cards(adviser, of_the_baby, cramps(), diet(400)) == {}


@pytest.mark.parametrize(
    "own_birth",
    [
        observation("ga", LOINC, "57714-8", day(2), valueQuantity=quantity(38, "wk")),
        observation("ga", LOINC, "18185-9", day(2), valueQuantity=quantity(38, "wk")),
        edd(282),
        edd(310, seen=60),
        birth(2),
    ],
)
def test_a_newborn_girl_is_not_pregnant_with_the_dates_of_her_own_birth(adviser: Adviser, own_birth: Resource) -> None:
    assert cards(adviser, own_birth, *EVERYTHING, patient={"birthDate": day(2)}) == {}
    assert cards(adviser, own_birth, *EVERYTHING, patient={"birthDate": "2026"}) == {}


@pytest.mark.parametrize("born", ["2026-05-06", "2026-05-07", "2031-01-01"])
def test_a_due_date_counts_where_the_pregnancy_began_after_her_own_birth(adviser: Adviser, born: str) -> None:
    """200 days pregnant, she began on 2026-05-06; a birth date to come is an error and hides nothing."""
    found = cards(adviser, edd(200), cramps(), patient={"birthDate": born})
    assert (REVIEW in found) is (born == "2031-01-01")
    assert REVIEW in cards(adviser, edd(200), cramps(), patient={"birthDate": "2026-05-05"})


def test_a_recorded_status_counts_whatever_the_birth_date(adviser: Adviser) -> None:
    assert REVIEW in cards(adviser, status(), edd(200), cramps(), patient={"birthDate": day(2)})


def test_a_dating_that_was_not_supplied_is_not_called_unrecorded(adviser: Adviser) -> None:
    detail = cards(adviser, diagnosis(30), cramps(), withheld=("pregnancy",))[REVIEW].detail or ""
    assert "Gestational age: not recorded" not in detail
    assert "Gestational age: pregnancy observations were not supplied" in detail


@pytest.mark.parametrize("baby", ["Patient/baby", "RelatedPerson/baby", "http://ehr.example/fhir/Patient/baby"])
def test_a_gestational_age_in_her_record_that_is_about_the_baby_is_not_hers(adviser: Adviser, baby: str) -> None:
    about = observation("ga", LOINC, "57714-8", day(2), valueQuantity=quantity(38, "wk"), focus=[{"reference": baby}])
    assert cards(adviser, about, cramps(), diet(400)) == {}
    detail = cards(adviser, status(), about, cramps())[REVIEW].detail or ""
    assert "about another person" in detail
    assert "Gestational age: not recorded" in detail


def test_a_gestational_age_whose_focus_is_herself_is_hers(adviser: Adviser) -> None:
    focus = [{"reference": "Patient/anna"}]
    own = observation("ga", LOINC, "18185-9", day(0), valueQuantity=quantity(24, "wk"), focus=focus)
    assert "24 weeks 0 days" in (cards(adviser, own, cramps())[REVIEW].detail or "")


def test_the_gestational_age_at_a_birth_starts_no_new_pregnancy(adviser: Adviser) -> None:
    at_birth = observation("ga", LOINC, "57714-8", day(10), valueQuantity=quantity(39, "wk"))
    assert cards(adviser, at_birth, birth(10), cramps(), diet(400)) == {}


# -- the days on which advice changes ---------------------------------------------------------------------------------


def dated(kind: str, days: int) -> tuple[Resource, ...]:
    if kind == "due date":
        return (edd(days),)
    if kind == "gestational age":
        return (gestational_age(days),)
    return (status(), last_period(days))


KINDS = pytest.mark.parametrize("kind", ["due date", "gestational age", "last period"])


@KINDS
def test_on_13_weeks_6_days_cramps_are_early_and_on_14_weeks_0_days_they_are_not(adviser: Adviser, kind: str) -> None:
    before, after = cards(adviser, *dated(kind, 97), cramps()), cards(adviser, *dated(kind, 98), cramps())
    assert "13 weeks 6 days" in (before[EARLY].detail or "")
    assert REVIEW not in before
    assert "14 weeks 0 days" in (after[REVIEW].detail or "")
    assert EARLY not in after


@KINDS
def test_side_lying_starts_on_28_weeks_0_days(adviser: Adviser, kind: str) -> None:
    def text(days: int) -> str:
        return cards(adviser, *dated(kind, days), cramps())["leg-cramps-self-care"].detail or ""

    assert SIDE not in text(195)
    assert "Resting with legs raised is an option" in text(195)
    assert SIDE in text(196)
    assert "Resting with legs raised is an option" not in text(196)


def test_without_a_gestational_age_side_lying_is_included(adviser: Adviser) -> None:
    assert SIDE in (cards(adviser, status(), cramps())["leg-cramps-self-care"].detail or "")


def test_the_last_day_of_the_term_and_the_first_day_of_pregnancy_are_days_of_pregnancy(adviser: Adviser) -> None:
    assert EARLY in cards(adviser, edd(0, seen=0), cramps())
    assert REVIEW in cards(adviser, edd(280), cramps())
