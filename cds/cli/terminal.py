"""Writing to a terminal: plain lines of at most 100 columns, words never cut, record text never obeyed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from textwrap import wrap
from typing import Final

from rich.console import Console
from rich.text import Text

from cds.cards.text import plain

COLUMNS: Final = 100
_NO_LIMIT: Final = 1_000_000

Line = str | Text


def safe(text: str) -> str:
    """Record text as one printable line: without control characters no escape sequence reaches a terminal."""
    return plain(text, _NO_LIMIT)


def paragraph(text: str, indent: int = 0, *, first: str = "", style: str = "") -> list[Line]:
    """``text``, made safe, wrapped between words behind ``indent`` blanks; ``first`` stands before its first
    line.

    A word longer than a line, such as a reference, stays whole: it must be possible to copy it.
    """
    blank = " " * (indent + len(first))
    rows = wrap(
        safe(text),
        max(COLUMNS, len(blank) + 40),
        initial_indent=" " * indent + first,
        subsequent_indent=blank,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Text(row, style) for row in rows]


def print_lines(lines: Iterable[Line]) -> None:
    """Write lines to stdout; styles only where a terminal reads them. Text is never parsed as Rich markup."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def print_bytes(data: bytes) -> None:
    """Write bytes to stdout exactly as they are, with a line end only for a human reader."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()
