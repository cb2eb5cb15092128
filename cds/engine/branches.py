"""From three-valued expressions to branches: conjunctions of literals, each true or not true of a patient.

Negation is pushed to the literals. A literal about a variable without a value is not true, and neither is its
negation, so an UNKNOWN never satisfies anything. A side ("true" or "false") of a statement is a list of
branches: the side holds when one branch holds.

When a side would exceed MAX_BRANCHES, parts of it are lifted to auxiliary statements that are decided first.
Only their TRUE side is ever asked, so lifting cannot turn an UNKNOWN into a FALSE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import prod

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

MAX_BRANCHES = 64


class Subject(StrEnum):
    """What a literal is about."""

    VARIABLE = "variable"  # the value of a variable
    KNOWN = "known"  # whether a variable has a value
    STATEMENT = "statement"  # a statement's truth: == True is TRUE, == False is FALSE; UNKNOWN is neither
    DEFINITELY = "definitely"  # whether a statement is TRUE; == False is FALSE or UNKNOWN


@dataclass(frozen=True)
class Literal:
    """One test of a branch, in the program's own names; `name` is a variable or a statement."""

    subject: Subject
    name: str
    op: Op
    constant: Value

    @property
    def words(self) -> str:
        """The test in English."""
        match self.subject:
            case Subject.KNOWN:
                return f"{self.name} is {'known' if self.constant else 'unknown'}"
            case Subject.STATEMENT:
                return f"[{self.name}] is {'true' if self.constant else 'false'}"
            case Subject.DEFINITELY:
                return f"[{self.name}] is {'true' if self.constant else 'false or unknown'}"
            case Subject.VARIABLE:
                shown = str(self.constant).lower() if isinstance(self.constant, bool) else self.constant
                return f"{self.name} {self.op.words} {shown}"


Conjunction = tuple[Literal, ...]
Side = tuple[Conjunction, ...]

_ALWAYS: Side = ((),)
_NEVER: Side = ()


class Brancher:
    """Branches of the statements of one checked program; collects the auxiliary statements it has to lift."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._expressions: dict[str, Expression] = dict(program.statements)
        self._lifted: dict[Expression, str] = {}
        self._owner = ""

    @property
    def auxiliary(self) -> dict[str, Expression]:
        """The lifted statements by their made-up name, `OWNER#NUMBER`."""
        return {name: expression for expression, name in self._lifted.items()}

    def side(self, name: str, positive: bool) -> Side:
        """Branches of which one holds exactly when the statement is TRUE (or FALSE, if not `positive`)."""
        self._owner = name
        return self._branches(self._expressions[name], positive)

    def _branches(self, expression: Expression, positive: bool) -> Side:
        match expression:
            case Test():
                return ((self._test(expression, positive),),)
            case IsKnown(variable):
                return ((Literal(Subject.KNOWN, variable, Op.EQ, positive),),)
            case Statement(name):
                return ((Literal(Subject.STATEMENT, name, Op.EQ, positive),),)
            case Not(part):
                return self._branches(part, not positive)
            case Definitely(part):
                return self._branches(part, True) if positive else self._indefinite(part)
            case All(parts):
                return self._conjunction(parts, True) if positive else self._disjunction(parts, False)
            case Any(parts):
                return self._disjunction(parts, True) if positive else self._conjunction(parts, False)
            case Constant(truth):
                return _ALWAYS if truth is (Truth.TRUE if positive else Truth.FALSE) else _NEVER

    def _test(self, test: Test, positive: bool) -> Literal:
        if self._program.variables[test.variable] is Kind.BOOLEAN:
            # one spelling per meaning (`is true`, `is false`), so that equal tests are seen to be equal
            wanted = (test.constant is True) is (positive is (test.op is Op.EQ))
            return Literal(Subject.VARIABLE, test.variable, Op.EQ, wanted)
        op = test.op if positive else test.op.negated
        return Literal(Subject.VARIABLE, test.variable, op, test.constant)

    def _indefinite(self, part: Expression) -> Side:
        """`part` is FALSE or UNKNOWN: known only after `part` has been decided, hence by name."""
        if isinstance(part, Definitely):
            return self._indefinite(part.part)
        if isinstance(part, Constant):
            return _NEVER if part.truth is Truth.TRUE else _ALWAYS
        name = part.name if isinstance(part, Statement) else self._lift(part)
        return ((Literal(Subject.DEFINITELY, name, Op.EQ, False),),)

    def _conjunction(self, parts: tuple[Expression, ...], positive: bool) -> Side:
        sides = [self._branches(part, positive) for part in parts]
        while prod(map(len, sides)) > MAX_BRANCHES:
            largest = max(range(len(sides)), key=lambda number: len(sides[number]))
            sides[largest] = self._lifted_side(_signed(parts[largest], positive))
        result: Side = _ALWAYS
        for side in sides:
            joined = (_join(left, right) for left in result for right in side)
            result = _unique(branch for branch in joined if branch is not None)
        return result

    def _disjunction(self, parts: tuple[Expression, ...], positive: bool) -> Side:
        signed = [_signed(part, positive) for part in parts]
        sides = [self._branches(part, True) for part in signed]
        while () not in (result := _unique(branch for side in sides for branch in side)):
            if len(result) <= MAX_BRANCHES:
                return result
            signed = [_any(chunk) for chunk in _chunks(signed, sides)]
            sides = [self._lifted_side(part) for part in signed]
        return _ALWAYS

    def _lifted_side(self, expression: Expression) -> Side:
        return ((Literal(Subject.STATEMENT, self._lift(expression), Op.EQ, True),),)

    def _lift(self, expression: Expression) -> str:
        if isinstance(expression, Statement):
            return expression.name
        if expression not in self._lifted:
            number = 1
            while (name := f"{self._owner}#{number}") in self._expressions:
                number += 1
            self._lifted[expression] = name
            self._expressions[name] = expression
        return self._lifted[expression]


def _signed(expression: Expression, positive: bool) -> Expression:
    return expression if positive else Not(expression)


def _any(parts: list[Expression]) -> Expression:
    return parts[0] if len(parts) == 1 else Any(tuple(parts))


def _chunks(parts: list[Expression], sides: list[Side]) -> list[list[Expression]]:
    """Neighbouring parts together, each chunk of at most MAX_BRANCHES branches."""
    chunks: list[list[Expression]] = []
    size = MAX_BRANCHES + 1
    for part, side in zip(parts, sides, strict=True):
        if size + len(side) > MAX_BRANCHES:
            chunks.append([])
            size = 0
        chunks[-1].append(part)
        size += len(side)
    return chunks


def _join(left: Conjunction, right: Conjunction) -> Conjunction | None:
    """Both conjunctions as one; None when a thing would have to equal two constants."""
    joined = tuple(dict.fromkeys(left + right))
    fixed: dict[tuple[Subject, str], Value] = {}
    for literal in joined:
        key = (literal.subject, literal.name)
        if literal.op is Op.EQ and fixed.setdefault(key, literal.constant) != literal.constant:
            return None
    return joined


def _unique(branches: Iterable[Conjunction]) -> Side:
    return tuple(dict.fromkeys(branches))
