"""The few calls of the C module `durable_rules_engine` that are safe, with types and checked result codes.

Never `durable.lang` or `durable.engine`: their Host starts timer threads that run rules on their own and
visit deleted sessions. Of each call's answers only those are let through that mean success; the rest become
DurableError with the bare code, because the C module's own texts and its echoed facts belong to a patient.

The C module has no type information: pyproject.toml sets `ignore_missing_imports` for `durable_rules_engine`.
"""

from __future__ import annotations

import re

import durable_rules_engine as _c

from cds.engine.errors import DurableError

SESSION = "0"  # one fixed session: ids are compared by a 32-bit hash, so ids taken from patients would mix patients

_MATCHED = 0  # rules.h RULES_OK: at least one rule matched the fact
_UNMATCHED = 1  # rules.h ERR_EVENT_NOT_HANDLED: no rule matched; an answer, not a failure
_OUT_OF_MEMORY = 101
_CODE = re.compile(r"error code: (\d+)")


def create_ruleset(name: str, definition: str) -> int:
    """Handle of a new ruleset from its JSON text (ASCII). Raises DurableError."""
    try:
        return int(_c.create_ruleset(name, definition))
    except (_c.error, MemoryError) as failure:
        code = _code(failure)
    raise DurableError("create_ruleset", code)


def delete_ruleset(handle: int) -> None:
    """Free a ruleset; its session must be deleted before. Raises DurableError."""
    try:
        _c.delete_ruleset(handle)
        return
    except (_c.error, MemoryError) as failure:
        code = _code(failure)
    raise DurableError("delete_ruleset", code)


def assert_fact(handle: int, fact: str) -> int:
    """Offer one flat fact (ASCII JSON with "id" and "sid"); the session's offset. Raises DurableError."""
    try:
        code, offset = _c.assert_fact(handle, fact)
    except (_c.error, MemoryError) as failure:
        code, offset = _code(failure), 0
    if code not in (_MATCHED, _UNMATCHED):
        raise DurableError("assert_fact", code)
    return int(offset)


def first_rule(handle: int, offset: int) -> str | None:
    """Name of the first rule that fired in the session, None when none did. Raises DurableError."""
    try:
        answer = _c.start_action_for_state(handle, offset)
        return None if answer is None else _rule_name(answer[1])
    except (_c.error, MemoryError) as failure:
        code = _code(failure)
    raise DurableError("start_action_for_state", code)


def next_rule(handle: int, offset: int) -> str | None:
    """Name of the next rule that fired in the session, None after the last. Raises DurableError."""
    try:
        answer = _c.complete_and_start_action(handle, offset)
        return None if answer is None else _rule_name(answer)
    except (_c.error, MemoryError) as failure:
        code = _code(failure)
    raise DurableError("complete_and_start_action", code)


def delete_session(handle: int) -> None:
    """Free the session with everything in it. Raises DurableError.

    Kills the process when no rule has ever fired in this ruleset: fire one first.
    """
    try:
        _c.delete_state(handle, SESSION)
        return
    except (_c.error, MemoryError) as failure:
        code = _code(failure)
    raise DurableError("delete_state", code)


def _rule_name(answer: str) -> str:
    """The rule's name in `{"NAME":{"m":{...}}}`; the rest echoes the fact and is dropped unread."""
    return answer[2 : answer.index('"', 2)]


def _code(failure: BaseException) -> int | None:
    if isinstance(failure, MemoryError):
        return _OUT_OF_MEMORY
    found = _CODE.search(str(failure))
    return int(found[1]) if found else None
