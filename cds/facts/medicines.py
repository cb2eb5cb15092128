"""Draft orders and active medicines: which product class, and how much of it a day.

A draft is an order of this session: it is judged, it is not therapy. A product listed as request and as statement
counts once. Doses are elemental calcium in mg/d and vitamin D in IU/d; where several drafts match, the one whose dose
is unknown, else the highest, speaks for all - the cautious reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, by_text, codings, says, texts
from cds.facts.dose import components, daily_amount, elemental_share
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.record import Record, Resource
from cds.facts.units import normal_unit
from cds.knowledge.model import Concept, FactKey, KnowledgeBase, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS

_WANTED = {"calcium-supplement": "mg", "vitamin-d": "[iU]", "calcium-antacid": "mg"}
_ACTIVE = {"MedicationRequest": {"active"}, "MedicationStatement": {"active", "intended"}}


@dataclass(frozen=True)
class Product:
    """One medicine: the resource, its name, how it is taken, and what identifies it."""

    resource: Resource
    name: str
    names: tuple[str, ...]
    codes: frozenset[tuple[str, str]]
    concept_ids: frozenset[str]
    ingredients: tuple[tuple[str, Decimal | None, str | None], ...]
    dosage: tuple[Any, ...]


def products(base: KnowledgeBase, record: Record, *, drafts: bool) -> Iterator[Product]:
    """Readable medicines: drafts of the session, or active requests and statements (each product once)."""
    seen: set[tuple[object, ...]] = set()
    types = ("MedicationRequest",) if drafts else ("MedicationRequest", "MedicationStatement")
    for resource in record.of(*types, drafts=drafts):
        model = resource.read.model
        if model is None or getattr(model, "doNotPerform", None):
            continue
        if not drafts and model.status not in _ACTIVE[resource.type]:
            continue
        product = _product(base, record, resource, model)
        if product is None:
            continue
        # The same product as request and as statement is one therapy.
        identity = (tuple(sorted(product.codes)) or product.name.lower(),)
        if not drafts and resource.type == "MedicationStatement" and identity in seen:
            continue
        seen.add(identity)
        yield product


def nameless(base: KnowledgeBase, record: Record, *, drafts: bool) -> tuple[str, ...]:
    """Names of drafts, or of active medicines, that cannot be read or name no medicine: any class may hide in them."""
    types = ("MedicationRequest",) if drafts else ("MedicationRequest", "MedicationStatement")
    found = []
    for resource in record.of(*types, drafts=drafts):
        model = resource.read.model
        if not drafts and resource.raw.get("status") not in (*_ACTIVE[resource.type], None):
            continue
        if model is None or _product(base, record, resource, model) is None:
            found.append(resource.name)
    return tuple(found)


def _product(base: KnowledgeBase, record: Record, resource: Resource, model: Any) -> Product | None:
    concept: Any = model.medicationCodeableConcept
    ingredients: list[tuple[str, Decimal | None, str | None]] = []
    if concept is None and model.medicationReference is not None:
        medication = _medication(record, resource, model.medicationReference.reference)
        if medication is not None:
            concept = medication.get("code")
            ingredients = list(_ingredients(medication))
        elif model.medicationReference.display:
            concept = {"text": model.medicationReference.display}
    names = texts(concept)
    codes = frozenset((system, code) for system, code, _ in codings(concept)) if concept is not None else frozenset()
    if not names and not codes:
        return None
    dosage = tuple(model.dosageInstruction or ()) if resource.type == "MedicationRequest" else tuple(model.dosage or ())
    matched = frozenset(m.concept for m in by_code(base, concept))
    name = names[0] if names else "medicine without a name"
    return Product(resource, name, names, codes, matched, tuple(ingredients), dosage)


def _medication(record: Record, resource: Resource, reference: str | None) -> dict[str, Any] | None:
    if not isinstance(reference, str):
        return None
    if reference.startswith("#"):
        for row in resource.raw.get("contained") or []:
            if isinstance(row, dict) and row.get("id") == reference[1:] and row.get("resourceType") == "Medication":
                return row
        return None
    return record.other.get(reference) or record.other.get("Medication/" + reference.rsplit("/", 1)[-1])


def _ingredients(medication: dict[str, Any]) -> Iterator[tuple[str, Decimal | None, str | None]]:
    rows = medication.get("ingredient")
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        spoken = texts(row.get("itemCodeableConcept"))
        numerator = (row.get("strength") or {}).get("numerator") if isinstance(row.get("strength"), dict) else None
        value = numerator.get("value") if isinstance(numerator, dict) else None
        unit = (numerator.get("code") or numerator.get("unit")) if isinstance(numerator, dict) else None
        amount = Decimal(str(value)) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else None
        yield spoken[0] if spoken else "", amount, normal_unit(unit) if isinstance(unit, str) else None


def means(base: KnowledgeBase, product: Product, concept: Concept) -> bool:
    """Whether the product belongs to the concept: by code, by name, or by the first word of an ingredient."""
    if concept.id in product.concept_ids:
        return True
    if by_text([concept], product.names):
        return True
    return any(_component_means(part.name, concept) for part in components(product.names, product.ingredients))


def _component_means(name: str, concept: Concept) -> bool:
    if any(says(name, (phrase,)) for phrase in concept.void):
        return False
    if says(name, concept.text, concept.void):
        return True
    words = name.split()
    return bool(words) and words[0].strip("().:") in concept.ingredient


def daily_dose(base: KnowledgeBase, product: Product, concept: Concept) -> Decimal | None:
    """Daily dose of the concept's substance: elemental calcium in mg, or vitamin D in IU. None when unknown."""
    wanted = _WANTED.get(concept.id)
    if wanted is None:
        return None
    parts = components(product.names, product.ingredients)
    # Combination products state the element; a single salt states the salt.
    stated = "prenatal-multivitamin" in product.concept_ids or _is_prenatal(base, product)
    stated = stated or (("http://www.whocc.no/atc", "A12AX") in product.codes)
    chosen = [part for part in parts if _component_means(part.name, concept)] or (parts if len(parts) == 1 else [])
    if len(chosen) != 1:
        return None
    part = chosen[0]
    raw = daily_amount(product.dosage, part.amount, part.unit, wanted)
    if raw is None:
        return None
    if wanted == "[iU]":
        return raw
    share = elemental_share(base, part.name, set(product.codes), stated=stated)
    return None if share is None else (raw * share).quantize(Decimal("0.001"))


