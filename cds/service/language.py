"""Which language an answer speaks: Accept-Language (RFC 9110, 12.5.4), looked up as in RFC 4647, 3.4.

A range is shortened from its end until it names a language we have: es-MX is es. Chinese is the exception, because its
script decides whether a reader can read it: zh, and the regions that write it so, mean zh-Hans; zh-TW never does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_LONGEST = 1000
_MOST_RANGES = 30
_RANGE = re.compile(r"(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)(?:\s*;\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?")
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


def negotiate(header: str | None, languages: Sequence[str], default: str) -> str:
    """The language of ``languages`` that the header asks for most; ``default`` when it asks for none of them.

    Of equal weights the first counts. What is no language range is passed over. With q=0 a language is refused.
    """
    refused: set[str] = set()
    wanted: list[tuple[float, str]] = []
    for name, weight in _ranges(header or ""):
        if weight == 0:
            refused |= {found for found in [look_up(name, languages)] if found and name != "*"}
        else:
            wanted.append((weight, name))
    for _, name in sorted(wanted, key=lambda row: -row[0]):
        if name == "*":
            others = (default, *languages)
            return next((language for language in others if language not in refused), default)
        found = look_up(name, languages)
        if found is not None and found not in refused:
            return found
    return default


def look_up(tag: str, languages: Sequence[str]) -> str | None:
    """The language that serves readers of ``tag``; None when there is none."""
    subtags = tag.strip().lower().replace("_", "-").split("-")
    if subtags[0] in ("zh", "cmn"):
        subtags = ["zh", "hant"] if _TRADITIONAL & set(subtags) and "hans" not in subtags else ["zh", "hans"]
        return next((language for language in languages if language.lower() == "-".join(subtags)), None)
    while subtags:
        for language in languages:
            if language.lower() == "-".join(subtags):
                return language
        subtags.pop()
    return None


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    """Each range with its weight."""
    for part in header[:_LONGEST].split(",")[:_MOST_RANGES]:
        match = _RANGE.fullmatch(part.strip())
        if match is not None:
            yield match[1], float(match[2] or 1)
