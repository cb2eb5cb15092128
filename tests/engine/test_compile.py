"""What the compiler refuses, what it lifts, and what it writes for durable-rules."""

from __future__ import annotations

import dataclasses
import json
import re
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any as Untyped

import pytest

from cds.engine import (
    All,
    Any,
    Compiled,
    CompileError,
    Constant,
    Definitely,
    Engine,
    Expression,
    IsKnown,
    Kind,
    Not,
    Op,
    Program,
    Statement,
    Test,
    Truth,
    Value,
    compile_program,
    reference,
)
from cds.engine.compile import MAX_GROUP_BRANCHES, refuse_hash_collisions
from tests.engine.programs import random_facts, random_program

FLAG = Test("flag", Op.EQ, True)
VARIABLES = {"flag": Kind.BOOLEAN, "number": Kind.NUMBER, "text": Kind.TEXT}


def program(expression: Expression, **others: Expression) -> Program:
    return Program(VARIABLES, {"it": expression, **others})


def numbers(count: int) -> dict[str, Kind]:
    return {f"n{i}": Kind.NUMBER for i in range(count)}


def above(variable: str, constant: int = 0) -> Test:
    return Test(variable, Op.GT, Decimal(constant))


def wrong(**fields: Untyped) -> Untyped:
    """A test that no type checker would let through, as it may come from a file."""
    return dataclasses.replace(Test("number", Op.EQ, Decimal(1)), **fields)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (All(()), "statement 'it': all has no parts; give at least one part"),
        (Any(()), "statement 'it': any has no parts"),
        (Not(All((FLAG, Any(())))), "statement 'it': not: all[1]: any has no parts"),
        (wrong(variable="nmber"), "no variable 'nmber'; did you mean 'number'?"),
        (IsKnown("ghost"), "no variable 'ghost'; declare it first"),
        (Statement("itt"), "no statement 'itt'; did you mean 'it'?"),
        (wrong(constant=1.5), "'number' is a number and is compared with a float; use a Decimal constant"),
        (wrong(constant=1), "compared with a int"),
        (wrong(constant=True), "compared with a bool"),
        (wrong(constant="1"), "compared with a str"),
        (wrong(variable="flag"), "'flag' is a boolean and is compared with a Decimal"),
        (wrong(variable="text"), "'text' is a text and is compared with a Decimal"),
        (wrong(op="=="), "unknown operator; use one of == != < <= > >="),
        (wrong(op="matches"), "unknown operator"),
        (Test("text", Op.LT, "a"), "text 'text' has no order; use == or !="),
        (Test("flag", Op.GE, True), "boolean 'flag' has no order"),
        (Test("text", Op.EQ, "x" * 201), "text constant longer than 200"),
        (
            Test("number", Op.EQ, Decimal("0.0000001")),
            "constant has more than 6 decimals; round the threshold",
        ),
        (Test("number", Op.EQ, Decimal("1000000000.1")), "constant is beyond 10^9"),
        (Test("number", Op.EQ, Decimal("NaN")), "constant is not a finite number"),
        (Test("number", Op.EQ, Decimal("-Infinity")), "constant is not a finite number"),
        (Test("number", Op.EQ, Decimal("1E-999999")), "more than 6 decimals"),
        (Statement("it"), "refer to themselves in a circle: it -> it; break the circle"),
    ],
)
def test_a_program_that_would_go_wrong_is_refused_with_place_problem_and_way_out(
    expression: Expression, message: str
) -> None:
    with pytest.raises(CompileError, match=re.escape(message)) as caught:
        compile_program(program(expression))
    assert str(caught.value) == f"{caught.value.place}: {caught.value.problem}; {caught.value.remedy}"


def test_what_is_no_expression_is_refused() -> None:
    stranger: Untyped = "flag"
    with pytest.raises(CompileError, match=re.escape("all[1]: not an expression")):
        compile_program(program(All((FLAG, stranger))))


def test_a_variable_without_a_kind_is_refused() -> None:
    stranger: Untyped = {"flag": "yes or no"}
    with pytest.raises(CompileError, match="variable 'flag': has no kind"):
        compile_program(Program(stranger, {"it": FLAG}))


def test_a_circle_is_refused_and_named_in_order_of_reference() -> None:
    circle: dict[str, Expression] = {
        "it": All((FLAG, Not(Statement("b")))),
        "b": Definitely(Statement("c")),
        "c": Any((FLAG, Statement("it"))),
        "innocent": Statement("it"),
    }
    with pytest.raises(CompileError) as caught:
        compile_program(Program(VARIABLES, circle))
    names = caught.value.problem.removeprefix("refer to themselves in a circle: ").split(" -> ")
    assert names[0] == names[-1]
    assert set(names) == {"it", "b", "c"}
    follows = {"it": "b", "b": "c", "c": "it"}
    assert all(follows[one] == other for one, other in pairwise(names))


