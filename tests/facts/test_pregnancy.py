"""Whether she is pregnant: which evidence counts, which is stronger, what ends it, and when nothing may be said."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from cds.facts import Fact
from tests.facts.charts import (
    ANNA,
    ICD,
    LOINC,
    NOW,
    SNOMED,
    TODAY,
    WHO,
    Json,
    clinical,
    concept,
    condition,
    days_ago,
    fact_of,
    facts_of,
    observation,
    quantity,
    resource,
    verification,
    woman,
)

PREGNANT, NOT_PREGNANT = concept(SNOMED, "77386006"), concept(SNOMED, "60001007")


def status(answer: Json, days: int = 10, id: str = "status", **more: Any) -> Json:
    return observation(concept(LOINC, "82810-3"), id, days_ago(days), **{"valueCodeableConcept": answer, **more})


def diagnosis(code: str = "Z34.90", days: int = 30, id: str = "dx", system: str = ICD, **more: Any) -> Json:
    return condition(concept(system, code), id, days_ago(days), **more)


def due(in_days: int, id: str = "edd", code: str = "11779-6", seen: int = 60, **more: Any) -> Json:
    return observation(concept(LOINC, code), id, days_ago(seen), valueDateTime=days_ago(-in_days), **more)


def birth(days: int, id: str = "birth") -> Json:
    return resource("Procedure", id, status="completed", code=concept(ICD, "Z37.0"), performedDateTime=days_ago(days))


def pregnant(*resources: Json, **how: Any) -> Fact:
    return fact_of("gestation", "pregnant", *resources, **how)


def is_pregnant(*resources: Json, **how: Any) -> bool | None:
    """True or False when known; None when unknown."""
    fact = pregnant(*resources, **how)
    assert fact.state in ("known", "unknown")
    found = fact.attributes.get("present")
    assert found is None or isinstance(found, bool)
    return found


# -- each kind of evidence --------------------------------------------------------------------------------------------


def test_an_empty_chart_leaves_pregnancy_unknown() -> None:
    fact = pregnant()
    assert fact.state == "unknown"
    assert fact.reason == "no evidence of a current pregnancy is recorded"


@pytest.mark.parametrize(
    "evidence",
    [
        status(PREGNANT),
        observation(PREGNANT, valueBoolean=True),
        observation(concept(WHO, "ANC.B4.DE1"), valueBoolean=True),
        diagnosis("Z34.90"),
        diagnosis("Z33.1"),
        diagnosis("O26.892"),
        diagnosis("77386006", system=SNOMED),
        due(80),
        observation(concept(LOINC, "18185-9"), valueQuantity=quantity(20, "wk")),
    ],
)
def test_each_kind_of_evidence_is_enough_alone(evidence: Json) -> None:
    fact = pregnant(evidence)
    assert fact.attributes == {"present": True}
    assert fact.sources == (f"{evidence['resourceType']}/{evidence['id']}",)


def test_a_last_menstrual_period_alone_shows_no_pregnancy() -> None:
    assert is_pregnant(observation(concept(LOINC, "8665-2"), valueDateTime=days_ago(90))) is None


@pytest.mark.parametrize("answer", [NOT_PREGNANT, None])
def test_a_recorded_no_is_a_known_no(answer: Json | None) -> None:
    chart = status(answer) if answer else observation(PREGNANT, valueBoolean=False)
    fact = pregnant(chart)
    assert fact.attributes == {"present": False}
    assert fact.shown == "not pregnant, status: not pregnant"


def test_a_denied_complication_does_not_say_not_pregnant() -> None:
    no_vomiting = observation(concept(SNOMED, "90325002"), valueBoolean=False)
    assert is_pregnant(no_vomiting) is None
    assert is_pregnant(no_vomiting, due(80)) is True


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"status": "preliminary"}, "a pregnancy status is not final (Observation/status)"),
        ({"status": "unknown"}, "a pregnancy status is not final (Observation/status)"),
        ({"effectiveDateTime": "2026"}, "a pregnancy status has no day (Observation/status)"),
        ({"effectiveDateTime": None}, "a pregnancy status has no day (Observation/status)"),
        (
            {"effectiveDateTime": days_ago(-1)},
            "a pregnancy status is dated in the future (Observation/status)",
        ),
        (
            {"valueCodeableConcept": concept(SNOMED, "146799005")},
            "a pregnancy status has no answer that is understood (Observation/status)",
        ),
    ],
)
def test_a_status_that_cannot_be_used_proves_nothing_and_is_named(change: Json, doubt: str) -> None:
    fact = pregnant(status(PREGNANT, **change))
    assert fact.state == "unknown"
    assert doubt in fact.remarks


@pytest.mark.parametrize("word", ["entered-in-error", "cancelled"])
def test_a_status_taken_back_does_not_exist(word: str) -> None:
    fact = pregnant(status(PREGNANT, status=word))
    assert (fact.state, fact.remarks) == ("unknown", ())


def test_a_missing_answer_is_not_a_no() -> None:
    absent: Json = {"valueCodeableConcept": None, "dataAbsentReason": concept("x", "not-asked")}
    assert is_pregnant(status(PREGNANT, **absent)) is None


@pytest.mark.parametrize(("days", "expected"), [(294, True), (295, None)])
def test_a_status_proves_nothing_beyond_its_look_back(days: int, expected: bool | None) -> None:
    assert is_pregnant(status(PREGNANT, days)) is expected


@pytest.mark.parametrize(("days", "expected"), [(308, True), (309, None)])
def test_an_active_diagnosis_is_stale_after_44_weeks(days: int, expected: bool | None) -> None:
    assert is_pregnant(diagnosis(days=days)) is expected


def test_a_diagnosis_and_a_status_of_today_count() -> None:
    assert is_pregnant(diagnosis(days=0)) is True
    assert is_pregnant(status(PREGNANT, 0)) is True


def test_an_old_onset_makes_a_freshly_typed_diagnosis_stale() -> None:
    assert is_pregnant(diagnosis(days=5, onsetDateTime=days_ago(320))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"verificationStatus": verification("refuted")},
        {"verificationStatus": verification("entered-in-error")},
        {"verificationStatus": verification("provisional")},
        {"clinicalStatus": None},
        {"recordedDate": None},
        {"recordedDate": days_ago(-1)},
    ],
)
def test_a_doubtful_diagnosis_proves_nothing(change: Json) -> None:
    assert is_pregnant(diagnosis(**change)) is None


# -- due date ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_days", "expected"), [(280, True), (281, None), (0, True), (-7, True), (-21, True), (-22, None)]
)
def test_a_due_date_counts_until_three_weeks_after_it(in_days: int, expected: bool | None) -> None:
    assert is_pregnant(due(in_days)) is expected


def test_a_passed_due_date_without_a_birth_makes_even_an_earlier_status_unknown() -> None:
    fact = pregnant(due(-22), status(PREGNANT, 100))
    assert fact.state == "unknown"
    assert fact.reason == f"the due date {days_ago(22)} has passed and no birth is recorded (Observation/edd)"


def test_a_status_after_the_passed_due_date_still_counts() -> None:
    assert is_pregnant(due(-25), status(PREGNANT, 3)) is True


def test_days_past_the_due_date_are_counted() -> None:
    census = facts_of(due(-22))
    assert census.facts[("gestation", "past-due")].attributes["value"] == Decimal(22)


def test_the_due_date_of_the_last_pregnancy_is_not_that_of_this_one() -> None:
    chart = [due(-400, "old"), birth(405), due(100, "new")]
    census = facts_of(*chart)
    assert census.facts[("gestation", "pregnant")].attributes["present"] is True
    assert census.facts[("gestation", "age")].attributes["value"] == Decimal(180)
    assert census.facts[("gestation", "past-due")].day == TODAY + timedelta(days=100)


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        birth(5, "end"),
        condition(concept(ICD, "O03.9"), "end", days_ago(5)),
        condition(concept(SNOMED, "86569001"), "end", days_ago(1), onsetDateTime=days_ago(5)),
        observation(concept(LOINC, "93857-1"), "end", valueDateTime=days_ago(5)),
        observation(concept(WHO, "ANC.End.2"), "end", days_ago(5), valueBoolean=True),
        diagnosis("Z34.90", 100, "end", clinicalStatus=clinical("resolved"), abatementDateTime=days_ago(5)),
    ],
)
def test_a_birth_or_loss_after_the_evidence_ends_the_pregnancy_and_is_counted_from(end: Json) -> None:
    census = facts_of(status(PREGNANT, 40), due(10), end)
    assert census.facts[("gestation", "pregnant")].attributes == {"present": False}
    assert census.facts[("gestation", "post-partum")].attributes["value"] == Decimal(5)
    assert census.facts[("gestation", "age")].state == "absent"


def test_a_new_pregnancy_after_a_birth_counts() -> None:
    assert is_pregnant(birth(200), status(PREGNANT, 20)) is True
    assert is_pregnant(birth(200), due(150)) is True


@pytest.mark.parametrize(
    "entry",
    [
        condition(concept(ICD, "O03.9"), "end", days_ago(5), verificationStatus=verification("refuted")),
        condition(concept(ICD, "O03.9"), "end", days_ago(5), clinicalStatus=clinical("resolved")),
        observation(concept(WHO, "ANC.End.2"), "end", days_ago(5), valueBoolean=False),
        observation(concept(LOINC, "93857-1"), "end", valueDateTime=days_ago(-5)),
        resource("Procedure", "end", status="not-done", code=concept(ICD, "Z37.0"), performedDateTime=days_ago(5)),
        resource("Procedure", "end", status="completed", code=concept(ICD, "Z37.0")),
    ],
)
def test_an_end_that_did_not_happen_or_has_no_day_ends_nothing(entry: Json) -> None:
    assert is_pregnant(status(PREGNANT, 10), due(60), entry) is True


def test_the_end_of_a_complication_is_not_the_end_of_the_pregnancy() -> None:
    over: Json = {"clinicalStatus": clinical("resolved"), "abatementDateTime": days_ago(50)}
    assert is_pregnant(diagnosis("O21.0", 100, "vomiting", **over), due(60)) is True
    assert is_pregnant(diagnosis("Z3A.12", 100, "week-12", **over), due(60)) is True


def test_an_abatement_still_to_come_does_not_end_it_yet() -> None:
    assert is_pregnant(diagnosis(abatementDateTime=days_ago(-30))) is True


@pytest.mark.parametrize("over", [{"clinicalStatus": clinical("resolved")}, {"abatementString": "after the birth"}])
def test_a_pregnancy_over_without_a_date_leaves_both_pregnancy_and_puerperium_unknown(over: Json) -> None:
    census = facts_of(diagnosis(days=100, **over))
    assert census.facts[("gestation", "pregnant")].state == "unknown"
    assert census.facts[("gestation", "post-partum")].state == "unknown"


def test_a_birth_known_only_to_the_month_keeps_the_puerperium_as_long_as_it_can_be() -> None:
    end = observation(concept(LOINC, "93857-1"), "end", valueDateTime="2026-10")
    assert fact_of("gestation", "post-partum", end).attributes["value"] == Decimal(22)


@pytest.mark.parametrize(("days", "expected"), [(294, False), (295, None)])
def test_an_old_birth_says_nothing_about_now_when_newer_records_may_be_withheld(
    days: int, expected: bool | None
) -> None:
    assert is_pregnant(birth(days)) is False
    assert is_pregnant(birth(days), pregnancy=...) is expected
    over = diagnosis(days=days, clinicalStatus=clinical("resolved"))
    assert is_pregnant(over) is (None if days == 294 else False)


@pytest.mark.parametrize(
    "hint",
    [
        diagnosis(days=400),
        diagnosis(clinicalStatus=None),
        diagnosis(recordedDate=None),
        status(PREGNANT, 400),
        status(PREGNANT, effectiveDateTime="2026-09"),
        due(-300, seen=500),
        observation(concept(LOINC, "18185-9"), "ga", days_ago(400), valueQuantity=quantity(20, "wk")),
    ],
)
def test_an_earlier_birth_does_not_close_a_later_pregnancy_that_no_longer_counts(hint: Json) -> None:
    assert is_pregnant(birth(1500), hint) is None


# -- who it is --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "person",
    [{"gender": "male"}, {"deceasedBoolean": True}, {"deceasedDateTime": "2026-10-01"}],
)
def test_a_man_or_a_dead_patient_is_not_pregnant_whatever_the_record_says(person: Json) -> None:
    census = facts_of(status(PREGNANT), due(80), patient=woman(**person))
    assert census.facts[("gestation", "pregnant")].attributes == {"present": False}
    assert census.facts[("gestation", "age")].state == "absent"
    assert census.facts[("gestation", "past-due")].state == "absent"


@pytest.mark.parametrize("person", [{"deceasedBoolean": False}, {"gender": "other"}, {"gender": None}])
def test_anyone_else_may_be_pregnant(person: Json) -> None:
    patient = {name: value for name, value in woman(**person).items() if value is not None}
    assert is_pregnant(status(PREGNANT), patient=patient) is True


def test_a_patient_whose_sex_cannot_be_read_leaves_pregnancy_unknown() -> None:
    assert is_pregnant(status(PREGNANT), patient=woman(gender=["male"])) is None


def test_the_babys_gestational_age_is_not_hers() -> None:
    baby = observation(concept(LOINC, "18185-9"), valueQuantity=quantity(38, "wk"))
    baby["subject"] = {"reference": "Patient/baby"}
    census = facts_of(baby)
    assert census.facts[("gestation", "pregnant")].state == "unknown"
    assert "1 resource(s) of another patient were ignored" in census.remarks


# -- order of evidence ------------------------------------------------------------------------------------------------


def test_two_statuses_of_one_day_that_disagree_leave_it_unknown() -> None:
    fact = pregnant(status(PREGNANT, 5, "yes"), status(NOT_PREGNANT, 5, "no"), due(80))
    assert (fact.state, fact.reason) == ("unknown", f"two pregnancy statuses of {days_ago(5)} disagree")


@pytest.mark.parametrize(("yes", "no", "expected"), [(5, 10, True), (10, 5, False)])
def test_the_newest_status_decides(yes: int, no: int, expected: bool) -> None:
    assert is_pregnant(status(PREGNANT, yes, "yes"), status(NOT_PREGNANT, no, "no")) is expected


def test_a_status_outweighs_a_diagnosis_and_a_due_date_of_before() -> None:
    assert is_pregnant(status(NOT_PREGNANT, 5), diagnosis(days=40), due(80)) is False


@pytest.mark.parametrize(
    "later", [diagnosis(days=20), due(80, seen=20), due(270, seen=2), due(200, effectiveDateTime=None)]
)
def test_a_negative_status_gives_way_to_a_later_pregnancy(later: Json) -> None:
    assert is_pregnant(status(NOT_PREGNANT, 90), later) is True


def test_a_complication_seen_on_the_day_of_a_negative_status_does_not_outweigh_it() -> None:
    vomiting = observation(concept(SNOMED, "90325002"), "vomiting", days_ago(5), valueBoolean=True)
    assert is_pregnant(vomiting) is True
    assert is_pregnant(vomiting, status(NOT_PREGNANT, 5)) is False


def test_a_pregnancy_status_under_a_positive_code_with_no_as_value_is_a_no() -> None:
    both = {"coding": [*concept(LOINC, "82810-3")["coding"], *PREGNANT["coding"]]}
    assert is_pregnant(observation(both, valueBoolean=False)) is False


# -- what was not supplied --------------------------------------------------------------------------------------------


def test_withheld_data_are_the_reason_for_not_knowing() -> None:
    fact = pregnant(pregnancy=..., conditions={"resourceType": "OperationOutcome"})
    assert fact.state == "unknown"
    assert fact.reason == "pregnancy observations were not supplied; diagnoses could not be fetched by the client"


@pytest.mark.parametrize(("hours", "expected"), [(14, None), (-12, True)])
def test_the_day_is_that_of_the_zone_of_the_visit(hours: int, expected: bool | None) -> None:
    """At noon UTC it is the 23rd in Kiribati and still the 22nd in Baker Island: the due date is 22 or 21 days ago."""
    here = datetime(2026, 11, 22, 12, tzinfo=NOW.tzinfo).astimezone(timezone(timedelta(hours=hours)))
    assert is_pregnant(due(-21), now=here) is expected


def test_age_is_counted_in_completed_years() -> None:
    def age(born: str) -> Any:
        return fact_of("person", "age", patient=woman(birthDate=born)).attributes.get("value")

    assert age("2007-11-22") == Decimal(19)
    assert age("2007-11-23") == Decimal(18)
    assert age("2007-12") == Decimal(18)
    assert age("2007-11") is None
    assert age("2007") is None
    assert age("2027-01-01") is None
    assert fact_of("person", "age", patient=...).state == "unknown"
    assert ANNA not in fact_of("person", "age", patient=...).reason
