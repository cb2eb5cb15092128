"""Laboratory results: the newest decides, the unit decides, and what cannot be used is unknown with a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.facts import Fact
from cds.facts.laboratory import newest_value, unadjusted_calcium
from tests.facts.charts import (
    LOINC,
    NOW,
    TODAY,
    UCUM,
    Json,
    concept,
    days_ago,
    fact_of,
    facts_of,
    knowledge,
    observation,
    quantity,
    resource,
    taken,
    value_of,
)

NO_RANGE = {
    "above_range": False, "below_range": False, "upper_limit": False, "lower_limit": False, "pregnancy_range": "none",
}  # fmt: skip
TOTAL, IONISED, CORRECTED, ALBUMIN = "2000-8", "1995-0", "29265-6", "1751-7"


def result(value: Any, unit: str = "mmol/L", days: int = 2, id: str = "ca", code: str = TOTAL, **more: Any) -> Json:
    return observation(concept(LOINC, code), id, days_ago(days), **{"valueQuantity": quantity(value, unit), **more})


def albumin(value: Any = 30, unit: str = "g/L", days: int = 2, id: str = "alb", **more: Any) -> Json:
    return result(value, unit, days, id, ALBUMIN, **more)


def total(*resources: Json, **how: Any) -> Fact:
    return fact_of("lab", "serum-calcium", *resources, **how)


def adjusted(*resources: Json, **how: Any) -> Fact:
    return fact_of("lab", "adjusted-calcium", *resources, **how)


# -- status and time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_final_result_is_known_with_value_day_and_source(status: str) -> None:
    fact = total(result(2.31, status=status))
    assert fact.attributes == {"present": True, "value": Decimal("2.31"), "age": Decimal(2), **NO_RANGE}
    assert (fact.shown, fact.sources) == ("2.31 mmol/L", ("Observation/ca",))
    assert fact.day is not None
    assert (TODAY - fact.day).days == 2


def test_no_result_in_a_supplied_laboratory_history_is_absent() -> None:
    assert total().state == "absent"


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_result_taken_back_does_not_exist(status: str) -> None:
    assert total(result(2.31, status=status)).remarks == ()
    assert total(result(2.31, status=status)).state == "absent"


@pytest.mark.parametrize("status", ["preliminary", "registered"])
def test_a_pending_result_is_no_result_but_is_named(status: str) -> None:
    fact = total(result(3.4, status=status, days=0), result(2.3, id="old", days=9))
    assert value_of(fact) == Decimal("2.3")
    assert fact.remarks == ("a result is pending (Observation/ca)",)


@pytest.mark.parametrize("status", ["unknown", "finished"])
def test_a_result_of_unknown_status_may_not_be_passed_over(status: str) -> None:
    fact = total(result(3.4, status=status, days=0), result(2.3, id="old", days=9))
    assert fact.state == "unknown"
    assert "has a status that is not final (Observation/ca)" in fact.reason


def test_a_result_dated_in_the_future_is_not_used_but_named() -> None:
    fact = total(result(3.4, days=-1), result(2.3, id="old"))
    assert value_of(fact) == Decimal("2.3")
    assert fact.remarks == ("a result dated in the future was not used (Observation/ca)",)


def test_the_newest_result_decides() -> None:
    assert value_of(
        total(result(2.5, id="b", days=3), result(2.1, id="a", days=1), result(2.6, id="c", days=5))
    ) == Decimal("2.1")


def test_of_two_results_of_one_day_the_later_hour_decides() -> None:
    early = result(2.5, id="z", effectiveDateTime="2026-11-20T08:00:00Z")
    late = result(2.1, id="a", effectiveDateTime="2026-11-20T17:00:00+01:00")
    assert value_of(total(early, late)) == Decimal("2.1")


def test_an_undated_result_does_not_speak_alone_nor_outrank_a_dated_one() -> None:
    undated = result(2.9, id="undated", effectiveDateTime=None)
    assert total(undated).reason == "the newest result (2.9 mmol/L) has no date (Observation/undated)"
    assert value_of(total(undated, result(2.3))) == Decimal("2.3")


def test_a_result_known_to_the_month_has_the_least_and_the_most_age() -> None:
    fact = total(result(2.3, effectiveDateTime="2026-04"))
    assert value_of(fact) == Decimal("2.3")
    assert "age" not in fact.attributes
    assert [fact.attributes[name] for name in ("age_low", "age_high")] == [Decimal(206), Decimal(235)]
    assert (fact.day, fact.shown) == (None, "2.3 mmol/L (2026-04)")


def test_a_calcium_whose_month_leaves_open_whether_it_counts_is_verified() -> None:
    fact = total(result(2.3, effectiveDateTime="2026-10"))  # 22 to 52 days: the 42-day limit lies between
    assert (
        fact.reason == "the newest result of 2026-10 (2.3 mmol/L) has a date that leaves its age open (Observation/ca)"
    )
    # Up to 21 days: a value in range counts, and a low one may be too old for an alarm.
    assert value_of(total(result(2.3, effectiveDateTime="2026-11"))) == Decimal("2.3")
    assert total(result(1.6, effectiveDateTime="2026-11")).state == "unknown"


def test_the_date_of_issue_stands_in_for_a_missing_one() -> None:
    fact = total(result(2.3, effectiveDateTime=None, issued="2026-11-20T10:00:00Z"))
    assert fact.attributes["age"] == Decimal(2)


# -- what cannot be used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"valueQuantity": {"value": 2.3}}, "has no usable unit"),
        ({"valueQuantity": {"value": 2.3, "unit": "mmol/L", "system": UCUM, "code": "mg/dL"}}, "has no usable unit"),
        ({"valueQuantity": {"value": 2.3, "unit": "bananas"}}, "has no usable unit"),
        ({"valueQuantity": quantity(2.3, "nmol/L")}, "has a unit that does not fit"),
        ({"valueQuantity": quantity(2.3, "mmol/L", comparator="<")}, "is only a bound"),
        ({"valueQuantity": quantity(9.2, "mmol/L")}, "is not plausible in its unit; verify it"),
        ({"valueQuantity": quantity(2.3, "mg/dL")}, "is not plausible in its unit; verify it"),
        ({"valueQuantity": quantity(-2.3, "mmol/L")}, "is not plausible in its unit; verify it"),
        ({"valueQuantity": quantity(1e25, "mmol/L")}, "has a unit that does not fit"),
        ({"valueQuantity": {"value": "2.3", "unit": "mmol/L"}}, "has no number"),
        ({"valueQuantity": None, "valueString": "2.3 mmol/L"}, "has no number"),
        ({"valueQuantity": {"value": [2.3]}}, "could not be read"),
        ({"status": None}, "could not be read"),
        ({"dataAbsentReason": concept("x", "error")}, "is recorded as missing and yet has a value"),
    ],
)
def test_a_newest_result_that_cannot_be_used_is_unknown_and_no_older_one_speaks_for_it(
    change: Json, problem: str
) -> None:
    fact = total(result(2.3, **change), result(2.2, id="old", days=20))
    assert fact.state == "unknown"
    assert problem in fact.reason
    assert f"the older result of {days_ago(20)} does not speak for it (Observation/old)" in fact.remarks


def test_a_result_recorded_as_missing_is_no_result_but_is_named() -> None:
    missing = result(0, valueQuantity=None, dataAbsentReason=concept("x", "unknown"))
    assert total(missing).state == "absent"
    assert total(missing).remarks == ("a result is recorded as missing (Observation/ca)",)


def test_unreadable_results_of_another_kind_do_not_matter() -> None:
    assert total(result(2.3), albumin(status=["final"])).state == "known"


def test_withheld_history_cannot_prove_that_nothing_was_measured() -> None:
    assert total(laboratory=...).reason == "laboratory results were not supplied"
    fact = total(result(2.3), laboratory=...)
    assert value_of(fact) == Decimal("2.3")  # it came under another key
    assert fact.remarks == ("laboratory results were not supplied: a newer result may exist",)


# -- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "code", "expected"),
    [
        (9.2, "mg/dL", "17861-6", "2.30"),
        (10.5, "mg/dL", "17861-6", "2.62"),
        (4.6, "meq/L", TOTAL, "2.3"),
        (2.3, "mmol/l", TOTAL, "2.3"),
    ],
)
def test_the_unit_decides_and_the_card_shows_what_was_compared(
    value: float, unit: str, code: str, expected: str
) -> None:
    fact = total(result(value, unit, code=code))
    assert value_of(fact) == Decimal(expected)
    if unit != "mmol/l":
        assert fact.shown == f"{value} {unit} = {Decimal(expected):.2f} mmol/L"


@given(st.integers(400, 2000))
def test_calcium_in_three_units_lies_on_the_same_side_of_every_limit(quarter: int) -> None:
    """mEq/L are exactly twice mmol/L; a value in mg/dL may differ by half of the last digit only."""
    exact = Decimal(quarter) / 400
    rounded = exact.quantize(Decimal("0.01"))
    mg = rounded / Decimal("0.2495")
    values = [
        value_of(total(result(rounded, "mmol/L"))),
        value_of(total(result(rounded * 2, "meq/L"))),
        value_of(total(result(mg, "mg/dL"))),
    ]
    limits = [t.value for t in knowledge().thresholds.values() if t.unit == "mmol/L"]
    assert values == [rounded] * 3
    assert len({tuple((value < limit, value > limit) for limit in limits) for value in values}) == 1


@pytest.mark.parametrize(("ng", "nmol"), [(12, 30), (20, 50), (50, 125), (100, 250)])
def test_published_pairs_of_vitamin_d_limits_agree(ng: int, nmol: int) -> None:
    fact = fact_of("lab", "vitamin-d-25oh", result(ng, "ng/mL", code="62292-8"))
    assert value_of(fact) == Decimal(nmol)


def test_active_vitamin_d_is_never_read_as_the_store() -> None:
    fact = fact_of("lab", "vitamin-d-25oh", result(60, "pg/mL", code="62290-2"))
    assert fact.state == "absent"
    assert fact.remarks == (f"1,25-dihydroxyvitamin D of {days_ago(2)} is not used for this (Observation/ca)",)


def test_creatinine_at_its_limit_is_the_limit_in_both_units() -> None:
    base, (_, record) = knowledge(), taken(result(0.87, "mg/dL", code="2160-0"))
    assert NOW.tzinfo is not None
    assert value_of(newest_value(base, record, ("lab", "creatinine"), TODAY, NOW.tzinfo)) == Decimal(77)


@pytest.mark.parametrize(
    ("code", "asked", "title"),
    [
        ("13959-2", "ionised-calcium", "Ionised calcium by calculation"),
        ("19072-8", "ionised-calcium", "Ionised calcium adjusted to pH 7.4"),
        ("49765-1", "serum-calcium", "Calcium in whole blood"),
    ],
)
def test_look_alikes_are_never_used_but_named(code: str, asked: str, title: str) -> None:
    unit = "mg/dL" if code == "49765-1" else "mmol/L"
    fact = fact_of("lab", asked, result(1.2, unit, code=code))
    assert fact.state == "absent"
    assert fact.remarks == (f"{title} of {days_ago(2)} is not used for this (Observation/ca)",)


# -- panels and duplicates --------------------------------------------------------------------------------------------


def test_components_are_read_like_results() -> None:
    panel = observation(
        concept(LOINC, "24323-8"),
        "panel",
        days_ago(2),
        component=[
            {"code": concept(LOINC, TOTAL), "valueQuantity": quantity(2.0, "mmol/L")},
            {"code": concept(LOINC, ALBUMIN), "valueQuantity": quantity(3.0, "g/dL")},
        ],
    )
    assert value_of(total(panel)) == Decimal(2)
    assert value_of(adjusted(panel)) == Decimal("2.20")
    assert adjusted(panel).sources == ("Observation/panel",)


def test_a_panel_code_without_a_value_of_its_own_hides_no_component() -> None:
    panel = observation(
        concept(LOINC, TOTAL),
        "panel",
        component=[{"code": concept(LOINC, TOTAL), "valueQuantity": quantity(2.2, "mmol/L")}],
    )
    assert value_of(total(panel)) == Decimal("2.2")


def test_a_result_under_two_keys_is_one_result() -> None:
    census = facts_of(
        result(2.3), extra={"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": result(2.3)}]}
    )
    assert census == facts_of(result(2.3))


# -- calcium adjusted for albumin -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "unit"), [(30, "g/L"), (3.0, "g/dL")])
def test_total_calcium_is_adjusted_with_albumin_of_the_same_day(value: float, unit: str) -> None:
    fact = adjusted(result(2.02), albumin(value, unit))
    assert fact.attributes == {"present": True, "value": Decimal("2.22"), "age": Decimal(2), **NO_RANGE}
    assert fact.sources == ("Observation/ca", "Observation/alb")


@pytest.mark.parametrize(
    ("calcium", "expected"), [("2.10", "2.30"), ("1.90", "2.10"), ("1.89", "2.09"), ("2.41", "2.61")]
)
def test_adjustment_adds_two_hundredths_per_gram_below_forty(calcium: str, expected: str) -> None:
    assert value_of(adjusted(result(float(calcium)), albumin(30))) == Decimal(expected)


def test_albumin_of_another_day_does_not_count_but_the_same_specimen_does() -> None:
    assert adjusted(result(2.0), albumin(days=3)).state == "absent"
    blood: Json = {"specimen": {"reference": "Specimen/7"}}
    assert value_of(adjusted(result(2.0, **blood), albumin(days=3, **blood))) == Decimal("2.20")


def test_albumin_of_the_same_specimen_outranks_another_of_the_day() -> None:
    blood: Json = {"specimen": {"reference": "Specimen/7"}}
    rows = [albumin(25, id="own", **blood), albumin(38, id="other", specimen={"reference": "Specimen/8"})]
    assert value_of(adjusted(result(2.0, **blood), *rows)) == Decimal("2.30")


def test_a_missing_albumin_is_never_assumed() -> None:
    assert adjusted(result(2.0)).state == "absent"
    assert adjusted(result(2.0), laboratory=...).state == "unknown"


@pytest.mark.parametrize(("value", "unit"), [(4.0, "g/L"), (40, "g/dL"), (3, "mmol/L")])
def test_an_albumin_in_a_doubtful_unit_adjusts_nothing(value: float, unit: str) -> None:
    assert adjusted(result(2.3), albumin(value, unit)).state == "unknown"


def test_calcium_corrected_by_the_laboratory_is_never_adjusted_again() -> None:
    fact = adjusted(result(2.2, code=CORRECTED), albumin(25))
    assert value_of(fact) == Decimal("2.2")
    assert fact.shown == "2.2 mmol/L (corrected by the laboratory)"
    assert fact_of("lab", "serum-calcium", result(2.2, code=CORRECTED)).state == "absent"


def test_corrected_and_own_adjustment_of_one_day_give_the_laboratory_its_word() -> None:
    rows = [result(2.15, code=CORRECTED, id="corrected"), result(2.0), albumin(30)]
    assert adjusted(*rows).sources == ("Observation/corrected",)


def test_the_newest_calcium_decides_so_that_no_old_normal_value_hides_a_new_high_one() -> None:
    old = result(2.3, code=CORRECTED, id="old", days=20)
    assert adjusted(result(2.9), old).state == "absent"
    assert adjusted(result(9.9), old).state == "unknown"
    assert adjusted(result(9.9, code=CORRECTED), result(2.3, days=9), albumin(days=9)).state == "unknown"
    assert value_of(adjusted(result(2.9), albumin(40), old)) == Decimal("2.90")
    assert value_of(adjusted(old, result(2.9, days=25), albumin(days=25))) == Decimal("2.3")


# -- total calcium that nothing better speaks for ---------------------------------------------------------------------


def unadjusted(*resources: Json) -> Fact:
    assert NOW.tzinfo is not None
    return unadjusted_calcium(knowledge(), taken(*resources)[1], TODAY, NOW.tzinfo)


def test_a_total_stands_alone_until_albumin_or_ionised_calcium_of_its_day_is_there() -> None:
    assert value_of(unadjusted(result(2.9))) == Decimal("2.9")
    assert unadjusted(result(2.9), albumin(40)).state == "absent"
    assert unadjusted(result(2.9), result(1.2, code=IONISED, id="ion")).state == "absent"
    assert value_of(unadjusted(result(2.9), result(1.2, code=IONISED, id="ion", days=3))) == Decimal("2.9")
    assert unadjusted().state == "absent"


def test_an_albumin_that_cannot_be_used_leaves_the_total_standing() -> None:
    assert value_of(unadjusted(result(2.9), albumin(4))) == Decimal("2.9")


def test_a_chart_of_other_resources_has_no_results() -> None:
    assert total(resource("Procedure", "p", status="completed", code=concept(LOINC, TOTAL))).state == "absent"
