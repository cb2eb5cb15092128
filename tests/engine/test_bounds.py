"""A number of which only the least and the most are known: a comparison is true or false only where that is proven."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from cds.engine import Engine, Kind, Op, Program, Truth, compile_program
from cds.engine.lower import bounded
from cds.engine.reference import reference

LIMIT = 3
OPERATORS = {Op.LT: int.__lt__, Op.LE: int.__le__, Op.GT: int.__gt__, Op.GE: int.__ge__}
INTERVALS = [(low, high) for low, high in product(range(7), repeat=2) if low <= high]


@pytest.mark.parametrize("op", OPERATORS)
def test_a_comparison_with_a_bound_is_decided_exactly_where_every_value_within_agrees(op: Op) -> None:
    statements = {"holds": bounded("x", op, Decimal(LIMIT))}
    program = Program({"x_low": Kind.NUMBER, "x_high": Kind.NUMBER}, statements)
    engine = Engine(compile_program(program), cross_check=True)
    try:
        for low, high in INTERVALS:
            answers = {OPERATORS[op](value, LIMIT) for value in range(low, high + 1)}
            expected = answers == {True}
            outcome = engine.evaluate({"x_low": Decimal(low), "x_high": Decimal(high)})
            assert outcome.is_true("holds") is expected, (low, high)
        assert not engine.evaluate({}).is_true("holds")
    finally:
        engine.close()


@pytest.mark.parametrize("op", OPERATORS)
def test_a_bound_that_proves_the_opposite_makes_the_comparison_false_and_one_that_proves_nothing_unknown(
    op: Op,
) -> None:

    program = Program({"x_low": Kind.NUMBER, "x_high": Kind.NUMBER}, {"holds": bounded("x", op, Decimal(LIMIT))})
    for low, high in INTERVALS:
        answers = {OPERATORS[op](value, LIMIT) for value in range(low, high + 1)}
        expected = Truth.UNKNOWN if len(answers) == 2 else Truth.TRUE if True in answers else Truth.FALSE
        assert reference(program, {"x_low": Decimal(low), "x_high": Decimal(high)})["holds"] is expected, (low, high)
    assert reference(program, {})["holds"] is Truth.UNKNOWN
