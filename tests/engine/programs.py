"""Random programs and random partial facts for them, from a seed."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from cds.engine import (
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

NUMBERS = tuple(
    map(Decimal, ("0", "-1", "0.000001", "2.1", "2.100001", "24.5", "1E+9", "-1E9", "140", "999999999.999999"))
)
TEXTS = (
    "",
    "a",
    'a"',
    "a\\",
    "\\u00e9",
    "é",
    "e\u0301",
    "Zoë",
    "'",
    '{"g":1}',
    "true",
    "0",
    "1",
    "\x00",
    "\ud800",
    "钙",
    "😀",
    "a" * 200,
)
NAMES = (
    "lab.serum-calcium.value",
    "x",
    'quote"name',
    "Größe",
    "id",
    "g",
    "sid",
    "v0",
    "$or",
    "a\\b",
    "钙",
    " ",
)
STEP = Decimal("0.000001")


def random_program(random: Random, statements: int) -> Program:
    """A program of `statements` statements that refer freely to earlier ones."""
    kinds = [random.choice(tuple(Kind)) for _ in range(random.randint(1, 12))]
    variables = {NAMES[number]: kind for number, kind in enumerate(kinds)}
    written: dict[str, Expression] = {}
    for number in range(statements):
        # names like those the compiler makes up for lifted parts must not confuse it
        name = random.choice((f"rule-{number}", f"rule-{number - 1}#1", f"r{number}"))
        written[name] = _expression(random, variables, tuple(written), random.randint(0, 4))
    names = list(written)
    random.shuffle(names)
    return Program(variables, {name: written[name] for name in names})


def random_facts(random: Random, program: Program) -> dict[str, Value]:
    """Values for some of the variables, on and next to the program's constants."""
    known = random.choice((0.2, 0.6, 0.9, 1.0))
    return {name: _value(random, kind) for name, kind in program.variables.items() if random.random() < known}


def _expression(random: Random, variables: dict[str, Kind], names: tuple[str, ...], depth: int) -> Expression:
    if depth == 0 or random.random() < 0.15:
        return _leaf(random, variables, names)
    shape = random.random()
    if shape < 0.7:
        parts = tuple(
            _expression(random, variables, names, depth - 1) for _ in range(random.choice((1, 2, 2, 3, 3, 5)))
        )
        return All(parts) if shape < 0.35 else Any(parts)
    part = _expression(random, variables, names, depth - 1)
    return Not(part) if shape < 0.86 else Definitely(part)


def _leaf(random: Random, variables: dict[str, Kind], names: tuple[str, ...]) -> Expression:
    choice = random.random()
    if choice < 0.25 and names:
        return Statement(random.choice(names[-6:]))
    variable = random.choice(tuple(variables))
    if choice < 0.35:
        return IsKnown(variable)
    if choice < 0.38:
        return Constant(random.choice(tuple(Truth)))
    match variables[variable]:
        case Kind.BOOLEAN:
            return Test(variable, random.choice((Op.EQ, Op.NE)), random.random() < 0.5)
        case Kind.TEXT:
            return Test(variable, random.choice((Op.EQ, Op.NE)), random.choice(TEXTS))
        case Kind.NUMBER:
            return Test(variable, random.choice(tuple(Op)), random.choice(NUMBERS))


def _value(random: Random, kind: Kind) -> Value:
    match kind:
        case Kind.BOOLEAN:
            return random.random() < 0.5
        case Kind.TEXT:
            return random.choice((*TEXTS, "another", "a" + 65536 * "x", "a" * 201))
        case Kind.NUMBER:
            number = random.choice(NUMBERS) + random.choice((0, 0, STEP, -STEP))
            return max(Decimal(-(10**9)), min(Decimal(10**9), number))
