"""The rules as decision tables that clinicians read, print and sign: made from the knowledge base and nothing else.

One section per topic: the decision table, a sheet for each rule with all that its card can say, the numbers and
sources used, and what is still open for signature. What no topic uses (dating, plausibility, salts) comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from cds.assurance.document import Block, Cell, Document, Group, Heading, Item, Link, Listing, Paragraph, Section, Table
from cds.assurance.words import Sentence, filled, sentences
from cds.knowledge.lint import suppressed_by
from cds.knowledge.model import (
    CardText,
    Clause,
    Evidence,
    KnowledgeBase,
    Rule,
    SaltShare,
    SuggestionRule,
    TextPart,
    Threshold,
    Variant,
    conditions_of,
    quantity_text,
)
from cds.knowledge.wording import placeholders

REST: Final = "numbers-of-the-arithmetic"
_OPEN: Final = ("SECONDARY", "DESIGN")
_CONFIDENCE: Final = {
    "VERIFIED": "VERIFIED, read in the source itself",
    "SECONDARY": "SECONDARY, read in a work that cites the source",
    "DESIGN": "DESIGN, chosen by this project",
}
_READ: Final = {"primary": "the source itself", "secondary": "a work that cites it", "local": "the project's own"}
_MOMENTS: Final = {
    "patient-view": "when her chart is opened",
    "order-select": "when an order is selected",
    "order-sign": "when orders are signed",
}


@dataclass(frozen=True)
class SignOff:
    """Something that a clinician still has to confirm; it is signed in one section only, that of ``topic``."""

    kind: str  # rule, number or salt
    topic: str
    what: str
    why: str


def decision_tables(base: KnowledgeBase, day: date, topics: Iterable[str] = ()) -> Document:
    """The printout of the named topics, generated on ``day``; none named: all, and the numbers that no rule uses."""
    known = [*base.topics, REST]
    wanted = set(topics) or set(known)
    chosen = [name for name in known if name in wanted]
    sections = [_rest(base) if name == REST else _topic(base, name) for name in chosen]
    open_ones = [row for row in sign_offs(base) if row.topic in chosen]
    return Document(
        title="prenatal-cds decision tables",
        running=(
            f"prenatal-cds decision tables, profile {base.profile}, site {base.site}, "
            f"knowledge {base.hash[:12]}, generated {day.isoformat()}"
        ),
        blocks=(
            Paragraph(
                "Generated from the rules alone: what stands here is what the service does. Numbers are those of the "
                "profile named above. Words in [brackets] are filled from the patient's record. A condition that is "
                "not known never counts as met; an exclusion that is not known does not exclude, and the card says so."
            ),
            Paragraph(f"Not a medical device. Open sign-offs in this printout: {len(open_ones)}."),
            Listing(tuple(Link(section.title, f"#{section.id}") for section in sections)),
        ),
        sections=tuple(sections),
    )


def sign_offs(base: KnowledgeBase) -> tuple[SignOff, ...]:
    """Everything that `check` counts as an open sign-off, each with the section in which it is signed."""
    rows = [
        SignOff("rule", rule.topic, f"Rule {rule.id} {rule.version} ({rule.catalogue}): {rule.title}", "draft")
        for rule in base.rules
        if rule.status == "draft"
    ]
    homes = _homes(base)
    for threshold in base.thresholds.values():
        if threshold.confidence in _OPEN:
            what = f"Number {threshold.id} ({threshold.catalogue}): {_value(threshold)}"
            rows.append(SignOff("number", homes.get(threshold.id, REST), what, threshold.confidence))
    for salt in base.salts:
        if salt.confidence in _OPEN:
            what = f"Share of the element in {salt.title} ({salt.id}): {salt.share}"
            rows.append(SignOff("salt", REST, what, salt.confidence))
    return tuple(rows)


# -- one topic --------------------------------------------------------------------------------------------------------


def _topic(base: KnowledgeBase, name: str) -> Section:
    rules = [rule for rule in base.rules if rule.topic == name]
    used = [base.thresholds[id] for id in base.thresholds if any(id in _numbers(base, rule) for rule in rules)]
    evidence = [row for rule in rules for row in rule.evidence] + [row for t in used for row in t.evidence]
    blocks: list[Block] = [
        Table(
            "Decision table",
            ("Rule", "When all of these hold", "Unless", "Then"),
            tuple(_decision(base, rule) for rule in rules),
            "rules",
        )
    ]
    for rule in rules:
        blocks.append(Heading(rule.title, rule.id, 3))
        rows = tuple((_cell(field), cell) for field, cell in _sheet(base, rule) if cell)
        blocks.append(Table(f"Rule {rule.id}", ("Part", "What the rule says"), rows, "sheet"))
    blocks.extend(_number_table(base, used))
    blocks.extend(_source_table(base, (row.source for row in evidence)))
    blocks.extend(_signature_table(base, name))
    return Section(name, base.topics[name].title, tuple(blocks))


def _decision(base: KnowledgeBase, rule: Rule) -> tuple[Cell, ...]:
    then: list[Item] = []
    if rule.concludes:
        then.append(f"Finding: {rule.concludes}")
    if rule.then is not None and rule.then.card is not None:
        then.append(f"{rule.then.card.indicator.upper()}: {filled(base, rule.then.card.summary)}")
    if rule.then is not None and rule.then.modifies is not None:
        then.append(f"Changes the card of {_named(rule.then.modifies.rules)}")
    return (
        (Link(rule.title, f"#{rule.id}"),),
        _lines(base, rule.when),
        _lines(base, rule.unless) or _cell("none"),
        tuple(then),
    )


def _sheet(base: KnowledgeBase, rule: Rule) -> Iterator[tuple[str, Cell]]:
    """Part by part, all that a rule says and does; a part that it does not have is an empty cell."""
    yield "Identity", (f"{rule.id} {rule.version} of {rule.date.isoformat()}, catalogue {rule.catalogue}",)
    yield "Status", (rule.status if rule.status != "draft" else "draft: not signed by a clinician yet",)
    yield "Founding text", tuple(f"{id}: {base.statements[id].says}" for id in rule.seed)
    yield "Level", (f"{base.level_of(rule)} (smaller comes first among cards of one indicator)",)
    yield "Asked", tuple(f"{hook}: {_MOMENTS[hook]}" for hook in rule.hooks)
    if rule.concludes:
        users = [r.id for r in base.rules if rule.concludes in base.findings_of(r)]
        yield "Concludes", (f"Finding {rule.concludes}, used by {_named(users)}",)
    if rule.then is not None:
        yield from _advice(base, rule)
    removers = (other.id for other in base.rules if rule.id in suppressed_by(base, other))
    changers = (r.id for r in base.rules if r.then and r.then.modifies and rule.id in r.then.modifies.rules)
    for field, names in (
        ("Removes the cards of", sorted(suppressed_by(base, rule))),
        ("Is removed by", removers),
        ("Takes in the cards of", (r.id for r in base.rules if r.then and rule.id in r.then.merge_into)),
        ("Is changed by", changers),
    ):
        listed = _named(names)
        yield field, _cell(listed) if listed else ()
    yield "When this may be wrong", (rule.caution,)
    yield "Evidence", tuple(_evidence(base, row) for row in rule.evidence)
    yield "Strength", (rule.strength,)


def _advice(base: KnowledgeBase, rule: Rule) -> Iterator[tuple[str, Cell]]:
    then = rule.then
    assert then is not None  # noqa: S101 - the caller asked
    if then.card is not None:
        yield "Indicator", (then.card.indicator,)
        yield "Summary", (filled(base, then.card.summary),)
        yield "Detail", _texts(base, then.card.detail)
        yield "Suggestions", _suggestions(base, then.card.suggest) or ("none",)
    for variant in then.variants:
        yield f"Variant {variant.name}", _variant(base, variant, then.card)
    if then.modifies is not None:
        change = then.modifies
        items: list[Item] = [f"Card of: {_named(change.rules)}"]
        items.extend(f"Replaces the part '{part}': {filled(base, text)}" for part, text in change.replace.items())
        items.extend(f"Adds: {filled(base, text)}" for text in change.add)
        if change.raise_indicator:
            items.append("Raises the indicator by one step")
        yield "Changes", tuple(items)
    yield "Reasons to set it aside", tuple(base.override_reasons[reason] for reason in then.override_reasons)
    yield "Joins the card of", then.merge_into
    yield "Links to the form", tuple(form.titles["en"] for id in then.questionnaires if (form := base.form(id)))


def _variant(base: KnowledgeBase, variant: Variant, card: CardText | None) -> Cell:
    """When the first of the variants that holds takes the place of the card's own words, and with which."""
    items: list[Item] = [Group("When all of these hold:", _lines(base, variant.when))]
    if variant.indicator is not None:
        was = f" (instead of {card.indicator})" if card is not None else ""
        items.append(f"Indicator: {variant.indicator}{was}")
    if variant.summary is not None:
        items.append(f"Summary: {filled(base, variant.summary)}")
    if variant.detail is not None:
        items.append(Group("Detail:", _texts(base, variant.detail)))
    if variant.suggest is not None:
        items.append(Group("Suggestions:", _suggestions(base, variant.suggest) or ("none",)))
    return tuple(items)


