"""Daily totals over food, supplements and antacids."""

from __future__ import annotations

from datetime import date, tzinfo
from decimal import Decimal

from cds.facts.medicines import calcium_medicines, dose_text
from cds.facts.model import Fact, known, unknown
from cds.facts.nutrition import diet_fact
from cds.facts.record import Record
from cds.knowledge.model import FactKey, KnowledgeBase, quantity_text

_DIET: FactKey = ("diet", "dietary-calcium")


def intake_fact(base: KnowledgeBase, record: Record, key: FactKey, today: date, zone: tzinfo) -> Fact:
    """Total daily calcium: food plus recorded supplements and antacids, in elemental mg/d.

    Known only when food is known, all medicines were supplied and the dose of each that holds calcium is known: a part
    that is missing would make the total look smaller than it is.
    """
    title = base.title_of(key)
    diet = diet_fact(base, record, _DIET, today, zone)
    if diet.state != "known":
        return unknown(key, title, diet.reason)
    rows, gap = calcium_medicines(base, record, today, zone)
    if gap:
        return unknown(key, title, gap)
    total = Decimal(str(diet.attributes["value"]))
    words, sources = [f"food {diet.shown}"], [*diet.sources]
    for product, dose in rows:
        if dose is None:
            return unknown(key, title, f"the daily dose of {product.name} is not known ({product.resource.name})")
        total += dose
        words.append(f"{product.name} ({dose_text('calcium-supplement', dose, 'mg/d')})")
        sources.append(product.resource.name)
    shown = f"{quantity_text(total.quantize(Decimal(1)), 'mg/d')} ({' + '.join(words)})"
    age = diet.attributes.get("age")
    return known(key, title, shown, day=diet.day, sources=tuple(sources), value=total, age=age)
