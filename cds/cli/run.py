"""`prenatal-cds run`: the cards for one request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cds.cli.asking import Answer, answer
from cds.cli.check import counted
from cds.cli.options import AsJson, Hook, Language, Now, Profile, RequestFile, RulesDir, SiteFile, settings_from
from cds.cli.terminal import Line, paragraph, print_bytes, print_lines
from cds.hooks import Card, to_json
from cds.service.json_input import dump_json

STYLES: Final = {"critical": "bold red", "warning": "bold yellow", "info": "bold cyan"}
_HEADING: Final = re.compile(r"\*\*(.+)\*\*")
_ESCAPED: Final = re.compile(r"\\([^\w\s])")


def run_request(
    request: RequestFile,
    now: Now = None,
    as_json: AsJson = False,
    hook: Hook = None,
    rules: RulesDir = None,
    site: SiteFile = None,
    profile: Profile = None,
    language: Language = None,
) -> None:
    """Print the cards for one CDS Hooks request; --json prints the body of the HTTP answer."""
    settings = settings_from(fixed_now=now, rules_dir=rules, site_file=site, profile=profile, language=language)
    with answer(request, hook, settings) as given:
        if as_json:
            print_bytes(dump_json(to_json(given.advice.response())))
        else:
            print_lines(_answer(given))


def _answer(given: Answer) -> Iterator[Line]:
    for card in given.advice.cards:
        yield from _card(card)
        yield ""
    if not given.advice.cards:
        yield "No card: no rule spoke about what was supplied. `prenatal-cds explain` says why."
        yield ""
    if given.advice.remarks:
        yield "Not supplied or not used:"
        for remark in given.advice.remarks:
            yield from paragraph(remark, 2, first="- ")
        yield ""
    yield from paragraph(f"{counted(len(given.advice.cards), 'card')} for {given.footer}")


def _card(card: Card) -> Iterator[Line]:
    yield from paragraph(card.summary, first=f"{card.indicator.upper()}  ", style=STYLES[card.indicator])
    yield from _detail(card.detail or "")
    if card.suggestions:
        yield "  Suggestions"
        for suggestion in card.suggestions:
            actions = "; ".join(action.description for action in suggestion.actions)
            yield from paragraph(f"{suggestion.label}: {actions}", 2, first="- ")
    if card.links:
        yield "  Links"
        for link in card.links:
            yield from paragraph(f"{link.label}: {link.url}", 2, first="- ")


def _detail(markdown: str) -> Iterator[Line]:
    """The card's detail with its Markdown signs taken off again."""
    for row in markdown.splitlines():
        heading = _HEADING.fullmatch(row)
        bare = _ESCAPED.sub(r"\1", heading[1] if heading else row)
        if not heading and bare.startswith("- "):
            yield from paragraph(bare[2:], 2, first="- ")
        else:
            yield from paragraph(bare, 2)
