"""Words on a card: placeholders filled, record text made harmless, summaries cut to the protocol's length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$^=])")
_SPACE = re.compile(r"\s+")
LONGEST = 300
SUMMARY_LIMIT = 139


def fill(template: str, words: Mapping[str, str]) -> str:
    """Replace each `{name}`; lint has made sure that every name is known."""
    return _PLACEHOLDER.sub(lambda match: words.get(match[1], ""), template)


def plain(text: str, limit: int = LONGEST) -> str:
    """One line of printable text: no control, bidirectional or private characters, at most ``limit`` characters."""
    kept = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") or c in "\n\t ")
    line = _SPACE.sub(" ", kept).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def escape(text: str, limit: int = LONGEST) -> str:
    """Record text for GitHub-flavoured Markdown: shows as written, cannot become markup, a link or an address."""
    line = plain(text, limit).replace("://", ": //").replace("@", "(at)")
    line = re.sub(r"\bwww\.", "www .", line, flags=re.IGNORECASE)
    return _MARKDOWN.sub(r"\\\1", line)


def summary(text: str) -> str:
    """A card's summary: plain text of at most 139 characters (cds-hooks_2.0: fewer than 140)."""
    return plain(text.replace("<", "").replace(">", ""), SUMMARY_LIMIT)
