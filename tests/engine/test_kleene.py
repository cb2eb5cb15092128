"""Three values: hand-written truth tables that both evaluators must meet."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds.engine import (
    All,
    Any,
    Constant,
    Definitely,
    Engine,
    Expression,
    IsKnown,
    Kind,
    Not,
    Op,
    Program,
    Reference,
    Statement,
    Test,
    Truth,
    Value,
    compile_program,
    describe,
    reference,
)

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
VARIABLES = {"p": Kind.BOOLEAN, "q": Kind.BOOLEAN, "calcium": Kind.NUMBER, "diet": Kind.TEXT}
P = Test("p", Op.EQ, True)
Q = Test("q", Op.EQ, True)


def both(expression: Expression, values: dict[str, Value], **others: Expression) -> Truth:
    """The truth of an expression according to the reference, after durable-rules has found the same."""
    program = Program(VARIABLES, {**others, "it": expression})
    with Engine(compile_program(program, both_sides=True), cross_check=False) as engine:
        found = engine.evaluate(values).truth_of("it")
    assert reference(program, values)["it"] is found
    return found


def facts(p: Truth, q: Truth) -> dict[str, Value]:
    return {name: truth is T for name, truth in (("p", p), ("q", q)) if truth is not U}


@pytest.mark.parametrize(
    ("p", "q", "conjunction", "disjunction"),
    [
        (T, T, T, T),
        (T, F, F, T),
        (T, U, U, T),
        (F, T, F, T),
        (F, F, F, F),
        (F, U, F, U),
        (U, T, U, T),
        (U, F, F, U),
        (U, U, U, U),
    ],
)
def test_and_and_or_follow_kleenes_strong_tables(p: Truth, q: Truth, conjunction: Truth, disjunction: Truth) -> None:
    assert both(All((P, Q)), facts(p, q)) is conjunction
    assert both(Any((P, Q)), facts(p, q)) is disjunction
    assert p.and_(q) is conjunction
    assert p.or_(q) is disjunction
    assert both(Any((Constant(p), Constant(q))), {}) is disjunction
    assert both(All((Constant(p), Constant(q))), {}) is conjunction


@pytest.mark.parametrize(("p", "opposite", "definite"), [(T, F, T), (F, T, F), (U, U, F)])
def test_not_keeps_unknown_and_definitely_drops_it(p: Truth, opposite: Truth, definite: Truth) -> None:
    assert both(Not(P), facts(p, U)) is opposite
    assert p.not_() is opposite
    assert both(Definitely(P), facts(p, U)) is definite
    assert both(Not(Definitely(P)), facts(p, U)) is definite.not_()
    assert both(Not(Definitely(Constant(p))), {}) is definite.not_()
    assert both(Not(Definitely(Definitely(Not(Not(P))))), facts(p, U)) is definite.not_()


@pytest.mark.parametrize("op", list(Op))
def test_unknown_never_satisfies_a_comparison(op: Op) -> None:
    assert both(Test("calcium", op, Decimal("2.1")), {}) is U


@pytest.mark.parametrize("op", list(Op))
def test_unknown_never_satisfies_a_negated_condition(op: Op) -> None:
    assert both(Not(Test("calcium", op, Decimal("2.1"))), {}) is U
    assert both(Not(Any((Test("calcium", op, Decimal("2.1")), P))), {"p": False}) is U
    assert both(Not(Statement("low")), {}, low=Test("calcium", op, Decimal("2.1"))) is U


@pytest.mark.parametrize("op", [Op.EQ, Op.NE])
def test_unknown_text_and_unknown_boolean_satisfy_neither_equal_nor_unequal(op: Op) -> None:
    assert both(Test("diet", op, "vegan"), {}) is U
    assert both(Not(Test("diet", op, "vegan")), {}) is U
    assert both(Test("p", op, True), {}) is U
    assert both(Test("p", op, False), {}) is U


@pytest.mark.parametrize(
    ("value", "true_of"),
    [
        ("2.099999", {Op.NE, Op.LT, Op.LE}),
        ("2.1", {Op.EQ, Op.LE, Op.GE}),
        ("2.100000", {Op.EQ, Op.LE, Op.GE}),
        ("2.100001", {Op.NE, Op.GT, Op.GE}),
        ("-0", {Op.NE, Op.LT, Op.LE}),
        ("1E+9", {Op.NE, Op.GT, Op.GE}),
    ],
)
def test_numbers_compare_exactly_at_and_next_to_the_limit(value: str, true_of: set[Op]) -> None:
    found = {op for op in Op if both(Test("calcium", op, Decimal("2.1")), {"calcium": Decimal(value)}) is T}
    assert found == true_of


@pytest.mark.parametrize("text", ["", "vegan ", "Vegan", "vegan" + 65536 * "x", 'vegan"', "v\u00e9gan"])
def test_a_text_equals_only_itself(text: str) -> None:
    assert both(Test("diet", Op.EQ, "vegan"), {"diet": text}) is F
    assert both(Test("diet", Op.NE, "vegan"), {"diet": text}) is T
    assert both(Test("diet", Op.EQ, text[:200]), {"diet": text[:200]}) is T


@pytest.mark.parametrize(("values", "known"), [({}, F), ({"diet": ""}, T), ({"diet": "x"}, T)])
def test_is_known_asks_for_a_value_and_is_never_unknown(values: dict[str, Value], known: Truth) -> None:
    assert both(IsKnown("diet"), values) is known
    assert both(Not(IsKnown("diet")), values) is known.not_()


def test_false_boolean_and_zero_are_known() -> None:
    assert both(IsKnown("p"), {"p": False}) is T
    assert both(IsKnown("calcium"), {"calcium": Decimal(0)}) is T


def test_a_false_statement_and_an_unknown_one_are_told_apart_by_the_next() -> None:
    low: Expression = Test("calcium", Op.LT, Decimal("2.1"))
    assert both(Not(Statement("low")), {"calcium": Decimal(3)}, low=low) is T
    assert both(Not(Statement("low")), {}, low=low) is U
    assert both(Not(Definitely(Statement("low"))), {}, low=low) is T


def test_excluded_middle_is_not_assumed_of_an_unknown() -> None:
    assert both(Any((P, Not(P))), {}) is U
    assert both(All((P, Not(P))), {}) is U
    assert both(All((P, Not(P))), {"p": True}) is F


def test_the_judge_tells_the_truth_of_each_part_and_follows_statements() -> None:
    low: Expression = Test("calcium", Op.LT, Decimal("2.1"))
    program = Program(VARIABLES, {"low": low, "it": All((Statement("low"), Not(P)))})
    judge = Reference(program).judge({"calcium": Decimal(2)})
    assert [judge(part) for part in (Statement("it"), Statement("low"), low, Not(P))] == [U, T, T, U]


def test_the_judge_of_statements_that_refer_twice_to_each_before_decides_each_once() -> None:
    statements: dict[str, Expression] = {"s0": P}
    for number in range(1, 60):
        statements[f"s{number}"] = All((Statement(f"s{number - 1}"), Statement(f"s{number - 1}")))
    assert Reference(Program(VARIABLES, statements)).judge({"p": True})(Statement("s59")) is T


def test_an_expression_reads_as_one_line_of_english() -> None:
    expression = All(
        (
            Any((Test("calcium", Op.LT, Decimal("2.10")), IsKnown("diet"))),
            Not(Definitely(Statement("low"))),
            P,
            Constant(T),
        )
    )
    assert describe(expression) == (
        "((calcium is below 2.10 or diet is known) and not definitely [low] and p is true and always true)"
    )
