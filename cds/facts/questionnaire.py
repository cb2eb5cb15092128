"""Answered questionnaires -> the Observations, diagnoses and medicine statements that the other readers read.

A questionnaire that we know (rules/questionnaires or the site file) is read by its linkIds. Items of any other are read
like free text, by their wording: they report or deny, but never count as coded. An item without an answer was not
asked; an answer "don't know" is no answer. completed and amended responses count, one in progress is pending, one that
was stopped or entered in error does not exist.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, names, own
from cds.facts.dates import Moment, age_in_days, moment, order_of
from cds.facts.record import Record, Resource
from cds.knowledge.model import ItemMeaning, KnowledgeBase, MedicineItems, Questionnaire
from cds.knowledge.questionnaires import FOLLOW_UPS

_OBSERVED = {"completed": "final", "amended": "amended", "in-progress": "preliminary"}
_LINK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
# A question about another time, or one that a bare "no" would affirm, cannot be read from its wording.
_NOT_NOW = re.compile(
    r"\b(?:ever|history|past|previous\w*|earlier|last pregnanc\w*|family|relatives?)\b", re.IGNORECASE
)
_NEGATED = re.compile(r"\b(?:no|not|never|without|isn't|aren't|don't|doesn't|haven't|hasn't)\b", re.IGNORECASE)
_WHICH_SIDE = re.compile(
    r"\b(?:which|what) (?:leg|side|calf|foot|one)\b|\blaterality\b|^\W*(?:side|leg)\W*$", re.IGNORECASE
)
_PLAIN_WORDS = {"y": "yes", "n": "no"}
_MOST_UNITS = Decimal(100)
MOST_ANSWERS = 2_000


@dataclass(frozen=True)
class _Response:
    """One answered questionnaire, with the map of its items when it is one that we know."""

    resource: Resource
    model: Any
    when: Moment | None
    known: Questionnaire | None
    observed: str

    @property
    def counts(self) -> bool:
        return self.observed != "preliminary"

    def order(self, zone: tzinfo) -> datetime:
        return order_of(self.when, zone)


@dataclass(frozen=True)
class _Item:
    """One answered item, the lists of items around it (outermost first) and the texts of what it stands under."""

    item: Any
    around: tuple[list[Any], ...]
    headings: tuple[str, ...]

    @property
    def link(self) -> str:
        return str(self.item.linkId or "")

    @property
    def answers(self) -> list[Any]:
        return [a for a in self.item.answer or () if not a.modifierExtension]


def with_answers(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Record:
    """The record with what its answered questionnaires say, each piece named by response and item."""
    remarks: list[str] = []
    responses = _within_reason(_responses(base, record, remarks, zone), remarks, zone)
    made: dict[str, list[Resource]] = {}
    for response in responses:
        for row in _observations(base, record.patient_id, response):
            made.setdefault(row.type, []).append(row)
    for row in (
        *_diagnoses(base, record, responses, today, zone),
        *_medicines(base, record, responses, today, zone, remarks),
    ):
        made.setdefault(row.type, []).append(row)
    if not made and not remarks:
        return record
    resources = dict(record.resources)
    for kind, rows in made.items():
        rows.sort(key=lambda row: (row.name, json.dumps(row.raw, sort_keys=True, default=str)))
        resources[kind] = (*resources.get(kind, ()), *rows)
    return replace(record, resources=resources, remarks=tuple(sorted({*record.remarks, *remarks})))


def _responses(base: KnowledgeBase, record: Record, remarks: list[str], zone: tzinfo) -> Iterator[_Response]:
    for resource in record.of("QuestionnaireResponse"):
        status = resource.raw.get("status")
        if not isinstance(status, str) or status not in _OBSERVED:
            if status in ("stopped", "entered-in-error"):
                continue
            remarks.append(f"{resource.name}: has no status that says it is completed; its answers were not used")
            continue
        model = resource.read.model
        if model is None:
            continue
        url = (model.questionnaire or "").split("|")[0].rstrip("/")
        yield _Response(resource, model, moment(model.authored, zone), base.questionnaires.get(url), _OBSERVED[status])


def _within_reason(responses: Iterable[_Response], remarks: list[str], zone: tzinfo) -> list[_Response]:
    """The newest responses up to as many answers as are ever real: reading more would only cost time."""
    kept, room = [], MOST_ANSWERS
    for response in sorted(responses, key=lambda r: (r.order(zone), r.resource.name), reverse=True):
        count = sum(len(row.answers) for row in _walk(response.model.item, (), ()))
        if count > room:
            remarks.append(f"{response.resource.name}: was not read, the request holds too many answers")
            continue
        room -= count
        kept.append(response)
    return kept


def _walk(items: Iterable[Any] | None, around: tuple[list[Any], ...], headings: tuple[str, ...]) -> Iterator[_Item]:
    """Every item, also those below items and below answers. A modifier extension makes an item unreadable."""
    rows = [row for row in items or () if not row.modifierExtension]
    for row in rows:
        yield _Item(row, (*around, rows), headings)
        yield from _walk(_below(row), (*around, rows), (*headings, row.text or ""))


def _below(item: Any) -> list[Any]:
    return [*(item.item or ()), *(below for answer in item.answer or () for below in answer.item or ())]


def _by_link(items: Iterable[Any]) -> dict[str, list[Any]]:
    """linkId -> answers, in these items and below."""
    found: dict[str, list[Any]] = {}
    for row in _walk(items, (), ()):
        found.setdefault(row.link, []).extend(row.answers)
    return found


def _name(response: _Response, link: str) -> str:
    return f"{response.resource.name} item {link}" if _LINK_ID.fullmatch(link) else response.resource.name


def _resource(response: _Response, kind: str, link: str, **elements: Any) -> Resource:
    return Resource(kind, {"resourceType": kind, **elements}, _name(response, link))


def _day(response: _Response) -> str | None:
    """`authored` as FHIR text; None when there is none."""
    value = response.model.authored
    return value.isoformat() if isinstance(value, date) else value


def _dated(name: str, response: _Response) -> dict[str, str]:
    day = _day(response)
    return {} if day is None else {name: day}


# -- values -----------------------------------------------------------------------------------------------------------


def _code(answer: Any) -> str:
    coding = answer.valueCoding
    return str(coding.code) if coding is not None and coding.code else ""


def _quantity(value: Any) -> dict[str, Any]:
    elements = {name: getattr(value, name) for name in ("value", "comparator", "unit", "system", "code")}
    return {name: element for name, element in elements.items() if element is not None}


def _yes_or_no(meaning: ItemMeaning, answer: Any) -> bool | None:
    """A plain yes or no; None for anything else."""
    if answer.valueBoolean is not None:
        return bool(answer.valueBoolean)
    word = meaning.answers.get(_code(answer)) or _PLAIN_WORDS.get(_code(answer).lower())
    word = word or str(answer.valueString or getattr(answer.valueCoding, "display", None) or "").strip().lower()
    return {"yes": True, "no": False}.get(word)


def _value(meaning: ItemMeaning, answer: Any) -> dict[str, Any]:
    """value[x] of an Observation that says the same; empty for "don't know" and for what has no such form."""
    if meaning.answers.get(_code(answer)) == "unknown":
        return {}
    plain = _yes_or_no(meaning, answer)
    if plain is not None:
        return {"valueBoolean": plain}
    if meaning.role == "exposure" and _code(answer) in meaning.answers:
        return {"valueCodeableConcept": {"coding": own(f"{meaning.target}-{meaning.answers[_code(answer)]}")}}
    if meaning.role == "diet":
        return _amount(meaning, answer)
    return _worded(answer, codes=True)


def _amount(meaning: ItemMeaning, answer: Any) -> dict[str, Any]:
    if answer.valueQuantity is not None:
        return {"valueQuantity": _quantity(answer.valueQuantity)}
    number = answer.valueDecimal if answer.valueDecimal is not None else answer.valueInteger
    return (
        {}
        if number is None
        else {"valueQuantity": {"value": number, **({"unit": meaning.unit} if meaning.unit else {})}}
    )


def _worded(answer: Any, *, codes: bool) -> dict[str, Any]:
    """A coded answer or a text as value[x]; without ``codes`` only its words."""
    if answer.valueString:
        return {"valueString": answer.valueString}
    coding = answer.valueCoding
    if coding is None:
        return {}
    text = coding.display or _PLAIN_WORDS.get(_code(answer).lower())
    rows = [{"system": coding.system, "code": coding.code}] if codes and coding.system and coding.code else []
    concept = {**({"coding": rows} if rows else {}), **({"text": text} if text else {})}
    return {"valueCodeableConcept": concept} if concept else {}


# -- observations -----------------------------------------------------------------------------------------------------


def _observations(base: KnowledgeBase, patient_id: str, response: _Response) -> Iterator[Resource]:
    everything = list(_walk(response.model.item, (), ()))
    rounds = Counter(row.link for row in everything)
    indexed: dict[int, dict[str, list[Any]]] = {}
    for row in everything:
        meaning = response.known.items.get(row.link) if response.known else None
        for answer in row.answers:
            if meaning is None:
                elements = _in_words(base, response, row, answer)
            elif meaning.role in ("exposure", "diet"):
                elements = _plain(base, meaning, answer)
            elif meaning.role == "symptom":
                elements = _symptom(
                    base, response, row, answer, _follow_ups(row, indexed, everywhere=rounds[row.link] == 1)
                )
            else:
                continue
            if elements:
                yield _resource(
                    response, "Observation", row.link, status=response.observed,
                    subject={"reference": f"Patient/{patient_id}"}, **_dated("effectiveDateTime", response), **elements,
                )  # fmt: skip


def _plain(base: KnowledgeBase, meaning: ItemMeaning, answer: Any) -> dict[str, Any]:
    value = _value(meaning, answer)
    return {"code": _concept(base, meaning.target), **value} if value else {}


def _concept(base: KnowledgeBase, concept: str) -> dict[str, Any]:
    return {"coding": own(concept), "text": base.concepts[concept].title}


def _symptom(
    base: KnowledgeBase, response: _Response, row: _Item, answer: Any, beside: list[dict[str, list[Any]]]
) -> dict[str, Any]:
    """A symptom with what its follow-up questions say: side, whether it is severe, whether it persists."""
    known = response.known
    assert known is not None  # noqa: S101 - the caller asked
    meaning = known.items[row.link]
    elements = _plain(base, meaning, answer)
    if not elements or elements.get("valueBoolean") is False:
        return elements
    sides: set[str] = set()
    words = [base.concepts[meaning.target].title, *(["persistent"] if meaning.persistent else [])]
    for link, other in known.items.items():
        if other.target != row.link or other.role not in FOLLOW_UPS:
            continue
        for said in next((found[link] for found in beside if found.get(link)), ()):
            if other.role == "side_of":
                sides |= _sides(base, other, said)
            elif _yes_or_no(other, said):
                words.append(other.role.removesuffix("_of"))
    elements["code"] = {**elements["code"], "text": ", ".join(dict.fromkeys(words))}
    if sides:
        side = next(iter(sides)) if len(sides) == 1 else "both"
        elements["bodySite"] = {"coding": own("leg", side)}
    return elements


def _follow_ups(
    row: _Item, indexed: dict[int, dict[str, list[Any]]], *, everywhere: bool
) -> list[dict[str, list[Any]]]:
    """Where the answer to a follow-up question may stand, nearest first: below the item, beside it, else (when the
    question was asked once) anywhere around. ``indexed`` keeps what was looked through, by the list's identity."""
    around = row.around[::-1] if everywhere else row.around[-1:]
    for items in around:
        if id(items) not in indexed:
            indexed[id(items)] = _by_link(items)
    return [_by_link(_below(row.item)), *(indexed[id(items)] for items in around)]


