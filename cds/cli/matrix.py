"""`prenatal-cds matrix`: the founding text against rules and cases."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cds.assurance.document import to_markdown
from cds.assurance.matrix import as_document, as_json, gaps, matrix
from cds.cli.options import RulesDir, settings_from
from cds.cli.stop import ISSUES
from cds.cli.terminal import print_bytes
from cds.knowledge import KnowledgeError, bundled_rules, load_cases, load_knowledge
from cds.service.json_input import dump_json


class Form(StrEnum):
    """For a reader or for a program."""

    markdown = "markdown"
    json = "json"


def print_matrix(
    form: Annotated[Form, typer.Option("--format", help="markdown or json.")] = Form.markdown,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write to FILE, such as rules/MATRIX.md.")
    ] = None,
    rules: RulesDir = None,
) -> None:
    """Print which rules carry each statement of the founding text and which cases show it.

    Exit code 1 when a statement has no rule or no case.
    """
    root = settings_from(rules_dir=rules).rules_dir or bundled_rules()
    base = load_knowledge(root)
    cases, problems = load_cases(base, root)
    if problems:
        raise KnowledgeError(problems)
    rows = matrix(base, cases)
    text = to_markdown(as_document(base, rows)).encode() if form is Form.markdown else dump_json(as_json(rows))
    if output is None:
        print_bytes(text)
    else:
        output.write_bytes(text)
    missing = list(gaps(rows))
    for gap in missing:
        print(gap, file=sys.stderr)
    if missing:
        raise typer.Exit(ISSUES)
