"""Draft orders and active medicines: which product class, and how much of it a day.

A draft is an order of this session: it is judged, it is not therapy. A product listed as request and as statement
counts once. Doses are elemental calcium and magnesium in mg/d and vitamin D in IU/d; several drafts of a class are
added up, and one whose dose is unknown leaves the sum unknown. A dose taken as needed is read at its highest and named
so. Magnesium whose label does not say salt or element is read as the element, which is the most that it can be: it is
only ever asked whether magnesium is above a limit. A medicine that cannot be read or has no readable name may be
anything, so it proves that nothing is absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any

from cds.facts.coding import by_code, by_text, codings, names, says, texts
from cds.facts.dates import moment
from cds.facts.dose import (
    Component,
    Ingredient,
    components,
    daily_amount,
    elemental,
    highest_single,
    is_as_needed,
    measured_of,
)
from cds.facts.model import Fact, absent, known, unknown
from cds.facts.record import DRAFTS, Record, Resource
from cds.facts.units import normal_unit
from cds.knowledge.model import Concept, FactKey, KnowledgeBase, quantity_text
from cds.knowledge.vocabulary import CANONICAL_UNITS

CALCIUM = ("calcium-supplement", "calcium-antacid")
VITAMIN_D = ("vitamin-d",)
_MAGNESIUM = "magnesium-supplement"
_WANTED = {"calcium-supplement": "mg", "calcium-antacid": "mg", _MAGNESIUM: "mg", "vitamin-d": "[iU]"}
_ELEMENTS = {"calcium-supplement": "calcium", "calcium-antacid": "calcium", _MAGNESIUM: "magnesium"}
_COMBINATION = ("http://www.whocc.no/atc", "A12AX")
_ROUTINE = "prenatal-multivitamin"
_OVER = {"cancelled", "completed", "entered-in-error", "on-hold", "stopped"}
_MAY_BE_TAKEN = ("active", "unknown", None)
_MEDICINE = ("medicationCodeableConcept", "medicationReference")


@dataclass(frozen=True)
class Product:
    """One medicine: the resource, its name, how it is taken, and what identifies it.

    ``repeats`` are entries that list the same product again; what this one leaves open is read from them.
    """

    resource: Resource
    name: str
    names: tuple[str, ...]
    codes: frozenset[tuple[str, str]]
    concept_ids: frozenset[str]
    ingredients: tuple[Ingredient, ...]
    dosage: tuple[Any, ...]
    repeats: tuple[Product, ...] = ()

    @cached_property
    def components(self) -> list[Component]:
        return components(self.names, self.ingredients)

    @cached_property
    def lowered(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.names)

    @cached_property
    def replaced(self) -> frozenset[str]:
        """The requests that this one says to replace or to carry out."""
        model = self.resource.read.model
        rows = [getattr(model, "priorPrescription", None), *(getattr(model, "basedOn", None) or ())]
        names = (row.reference.split("/_history/")[0] for row in rows if row is not None and row.reference)
        return frozenset("/".join(name.split("/")[-2:]) for name in names)


@dataclass(frozen=True)
class Dose:
    """How much of a substance a product gives a day and at a time; None where that cannot be read, and then why.

    ``most`` says why the true dose may be smaller; empty when it is as stated.
    """

    a_day: Decimal | None = None
    at_once: Decimal | None = None
    most: str = ""
    why: str = ""


@dataclass(frozen=True)
class Medicines:
    """Readable products of one kind (drafts, or active therapy), and names of those that may be anything."""

    products: tuple[Product, ...]
    nameless: tuple[str, ...]

    def doubt(self, what: str) -> str:
        return f"{what} cannot be read ({', '.join(self.nameless)})" if self.nameless else ""


def draft_medicines(base: KnowledgeBase, record: Record) -> Medicines:
    """Every draft order of a medicine that is not withdrawn."""
    drafts = record.of("MedicationRequest", drafts=True)
    return record.once("draft-medicines", lambda: _collect(base, record, list(drafts)))


def active_medicines(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Medicines:
    """Active requests and statements; a statement of a product that is already there adds nothing."""
    return record.once(("active-medicines", today, zone), lambda: _active(base, record, today, zone))


def _active(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> Medicines:
    resources = [r for r in record.of("MedicationRequest", "MedicationStatement") if not _is_over(r, today, zone)]
    found = _collect(base, record, resources)
    kept: list[Product] = []
    for product in found.products:
        record.tick()
        repeats = product.resource.type == "MedicationStatement"
        first = next((n for n, other in enumerate(kept) if _same(product, other)), None) if repeats else None
        if first is None:
            kept.append(product)
        else:
            kept[first] = replace(kept[first], repeats=(*kept[first].repeats, product))
    return Medicines(tuple(kept), found.nameless)


def withdrawn(record: Record) -> frozenset[str]:
    """Names of requests that this session stops, holds or withdraws."""
    drafts = record.of("MedicationRequest", drafts=True)
    return frozenset(
        draft.name for draft in drafts if str(draft.raw.get("status")) in _OVER or draft.raw.get("doNotPerform") is True
    )


def _is_over(resource: Resource, today: date, zone: tzinfo) -> bool:
    """Whether the resource is no current therapy, by its raw status (an unreadable one may still be over).

    A status that is missing or "unknown" does not say that she stopped.
    """
    if resource.raw.get("status") not in _MAY_BE_TAKEN:
        return True
    model = resource.read.model
    period = getattr(model, "effectivePeriod", None)
    ended = moment(getattr(period, "end", None), zone)
    return ended is not None and ended.last < today


def _same(one: Product, other: Product) -> bool:
    """Whether an entry repeats another: it says so, or carries its code or name."""
    return (
        other.resource.name in one.replaced
        or not one.codes.isdisjoint(other.codes)
        or not one.lowered.isdisjoint(other.lowered)
    )


def _collect(base: KnowledgeBase, record: Record, resources: list[Resource]) -> Medicines:
    products, nameless = [], []
    for resource in resources:
        resource.tick()
        model = resource.read.model
        if model is None:
            # A draft that names no medicine yet is none; an active entry that names none is a medicine nobody can tell.
            if not resource.draft or any(name in resource.raw for name in _MEDICINE):
                nameless.append(resource.name)
            continue
        if getattr(model, "doNotPerform", None) or (resource.draft and model.status in _OVER):
            continue
        if "product" not in resource.memo:
            resource.memo["product"] = _product(base, record, resource, model)
        product = resource.memo["product"]
        if product is None:
            nameless.append(resource.name)
        else:
            products.append(product)
    return Medicines(tuple(products), tuple(nameless))


def _product(base: KnowledgeBase, record: Record, resource: Resource, model: Any) -> Product | None:
    """None when nothing says what the medicine is."""
    concept: Any = model.medicationCodeableConcept
    ingredients: tuple[Ingredient, ...] = ()
    if concept is None and model.medicationReference is not None:
        medication = _medication(record, resource, model.medicationReference.reference)
        concept = medication.get("code")
        ingredients = tuple(_ingredients(base, medication))
        if not texts(concept) and model.medicationReference.display:
            concept = {"text": model.medicationReference.display, "coding": (concept or {}).get("coding")}
    codes = frozenset((system, code) for system, code, _ in codings(concept))
    names = texts(concept) or tuple(name for name, *_ in ingredients if name)[:1]
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
    return record.medication(reference)


def _ingredients(base: KnowledgeBase, medication: dict[str, Any]) -> Iterator[Ingredient]:
    """Each ingredient of a raw Medication; its strength is that of one unit or of so many millilitres."""
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
        per_ml = each if per is not None and per.lower() == "ml" and each is not None and each > 0 else None
        if per_ml is None and (each not in (None, Decimal(1)) or (per or "1").startswith(("mL", "ml", "L", "g"))):
            amount = None
        yield (
            _ingredient_name(base, row.get("itemCodeableConcept")),
            amount,
            normal_unit(unit) if unit else None,
            per_ml,
        )


def _ingredient_name(base: KnowledgeBase, concept: Any) -> str:
    """The name of an ingredient; that of its salt or class where only a code is given."""
    named = texts(concept)
    if named:
        return named[0]
    given = {(system, code) for system, code, _ in codings(concept)}
    salt = next((salt.text[0] for salt in base.salts if given & {(row.system, row.code) for row in salt.codes}), "")
    return salt or next((match.code.display for match in by_code(base, concept) if match.code is not None), "")


def _raw_quantity(quantity: Any) -> tuple[Decimal | None, str | None]:
    if not isinstance(quantity, dict):
        return None, None
    value, unit = quantity.get("value"), quantity.get("code") or quantity.get("unit")
    number = Decimal(str(value)) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else None
    return number if number is not None and number.is_finite() else None, unit if isinstance(unit, str) else None


def means(product: Product, concept: Concept) -> bool:
    """Whether the product belongs to the concept: by code, by name, or by the first word of an ingredient.

    An entry that repeats the product may be the one that says so.
    """
    return any(_means(one, concept) for one in (product, *product.repeats))


def _means(product: Product, concept: Concept) -> bool:
    memo, key = product.resource.memo, f"means {concept.id}"
    if key not in memo:
        product.resource.tick()
        memo[key] = not (concept.not_as and any(names(text, concept.not_as) for text in _spoken(product))) and (
            concept.id in product.concept_ids
            or bool(by_text([concept], product.names))
            or any(_component_means(part.name, concept) for part in product.components)
        )
    return bool(memo[key])


def _spoken(product: Product) -> Iterator[str]:
    """Every text that says what the product is and how it is taken."""
    yield from product.names
    yield from (part.name for part in product.components)
    for row in product.dosage:
        yield from texts(getattr(row, "route", None))


def _component_means(name: str, concept: Concept) -> bool:
    plain = name.replace("-", " ")
    if says(name, concept.void) or says(plain, concept.void):
        return False
    words = plain.split()
    is_first = bool(words) and words[0].strip("().:") in concept.ingredient
    return is_first or says(name, concept.text) or bool(measured_of(name, concept.ingredient))


def dose_of(base: KnowledgeBase, product: Product, concept: Concept) -> Dose:
    """The dose of the concept's substance: elemental calcium or magnesium in mg, or vitamin D in IU.

    Where the same product is listed twice, the first entry whose daily dose can be read counts.
    """
    first = _dose_of(base, product, concept)
    if first.a_day is not None:
        return first
    others = (_dose_of(base, one, concept) for one in product.repeats)
    return next((dose for dose in others if dose.a_day is not None), first)


def _dose_of(base: KnowledgeBase, product: Product, concept: Concept) -> Dose:
    product.resource.tick()
    wanted = _WANTED.get(concept.id)
    parts = _parts(product, concept)
    if wanted is None or not parts:
        return Dose(why="daily dose not readable")
    doses = [_part_dose(base, product, concept, part, wanted) for part in parts]
    if len(doses) == 1:
        return doses[0]
    whys = [dose.why for dose in doses if dose.why]
    days, onces = [dose.a_day for dose in doses], [dose.at_once for dose in doses]
    most = next((dose.most for dose in doses if dose.most), "")
    return Dose(_all_of(days), _all_of(onces), most, whys[0] if whys else "")


def _all_of(doses: list[Decimal | None]) -> Decimal | None:
    """The sum, known only when each is."""
    known_doses = [dose for dose in doses if dose is not None]
    return sum(known_doses, Decimal(0)) if doses and len(known_doses) == len(doses) else None


def _part_dose(base: KnowledgeBase, product: Product, concept: Concept, part: Component, wanted: str) -> Dose:
    """The dose of one ingredient; a dose given as an amount can only mean the sole ingredient."""
    sole = len(product.components) == 1
    share, most = Decimal(1), "as needed" if any(is_as_needed(row) for row in product.dosage) else ""
    if wanted == "mg":
        # Combination products state the element; a single salt states the salt.
        found = elemental(base, part, stated=_is_routine(base, product) or _COMBINATION in product.codes)
        if found is not None:
            share, part = found
        elif concept.id == _MAGNESIUM and not part.is_elemental:
            most = "the label may mean the salt"
        elif part.amount is None or part.is_elemental:
            return Dose(why="daily dose not readable")
        else:
            return Dose(why=f"elemental {_ELEMENTS[concept.id]} not stated")
    a_day = daily_amount(product.dosage, part, wanted, sole=sole)
    at_once = highest_single(product.dosage, part, wanted, sole=sole)
    return Dose(
        None if a_day is None else (a_day * share).quantize(Decimal("0.001")),
        None if at_once is None else (at_once * share).quantize(Decimal("0.001")),
        most,
        "" if a_day is not None else "daily dose not readable",
    )


def _parts(product: Product, concept: Concept) -> list[Component]:
    """The ingredients of the concept; none when it is not clear which.

    "Calcium carbonate 1250 mg / elemental calcium 500 mg" says one thing twice: the element counts.
    """
    rows = product.components
    named = [part for part in rows if _component_means(part.name, concept)]
    stated = [part for part in named if part.is_elemental]
    # "Adcal-D3 1500mg/400unit": an amount in units that nothing names is that of the vitamin D.
    units = [part for part in rows if part.unit == "[iU]" and part.name[:1].isdigit()]
    if concept.id in VITAMIN_D and len(units) == 1 and not any(part.unit == "[iU]" for part in named):
        return units
    return stated[:1] or named or (rows if len(rows) == 1 else [])


def _is_routine(base: KnowledgeBase, product: Product) -> bool:
    return means(product, base.concepts[_ROUTINE])


def order_fact(base: KnowledgeBase, record: Record, key: FactKey) -> Fact:
    """Draft orders of a class. ``selected`` says whether one of the chosen drafts is among them.

    ``dose`` is their daily sum, known only when each is; ``single_dose`` the largest known amount taken at once;
    ``reason`` what every one of them is given for, where the record says so (malaria).
    """
    title = base.title_of(key)
    concept = base.concepts[key[1]]
    drafts = draft_medicines(base, record)
    rows = [
        (product, dose_of(base, product, concept))
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
    judged = chosen or rows
    total = _all_of([dose.a_day for _, dose in judged])
    singles = [dose.at_once for _, dose in judged if dose.at_once is not None]
    reasons = {_reason(base, record, product) for product, _ in judged}
    return known(
        key,
        title,
        _listed(key, judged),
        brief="; ".join(dict.fromkeys(p.name for p, _ in judged)),
        sources=tuple(p.resource.name for p, _ in judged),
        selected=bool(chosen),
        dose=total,
        dose_known=total is not None,
        single_dose=max(singles, default=None),
        reason=reasons.pop() if len(reasons) == 1 else None,
    )


def _holds_unsaid(base: KnowledgeBase, product: Product, concept: Concept) -> bool:
    """A prenatal product that does not say how much it holds is routine supply, not a therapeutic order.

    That is about doses: such a product is still a prenatal multivitamin, or iron, to what interacts with it.
    """
    if concept.id not in _WANTED:
        return False
    return _is_routine(base, product) and all(part.amount is None for part in _parts(product, concept))


def medication_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """Active medicines of a class; ``dose`` is their daily sum, known only when each of them is and all were given."""
    title = base.title_of(key)
    concept = base.concepts[key[1]]
    active = active_medicines(base, record, today, zone)
    rows = [(p, dose_of(base, p, concept)) for p in active.products if means(p, concept)]
    gap = record.gap("medication") or active.doubt("a medicine")
    if not rows:
        return unknown(key, title, gap) if gap else absent(key, title, "none among the active medicines supplied")
    total = _all_of([dose.a_day for _, dose in rows]) if not gap else None
    return known(
        key,
        title,
        _listed(key, rows),
        brief="; ".join(dict.fromkeys(p.name for p, _ in rows)),
        sources=tuple(p.resource.name for p, _ in rows),
        remarks=(f"{gap}: there may be more",) if gap else (),
        dose=total,
        dose_known=total is not None,
    )


def products_with(
    base: KnowledgeBase, record: Record, products: tuple[Product, ...], concepts: tuple[str, ...]
) -> list[tuple[Product, Dose]]:
    """Every product that belongs to one of the concepts, once, with its dose by the first that gives one."""
    rows = []
    for product in products:
        record.tick()
        doses = [dose_of(base, product, base.concepts[id]) for id in concepts if means(product, base.concepts[id])]
        if doses:
            rows.append((product, next((dose for dose in doses if dose.a_day is not None), doses[0])))
    return rows


def each_once(
    record: Record, rows: list[tuple[Product, Dose]], stopped: frozenset[str] = frozenset()
) -> tuple[list[tuple[Product, Dose]], list[Product]]:
    """The products that will be taken, each once, and those only taken to be renewed by a draft.

    A product steps back for one that says to renew or change it (the same request, or `priorPrescription` or
    `basedOn`). An active one also steps back for a draft of the same code or name and the same dose: it is rather a
    renewal than a second product, but nobody said so. Where the newer dose cannot be read, the older entry counts on.
    ``stopped`` are requests that the session ends.
    """
    kept, assumed = [], []
    # Only these can take the place of another: a long list of active medicines is not compared pair by pair.
    newer = [row for row in rows if row[1].a_day is not None and (row[0].resource.draft or row[0].replaced)]
    for product, dose in rows:
        record.tick()
        if product.resource.draft:
            kept.append((product, dose))
            continue
        if product.resource.name in stopped:
            continue
        others = [(other, its) for other, its in newer if other is not product]
        if any(_replaces(other, product) for other, _ in others):
            continue
        if any(other.resource.draft and _same(other, product) and its.a_day == dose.a_day for other, its in others):
            assumed.append(product)
        else:
            kept.append((product, dose))
    return kept, assumed


def _replaces(newer: Product, older: Product) -> bool:
    """Whether an entry says that it takes the place of an older one: a draft of the same request, or a reference."""
    # Two that name each other, or one that names itself, are an error: both count.
    if older.resource.draft or older.replaced & {older.resource.name, newer.resource.name}:
        return False
    is_change = newer.resource.draft and newer.resource.name == older.resource.name
    return is_change or older.resource.name in newer.replaced


def _reason(base: KnowledgeBase, record: Record, product: Product) -> str | None:
    """What the order is given for, where its reason, its diagnosis or its instruction says so; None otherwise."""
    malaria = base.concepts.get("malaria")
    model = product.resource.read.model
    if malaria is None or model is None:
        return None
    reasons: list[Any] = list(getattr(model, "reasonCode", None) or ())
    for row in getattr(model, "reasonReference", None) or ():
        reasons.extend(_diagnosis(record, product.resource, row.reference))
        if row.display:
            reasons.append({"text": row.display})
    coded = any(match.concept == malaria.id for reason in reasons for match in by_code(base, reason))
    spoken = [text for reason in reasons for text in texts(reason)]
    for row in product.dosage:
        spoken += [text for text in (row.text, row.patientInstruction) if text]
        spoken += [
            text for need in (row.asNeededCodeableConcept, *(row.additionalInstruction or ())) for text in texts(need)
        ]
    return "malaria" if coded or by_text([malaria], spoken) else None


def _diagnosis(record: Record, resource: Resource, reference: str | None) -> Iterator[Any]:
    """The code of the Condition that a reference means, unless it was refuted or entered in error."""
    plain = (reference or "").split("/_history/")[0]
    contained = resource.raw.get("contained")
    rows = [r for r in contained if isinstance(r, dict)] if isinstance(contained, list) else []
    found = [r for r in rows if plain.startswith("#") and r.get("id") == plain[1:]]
    name = "/".join(plain.split("/")[-2:])
    found += [entry.raw for entry in record.of("Condition") if entry.name == name]
    for raw in found:
        verified = {code for _, code, _ in codings(raw.get("verificationStatus"))}
        if raw.get("resourceType") == "Condition" and not verified & {"refuted", "entered-in-error"}:
            yield raw.get("code")


def _listed(key: FactKey, rows: list[tuple[Product, Dose]]) -> str:
    unit = CANONICAL_UNITS.get(key)
    if unit is None:
        return "; ".join(dict.fromkeys(product.name for product, _ in rows))
    words = [f"{product.name} ({dose_text(key[1], dose, unit)})" for product, dose in rows]
    return "; ".join(dict.fromkeys(words))


def dose_text(concept: str, dose: Dose, unit: str) -> str:
    """A daily dose as a card says it: whole from one hundred on, exact below; and why it may be less or is unknown."""
    if dose.a_day is None:
        return dose.why
    amount = dose.a_day
    shown = (
        amount.quantize(Decimal(1)) if amount >= 100 or amount == amount.quantize(Decimal(1)) else amount.normalize()
    )
    element = f"elemental {_ELEMENTS[concept]} " if concept in _ELEMENTS else ""
    if dose.most:
        return f"{element}at most {quantity_text(shown, unit)}, {dose.most}"
    return f"{element}{quantity_text(shown, unit)}"
