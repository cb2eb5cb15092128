"""Draft orders and active medicines: which product class, and how much of it a day.

A draft is an order of this session: it is judged, it is not therapy. A product listed as request and as statement
counts once. Doses are elemental calcium in mg/d and vitamin D in IU/d; several drafts of a class are added up, and one
whose dose is unknown leaves the sum unknown. A medicine that cannot be read or has no readable
name may be anything, so it proves that nothing is absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from decimal import Decimal
from typing import Any

from cds.facts.coding import by_code, by_text, codings, names, says, texts
from cds.facts.dates import moment
from cds.facts.dose import Component, components, daily_amount, elemental, highest_single
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.record import DRAFTS, Record, Resource
from cds.facts.units import normal_unit
from cds.knowledge.model import Concept, FactKey, KnowledgeBase, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS

CALCIUM = ("calcium-supplement", "calcium-antacid")
_WANTED = {"calcium-supplement": "mg", "calcium-antacid": "mg", "vitamin-d": "[iU]"}
_COMBINATION = ("http://www.whocc.no/atc", "A12AX")
_ROUTINE = "prenatal-multivitamin"
_OVER = {"cancelled", "completed", "entered-in-error", "stopped"}
_MEDICINE = ("medicationCodeableConcept", "medicationReference")


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

    @property
    def components(self) -> list[Component]:
        return components(self.names, self.ingredients)


@dataclass(frozen=True)
class Medicines:
    """Readable products of one kind (drafts, or active therapy), and names of those that may be anything."""

    products: tuple[Product, ...]
    nameless: tuple[str, ...]

    def doubt(self, what: str) -> str:
        return f"{what} cannot be read ({', '.join(self.nameless)})" if self.nameless else ""


def draft_medicines(base: KnowledgeBase, record: Record) -> Medicines:
    """Every draft order of a medicine that is not withdrawn."""
    return _collect(base, record, list(record.of("MedicationRequest", drafts=True)))


def active_medicines(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Medicines:
    """Active requests and statements; a statement of a product that is already there adds nothing."""
    resources = [r for r in record.of("MedicationRequest", "MedicationStatement") if not _is_over(r, today, zone)]
    found = _collect(base, record, resources)
    kept: list[Product] = []
    for product in found.products:
        if product.resource.type != "MedicationStatement" or not any(_same(product, other) for other in kept):
            kept.append(product)
    return Medicines(tuple(kept), found.nameless)


def _is_over(resource: Resource, today: date, zone: tzinfo) -> bool:
    """Whether the resource is no current therapy, by its raw status (an unreadable one may still be over)."""
    if resource.raw.get("status") != "active":
        return True
    model = resource.read.model
    period = getattr(model, "effectivePeriod", None)
    ended = moment(getattr(period, "end", None), zone)
    return ended is not None and ended.last < today


def _same(statement: Product, other: Product) -> bool:
    """Whether a statement repeats another entry: it says so, or carries its code or name."""
    based_on = [row.reference for row in getattr(statement.resource.read.model, "basedOn", None) or ()]
    names = {name.lower() for name in statement.names}
    return (
        other.resource.name in based_on
        or bool(statement.codes & other.codes)
        or bool(names & {name.lower() for name in other.names})
    )


def _collect(base: KnowledgeBase, record: Record, resources: list[Resource]) -> Medicines:
    products, nameless = [], []
    for resource in resources:
        model = resource.read.model
        if model is None:
            # A draft that names no medicine yet is none; an active entry that names none is a medicine nobody can tell.
            if not resource.draft or any(name in resource.raw for name in _MEDICINE):
                nameless.append(resource.name)
            continue
        if getattr(model, "doNotPerform", None) or (resource.draft and model.status in _OVER):
            continue
        product = _product(base, record, resource, model)
        if product is None:
            nameless.append(resource.name)
        else:
            products.append(product)
    return Medicines(tuple(products), tuple(nameless))


def _product(base: KnowledgeBase, record: Record, resource: Resource, model: Any) -> Product | None:
    """None when nothing says what the medicine is."""
    concept: Any = model.medicationCodeableConcept
    ingredients: tuple[tuple[str, Decimal | None, str | None], ...] = ()
    if concept is None and model.medicationReference is not None:
        medication = _medication(record, resource, model.medicationReference.reference)
        concept = medication.get("code")
        ingredients = tuple(_ingredients(medication))
        if not texts(concept) and model.medicationReference.display:
            concept = {"text": model.medicationReference.display, "coding": (concept or {}).get("coding")}
    codes = frozenset((system, code) for system, code, _ in codings(concept))
    names = texts(concept) or tuple(name for name, _, _ in ingredients if name)[:1]
    matched = frozenset(m.concept for m in by_code(base, concept))
    if not names and not matched:
        return None  # a code that nobody here knows may be anything
    dosage = model.dosageInstruction if resource.type == "MedicationRequest" else model.dosage
    name = names[0] if names else "medicine without a name"
    return Product(resource, name, names, codes, matched, ingredients, tuple(dosage or ()))


def _medication(record: Record, resource: Resource, reference: str | None) -> dict[str, Any]:
    """The raw Medication that a reference means: contained, in the request, or none."""
    if reference is None:
        return {}
    if reference.startswith("#"):
        contained = resource.raw.get("contained")
        rows = contained if isinstance(contained, list) else []
        found = (r for r in rows if isinstance(r, dict) and r.get("id") == reference[1:])
        return next((row for row in found if row.get("resourceType") == "Medication"), {})
    plain = reference.split("/_history/")[0]
    return record.medications.get(plain) or record.medications.get("/".join(plain.split("/")[-2:])) or {}


def _ingredients(medication: dict[str, Any]) -> Iterator[tuple[str, Decimal | None, str | None]]:
    """(name, strength, unit) of each ingredient of a raw Medication; a strength per volume is no strength of a unit."""
    rows = medication.get("ingredient")
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        strength = row.get("strength")
        numerator, denominator = (
            strength.get(name) if isinstance(strength, dict) else None for name in ("numerator", "denominator")
        )
        amount, unit = _raw_quantity(numerator)
        each, per = _raw_quantity(denominator)
        if each not in (None, Decimal(1)) or (per or "1").startswith(("mL", "ml", "L", "g")):
            amount = None
        name = next(iter(texts(row.get("itemCodeableConcept"))), "")
        yield name, amount, normal_unit(unit) if unit else None


def _raw_quantity(quantity: Any) -> tuple[Decimal | None, str | None]:
    if not isinstance(quantity, dict):
        return None, None
    value, unit = quantity.get("value"), quantity.get("code") or quantity.get("unit")
    number = Decimal(str(value)) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else None
    return number if number is not None and number.is_finite() else None, unit if isinstance(unit, str) else None


def means(product: Product, concept: Concept) -> bool:
    """Whether the product belongs to the concept: by code, by name, or by the first word of an ingredient."""
    if concept.not_as and any(names(text, concept.not_as) for text in _spoken(product)):
        return False
    return (
        concept.id in product.concept_ids
        or bool(by_text([concept], product.names))
        or any(_component_means(part.name, concept) for part in product.components)
    )


def _spoken(product: Product) -> Iterator[str]:
    """Every text that says what the product is and how it is taken."""
    yield from product.names
    yield from (part.name for part in product.components)
    for row in product.dosage:
        yield from texts(getattr(row, "route", None))


def _component_means(name: str, concept: Concept) -> bool:
    if any(says(name, (phrase,)) for phrase in concept.void):
        return False
    words = name.split()
    return says(name, concept.text) or (bool(words) and words[0].strip("().:") in concept.ingredient)


def daily_dose(base: KnowledgeBase, product: Product, concept: Concept) -> Decimal | None:
    """Daily dose of the concept's substance: elemental calcium in mg, or vitamin D in IU. None when unknown."""
    wanted = _WANTED.get(concept.id)
    part = _ingredient(product, concept)
    if wanted is None or part is None:
        return None
    share = Decimal(1)
    if wanted == "mg":
        # Combination products state the element; a single salt states the salt.
        stated = _is_routine(base, product) or _COMBINATION in product.codes
        found = elemental(base, part, stated=stated)
        if found is None:
            return None
        share, part = found
    amount = daily_amount(product.dosage, part, wanted, sole=len(product.components) == 1)
    return None if amount is None else (amount * share).quantize(Decimal("0.001"))


