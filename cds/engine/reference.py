"""The reference evaluator: Kleene's logic read straight off the expressions.

It shares nothing with the compiler (no normalisation, no branches, no fixed-point numbers), so that the two
can only agree by being right: it is the oracle of the tests and the live cross-check of every evaluation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any as Untyped

from cds.engine.errors import EngineError
from cds.engine.expression import (
    All,
    Any,
    Constant,
    Definitely,
    Expression,
    IsKnown,
    Not,
    Op,
    Program,
    Statement,
    Test,
    Truth,
    Value,
)

_COMPARE: Mapping[Op, Callable[[Untyped, Untyped], bool]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}


@dataclass(frozen=True)
class Node:
    """An expression with its truth for one patient, and the parts (or the statement) it rests on."""

    expression: Expression
    truth: Truth
    parts: tuple[Node, ...] = ()


def reference(program: Program, values: Mapping[str, Value]) -> dict[str, Truth]:
    """The truth of every statement, in the program's order. For many patients keep a `Reference`.

    `values` holds only the variables that are known, typed as the program declares. Raises EngineError for a
    circle.
    """
    return Reference(program)(values)


def trace(expression: Expression, program: Program, values: Mapping[str, Value]) -> Node:
    """The tree of every sub-expression with its truth; the part of a `Statement` is the statement's own tree.

    Every part is evaluated, also those that a short cut would skip: an explanation shows what was looked at
    and what was not known.
    """
    return _node(expression, program, _Evaluation(_AsNeeded(program), values), {})


def _node(expression: Expression, program: Program, evaluation: _Evaluation, done: dict[str, Node]) -> Node:
    if isinstance(expression, Statement):
        # one tree per statement, shared: two references to it in each of fifty statements would otherwise
        # double fifty times
        evaluation.statement(expression.name)  # a circle is found here, before the tree is walked
        if expression.name not in done:
            done[expression.name] = _node(program.statements[expression.name], program, evaluation, done)
        parts: tuple[Node, ...] = (done[expression.name],)
    else:
        parts = tuple(_node(part, program, evaluation, done) for part in _parts(expression))
    return Node(expression, _function(expression)(evaluation), parts)


def _parts(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case All(parts) | Any(parts):
            return parts
        case Not(part) | Definitely(part):
            return (part,)
        case _:
            return ()


Evaluate = Callable[["_Evaluation"], Truth]


class Reference:
    """A program read once into nested functions, because the cross-check runs it for every patient."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.statements = {name: _function(part) for name, part in program.statements.items()}

    def __call__(self, values: Mapping[str, Value]) -> dict[str, Truth]:
        """The truth of every statement, in the program's order; see `reference`."""
        evaluation = _Evaluation(self.statements, values)
        return {name: evaluation.statement(name) for name in self.statements}


class _AsNeeded(dict[str, Evaluate]):
    """Statements read when they are asked for: an explanation needs few of them, and is given for every line."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program

    def __missing__(self, name: str) -> Evaluate:
        self[name] = _function(self._program.statements[name])
        return self[name]


class _Evaluation:
    """One patient's values and the statements decided so far."""

    def __init__(self, statements: Mapping[str, Evaluate], values: Mapping[str, Value]) -> None:
        self.values = values
        self._statements = statements
        self._done: dict[str, Truth | None] = {}

    def statement(self, name: str) -> Truth:
        if name in self._done:
            truth = self._done[name]
            if truth is None:
                raise EngineError(f"statement {name!r}: refers to itself in a circle; break the circle")
            return truth
        self._done[name] = None
        truth = self._statements[name](self)
        self._done[name] = truth
        return truth


def _function(expression: Expression) -> Evaluate:
    match expression:
        case Test():
            return _test(expression)
        case IsKnown(variable):
            return lambda at: Truth.TRUE if at.values.get(variable) is not None else Truth.FALSE
        case Statement(name):
            return lambda at: at.statement(name)
        case All(parts):
            return _first_of(Truth.FALSE, Truth.TRUE, tuple(map(_function, parts)))
        case Any(parts):
            return _first_of(Truth.TRUE, Truth.FALSE, tuple(map(_function, parts)))
        case Not(part):
            opposite = _function(part)
            return lambda at: opposite(at).not_()
        case Definitely(part):
            certain = _function(part)
            return lambda at: Truth.TRUE if certain(at) is Truth.TRUE else Truth.FALSE
        case Constant(truth):
            return lambda at: truth


def _test(test: Test) -> Evaluate:
    variable, constant, compare = test.variable, test.constant, _COMPARE[test.op]

    def decide(at: _Evaluation) -> Truth:
        value = at.values.get(variable)
        if value is None:
            return Truth.UNKNOWN
        return Truth.TRUE if compare(value, constant) else Truth.FALSE

    return decide


def _first_of(decisive: Truth, otherwise: Truth, parts: tuple[Evaluate, ...]) -> Evaluate:
    """`decisive` if any part is, else UNKNOWN if any part is, else `otherwise`."""

    def decide(at: _Evaluation) -> Truth:
        result = otherwise
        for part in parts:
            truth = part(at)
            if truth is decisive:
                return truth
            if truth is Truth.UNKNOWN:
                result = truth
        return result

    return decide
