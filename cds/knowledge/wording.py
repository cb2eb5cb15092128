"""What every text that a rule puts on a card must keep to, in whatever language."""

from __future__ import annotations

import re

SUMMARY_LIMIT = 139
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# ASCII: in "补充维生素D3" there is a border between the Chinese word and the name.
_NAMES_WITH_DIGITS = re.compile(r"25-OH|\b(?:19|20)\d\d\b|\bD[23]\b", re.ASCII)


def placeholders(text: str) -> list[str]:
    """The names between braces, in order."""
    return _PLACEHOLDER.findall(text)


def has_number(text: str) -> bool:
    """Whether a number stands in the text itself; years and names like 25-OH are none."""
    return re.search(r"\d", _NAMES_WITH_DIGITS.sub("", _PLACEHOLDER.sub("", text))) is not None