def single_dose(product: Product, concept: Concept) -> Decimal | None:
    """The largest dose taken at once, for vitamin D in IU; None for other substances or when it cannot be read."""
    part = _ingredient(product, concept)
    if _WANTED.get(concept.id) != "[iU]" or part is None:
        return None
    return highest_single(product.dosage, part, "[iU]", sole=len(product.components) == 1)


def _ingredient(product: Product, concept: Concept) -> Component | None:
    """The one ingredient of the concept; None when it is not clear which."""
    parts = product.components
    chosen = [part for part in parts if _component_means(part.name, concept)] or parts
    return chosen[0] if len(chosen) == 1 else None


def _is_routine(base: KnowledgeBase, product: Product) -> bool:
    return means(product, base.concepts[_ROUTINE])


def order_fact(base: KnowledgeBase, record: Record, key: FactKey) -> Fact:
    """Draft orders of a class. ``selected`` says whether one of the chosen drafts is among them."""
    title = base.title_of(key)
    concept = base.concepts[key[1]]
    drafts = draft_medicines(base, record)
    rows = [
        (product, daily_dose(base, product, concept))
        for product in drafts.products
        if means(product, concept) and not _holds_unsaid(base, product, concept)
    ]
    if not rows:
        gap = (
            f"the draft orders {record.withheld[DRAFTS]}"
            if DRAFTS in record.withheld
            else drafts.doubt("a draft order")
        )
        return unknown(key, title, gap) if gap else absent(key, title, "no such draft order")
    chosen = [row for row in rows if row[0].resource.selected]
    fact = _summary(key, title, chosen or rows, selected=bool(chosen))
    singles = [s for s in (single_dose(product, concept) for product, _ in chosen or rows) if s is not None]
    return replace(fact, attributes={**fact.attributes, "single_dose": max(singles)}) if singles else fact