def _sides(base: KnowledgeBase, meaning: ItemMeaning, answer: Any) -> set[str]:
    """left, right or both, by the questionnaire's own answer codes or by standard ones."""
    mapped = meaning.answers.get(_code(answer))
    if mapped is not None:
        return {mapped} - {"unknown"}
    value = _worded(answer, codes=True)
    word = str(value.get("valueString") or value.get("valueCodeableConcept", {}).get("text") or _code(answer))
    word = word.strip().lower()
    coded = {m.concept for m in by_code(base, value.get("valueCodeableConcept"))}
    return (coded or {word}) & {"left", "right", "both"}


def _in_words(base: KnowledgeBase, response: _Response, row: _Item, answer: Any) -> dict[str, Any]:
    """An item that nobody mapped, as a question in free text with its answer."""
    known, text = response.known, row.item.text
    if known is not None and (row.link in known.not_read or (known.medicines and row.link in known.medicines.links)):
        return {}
    if not text or any(_NOT_NOW.search(words) for words in (text, *row.headings)) or _NEGATED.search(text):
        return {}
    value = {"valueBoolean": answer.valueBoolean} if answer.valueBoolean is not None else _worded(answer, codes=False)
    if not value and answer.valueCoding is not None:
        # A code without a display is as good as the words for it.
        titles = [base.concepts[m.concept].title for m in by_code(base, {"coding": [_raw_coding(answer.valueCoding)]})]
        value = {"valueCodeableConcept": {"text": titles[0]}} if titles else {}
    return {"code": {"text": text}, **value, **_site_in_words(base, row)} if value else {}


