"""What a program must satisfy before it is compiled, each duty with its own error.

Everything refused here would be answered wrongly, or crash, somewhere in durable-rules; the compiler behind
can rely on all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from cds.engine.errors import CompileError
from cds.engine.expression import (
    All,
    Any,
    Constant,
    Definitely,
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
)
from cds.engine.fixed import fixed_point

MAX_TEXT = 200  # characters of a text constant: codes and answers, not prose
MAX_DEPTH = 200  # nesting through all referred statements: the evaluators recurse, and below lies a server

_TYPES: dict[Kind, type] = {Kind.BOOLEAN: bool, Kind.NUMBER: Decimal, Kind.TEXT: str}


def check(program: Program) -> tuple[str, ...]:
    """The statement names, every name after those it refers to. Raises CompileError."""
    for variable, kind in program.variables.items():
        if not isinstance(kind, Kind):
            raise CompileError(f"variable {variable!r}", "has no kind", "declare boolean, number or text")
    for name, expression in program.statements.items():
        _check_expression(expression, program, f"statement {name!r}", 1)
    order = _referred_first(program)
    _check_depth(program, order)
    return order


def references(expression: Expression) -> Iterator[str]:
    """Names of the statements that an expression refers to, in order, repeats included."""
    match expression:
        case Statement(name):
            yield name
        case All(parts) | Any(parts):
            for part in parts:
                yield from references(part)
        case Not(part) | Definitely(part):
            yield from references(part)


def _check_expression(expression: Expression, program: Program, place: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CompileError(place, f"nested deeper than {MAX_DEPTH}", "name a part of it as a statement of its own")
    match expression:
        case Test():
            _check_test(expression, program, place)
        case IsKnown(variable):
            _declared(variable, program, place)
        case Statement(name):
            if name not in program.statements:
                raise CompileError(place, f"no statement {name!r}", _nearest(name, program.statements))
        case All(parts) | Any(parts):
            word = type(expression).__name__.lower()
            if not parts or type(parts) is not tuple:
                raise CompileError(place, f"{word} has no parts", "give at least one part, as a tuple")
            for number, part in enumerate(parts):
                _check_expression(part, program, f"{place}: {word}[{number}]", depth + 1)
        case Not(part) | Definitely(part):
            word = type(expression).__name__.lower()
            _check_expression(part, program, f"{place}: {word}", depth + 1)
        case Constant(truth):
            if not isinstance(truth, Truth):
                raise CompileError(place, "constant without a truth", "use Truth.TRUE, FALSE or UNKNOWN")
        case _:
            raise CompileError(place, "not an expression", "use the classes of cds.engine.expression")


def _check_test(test: Test, program: Program, place: str) -> None:
    kind = _declared(test.variable, program, place)
    if not isinstance(test.op, Op):
        raise CompileError(place, "unknown operator", "use one of " + " ".join(Op))
    if type(test.constant) is not _TYPES[kind]:
        raise CompileError(
            place,
            f"{test.variable!r} is a {kind} and is compared with a {type(test.constant).__name__}",
            f"use a {_TYPES[kind].__name__} constant",
        )
    if kind is not Kind.NUMBER and test.op not in (Op.EQ, Op.NE):
        raise CompileError(place, f"{kind} {test.variable!r} has no order", "use == or !=")
    _check_constant(test.constant, place)


def _check_constant(constant: Value, place: str) -> None:
    if isinstance(constant, str) and len(constant) > MAX_TEXT:
        raise CompileError(place, f"text constant longer than {MAX_TEXT}", "compare with a short code instead")
    if isinstance(constant, Decimal):
        try:
            fixed_point(constant)
        except ValueError as problem:
            raise CompileError(place, f"constant {problem}", "round the threshold or change its unit") from None


def _declared(variable: str, program: Program, place: str) -> Kind:
    if variable not in program.variables:
        raise CompileError(place, f"no variable {variable!r}", _nearest(variable, program.variables))
    return program.variables[variable]


def _nearest(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else "declare it first"


def _referred_first(program: Program) -> tuple[str, ...]:
    graph = {name: tuple(dict.fromkeys(references(part))) for name, part in program.statements.items()}
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as found:
        circle = " -> ".join(reversed(found.args[1]))
    raise CompileError("statements", f"refer to themselves in a circle: {circle}", "break the circle")


def _check_depth(program: Program, order: tuple[str, ...]) -> None:
    depths: dict[str, int] = {}
    for name in order:
        depths[name] = _depth(program.statements[name], depths)
        if depths[name] > MAX_DEPTH:
            raise CompileError(
                f"statement {name!r}",
                f"nested deeper than {MAX_DEPTH} through the statements it refers to",
                "shorten the chain of statements",
            )


def _depth(expression: Expression, depths: dict[str, int]) -> int:
    match expression:
        case All(parts) | Any(parts):
            return 1 + max(_depth(part, depths) for part in parts)
        case Not(part) | Definitely(part):
            return 1 + _depth(part, depths)
        case Statement(name):
            return 1 + depths[name]
        case _:
            return 1