def test_nesting_too_deep_for_a_servers_stack_is_refused() -> None:
    deep: Expression = FLAG
    for _ in range(5000):
        deep = Not(deep)
    with pytest.raises(CompileError, match="nested deeper than 200; name a part"):
        compile_program(program(deep))
    chain: dict[str, Expression] = {"s0": FLAG}
    for number in range(1, 5000):
        chain[f"s{number}"] = Statement(f"s{number - 1}")
    with pytest.raises(CompileError, match="nested deeper than 200 through the statements"):
        compile_program(Program(VARIABLES, chain))


def test_a_chain_of_more_strata_than_an_evaluation_should_cost_is_refused() -> None:
    chain: dict[str, Expression] = {"s0": FLAG}
    for number in range(1, 64):
        chain[f"s{number}"] = Statement(f"s{number - 1}")
    assert len(compile_program(Program(VARIABLES, chain)).strata) == 64
    chain["s64"] = Statement("s63")
    with pytest.raises(CompileError, match="a chain of more than 64 statements"):
        compile_program(Program(VARIABLES, chain))


def test_more_branches_than_a_ruleset_holds_are_refused() -> None:
    statements = {f"s{i}": Any(tuple(above("number", i * 50 + j) for j in range(50))) for i in range(80)}
    assert len(compile_program(Program(VARIABLES, statements)).strata[0].branches) == 4000
    statements["one too many"] = Any((FLAG,))
    with pytest.raises(CompileError, match="4001 branches, more than 4000; split the rules"):
        compile_program(Program(VARIABLES, statements))


def test_a_branch_of_more_tests_than_a_fact_holds_is_refused_and_one_less_is_not() -> None:
    variables = numbers(241)
    whole = All(tuple(map(above, variables)))
    with pytest.raises(CompileError, match="statement 'it': one branch tests 241 things, more than 240"):
        compile_program(Program(variables, {"it": whole}))
    most = Program(variables, {"it": All(whole.parts[:240])})
    values: dict[str, Value] = dict.fromkeys(variables, Decimal(1))
    with Engine(compile_program(most)) as engine:
        assert engine.evaluate(values).is_true("it")
        assert not engine.evaluate({**values, "n239": Decimal(0)}).is_true("it")


def test_more_groups_than_the_librarys_root_node_holds_are_refused() -> None:
    variables = numbers(400)
    halves = [All(tuple(map(above, list(variables)[start : start + 200]))) for start in (0, 200)]

    def alternating(count: int) -> Program:
        return Program(variables, {f"s{i}": halves[i % 2] for i in range(count)})

    assert len(compile_program(alternating(400)).strata[0].groups) == 400
    with pytest.raises(CompileError, match="stratum 0: 401 groups, more than 400; split the rules"):
        compile_program(alternating(401))


def test_property_names_with_one_hash_are_refused() -> None:
    with pytest.raises(CompileError, match="'liquid' and 'costarring' have the same hash"):
        refuse_hash_collisions(["costarring", "x", "liquid"])


def test_a_property_name_that_is_a_word_of_the_library_is_not_taken_for_a_repeat() -> None:
    refuse_hash_collisions(["v0", "k0", "s0", "d0"])
    refuse_hash_collisions(f"{letter}{number}" for letter in "vksd" for number in range(5000))


def exclusions(count: int) -> Program:
    """A rule with many exclusions, each of three kinds: as conditions they would be 3^count branches."""
    variables = {f"{kind}{i}": Kind.BOOLEAN for i in range(count) for kind in "abc"}
    parts = tuple(Not(All(tuple(Test(f"{kind}{i}", Op.EQ, True) for kind in "abc"))) for i in range(count))
    return Program(variables, {"it": All(parts)})


def agree(compiled: Compiled, random: Random, evaluations: int) -> set[Truth]:
    """Evaluate at random, with both sides compared; the truths that occurred."""
    seen = set()
    with Engine(compiled, cross_check=False) as engine:
        for _ in range(evaluations):
            values = random_facts(random, compiled.program)
            expected = reference(compiled.program, values)
            outcome = engine.evaluate(values)
            assert {name: outcome.is_true(name) for name in expected} == {
                name: truth is Truth.TRUE for name, truth in expected.items()
            }
            for name in compiled.false_sides & expected.keys():
                assert outcome.truth_of(name) is expected[name]
            seen |= set(expected.values())
    return seen


