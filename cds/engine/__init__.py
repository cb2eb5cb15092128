"""Named three-valued statements over flat variables, evaluated by a small safe part of durable-rules.

durable-rules is used through its C module only, and only for conjunctions of integer tests over one flat fact
per group of rules, in one session that is deleted after each evaluation. In that part it gave no wrong answer
in millions of evaluations. Outside it, it was seen to fire on absent data, to drop facts silently, to mix
patients whose ids share a hash, to hang and to kill the process; `tests/engine/test_traps.py` keeps those
findings. Three values, strata, negation and the trace are therefore ours, and a second, naive evaluator
cross-checks each answer.

Only `lower`, which turns rule files into a program, knows what the statements are about.
"""

from __future__ import annotations

from cds.engine.branches import Literal, Subject
from cds.engine.compile import Branch, Compiled, compile_program
from cds.engine.errors import CompileError, DurableError, EngineError, EngineMismatch, FactError
from cds.engine.evaluate import Engine, Hit, Outcome
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
    describe,
)
from cds.engine.reference import Reference, reference

__all__ = [
    "All",
    "Any",
    "Branch",
    "CompileError",
    "Compiled",
    "Constant",
    "Definitely",
    "DurableError",
    "Engine",
    "EngineError",
    "EngineMismatch",
    "Expression",
    "FactError",
    "Hit",
    "IsKnown",
    "Kind",
    "Literal",
    "Not",
    "Op",
    "Outcome",
    "Program",
    "Reference",
    "Statement",
    "Subject",
    "Test",
    "Truth",
    "Value",
    "compile_program",
    "describe",
    "reference",
]
