"""`prenatal-cds table`: the rules as decision tables for clinicians to read, print and sign."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cds.assurance.document import Document, to_html, to_markdown
from cds.assurance.table import REST, decision_tables
from cds.cli.check import counted
from cds.cli.options import Now, Profile, RulesDir, SiteFile, settings_from
from cds.cli.stop import WRONG_USE, Stop
from cds.cli.terminal import print_bytes, print_lines
from cds.knowledge import load_knowledge
from cds.knowledge.errors import did_you_mean


class Form(StrEnum):
    """What the printout is for: reading as text, in a browser, or on paper."""

    markdown = "markdown"
    html = "html"
    print = "print"


Topics = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TOPIC]...", show_default=False, help="Topics of rules/topics.yaml; default: all."),
]
Format = Annotated[
    Form, typer.Option("--format", help="markdown, html, or print (A4 with room to sign, for print to PDF).")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="DIR", help="Write one file per topic into DIR instead of printing all."),
]


def print_tables(
    topics: Topics = None,
    form: Format = Form.markdown,
    output: Output = None,
    rules: RulesDir = None,
    site: SiteFile = None,
    profile: Profile = None,
    now: Now = None,
) -> None:
    """Print the rules as decision tables with numbers, evidence and open sign-offs, made from the rules alone."""
    settings = settings_from(rules_dir=rules, site_file=site, profile=profile, fixed_now=now)
    base = load_knowledge(settings.rules_dir, settings.site_file, settings.profile)
    known = [*base.topics, REST]
    for name in topics or ():
        if name not in known:
            raise Stop(f"no topic '{name}'{did_you_mean(name, known)}", WRONG_USE)
    day = settings.now().date()
    if output is None:
        print_bytes(_rendered(decision_tables(base, day, topics or ()), form))
        return
    output.mkdir(parents=True, exist_ok=True)
    names = topics or known
    suffix = "md" if form is Form.markdown else "html"
    for name in names:
        (output / f"{name}.{suffix}").write_bytes(_rendered(decision_tables(base, day, [name]), form))
    print_lines([f"{counted(len(names), 'file')} written to {output}"])


def _rendered(document: Document, form: Form) -> bytes:
    text = to_markdown(document) if form is Form.markdown else to_html(document, printed=form is Form.print)
    return text.encode()