@pytest.mark.parametrize("count", [3, 4, 12, 40])
def test_a_rule_with_many_exclusions_does_not_explode(count: int) -> None:
    compiled = compile_program(exclusions(count), both_sides=True)
    assert len(compiled.branches("it")) <= 64
    assert bool(compiled.auxiliary) is (3**count > 64)
    assert sum(len(stratum.branches) for stratum in compiled.strata) <= 64 + 5 * count
    agree(compiled, Random(count), 200)
    everything_false: dict[str, Value] = dict.fromkeys(compiled.program.variables, False)
    with Engine(compiled) as engine:
        assert engine.evaluate(everything_false).is_true("it")
        assert not engine.evaluate({**everything_false, "a1": True, "b1": True, "c1": True}).is_true("it")
        some_unknown = {name: value for name, value in everything_false.items() if name not in ("a0", "b0", "c0")}
        assert engine.evaluate(some_unknown).truth_of("it") is Truth.UNKNOWN


@pytest.mark.parametrize("count", [64, 65, 129, 3000])
def test_a_choice_of_more_than_64_is_lifted_in_chunks(count: int) -> None:
    whole = Program(VARIABLES, {"it": Any(tuple(Test("number", Op.EQ, Decimal(i)) for i in range(count)))})
    compiled = compile_program(whole)
    assert bool(compiled.auxiliary) is (count > 64)
    assert len(compiled.branches("it")) <= 64
    with Engine(compiled) as engine:
        for number in (0, 63, 64, count - 1):
            assert engine.evaluate({"number": Decimal(number)}).is_true("it") is (number < count)
        assert not engine.evaluate({"number": Decimal(count)}).is_true("it")
        assert engine.evaluate({}).truth_of("it") is Truth.UNKNOWN


def test_lifted_parts_are_shared_by_the_statements_that_repeat_them() -> None:
    one = exclusions(12)
    twice = Program(one.variables, {"it": one.statements["it"], "again": one.statements["it"]})
    assert len(compile_program(twice).auxiliary) == len(compile_program(one).auxiliary)


def test_a_made_up_name_never_hides_a_statement_of_that_name() -> None:
    whole = Program(VARIABLES, {"it": Not(Definitely(All((FLAG, IsKnown("text"))))), "it#1": FLAG})
    compiled = compile_program(whole)
    assert list(compiled.auxiliary) == ["it#2"]
    assert Truth.TRUE in agree(compiled, Random(1), 50)


def test_a_thousand_statements_compile_and_agree() -> None:
    random = Random(3)
    variables = numbers(80)
    statements: dict[str, Expression] = {}
    for number in range(1000):
        parts: tuple[Expression, ...] = tuple(
            above(random.choice(tuple(variables)), random.randint(-2, 2)) for _ in range(3)
        )
        if number % 10 == 9:
            parts = (*parts, Not(Definitely(Statement(f"s{number - 9}"))), Not(Statement(f"s{number - 8}")))
        statements[f"s{number}"] = All(parts) if number % 3 else Any(parts)
    compiled = compile_program(Program(variables, statements))
    assert len(compiled.strata[0].groups) > 16
    seen = set()
    with Engine(compiled) as engine:
        for _ in range(20):
            values: dict[str, Value] = {
                name: Decimal(random.randint(-3, 3)) for name in variables if random.random() < 0.9
            }
            seen |= set(engine.evaluate(values).truth.values())
    assert seen == set(Truth)


def test_every_branch_of_full_groups_can_hold_at_once() -> None:
    statements = {f"s{i}": above("number", -i) for i in range(600)}
    compiled = compile_program(Program(VARIABLES, statements))
    assert [len(group.branches) for group in compiled.strata[0].groups] == [MAX_GROUP_BRANCHES] * 10
    with Engine(compiled, cross_check=False) as engine:
        for _ in range(3):
            assert engine.evaluate({"number": Decimal(1)}).hits.keys() == statements.keys()
            assert len(engine.evaluate({"number": Decimal(-300)}).hits) == 299


def test_sixty_identical_branches_in_a_group_and_many_groups_of_them_are_safe() -> None:
    statements: dict[str, Expression] = {f"s{i}": FLAG for i in range(700)}
    with Engine(compile_program(Program(VARIABLES, statements)), cross_check=False) as engine:
        assert engine.evaluate({"flag": True}).hits.keys() == statements.keys()
        assert not engine.evaluate({"flag": False}).hits


