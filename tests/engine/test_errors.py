"""Failed evaluations: no patient value in any text, and an engine that works afterwards."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any as Untyped

import pytest

from cds.engine import (
    All,
    Compiled,
    Definitely,
    DurableError,
    Engine,
    EngineError,
    EngineMismatch,
    Expression,
    FactError,
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
    durable,
    evaluate,
    reference,
)

VARIABLES = {"flag": Kind.BOOLEAN, "number": Kind.NUMBER, "text": Kind.TEXT}
LOW = Test("number", Op.LT, Decimal(5))
PROGRAM = Program(
    VARIABLES,
    {
        "low": LOW,
        "vegan": Test("text", Op.EQ, "vegan"),
        "it": All((Statement("low"), Not(Definitely(Statement("vegan"))))),
    },
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(compile_program(PROGRAM)) as engine:
        yield engine


def works(engine: Engine) -> bool:
    """Whether the engine still tells one patient from another."""
    low, high = engine.evaluate({"number": Decimal(4)}), engine.evaluate({"number": Decimal(6)})
    return low.is_true("it") and not high.is_true("it") and not engine.evaluate({}).hits.keys() & {"it", "low"}


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("number", Decimal("8675309.1234567"), "has more than 6 decimals; round it"),
        ("number", Decimal("8675309000"), "is beyond 10^9"),
        ("number", Decimal("8675309E+100"), "beyond 10^9"),
        ("number", Decimal("8675309E-999"), "more than 6 decimals"),
        ("number", Decimal("sNaN8675309"), "is not a finite number"),
        ("number", Decimal("Infinity"), "is not a finite number"),
        ("number", 8675309, "is declared as number but is a int"),
        ("number", 8675309.5, "is declared as number but is a float"),
        ("number", "8675309", "is declared as number but is a str"),
        ("number", True, "is declared as number but is a bool"),
        ("flag", Decimal("8675309"), "is declared as boolean but is a Decimal"),
        ("text", Decimal("8675309"), "is declared as text but is a Decimal"),
        ("text", None, "is declared as text but is a NoneType; convert it, and leave out what is not known"),
        ("ghost", "8675309", "is not declared in the program"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_the_name_of_its_variable_only(
    engine: Engine, variable: str, value: Untyped, problem: str
) -> None:
    with pytest.raises(FactError) as caught:
        engine.evaluate({variable: value})
    assert str(caught.value).startswith(f"variable {variable!r}: ")
    assert problem in str(caught.value)
    assert caught.value.variable == variable
    assert "8675309" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__context__ is None
    assert works(engine)


def test_numbers_at_the_edge_are_sent_exactly() -> None:
    edge = Decimal("999999999.999999")
    program = Program(VARIABLES, {"it": Test("number", Op.EQ, edge)})
    with Engine(compile_program(program)) as engine:
        assert engine.evaluate({"number": edge}).is_true("it")
        assert engine.evaluate({"number": Decimal("999999999.99999900000000000000")}).is_true("it")
        assert not engine.evaluate({"number": Decimal("999999999.999998")}).is_true("it")
        assert not engine.evaluate({"number": Decimal("1E+9")}).is_true("it")
        assert not engine.evaluate({"number": Decimal("0E+9999")}).is_true("it")


BAD_CALLS: list[tuple[str, Callable[[], object], int | None]] = [
    ("assert_fact", lambda: durable.assert_fact(99_999, '{"id":"p","sid":"0","secret":8675309}'), 111),
    ("create_ruleset", lambda: durable.create_ruleset("bad", '{"r":{"all":8675309}}'), 204),
    ("delete_ruleset", lambda: durable.delete_ruleset(99_999), 111),
    ("delete_state", lambda: durable.delete_session(99_999), 111),
    ("start_action_for_state", lambda: durable.first_rule(99_999, 1), 111),
    ("complete_and_start_action", lambda: durable.next_rule(99_999, 1), 111),
]


@pytest.mark.parametrize(("operation", "call", "code"), BAD_CALLS, ids=[name for name, _, _ in BAD_CALLS])
def test_every_code_other_than_success_raises_without_the_librarys_text(
    operation: str, call: Callable[[], object], code: int | None
) -> None:
    with pytest.raises(DurableError) as caught:
        call()
    assert caught.value.operation == operation
    assert caught.value.code == code
    assert "8675309" not in str(caught.value)
    assert "Could not" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_repeated_fact_is_a_failure_and_not_a_quiet_success() -> None:
    handle = durable.create_ruleset("repeat", '{"r":{"all":[{"m":{"$and":[{"g":1}]}}]}}')
    fact = '{"id":"p","sid":"0","g":1,"secret":8675309}'
    offset = durable.assert_fact(handle, fact)
    with pytest.raises(DurableError, match="code 2"):
        durable.assert_fact(handle, fact)
    assert durable.first_rule(handle, offset) == "r"
    assert durable.next_rule(handle, offset) is None
    durable.delete_session(handle)
    durable.delete_ruleset(handle)


def test_the_engine_works_after_durable_rules_failed_in_the_middle(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, table: object) -> list[str]:
        return ['{"id":"p1","sid":"0","g":1,"v1":3000000}', '{"id":"p2","sid":"0","g":1,"v1":8675309e-7}']

    with monkeypatch.context() as patch:
        patch.setattr(evaluate._FactWriter, "facts", broken)
        with pytest.raises(DurableError, match="assert_fact: durable-rules answered with code 204") as caught:
            engine.evaluate({"number": Decimal(3)})
    assert "8675309" not in "".join(traceback.format_exception(caught.value))
    assert works(engine)


@pytest.mark.parametrize(
    "calls", [("first_rule",), ("next_rule",), ("delete_session",), ("first_rule", "delete_session")]
)
@pytest.mark.parametrize("following", [Decimal(6), Decimal(4)])
def test_nothing_of_a_patient_is_left_after_an_interruption(
    calls: tuple[str, ...], following: Decimal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with Engine(compile_program(PROGRAM), cross_check=False) as engine:
        with monkeypatch.context() as patch:
            for call in calls:
                patch.setattr(durable, call, interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.evaluate({"number": Decimal(3)})
        assert engine.evaluate({"number": following}).is_true("low") is (following < 5)
        assert works(engine)


def test_a_disagreement_with_the_reference_is_a_failure_that_names_statements_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def changed(compiled: Compiled) -> Compiled:
        """The same program with one constant changed behind the compiler's back: 5 becomes 4."""
        stratum = compiled.strata[0]
        assert "5000000" in stratum.definition
        object.__setattr__(stratum, "definition", stratum.definition.replace("5000000", "4000000"))
        return compiled

    with Engine(changed(compile_program(PROGRAM))) as engine:
        assert engine.evaluate({"number": Decimal(3)}).is_true("it")
        with pytest.raises(EngineMismatch) as caught:
            engine.evaluate({"number": Decimal("4.5")})
        assert caught.value.statements == ("low", "it")
        assert "4.5" not in str(caught.value)
        assert engine.evaluate({"number": Decimal(3)}).is_true("it")
    with Engine(changed(compile_program(PROGRAM, both_sides=True))) as engine, pytest.raises(EngineMismatch):
        engine.evaluate({"number": Decimal("4.5")})
    with Engine(changed(compile_program(PROGRAM)), cross_check=False) as engine:
        assert not engine.evaluate({"number": Decimal("4.5")}).is_true("it")


