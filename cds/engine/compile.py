"""From a program to rulesets in the one safe pattern of durable-rules.

Statements are sorted into strata; each stratum is one ruleset; each group of at most 60 branches is one flat
fact; each branch is one rule `{"all":[{"m":{"$and":[{"g":k}, tests...]}}]}`. Nothing else of the library's
grammar is ever written.

Everything is an integer there: numbers in millionths, booleans 0 and 1, text as the number of the constant it
equals (0: none of them). So only one comparison path of the C code (integer with integer) is ever taken: its
mixed-type comparisons read uninitialised memory, its text comparison takes lengths modulo 65536, and a
boolean beside integers would be a second type for nothing.

Why the library's hard limits cannot be reached:
* 64 pending nodes for one fact: `g` is every rule's first test, a fact passes only its own group's node, and
  below it every pending node leads to a branch of its own, so at most 60 are pending.
* 512 distinct first tests under a node (never returns): below the root one per group, at most MAX_GROUPS and
  the ping; below a group's node at most 60.
* 256 rules ending in the same test (crash): rules of different groups never share a node, a group has at most
  60.
* 252 properties of a fact: at most 240 and the three of our own. 4096 rules: at most MAX_TOTAL_BRANCHES and
  the ping.
* only the first key of an object is read: every object written for a rule has one key.
* names are compared by a 32-bit hash: ours are short, and checked against each other and against the
  library's own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cds.engine.branches import Brancher, Literal, Side, Subject
from cds.engine.check import check
from cds.engine.errors import CompileError
from cds.engine.expression import Expression, Kind, Op, Program, Truth
from cds.engine.fixed import fixed_point

MAX_GROUP_BRANCHES = 60
MAX_GROUP_PROPERTIES = 240
MAX_GROUPS = 400  # per stratum
MAX_TOTAL_BRANCHES = 4000
MAX_STRATA = 64

PING_RULE = "ping"
PING_NUMBER = 10**15  # also proves that the platform's C `long` holds the largest number we ever send
PING_FACT = f'{{"id":"ping","sid":"0","g":0,"ping":{PING_NUMBER}}}'

# Property names of the facts and operator words of the rules: one of ours with the hash of one of these would
# be taken for it.
_RESERVED = tuple(
    "id sid g ping m all any pri count cap dist name $s $m $forward $lt $lte $gt $gte $eq $neq $ex $nex"  # noqa: SIM905
    " $or $and $mt $imt $iall $iany $add $sub $mul $div $l $r".split()
)

_DURABLE_OP = {Op.NE: "$neq", Op.LT: "$lt", Op.LE: "$lte", Op.GT: "$gt", Op.GE: "$gte"}


@dataclass(frozen=True)
class Branch:
    """One way in which a statement is TRUE (or FALSE): all of `tests` hold; `index` counts these ways."""

    statement: str
    truth: Truth
    index: int
    tests: tuple[Literal, ...]

    @property
    def words(self) -> str:
        """The branch in English."""
        return " and ".join(test.words for test in self.tests) or "always"


@dataclass(frozen=True)
class Group:
    """Branches that share one flat fact, whose properties are `properties`."""

    number: int
    branches: tuple[Branch, ...]
    properties: tuple[str, ...]


@dataclass(frozen=True)
class Stratum:
    """Statements that rest on variables and earlier strata only; rule `r<n>` of it is `branches[n]`."""

    statements: tuple[str, ...]
    groups: tuple[Group, ...]
    branches: tuple[Branch, ...]
    definition: str


@dataclass(frozen=True)
class Names:
    """Property names: value and known-marker of a variable, truth and definite truth of a statement."""

    value: Mapping[str, str]
    known: Mapping[str, str]
    truth: Mapping[str, str]
    definite: Mapping[str, str]

    def of(self, literal: Literal) -> str:
        """The property that a literal tests."""
        match literal.subject:
            case Subject.VARIABLE:
                return self.value[literal.name]
            case Subject.KNOWN:
                return self.known[literal.name]
            case Subject.STATEMENT:
                return self.truth[literal.name]
            case Subject.DEFINITELY:
                return self.definite[literal.name]


@dataclass(frozen=True)
class Compiled:
    """A program ready for the Engine. Immutable; one can serve several engines.

    `auxiliary` are the parts that had to be decided first, by a made-up name; `false_sides` the statements
    whose FALSE is decided by durable-rules too; `text_numbers` the number of each text constant by variable.
    """

    program: Program
    auxiliary: Mapping[str, Expression]
    false_sides: frozenset[str]
    strata: tuple[Stratum, ...]
    text_numbers: Mapping[str, Mapping[str, int]]
    names: Names

    def branches(self, statement: str, truth: Truth = Truth.TRUE) -> tuple[Branch, ...]:
        """The branches of a statement (or an auxiliary one); those for FALSE only exist for `false_sides`."""
        return tuple(
            branch
            for stratum in self.strata
            if statement in stratum.statements
            for branch in stratum.branches
            if branch.statement == statement and branch.truth is truth
        )


def compile_program(program: Program, *, both_sides: bool = False) -> Compiled:
    """Check, normalise and lay out a program. Raises CompileError.

    `both_sides` also compiles the FALSE side of every statement, not only where another one needs it.
    """
    order = check(program)
    brancher = Brancher(program)
    sides = _all_sides(program, brancher, both_sides)
    total = sum(map(len, sides.values()))
    if total > MAX_TOTAL_BRANCHES:
        raise CompileError(
            "program",
            f"{total} branches, more than {MAX_TOTAL_BRANCHES}",
            "split the rules into several programs, or name common parts as statements",
        )
    auxiliary = brancher.auxiliary
    names = _names(program.variables, (*program.statements, *auxiliary))
    texts = _text_numbers(program.variables, sides.values())
    strata = tuple(
        _stratum(number, members, sides, names, texts)
        for number, members in enumerate(_strata(sides, order, (*program.statements, *auxiliary)))
    )
    return Compiled(
        program=program,
        auxiliary=MappingProxyType(auxiliary),
        false_sides=frozenset(name for name, positive in sides if not positive),
        strata=strata,
        text_numbers=texts,
        names=names,
    )


_Sides = dict[tuple[str, bool], Side]


def _all_sides(program: Program, brancher: Brancher, both_sides: bool) -> _Sides:
    """The TRUE side of every statement, and the FALSE side of those that something refers to as FALSE."""
    wanted = [(name, True) for name in program.statements]
    if both_sides:
        wanted += [(name, False) for name in program.statements]
    sides: _Sides = {}
    while wanted:
        key = wanted.pop(0)
        if key in sides:
            continue
        sides[key] = brancher.side(*key)
        for literal in (literal for branch in sides[key] for literal in branch):
            if literal.subject is Subject.STATEMENT:
                wanted.append((literal.name, bool(literal.constant)))
                wanted.append((literal.name, True))
            elif literal.subject is Subject.DEFINITELY:
                wanted.append((literal.name, True))
    return sides


def _strata(sides: _Sides, order: tuple[str, ...], names: tuple[str, ...]) -> list[list[str]]:
    """Statements by the number of decisions that must precede them. The check has ruled out circles."""
    rests_on: dict[str, set[str]] = {name: set() for name in names}
    for (name, _), side in sides.items():
        rests_on[name] |= {
            literal.name
            for branch in side
            for literal in branch
            if literal.subject in (Subject.STATEMENT, Subject.DEFINITELY)
        }
    levels: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in levels:
            levels[name] = 1 + max(map(level, rests_on[name]), default=-1)
        return levels[name]

    for name in (*order, *names):  # referred first, so that the recursion stays shallow
        level(name)
    if levels and max(levels.values()) >= MAX_STRATA:
        raise CompileError(
            "program",
            f"a chain of more than {MAX_STRATA} statements, each resting on the one before",
            "shorten the chain of statements",
        )
    return [
        [name for name in names if levels[name] == number] for number in range(max(levels.values(), default=-1) + 1)
    ]


def _names(variables: Iterable[str], statements: Iterable[str]) -> Names:
    variables, statements = tuple(variables), tuple(statements)
    names = Names(
        value=MappingProxyType({name: f"v{number}" for number, name in enumerate(variables)}),
        known=MappingProxyType({name: f"k{number}" for number, name in enumerate(variables)}),
        truth=MappingProxyType({name: f"s{number}" for number, name in enumerate(statements)}),
        definite=MappingProxyType({name: f"d{number}" for number, name in enumerate(statements)}),
    )
    refuse_hash_collisions(
        [*names.value.values(), *names.known.values(), *names.truth.values(), *names.definite.values()]
    )
    return names


def refuse_hash_collisions(properties: Iterable[str]) -> None:
    """Raise CompileError when a property name has the 32-bit hash of another or of a word of the library."""
    seen = {_fnv1a(word): word for word in _RESERVED}
    for name in properties:
        other = seen.setdefault(_fnv1a(name), name)
        if other != name:
            raise CompileError(
                "program",
                f"property names {name!r} and {other!r} have the same hash",
                "add or remove a variable, which renumbers the names",
            )


def _fnv1a(name: str) -> int:
    """The hash by which durable-rules compares names (its state.c, fnv1Hash32)."""
    value = 0x811C9DC5
    for byte in name.encode("ascii"):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _text_numbers(variables: Mapping[str, Kind], sides: Iterable[Side]) -> Mapping[str, Mapping[str, int]]:
    constants: dict[str, dict[str, int]] = {name: {} for name, kind in variables.items() if kind is Kind.TEXT}
    for literal in (literal for side in sides for branch in side for literal in branch):
        if literal.subject is Subject.VARIABLE and isinstance(literal.constant, str):
            numbers = constants[literal.name]
            numbers.setdefault(literal.constant, len(numbers) + 1)
    return MappingProxyType({name: MappingProxyType(numbers) for name, numbers in constants.items()})


def _stratum(
    number: int,
    members: list[str],
    sides: _Sides,
    names: Names,
    texts: Mapping[str, Mapping[str, int]],
) -> Stratum:
    branches = tuple(
        Branch(name, Truth.TRUE if positive else Truth.FALSE, index, tests)
        for name in members
        for positive in (True, False)
        for index, tests in enumerate(sides.get((name, positive), ()))
    )
    groups = _groups(branches, names)
    if len(groups) > MAX_GROUPS:
        raise CompileError(
            f"stratum {number}",
            f"{len(groups)} groups, more than {MAX_GROUPS}",
            "split the rules into several programs",
        )
    return Stratum(tuple(members), groups, branches, _definition(groups, names, texts))


def _groups(branches: tuple[Branch, ...], names: Names) -> tuple[Group, ...]:
    groups: list[Group] = []
    members: list[Branch] = []
    properties: dict[str, None] = {}
    for branch in branches:
        needed = dict.fromkeys(names.of(test) for test in branch.tests)
        if len(needed) > MAX_GROUP_PROPERTIES:
            raise CompileError(
                f"statement {branch.statement!r}",
                f"one branch tests {len(needed)} things, more than {MAX_GROUP_PROPERTIES}",
                "name part of it as a statement of its own",
            )
        if len(members) == MAX_GROUP_BRANCHES or len(properties | needed) > MAX_GROUP_PROPERTIES:
            groups.append(Group(len(groups) + 1, tuple(members), tuple(properties)))
            members, properties = [], {}
        members.append(branch)
        properties |= needed
    if members:
        groups.append(Group(len(groups) + 1, tuple(members), tuple(properties)))
    return tuple(groups)


def _definition(groups: tuple[Group, ...], names: Names, texts: Mapping[str, Mapping[str, int]]) -> str:
    ping: list[object] = [{"g": 0}, {"ping": PING_NUMBER}]
    rules = {PING_RULE: _rule(ping)}
    for group in groups:
        for branch in group.branches:
            tests = [_test(test, names, texts) for test in branch.tests]
            rules[f"r{len(rules) - 1}"] = _rule([{"g": group.number}, *tests])
    return json.dumps(rules, separators=(",", ":"))


def _rule(tests: list[object]) -> object:
    return {"all": [{"m": {"$and": tests}}]}


def _test(literal: Literal, names: Names, texts: Mapping[str, Mapping[str, int]]) -> object:
    test = {names.of(literal): _integer(literal, texts)}
    return test if literal.op is Op.EQ else {_DURABLE_OP[literal.op]: test}


def _integer(literal: Literal, texts: Mapping[str, Mapping[str, int]]) -> int:
    if isinstance(literal.constant, bool):
        return int(literal.constant)
    if isinstance(literal.constant, str):
        return texts[literal.name][literal.constant]
    return fixed_point(literal.constant)
