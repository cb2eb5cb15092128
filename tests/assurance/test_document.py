"""The two forms of a printout: both show every text, and no text can become markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from cds.assurance.document import (
    Document,
    Group,
    Heading,
    Link,
    Listing,
    Paragraph,
    Section,
    Table,
    to_html,
    to_markdown,
)

VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Collects the text of a page and refuses a tag that closes what is not open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def read_html(page: str) -> Balance:
    """The page, parsed; every element is closed in order."""
    balance = Balance()
    balance.feed(page)
    balance.close()
    assert balance.open == []
    return balance


def read_markdown(text: str) -> Balance:
    """The Markdown as a browser would show it."""
    return read_html(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def words(text: str) -> str:
    return re.sub(r"[\s•]+", " ", text).strip()


NASTY = [
    "a | b",
    "<script>alert(1)</script>",
    "*not bold* and _not italic_ and `no code`",
    "[no](link) & &amp; </style> ]]>",
    "# no heading",
    "- no point",
    "1. no number",
    "$x$ ~~y~~ a\\b",
    "two\nlines",
]


def page_of(text: str) -> Document:
    table = Table(
        text,
        ("Head", text),
        (
            (
                (text,),
                (text, Group(text, (text, Link(text, "https://x.org/a")))),
            ),
        ),
        "sheet",
    )
    blocks = (Heading(text, "one", 3), Paragraph(text), Listing((text, Link(text, "#one"))), table)
    return Document(text, text, (Paragraph(text),), (Section("one-section", text, blocks),))


@pytest.mark.parametrize("text", NASTY)
def test_text_shows_as_it_was_written_in_both_forms(text: str) -> None:
    document = page_of(text)
    shown = words(text)
    for read, form in ((read_html, to_html(document)), (read_markdown, to_markdown(document))):
        page = read(form)
        assert words(" ".join(page.text)).count(shown) >= 13, form
        assert "script" not in page.seen
        assert "em" not in page.seen
        assert "code" not in page.seen
        assert page.seen.count("table") == 1
        assert page.seen.count("tr") == 2


def test_the_head_of_a_printed_page_cannot_leave_its_style() -> None:
    page = to_html(page_of('"; } </style><script>'), printed=True)
    assert page.count("</style>") == 1
    assert "@page { size: A4" in page
    read_html(page)


def test_a_printed_page_names_nothing_outside_of_itself() -> None:
    page = to_html(page_of("plain"), printed=True)
    assert not re.search(r"<(link|img|script|iframe)|@import|url\(|src=", page)
    assert '<html lang="en">' in page
    assert page.count('scope="col"') == 2
    assert page.count('scope="row"') == 1


def test_an_address_stays_whole_in_both_forms() -> None:
    document = Document("t", "r", (Listing((Link("a", "https://x.org/a_b?c=1&d=(2)"),)),), ())
    assert 'href="https://x.org/a_b?c=1&amp;d=(2)"' in to_html(document)
    rendered = MarkdownIt("commonmark").render(to_markdown(document))
    assert 'href="https://x.org/a_b?c=1&amp;d=(2)"' in rendered
