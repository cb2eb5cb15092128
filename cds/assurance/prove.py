"""Prove a folder of rules before it serves: it loads without fault, compiles, and passes its own cases.

Run as `python -m cds.assurance.prove RULES [--site FILE] [--profile NAME]`; the service does so before it replaces its
rules, in a process of its own, because thousands of cases take seconds of computing. Prints one JSON object: `hash` of
the knowledge that was proven, `problems` as lines `file:line: what is wrong`. Exit code 0 without problems, 1 with.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cds.advise import Adviser
from cds.assurance.cases import run_cases
from cds.knowledge import KnowledgeError, Problem, load_cases, load_knowledge

_NICENESS = 5  # enough to let answers go first; with 19 a busy machine would never finish the proof


@dataclass(frozen=True)
class Verdict:
    """`hash` of the knowledge with its site and profile; None when it did not load."""

    hash: str | None
    problems: tuple[str, ...]


def prove(rules: Path, site: Path | None = None, profile: str = "seed") -> Verdict:
    """Load and compile the rules as they would serve, and run their cases on the values they are written for."""
    try:
        base = load_knowledge(rules, site, profile)
        with Adviser(base):
            pass
        written_for = base if site is None and profile == "seed" else load_knowledge(rules)
    except KnowledgeError as error:
        return Verdict(None, tuple(str(problem) for problem in error.problems))
    cases, problems = load_cases(written_for, rules)
    with Adviser(written_for) as adviser:
        failed = [result for result in run_cases(adviser, cases) if not result.passed]
    found = [*problems]
    for result in failed:
        place = result.case.place
        found += [Problem(place.file, place.line, f"{result.case.id}: {problem}") for problem in result.problems]
    return Verdict(base.hash, tuple(str(problem) for problem in found))


def main(arguments: Sequence[str] | None = None) -> int:
    """One proof on the command line; gives way to other processes while it computes."""
    parser = argparse.ArgumentParser(prog="python -m cds.assurance.prove")
    parser.add_argument("rules", type=Path)
    parser.add_argument("--site", type=Path)
    parser.add_argument("--profile", default="seed")
    asked = parser.parse_args(arguments)
    os.nice(_NICENESS)
    verdict = prove(asked.rules, asked.site, asked.profile)
    print(json.dumps({"hash": verdict.hash, "problems": verdict.problems}))
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
