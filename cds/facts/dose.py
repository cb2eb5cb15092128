"""Daily elemental calcium and vitamin D of an order or medicine.

    daily amount = strength of one unit x units per dose x doses per day x elemental share of the salt

A named salt is converted (rules/valuesets/salts.yaml); "elemental" or a combination product is taken as stated;
"calcium 600 mg" alone can mean salt or element, so its elemental amount stays unknown. 40 IU of vitamin D are 1 ug
(clinical/knowledge.md 2.3). Anything that cannot be read leaves the dose unknown, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cds.facts.coding import codings, says, texts
from cds.facts.units import normal_unit
from cds.knowledge.model import KnowledgeBase

IU_PER_UG = Decimal(40)
_MG = {"mg": Decimal(1), "g": Decimal(1000), "ug": Decimal("0.001")}
_NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)"
_STRENGTH = re.compile(rf"{_NUMBER}\s*(mg|g|mcg|ug|µg|μg|iu|unt|units?|\[iu\])(?![a-z])", re.IGNORECASE)
_SPLIT = re.compile(r"\s*(?:/|\+|;|,(?!\d)|\band\b|\bwith\b|&)\s*", re.IGNORECASE)
_UNITLESS = {"", "1", "{tablet}", "{tbl}", "{pill}", "{capsule}", "tablet", "tablets", "tab", "tabs", "capsule", "capsules",
             "pill", "pills", "chewable tablet", "tbl", "cap", "caps", "softgel", "softgels", "each", "unit dose"}  # fmt: skip

# HL7 GTSAbbreviation: times per day of the coded timings.
_TIMING_CODES = {"QD": 1, "BID": 2, "TID": 3, "QID": 4, "AM": 1, "PM": 1, "BED": 1, "QOD": Decimal("0.5"),
                 "Q4H": 6, "Q6H": 4, "Q8H": 3, "WK": Decimal(1) / 7}  # fmt: skip
_TIMING_WORDS = {"once": 1, "one time": 1, "twice": 2, "two times": 2, "three times": 3, "four times": 4, "1 time": 1,
                 "2 times": 2, "3 times": 3, "4 times": 4, "1x": 1, "2x": 2, "3x": 3, "4x": 4}  # fmt: skip
_LATIN = {"qd": 1, "od": 1, "daily": 1, "every day": 1, "each day": 1, "bid": 2, "bd": 2, "tid": 3, "tds": 3, "qid": 4,
          "qds": 4, "at bedtime": 1, "nightly": 1, "every morning": 1}  # fmt: skip
_PERIOD_DAYS = {"h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7), "mo": Decimal(30), "a": Decimal(365)}
_COUNT_WORDS = {"one": 1, "two": 2, "three": 3, "half": Decimal("0.5"), "a": 1}
_TAKE = re.compile(r"\b(?:take\s+)?(\d+(?:\.\d+)?|one|two|three|half|a)\s+(?:tablet|tab|capsule|cap|pill|softgel)", re.IGNORECASE)


@dataclass(frozen=True)
class Component:
    """One ingredient of a product: its name and the strength of one unit (mg, or IU for vitamin D)."""

    name: str
    amount: Decimal | None
    unit: str | None


def components(names: Iterable[str], ingredients: Iterable[tuple[str, Decimal | None, str | None]] = ()) -> list[Component]:
    """Ingredients of a product, from structured ingredients when there are any, else from its name."""
    structured = [Component(name.lower(), amount, unit) for name, amount, unit in ingredients]
    if structured:
        return structured
    for text in names:
        parts = [_component(part) for part in _SPLIT.split(text) if part.strip()]
        if any(part.amount is not None for part in parts):
            return parts
    first = next(iter(names), "")
    return [_component(part) for part in _SPLIT.split(first) if part.strip()]


def _component(text: str) -> Component:
    match = _STRENGTH.search(text)
    if not match:
        return Component(text.strip().lower(), None, None)
    unit = normal_unit(match[2])
    return Component(text.strip().lower(), Decimal(match[1].replace(",", "")), unit)


def elemental_share(base: KnowledgeBase, component: str, code_systems: set[tuple[str, str]], *, stated: bool) -> Decimal | None:
    """Elemental share of a calcium ingredient: 1 where the amount is elemental as stated, None where it is unclear."""
    if "elemental" in component or stated:
        return Decimal(1)
    for salt in base.salts:
        if says(component, salt.text):
            return salt.share
    for salt in base.salts:
        if any((code.system, code.code) in code_systems for code in salt.codes) and salt.id.startswith("calcium"):
            return salt.share
    return None


def doses_per_day(instruction: Any) -> Decimal | None:
    """How often a day; the upper figure where a range is given. None when it cannot be read."""
    timing = getattr(instruction, "timing", None)
    repeat = getattr(timing, "repeat", None)
    if repeat is not None and repeat.frequency and repeat.period and repeat.periodUnit in _PERIOD_DAYS:
        frequency = Decimal(repeat.frequencyMax or repeat.frequency)
        return frequency / (Decimal(repeat.period) * _PERIOD_DAYS[repeat.periodUnit])
    code = getattr(timing, "code", None)
    for _, word, _ in codings(code) if code is not None else ():
        if word.upper() in _TIMING_CODES:
            return Decimal(_TIMING_CODES[word.upper()])
    for text in (*texts(code), instruction.text or ""):
        found = frequency_in_words(text)
        if found is not None:
            return found
    return None


def frequency_in_words(text: str) -> Decimal | None:
    """'1 tablet twice daily' -> 2; 'once a week' -> 1/7; 'every 8 hours' -> 3; None when nothing is said."""
    plain = text.lower()
    every = re.search(r"(?:every|q)\s*(\d{1,2})\s*(?:h\b|hours?|hrs?)", plain)
    if every and int(every[1]):
        return Decimal(24) / Decimal(every[1])
    days = re.search(r"every\s+(\d{1,2})\s+days", plain)
    if days and int(days[1]):
        return 1 / Decimal(days[1])
    if "every other day" in plain:
        return Decimal("0.5")
    period = Decimal(7) if re.search(r"\b(week|weekly)\b", plain) else Decimal(30) if "month" in plain else Decimal(1)
    for word, times in _TIMING_WORDS.items():
        if re.search(rf"(?<!\w){word}(?!\w)", plain):
            return times / period
    if period != 1:
        return 1 / period
    for word, times in _LATIN.items():
        if re.search(rf"(?<!\w){word}(?!\w)", plain):
            return Decimal(times)
    return None


@dataclass(frozen=True)
class Taken:
    """What one dose is: a count of units, or an amount of substance with its unit."""

    count: Decimal | None
    amount: Decimal | None
    unit: str | None


def one_dose(instruction: Any) -> Taken | None:
    """Units or amount per dose; the upper figure of a range. None when the instruction does not say."""
    for rate in instruction.doseAndRate or ():
        quantity = rate.doseQuantity or getattr(rate.doseRange, "high", None)
        if quantity is None or quantity.value is None:
            continue
        unit = (quantity.code or quantity.unit or "").strip()
        if unit.lower() in _UNITLESS or (quantity.unit or "").strip().lower() in _UNITLESS - {""}:
            return Taken(Decimal(quantity.value), None, None)
        known = normal_unit(unit)
        if known in (*_MG, "[iU]"):
            return Taken(None, Decimal(quantity.value), known)
        return None
    text = instruction.text or ""
    match = _TAKE.search(text)
    if match:
        word = match[1].lower()
        return Taken(Decimal(_COUNT_WORDS.get(word, 0)) if word in _COUNT_WORDS else Decimal(word), None, None)
    strength = _STRENGTH.search(text)
    if strength:
        return Taken(None, Decimal(strength[1].replace(",", "")), normal_unit(strength[2]))
    return None


def daily_amount(instructions: Iterable[Any], strength: Decimal | None, unit: str | None, wanted: str) -> Decimal | None:
    """Daily amount in ``wanted`` (mg or [iU]) over all instructions; None as soon as one of them cannot be read.

    ``strength`` and ``unit`` describe one unit of the product. A dose given as an amount needs no strength.
    """
    total = Decimal(0)
    rows = list(instructions)
    if not rows:
        return None
    for row in rows:
        times, taken = doses_per_day(row), one_dose(row)
        if times is None or taken is None:
            return None
        if taken.amount is not None:
            each = convert(taken.amount, taken.unit, wanted)
        else:
            one = convert(strength, unit, wanted) if strength is not None else None
            each = one * taken.count if one is not None and taken.count is not None else None
        if each is None:
            return None
        total += each * times
    return total.quantize(Decimal("0.001")) if total < Decimal(10) ** 8 else None


def convert(amount: Decimal | None, unit: str | None, wanted: str) -> Decimal | None:
    """Milligrams or international units of vitamin D; None for a unit that cannot mean it."""
    if amount is None:
        return None
    if wanted == "mg":
        return amount * _MG[unit] if unit in _MG else None
    if unit == "[iU]":
        return amount
    return amount * _MG[unit] * 1000 * IU_PER_UG if unit in _MG else None