def test_without_the_cross_check_not_true_is_not_passed_off_as_false() -> None:
    with Engine(compile_program(PROGRAM), cross_check=False) as engine:
        outcome = engine.evaluate({"number": Decimal(6)})
        assert not outcome.is_true("it")
        with pytest.raises(EngineError, match="statement 'it': only known not to be true"):
            outcome.truth_of("it")
    with Engine(compile_program(PROGRAM, both_sides=True), cross_check=False) as engine:
        assert engine.evaluate({"number": Decimal(6)}).truth_of("it") is Truth.FALSE
        assert engine.evaluate({}).truth_of("it") is Truth.UNKNOWN


def test_a_closed_engine_says_so_and_closing_twice_is_harmless() -> None:
    engine = Engine(compile_program(PROGRAM))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="engine: is closed; build a new one"):
        engine.evaluate({})


def test_a_reload_builds_the_new_engine_before_closing_the_old() -> None:
    old = Engine(compile_program(PROGRAM))
    for limit in range(1, 300):
        statements: dict[str, Expression] = {"it": Test("number", Op.LT, Decimal(limit))}
        new = Engine(compile_program(Program(VARIABLES, statements)))
        assert old.evaluate({"number": Decimal(0)}).is_true("it")
        old.close()
        old = new
        assert old.evaluate({"number": Decimal(limit) - 1}).is_true("it")
        assert not old.evaluate({"number": Decimal(limit)}).is_true("it")
    old.close()


class Shifting(Mapping[str, Value]):
    """A calcium of 3, then 6, then 9: another at each reading."""

    reads = 0

    def __getitem__(self, key: str) -> Value:
        self.reads += 1
        return Decimal(self.reads * 3)

    def __iter__(self) -> Iterator[str]:
        return iter(["number"])

    def __len__(self) -> int:
        return 1


def test_durable_rules_and_the_cross_check_see_the_same_values(engine: Engine) -> None:
    values = Shifting()
    assert engine.evaluate(values).is_true("low")
    assert values.reads == 1


def test_the_reference_refuses_a_circle_that_was_never_compiled() -> None:
    circle = Program(VARIABLES, {"a": Not(Statement("b")), "b": Statement("a")})
    with pytest.raises(EngineError, match="statement 'a': refers to itself in a circle"):
        reference(circle, {})
    with pytest.raises(EngineError, match="in a circle"):
        Reference(circle).judge({})(Statement("a"))