def _site_in_words(base: KnowledgeBase, row: _Item) -> dict[str, Any]:
    """Where it is, as asked below the item or right after it ("Which leg?"), else by a heading that is only a place."""
    siblings = row.around[-1]
    after = next((n for n, item in enumerate(siblings, 1) if item is row.item), len(siblings))
    for item in (*_below(row.item), *siblings[after : after + 1]):
        if item.text and _WHICH_SIDE.search(item.text):
            said = [_worded(answer, codes=False) for answer in item.answer or ()]
            words = [v.get("valueString") or v.get("valueCodeableConcept", {}).get("text") for v in said]
            if any(words):
                return {"bodySite": {"text": " and ".join(word for word in words if word)}}
    leg, symptoms = base.concepts["leg"].text, [c for c in base.concepts.values() if c.family == "symptoms"]
    for heading in reversed(row.headings):
        if names(heading, leg):
            only_a_place = not any(names(heading, (*c.text, *c.sign)) for c in symptoms)
            return {"bodySite": {"text": heading}} if only_a_place else {}
    return {}


def _raw_coding(coding: Any) -> dict[str, Any]:
    return {"system": coding.system, "code": coding.code}


# -- diagnoses and allergies ------------------------------------------------------------------------------------------


def _newest_first(responses: list[_Response], today: date, zone: tzinfo) -> list[_Response]:
    """Known questionnaires whose answers count, the newest first; what is dated in the future is not used."""
    rows = [r for r in responses if r.known and r.counts and (r.when is None or r.when.first <= today)]
    return sorted(rows, key=lambda r: (r.order(zone), r.resource.name), reverse=True)


