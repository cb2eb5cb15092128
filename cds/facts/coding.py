"""From codes and text to concepts: which value sets a CodeableConcept belongs to, what a text says, and which side.

Codes decide. Text is read only where no code of the same family is known, honours negation, and is marked as text: it
never makes a critical card on its own. The negation is in the manner of NegEx (Chapman 2001): a negating word reaches
forward to the finding, not backward, so that "swollen left calf with no redness" still says swollen.

A finding is named by a whole phrase ("pedal oedema") or by a sign and a place in any order ("swollen left lower leg",
"right calf: redness, warmth"): the place named nearest to the sign decides, be it one that the sign does not count for.
"""

from __future__ import annotations

import re
import uuid
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
_HOST = re.compile(r"[A-Za-z]+://[^/]*|urn:oid:", re.IGNORECASE)
_LONGEST_TEXT = 2000
OWN_SYSTEM = uuid.uuid4().urn
"""Codes of this system are our concepts themselves. Each process draws its own, so that no client can name it."""

_CLAUSE = re.compile(r"[.;,\n。；，、]|\bbut\b|\bhowever\b|\balthough\b")
# "Not improving" and "no relief" say that the finding is there.
_PSEUDO = re.compile(
    r"\bnot (?:only|sure|certain|clear|known|improv\w*|reliev\w*|resolv\w*|better|gone|settl\w*)\b"
    r"|\bno (?:change|better|improvement|relief|doubt)\b|\bwithout (?:relief|improvement|change)\b"
)
_BEFORE = re.compile(
    r"\b(?:no longer(?: (?:has|have|is|reports|complains of))?|no|nil|not|never|without|denie[sd]|deny|denying"
    r"|neg(?:ative)? for|absence of|free of|rule out|ruled out|excluded?|sin|niega|descartad[ao]|sans|pas de|nie)\b"
    r"|无|否认|没有|未见|排除"
)
_AFTER = re.compile(
    r"\W*(?:(?:is|are|was|were|has|have|been)\s+)*"
    r"(?:(?:no|none|nil|negative)\s*$"
    r"|free\b|(?:absent|denied|resolved|gone|ruled out|excluded|not (?:present|seen|found|noted))\b)"
)
_NON = re.compile(r"\bnon[- ]?$")
# Chinese puts no space between words: a phrase is found wherever it stands.
_UNSPACED = re.compile("[\u3400-\u9fff]")
# Words between a negation and a finding that end the reach of the negation: something new is being said.
_NEW_STATEMENT = re.compile(
    r"\b(?:with|presents|presenting|reports?|complains|has|have|had|is|are|now|since|then|except"
    r"|and (?:the|her|a|an|left|right|both|one|new|mild|severe|marked|there))\b"
)
_JOINED = re.compile(r"\band\b")
_REACH = 6
_STATEMENT = re.compile(r"[.;\n]|\bbut\b|\bhowever\b|\balthough\b")
# A list that is denied, from its first word; after "denies" every noun of it is.
_LIST_OPENED = re.compile(
    r"\W*(?:(?:she|he|pt|patient|woman|currently|has|have|there (?:is|are|was)) )*"
    r"(?:no(?: (?:evidence|signs?|history) of)?|nil|denie[sd]|deny|denying|neg(?:ative)? for|without|absence of)\b"
    r"(?! longer)"
)
_LISTING = re.compile(r"\b(?:denie[sd]|deny|denying|neg(?:ative)? for)\b")
# Said of her, not named: it may begin something new after a comma.
_STATE = re.compile(
    r"(?:short of|out of|breathless|faint|collapsed|passed|blacked|cough|can|throwing|vomits|vomited|confused|disorient"
    r"|dehydrated|convulsing|lost|seeing|swollen|puffy)"
)
_ANOTHER_PERSON = re.compile(
    r"\b(?:family|fhx?|father|sister|brother|sibling|aunt|uncle|grandmother|grandfather|cousin|husband|partner"
    r"|(?:her|patient's|maternal) mother|mother's|mother had|mother has|familiar(?:es)?|madre|padre"
    r"|familial de|familiaux)\b"
    r"|家族|母亲|父亲|姐妹|兄弟"
)
# What she was told to look out for, and what was in another pregnancy, is not what there is now.
_ADVICE = re.compile(
    r"\b(?:(?:advise[ds]?|told|asked|reminded|instructed|counsell?ed)(?: \w+){0,2}? to (?:report|watch|look out)"
    r"|(?:return|report|call|ring|come back|attend|contact|seek)(?: \w+){0,2}? if"
    r"|(?:educat|counsell?|taught|teach)\w* (?:\w+ )?(?:on|about|regarding|re) [^.;:,\n]{0,40}?"
    r"(?:signs|symptoms|red flags?)"
    r"|report any|safety[- ]?net\w*|watch for|look out for|in case of|if (?:any|she (?:develops|notices|gets)))"
    r"\b(?:(?!\bbut\b|\bhowever\b|\balthough\b|\bnow\b|\btoday\b)[^.;\n])*"
)
_ANOTHER_PREGNANCY = re.compile(
    r"\b(?:history of|h/o|hx of|had)\b[^.;,\n]{0,80}?\b(?:in|during|after|with) (?:her |the |a )?"
    r"(?:last|previous|prior|earlier|first|second|third) (?:pregnanc(?:y|ies)|birth|delivery|child|baby)\b"
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
    host = _HOST.match(plain)
    plain = plain[: host.end()].lower() + plain[host.end() :] if host else plain
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
    return tuple(Match(id, row) for system, code, _ in codings(concept) for id, row in _owners(base, system, code))


def own(*concepts: str) -> list[dict[str, str]]:
    """Codings that mean exactly these concepts, for resources that a reader makes itself."""
    return [{"system": OWN_SYSTEM, "code": concept} for concept in concepts]


def _owners(base: KnowledgeBase, system: str, code: str) -> tuple[tuple[str, Code], ...]:
    if system == OWN_SYSTEM:
        return ((code, Code(system, code, base.concepts[code].title)),) if code in base.concepts else ()
    return base.concepts_of(system, code)


def by_text(concepts: Iterable[Concept], spoken: Iterable[str]) -> tuple[Match, ...]:
    """Every concept that a text names and does not deny."""
    rows = tuple(spoken)
    return tuple(Match(c.id, None, text) for c in concepts for text in rows if judged(text, c))


def judged(text: str, concept: Concept, *, here: bool = False) -> bool | None:
    """True when ``text`` states the concept, False when it only denies it, None when it does neither or both may be.

    ``here``: the record says elsewhere (bodySite) that it is about the place, so that a sign needs no place of its own.
    """
    lowered = _lowered(text, concept.void)
    return _verdict([*_phrases(lowered, _any_of(concept.text)), *_signs(lowered, concept, here)])


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


def states(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether ``text`` says what the pattern (lower case) matches, not negated, about the patient."""
    return _verdict(_phrases(_lowered(text, ()), pattern)) is True


def clauses(text: str) -> list[str]:
    """The parts of a text that each say one thing."""
    return _CLAUSE.split(_lowered(text, ()))


def _stated(text: str, phrases: tuple[str, ...], void: tuple[str, ...]) -> bool | None:
    """True for a statement, False for a denial; None when nothing is named or it cannot be told which."""
    return _verdict(_phrases(_lowered(text, void), _any_of(phrases)))


def _lowered(text: str, void: tuple[str, ...]) -> str:
    """The text as it is searched. A void phrase is blotted out: "history of seizures; seizure today" says seizure."""
    lowered = _ANOTHER_PREGNANCY.sub(" ", _ADVICE.sub(" ", text[:_LONGEST_TEXT].lower()))
    blot = _any_of(void)
    return blot.sub(" ", lowered) if blot is not None else lowered


def _verdict(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    if True in found:
        return True
    return False if found and None not in found else None


def _phrases(lowered: str, pattern: re.Pattern[str] | None) -> Iterator[bool | None]:
    """The polarity of each phrase named."""
    # Most texts name none of them: one look over the whole saves taking them apart.
    if pattern is None or pattern.search(lowered) is None:
        return
    for statement in _STATEMENT.split(lowered):
        row = statement.split(",")
        for index, clause in enumerate(row):
            for hit in () if _ANOTHER_PERSON.search(clause) else pattern.finditer(clause):
                said = _polarity(clause, hit.start(), hit.end())
                yield False if said and _in_denied_list(row, index, hit) else said


def _in_denied_list(row: list[str], index: int, hit: re.Match[str]) -> bool:
    """Whether a phrase only goes on with a list that began with a denial.

    "No chest pain, dyspnoea or syncope" (the "or" tells), "denies chest pain, dyspnoea"; not "no fever, breathless".
    """
    parts = row[index:]
    if any(_NEW_STATEMENT.search(part) or len(part.split()) > _REACH for part in parts[:1]):
        return False
    for before in range(index - 1, -1, -1):
        opened = _LIST_OPENED.match(row[before])
        if opened is None and (_NEW_STATEMENT.search(row[before]) or len(row[before].split()) > _REACH):
            return False
        if opened is not None:
            said = row[before][opened.end() :]
            if _NEW_STATEMENT.search(said) or len(said.split()) > _REACH:
                return False
            joined = next((part for part in parts if re.search(r"\bn?or\b", part)), None)
            if joined is not None and all(len(part.split()) <= _REACH for part in parts[: parts.index(joined) + 1]):
                return True
            alone = not re.sub(r"\W|\band\b", "", row[index][: hit.start()] + row[index][hit.end() :])
            return bool(_LISTING.search(opened[0])) and alone and _STATE.match(hit[0]) is None
    return False


def _polarity(clause: str, start: int, end: int) -> bool | None:
    """Whether the finding at ``start:end`` of the clause is stated, denied, or joined to a denial by a bare "and"."""
    if _NON.search(clause[:start]) or _AFTER.match(clause[end:]):
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
    """Any of the phrases as whole words where a script has spaces, the longest first; None when there is none."""
    words = sorted({phrase.lower() for phrase in phrases}, key=lambda p: (-len(p), p))
    unspaced = [re.escape(word) for word in words if _UNSPACED.search(word)]
    spaced = [re.escape(word) for word in words if not _UNSPACED.search(word)]
    rows = [rf"(?<!\w)(?:{'|'.join(spaced)})(?:s|es)?(?!\w)"] if spaced else []
    return re.compile("|".join([*rows, *unspaced])) if words else None


# -- a sign and its place ---------------------------------------------------------------------------------------------

_SENTENCE = re.compile(r"[.\n]")
_BREAK = re.compile(r"([;,]|\bbut\b|\bhowever\b|\balthough\b)")
# Places with no more than this between them are one place: "hands and feet", "back of the left calf".
_GLUE = re.compile(
    r"(?:\W|\b(?:and|or|the|her|of|in|to|into|down|from|left|right|both|lower|upper|pain|radiat\w+|spreading)\b)*"
)
# "Swollen up to the groin" says how far, not where.
_EXTENT = re.compile(r"\bto (?:the |her |mid[- ]?)*$")
_FILLER = re.compile(r"\b(?:of|in|the|her|left|right|both|lower|upper|whole|entire)\b")
_JOINER = re.compile(r"\b(?:and|or|with|plus|also|then)\b|[&+/]")
_LIKE = re.compile(r"[- ]?like\b")
_SIGN_WORD = (
    r"(?:swell\w*|swollen|o?edema\w*|red\w*|erythem\w*|warm\w*|hot|tender\w*|pain\w*|ach(?:e|es|ing|y)|sore\w*)"
)
_HAS_SIGN = re.compile(rf"\b{_SIGN_WORD}\b")
# A place without a side may stand in a list ("denies swelling, calf pain or redness"); a side says something new.
_LIST_HEAD = re.compile(
    rf"(?:\W|\b(?:and|or|nor|any|obvious|local|marked|legs?|calf|calves|thighs?|ankles?|feet|{_SIGN_WORD})\b)*"
)
_NOUN_SIGN = re.compile(r"(?:swelling|o?edema|redness|erythema|warmth|tenderness|pains?|aches?|soreness)\b")
_OR_SIGN = re.compile(rf"\bn?or (?:\w+ )?{_SIGN_WORD}\b|^\W*n?or\b")
# "Swelling of the left leg: no" and "pain and swelling denied": what may stand between a sign and its denial.
_TAIL = re.compile(
    rf"(?:\s|\b(?:of|in|to|at|over|on|the|her|left|right|both|either|lower|whole|entire|and|or|{_SIGN_WORD})\b)*"
)


@dataclass(frozen=True)
class _Clause:
    """A clause with what parts it from the one before (empty at the beginning).

    ``places``: (start, end, whether it is a place of the concept) of each place named, in order.
    """

    parted: str
    text: str
    places: list[tuple[int, int, bool]]


def _signs(lowered: str, concept: Concept, here: bool) -> Iterator[bool | None]:
    """The polarity of each sign that belongs to a place of the concept."""
    sign = _any_of(concept.sign)
    if sign is None or not sign.search(lowered):
        return
    for sentence in _SENTENCE.split(lowered):
        if not sign.search(sentence):
            continue
        parts = ["", *_BREAK.split(sentence)]
        row = [
            _Clause(parted, text, _places(concept, text)) for parted, text in zip(parts[::2], parts[1::2], strict=True)
        ]
        for index, clause in enumerate(row):
            for hit in sign.finditer(clause.text):
                if not _ANOTHER_PERSON.search(clause.text) and _in_place(concept, row, index, hit, here):
                    yield _sign_polarity(concept, row, index, hit)


def _in_place(concept: Concept, row: list[_Clause], index: int, hit: re.Match[str], here: bool) -> bool:
    """Whether the sign belongs to the concept's place: named in its clause, before, after, or else by ``here``."""
    text = row[index].text
    if any(_owns(text, owner, hit) for owner in _found(concept.not_of, text)):
        return False
    own = row[index].places
    if own:
        before = [place for place in own if place[1] <= hit.start()][-1:]
        near = before + [place for place in own if place[1] > hit.start()][:1]
        return min(near, key=lambda place: (_distance(text, place, hit), not place[2]))[2]
    for clause, is_before in _neighbours(row, index):
        if clause.places:
            owned = is_before and bool(_found(concept.not_of, clause.text))
            return clause.places[-1 if is_before else 0][2] and not owned and not _ANOTHER_PERSON.search(clause.text)
    return here


def _neighbours(row: list[_Clause], index: int) -> Iterator[tuple[_Clause, bool]]:
    """The clauses before (True), nearest first; then those after, up to a semicolon. Only so far as a list goes."""
    yield from ((clause, True) for clause in reversed(row[max(0, index - _REACH) : index]))
    for clause in row[index + 1 : index + 1 + _REACH]:
        if clause.parted == ";":
            return
        yield clause, False


def _places(concept: Concept, text: str) -> list[tuple[int, int, bool]]:
    """(start, end, whether it is a place of the concept) of each place named in order; joined ones are one place."""
    named = [(hit.start(), hit.end(), True) for hit in _found(concept.site, text)]
    named += [
        (hit.start(), hit.end(), False)
        for hit in _found(concept.elsewhere, text)
        if not _EXTENT.search(text[: hit.start()])
    ]
    places: list[tuple[int, int, bool]] = []
    for start, end, own in sorted(named):
        if places and _GLUE.fullmatch(text[places[-1][1] : start]):
            places[-1] = (places[-1][0], max(end, places[-1][1]), own or places[-1][2])
        else:
            places.append((start, end, own))
    return places


def _found(phrases: tuple[str, ...], text: str) -> list[re.Match[str]]:
    pattern = _any_of(phrases)
    return list(pattern.finditer(text)) if pattern is not None else []


def _between(text: str, start: int, end: int, hit: re.Match[str]) -> str:
    return text[end : hit.start()] if end <= hit.start() else text[hit.end() : start]


def _distance(text: str, place: tuple[int, int, bool], hit: re.Match[str]) -> int:
    """How far a place is from a sign: words between, but "swelling of the left leg" has none and an "and" is many."""
    between = _FILLER.sub(" ", _between(text, place[0], place[1], hit))
    return len(between.split()) + _REACH * len(_JOINER.findall(between))


def _owns(text: str, owner: re.Match[str], hit: re.Match[str]) -> bool:
    """Whether the sign only describes another finding: a painful cramp is a cramp, pain and cramp are two things."""
    if _LIKE.match(text[owner.end() :]):
        return False
    return not _JOINER.search(_between(text, owner.start(), owner.end(), hit))


def _sign_polarity(concept: Concept, row: list[_Clause], index: int, hit: re.Match[str]) -> bool | None:
    """Stated, denied, or unclear: like a phrase, and with the denials of a list ("no swelling, redness or warmth")."""
    text = row[index].text
    plain = _polarity(text, hit.start(), hit.end())
    if plain is not True:
        return plain
    site = _any_of(concept.site)
    after = site.sub(" ", text[hit.end() :]) if site is not None else text[hit.end() :]
    tail = _TAIL.match(after)
    if tail is not None and _AFTER.match(after[tail.end() :]):
        return None if _JOINED.search(tail[0]) else False
    if not _continues_denial(row, index, text[: hit.start()]):
        return True
    rest = [text, *(clause.text for clause, is_before in _neighbours(row, index) if not is_before)]
    if any(_OR_SIGN.search(part) for part in rest):
        return False
    listing = any(_LISTING.search(clause.text) for clause, is_before in _neighbours(row, index) if is_before)
    noun_only = _NOUN_SIGN.match(text, hit.start()) is not None and not text[hit.end() :].strip()
    return True if row[index].places and not (listing and noun_only) else None


def _continues_denial(row: list[_Clause], index: int, head: str, left: int = _REACH) -> bool:
    """Whether the clause, up to ``head``, only lists on after a clause that denies another sign."""
    if index == 0 or left == 0 or row[index].parted != "," or not _LIST_HEAD.fullmatch(head):
        return False
    before = _PSEUDO.sub(" ", row[index - 1].text)
    negations = list(_BEFORE.finditer(before))
    if not negations:
        return bool(_HAS_SIGN.search(before)) and _continues_denial(row, index - 1, before, left - 1)
    reached = before[negations[-1].end() :]
    is_near = len(reached.split()) <= _REACH and not _NEW_STATEMENT.search(reached)
    return is_near and bool(_HAS_SIGN.search(reached))


# -- side -------------------------------------------------------------------------------------------------------------

_LEFT_AND_RIGHT = re.compile(
    r"\bleft (?:\w+ )?(?:and|&|\+|/) (?:the )?right\b|\bright (?:\w+ )?(?:and|&|\+|/) (?:the )?left\b|\bleft/right\b"
)
_SIDE_BEFORE = re.compile(r"\b(?:left|right|both|bilateral)(?: (?:upper|lower))?[ -]$")
# "Left arm and leg": the side is also that of the leg. "On the right hand side" names a side.
_SIDE_AFTER = re.compile(
    r"[ -]side\b"
    r"| (?:(?:and|or|&|radiating|spreading|extending|down|into|to|lower|the|her|pain) )+"
    r"(?:leg|calf|calves|foot|feet|thigh|ankle|shin|limb)"
)
_ONE = re.compile(
    r"\b(?:unilateral(?:ly)?|one[- ]sided|(?:one|single) (?:lower )?(?:leg|calf|ankle|foot|thigh|limb|extremity)"
    r"|one of (?:her|the|your|my|their) (?:legs|calves|ankles|feet|thighs)|asymmetr\w+)\b"
)


@dataclass(frozen=True)
class Site:
    """Body site and side of a finding.

    ``leg`` when a leg is named, ``elsewhere`` when only another place is; ``side`` is left, right, both, one (one side,
    not said which) or unknown.
    """

    leg: bool
    side: str
    elsewhere: bool = False


def site_of(
    base: KnowledgeBase,
    sites: Iterable[Any],
    spoken: Iterable[str],
    code: Code | None = None,
    elsewhere: tuple[str, ...] = (),
) -> Site:
    """Side and site from bodySite CodeableConcepts, from the code itself, and from text, in that order.

    The side of a place in ``elsewhere`` is not the side of the finding.
    """
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
    return Site(leg, one_side(sides or _side_in(base, words, elsewhere)), given and not leg)


def _names_leg(base: KnowledgeBase, spoken: tuple[str, ...]) -> bool:
    return bool(by_text((base.concepts["leg"],), spoken))


def _side_in(base: KnowledgeBase, spoken: tuple[str, ...], elsewhere: tuple[str, ...] = ()) -> set[str]:
    """The side that texts speak of. "Left calf swollen, right normal" is about the left: the side named first."""
    sides = set()
    for text in spoken:
        lowered = _without_other_sides(elsewhere, text[:_LONGEST_TEXT].lower())
        if says(lowered, base.concepts["both"].text) or _LEFT_AND_RIGHT.search(lowered):
            sides.add("both")
            continue
        named = {side: _first(base.concepts[side].text, lowered) for side in ("left", "right")}
        first = min(named, key=lambda side: named[side])
        if named[first] < len(lowered):
            sides.add(first)
        elif _ONE.search(lowered):
            sides.add("one")
    return sides


def _without_other_sides(elsewhere: tuple[str, ...], lowered: str) -> str:
    """The text without the sides of other places: "swelling of both hands, pain in the left leg" is about the left."""
    for hit in reversed(_found(elsewhere, lowered)):
        side = _SIDE_BEFORE.search(lowered[: hit.start()])
        if side is not None and not _SIDE_AFTER.match(lowered[hit.end() :]):
            lowered = lowered[: side.start()] + lowered[hit.start() :]
    return lowered


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
