"""Languages beside English: read, checked, and laid over the rules.

`rules/<topic>/<id>.<tag>.yaml` says in another language what one rule says; `rules/languages/<tag>.yaml` says all else
that a card shows. A translation that would make a card wrong is a problem and stops loading. One that is missing, or
belongs to another version of its rule, is a gap: the card is then English from top to bottom.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cds.knowledge.errors import Problem, did_you_mean
from cds.knowledge.model import (
    Advice,
    CardText,
    KnowledgeBase,
    Rule,
    SuggestionRule,
    TextPart,
    Variant,
    conditions_of,
)
from cds.knowledge.source import Item, Place, Reader
from cds.knowledge.vocabulary import DERIVED_TITLES, HOOKS, STRENGTHS
from cds.knowledge.wording import SUMMARY_LIMIT, has_number, placeholders

ENGLISH = "en"
CARD_WORDS = {
    "pair": "{title}: {value}",
    "based-on": "Based on",
    "not-available": "Not available",
    "not-checked": "Could not be checked",
    "already-applies": "whether this already applies: {titles}",
    "please-note": "Please note",
    "more-remarks": "and {number} more, see the extension {extension}",
    "may-be-wrong": "When this may be wrong: {caution}",
    "redundant": "{title} is already ordered or available ({sources}).",
    "signature": "Rule {names}. Evidence: {evidence} (strength: {strength}). Profile {profile}, knowledge {hash}.",
    "draft": "Draft, not reviewed by a clinician yet.",
    "propose": "Propose: {title}",
    "remove-draft": "Remove the draft order {resource}",
    "put-on-hold": "Propose to put on hold: {resource}",
    "item": "{resource} item {link}",
    "questionnaire": "Questionnaire: {title}",
    "without-id": "{type} without id",
    "unknown-element": "(unknown element)",
}
"""What a card says around the texts of its rules, in English; a language file translates each."""

SLOTS = ("day", "number", "name", "names", "path", "quantity", "text", "rest", "phrase", "title", "part")
"""What may stand in a phrase: `{day2}` is a second `{day}`."""

_FILE_KEYS = (
    "name", "spaces", "card", "services", "usage", "activities", "override-reasons", "strengths", "sources", "facts",
    "parts", "concepts", "units", "phrases", "shown",
)  # fmt: skip
_RULE_KEYS = ("of", "title", "caution", "summary", "detail", "suggest", "variants", "replace", "add")
_FORM_KEYS = ("summary", "detail", "suggest")
_BY_ID = ("card", "activities", "override-reasons", "strengths", "sources", "facts", "concepts")
# Written the same in every language.
_UNITS = frozenset({
    "mmol/L", "mg/dL", "g/L", "g/dL", "nmol/L", "ng/mL", "umol/L", "ug/L", "ug", "mg", "g", "kg", "kg/m2", "cm", "mmHg",
})  # fmt: skip
_UNIT_WORD = re.compile(r"[A-Za-z%\[{][\w/.%\[\]{}]*")


@dataclass(frozen=True)
class Form:
    """The texts of a card or of one variant; None where the file says nothing."""

    summary: str | None = None
    detail: tuple[TextPart, ...] | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RuleText:
    """One rule in another language. ``of`` is the version of the rule that it translates."""

    of: str
    title: str | None
    caution: str | None
    form: Form
    variants: Mapping[str, Form]
    replace: Mapping[str, str]
    add: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class Language:
    """One language file with the rule texts of that language.

    ``texts`` are its sections of id and text (card, activities, facts, ...), ``phrases`` translate what the fact layer
    says in English, ``shown`` the values of one kind of fact; in both, `{slots}` stand for what differs.
    """

    tag: str
    name: str
    spaces: bool
    texts: Mapping[str, Mapping[str, str]]
    services: Mapping[str, tuple[str, str]]
    usage: str
    parts: Mapping[str, str]
    units: Mapping[str, str]
    phrases: Mapping[str, str]
    shown: Mapping[str, Mapping[str, str]]
    rules: Mapping[str, RuleText]
    place: Place


@dataclass(frozen=True)
class Translated:
    """A knowledge base in one language, and the ids of the rules that speak it; the others still speak English."""

    language: Language
    base: KnowledgeBase
    rules: frozenset[str] = field(default_factory=frozenset)


# -- reading ----------------------------------------------------------------------------------------------------------


def read_languages(reader: Reader, root: Path, topics: tuple[str, ...]) -> dict[str, Language]:
    """Every language that has a file in rules/languages, with its rule texts."""
    tags = [path.stem for path in sorted((root / "languages").glob("*.yaml"))]
    rules: dict[str, dict[str, RuleText]] = {tag: {} for tag in tags}
    for topic in topics:
        for path in sorted((root / topic).glob("*.*.yaml")):
            rule_id, tag = path.stem.split(".", 1)
            if tag == "cases":
                continue
            item = reader.file(path, root)
            if tag not in rules:
                item.problem(f"no language '{tag}' in rules/languages{did_you_mean(tag, tags)}")
                continue
            rules[tag][rule_id] = _rule_text(item)
    return {tag: _language(tag, reader.file(root / "languages" / f"{tag}.yaml", root), rules[tag]) for tag in tags}


def _language(tag: str, root: Item, rules: dict[str, RuleText]) -> Language:
    entry = root.mapping(_FILE_KEYS, ("name",))
    services = {}
    for hook, item in entry["services"].items() if "services" in entry else ():
        if hook not in HOOKS:
            item.problem(f"no hook '{hook}'{did_you_mean(hook, HOOKS)}")
        row = item.mapping(("title", "description"), ("title", "description"))
        services[hook] = (_text(row, "title") or "", _text(row, "description") or "")
    shown = {kind: _texts(item) for kind, item in entry["shown"].items()} if "shown" in entry else {}
    return Language(
        tag=tag,
        name=_text(entry, "name") or tag,
        spaces=entry["spaces"].boolean() if "spaces" in entry else True,
        texts={section: _texts(entry.get(section)) for section in _BY_ID},
        services=services,
        usage=_text(entry, "usage") or "",
        parts=_texts(entry.get("parts")),
        units=_texts(entry.get("units")),
        phrases=_texts(entry.get("phrases")),
        shown=shown,
        rules=rules,
        place=root.place,
    )


def _texts(item: Item | None) -> dict[str, str]:
    return {name: value.text() for name, value in item.items()} if item is not None else {}


def _text(entry: Mapping[str, Item], name: str) -> str | None:
    return entry[name].text() if name in entry else None


def _rule_text(item: Item) -> RuleText:
    entry = item.mapping(_RULE_KEYS, ("of",))
    return RuleText(
        of=_text(entry, "of") or "",
        title=_text(entry, "title"),
        caution=_text(entry, "caution"),
        form=_form(entry),
        variants={name: _form(row.mapping(_FORM_KEYS)) for name, row in entry["variants"].items()}
        if "variants" in entry
        else {},
        replace=_texts(entry.get("replace")),
        add=entry["add"].texts() if "add" in entry else (),
        place=item.place,
    )


def _form(entry: Mapping[str, Item]) -> Form:
    return Form(
        summary=_text(entry, "summary"),
        detail=text_parts(entry["detail"]) if "detail" in entry else None,
        labels=entry["suggest"].texts() if "suggest" in entry else None,
    )


def text_parts(item: Item) -> tuple[TextPart, ...]:
    """Detail is one text, or a list of parts; a part with a name can be replaced by a modifier."""
    if not item.is_list:
        return (TextPart(None, item.text()),)
    parts: list[TextPart] = []
    for row in item.list():
        if row.is_mapping:
            parts.extend(TextPart(name, text.text()) for name, text in row.items())
        else:
            parts.append(TextPart(None, row.text()))
    return tuple(parts)


# -- checking ---------------------------------------------------------------------------------------------------------


def check_languages(base: KnowledgeBase) -> Iterator[Problem]:
    """Problems and gaps of every language."""
    for language in base.languages.values():
        yield from _check_file(base, language)
        known = {rule.id: rule for rule in base.rules}
        for rule_id, text in language.rules.items():
            if rule_id not in known:
                yield _problem(text.place, f"there is no rule '{rule_id}'{did_you_mean(rule_id, list(known))}")
        for rule in base.rules:
            yield from _check_rule(base, language, rule)


def _problem(place: Place, message: str) -> Problem:
    return Problem(place.file, place.line, message)


def _gap(place: Place, message: str) -> Problem:
    return Problem(place.file, place.line, message, gap=True)


def _check_file(base: KnowledgeBase, language: Language) -> Iterator[Problem]:
    place = language.place
    for section, wanted in _wanted(base).items():
        given = language.texts[section]
        for name in sorted(wanted - given.keys()):
            yield _gap(place, f"{section}: '{name}' is not translated")
        for name in sorted(given.keys() - _allowed(base, section)):
            yield _gap(place, f"{section}: nothing is named '{name}' any more; drop it")
    for name, text in language.texts["card"].items():
        if name in CARD_WORDS and set(placeholders(text)) != set(placeholders(CARD_WORDS[name])):
            yield _problem(place, f"card: '{name}' needs the placeholders of '{CARD_WORDS[name]}'")
    if set(language.services) != set(HOOKS) or not language.usage:
        yield _gap(place, f"services, usage: title and description of {', '.join(HOOKS)}, and the usage, are needed")
    others = [other for other in base.languages.values() if other is not language]
    for where, phrases, more in (
        ("phrases", language.phrases, [o.phrases for o in others]),
        ("parts", language.parts, [o.parts for o in others]),
        ("units", language.units, [o.units for o in others]),
        *((f"shown.{k}", language.shown.get(k, {}), [o.shown.get(k, {}) for o in others]) for k in _kinds(base)),
    ):
        for name in sorted({name for rows in more for name in rows} - phrases.keys()):
            yield _gap(place, f"{where}: '{name}' is not translated, but another language has it")
        for name, text in phrases.items():
            if sorted(placeholders(name)) != sorted(placeholders(text)):
                yield _problem(place, f"{where}: the placeholders of '{name}' and its translation differ")
            for slot in placeholders(name):
                if slot.rstrip("23456789") not in SLOTS:
                    yield _problem(place, f"{where}: no slot '{{{slot}}}' (known: {', '.join(SLOTS)})")
    for name in sorted(_quoted(base)):
        quoted = base.thresholds[name].quoted
        if quantity_in(language, quoted) is None:
            yield _gap(place, f"units: no words for '{quoted}' (threshold '{name}')")


def _quoted(base: KnowledgeBase) -> set[str]:
    """The thresholds that some card quotes."""
    texts: list[str] = []
    for then in (rule.then for rule in base.rules if rule.then is not None):
        for form in (then.card, *then.variants):
            if form is not None:
                texts += [form.summary or "", *(part.text for part in form.detail or ())]
        if then.modifies is not None:
            texts += [*then.modifies.replace.values(), *then.modifies.add]
    return {name for text in texts for name in placeholders(text) if name in base.thresholds}


def _kinds(base: KnowledgeBase) -> list[str]:
    return sorted({kind for language in base.languages.values() for kind in language.shown})


def _wanted(base: KnowledgeBase) -> dict[str, set[str]]:
    """What a language file must name, by section."""
    clauses = [c for rule in base.rules for c in rule.clauses()]
    clauses += [c for activity in base.activities.values() for c in activity.redundant]
    asked = {c.key for c in conditions_of(iter(clauses)) if c.is_fact}
    cited = {row.source for rule in base.rules for row in rule.evidence}
    return {
        "card": set(CARD_WORDS),
        "activities": set(base.activities),
        "override-reasons": {
            *base.standard_reasons.offered,
            *(reason for rule in base.rules if rule.then for reason in rule.then.override_reasons),
        },
        "strengths": set(STRENGTHS),
        "sources": {name for name in cited if name in base.sources and base.sources[name].read == "local"},
        "facts": {" ".join(key) for key in DERIVED_TITLES},
        "concepts": {key[1] for key in asked if key not in DERIVED_TITLES and key[1] in base.concepts},
    }


def _allowed(base: KnowledgeBase, section: str) -> set[str]:
    names: dict[str, Iterable[str]] = {
        "override-reasons": base.override_reasons,
        "sources": base.sources,
        "concepts": base.concepts,
    }
    return set(names[section]) if section in names else _wanted(base)[section]


def _check_rule(base: KnowledgeBase, language: Language, rule: Rule) -> Iterator[Problem]:
    """Whether the rule can be said in the language; a finding has nothing to say."""
    text = language.rules.get(rule.id)
    if rule.then is None:
        if text is not None:
            yield _problem(text.place, f"finding '{rule.concludes}' has no card, so there is nothing to translate")
    elif text is None:
        yield _gap(rule.place, f"{language.tag}: rule '{rule.id}' is not translated")
    elif text.of != rule.version:
        yield _gap(text.place, f"translates version {text.of} of rule '{rule.id}', which is {rule.version} now")
    else:
        yield from _check_text(base, language, rule, rule.then, text)


def _check_text(base: KnowledgeBase, language: Language, rule: Rule, then: Advice, text: RuleText) -> Iterator[Problem]:
    yield from _pair(base, language, text.place, "title", rule.title, text.title)
    yield from _pair(base, language, text.place, "caution", rule.caution, text.caution)
    form = _form_of(then.card)
    yield from _check_form(base, language, text.place, "", form, text.form)
    variants = {variant.name: _form_of(variant) for variant in then.variants}
    for name in text.variants.keys() - variants.keys():
        yield _problem(text.place, f"variants: the rule has no variant '{name}'{did_you_mean(name, list(variants))}")
    for name, own in variants.items():
        yield from _check_form(base, language, text.place, f"variants.{name}.", own, text.variants.get(name, Form()))
    change = then.modifies
    replaced, added = (change.replace, change.add) if change else ({}, ())
    for name in text.replace.keys() - replaced.keys():
        yield _problem(text.place, f"replace: the rule replaces no part '{name}'{did_you_mean(name, list(replaced))}")
    for name, own_text in replaced.items():
        yield from _pair(base, language, text.place, f"replace.{name}", own_text, text.replace.get(name))
    if len(text.add) > len(added):
        yield _problem(text.place, f"add: {len(text.add)} texts, but the rule adds {len(added)}")
    for number, own_text in enumerate(added):
        given = text.add[number] if number < len(text.add) else None
        yield from _pair(base, language, text.place, f"add[{number}]", own_text, given)


def _form_of(card: CardText | Variant | None) -> Form:
    """The texts of the rule itself that need a translation."""
    if card is None:
        return Form()
    suggest = card.suggest or ()
    return Form(card.summary, card.detail, tuple(row.label for row in suggest) or None)


def _check_form(
    base: KnowledgeBase, language: Language, place: Place, path: str, own: Form, given: Form
) -> Iterator[Problem]:
    yield from _pair(base, language, place, f"{path}summary", own.summary, given.summary)
    if own.summary is not None and given.summary:
        length = len(_filled(base, language, given.summary))
        if length > SUMMARY_LIMIT:
            yield _problem(place, f"{path}summary: {length} characters; CDS Hooks allows 1 to {SUMMARY_LIMIT}")
    ids = [[part.id for part in parts or ()] for parts in (own.detail, given.detail)]
    if given.detail is not None and ids[0] != ids[1]:
        yield _problem(place, f"{path}detail: its parts are {ids[1]}, those of the rule {ids[0]}")
    else:
        for number, part in enumerate(own.detail or ()):
            said = given.detail[number].text if given.detail is not None else None
            yield from _pair(base, language, place, f"{path}detail[{number}]", part.text, said)
    labels, others = own.labels or (), given.labels or ()
    if given.labels is not None and len(labels) != len(others):
        yield _problem(place, f"{path}suggest: {len(others)} labels, but the rule has {len(labels)}")
    else:
        for number, label in enumerate(labels):
            said = others[number] if given.labels is not None else None
            yield from _pair(base, language, place, f"{path}suggest[{number}]", label, said)


def _pair(
    base: KnowledgeBase, language: Language, place: Place, path: str, own: str | None, given: str | None
) -> Iterator[Problem]:
    """One text and its translation."""
    if own is None:
        if given is not None:
            yield _problem(place, f"{path}: the rule has no such text")
        return
    if not given:
        yield _gap(place, f"{path} is not translated")
        return
    if set(placeholders(own)) != set(placeholders(given)):
        names = ", ".join(f"{{{name}}}" for name in placeholders(own)) or "none"
        yield _problem(place, f"{path}: its placeholders differ from those of the rule ({names})")
    if has_number(given):
        yield _problem(place, f"{path}: a number stands in the text; quote the threshold: '{given[:60]}'")
    if "<" in given or ">" in given:
        yield _problem(place, f"{path}: no angle brackets; cards are shown as Markdown")


def _filled(base: KnowledgeBase, language: Language, text: str) -> str:
    for name in placeholders(text):
        quoted = base.thresholds[name].quoted if name in base.thresholds else "x" * 20
        text = text.replace(f"{{{name}}}", quantity_in(language, quoted) or quoted)
    return text


def quantity_in(language: Language, text: str) -> str | None:
    """A quantity in the language: '42 days' is '42 días'. None when one of its words is unknown.

    A unit with a slot says where the number stands: 'day {number}' is '第 {number} 天'.
    """
    for name, said in language.units.items():
        head, slot, tail = name.partition("{number}")
        number = text.removeprefix(head).removesuffix(tail) if slot else ""
        if number.isdecimal() and f"{head}{number}{tail}" == text:
            return said.replace("{number}", number)
    unknown: list[str] = []

    def word(match: re.Match[str]) -> str:
        said = language.units.get(match[0]) or (match[0] if match[0] in _UNITS else None)
        if said is None:
            unknown.append(match[0])
        return said or ""

    said = _UNIT_WORD.sub(word, text)
    return None if unknown else said


# -- laying over ------------------------------------------------------------------------------------------------------


def translate(base: KnowledgeBase, language: Language) -> Translated:
    """The knowledge base with every rule, activity and override reason that the language can say, said in it."""
    texts = language.texts
    rules = tuple(_rule_in(base, language, rule) for rule in base.rules)
    return Translated(
        language,
        replace(
            base,
            rules=rules,
            activities={
                name: replace(activity, title=texts["activities"].get(name, activity.title))
                for name, activity in base.activities.items()
            },
            override_reasons={**base.override_reasons, **texts["override-reasons"]},
        ),
        frozenset(new.id for old, new in zip(base.rules, rules, strict=True) if new is not old),
    )


def _rule_in(base: KnowledgeBase, language: Language, rule: Rule) -> Rule:
    """The rule in the language, or itself when anything of it is missing."""
    text, then = language.rules.get(rule.id), rule.then
    if text is None or then is None or any(_check_rule(base, language, rule)):
        return rule
    card = then.card
    if card is not None:
        form = text.form
        card = replace(
            card,
            summary=form.summary or card.summary,
            detail=form.detail or card.detail,
            suggest=_labelled(card.suggest, form.labels),
        )
    change = then.modifies
    if change is not None:
        change = replace(change, replace=text.replace, add=text.add)
    variants = tuple(_variant_in(variant, text.variants.get(variant.name, Form())) for variant in then.variants)
    return replace(
        rule,
        title=text.title or rule.title,
        caution=text.caution or rule.caution,
        then=replace(then, card=card, variants=variants, modifies=change),
    )


def _variant_in(variant: Variant, form: Form) -> Variant:
    return replace(
        variant,
        summary=form.summary or variant.summary,
        detail=form.detail or variant.detail,
        suggest=None if variant.suggest is None else _labelled(variant.suggest, form.labels),
    )


def _labelled(suggest: tuple[SuggestionRule, ...], labels: tuple[str, ...] | None) -> tuple[SuggestionRule, ...]:
    rows = zip(suggest, labels or (), strict=True)
    return tuple(replace(row, label=label) for row, label in rows)
