"""What can go wrong in the engine.

    CompileError            a program cannot be compiled: the author of the rules must change it
    EngineError             an evaluation gave no answer
    |-- FactError           a value cannot be given to the engine exactly
    |-- DurableError        durable-rules answered with something other than success
    `-- EngineMismatch      durable-rules and the reference evaluator disagree

No message carries a patient value: variables, statements and result codes are named, values never.
"""

from __future__ import annotations


class CompileError(Exception):
    """A program that cannot be compiled; says the place, the problem and the way out."""

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        super().__init__(f"{place}: {problem}; {remedy}")
        self.place = place
        self.problem = problem
        self.remedy = remedy


class EngineError(Exception):
    """An evaluation that gave no answer."""


class FactError(EngineError):
    """A value that cannot be given to the engine exactly; names the variable, never the value."""

    def __init__(self, variable: str, problem: str, remedy: str) -> None:
        super().__init__(f"variable {variable!r}: {problem}; {remedy}")
        self.variable = variable


class DurableError(EngineError):
    """durable-rules answered with something other than success.

    `code` is the library's own result code (its `rules.h`), or None when it answered with success but against
    its contract.
    """

    def __init__(self, operation: str, code: int | None, problem: str = "") -> None:
        detail = problem or f"durable-rules answered with code {code}"
        super().__init__(f"{operation}: {detail}; the engine gives no answer for this evaluation")
        self.operation = operation
        self.code = code


class EngineMismatch(EngineError):
    """durable-rules and the reference evaluator disagree about these statements, so neither is believed."""

    def __init__(self, statements: tuple[str, ...]) -> None:
        super().__init__(
            f"statements {', '.join(statements)}: durable-rules and the reference evaluator disagree; "
            "no answer is given, report the rule set that shows it"
        )
        self.statements = statements
