"""Named three-valued statements over one patient's flat variables, as plain frozen data.

A variable has a value or has none; a test on a variable without a value is UNKNOWN, and so is its negation.
Logic is Kleene's strong three-valued logic, except `IsKnown` and `Definitely`, which are two-valued by
definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType

Value = bool | Decimal | str


class Truth(Enum):
    """TRUE, FALSE or UNKNOWN with Kleene's connectives."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"

    def and_(self, other: Truth) -> Truth:
        """FALSE if either is FALSE, TRUE if both are TRUE, else UNKNOWN."""
        if self is Truth.FALSE or other is Truth.FALSE:
            return Truth.FALSE
        return Truth.TRUE if self is other is Truth.TRUE else Truth.UNKNOWN

    def or_(self, other: Truth) -> Truth:
        """TRUE if either is TRUE, FALSE if both are FALSE, else UNKNOWN."""
        if self is Truth.TRUE or other is Truth.TRUE:
            return Truth.TRUE
        return Truth.FALSE if self is other is Truth.FALSE else Truth.UNKNOWN

    def not_(self) -> Truth:
        """TRUE and FALSE change places, UNKNOWN stays."""
        if self is Truth.UNKNOWN:
            return self
        return Truth.FALSE if self is Truth.TRUE else Truth.TRUE


class Op(StrEnum):
    """Comparison of a variable with a constant."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="

    @property
    def negated(self) -> Op:
        """The comparison that is true of a known value exactly when this one is false."""
        return _NEGATED[self]

    @property
    def words(self) -> str:
        """The comparison as an English verb phrase."""
        return _WORDS[self]


_NEGATED = {Op.EQ: Op.NE, Op.NE: Op.EQ, Op.LT: Op.GE, Op.GE: Op.LT, Op.GT: Op.LE, Op.LE: Op.GT}
_WORDS = {
    Op.EQ: "is",
    Op.NE: "is not",
    Op.LT: "is below",
    Op.LE: "is at most",
    Op.GT: "is above",
    Op.GE: "is at least",
}


class Kind(StrEnum):
    """What values a variable can have: bool, Decimal or str."""

    BOOLEAN = "boolean"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True)
class Test:
    """`variable op constant`; UNKNOWN when the variable has no value."""

    __test__ = False  # pytest would otherwise try to collect this class wherever a test imports it

    variable: str
    op: Op
    constant: Value


@dataclass(frozen=True)
class IsKnown:
    """TRUE when the variable has a value, else FALSE; never UNKNOWN."""

    variable: str


@dataclass(frozen=True)
class Statement:
    """The truth of another named statement of the same program."""

    name: str


@dataclass(frozen=True)
class All:
    """Every part; must not be empty."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Any:
    """At least one part; must not be empty."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of the part; UNKNOWN stays UNKNOWN."""

    part: Expression


@dataclass(frozen=True)
class Definitely:
    """TRUE when the part is TRUE, else FALSE: `Not(Definitely(x))` reads "x is false or unknown"."""

    part: Expression


@dataclass(frozen=True)
class Constant:
    """A truth fixed when the program is written, such as a flag of a profile."""

    truth: Truth


Expression = Test | IsKnown | Statement | All | Any | Not | Definitely | Constant


@dataclass(frozen=True)
class Program:
    """Declared variables with their kind, and named statements; results come in the order of `statements`."""

    variables: Mapping[str, Kind]
    statements: Mapping[str, Expression]

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", MappingProxyType(dict(self.variables)))
        object.__setattr__(self, "statements", MappingProxyType(dict(self.statements)))

    def __hash__(self) -> int:
        return hash((frozenset(self.variables.items()), frozenset(self.statements.items())))


def describe(expression: Expression) -> str:
    """One line of English for an expression, for explanations and error texts."""
    match expression:
        case Test(variable, op, constant):
            return f"{variable} {op.words} {_constant(constant)}"
        case IsKnown(variable):
            return f"{variable} is known"
        case Statement(name):
            return f"[{name}]"
        case All(parts):
            return "(" + " and ".join(map(describe, parts)) + ")"
        case Any(parts):
            return "(" + " or ".join(map(describe, parts)) + ")"
        case Not(part):
            return f"not {describe(part)}"
        case Definitely(part):
            return f"definitely {describe(part)}"
        case Constant(truth):
            return f"always {truth.value}"


def _constant(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return f"{value!r}"