def _holds_unsaid(base: KnowledgeBase, product: Product, concept: Concept) -> bool:
    """A prenatal product that does not say how much it holds is routine supply, not a therapeutic order.

    That is about doses: such a product is still a prenatal multivitamin, or iron, to what interacts with it.
    """
    if concept.id not in _WANTED:
        return False
    part = _ingredient(product, concept)
    return _is_routine(base, product) and (part is None or part.amount is None)


def medication_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """Active medicines of a class; ``dose`` is their daily sum, known only when each of them is and all were given."""
    title = base.title_of(key)
    concept = base.concepts[key[1]]
    active = active_medicines(base, record, today, zone)
    rows = [(p, daily_dose(base, p, concept)) for p in active.products if means(p, concept)]
    gap = record.gap("medication") or active.doubt("a medicine")
    if not rows:
        return unknown(key, title, gap) if gap else absent(key, title, "none among the active medicines supplied")
    doses = [dose for _, dose in rows if dose is not None]
    total = sum(doses, Decimal(0)) if len(doses) == len(rows) and not gap else None
    return known(
        key,
        title,
        _listed(key, rows),
        sources=tuple(p.resource.name for p, _ in rows),
        remarks=(f"{gap}: there may be more",) if gap else (),
        dose=total,
        dose_known=total is not None,
    )


def calcium_medicines(
    base: KnowledgeBase, record: Record, today: date, zone: tzinfo
) -> tuple[list[tuple[Product, Decimal | None]], str]:
    """Every active product that holds calcium, once, with its daily elemental dose; and why there may be more."""
    active = active_medicines(base, record, today, zone)
    rows = []
    for product in active.products:
        classes = [base.concepts[id] for id in CALCIUM if means(product, base.concepts[id])]
        if classes:
            doses = [daily_dose(base, product, concept) for concept in classes]
            rows.append((product, next((dose for dose in doses if dose is not None), None)))
    return rows, record.gap("medication") or active.doubt("a medicine")


def _summary(key: FactKey, title: str, rows: list[tuple[Product, Decimal | None]], *, selected: bool) -> Fact:
    doses = [dose for _, dose in rows if dose is not None]
    total = sum(doses, Decimal(0)) if len(doses) == len(rows) else None
    return known(
        key,
        title,
        _listed(key, rows),
        brief="; ".join(dict.fromkeys(p.name for p, _ in rows)),
        sources=tuple(p.resource.name for p, _ in rows),
        selected=selected,
        dose=total,
        dose_known=total is not None,
    )


def _listed(key: FactKey, rows: list[tuple[Product, Decimal | None]]) -> str:
    unit = CANONICAL_UNITS.get(key)
    if unit is None:
        return "; ".join(dict.fromkeys(product.name for product, _ in rows))
    words = [f"{product.name} ({dose_text(key[1], dose, unit)})" for product, dose in rows]
    return "; ".join(dict.fromkeys(words))


def dose_text(concept: str, dose: Decimal | None, unit: str) -> str:
    """A daily dose as a card says it: whole from one hundred on, exact below."""
    if dose is None:
        return "daily dose not readable"
    shown = dose.quantize(Decimal(1)) if dose >= 100 or dose == dose.quantize(Decimal(1)) else dose.normalize()
    return f"{'elemental calcium ' if concept in CALCIUM else ''}{quantity_text(shown, unit)}"
