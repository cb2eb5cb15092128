"""From codes and text to concepts: which value sets a CodeableConcept belongs to.

Codes decide. Text is read only where no code is known, honours negation, and is marked as text: it never makes a
critical card on its own.
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
    "urn:oid:2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "urn:oid:2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "urn:oid:2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "urn:oid:2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
    "urn:oid:2.16.840.1.113883.6.73": "http://www.whocc.no/atc",
}
_NEGATION = re.compile(
    r"\b(no|not|none|never|without|denies|denied|deny|negative for|absence of|absent|free of|ruled out|resolved)\b"
)
_CLAUSE = re.compile(r"[.;,\n]|\bbut\b|\bhowever\b")


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


def codings(concept: Any) -> Iterator[tuple[str, str, str]]:
    """(system, code, display) of each coding of a raw or modelled CodeableConcept that has system and code."""
    rows = concept.get("coding") if isinstance(concept, dict) else getattr(concept, "coding", None)
    for row in rows if isinstance(rows, list) else []:
        get = row.get if isinstance(row, dict) else lambda key, row=row: getattr(row, key, None)
        system, code, display = get("system"), get("code"), get("display")
        if isinstance(system, str) and isinstance(code, str):
            yield normal_system(system), code.strip(), display if isinstance(display, str) else ""


def texts(concept: Any) -> tuple[str, ...]:
    """The CodeableConcept's text and displays."""
    if concept is None:
        return ()
    get = concept.get if isinstance(concept, dict) else lambda key: getattr(concept, key, None)
    found = [get("text")]
    for row in get("coding") or []:
        found.append(row.get("display") if isinstance(row, dict) else getattr(row, "display", None))
    return tuple(dict.fromkeys(t for t in found if isinstance(t, str) and t.strip()))


def by_code(base: KnowledgeBase, concept: Any) -> tuple[Match, ...]:
    """Every concept that one of the codings belongs to."""
    found = [
        Match(concept_id, row) for system, code, _ in codings(concept) for concept_id, row in base.codes.get((system, code), ())
    ]
    return tuple(found)


def by_text(concepts: Iterable[Concept], spoken: Iterable[str]) -> tuple[Match, ...]:
    """Every concept that a text names and does not deny."""
    return tuple(
        Match(concept.id, None, text) for concept in concepts for text in spoken if says(text, concept.text, concept.void)
    )


def says(text: str, phrases: tuple[str, ...], void: tuple[str, ...] = ()) -> bool:
    """Whether ``text`` names one of the phrases as whole words, outside the void phrases and not negated in its clause."""
    lowered = text[:2000].lower()
    for word in void:
        # Only the longer phrase is blotted out: "history of seizures; seizure today" still says seizure.
        lowered = _pattern(word).sub(" ", lowered)
    for clause in _CLAUSE.split(lowered):
        for phrase in phrases:
            match = _pattern(phrase).search(clause)
            if match and not _NEGATION.search(clause):
                return True
    return False


def denies(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether ``text`` names one of the phrases only in a negated clause."""
    lowered = text[:2000].lower()
    named = [c for c in _CLAUSE.split(lowered) if any(_pattern(p).search(c) for p in phrases)]
    return bool(named) and all(_NEGATION.search(c) for c in named)


@lru_cache(maxsize=4096)
def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(phrase.lower())}(?:s|es)?(?!\w)")


@dataclass(frozen=True)
class Site:
    """Body site and side of a finding: ``leg`` when a leg is named, ``side`` left, right, both or unknown."""

    leg: bool
    side: str
    elsewhere: bool = False


def site_of(base: KnowledgeBase, sites: Iterable[Any], spoken: Iterable[str], code: Code | None = None) -> Site:
    """Side and site from bodySite CodeableConcepts, from the code itself, and from text, in that order."""
    concepts = {name: base.concepts[name] for name in ("leg", "left", "right", "both") if name in base.concepts}
    sides: set[str] = set()
    leg = False
    given = False
    for site in sites:
        given = True
        matched = {m.concept for m in by_code(base, site)} | {m.concept for m in by_text(concepts.values(), texts(site))}
        leg = leg or "leg" in matched
        sides |= matched & {"left", "right", "both"}
    if code is not None and code.side:
        sides.add(code.side)
        leg = True
    if not sides or not leg:
        words = {m.concept for m in by_text(concepts.values(), spoken)}
        leg = leg or "leg" in words
        if not sides:
            sides |= words & {"left", "right", "both"}
    return Site(leg, _one_side(sides), given and not leg)


def _one_side(sides: set[str]) -> str:
    if "both" in sides or {"left", "right"} <= sides:
        return "both"
    return next(iter(sides)) if sides else "unknown"