def _is_prenatal(base: KnowledgeBase, product: Product) -> bool:
    concept = base.concepts.get("prenatal-multivitamin")
    return concept is not None and bool(by_text([concept], product.names))


def order_fact(base: KnowledgeBase, record: Record, key: FactKey) -> Fact:
    """Draft orders of a class. ``selected`` says whether one of the chosen drafts is among them."""
    title = base.title_of(key)
    if "draftOrders" in record.withheld:
        return unknown(key, title, f"the draft orders {record.withheld['draftOrders']}")
    concept = base.concepts[key[1]]
    rows = [(p, daily_dose(base, p, concept)) for p in products(base, record, drafts=True) if means(base, p, concept)]
    # A prenatal product that does not say how much it holds is routine supply, not a therapeutic order.
    rows = [row for row in rows if row[1] is not None or not _routine(base, row[0])]
    if not rows:
        broken = nameless(base, record, drafts=True)
        if broken:
            return unknown(key, title, f"a draft order names no medicine that can be read ({broken[0]})")
        return absent(key, title, "no such draft order")
    chosen = [row for row in rows if row[0].resource.selected]
    return _summary(key, title, chosen or rows, selected=bool(chosen))


def _routine(base: KnowledgeBase, product: Product) -> bool:
    return "prenatal-multivitamin" in product.concept_ids or _is_prenatal(base, product)


def medication_fact(base: KnowledgeBase, record: Record, key: FactKey) -> Fact:
    """Active medicines of a class; ``dose`` is their daily sum, known only when each of them is."""
    title = base.title_of(key)
    concept = base.concepts[key[1]]
    rows = [(p, daily_dose(base, p, concept)) for p in products(base, record, drafts=False) if means(base, p, concept)]
    if rows:
        doses = [dose for _, dose in rows]
        whole = None not in doses and not nameless(base, record, drafts=False)
        total = sum((d for d in doses if d is not None), Decimal(0)) if whole else None
        return known(
            key,
            title,
            _listed(key, rows),
            sources=tuple(p.resource.name for p, _ in rows),
            dose=total,
            dose_known=total is not None,
        )
    gap = record.gap("medication")
    broken = nameless(base, record, drafts=False)
    reason = gap or (f"{len(broken)} active medicine(s) could not be read ({broken[0]})" if broken else "")
    return unknown(key, title, reason) if reason else absent(key, title, "none among the active medicines supplied")


def _summary(key: FactKey, title: str, rows: list[tuple[Product, Decimal | None]], *, selected: bool) -> Fact:
    doses = [dose for _, dose in rows]
    highest = max((d for d in doses if d is not None), default=None) if None not in doses else None
    return known(
        key,
        title,
        _listed(key, rows),
        brief="; ".join(dict.fromkeys(p.name for p, _ in rows)),
        sources=tuple(p.resource.name for p, _ in rows),
        selected=selected,
        dose=highest,
        dose_known=highest is not None,
    )


def _listed(key: FactKey, rows: list[tuple[Product, Decimal | None]]) -> str:
    unit = CANONICAL_UNITS.get(key, "")
    what = "elemental calcium " if key[1].startswith("calcium") else ""
    words = []
    for product, dose in rows:
        amount = f"{what}{quantity_text(_whole(dose), unit)}" if dose is not None else "daily dose not readable"
        words.append(f"{product.name} ({amount})" if unit else product.name)
    return "; ".join(dict.fromkeys(words))


def _whole(dose: Decimal) -> Decimal:
    """As a card says it: whole from one hundred on, exact below."""
    return dose.quantize(Decimal(1)) if dose >= 100 or dose == dose.quantize(Decimal(1)) else dose.normalize()
