"""From codes and text to concepts: which value sets a CodeableConcept belongs to, what a text says, and which side.

Codes decide. Text is read only where no code of the same family is known, honours negation, and is marked as text: it
never makes a critical card on its own. The negation is in the manner of NegEx (Chapman 2001): a negating word reaches
forward to the finding, not backward, so that "swollen left calf with no redness" still says swollen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cds.knowledge.model import Code, Concept, KnowledgeBase

# The same code systems under the names that FHIR R4 lists beside the URL.
_SYSTEM_ALIASES = {
    "urn:oid:2.16.840.1.113883.6.1": "http://loinc.org",
    "urn:oid:2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "urn:oid:2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "urn:oid:2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
    "urn:oid:2.16.840.1.113883.6.73": "http://www.whocc.no/atc",
}
_LONGEST_TEXT = 2000

_CLAUSE = re.compile(r"[.;,\n]|\bbut\b|\bhowever\b|\balthough\b")
# "Not improving" and "no relief" say that the finding is there.
_PSEUDO = re.compile(
    r"\bnot (?:only|sure|certain|clear|known|improv\w*|reliev\w*|resolv\w*|better|gone|settl\w*)\b"
    r"|\bno (?:change|better|improvement|relief|doubt)\b|\bwithout (?:relief|improvement|change)\b"
)
_BEFORE = re.compile(
    r"\b(?:no|not|never|without|denie[sd]|deny|denying|negative for|absence of|free of|rule out|ruled out|excluded?)\b"
)
_AFTER = re.compile(
    r"\W*(?:(?:is|are|was|were|has|have|been)\s+)*"
    r"(?:(?:no|none|nil|negative)\s*$"
    r"|(?:absent|denied|resolved|gone|ruled out|excluded|not (?:present|seen|found|noted))\b)"
)
# Words between a negation and a finding that end the reach of the negation: something new is being said.
_NEW_STATEMENT = re.compile(
    r"\b(?:with|presents|presenting|reports?|complains|has|have|had|is|are|now|since|then|except"
    r"|and (?:the|her|a|an|left|right|both|one|new|mild|severe|marked|there))\b"
)
_JOINED = re.compile(r"\band\b")
_REACH = 6
_ANOTHER_PERSON = re.compile(
    r"\b(?:family|fhx?|father|sister|brother|sibling|aunt|uncle|grandmother|grandfather|cousin|husband|partner"
    r"|(?:her|patient's|maternal) mother|mother's|mother had|mother has)\b"
)


@dataclass(frozen=True)
class Match:
    """A concept that a CodeableConcept means: by ``code``, or by text when ``code`` is None."""

    concept: str
    code: Code | None
    text: str = ""


def normal_system(system: str) -> str:
    """The code system's URL without version, trailing slash or https spelling."""
    plain = system.strip().split("|")[0].rstrip("/")
    if plain.startswith("https://"):
        plain = "http://" + plain.removeprefix("https://")
    if plain.startswith("http://snomed.info/sct/"):
        plain = "http://snomed.info/sct"
    return _SYSTEM_ALIASES.get(plain, plain)


def _member(holder: Any, name: str) -> Any:
    """A member of a raw JSON object or of a model; None when there is none."""
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _rows(concept: Any) -> list[Any]:
    rows = _member(concept, "coding")
    return rows if isinstance(rows, list) else [rows] if isinstance(rows, dict) else []


def codings(concept: Any) -> Iterator[tuple[str, str, str]]:
    """(system, code, display) of each coding of a raw or modelled CodeableConcept that has system and code."""
    for row in _rows(concept):
        system, code, display = (_member(row, name) for name in ("system", "code", "display"))
        if isinstance(system, str) and isinstance(code, str):
            yield normal_system(system), code.strip(), display if isinstance(display, str) else ""


def texts(concept: Any) -> tuple[str, ...]:
    """The text and displays of a raw or modelled CodeableConcept, each once."""
    found = [_member(concept, "text"), *(_member(row, "display") for row in _rows(concept))]
    return tuple(dict.fromkeys(t for t in found if isinstance(t, str) and t.strip()))


def by_code(base: KnowledgeBase, concept: Any) -> tuple[Match, ...]:
    """Every concept that one of the codings belongs to."""
    return tuple(Match(id, row) for system, code, _ in codings(concept) for id, row in base.concepts_of(system, code))


def by_text(concepts: Iterable[Concept], spoken: Iterable[str]) -> tuple[Match, ...]:
    """Every concept that a text names and does not deny."""
    rows = tuple(spoken)
    return tuple(Match(c.id, None, text) for c in concepts for text in rows if says(text, c.text, c.void))


def says(text: str, phrases: tuple[str, ...], void: tuple[str, ...] = ()) -> bool:
    """Whether ``text`` names a phrase as whole words, outside the void phrases, not negated, about the patient."""
    return _stated(text, phrases, void) is True