def test_only_the_safe_pattern_is_ever_written() -> None:
    random = Random(11)
    operators: set[str] = set()
    for _ in range(40):
        compiled = compile_program(random_program(random, 25), both_sides=True)
        for stratum in compiled.strata:
            rules = json.loads(stratum.definition)
            assert list(rules) == ["ping", *(f"r{i}" for i in range(len(stratum.branches)))]
            assert stratum.definition.isascii()
            groups = [group.number for group in stratum.groups for _ in group.branches]
            for group, rule in zip([0, *groups], rules.values(), strict=True):
                assert list(rule) == ["all"]
                (pattern,) = rule["all"]
                assert list(pattern) == ["m"]
                assert list(pattern["m"]) == ["$and"]
                first, *tests = pattern["m"]["$and"]
                assert first == {"g": group}
                for test in tests:
                    ((operator, operand),) = test.items()
                    if operator.startswith("$"):
                        operators.add(operator)
                        ((operator, operand),) = operand.items()
                    assert re.fullmatch("ping|[vksd][0-9]+", operator)
                    assert type(operand) is int
                    assert abs(operand) <= 10**15
            for part in stratum.groups:
                assert len(part.branches) <= 60
                assert len(part.properties) <= 240
    assert operators == {"$neq", "$lt", "$lte", "$gt", "$gte"}


def test_tests_keep_their_order_and_repeats_and_contradictions_are_dropped() -> None:
    low, high = Test("number", Op.LT, Decimal("2.1")), Test("number", Op.GE, Decimal("2.1"))
    compiled = compile_program(
        program(All((Any((FLAG, low)), Any((Not(FLAG), IsKnown("text"))), FLAG, high)), other=All((FLAG, FLAG)))
    )
    assert [branch.words for branch in compiled.branches("it")] == [
        "flag is true and text is known and number is at least 2.1",
        "number is below 2.1 and text is known and flag is true and number is at least 2.1",
    ]
    assert [branch.words for branch in compiled.branches("other")] == ["flag is true"]


def test_hits_come_in_the_order_in_which_the_branches_were_written() -> None:
    statements: dict[str, Expression] = {
        name: Any(tuple(above("number", limit) for limit in (5, 9, 1, 7, 3))) for name in ("b", "a")
    }
    with Engine(compile_program(Program(VARIABLES, statements))) as engine:
        hits = engine.evaluate({"number": Decimal(8)}).hits
    assert list(hits) == ["b", "a"]
    assert [hit.words for hit in hits["b"]] == [f"number is above {limit}" for limit in (5, 1, 7, 3)]
    assert [hit.index for hit in hits["a"]] == [0, 2, 3, 4]


def test_a_false_side_is_compiled_only_where_something_asks_for_it() -> None:
    statements: dict[str, Expression] = {
        "asked": FLAG,
        "not asked": FLAG,
        "definite": FLAG,
        "it": All((Not(Statement("asked")), Statement("not asked"), Not(Definitely(Statement("definite"))))),
    }
    compiled = compile_program(Program(VARIABLES, statements))
    assert compiled.false_sides == {"asked"}
    assert [branch.words for branch in compiled.branches("asked", Truth.FALSE)] == ["flag is false"]
    assert compiled.branches("not asked", Truth.FALSE) == ()
    assert [branch.words for branch in compiled.branches("it")] == [
        "[asked] is false and [not asked] is true and [definite] is false or unknown"
    ]
    assert compile_program(Program(VARIABLES, statements), both_sides=True).false_sides == set(statements)


def test_constants_are_folded_away() -> None:
    true, false, unknown = (Constant(truth) for truth in (Truth.TRUE, Truth.FALSE, Truth.UNKNOWN))
    compiled = compile_program(
        Program(
            VARIABLES,
            {
                "kept": All((true, FLAG)),
                "never": All((false, FLAG)),
                "unknowable": All((unknown, FLAG)),
                "always": Any((true, FLAG)),
                "not definite": Not(Definitely(unknown)),
            },
        ),
        both_sides=True,
    )
    words = {name: [branch.words for branch in compiled.branches(name)] for name in compiled.program.statements}
    assert words == {
        "kept": ["flag is true"],
        "never": [],
        "unknowable": [],
        "always": ["always"],
        "not definite": ["always"],
    }
    assert [branch.words for branch in compiled.branches("unknowable", Truth.FALSE)] == ["flag is false"]
    with Engine(compiled) as engine:
        assert engine.evaluate({}).is_true("always")


def test_programs_without_statements_or_branches_evaluate_to_nothing() -> None:
    for statements in ({}, {"never": Constant(Truth.FALSE)}):
        with Engine(compile_program(Program({}, statements))) as engine:
            assert not engine.evaluate({}).hits


def test_programs_and_their_parts_are_frozen_and_hashable() -> None:
    statements: dict[str, Expression] = {"it": All((FLAG, Not(Test("number", Op.LT, Decimal(1)))))}
    one = Program(VARIABLES, statements)
    statements["later"] = FLAG
    assert list(one.statements) == ["it"]
    assert {one: 1}[Program(VARIABLES, {"it": one.statements["it"]})] == 1
    compiled = compile_program(one)
    with pytest.raises(dataclasses.FrozenInstanceError):
        compiled.program = one  # type: ignore[misc]
    untyped: Untyped = compiled.text_numbers
    with pytest.raises(TypeError):
        untyped["text"] = {}