def _diagnoses(
    base: KnowledgeBase, record: Record, responses: list[_Response], today: date, zone: tzinfo
) -> Iterator[Resource]:
    """What she says that she has, as unconfirmed entries. The newest answer to a question decides; "no" is no entry."""
    decided: set[tuple[str, str]] = set()
    hers = {"reference": f"Patient/{record.patient_id}"}
    for response in _newest_first(responses, today, zone):
        assert response.known is not None  # noqa: S101 - chosen so
        answered: set[tuple[str, str]] = set()
        for row in _walk(response.model.item, (), ()):
            meaning = response.known.items.get(row.link)
            question = (response.known.url, row.link)
            if meaning is None or meaning.role not in ("condition", "allergy") or question in decided:
                continue
            said = {_yes_or_no(meaning, answer) for answer in row.answers} - {None}
            answered |= {question} if said else set()
            if True in said:
                kind, holder = (
                    ("Condition", "subject") if meaning.role == "condition" else ("AllergyIntolerance", "patient")
                )
                yield _resource(
                    response, kind, row.link, code=_concept(base, meaning.target),
                    clinicalStatus=_status("condition-clinical", "active"),
                    verificationStatus=_status("condition-ver-status", "unconfirmed"),
                    **{holder: hers}, **_dated("recordedDate", response),
                )  # fmt: skip
        decided |= answered


