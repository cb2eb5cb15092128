"""Frequencies in words, as people write them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.facts.dose import convert, frequency_in_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("daily", 1),
        ("once daily", 1),
        ("every day", 1),
        ("each morning", 1),
        ("at bedtime", 1),
        ("qd", 1),
        ("OD", 1),
        ("twice daily", 2),
        ("two times a day", 2),
        ("2x/day", 2),
        ("2 x daily", 2),
        ("BID", 2),
        ("b.i.d.", 2),
        ("bd", 2),
        ("every morning and evening", 2),
        ("twice daily (morning and night)", 2),
        ("with breakfast and dinner", 2),
        ("three times a day", 3),
        ("TDS", 3),
        ("every 8 hours", 3),
        ("q8h", 3),
        ("with breakfast, lunch and supper", 3),
        ("four times daily", 4),
        ("qid", 4),
        ("every 6 hours", 4),
        ("every other day", Fraction(1, 2)),
        ("on alternate days", Fraction(1, 2)),
        ("qod", Fraction(1, 2)),
        ("weekly", Fraction(1, 7)),
        ("once a week", Fraction(1, 7)),
        ("every week", Fraction(1, 7)),
        ("twice weekly", Fraction(2, 7)),
        ("3x per week", Fraction(3, 7)),
        ("every 7 days", Fraction(1, 7)),
        ("every two weeks", Fraction(1, 14)),
        ("once every 2 weeks", Fraction(1, 14)),
        ("once a month", Fraction(1, 30)),
        ("daily for 3 months", 1),
        ("twice a day for 1 week", 2),
        ("once daily for the first 2 weeks", 1),
        ("once weekly for 8 weeks", Fraction(1, 7)),
        ("one daily x 30 days", 1),
        ("Take 1 tablet by mouth 2 (two) times daily with meals.", 2),
        ("three (3) times a day", 3),
        ("1 tablet twice daily, max 4 tablets a day", 2),
        ("1 tablet daily. Do not exceed 2 tablets per week", 1),
        ("1 tablet qhs", 1),
        ("1 tab PO BID with meals", 2),
        ("take one tablet twice daily", 2),
        ("2 x 500 mg/day", 2),
        ("2x500 mg daily", 2),
        ("500 mg x2 daily", 2),
        ("x3/day", 3),
        ("five times a day", 5),
        ("6 times daily", 6),
        ("six times every day", 6),
        ("99 times a day", None),
        ("", None),
        ("as directed", None),
        ("once", None),
        ("biweekly", None),
        ("every 4-6 hours", None),
        ("daily or weekly", None),
        ("twice every two weeks", None),
        ("bid or tid", None),
        ("every 0 hours", None),
        ("with meals", None),
    ],
)
def test_a_frequency_in_words_is_read_or_left_unknown(text: str, expected: int | Fraction | None) -> None:
    found = frequency_in_words(text)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert abs(Fraction(found) - expected) < Fraction(1, 10**9)


@given(st.text(alphabet="0123456789 abcdehiklmnoqrtuvwxy./-", max_size=40))
def test_a_frequency_is_never_negative_nor_zero_nor_an_error(text: str) -> None:
    found = frequency_in_words(text)
    assert found is None or found > 0


@given(st.integers(1, 10_000))
def test_vitamin_d_is_the_same_in_micrograms_milligrams_and_units(micrograms: int) -> None:
    amount = Decimal(micrograms)
    units = amount * 40
    assert (
        convert(amount, "ug", "[iU]") == convert(amount / 1000, "mg", "[iU]") == convert(units, "[iU]", "[iU]") == units
    )


def test_units_of_vitamin_d_are_no_milligrams_of_calcium() -> None:
    assert convert(Decimal(400), "[iU]", "mg") is None
    assert convert(Decimal(1250), "mg", "[iU]") is None
    assert convert(Decimal(1), None, "mg") is None
    assert convert(None, "mg", "mg") is None
