"""Daily totals over food, supplements and antacids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal

from cds.facts.medicines import (
    CALCIUM,
    VITAMIN_D,
    Dose,
    Product,
    active_medicines,
    dose_text,
    draft_medicines,
    each_once,
    products_with,
    withdrawn,
)
from cds.facts.model import Fact, known, unknown
from cds.facts.nutrition import diet_fact
from cds.facts.record import DRAFTS, Record
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text

_DIET: FactKey = ("diet", "dietary-calcium")
_SILENT = "not recorded"
_UNITS = {"calcium": "mg/d", "calcium-total": "mg/d", "vitamin-d-total": "[iU]/d"}


def intake_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """A daily total: of calcium by food and therapy, or of calcium or vitamin D by all products and drafts."""
    if key[1] == "calcium":
        return _full_calcium(base, record, key, today, zone)
    return _at_least(base, record, key, today, zone)


def _full_calcium(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """Total daily calcium: food plus recorded supplements and antacids, in elemental mg/d.

    Known only when food is known, all medicines were supplied and the dose of each that holds calcium is known: a part
    that is missing would make the total look smaller than it is. One taken as needed would make it look larger.
    """
    title = base.title_of(key)
    diet = diet_fact(base, record, _DIET, today, zone)
    if diet.state != "known":
        return unknown(key, title, diet.reason)
    active = active_medicines(base, record, today, zone)
    gap = record.gap("medication") or active.doubt("a medicine")
    if gap:
        return unknown(key, title, gap)
    total = Decimal(str(diet.attributes["value"]))
    words, sources = [f"food {diet.shown}"], [*diet.sources]
    for product, dose in each_once(record, products_with(base, record, active.products, CALCIUM))[0]:
        if dose.a_day is None or dose.most or product.resource.raw.get("status") != "active":
            return unknown(key, title, f"the daily dose of {product.name} is not known ({product.resource.name})")
        total += dose.a_day
        words.append(f"{product.name} ({dose_text(CALCIUM[0], dose, 'mg/d')})")
        sources.append(product.resource.name)
    amount = quantity_text(total.quantize(Decimal(1)), "mg/d")
    shown, age = f"{amount} ({' + '.join(words)})", diet.attributes.get("age")
    return known(key, title, shown, brief=amount, day=diet.day, sources=tuple(sources), value=total, age=age)


@dataclass(frozen=True)
class _Part:
    """One contribution to a total, as the card lists it."""

    amount: Decimal
    words: str
    source: str


def _at_least(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """What is certainly known of a daily total: current food (calcium only), active products, and drafts.

    A lower bound, known as soon as one part is: what could not be counted is named in the remarks, and the value is
    then shown as "at least". So it may be compared with an upper limit, never with a requirement. A product counts
    once (see `each_once`); one taken as needed counts at the most that may be taken, and says so. Drafts count whether
    selected or not.
    """
    title = base.title_of(key)
    unit, concepts = _UNITS[key[1]], CALCIUM if key[1] == "calcium-total" else VITAMIN_D
    active, drafts = active_medicines(base, record, today, zone), draft_medicines(base, record)
    rows = products_with(base, record, (*drafts.products, *active.products), concepts)
    parts, missing = _food(base, record, today, zone) if key[1] == "calcium-total" else ([], [])
    remarks = []
    kept, assumed = each_once(record, rows, withdrawn(record))
    for product, dose in kept:
        if dose.a_day is None:
            missing.append(f"{product.name} is not counted: {dose.why} ({product.resource.name})")
            continue
        parts.append(_Part(dose.a_day, _words(product, dose, concepts[0], unit), product.resource.name))
        if dose.most:
            remarks.append(f"{product.name}: {dose.most}, counted at the most that may be taken")
    missing += [f"{product.name} is active and drafted with the same dose: counted once" for product in assumed]
    missing += [
        f"{gap}: there may be more" for gap in _gaps(record, active.doubt("a medicine"), drafts.doubt("a draft"))
    ]
    if not parts:
        return unknown(key, title, "; ".join(missing) or "no product with a known dose")
    total = sum((part.amount for part in parts), Decimal(0))
    amount = f"{'at least ' if missing else ''}{quantity_text(total.quantize(Decimal(1)), unit)}"
    return known(
        key,
        title,
        f"{amount} ({' + '.join(part.words for part in parts)})",
        brief=amount,
        sources=tuple(dict.fromkeys(part.source for part in parts)),
        remarks=(*missing, *remarks),
        value=total,
    )


def _food(base: KnowledgeBase, record: Record, today: date, zone: tzinfo) -> tuple[list[_Part], list[str]]:
    """Calcium from food where it is current, else why it is not counted."""
    diet = diet_fact(base, record, _DIET, today, zone)
    age = diet.attributes.get("age")
    if diet.state != "known":
        return [], [f"diet {diet.reason}: supplements only" if diet.reason == _SILENT else f"diet: {diet.reason}"]
    if not isinstance(age, Decimal) or age > base.number("diet-window"):
        return [], ["the diet on record is not current: supplements only"]
    words = f"food {diet.shown} of {diet.day.isoformat()}" if diet.day else f"food {diet.shown}"
    return [_Part(Decimal(str(diet.attributes["value"])), words, source) for source in diet.sources[:1]], []


def _words(product: Product, dose: Dose, concept: str, unit: str) -> str:
    return f"{product.name} ({'draft, ' if product.resource.draft else ''}{dose_text(concept, dose, unit)})"


def _gaps(record: Record, *doubts: str) -> Iterator[str]:
    """Why there may be more products than were counted."""
    if gap := record.gap("medication"):
        yield gap
    if DRAFTS in record.withheld:
        yield f"the draft orders {record.withheld[DRAFTS]}"
    yield from (doubt for doubt in doubts if doubt)
