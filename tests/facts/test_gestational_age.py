"""Gestational age: by which source, to the day, and what is named instead of used."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.facts import Fact
from tests.facts.charts import (
    LOINC,
    NOW,
    SNOMED,
    UCUM,
    WHO,
    Json,
    concept,
    days_ago,
    fact_of,
    observation,
    quantity,
    value_of,
)

PREGNANT = observation(concept(LOINC, "82810-3"), "status", valueCodeableConcept=concept(SNOMED, "77386006"))
OVULATION, PERIOD, UNSPECIFIED = "11780-4", "11779-6", "11778-8"
SCAN: Json = {"method": {"text": "Ultrasound"}}


def due(days: int, code: str = PERIOD, seen: int = 30, id: str = "edd", **more: Any) -> Json:
    """A due date that makes her ``days`` pregnant today."""
    return observation(concept(LOINC, code), id, days_ago(seen), valueDateTime=days_ago(days - 280), **more)


def measured(value: float, unit: str = "wk", seen: int = 0, id: str = "ga", **more: Any) -> Json:
    return observation(
        concept(LOINC, "18185-9"), id, days_ago(seen), **{"valueQuantity": quantity(value, unit), **more}
    )


def period(days: int, id: str = "lmp") -> Json:
    return observation(concept(LOINC, "8665-2"), id, valueDateTime=days_ago(days))


def age(*resources: Json, **how: Any) -> Fact:
    return fact_of("gestation", "age", PREGNANT, *resources, **how)


def days(*resources: Json, **how: Any) -> Any:
    return value_of(age(*resources, **how))


def test_no_dating_says_so() -> None:
    fact = age()
    assert (fact.state, fact.reason) == ("unknown", "not recorded")


@settings(deadline=None)  # a busy machine is no error
@given(st.integers(0, 301))
def test_a_due_date_gives_the_day_exactly(today: int) -> None:
    assert days(due(today)) == Decimal(today)


@pytest.mark.parametrize(
    ("given_days", "text"),
    [(97, "13 weeks 6 days"), (98, "14 weeks 0 days"), (195, "27 weeks 6 days"), (196, "28 weeks 0 days")],
)
def test_weeks_are_completed_weeks(given_days: int, text: str) -> None:
    fact = age(due(given_days))
    assert value_of(fact) == Decimal(given_days)
    assert fact.shown.startswith(text)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(12.9, "wk", 90), (13.857142857, "wk", 97), (14, "wk", 98), (98, "d", 98), (13.99, "wk", 97)],
)
def test_a_measured_age_is_read_in_weeks_or_days_and_never_rounded_up(value: float, unit: str, expected: int) -> None:
    assert days(measured(value, unit)) == Decimal(expected)


def test_weeks_as_text_are_an_alias() -> None:
    assert days(measured(20, valueQuantity={"value": 20, "unit": "weeks"})) == Decimal(140)


@pytest.mark.parametrize(
    "wrong",
    [
        quantity(1200, "g"),
        {"value": 20},
        {"value": 20, "unit": "weeks", "system": UCUM, "code": "d"},
        quantity(20, "wk", comparator="<"),
    ],
)
def test_a_unit_that_is_no_week_or_day_is_unusable_and_named(wrong: Json) -> None:
    fact = age(measured(0, valueQuantity=wrong))
    assert fact.state == "unknown"
    assert "a gestational age is not in weeks or days (Observation/ga)" in fact.remarks


@pytest.mark.parametrize("seen", [0, 1, 30])
def test_a_measured_age_grows_with_every_day(seen: int) -> None:
    assert days(measured(20, seen=seen)) == Decimal(140 + seen)


@pytest.mark.parametrize(
    ("reading", "doubt"),
    [
        (measured(-1, "d"), f"the gestational age of {days_ago(0)} is not plausible (Observation/ga)"),
        (measured(309, "d"), f"the gestational age of {days_ago(0)} is not plausible (Observation/ga)"),
        (measured(308, "d", seen=1), f"the gestational age of {days_ago(1)} no longer holds (Observation/ga)"),
        (measured(20, seen=-1), "a gestational age is dated in the future (Observation/ga)"),
        (measured(20, effectiveDateTime="2026-11"), "a gestational age has no day (Observation/ga)"),
        (measured(20, status="preliminary"), "a gestational age is not final (Observation/ga)"),
        (measured(20, valueQuantity={"unit": "wk"}), "a gestational age has no number (Observation/ga)"),
        (period(309), f"the last menstrual period {days_ago(309)} is outside a pregnancy today (Observation/lmp)"),
        (period(-1), f"the last menstrual period {days_ago(-1)} is outside a pregnancy today (Observation/lmp)"),
        (due(-1), f"the due date {days_ago(-281)} is outside a pregnancy today (Observation/edd)"),
        (
            observation(concept(LOINC, PERIOD), "edd", valueDateTime="2027-02"),
            "a due date cannot be read as a day (Observation/edd)",
        ),
        (
            observation(concept(LOINC, PERIOD), "edd", valueDateTime="0001-01-01"),
            "the due date 0001-01-01 is outside a pregnancy today (Observation/edd)",
        ),
        (
            measured(20, effectiveDateTime="0001-01-01"),
            "the gestational age of 0001-01-01 no longer holds (Observation/ga)",
        ),
        (due(100, seen=-2), "a due date is recorded in the future (Observation/edd)"),
    ],
)
def test_a_dating_that_cannot_be_right_is_not_used_but_named(reading: Json, doubt: str) -> None:
    fact = age(reading)
    assert fact.state == "unknown"
    assert doubt in fact.remarks


def test_a_missing_value_and_a_mistake_are_no_dating_at_all() -> None:
    absent = measured(20, valueQuantity=None, dataAbsentReason=concept("x", "unknown"))
    mistake = measured(20, id="oops", status="entered-in-error")
    assert age(absent, mistake).remarks == ()


@pytest.mark.parametrize("longest", [0, 308])
def test_the_ends_of_the_plausible_range_are_plausible(longest: int) -> None:
    assert days(measured(longest, "d")) == Decimal(longest)


def test_due_dates_rank_by_method_then_measured_age_then_last_period() -> None:
    """Assisted conception or ovulation, early ultrasound, last period, method not stated."""
    ranked = [
        due(100, OVULATION, id="ovulation"),
        due(110, UNSPECIFIED, id="scan", **SCAN),
        due(105, PERIOD, id="period"),
        due(108, UNSPECIFIED, id="unspecified"),
        measured(103, "d", id="ga"),
        period(107),
    ]
    for first in range(len(ranked)):
        expected = ranked[first]["id"]
        assert age(*reversed(ranked[first:])).sources == (f"Observation/{expected}",)


def test_an_ultrasound_of_the_22nd_week_is_no_early_one() -> None:
    """Seen 30 days ago: 153 days then is early, 154 is not."""
    other = due(150, PERIOD, id="period")
    assert age(due(183, UNSPECIFIED, id="scan", **SCAN), other).sources == ("Observation/scan",)
    assert age(due(184, UNSPECIFIED, id="scan", **SCAN), other).sources == ("Observation/period",)


def test_a_text_that_denies_the_ultrasound_makes_no_early_one() -> None:
    other = due(150, PERIOD, id="period")
    scan = due(151, UNSPECIFIED, id="scan", method={"text": "clinical, no ultrasound"})
    assert age(scan, other).sources == ("Observation/period",)


def test_within_a_kind_the_newest_counts() -> None:
    assert days(due(150, seen=60, id="a"), due(160, seen=20, id="b"), due(155, seen=40, id="c")) == Decimal(160)
    assert days(measured(150, "d", 3, "a"), measured(151, "d", 1, "b")) == Decimal(152)


@pytest.mark.parametrize(("apart", "named"), [(14, False), (15, True)])
def test_datings_that_differ_by_more_than_two_weeks_are_named(apart: int, named: bool) -> None:
    fact = age(due(150), period(150 + apart))
    expected = f"last menstrual period {days_ago(150 + apart)} differs by {apart} days (Observation/lmp)"
    assert (expected in fact.remarks) is named
    assert value_of(fact) == Decimal(150)


def test_the_day_of_a_measurement_is_that_of_the_visits_zone() -> None:
    late = measured(20, effectiveDateTime="2026-11-21T23:30:00Z")
    assert days(late) == Decimal(141)
    assert days(late, now=NOW.astimezone(timezone(timedelta(hours=2)))) == Decimal(140)


def test_a_time_without_a_zone_keeps_its_date() -> None:
    assert days(measured(20, effectiveDateTime="2026-11-20T23:30:00")) == Decimal(142)


def test_the_codes_of_the_who_record_are_read() -> None:
    ga = observation(concept(WHO, "ANC.B6.DE17"), "ga", days_ago(0), valueQuantity=quantity(20, "wk"))
    assert days(ga) == Decimal(140)
    grams = observation(concept(WHO, "ANC.B6.DE17"), "ga", days_ago(0), valueQuantity=quantity(20, "g"))
    assert days(grams) is None


def test_the_age_of_an_ended_pregnancy_is_absent_and_of_an_unknown_one_unknown() -> None:
    assert fact_of("gestation", "age").state == "unknown"
    ended = observation(concept(LOINC, "93857-1"), "birth", valueDateTime=days_ago(3))
    assert fact_of("gestation", "age", measured(40), ended).state == "absent"
