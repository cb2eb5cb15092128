"""Words on a card: placeholders filled, record text made harmless, summaries cut to the protocol's length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from cds.knowledge.wording import SUMMARY_LIMIT

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$^=])")
# At the start of a line these begin a list, a rule or a heading.
_BLOCK_START = re.compile(r"^(\d{1,9})([.)])|^([-:])")
_WEB_ADDRESS = re.compile(r"www\.", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SPACE = re.compile(r"\s+")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")
LONGEST = 300


def fill(template: str, words: Mapping[str, str]) -> str:
    """Replace each `{name}`; lint has made sure that every name is known."""
    return _PLACEHOLDER.sub(lambda match: words.get(match[1], ""), template)


def plain(text: str, limit: int = LONGEST) -> str:
    """One line of at most ``limit`` printable characters: no control, bidirectional, private or unassigned ones."""
    kept = "".join(c for c in text if c in "\n\t " or unicodedata.category(c) not in _INVISIBLE)
    line = _SPACE.sub(" ", kept).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def escape(text: str, limit: int = LONGEST) -> str:
    """Record text for GitHub-flavoured Markdown: no markup, no link, no list, no address a reader could follow.

    It shows as written, but for addresses, which are broken by a blank or "(at)".
    """
    line = plain(text, limit).replace("://", ": //").replace("@", "(at)")
    line = _MARKDOWN.sub(r"\\\1", _WEB_ADDRESS.sub("www .", line))
    return _BLOCK_START.sub(lambda match: f"{match[1] or ''}\\{match[2] or match[3]}", line)


def sentence(text: str) -> str:
    """A heading as a sentence, with the full stop of its script."""
    bare = text.rstrip(".。")
    return f"{bare}。" if _CHINESE.search(bare) else f"{bare}."


def summary(text: str) -> str:
    """A card's summary: plain text of at most 139 characters (cds-hooks_2.0: fewer than 140)."""
    # A summary is plain text: no tag can come of the wide signs, and "<25 nmol/L" stays a bound.
    return plain(text.replace("<", "＜").replace(">", "＞"), SUMMARY_LIMIT)
