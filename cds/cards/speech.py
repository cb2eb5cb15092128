"""How a card speaks: English as rules and fact layer say it, or another language, all of it or not at all.

The fact layer says in English what it found ("no final result in the data supplied"). A language file gives templates
for these sentences, with slots for what differs; they are matched here, the most literal first. What a clinician wrote
and what the record names stays as it is. One piece without a translation raises Untranslated: a card in two languages
would be read wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cds.cards.text import fill
from cds.facts.model import Fact
from cds.knowledge.languages import CARD_WORDS, ENGLISH, Language, Translated, quantity_in
from cds.knowledge.model import EvidenceSource, FactKey, KnowledgeBase, Threshold

# Kinds whose value is what the record says: without a template it is shown as it is.
_RECORD_KINDS = frozenset({
    "lab", "vital", "condition", "allergy", "procedure", "request", "symptom", "order", "medication", "intake",
})  # fmt: skip
# Their values list product names; templates are looked for where an amount stands: at the beginning and in brackets.
_LISTS = frozenset({"order", "medication", "intake"})
_LONGEST = 1000

_NAME = r"[A-Za-z]+(?:/[A-Za-z0-9._:-]+| without id)(?: item [A-Za-z0-9._/-]+)?"
_PATTERNS = {
    "day": r"\d{4}(?:-\d{2}(?:-\d{2})?)?",
    "number": r"-?\d+(?:\.\d+)?",
    "name": _NAME,
    "names": rf"{_NAME}(?:, {_NAME})*",
    "path": r"[^']+",
    "quantity": r"-?\d[\d.,]*(?: [\w/%\[\].]+)*",
}
_SLOT = re.compile(r"\{([a-z]+)([2-9]?)\}")


class Untranslated(Exception):
    """The language lacks a text of this card. The message names no text: it may be the patient's."""


class Speech:
    """English."""

    tag = ENGLISH
    space = " "
    """Between two sentences."""
    comma, semicolon = ", ", "; "
    """Between the items of a list."""

    def word(self, name: str, **slots: str) -> str:
        """A text of the card itself."""
        return fill(CARD_WORDS[name], slots)

    def line(self, fact: Fact) -> str:
        """The fact as a line of proof: title, value, day, sources; plain text, not yet escaped."""
        return fact.line

    def shown(self, fact: Fact) -> str:
        """The value in a sentence, or the title of a fact that has none."""
        return fact.shown or fact.title

    def brief(self, fact: Fact) -> str:
        """The value in a summary."""
        return fact.brief or self.shown(fact)

    def phrase(self, text: str) -> str:
        """A reason or remark of the fact layer."""
        return text

    def title(self, key: FactKey, title: str) -> str:
        """The name of a fact."""
        return title

    def quoted(self, threshold: Threshold) -> str:
        """A threshold as texts quote it."""
        return threshold.quoted

    def strength(self, name: str) -> str:
        return name

    def source(self, source: EvidenceSource) -> str:
        """The title of one of our own texts; others are named by organisation and year."""
        return source.title


@dataclass(frozen=True)
class _Template:
    """A sentence with slots, compiled, and its translation."""

    pattern: re.Pattern[str]
    said: str