def _status(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


# -- medicines --------------------------------------------------------------------------------------------------------


def _medicines(
    base: KnowledgeBase, record: Record, responses: list[_Response], today: date, zone: tzinfo, remarks: list[str]
) -> Iterator[Resource]:
    """Medicines that she takes, from the newest response of each questionnaire that asked for any."""
    decided: set[str] = set()
    for response in _newest_first(responses, today, zone):
        known = response.known
        items = known.medicines if known else None
        if known is None or items is None or known.url in decided:
            continue
        rows = [r for r in _walk(response.model.item, (), ()) if r.link == items.group and _below(r.item)]
        if not rows and not _by_link(response.model.item or ()).get(items.asked):
            continue
        decided.add(known.url)
        age = age_in_days(response.when, today, base.day_limits)
        if age is not None and age > base.number("diet-window"):
            if rows:
                limit = base.threshold("diet-window").quoted
                remarks.append(f"{response.resource.name}: medicines reported more than {limit} ago were not counted")
            continue
        for row in rows:
            yield _resource(
                response, "MedicationStatement", row.link, status="active",
                subject={"reference": f"Patient/{record.patient_id}"}, **_dated("effectiveDateTime", response),
                **_medicine(base, items, _below(row.item)),
            )  # fmt: skip


def _medicine(base: KnowledgeBase, items: MedicineItems, below: list[Any]) -> dict[str, Any]:
    """Name and dosage. The name is that of the product together with its kind, where the product alone tells less."""
    said = _by_link(below)
    product = next((a.valueString for a in said.get(items.product, ()) if a.valueString), "")
    kind = next((_code(a) for a in said.get(items.kind, ()) if _code(a)), "")
    names = [name.lower() for name in items.kinds.get(kind, ())]
    unsaid = [name for name in names if not _says(base, product, name)]
    text = f"{product} ({' + '.join(unsaid)})" if product and unsaid else product or " + ".join(names)
    units = next((_number(a) for a in said.get(items.units, ())), None)
    times = next((_number(a) for a in said.get(items.times, ())), None)
    dosage: dict[str, Any] = {}
    if units is not None:
        dosage["doseAndRate"] = [{"doseQuantity": {"value": units, "unit": "tablet"}}]
    if times is not None and times == times.to_integral_value():
        dosage["timing"] = {"repeat": {"frequency": int(times), "period": 1, "periodUnit": "d"}}
    # Without a name it may be anything; an empty concept says so to the reader of medicines.
    return {"medicationCodeableConcept": {"text": text} if text else {}, "dosage": [dosage] if dosage else []}


def _says(base: KnowledgeBase, product: str, name: str) -> bool:
    """Whether the product's name already says that it is of the kind with this name."""
    concept = next((c for c in base.concepts.values() if c.family == "medications" and c.title.lower() == name), None)
    lowered = product.lower()
    words = (*concept.text, *concept.ingredient) if concept is not None else (name.split()[0],)
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", lowered) for word in words)


def _number(answer: Any) -> Decimal | None:
    """A plausible count of tablets or times; None for anything else."""
    value = answer.valueDecimal if answer.valueDecimal is not None else answer.valueInteger
    number = None if value is None else Decimal(value)
    return number if number is not None and number.is_finite() and 0 < number < _MOST_UNITS else None
