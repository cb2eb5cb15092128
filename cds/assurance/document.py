"""A printout as data, and its two forms: Markdown to read on a screen, HTML to read, print and sign.

Both forms show the same sections, tables and texts in the same order, and depend on nothing but the document: the same
document gives the same bytes. Every text is escaped; the HTML names nothing outside of itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape as escape_html
from typing import Final


@dataclass(frozen=True)
class Link:
    """Text that leads to a web address, or to a section (`#id`)."""

    text: str
    url: str


@dataclass(frozen=True)
class Group:
    """An introduction with the items that stand below it."""

    text: str
    items: tuple[Item, ...]


Item = str | Link | Group
Cell = tuple[Item, ...]
"""The lines of a table cell."""


@dataclass(frozen=True)
class Heading:
    text: str
    id: str
    level: int


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Listing:
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row. ``kind`` is its class in HTML: rules, sheet, numbers or sign."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: str


Block = Heading | Paragraph | Listing | Table


@dataclass(frozen=True)
class Section:
    """One topic, with whatever is said about it; it starts on a page of its own."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """``running`` stands at the head of every printed page: what the printout was made of, and when."""

    title: str
    running: str
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...]


# -- Markdown ---------------------------------------------------------------------------------------------------------

_SIGNS: Final = re.compile(r"([\\`*_\[\]<>|~$])")
_LINE_START: Final = re.compile(r"^(\d+)([.)])|^([-+#=:])")
_SPACE: Final = re.compile(r"\s+")


def to_markdown(document: Document) -> str:
    """GitHub-flavoured Markdown; the lines of a cell are parted by `<br>`, which is all the HTML in it."""
    blocks = [f"# {_text(document.title)}", _text(document.running), *map(_block, document.blocks)]
    for section in document.sections:
        blocks += [f'<a id="{section.id}"></a>', f"## {_text(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(blocks) + "\n"


def _text(text: str) -> str:
    """Plain text that Markdown shows as it is, on one line."""
    line = _SIGNS.sub(r"\\\1", _SPACE.sub(" ", text).strip()).replace("&", "&amp;")
    return _LINE_START.sub(lambda match: f"{match[1] or ''}\\{match[2] or match[3]}", line)


def _inline(item: str | Link) -> str:
    if isinstance(item, str):
        return _text(item)
    return f"[{_text(item.text)}](<{item.url.replace('<', '%3C').replace('>', '%3E')}>)"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f'<a id="{block.id}"></a>\n\n{"#" * block.level} {_text(block.text)}'
    if isinstance(block, Paragraph):
        return _text(block.text)
    if isinstance(block, Listing):
        return "\n".join(_points(block.items, 0))
    rows = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in block.rows]
    head = "| " + " | ".join(_text(name) for name in block.head) + " |"
    return "\n".join([f"**{_text(block.caption)}**\n", head, "|" + " --- |" * len(block.head), *rows])


def _points(items: Iterable[Item], depth: int) -> Iterator[str]:
    for item in items:
        if isinstance(item, Group):
            yield "  " * depth + f"- {_text(item.text)}"
            yield from _points(item.items, depth + 1)
        else:
            yield "  " * depth + f"- {_inline(item)}"


def _cell(cell: Cell) -> str:
    if len(cell) == 1 and not isinstance(cell[0], Group):
        return _inline(cell[0])
    return "<br>".join(_cell_lines(cell, 0))


def _cell_lines(items: Iterable[Item], depth: int) -> Iterator[str]:
    blank = "&emsp;" * depth
    for item in items:
        if isinstance(item, Group):
            yield f"{blank}• {_text(item.text)}"
            yield from _cell_lines(item.items, depth + 1)
        else:
            yield f"{blank}• {_inline(item)}"


# -- HTML -------------------------------------------------------------------------------------------------------------

_STYLE: Final = """\
body { font: 11pt/1.4 system-ui, "Segoe UI", "Noto Sans", sans-serif; color: #111; background: #fff; margin: 2rem auto;
  max-width: 75rem; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { border-bottom: 2px solid #111; padding-bottom: .2rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.2rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border: 1px solid #767676; padding: .3rem .45rem; text-align: left; vertical-align: top;
  overflow-wrap: break-word; }
thead th { background: #ececec; }
tbody th { font-weight: 600; }
.rules, .sheet, .sign { table-layout: fixed; }
.rules th:nth-child(1), .rules th:nth-child(3) { width: 19%; }
.rules th:nth-child(2) { width: 37%; }
.sheet th:first-child { width: 16%; }
.sign th:nth-child(1) { width: 36%; }
.sign th:nth-child(2) { width: 14%; }
.sign th:nth-child(5) { width: 12%; }
td ul, th ul { margin: 0; padding-left: 1.1rem; }
.running { color: #444; }
.sign td { height: 2.2rem; }
a { color: #0b4a8f; }
"""
_PRINT: Final = """\
@page { size: A4; margin: 18mm 12mm 16mm;
  @top-left { content: %s; font: 8pt sans-serif; }
  @bottom-right { content: "Page " counter(page) " of " counter(pages); font: 8pt sans-serif; } }
body { font-size: 8.5pt; margin: 0; max-width: none; padding: 0 1px 0 0; }
section { break-before: page; }
thead { display: table-header-group; break-after: avoid; }
th, td { padding: .15rem .3rem; }
tr, h3 { break-inside: avoid; }
h2, h3, caption { break-after: avoid; }
a { color: inherit; text-decoration: none; }
a[href^="http"]::after { content: " " attr(href); font-size: 7pt; }
"""


def to_html(document: Document, *, printed: bool = False) -> str:
    """One HTML page without scripts or outside files; ``printed`` lays it out for A4 with a head on every page."""
    style = _STYLE + (_PRINT % _css_text(document.running) if printed else "")
    rows = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_html(document.title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{_html(document.title)}</h1>",
        f'<p class="running">{_html(document.running)}</p>',
    ]
    for block in document.blocks:
        rows.extend(_html_block(block))
    for section in document.sections:
        rows.append(f'<section id="{_html(section.id)}" aria-labelledby="{_html(section.id)}-title">')
        rows.append(f'<h2 id="{_html(section.id)}-title">{_html(section.title)}</h2>')
        for block in section.blocks:
            rows.extend(_html_block(block))
        rows.append("</section>")
    return "\n".join([*rows, "</main>", "</body>", "</html>"]) + "\n"


def _css_text(text: str) -> str:
    """A CSS string that can neither end early nor close the style element."""
    return '"' + "".join(c if c.isalnum() or c in " .,:;-()" else f"\\{ord(c):06x}" for c in text) + '"'


def _html(text: str) -> str:
    return escape_html(_SPACE.sub(" ", text).strip())


def _html_item(item: Item) -> str:
    if isinstance(item, Link):
        return f'<a href="{_html(item.url)}">{_html(item.text)}</a>'
    if isinstance(item, Group):
        return f"{_html(item.text)}{_html_list(item.items)}"
    return _html(item)


def _html_list(items: Iterable[Item]) -> str:
    return "<ul>" + "".join(f"<li>{_html_item(item)}</li>" for item in items) + "</ul>"


def _html_cell(cell: Cell) -> str:
    if len(cell) == 1 and not isinstance(cell[0], Group):
        return _html_item(cell[0])
    return _html_list(cell) if cell else ""


def _html_block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f'<h{block.level} id="{_html(block.id)}">{_html(block.text)}</h{block.level}>'
    elif isinstance(block, Paragraph):
        yield f"<p>{_html(block.text)}</p>"
    elif isinstance(block, Listing):
        yield _html_list(block.items)
    else:
        yield f'<table class="{_html(block.kind)}">'
        yield f"<caption>{_html(block.caption)}</caption>"
        heads = "".join(f'<th scope="col">{_html(name)}</th>' for name in block.head)
        yield f"<thead><tr>{heads}</tr></thead>"
        yield "<tbody>"
        for name, *cells in block.rows:
            rest = "".join(f"<td>{_html_cell(cell)}</td>" for cell in cells)
            yield f'<tr><th scope="row">{_html_cell(name)}</th>{rest}</tr>'
        yield "</tbody>"
        yield "</table>"
