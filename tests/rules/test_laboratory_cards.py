"""Cards of several laboratory results at once: which of them stand."""

from __future__ import annotations

from typing import Any

import pytest

from cds.advise import Adviser
from tests.patients import LOINC, NOW, albumin, calcium, cramps, draft, due, little_sun, observation, quantity, request

Resource = dict[str, Any]


def vitamin_d(value: float, day: str = "2026-11-17") -> Resource:
    return observation("vitd", LOINC, "62292-8", day, valueQuantity=quantity(value, "nmol/L"))


def cards(
    adviser: Adviser, *rows: Resource, hook: str = "patient-view", drafts: tuple[Resource, ...] = ()
) -> dict[str, str]:
    """Rule id -> indicator, in the order of the cards."""
    found = adviser.advise(request(hook, due(), *rows, drafts=drafts), NOW).cards
    return {card.source.topic.code: card.indicator for card in found if card.source.topic}


def test_a_low_vitamin_d_beside_a_high_calcium_is_no_reason_to_add_vitamin_d(adviser: Adviser) -> None:
    asked = request("patient-view", due(), vitamin_d(20), calcium(2.75), albumin(40))
    found = {c.source.topic.code: c for c in adviser.advise(asked, NOW).cards if c.source.topic}
    assert list(found)[:2] == ["high-calcium-result", "low-vitamin-d"]
    assert "no vitamin D before the cause is known" in found["low-vitamin-d"].summary


def test_a_high_vitamin_d_replaces_advice_on_vitamin_d(adviser: Adviser) -> None:
    found = cards(adviser, vitamin_d(300), little_sun(), cramps())
    assert found["high-vitamin-d"] == "warning"
    assert not {"vitamin-d-risk-advice", "vitamin-d-test-with-indication"} & found.keys()


def test_a_high_vitamin_d_replaces_the_check_before_an_order_of_more(adviser: Adviser) -> None:
    order = draft("Cholecalciferol 4000 UNT Oral Capsule", times=1)
    assert "calcium-check-before-vitamin-d" in cards(adviser, hook="order-sign", drafts=(order,))
    found = cards(adviser, vitamin_d(300), hook="order-sign", drafts=(order,))
    assert found["high-vitamin-d"] == "warning"
    assert "calcium-check-before-vitamin-d" not in found


@pytest.mark.parametrize("hook", ["patient-view", "order-select", "order-sign"])
def test_a_toxic_vitamin_d_is_critical_on_every_hook(adviser: Adviser, hook: str) -> None:
    order = draft("Ferrous sulfate 325 MG Oral Tablet")
    assert next(iter(cards(adviser, vitamin_d(400), hook=hook, drafts=(order,)).items())) == (
        "high-vitamin-d",
        "critical",
    )


def test_a_measured_low_level_takes_the_place_of_advice_on_a_mere_risk(adviser: Adviser) -> None:
    assert "vitamin-d-risk-advice" in cards(adviser, little_sun())
    found = cards(adviser, little_sun(), vitamin_d(40))
    assert "low-vitamin-d" in found
    assert "vitamin-d-risk-advice" not in found


def test_a_sufficient_level_gives_no_card_on_the_level(adviser: Adviser) -> None:
    assert not {"low-vitamin-d", "high-vitamin-d"} & cards(adviser, vitamin_d(80)).keys()


@pytest.mark.parametrize("value", [2.40, 2.60])
def test_a_total_above_the_pregnancy_range_asks_for_ionised_calcium(adviser: Adviser, value: float) -> None:
    asked = request("patient-view", due("2027-03-20"), calcium(value))  # 23 weeks
    (card,) = [
        c
        for c in adviser.advise(asked, NOW).cards
        if c.source.topic and c.source.topic.code == "calcium-not-interpretable"
    ]
    assert card.indicator == "info"
    assert "above the pregnancy range" in card.summary
    assert card.suggestions[0].label == "Request ionised calcium"


def test_a_total_above_the_limit_of_its_laboratory_asks_for_ionised_calcium(adviser: Adviser) -> None:
    row = {**calcium(2.50), "referenceRange": [{"high": quantity(2.45, "mmol/L")}]}
    found = adviser.advise(request("patient-view", due("2027-06-10"), row), NOW).cards  # 11 weeks: no band in the table
    assert any("above the pregnancy range" in card.summary for card in found)


def test_an_ionised_calcium_that_its_laboratory_calls_low_in_pregnancy_is_not_explained_by_dilution(
    adviser: Adviser,
) -> None:
    """1.12 mmol/L is in the range of the table; the laboratory's own range for pregnancy begins at 1.15."""
    own = [{"low": quantity(1.15, "mmol/L"), "text": "pregnancy"}]
    ionised = observation(
        "ion", LOINC, "1995-0", "2026-11-17", valueQuantity=quantity(1.12, "mmol/L"), referenceRange=own
    )
    asked = request("patient-view", due(), calcium(1.95), ionised)
    found = {c.source.topic.code: c for c in adviser.advise(asked, NOW).cards if c.source.topic}
    assert "low-total-calcium-by-dilution" not in found
    assert "in range" not in found["low-adjusted-calcium"].summary