class Foreign(Speech):
    """Another language; every method raises Untranslated for what its file does not say."""

    def __init__(self, base: KnowledgeBase, translated: Translated) -> None:
        language = translated.language
        self.tag = language.tag
        self.space = " " if language.spaces else ""
        if not language.spaces:
            self.comma, self.semicolon = "，", "；"
        self.base = translated.base
        self.rules = translated.rules
        self._language = language
        titles = {base.title_of(key): said for key, said in _facts(language).items()}
        concepts = language.texts["concepts"]
        titles.update({base.concepts[name].title: said for name, said in concepts.items() if name in base.concepts})
        self._titles: Mapping[str, str] = {**titles, **language.parts}
        parts = "|".join(map(re.escape, sorted(language.parts, key=len, reverse=True)))
        self._phrases = _compiled(language.phrases, parts)
        # A value of a record kind is no sentence of ours, even if it looks like one.
        self._shown = {
            kind: _compiled(texts if kind in _RECORD_KINDS else {**language.phrases, **texts}, parts)
            for kind, texts in language.shown.items()
        }

    def word(self, name: str, **slots: str) -> str:
        return fill(self._entry("card", name), slots)

    def line(self, fact: Fact) -> str:
        title = self.title(fact.key, fact.title)
        if fact.state != "known":
            return self.word("pair", title=title, value=self.phrase(fact.reason))
        parts = [self.word("pair", title=title, value=self._value(fact)) if fact.shown else title]
        if fact.day is not None:
            parts.append(fact.day.isoformat())
        return self.comma.join([*parts, *(self._name(source) for source in fact.sources)])

    def shown(self, fact: Fact) -> str:
        return self._value(fact) if fact.shown else self.title(fact.key, fact.title)

    def brief(self, fact: Fact) -> str:
        # A short form is product names or a result, which are the record's, but for the amount of a total.
        if fact.brief and fact.key[0] == "intake":
            return self._inside(fact.brief, self._shown.get("intake", []))
        return fact.brief or self.shown(fact)

    def phrase(self, text: str) -> str:
        return self._phrase(text, self._phrases)

    def title(self, key: FactKey, title: str) -> str:
        return self._title(title)

    def quoted(self, threshold: Threshold) -> str:
        return self._quantity(threshold.quoted)

    def strength(self, name: str) -> str:
        return self._entry("strengths", name)

    def source(self, source: EvidenceSource) -> str:
        return self._entry("sources", source.id)

    # -- values and sentences -----------------------------------------------------------------------------------------

    def _value(self, fact: Fact) -> str:
        kind = fact.key[0]
        templates = self._shown.get(kind, [])
        if kind in _LISTS:
            return self._inside(fact.shown, templates)
        try:
            return self._phrase(fact.shown, templates)
        except Untranslated:
            if kind not in _RECORD_KINDS:
                raise
            return fact.shown

    def _inside(self, text: str, templates: list[_Template]) -> str:
        """The text with the amounts in it translated; product names stay as they are."""
        if len(text) > _LONGEST:
            return text
        done, at = [], 0
        while at < len(text):
            spoken = at == 0 or text[at] == "(" or text[:at].endswith("; ")
            said, end = self._here(text, at, templates) if spoken else (text[at], at + 1)
            done.append(said)
            at = end
        return "".join(done)

    def _here(self, text: str, at: int, templates: list[_Template]) -> tuple[str, int]:
        """The translation of what begins at ``at`` with its end, or the next sign as it is."""
        for template in templates:
            match = template.pattern.match(text, at)
            if match is not None:
                try:
                    return self._said(template, match, templates), match.end()
                except Untranslated:
                    continue
        return text[at], at + 1

    def _phrase(self, text: str, templates: list[_Template]) -> str:
        """The translation of a whole sentence; several may be joined by a semicolon."""
        if len(text) <= _LONGEST:  # longer ones come from no template of ours
            for template in templates:
                match = template.pattern.fullmatch(text)
                if match is not None:
                    try:
                        return self._said(template, match, templates)
                    except Untranslated:
                        continue
            if "; " in text:
                return self.semicolon.join(self._phrase(part, templates) for part in text.split("; "))
        raise Untranslated

    def _said(self, template: _Template, match: re.Match[str], templates: list[_Template]) -> str:
        slots = {
            name: self._slot(name.rstrip("23456789"), found, templates) for name, found in match.groupdict().items()
        }
        return fill(template.said, slots)

    def _slot(self, kind: str, found: str, templates: list[_Template]) -> str:
        if kind == "phrase":
            return self._phrase(found, templates)
        if kind == "rest":
            try:
                return self._phrase(found, templates)
            except Untranslated:
                return found
        if kind in ("title", "part"):
            return self._title(found)
        if kind == "quantity":
            return self._quantity(found)
        if kind in ("name", "names"):
            return self.comma.join(self._name(name) for name in found.split(", "))
        if kind == "path":
            return found.replace(CARD_WORDS["unknown-element"], self.word("unknown-element"))
        return found

    def _title(self, title: str) -> str:
        if title not in self._titles:
            raise Untranslated
        return self._titles[title]

    def _quantity(self, text: str) -> str:
        said = quantity_in(self._language, text)
        if said is None:
            raise Untranslated
        return said

    def _name(self, name: str) -> str:
        """A resource, or an item of a questionnaire, as the card names it; ids stay as they are."""
        name, item, link = name.partition(" item ")
        kind, without, _ = name.partition(" without id")
        said = self.word("without-id", type=kind) if without else name
        return self.word("item", resource=said, link=link) if item else said

    def _entry(self, section: str, name: str) -> str:
        said = self._language.texts[section].get(name)
        if said is None:
            raise Untranslated
        return said


def _facts(language: Language) -> dict[FactKey, str]:
    """The titles of derived facts by key; the file writes a key as `gestation age`."""
    rows = ((name.partition(" "), said) for name, said in language.texts["facts"].items())
    return {(kind, concept): said for (kind, _, concept), said in rows}


def _compiled(texts: Mapping[str, str], parts: str) -> list[_Template]:
    """Templates, those with the most letters of their own first: they are the least likely to match by chance."""
    rows = sorted(texts, key=lambda text: (-len(_SLOT.sub("", text)), text))
    return [_Template(re.compile(_pattern(text, parts), re.DOTALL), texts[text]) for text in rows]


def _pattern(text: str, parts: str) -> str:
    patterns = {**_PATTERNS, "part": parts}
    pieces, at = [], 0
    for slot in _SLOT.finditer(text):
        pieces.append(re.escape(text[at : slot.start()]))
        pieces.append(f"(?P<{slot[1]}{slot[2]}>{patterns.get(slot[1], '.+?')})")
        at = slot.end()
    return "".join([*pieces, re.escape(text[at:])])