def _texts(base: KnowledgeBase, parts: tuple[TextPart, ...]) -> Cell:
    return tuple((f"({part.id}) " if part.id else "") + filled(base, part.text) for part in parts)


def _suggestions(base: KnowledgeBase, rows: tuple[SuggestionRule, ...]) -> Cell:
    return tuple(Group(row.label, tuple(_actions(base, row))) for row in rows)


def _actions(base: KnowledgeBase, row: SuggestionRule) -> Iterator[Item]:
    if row.remove is not None:
        yield f"Removes the draft order [{row.remove}]"
    if row.stop:
        names = ", ".join(base.title_of(("medication", name)) for name in row.stop)
        yield f"Proposes to put on hold what is active of: {names}"
    for name in row.create:
        activity = base.activities[name]
        urgency = "" if activity.priority == "routine" else f", {activity.priority}"
        text = f"Proposes: {activity.title}{urgency} ({activity.code.display}, {activity.code.code})"
        if activity.redundant:
            yield Group(f"{text}; not proposed again where one of these holds:", _lines(base, activity.redundant))
        else:
            yield text


# -- numbers, sources, signatures -------------------------------------------------------------------------------------


def _numbers(base: KnowledgeBase, rule: Rule) -> set[str]:
    """The thresholds that a rule compares with or quotes, those of its suggestions included."""
    clauses: list[Clause] = [*rule.clauses(), *(c for a in base.activities_of(rule) for c in a.redundant)]
    names = {a.threshold for c in conditions_of(iter(clauses)) for a in c.assertions if a.threshold}
    texts: list[str] = []
    if rule.then is not None:
        forms: list[CardText | Variant] = [*([rule.then.card] if rule.then.card else []), *rule.then.variants]
        for form in forms:
            texts += [form.summary or "", *(part.text for part in form.detail or ())]
        if rule.then.modifies is not None:
            texts += [*rule.then.modifies.replace.values(), *rule.then.modifies.add]
    return names | {name for text in texts for name in placeholders(text) if name in base.thresholds}


