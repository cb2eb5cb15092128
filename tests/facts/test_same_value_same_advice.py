"""One blood sample, written in every way a laboratory may write it: the same cards, in the same order.

What the cards show may differ (each names the number as it came); which cards stand, how urgent they are and what they
propose may not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.advise import Adviser
from cds.hooks import Card
from tests.patients import LOINC, NOW, SNOMED, UCUM, due, little_sun, observation, request

Resource = dict[str, Any]
Signature = list[tuple[str, str, tuple[str, ...]]]

# name -> LOINC code, then each unit with the factor from the canonical one and the digits a laboratory prints.
CALCIUM = {"mmol/L": ("1", 2), "mg/dL": ("0.2495", 2), "meq/L": ("0.5", 2)}
VITAMIN_D = {"nmol/L": ("1", 0), "ng/mL": ("2.496", 1), "ug/L": ("2.496", 1)}
ANALYTES: dict[str, tuple[str, dict[str, tuple[str, int]], tuple[str, ...]]] = {
    "total": ("2000-8", CALCIUM, ("1.65", "1.70", "1.95", "2.10", "2.24", "2.26", "2.60", "2.66", "2.98", "3.00")),
    "ionised": ("1995-0", CALCIUM, ("0.85", "0.90", "1.05", "1.09", "1.10", "1.20", "1.33", "1.34", "1.60")),
    "corrected, molar": ("29265-6", CALCIUM, ("1.85", "1.90", "2.09", "2.10", "2.30", "2.60", "2.61", "2.99")),
    "corrected, mass": ("46099-8", CALCIUM, ("1.85", "1.90", "2.09", "2.10", "2.30", "2.60", "2.61", "2.99")),
    "magnesium": (
        "2601-3",
        {"mmol/L": ("1", 2), "mg/dL": ("0.4114", 2), "meq/L": ("0.5", 2)},
        ("0.50", "0.64", "0.65", "0.80"),
    ),
    "vitamin D": ("62292-8", VITAMIN_D, ("20", "29", "30", "49", "50", "80", "125", "126", "250", "251", "375", "400")),
}
SPELLED = {
    "mmol/L": ("mmol/l", "MMOL/L"),
    "mg/dL": ("mg/dl", "mg/100 mL", "mg%"),
    "meq/L": ("mEq/L", "mEq/l"),
    "nmol/L": ("nmol/l",),
    "ng/mL": ("ng/ml",),
    "ug/L": ("µg/L", "\N{GREEK SMALL LETTER MU}g/l", "mcg/L"),
    "g/L": ("g/l",),
    "g/dL": ("g/dl", "G/DL"),
    "umol/L": ("µmol/L", "\N{GREEK SMALL LETTER MU}mol/l"),
}
CELLS = [(name, value) for name, (_, _, values) in ANALYTES.items() for value in values]


def result(code: str, number: Decimal | str, unit: Resource, id: str = "lab", **more: Any) -> Resource:
    value = {"value": float(number), **unit}
    return observation(id, LOINC, code, more.pop("day", "2026-11-17"), valueQuantity=value, **more)


def ucum(unit: str) -> Resource:
    return {"unit": unit, "system": UCUM, "code": unit}


def signature(adviser: Adviser, *rows: Resource) -> Signature:
    return [_form(card) for card in adviser.advise(request("patient-view", due(), little_sun(), *rows), NOW).cards]


def _form(card: Card) -> tuple[str, str, tuple[str, ...]]:
    assert card.source.topic is not None
    return card.source.topic.code, card.indicator, tuple(s.label for s in card.suggestions)


def topics(signed: Signature) -> dict[str, str]:
    return {code: indicator for code, indicator, _ in signed}


def in_unit(value: str, factor: str, places: int) -> Decimal:
    return (Decimal(value) / Decimal(factor)).quantize(Decimal(1).scaleb(-places))


@pytest.mark.parametrize(("name", "value"), CELLS)
def test_the_same_value_in_another_unit_gives_the_same_advice(adviser: Adviser, name: str, value: str) -> None:
    code, units, _ = ANALYTES[name]
    forms = [
        signature(adviser, result(code, in_unit(value, factor, places), ucum(unit)))
        for unit, (factor, places) in units.items()
    ]
    assert all(form == forms[0] for form in forms), forms


@pytest.mark.parametrize("name", ANALYTES)
def test_the_values_of_these_tests_lie_on_different_sides_of_limits(adviser: Adviser, name: str) -> None:
    """Otherwise the tests above would compare silence with silence."""
    code, units, values = ANALYTES[name]
    forms = {str(signature(adviser, result(code, value, ucum(next(iter(units)))))) for value in values}
    assert len(forms) >= (2 if name == "magnesium" else 4)


@pytest.mark.parametrize(("name", "value"), [("total", "2.66"), ("ionised", "1.05"), ("vitamin D", "29")])
def test_the_spelling_of_a_unit_changes_nothing(adviser: Adviser, name: str, value: str) -> None:
    code, units, _ = ANALYTES[name]
    expected = signature(adviser, result(code, value, ucum(next(iter(units)))))
    for unit, (factor, places) in units.items():
        for spelled in SPELLED[unit]:
            assert signature(adviser, result(code, in_unit(value, factor, places), {"unit": spelled})) == expected, (
                spelled
            )


@pytest.mark.parametrize(
    "grams", [{"unit": "g/L", "value": 28}, {"unit": "g/dL", "value": 2.8}, {"unit": "g/dl", "value": 2.8}]
)
def test_albumin_in_either_unit_adjusts_alike(adviser: Adviser, grams: Resource) -> None:
    albumin = observation("alb", LOINC, "1751-7", "2026-11-17", valueQuantity=grams)
    found = topics(signature(adviser, result("2000-8", "2.00", ucum("mmol/L")), albumin))
    assert "low-total-calcium-by-dilution" in found
    assert "low-adjusted-calcium" not in found


@pytest.mark.parametrize(
    ("name", "value"), [("total", "2.66"), ("ionised", "1.05"), ("magnesium", "0.50"), ("vitamin D", "29")]
)
def test_a_component_of_a_panel_is_a_result(adviser: Adviser, name: str, value: str) -> None:
    code, units, _ = ANALYTES[name]
    part = result(code, value, ucum(next(iter(units))))
    panel = observation(
        "panel",
        LOINC,
        "24323-8",
        "2026-11-17",
        component=[{"code": part["code"], "valueQuantity": part["valueQuantity"]}],
    )
    assert signature(adviser, panel) == signature(adviser, part)


@pytest.mark.parametrize(
    ("change", "effect"),
    [
        ({"status": "preliminary", "day": "2026-11-21"}, "pending"),
        ({"status": "registered", "day": "2026-11-21"}, "pending"),
        ({"status": "entered-in-error", "day": "2026-11-21"}, "taken back"),
        ({"status": "cancelled", "day": "2026-11-21"}, "taken back"),
        ({"day": "2026-11-29"}, "in the future"),
    ],
)
@pytest.mark.parametrize(
    ("name", "value", "other"), [("total", "2.66", "2.20"), ("ionised", "1.05", "1.20"), ("vitamin D", "29", "80")]
)
def test_a_result_that_does_not_count_yet_or_any_more_changes_nothing(
    adviser: Adviser, name: str, value: str, other: str, change: Resource, effect: str
) -> None:
    code, units, _ = ANALYTES[name]
    unit = ucum(next(iter(units)))
    one = result(code, value, unit)
    assert signature(adviser, one, result(code, other, unit, "other", **change)) == signature(adviser, one), effect


@pytest.mark.parametrize("status", ["amended", "corrected"])
@pytest.mark.parametrize(
    ("name", "value", "other"), [("total", "2.20", "2.66"), ("ionised", "1.20", "1.05"), ("vitamin D", "80", "29")]
)
def test_a_corrected_result_stands_for_the_one_that_it_supersedes(
    adviser: Adviser, name: str, value: str, other: str, status: str
) -> None:
    code, units, _ = ANALYTES[name]
    unit = ucum(next(iter(units)))
    first = result(code, value, unit, meta={"lastUpdated": "2026-11-17T09:00:00Z"})
    second = result(code, other, unit, status=status, meta={"lastUpdated": "2026-11-18T09:00:00Z"})
    assert (
        signature(adviser, first, second) == signature(adviser, second) == signature(adviser, result(code, other, unit))
    )


@pytest.mark.parametrize("sign", [None, "<", "<=", ">", ">="])
@pytest.mark.parametrize(
    ("code", "value", "unit"),
    [
        ("1995-0", "1.012345678", "mmol/L"),
        ("2601-3", "0.4123456789", "mmol/L"),
        ("62292-8", "400.12345678", "nmol/L"),
        ("14635-7", "12.3456789012", "nmol/L"),
        ("2000-8", "3.4567890123", "mmol/L"),
        ("39156-5", "31.23456789", "kg/m2"),
    ],
)
def test_a_number_with_many_decimals_fails_no_request(
    adviser: Adviser, code: str, value: str, unit: str, sign: str | None
) -> None:
    """Simulated records carry them: BMI 31.23456789."""
    row = result(code, value, ucum(unit), day="2025-11-17" if code == "39156-5" else "2026-11-17")
    if sign:
        row["valueQuantity"]["comparator"] = sign
    rounded = {**row, "valueQuantity": {**row["valueQuantity"], "value": round(float(value), 4)}}
    assert signature(adviser, row) == signature(adviser, rounded)


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sign", "value"),
    [
        ("ionised", "<", "1.00"),
        ("total", "<", "1.60"),
        ("total", ">", "3.50"),
        ("vitamin D", "<", "10"),
        ("vitamin D", ">", "400"),
    ],
)
def test_a_bound_in_another_unit_gives_the_same_advice(adviser: Adviser, name: str, sign: str, value: str) -> None:
    code, units, _ = ANALYTES[name]
    forms = []
    for unit, (factor, places) in units.items():
        row = result(code, in_unit(value, factor, places), ucum(unit))
        row["valueQuantity"]["comparator"] = sign
        forms.append(signature(adviser, row))
    assert all(form == forms[0] for form in forms), forms


@pytest.mark.parametrize(
    ("code", "sign", "value", "unit", "rule", "indicator"),
    [
        ("1995-0", "<", "1.0", "mmol/L", "low-adjusted-calcium", "warning"),
        ("1995-0", "<", "0.90", "mmol/L", "suspected-acute-hypocalcaemia", "critical"),
        ("1995-0", "<=", "1.09", "mmol/L", "low-adjusted-calcium", "warning"),
        ("29265-6", "<", "1.90", "mmol/L", "suspected-acute-hypocalcaemia", "critical"),
        ("2000-8", "<", "1.50", "mmol/L", "suspected-acute-hypocalcaemia", "critical"),
        ("2000-8", ">", "3.5", "mmol/L", "severe-hypercalcaemia", "critical"),
        ("2000-8", ">", "14", "mg/dL", "severe-hypercalcaemia", "critical"),
        ("2000-8", ">=", "3.00", "mmol/L", "severe-hypercalcaemia", "critical"),
        ("1995-0", ">", "1.6", "mmol/L", "high-calcium-result", "warning"),
        ("2601-3", "<", "0.5", "mmol/L", "low-magnesium", "warning"),
        ("62292-8", ">", "150", "ng/mL", "high-vitamin-d", "critical"),
        ("62292-8", ">", "100", "ng/mL", "high-vitamin-d", "warning"),
        ("62292-8", "<", "4", "ng/mL", "low-vitamin-d", "warning"),
        ("62292-8", "<", "20", "ng/mL", "low-vitamin-d", "info"),
        ("1989-3", "<", "4", "ng/mL", "low-vitamin-d", "info"),
        ("1989-3", ">", "150", "ng/mL", "high-vitamin-d", "critical"),
    ],
)
def test_a_bound_that_proves_a_danger_counts(
    adviser: Adviser, code: str, sign: str, value: str, unit: str, rule: str, indicator: str
) -> None:
    row = result(code, value, ucum(unit))
    row["valueQuantity"]["comparator"] = sign
    assert topics(signature(adviser, row)).get(rule) == indicator


@pytest.mark.parametrize(
    ("code", "sign", "value", "unit"),
    [
        ("2000-8", "<", "2.0", "mmol/L"),
        ("1995-0", "<", "1.5", "mmol/L"),
        ("1995-0", ">", "1.0", "mmol/L"),
        ("2000-8", ">", "2.2", "mmol/L"),
    ],
)
def test_a_bound_that_proves_nothing_is_no_normal_result_and_the_card_says_so(
    adviser: Adviser, code: str, sign: str, value: str, unit: str
) -> None:
    row = result(code, value, ucum(unit))
    row["valueQuantity"]["comparator"] = sign
    cards = adviser.advise(request("patient-view", due(), row), NOW).cards
    assert [c.source.topic.code for c in cards if c.source.topic][:1] == ["calcium-value-unusable"]
    assert not [card for card in cards[1:] if "calcium result" in card.summary.lower()]
    assert "is only a bound" in (cards[0].detail or "")


def test_a_bound_that_proves_nothing_lets_no_older_normal_result_speak(adviser: Adviser) -> None:
    row = result("62292-8", "20", ucum("ng/mL"), day="2026-11-18")
    row["valueQuantity"]["comparator"] = ">"
    advice = adviser.advise(request("patient-view", due(), row, result("62292-8", "29", ucum("nmol/L"), "old")), NOW)
    assert "low-vitamin-d" not in {c.source.topic.code for c in advice.cards if c.source.topic}
    assert any("is only a bound" in remark for remark in advice.remarks)


# -- which calcium it is ----------------------------------------------------------------------------------------------


def test_corrected_calcium_is_not_adjusted_again_and_total_calcium_is(adviser: Adviser) -> None:
    albumin = result("1751-7", "20", ucum("g/L"), "alb")
    corrected = topics(signature(adviser, result("29265-6", "2.30", ucum("mmol/L")), albumin))
    total = topics(signature(adviser, result("2000-8", "2.30", ucum("mmol/L")), albumin))
    assert "high-calcium-result" not in corrected
    assert "high-calcium-result" in total  # 2.30 and 20 g/L below the reference are 2.70


def test_the_same_number_is_normal_as_total_and_high_as_ionised(adviser: Adviser) -> None:
    assert "high-calcium-result" not in topics(signature(adviser, result("2000-8", "2.20", ucum("mmol/L"))))
    assert "high-calcium-result" in topics(signature(adviser, result("1995-0", "2.20", ucum("mmol/L"))))


@pytest.mark.parametrize(
    ("code", "value", "unit"),
    [
        ("2000-8", "9.2", {"unit": "mmol/L"}),
        ("2000-8", "2.3", {"unit": "mg/dL"}),
        ("2000-8", "2.3", {}),
        ("2000-8", "2.3", {"unit": "mmol"}),
        ("1995-0", "4.6", {"unit": "mmol/L"}),
        ("29265-6", "9.2", {"unit": "mmol/L"}),
    ],
)
def test_a_calcium_that_does_not_fit_its_unit_is_named_and_not_converted(
    adviser: Adviser, code: str, value: str, unit: Resource
) -> None:
    assert topics(signature(adviser, result(code, value, unit))).get("calcium-value-unusable") == "info"


@pytest.mark.parametrize(("code", "unit"), [("62292-8", "mmol/L"), ("2601-3", "g/L"), ("62292-8", "bananas")])
def test_another_result_in_a_unit_that_does_not_fit_is_named_in_the_answer(
    adviser: Adviser, code: str, unit: str
) -> None:
    advice = adviser.advise(request("patient-view", due(), result(code, "0.4", {"unit": unit})), NOW)
    assert any("unit" in remark for remark in advice.remarks)
    assert not {"low-vitamin-d", "low-magnesium"} & {c.source.topic.code for c in advice.cards if c.source.topic}


# -- the laboratory's own ranges --------------------------------------------------------------------------------------

PREGNANT = [{"coding": [{"system": SNOMED, "code": "77386006"}]}]


@pytest.mark.parametrize(
    ("code", "value", "limits", "rule", "fires"),
    [
        ("1995-0", "1.09", {"low": 1.05, "high": 1.25}, "low-adjusted-calcium", False),
        ("1995-0", "1.12", {"low": 1.15, "high": 1.25}, "low-adjusted-calcium", True),
        ("1995-0", "1.09", {"high": 1.25}, "low-adjusted-calcium", False),
        ("2000-8", "2.00", {"low": 1.95, "high": 2.30}, "calcium-not-interpretable", False),
        ("2000-8", "2.00", {"low": 2.05, "high": 2.30}, "calcium-not-interpretable", True),
        ("2601-3", "0.63", {"low": 0.60, "high": 0.90}, "low-magnesium", False),
        ("2601-3", "0.68", {"low": 0.70, "high": 0.90}, "low-magnesium", True),
    ],
)
def test_a_range_for_pregnancy_comes_before_the_table(
    adviser: Adviser, code: str, value: str, limits: dict[str, float], rule: str, fires: bool
) -> None:
    own = {side: {"value": number, **ucum("mmol/L")} for side, number in limits.items()}
    row = result(code, value, ucum("mmol/L"), referenceRange=[{**own, "appliesTo": PREGNANT}])
    assert (rule in topics(signature(adviser, row))) is fires


def test_a_range_in_another_unit_than_the_result_decides_alike(adviser: Adviser) -> None:
    limits = [{"low": {"value": 1.7, **ucum("mg/dL")}}]  # 0.70 mmol/L
    row = result("2601-3", "0.68", ucum("mmol/L"), referenceRange=limits)
    assert "low-magnesium" in topics(signature(adviser, row))


@pytest.mark.parametrize("meaning", ["treatment", "therapeutic", "luteal"])
def test_a_range_of_another_meaning_is_no_reference(adviser: Adviser, meaning: str) -> None:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/referencerange-meaning", "code": meaning}]}
    limits = [{"low": {"value": 0.90, **ucum("mmol/L")}, "type": kind}]
    row = result("2601-3", "0.80", ucum("mmol/L"), referenceRange=limits)
    assert "low-magnesium" not in topics(signature(adviser, row))


def test_ranges_of_several_trimesters_that_disagree_leave_the_table_to_speak(adviser: Adviser) -> None:
    limits = [
        {"low": {"value": low, **ucum("mmol/L")}, "text": f"pregnancy, trimester {n}"}
        for n, low in ((1, 0.70), (3, 0.60))
    ]
    high = result("2601-3", "0.68", ucum("mmol/L"), referenceRange=limits)
    low = result("2601-3", "0.63", ucum("mmol/L"), referenceRange=limits)
    lowest = result("2601-3", "0.50", ucum("mmol/L"), referenceRange=limits)
    fired = ["low-magnesium" in topics(signature(adviser, row)) for row in (high, low, lowest)]
    assert fired == [False, True, True]
