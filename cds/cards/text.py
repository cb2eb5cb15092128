"""Words on a card: placeholders filled, record text made harmless, summaries cut to the protocol's length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from cds.knowledge.wording import SUMMARY_LIMIT

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$^=])")
# At the start of a line these begin a list, a rule or a heading.
_BLOCK_START = re.compile(r"^(\d{1,9})([.)])|^([-:])")
_WEB_ADDRESS = re.compile(r"www\.", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SPACE = re.compile(r"\s+")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two of them are one flag
LONGEST = 300
MOST_MARKS = 4


def fill(template: str, words: Mapping[str, str]) -> str:
    """Replace each `{name}`; lint has made sure that every name is known."""
    return _PLACEHOLDER.sub(lambda match: words.get(match[1], ""), template)


def plain(text: str, limit: int = LONGEST) -> str:
    """One line of at most ``limit`` printable characters: no control, bidirectional, private or unassigned ones.

    Marks that pile up on one letter are cut too: a storm of them covers the lines around it.
    """
    kept = "".join(c for c in text if c in "\n\t " or unicodedata.category(c) not in _INVISIBLE)
    line = _SPACE.sub(" ", "".join(_few_marks(kept))).strip()
    return line if _units(line) <= limit else _cut(line, limit - 1).rstrip() + "…"


def _few_marks(text: str) -> Iterator[str]:
    marks = 0
    for c in text:
        marks = marks + 1 if _joins(c) else 0
        if marks <= MOST_MARKS:
            yield c


def _cut(line: str, limit: int) -> str:
    """The beginning of a line, not ending inside what a reader sees as one character."""
    end = total = 0
    while end < len(line) and total + _units(line[end]) <= limit:
        total += _units(line[end])
        end += 1
    while end and end < len(line) and _joins(line[end]):
        end -= 1
    flags = len(line[:end]) - len(line[:end].rstrip(_FLAG_LETTERS))
    return line[: end - 1] if flags % 2 and line[end : end + 1] in _FLAG_LETTERS else line[:end]


def _units(text: str) -> int:
    """The length as browsers count it (UTF-16), never less than the number of characters."""
    return len(text) + sum(c > "\uffff" for c in text)


def _joins(c: str) -> bool:
    """Whether a character belongs to the one before it: a mark, or the colour of an emoji's skin."""
    return unicodedata.category(c).startswith("M") or "\U0001f3fb" <= c <= "\U0001f3ff"


def escape(text: str, limit: int = LONGEST) -> str:
    """Record text for GitHub-flavoured Markdown: no markup, no link, no list, no address a reader could follow.

    It shows as written, but for addresses, which are broken by a blank or "(at)".
    """
    line = _MARKDOWN.sub(r"\\\1", _unaddressed(plain(text, limit)))
    return _BLOCK_START.sub(lambda match: f"{match[1] or ''}\\{match[2] or match[3]}", line)


def said(text: str, limit: int) -> str:
    """Record text where a card has plain text: no tag, no link, whatever a careless client does with it.

    The wide signs show as written and are no tags, so "<25 nmol/L" stays a bound.
    """
    return _unaddressed(plain(text, limit)).replace("](", "] (").replace("<", "＜").replace(">", "＞")


def _unaddressed(line: str) -> str:
    return _WEB_ADDRESS.sub("www .", line.replace("://", ": //").replace("@", "(at)"))


def sentence(text: str) -> str:
    """A heading as a sentence, with the full stop of its script."""
    bare = text.rstrip(".。")
    return f"{bare}。" if _CHINESE.search(bare) else f"{bare}."


def summary(text: str) -> str:
    """A card's summary: plain text of at most 139 characters (cds-hooks_2.0: fewer than 140)."""
    return plain(text.replace("<", "＜").replace(">", "＞"), SUMMARY_LIMIT)
