"""durable-rules through our compiler against the reference evaluator, over random programs and facts."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.engine import (
    All,
    Any,
    Compiled,
    Definitely,
    Engine,
    Expression,
    IsKnown,
    Kind,
    Literal,
    Not,
    Op,
    Program,
    Reference,
    Statement,
    Subject,
    Test,
    Truth,
    Value,
    compile_program,
    reference,
)
from tests.engine.programs import NUMBERS, TEXTS, random_facts, random_program

FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def agrees(compiled: Compiled, engine: Engine, oracle: Reference, values: dict[str, Value]) -> set[Truth]:
    """Assert that the engine finds what the reference finds; the truths that occurred."""
    expected = oracle(values)
    outcome = engine.evaluate(values)
    assert {name for name in expected if outcome.is_true(name)} == {
        name for name, truth in expected.items() if truth is Truth.TRUE
    }
    decided = compiled.false_sides & expected.keys()
    assert {name for name in decided if outcome.truth_of(name) is Truth.FALSE} == {
        name for name in decided if expected[name] is Truth.FALSE
    }
    assert {name for name in expected if name in outcome.hits} == {
        name for name, truth in expected.items() if truth is Truth.TRUE or (truth is Truth.FALSE and name in decided)
    }
    return set(expected.values())


def test_engine_agrees_with_reference_on_twenty_thousand_evaluations_of_large_programs() -> None:
    evaluations = 0
    seen: dict[str, int] = {"lifted": 0, "strata": 0, "statements": 0}
    truths: set[Truth] = set()

    @settings(FIXED, max_examples=400)
    @given(st.integers(0, 2**63), st.integers(1, 40), st.booleans())
    def run(seed: int, statements: int, both_sides: bool) -> None:
        nonlocal evaluations, truths
        random = Random(seed)
        compiled = compile_program(random_program(random, statements), both_sides=both_sides)
        seen["lifted"] += len(compiled.auxiliary)
        seen["strata"] = max(seen["strata"], len(compiled.strata))
        seen["statements"] = max(seen["statements"], len(compiled.program.statements))
        oracle = Reference(compiled.program)
        with Engine(compiled, cross_check=False) as engine:
            for _ in range(80):
                truths |= agrees(compiled, engine, oracle, random_facts(random, compiled.program))
                evaluations += 1

    run()
    print(f"\n{evaluations} evaluations, {seen}")
    assert evaluations >= 20_000
    assert truths == set(Truth)
    assert seen["lifted"] > 100
    assert seen["strata"] >= 5
    assert seen["statements"] >= 30


KINDS = {"flag": Kind.BOOLEAN, "number": Kind.NUMBER, "text": Kind.TEXT}
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(IsKnown, st.sampled_from(tuple(KINDS))),
    st.builds(Test, st.just("flag"), st.sampled_from((Op.EQ, Op.NE)), st.booleans()),
    st.builds(Test, st.just("number"), st.sampled_from(tuple(Op)), st.sampled_from(NUMBERS)),
    st.builds(Test, st.just("text"), st.sampled_from((Op.EQ, Op.NE)), st.sampled_from(TEXTS)),
)


def expressions(*names: str) -> st.SearchStrategy[Expression]:
    leaves = LEAVES | st.builds(Statement, st.sampled_from(names)) if names else LEAVES

    def extend(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        parts = st.lists(inner, min_size=1, max_size=4).map(tuple)
        return st.one_of(
            st.builds(All, parts), st.builds(Any, parts), st.builds(Not, inner), st.builds(Definitely, inner)
        )

    return st.recursive(leaves, extend, max_leaves=10)


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "flag": st.booleans(),
        "number": st.sampled_from(NUMBERS) | st.decimals(-(10**9), 10**9, places=6),
        "text": st.sampled_from(TEXTS) | st.text(),
    },
)


def test_engine_agrees_with_reference_on_small_programs_that_shrink() -> None:
    evaluations = 0

    @settings(FIXED, max_examples=250)
    @given(expressions(), expressions("a"), expressions("a", "b"), st.lists(FACTS, min_size=1, max_size=20))
    def run(a: Expression, b: Expression, c: Expression, facts: list[dict[str, Value]]) -> None:
        nonlocal evaluations
        compiled = compile_program(Program(KINDS, {"a": a, "b": b, "c": c}), both_sides=True)
        with Engine(compiled, cross_check=False) as engine:
            for values in facts:
                agrees(compiled, engine, Reference(compiled.program), values)
                evaluations += 1

    run()
    assert evaluations >= 1_000


def test_cross_check_never_objects_and_completes_the_truths() -> None:
    random = Random(20261122)
    for _ in range(25):
        program = random_program(random, 20)
        with Engine(compile_program(program)) as engine:
            for _ in range(20):
                values = random_facts(random, program)
                outcome = engine.evaluate(values)
                assert dict(outcome.truth) == reference(program, values)
                assert list(outcome.truth) == list(program.statements)


def test_every_hit_names_tests_that_hold_by_themselves() -> None:
    random = Random(7)
    checked = 0
    for _ in range(25):
        program = random_program(random, 12)
        compiled = compile_program(program, both_sides=True)
        whole = Program(program.variables, {**program.statements, **compiled.auxiliary})
        with Engine(compiled) as engine:
            for _ in range(10):
                values = random_facts(random, program)
                truths = reference(whole, values)
                for hits in engine.evaluate(values).hits.values():
                    for hit in hits:
                        assert truths[hit.statement] is hit.truth
                        for test in hit.tests:
                            assert holds(test, values, truths), (hit.words, test.words)
                            checked += 1
    assert checked > 1_000


def holds(test: Literal, values: dict[str, Value], truths: dict[str, Truth]) -> bool:
    """A literal's meaning, written down a second time."""
    match test.subject:
        case Subject.KNOWN:
            return (test.name in values) is test.constant
        case Subject.STATEMENT:
            return truths[test.name] is (Truth.TRUE if test.constant else Truth.FALSE)
        case Subject.DEFINITELY:
            return (truths[test.name] is Truth.TRUE) is test.constant
        case Subject.VARIABLE:
            only = Program({test.name: _kind(test.constant)}, {"it": Test(test.name, test.op, test.constant)})
            return test.name in values and reference(only, values)["it"] is Truth.TRUE


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOLEAN
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER
