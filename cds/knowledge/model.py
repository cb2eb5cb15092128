"""The knowledge base as frozen data: what the files in rules/ say, checked, with one hash over all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cds.knowledge.source import Place
from cds.knowledge.vocabulary import DERIVED, DERIVED_TITLES, HOOKS, KINDS, Word

if TYPE_CHECKING:
    from cds.knowledge.languages import Language

FactKey = tuple[str, str]
"""(kind, concept), for example ("lab", "serum-calcium")."""

ALWAYS: tuple[FactKey, ...] = (("gestation", "pregnant"), ("gestation", "age"))


@dataclass(frozen=True)
class Code:
    """One code of a value set. ``side`` is set where the code itself names a side; ``needs_site`` where it means the
    concept only together with that body site; ``unspecific`` where the code is wider than the concept."""

    system: str
    code: str
    display: str
    unit: str | None = None
    side: str | None = None
    needs_site: str | None = None
    persistent: bool = False
    unspecific: bool = False
    local: bool = False
    prefix: bool = False


@dataclass(frozen=True)
class Concept:
    """A named value set. ``text`` are lower-case phrases that name it in free text, ``ingredient`` words count only as
    the first word of an ingredient, ``void`` phrases cancel a match. ``not_used`` says why a look-alike is not used.
    A medicine that names a ``not_as`` word in name, ingredient or route is another thing: eye drops are no tablet.
    An ``exact`` name counts only as the whole name of a result.

    A ``sign`` word names the concept where a ``site`` word (a leg, unless the concept names its own) is nearer than an
    ``elsewhere`` word, and no ``not_of`` word claims it: a painful cramp is no leg pain."""

    id: str
    family: str
    title: str
    codes: tuple[Code, ...] = ()
    text: tuple[str, ...] = ()
    ingredient: tuple[str, ...] = ()
    void: tuple[str, ...] = ()
    not_used: str | None = None
    sign: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    not_of: tuple[str, ...] = ()
    not_as: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()


@dataclass(frozen=True)
class SaltShare:
    """Elemental mass of a mineral salt as a share of the salt's mass (0 to 1)."""

    id: str
    title: str
    text: tuple[str, ...]
    codes: tuple[Code, ...]
    share: Decimal
    confidence: str
    source: str
    place: Place


@dataclass(frozen=True)
class EvidenceSource:
    id: str
    title: str
    organisation: str
    year: str
    url: str | None
    read: str


@dataclass(frozen=True)
class Evidence:
    """What one source says in support of a rule or a threshold."""

    source: str
    section: str
    supports: str


@dataclass(frozen=True)
class Threshold:
    """A named number with unit (UCUM), meaning and confidence. ``catalogue`` is its row in the clinical catalogue."""

    id: str
    value: Decimal
    unit: str
    meaning: str
    confidence: str
    catalogue: str
    evidence: tuple[Evidence, ...]
    place: Place
    quote: str | None = None

    @property
    def quoted(self) -> str:
        """As a card says it: '42 days', '800 mg/day', or the threshold's own `quote` ('28 weeks')."""
        return self.quote or quantity_text(self.value, self.unit)


_UNIT_WORDS = {
    "mg/d": "mg/day",
    "[iU]/d": "IU/day",
    "[iU]": "IU",
    "ug/d": "ug/day",
    "a": "years",
    "h": "hours",
    "mm[Hg]": "mmHg",
    "1": "",
}


def quantity_text(value: Decimal, unit: str) -> str:
    """A quantity in the words a clinician writes: '1 day', '2.02 mmol/L', '800 mg/day'."""
    plain = format(value.quantize(Decimal(1)) if value == value.to_integral_value() else value, "f")
    if unit == "d":
        return f"{plain} day" if value == 1 else f"{plain} days"
    number = format(value, "f") if unit in ("mmol/L", "g/L") else plain
    return f"{number} {_UNIT_WORDS.get(unit, unit)}".strip()


@dataclass(frozen=True)
class Assertion:
    """One word of a condition with its argument: `below: calcium-average-requirement`."""

    keyword: str
    word: Word
    threshold: str | None = None
    literal: str | bool | None = None


@dataclass(frozen=True)
class Condition:
    """One line: a fact (or a finding, or a profile flag) and what must be true of it."""

    kind: str
    concept: str
    assertions: tuple[Assertion, ...]
    or_unknown: bool
    bind: str | None
    place: Place

    @property
    def key(self) -> FactKey:
        return (self.kind, self.concept)

    @property
    def is_fact(self) -> bool:
        return self.kind in KINDS


@dataclass(frozen=True)
class AnyOf:
    """One `any:` level: at least one alternative holds; an alternative is a list of conditions that all hold."""

    alternatives: tuple[tuple[Condition, ...], ...]
    place: Place


Clause = Condition | AnyOf


@dataclass(frozen=True)
class TextPart:
    """One sentence (or two) of a card's detail. Its id lets another rule replace it."""

    id: str | None
    text: str


@dataclass(frozen=True)
class SuggestionRule:
    """One proposal: activities to create, or the name that binds draft orders to remove or active requests to pause."""

    label: str
    create: tuple[str, ...] = ()
    remove: str | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardText:
    """What a rule says when it fires; a variant overrides single fields of it."""

    indicator: str
    summary: str
    detail: tuple[TextPart, ...]
    suggest: tuple[SuggestionRule, ...] = ()


@dataclass(frozen=True)
class Variant:
    """Another form of the same card. The first variant that holds wins; a field it does not name stays as it was."""

    name: str
    when: tuple[Clause, ...]
    indicator: str | None
    summary: str | None
    detail: tuple[TextPart, ...] | None
    suggest: tuple[SuggestionRule, ...] | None
    place: Place


@dataclass(frozen=True)
class Modification:
    """What a modifier does to the card of another rule."""

    rules: tuple[str, ...]
    replace: Mapping[str, str] = field(default_factory=dict)
    add: tuple[str, ...] = ()
    raise_indicator: bool = False


@dataclass(frozen=True)
class Advice:
    """The `then` of a rule: a card with its variants, or a modification of other cards, or both. The card links to
    the forms of ``questionnaires``."""

    card: CardText | None
    variants: tuple[Variant, ...]
    override_reasons: tuple[str, ...]
    merge_into: tuple[str, ...]
    modifies: Modification | None
    questionnaires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One knowledge artifact: one file, one rule. ``id`` is file stem, test id, card topic and feedback key; ``level``
    orders its card among those of the same indicator where the topic's level does not fit."""

    id: str
    topic: str
    title: str
    version: str
    status: str
    date: date
    catalogue: str
    seed: tuple[str, ...]
    hooks: tuple[str, ...]
    level: int | None
    evidence: tuple[Evidence, ...]
    strength: str
    caution: str
    when: tuple[Clause, ...]
    unless: tuple[Clause, ...]
    suppresses: tuple[str, ...]
    concludes: str | None
    then: Advice | None
    place: Place

    def clauses(self) -> Iterator[Clause]:
        """Every clause of the rule: conditions, exclusions and those of its variants."""
        yield from self.when
        yield from self.unless
        if self.then is not None:
            for variant in self.then.variants:
                yield from variant.when


def suggestions_of(rule: Rule) -> Iterator[SuggestionRule]:
    """Every suggestion of a rule: those of its card, then those of its variants."""
    if rule.then is not None:
        yield from rule.then.card.suggest if rule.then.card else ()
        for variant in rule.then.variants:
            yield from variant.suggest or ()


def conditions_of(clauses: tuple[Clause, ...] | Iterator[Clause]) -> Iterator[Condition]:
    """The single conditions below a list of clauses, in reading order."""
    for clause in clauses:
        if isinstance(clause, AnyOf):
            for alternative in clause.alternatives:
                yield from alternative
        else:
            yield clause


@dataclass(frozen=True)
class Activity:
    """An order or referral that a suggestion may create (ActivityDefinition in small). ``redundant`` lists what makes
    the suggestion needless: the same is already ordered, or a result is at hand."""

    id: str
    title: str
    code: Code
    category: Code | None
    priority: str
    redundant: tuple[Clause, ...]
    place: Place


@dataclass(frozen=True)
class ItemMeaning:
    """What an answer to one item of a questionnaire means.

    ``role`` is the kind of fact (symptom, exposure, diet, condition, allergy) with ``target`` its concept, or a
    follow-up (side_of, severe_of, persistent_of) with ``target`` the linkId of the symptom. ``answers`` maps codes of
    answers to yes, no, unknown, a level or a side; ``unit`` is that of a plain number. ``persistent``: the question
    itself asks for what does not go away.
    """

    role: str
    target: str
    answers: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    persistent: bool = False


@dataclass(frozen=True)
class MedicineItems:
    """The linkIds that ask for medicines: whether there are any, a group for each with kind, product, units at a time
    and times a day. ``kinds`` maps the code of a kind to the names that stand for it; empty where nothing does."""

    asked: str
    group: str
    kind: str
    product: str
    units: str
    times: str
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def links(self) -> tuple[str, ...]:
        return (self.asked, self.group, self.kind, self.product, self.units, self.times)


@dataclass(frozen=True)
class Questionnaire:
    """A questionnaire whose answers are read by linkId. ``form`` is the FHIR resource (empty for a site's own),
    ``titles`` its title by language; items of ``as_text`` are read by their wording, those of ``not_read`` not at all.
    """

    id: str
    url: str
    titles: Mapping[str, str]
    items: Mapping[str, ItemMeaning]
    medicines: MedicineItems | None
    as_text: frozenset[str]
    not_read: frozenset[str]
    form: Mapping[str, Any]
    place: Place


@dataclass(frozen=True)
class Topic:
    """A folder of rules. ``level`` orders cards of the same indicator: 1 is the most dangerous."""

    id: str
    title: str
    level: int


@dataclass(frozen=True)
class Statement:
    """One statement of the founding text: what it says, the safe message, and how far guidance agrees (``but``)."""

    id: str
    says: str
    message: str
    agreement: str
    but: str
    place: Place


@dataclass(frozen=True)
class StandardReasons:
    """A code system of override reasons kept by others: its URL, and display by code.

    ``offered`` are its codes that stand on cards beside our own reasons. ``same`` and ``narrower`` map the id of a
    reason of ours to the code that means the same, or that it is a kind of.
    """

    system: str = ""
    displays: Mapping[str, str] = field(default_factory=dict)
    offered: tuple[str, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)
    narrower: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KnowledgeBase:
    """All of rules/ plus site and profile, frozen. ``hash`` covers every byte that can change advice."""

    rules: tuple[Rule, ...]
    thresholds: Mapping[str, Threshold]
    flags: Mapping[str, bool]
    concepts: Mapping[str, Concept]
    salts: tuple[SaltShare, ...]
    activities: Mapping[str, Activity]
    sources: Mapping[str, EvidenceSource]
    override_reasons: Mapping[str, str]
    topics: Mapping[str, Topic]
    statements: Mapping[str, Statement]
    questionnaires: Mapping[str, Questionnaire]
    profile: str
    site: str
    hash: str
    languages: Mapping[str, Language] = field(default_factory=dict)
    standard_reasons: StandardReasons = StandardReasons()

    def threshold(self, id: str) -> Threshold:
        return self.thresholds[id]

    def number(self, id: str) -> Decimal:
        """The value of a threshold, in its unit."""
        return self.thresholds[id].value

    def level_of(self, rule: Rule) -> int:
        """Where the rule's card stands among those of the same indicator: the smaller, the earlier."""
        return self.topics[rule.topic].level if rule.level is None else rule.level

    def rule(self, id: str) -> Rule:
        return self._rules_by_id[id]

    def form(self, id: str) -> Questionnaire | None:
        """The questionnaire that is shipped under this id; ``questionnaires`` finds all by URL."""
        return next((q for q in self.questionnaires.values() if q.form and q.id == id), None)

    @cached_property
    def _rules_by_id(self) -> dict[str, Rule]:
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def codes(self) -> Mapping[tuple[str, str], tuple[tuple[str, Code], ...]]:
        """(system, code) -> the concepts it belongs to, with the code's row; rows of a prefix stand in ``prefixes``."""
        table: dict[tuple[str, str], list[tuple[str, Code]]] = {}
        for concept in self.concepts.values():
            for code in (c for c in concept.codes if not c.prefix):
                table.setdefault((code.system, code.code), []).append((concept.id, code))
        return {key: tuple(rows) for key, rows in table.items()}

    @cached_property
    def prefixes(self) -> tuple[tuple[str, Code], ...]:
        """(concept, row) of each row that stands for every code that begins with it; only a site file has such rows."""
        return tuple((c.id, code) for c in self.concepts.values() for code in c.codes if code.prefix)

    def concepts_of(self, system: str, code: str) -> tuple[tuple[str, Code], ...]:
        """Every concept that a code belongs to, with the row that says so; the code's own row before a prefix."""
        rows = self.codes.get((system, code), ())
        return rows or tuple(r for r in self.prefixes if r[1].system == system and code.startswith(r[1].code))

    @cached_property
    def day_limits(self) -> tuple[Decimal, ...]:
        """Every threshold in days, ascending: a date known to the month matters only if one of them falls in it."""
        return tuple(sorted({t.value for t in self.thresholds.values() if t.unit == "d"}))

    def rules_for(self, hook: str) -> tuple[Rule, ...]:
        """Rules that may show on this hook, and the findings they need."""
        return self._rules_by_hook[hook] if hook in HOOKS else ()

    @cached_property
    def _rules_by_hook(self) -> dict[str, tuple[Rule, ...]]:
        return {hook: self._find_rules(hook) for hook in HOOKS}

    def _find_rules(self, hook: str) -> tuple[Rule, ...]:
        shown = [rule for rule in self.rules if hook in rule.hooks and rule.concludes is None]
        needed: list[Rule] = []
        queue = list(shown)
        while queue:
            for finding in self.findings_of(queue.pop()):
                for rule in self.rules:
                    if rule.concludes == finding and rule not in needed:
                        needed.append(rule)
                        queue.append(rule)
        return tuple(rule for rule in self.rules if rule in shown or rule in needed)

    def activities_of(self, rule: Rule) -> tuple[Activity, ...]:
        """Every activity that a card of this rule may suggest, in order, each once."""
        ids = dict.fromkeys(id for suggestion in suggestions_of(rule) for id in suggestion.create)
        return tuple(self.activities[id] for id in ids)

    def findings_of(self, rule: Rule) -> tuple[str, ...]:
        clauses = [*rule.clauses(), *(c for a in self.activities_of(rule) for c in a.redundant)]
        return tuple(dict.fromkeys(c.concept for c in conditions_of(iter(clauses)) if c.kind == "finding"))

    def facts_for(self, hook: str) -> tuple[FactKey, ...]:
        """Every fact that this hook's rules ask about, with the ingredients of derived ones, in a fixed order.

        Pregnancy and gestational age are always among them: every card shows them.
        """
        return self._facts_by_hook[hook]

    @cached_property
    def _facts_by_hook(self) -> dict[str, tuple[FactKey, ...]]:
        return {hook: self._find_facts(hook) for hook in HOOKS}

    def _find_facts(self, hook: str) -> tuple[FactKey, ...]:
        wanted: dict[FactKey, None] = dict.fromkeys(ALWAYS)
        for rule in self.rules_for(hook):
            clauses = [*rule.clauses(), *(c for a in self.activities_of(rule) for c in a.redundant)]
            for condition in conditions_of(iter(clauses)):
                if condition.is_fact:
                    wanted[condition.key] = None
                    wanted.update(dict.fromkeys(DERIVED.get(condition.key, ())))
            wanted.update(dict.fromkeys(("medication", name) for s in suggestions_of(rule) for name in s.stop))
        return tuple(sorted(wanted))

    def title_of(self, key: FactKey) -> str:
        """The fact's name as a clinician reads it."""
        if key in DERIVED_TITLES:
            return DERIVED_TITLES[key]
        concept = self.concepts.get(key[1])
        return concept.title if concept else key[1].replace("-", " ")
