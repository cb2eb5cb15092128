"""Run a compiled program over one patient's values with durable-rules, one patient at a time.

Per stratum: assert one flat fact per group, collect which rules fired, delete the session. A statement of a
finished stratum is a plain integer for the next, so nothing is ever asserted from within a rule and nothing
depends on firing order.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType, TracebackType

from cds.engine import durable
from cds.engine.branches import Subject
from cds.engine.compile import PING_FACT, PING_RULE, Branch, Compiled, Names, Stratum
from cds.engine.errors import DurableError, EngineError, EngineMismatch, FactError
from cds.engine.expression import Kind, Truth, Value
from cds.engine.fixed import fixed_point
from cds.engine.reference import Reference

Hit = Branch
"""A branch that held: statement, truth, index and its tests, in the program's own names."""

_instances = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What one evaluation found out.

    `truth` has every statement whose truth is known, in the program's order. Without the cross-check, a
    statement that is not TRUE and whose FALSE side was not compiled is "false or unknown" and has no entry.
    `hits` has, by statement (also auxiliary ones), the branches that held, in the order in which they were
    written.
    """

    truth: Mapping[str, Truth]
    hits: Mapping[str, tuple[Hit, ...]]

    def is_true(self, statement: str) -> bool:
        """Whether the statement is definitely TRUE; always known for a statement of the program."""
        return self.truth.get(statement) is Truth.TRUE

    def truth_of(self, statement: str) -> Truth:
        """TRUE, FALSE or UNKNOWN. Raises EngineError where only "not TRUE" is known."""
        if statement not in self.truth:
            raise EngineError(f"statement {statement!r}: only known not to be true; ask is_true, or cross-check")
        return self.truth[statement]


class Engine:
    """A compiled program in durable-rules. Thread-safe; to reload, build a new one and close the old.

    `cross_check` evaluates every program a second time with the reference evaluator and raises EngineMismatch
    on any difference.
    """

    def __init__(self, compiled: Compiled, *, cross_check: bool = True) -> None:
        self.compiled = compiled
        self._reference = Reference(compiled.program) if cross_check else None
        self._lock = threading.Lock()
        self._number = next(_instances)
        self._facts = tuple(_FactWriter(stratum, compiled.names) for stratum in compiled.strata)
        self._unknown = _unknown_markers(compiled)
        self._handles: list[int] = []
        self._closed = False
        # set while durable-rules may hold a patient's session: whatever interrupts us, the next evaluation
        # starts from new rulesets
        self._dirty = False
        try:
            self._open()
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def evaluate(self, values: Mapping[str, Value]) -> Outcome:
        """The truth of every statement for one patient. `values` holds the known variables only.

        Raises FactError for a value that cannot be sent exactly, DurableError when durable-rules fails,
        EngineMismatch when the reference evaluator disagrees. After any of them the engine can be used again.
        """
        values = dict(values)  # the cross-check must see what the engine saw
        table = self._integers(values)
        with self._lock:
            if self._closed:
                raise EngineError("engine: is closed; build a new one from the compiled program")
            if self._dirty:
                self._reopen()
            self._dirty = True
            fired = self._run(table)
            self._dirty = False
        return self._outcome(fired, values)

    def close(self) -> None:
        """Free the rulesets. May be called twice."""
        with self._lock:
            self._discard()
            self._closed = True

    def _integers(self, values: Mapping[str, Value]) -> dict[str, str]:
        """The properties that do not depend on a statement, as `,"name":integer` by name."""
        names, kinds, texts = self.compiled.names, self.compiled.program.variables, self.compiled.text_numbers
        table = self._unknown.copy()
        for variable, value in values.items():
            integer = _integer(variable, value, kinds.get(variable), texts)
            _put(table, names.value[variable], integer)
            if names.known[variable] in table:
                _put(table, names.known[variable], 1)
        return table

    def _run(self, table: dict[str, str]) -> tuple[Branch, ...]:
        names = self.compiled.names
        fired: list[Branch] = []
        for stratum, writer, handle in zip(self.compiled.strata, self._facts, self._handles, strict=True):
            rules = _session(handle, writer.facts(table), len(stratum.branches))
            hits = [stratum.branches[number] for number in rules]
            table |= writer.undecided
            for hit in hits:
                held = int(hit.truth is Truth.TRUE)
                _put(table, names.truth[hit.statement], held)
                _put(table, names.definite[hit.statement], held)
            fired += hits
        return tuple(fired)

    def _outcome(self, fired: tuple[Branch, ...], values: Mapping[str, Value]) -> Outcome:
        hits: dict[str, tuple[Hit, ...]] = {}
        for branch in fired:
            hits[branch.statement] = (*hits.get(branch.statement, ()), branch)
        found = {name: branches[0].truth for name, branches in hits.items()}
        program, false_sides = self.compiled.program, self.compiled.false_sides
        found |= dict.fromkeys(false_sides - found.keys(), Truth.UNKNOWN)
        if self._reference:
            expected = self._reference(values)
            self._compare(found, expected)
            found = expected
        truth = {name: found[name] for name in program.statements if name in found}
        return Outcome(MappingProxyType(truth), MappingProxyType(hits))

    def _compare(self, found: Mapping[str, Truth], expected: Mapping[str, Truth]) -> None:
        wrong = []
        for name, truth in expected.items():
            if name not in self.compiled.false_sides and truth is not Truth.TRUE:
                agrees = name not in found
            else:
                agrees = found.get(name) is truth
            if not agrees:
                wrong.append(name)
        if wrong:
            raise EngineMismatch(tuple(wrong))

    def _open(self) -> None:
        for number, stratum in enumerate(self.compiled.strata):
            handle = durable.create_ruleset(f"engine-{self._number}-{number}", stratum.definition)
            _ping(handle)
            self._handles.append(handle)  # only now may its session be deleted

    def _reopen(self) -> None:
        self._discard()
        self._open()
        self._dirty = False

    def _discard(self) -> None:
        handles, self._handles = self._handles, []
        for handle in handles:
            if self._dirty:
                with contextlib.suppress(DurableError):  # this stratum had no session left
                    durable.delete_session(handle)
            durable.delete_ruleset(handle)


def _unknown_markers(compiled: Compiled) -> dict[str, str]:
    """The known-markers that some test asks for, all saying "not known"."""
    table: dict[str, str] = {}
    for test in (test for stratum in compiled.strata for branch in stratum.branches for test in branch.tests):
        if test.subject is Subject.KNOWN:
            _put(table, compiled.names.known[test.name], 0)
    return table


class _FactWriter:
    """Writes the flat facts of one stratum as JSON: integers and our own names, nothing to escape."""

    def __init__(self, stratum: Stratum, names: Names) -> None:
        self._groups = tuple(
            (f'{{"id":"p{group.number}","sid":"{durable.SESSION}","g":{group.number}', group.properties)
            for group in stratum.groups
        )
        self.undecided: dict[str, str] = {}  # after this stratum, until a branch says otherwise
        for statement in stratum.statements:
            _put(self.undecided, names.definite[statement], 0)

    def facts(self, table: Mapping[str, str]) -> list[str]:
        return [
            head + "".join([table[name] for name in properties if name in table]) + "}"
            for head, properties in self._groups
        ]


def _put(table: dict[str, str], name: str, integer: int) -> None:
    table[name] = f',"{name}":{integer}'


def _session(handle: int, facts: list[str], rules: int) -> list[int]:
    """Numbers of the rules that fire for these facts, ascending; the session is gone afterwards."""
    if not facts:
        return []
    try:
        fired = _fired(handle, facts, rules)
    except BaseException:
        with contextlib.suppress(DurableError):  # the first failure tells more
            durable.delete_session(handle)
        raise
    durable.delete_session(handle)
    return sorted(fired)


def _fired(handle: int, facts: list[str], rules: int) -> set[int]:
    offset = 0
    for fact in facts:
        offset = durable.assert_fact(handle, fact)
    fired: set[int] = set()
    rule = durable.first_rule(handle, offset)
    while rule is not None:
        number = int(rule[1:])
        if number in fired or number >= rules:
            raise DurableError("complete_and_start_action", None, "a rule fired twice or is not ours")
        fired.add(number)
        rule = durable.next_rule(handle, offset)
    return fired


def _ping(handle: int) -> None:
    """Fire one rule once in the ruleset's session slot.

    `delete_state` frees uninitialised pointers in a slot in which no rule has ever fired.
    """
    offset = durable.assert_fact(handle, PING_FACT)
    if durable.first_rule(handle, offset) != PING_RULE:
        raise DurableError("ping", None, "durable-rules of this platform cannot hold an integer of 10^15")
    durable.next_rule(handle, offset)
    durable.delete_session(handle)


def _integer(variable: str, value: object, kind: Kind | None, text_numbers: Mapping[str, Mapping[str, int]]) -> int:
    if kind is Kind.BOOLEAN and isinstance(value, bool):
        return int(value)
    if kind is Kind.TEXT and isinstance(value, str):
        return text_numbers[variable].get(value, 0)
    if kind is Kind.NUMBER and isinstance(value, Decimal):
        try:
            return fixed_point(value)
        except ValueError as refused:
            problem, remedy = str(refused), "round it, or convert its unit, before the engine"
    elif kind is None:
        problem, remedy = "is not declared in the program", "declare it or do not send it"
    else:
        problem = f"is declared as {kind} but is a {type(value).__name__}"
        remedy = "convert it, and leave out what is not known"
    raise FactError(variable, problem, remedy)  # out of the handler, so that nothing chains to the value