def denies(text: str, phrases: tuple[str, ...], void: tuple[str, ...] = ()) -> bool:
    """Whether ``text`` names one of the phrases only to deny it."""
    return _stated(text, phrases, void) is False


def names(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether ``text`` names one of the phrases at all, stated or denied."""
    pattern = _any_of(phrases)
    return pattern is not None and pattern.search(text[:_LONGEST_TEXT].lower()) is not None


def _stated(text: str, phrases: tuple[str, ...], void: tuple[str, ...]) -> bool | None:
    """True for a statement, False for a denial; None when nothing is named or it cannot be told which."""
    pattern = _any_of(phrases)
    if pattern is None:
        return None
    lowered = text[:_LONGEST_TEXT].lower()
    blot = _any_of(void)
    if blot is not None:
        # Only the longer phrase is blotted out: "history of seizures; seizure today" still says seizure.
        lowered = blot.sub(" ", lowered)
    answers = [
        _polarity(clause, hit.start(), hit.end())
        for clause in _CLAUSE.split(lowered)
        for hit in pattern.finditer(clause)
        if not _ANOTHER_PERSON.search(clause)
    ]
    if True in answers:
        return True
    return False if answers and None not in answers else None


def _polarity(clause: str, start: int, end: int) -> bool | None:
    """Whether the finding at ``start:end`` of the clause is stated, denied, or joined to a denial by a bare "and"."""
    if _AFTER.match(clause[end:]):
        return False
    before = _PSEUDO.sub(" ", clause[:start])
    negations = list(_BEFORE.finditer(before))
    if not negations:
        return True
    between = before[negations[-1].end() :]
    if _NEW_STATEMENT.search(between) or len(between.split()) > _REACH:
        return True
    return None if _JOINED.search(between) else False


@lru_cache(maxsize=1024)
def _any_of(phrases: tuple[str, ...]) -> re.Pattern[str] | None:
    """Any of the phrases as whole words, the longest first; None when there is none."""
    words = sorted({phrase.lower() for phrase in phrases}, key=lambda p: (-len(p), p))
    if not words:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?:s|es)?(?!\w)")


# -- side -------------------------------------------------------------------------------------------------------------

_LEFT_AND_RIGHT = re.compile(
    r"\bleft (?:\w+ )?(?:and|&|\+|/) (?:the )?right\b|\bright (?:\w+ )?(?:and|&|\+|/) (?:the )?left\b|\bleft/right\b"
)
_ONE = re.compile(r"\b(?:unilateral(?:ly)?|one[- ]sided|one (?:leg|calf|ankle|foot|thigh)|asymmetr\w+)\b")


@dataclass(frozen=True)
class Site:
    """Body site and side of a finding.

    ``leg`` when a leg is named, ``elsewhere`` when only another place is; ``side`` is left, right, both, one (one side,
    not said which) or unknown.
    """

    leg: bool
    side: str
    elsewhere: bool = False


def site_of(base: KnowledgeBase, sites: Iterable[Any], spoken: Iterable[str], code: Code | None = None) -> Site:
    """Side and site from bodySite CodeableConcepts, from the code itself, and from text, in that order."""
    sides: set[str] = set()
    leg = given = False
    for site in sites:
        given = True
        matched = {match.concept for match in by_code(base, site)}
        leg = leg or "leg" in matched or _names_leg(base, texts(site))
        sides |= matched & {"left", "right", "both"} or _side_in(base, texts(site))
    if code is not None and code.side:
        sides.add(code.side)
        leg = True
    words = tuple(spoken)
    leg = leg or _names_leg(base, words)
    return Site(leg, one_side(sides or _side_in(base, words)), given and not leg)


def _names_leg(base: KnowledgeBase, spoken: tuple[str, ...]) -> bool:
    return bool(by_text((base.concepts["leg"],), spoken))


def _side_in(base: KnowledgeBase, spoken: tuple[str, ...]) -> set[str]:
    """The side that texts speak of. "Left calf swollen, right normal" is about the left: the side named first."""
    sides = set()
    for text in spoken:
        lowered = text[:_LONGEST_TEXT].lower()
        if says(text, base.concepts["both"].text) or _LEFT_AND_RIGHT.search(lowered):
            sides.add("both")
            continue
        named = {side: _first(base.concepts[side].text, lowered) for side in ("left", "right")}
        first = min(named, key=lambda side: named[side])
        if named[first] < len(lowered):
            sides.add(first)
        elif _ONE.search(lowered):
            sides.add("one")
    return sides


def _first(phrases: tuple[str, ...], lowered: str) -> int:
    """Where the first of the phrases begins; the length of the text when there is none."""
    pattern = _any_of(phrases)
    hit = pattern.search(lowered) if pattern is not None else None
    return hit.start() if hit else len(lowered)


def one_side(sides: Iterable[str]) -> str:
    """One word for all sides named: a left and a right finding are a finding on both sides."""
    named = set(sides) - {"unknown"}
    if "both" in named or {"left", "right"} <= named:
        return "both"
    return next(iter(sorted(named - {"one"})), "one" if named else "unknown")