def _homes(base: KnowledgeBase) -> dict[str, str]:
    """Threshold -> the first topic that uses it: there it is signed."""
    homes: dict[str, str] = {}
    for topic in base.topics:
        for rule in base.rules:
            if rule.topic == topic:
                for name in _numbers(base, rule):
                    homes.setdefault(name, topic)
    return homes


def _number_table(base: KnowledgeBase, rows: Iterable[Threshold]) -> Iterator[Block]:
    table = tuple(
        (
            _cell(threshold.id),
            _cell(_value(threshold)),
            (threshold.meaning, f"set in {threshold.place.file}"),
            _cell(threshold.catalogue),
            _cell(_CONFIDENCE[threshold.confidence]),
            tuple(_evidence(base, row) for row in threshold.evidence),
        )
        for threshold in rows
    )
    if table:
        head = ("Number", "Value", "Meaning", "Catalogue", "Confidence", "Evidence")
        yield Table("Numbers used", head, table, "numbers")


def _value(threshold: Threshold) -> str:
    exact = quantity_text(threshold.value, threshold.unit) or str(threshold.value)
    return exact if threshold.quote is None else f"{exact}, quoted as '{threshold.quote}'"


def _evidence(base: KnowledgeBase, row: Evidence) -> str:
    source = base.sources[row.source]
    name = source.title if source.read == "local" else f"{source.organisation} {source.year}".strip()
    text = f"{name}, {row.section}" if row.section else name
    return f"{text}: {row.supports} ({row.source})" if row.supports else f"{text} ({row.source})"


