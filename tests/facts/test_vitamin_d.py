"""25-OH vitamin D reported in parts, and the body mass index of a day before the pregnancy."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cds.advise import Adviser
from cds.facts import Fact
from cds.facts.laboratory import ALARMS
from cds.knowledge import KnowledgeBase
from tests import patients
from tests.facts.charts import LOINC, Json, concept, days_ago, fact_of, observation, quantity, value_of

TOTAL, D3_MASS, D3, D2_MASS, D2 = "62292-8", "1989-3", "14635-7", "49054-0", "46269-7"


def part(code: str, value: float, unit: str, id: str, days: int = 2, **more: Any) -> Json:
    comparator = {"comparator": more.pop("comparator")} if "comparator" in more else {}
    amount = quantity(value, unit, **comparator)
    return observation(concept(LOINC, code), id, days_ago(days), valueQuantity=amount, **more)


def vitamin_d(*rows: Json, **how: Any) -> Fact:
    return fact_of("lab", "vitamin-d-25oh", *rows, **how)


# -- D2 and D3 --------------------------------------------------------------------------------------------------------


def test_d2_and_d3_are_added_after_each_was_converted_with_its_own_factor() -> None:
    fact = vitamin_d(part(D3_MASS, 10, "ng/mL", "d3"), part(D2_MASS, 10, "ng/mL", "d2"))
    assert value_of(fact) == Decimal(49)  # 24.96 and 24.23; twice the factor of D3 would be 50
    assert fact.sources == ("Observation/d3", "Observation/d2")
    assert fact.shown == "49 nmol/L (D3 10 ng/mL = 24.96 nmol/L, D2 10 ng/mL = 24.23 nmol/L)"


def test_parts_in_different_units_are_added() -> None:
    assert value_of(vitamin_d(part(D3, 25, "nmol/L", "d3"), part(D2_MASS, 10, "ng/mL", "d2"))) == Decimal(49)


def test_parts_of_different_days_are_not_added_unless_they_are_of_one_specimen() -> None:
    apart = vitamin_d(part(D3, 25, "nmol/L", "d3"), part(D2, 25, "nmol/L", "d2", days=4))
    assert apart.state == "unknown"
    blood: Json = {"specimen": {"reference": "Specimen/7"}}
    together = vitamin_d(part(D3, 25, "nmol/L", "d3", **blood), part(D2, 25, "nmol/L", "d2", days=4, **blood))
    assert value_of(together) == Decimal(50)


def test_a_total_of_the_same_day_or_later_is_taken_as_it_is() -> None:
    rows = [part(D3, 25, "nmol/L", "d3"), part(D2, 25, "nmol/L", "d2")]
    assert value_of(vitamin_d(part(TOTAL, 60, "nmol/L", "total"), *rows)) == Decimal(60)
    assert value_of(vitamin_d(part(TOTAL, 60, "nmol/L", "total", days=1), *rows)) == Decimal(60)


def test_an_older_total_does_not_speak_for_newer_parts() -> None:
    rows = [part(D3, 10, "nmol/L", "d3"), part(D2, 10, "nmol/L", "d2"), part(TOTAL, 60, "nmol/L", "total", days=9)]
    assert value_of(vitamin_d(*rows)) == Decimal(20)


def test_a_d2_below_what_can_be_measured_counts_as_none_and_the_fact_says_so() -> None:
    fact = vitamin_d(part(D3_MASS, 18, "ng/mL", "d3"), part(D2_MASS, 4, "ng/mL", "d2", comparator="<"))
    assert value_of(fact) == Decimal(45)
    assert "D2 is below what was measurable and was counted as none" in fact.remarks
    assert "D2 <4 ng/mL" in fact.shown


def test_both_parts_below_what_can_be_measured_prove_a_low_total() -> None:
    rows = [part(D3_MASS, 4, "ng/mL", "d3", comparator="<"), part(D2_MASS, 4, "ng/mL", "d2", comparator="<")]
    fact = vitamin_d(*rows)
    assert fact.state == "known"
    assert "value" not in fact.attributes
    assert Decimal(19) < Decimal(str(fact.attributes["value_high"])) < Decimal(20)


def test_a_part_above_what_can_be_measured_proves_a_high_total() -> None:
    fact = vitamin_d(part(D3_MASS, 150, "ng/mL", "d3", comparator=">"), part(D2_MASS, 4, "ng/mL", "d2"))
    assert Decimal(384) < Decimal(str(fact.attributes["value_low"])) < Decimal(385)


def test_d3_alone_is_no_total_and_the_reason_says_so() -> None:
    fact = vitamin_d(part(D3, 40, "nmol/L", "d3"))
    assert fact.state == "unknown"
    assert "is only a bound of the total" in fact.reason
    assert "D2 of the same day was not reported" in fact.remarks


def test_a_high_d3_alone_is_a_high_total() -> None:
    assert vitamin_d(part(D3, 260, "nmol/L", "d3")).attributes["value_low"] == Decimal(260)


def test_a_part_that_cannot_be_used_leaves_the_total_unknown() -> None:
    fact = vitamin_d(part(D3, 40, "nmol/L", "d3"), part(D2, 5, "bananas", "d2"))
    assert fact.state == "unknown"
    assert "has no usable unit" in fact.reason


def test_the_summary_of_a_card_names_the_total_and_its_detail_the_parts(adviser: Adviser) -> None:
    rows = [
        patients.observation(id, LOINC, code, "2026-11-17", valueQuantity=patients.quantity(10, "ng/mL"))
        for id, code in (("d3", D3_MASS), ("d2", D2_MASS))
    ]
    cards = adviser.advise(patients.request("patient-view", patients.due(), *rows), patients.NOW).cards
    (card,) = [c for c in cards if c.source.topic and c.source.topic.code == "low-vitamin-d"]
    assert card.summary.startswith("25-OH vitamin D 49 nmol/L is below")
    assert "D2 10 ng/mL" in (card.detail or "")


def test_a_low_d3_alone_is_named_on_a_card_that_says_that_d2_is_missing(adviser: Adviser) -> None:
    row = patients.observation("d3", LOINC, D3, "2026-11-17", valueQuantity=patients.quantity(20, "nmol/L"))
    cards = adviser.advise(patients.request("patient-view", patients.due(), row), patients.NOW).cards
    (card,) = [c for c in cards if c.source.topic and c.source.topic.code == "low-vitamin-d"]
    assert (card.indicator, "D2 was not reported" in card.summary) == ("info", True)


# -- before the pregnancy ---------------------------------------------------------------------------------------------

DUE = observation(concept(LOINC, "11779-6"), "due", days_ago(50), valueDateTime=days_ago(-80))  # day 200 of gestation


def body_mass(value: float, days: int, id: str = "bmi") -> Json:
    return observation(concept(LOINC, "39156-5"), id, days_ago(days), valueQuantity=quantity(value, "kg/m2"))


def before(*rows: Json, **how: Any) -> Fact:
    return fact_of("vital", "body-mass-index-before-pregnancy", *rows, **how)


@pytest.mark.parametrize(("days", "state"), [(201, "known"), (200, "absent"), (60, "absent")])
def test_only_a_body_mass_index_of_a_day_before_the_pregnancy_counts(days: int, state: str) -> None:
    assert before(DUE, body_mass(32, days)).state == state


def test_the_newest_value_before_the_pregnancy_counts_and_no_later_one() -> None:
    rows = [body_mass(33, 40, "now"), body_mass(29, 230, "last"), body_mass(36, 900, "long-ago")]
    assert value_of(before(DUE, *rows)) == Decimal(29)


def test_without_a_gestational_age_no_value_is_placed_before_the_pregnancy() -> None:
    assert before(body_mass(32, 900)).state == "unknown"


def test_withheld_vital_signs_prove_no_absence() -> None:
    assert before(DUE, vitals=...).state == "unknown"


# -- the profile and the table of alarms ------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [True, False])
def test_little_winter_sun_is_a_risk_only_where_the_profile_says_so(knowledge: KnowledgeBase, flag: bool) -> None:
    northern = replace(knowledge, flags={**knowledge.flags, "low-winter-sunlight": flag})
    with Adviser(northern) as adviser:
        cards = adviser.advise(patients.request("patient-view", patients.due()), patients.NOW).cards
    assert ("vitamin-d-risk-advice" in {c.source.topic.code for c in cards if c.source.topic}) is flag


def test_every_limit_that_a_bound_is_held_against_is_a_threshold(knowledge: KnowledgeBase) -> None:
    """A renamed threshold would make bounds prove nothing, without a word."""
    names = {name for pair in ALARMS.values() for name in pair if name}
    assert names <= knowledge.thresholds.keys()
