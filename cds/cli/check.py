"""`prenatal-cds check`: everything that can be said about the rules without a patient."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cds.assurance.table import sign_offs as open_signatures
from cds.cli.options import Profile, RulesDir, SiteFile, settings_from
from cds.cli.stop import ISSUES
from cds.cli.terminal import print_lines
from cds.knowledge import (
    KnowledgeBase,
    KnowledgeError,
    Problem,
    bundled_rules,
    check,
    load_cases,
    load_knowledge,
)

SignOffs = Annotated[bool, typer.Option("--sign-offs", help="List what a clinician still has to confirm.")]


def check_rules(
    rules: RulesDir = None, site: SiteFile = None, profile: Profile = None, sign_offs: SignOffs = False
) -> None:
    """Check the rules with their codes, numbers, texts, translations and cases; count what no clinician has signed yet.

    Exit code 1 when there is a problem or a missing translation; an open sign-off is neither.
    """
    settings = settings_from(rules_dir=rules, site_file=site, profile=profile)
    root = settings.rules_dir or bundled_rules()
    try:
        base = load_knowledge(root, settings.site_file, settings.profile)
        written_for = published(root, base, settings.site_file, settings.profile)
    except KnowledgeError as error:
        lost = f"{counted(len(error.problems), 'problem')}; nothing was loaded"
        print_lines(["Problems", *located(error.problems, root), "", lost])
        raise typer.Exit(ISSUES) from None
    cases, problems = load_cases(written_for, root)
    found = check(base)
    open_ones = [problem for problem in found if problem.open_sign_off]
    gaps = [problem for problem in found if problem.gap]
    blocks = (
        ("Problems", problems),
        ("Missing or stale translations (these cards are shown in English)", gaps),
        ("Open sign-offs", open_ones if sign_offs else []),
    )
    for heading, rows in blocks:
        if rows:
            print_lines([heading, *located(rows, root), ""])
    counts = (
        counted(len(base.rules), "rule"),
        counted(len(cases), "case"),
        counted(len(base.thresholds), "threshold"),
        counted(len(base.concepts), "value set"),
    )
    kinds = Counter(row.kind for row in open_signatures(base))
    split = ", ".join(counted(number, kind) for kind, number in kinds.items())
    hint = "" if sign_offs else "; --sign-offs lists them"
    trouble = "".join(f"{counted(len(r), noun)}; " for r, noun in ((problems, "problem"), (gaps, "gap")) if r)
    print_lines(
        [
            f"{trouble}{', '.join(counts)}; profile {base.profile}, knowledge {base.hash[:12]}; "
            f"{counted(len(open_ones), 'open sign-off')}{f' ({split}{hint})' if open_ones else ''}"
        ]
    )
    if problems or gaps:
        raise typer.Exit(ISSUES)


def published(root: Path, base: KnowledgeBase, site: Path | None, profile: str) -> KnowledgeBase:
    """The knowledge that the cases are written for: the default profile, without a site's own values."""
    return base if site is None and profile == "seed" else load_knowledge(root)


def located(problems: Sequence[Problem], root: Path) -> list[str]:
    """Problems as lines whose file can be opened from where the user stands."""
    return [
        f"{_from_here(root / problem.file, problem.file)}:{problem.line}: {problem.message}" for problem in problems
    ]


def _from_here(path: Path, name: str) -> str:
    """Relative below the working folder, absolute elsewhere; a name that is no file stays as it is."""
    if not path.is_file():
        return name
    path = path.resolve()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def counted(number: int, noun: str) -> str:
    """'1 case', '2 cases'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