def _source_table(base: KnowledgeBase, names: Iterable[str]) -> Iterator[Block]:
    wanted = set(names)
    rows = tuple(
        (
            _cell(source.id),
            (Link(source.title, source.url) if source.url else source.title,),
            _cell(f"{source.organisation} {source.year}".strip()),
            _cell(_READ[source.read]),
        )
        for source in base.sources.values()
        if source.id in wanted
    )
    if rows:
        yield Table("Sources", ("Source", "Title", "Organisation, year", "What was read"), rows, "numbers")


def _signature_table(base: KnowledgeBase, topic: str) -> Iterator[Block]:
    rows = [row for row in sign_offs(base) if row.topic == topic]
    if not rows:
        yield Paragraph("Nothing is open for signature in this section.")
        return
    room: tuple[Cell, ...] = (_cell("☐ agree ☐ change:"), _cell(""), _cell(""))
    head = ("To confirm", "Why it is open", "Agree or change", "Name", "Date")
    yield Table("Open sign-offs", head, tuple((_cell(row.what), _cell(row.why), *room) for row in rows), "sign")


def _rest(base: KnowledgeBase) -> Section:
    """Numbers of the fact arithmetic, elemental shares of salts, and the sources that no topic names."""
    homes = _homes(base)
    numbers = [t for t in base.thresholds.values() if t.id not in homes]
    named = {row.source for rule in base.rules for row in rule.evidence}
    named |= {row.source for t in base.thresholds.values() if t.id in homes for row in t.evidence}
    blocks = [
        Paragraph("No rule names these: they are used when a record is read (dating, plausibility, elemental doses)."),
        *_number_table(base, numbers),
        Table(
            "Share of the element in a salt, by mass",
            ("Salt", "Share", "Also read from the words", "Confidence", "Evidence"),
            tuple(_salt(base, salt) for salt in base.salts),
            "numbers",
        ),
        *_source_table(base, (name for name in base.sources if name not in named)),
        *_signature_table(base, REST),
    ]
    return Section(REST, "Numbers of the arithmetic", tuple(blocks))


def _salt(base: KnowledgeBase, salt: SaltShare) -> tuple[Cell, ...]:
    return (
        _cell(f"{salt.title} ({salt.id})"),
        _cell(str(salt.share)),
        _cell(", ".join(salt.text)),
        _cell(_CONFIDENCE[salt.confidence]),
        _cell(_evidence(base, Evidence(salt.source, "", ""))),
    )


# -- small words ------------------------------------------------------------------------------------------------------


def _cell(text: str) -> Cell:
    return (text,)


def _named(names: Iterable[str]) -> str:
    return ", ".join(names)


def _lines(base: KnowledgeBase, clauses: tuple[Clause, ...]) -> Cell:
    return tuple(_item(line) for line in sentences(base, clauses))


def _item(line: Sentence) -> Item:
    return line if isinstance(line, str) else Group(line[0], tuple(_item(part) for part in line[1]))
