"""Daily elemental calcium and magnesium, and vitamin D, of an order or medicine.

    daily amount = strength of one unit (or of a volume) x units (volume) per dose x doses per day x share of the salt

A named salt is converted (rules/valuesets/salts.yaml); an amount labelled "elemental" or that of a combination product
is taken as stated; "calcium 600 mg" alone can mean salt or element, so its elemental amount stays unknown. 40 IU of
vitamin D are 1 ug (clinical/knowledge.md 2.3). Anything that cannot be read leaves the dose unknown, never zero. A
dose taken as needed is read at its highest: what may be taken under the order is what counts against a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from cds.facts.coding import codings, says, texts
from cds.facts.units import normal_unit
from cds.knowledge.model import KnowledgeBase

IU_PER_UG = Decimal(40)
_MG = {"mg": Decimal(1), "g": Decimal(1000), "ug": Decimal("0.001")}
# 15 mg are 600,000 IU, the largest dose ever given: more is the mass of something else in the product.
_MOST_VITAMIN_D_MG = Decimal(15)
# No tablet or sachet holds more calcium than this: a larger figure on a label is that of the salt.
_MOST_ELEMENTAL_MG = Decimal(1000)
# Fewer "units" are tablets: "1 unit", not one international unit.
_FEWEST_IU = Decimal(40)
_MOST_TABLETS = Decimal(12)

# "10 mg/kg" is no amount of a product.
_UNIT = r"(mg|g|mcg|micrograms?|ug|µg|μg|iu|unt|(?:international )?units?|\[iu\])(?![a-z])(?!\s*/\s*kg\b)"
# A number does not start inside another number or word, so "0,5 g" and "D3" are not read from their middle.
_NUMBER = r"(?<![\w.,])(\d{1,3}(?:[, \u00a0\u202f]\d{3})+|\d+(?:\.\d+)?)"
_AMOUNT = rf"{_NUMBER}\s*{_UNIT}"
_STRENGTH = re.compile(_AMOUNT, re.IGNORECASE)
_ELEMENTAL = re.compile(
    rf"{_AMOUNT}\s*(?:of\s+)?elemental|elemental(?:\s+(?:calcium|magnesium))?\s*(?:of|is|=|:|-)?\s*{_AMOUNT}"
    rf"|(?:equivalent to|equiv\.?(?: to)?|equal to|=)\s*{_AMOUNT}\s*(?:of\s+)?(?:elemental\s+)?(?:calcium|magnesium)",
    re.IGNORECASE,
)
# "Calcium carbonate 500 mg calcium (1,250 mg)": what follows the amount is the element, no salt.
_OF_ELEMENT = re.compile(
    rf"{_AMOUNT}\s*(?:of\s+)?(?:calcium|magnesium|ca)\b(?!\s+(?:[a-z]+ate|oxide|chloride|salts?)\b)", re.IGNORECASE
)
# "1.250 mg" is 1250 mg in much of Europe and 1.25 mg elsewhere.
_THOUSANDS_OR_DECIMALS = re.compile(r"[1-9]\d{0,2}\.\d{3}")
_SPLIT = re.compile(r"\s*(?:/|\+|;|,(?!\d)|\band\b|\bwith\b|&)\s*", re.IGNORECASE)
# "Prenatal vitamin: calcium 150 mg": what stands before the colon is the product.
_LABEL = re.compile(r"^[^:0-9]*:\s*(?=[^\W\d])")
# "Calcium carbonate 500 mg oral tablet, chewable": a form is no second ingredient.
_FORM = re.compile(
    r"(?:\W|\b(?:oral|chewable|effervescent|dispersible|soluble|film|enteric|coated|extended|delayed|release|unit|dose"
    r"|tablets?|tabs?|capsules?|caps?|caplets?|softgels?|suspension|solution|liquid|powder|granules|for|usp)\b)*",
    re.IGNORECASE,
)
# "500 mg/5 mL", "100 MG/ML": a strength that only a volume makes a dose.
_ML = r"(?:ml|millilit(?:er|re)s?)(?![a-z])"
_VOLUME = rf"(?:/|\bper\b|\bin\b)\s*(\d+(?:\.\d+)?)?\s*{_ML}"
_PER_VOLUME = re.compile(rf"{_AMOUNT}\s*{_VOLUME}", re.IGNORECASE)
_UNITLESS = {"", "1", "{tablet}", "{tbl}", "{pill}", "{capsule}", "{softgel}", "tablet", "tablets", "tablet(s)", "tab",
             "tabs", "capsule", "capsules", "capsule(s)", "pill", "pills", "chewable tablet", "chewable tablets", "tbl",
             "cap", "caps", "softgel", "softgels", "each", "unit dose", "{sachet}", "sachet", "sachets", "packet",
             "packets", "caplet", "caplets", "effervescent tablet", "effervescent tablets", "gummy",
             "gummies"}  # fmt: skip


@dataclass(frozen=True)
class Component:
    """One ingredient of a product: its name, and the strength of one unit (mass, or IU for vitamin D).

    ``per_ml``: the strength is that of so many millilitres, not of a unit to count.
    """

    name: str
    amount: Decimal | None
    unit: str | None
    per_ml: Decimal | None = None

    @property
    def is_elemental(self) -> bool:
        """Whether the label says that its amount is that of the element."""
        return "elemental" in self.name or _ELEMENTAL.search(self.name) is not None


Ingredient = tuple[str, Decimal | None, str | None, Decimal | None]
"""Name, strength, unit of a structured ingredient, and the millilitres that hold the strength (None: one unit)."""


def components(names: Sequence[str], ingredients: Iterable[Ingredient] = ()) -> list[Component]:
    """Ingredients of a product, from structured ingredients when there are any, else from its name."""
    structured = [Component(name.lower(), amount, unit, per_ml) for name, amount, unit, per_ml in ingredients]
    if structured:
        return structured
    parts = [_named_components(text) for text in names]
    return next((rows for rows in parts if any(part.amount is not None for part in rows)), parts[0] if parts else [])


def _named_components(text: str) -> list[Component]:
    """The parts of a name. "500 mg / 400 IU per 5 mL" gives both strengths in the one volume."""
    found = _PER_VOLUME.search(text)
    per_ml = _positive(found[3] or "1") if found else None
    plain = _PER_VOLUME.sub(r"\1 \2", _LABEL.sub("", text))
    parts = [part.strip().lower() for part in _SPLIT.split(plain) if part.strip()]
    rows = []
    for part in [part for part in parts if not _FORM.fullmatch(part)] or parts:
        amount, unit = _amount(_STRENGTH.search(part))
        # A volume of nothing is no volume: the strength is then not known.
        rows.append(Component(part, None if found and per_ml is None else amount, unit, per_ml))
    return rows


def _positive(number: str) -> Decimal | None:
    return Decimal(number) if Decimal(number) > 0 else None


def _amount(match: re.Match[str] | None) -> tuple[Decimal | None, str | None]:
    """Number and unit of a match of ``_AMOUNT``, the first pair of groups that took part."""
    groups = [group for group in match.groups() if group is not None] if match else []
    if len(groups) < 2 or _THOUSANDS_OR_DECIMALS.fullmatch(groups[0]):
        return None, None
    return Decimal(re.sub(r"[, \u00a0\u202f]", "", groups[0])), normal_unit(groups[1])


def measured_of(name: str, words: Sequence[str]) -> bool:
    """Whether a name gives an amount of one of the words: "Os-Cal 500 mg calcium", not "atorvastatin calcium"."""
    found = _OF_ELEMENT.search(name)
    return found is not None and any(re.search(rf"\b{re.escape(word)}\b", found[0], re.IGNORECASE) for word in words)


def elemental(base: KnowledgeBase, component: Component, *, stated: bool) -> tuple[Decimal, Component] | None:
    """Elemental share of a mineral ingredient, with the strength that it applies to; None where it is unclear.

    ``stated`` says that the product is of a kind whose label gives the element.
    """
    if component.is_elemental:
        amount, unit = _amount(_ELEMENTAL.search(component.name))
        return (Decimal(1), replace(component, amount=amount, unit=unit)) if amount is not None else None
    of_element = _OF_ELEMENT.search(component.name)
    if of_element and any(says(component.name, salt.text) for salt in base.salts):
        amount, unit = _amount(of_element)
        return (Decimal(1), replace(component, amount=amount, unit=unit)) if amount is not None else None
    # "Calcium carbonate-vitamin D3 600 mg-10 mcg": nobody knows which amount is whose.
    if len({convert(*_amount(match), "mg") for match in _STRENGTH.finditer(component.name)} - {None}) > 1:
        return None
    shares = {salt.share for salt in base.salts if says(component.name, salt.text)}
    # "Calcium (as carbonate) 150 mg" is how a label gives the element.
    if len(shares) == 1 and not re.search(r"\bas\b", component.name):
        return shares.pop(), component
    milligrams = convert(component.amount, component.unit, "mg")
    is_salt = milligrams is not None and component.per_ml is None and milligrams > _MOST_ELEMENTAL_MG
    return (Decimal(1), component) if stated and not is_salt else None


# -- how often --------------------------------------------------------------------------------------------------------

# HL7 GTSAbbreviation: times per day of the coded timings.
_TIMING_CODES: dict[str, int | Decimal] = {
    "QD": 1, "BID": 2, "TID": 3, "QID": 4, "AM": 1, "PM": 1, "BED": 1, "QOD": Decimal("0.5"),
    "Q4H": 6, "Q6H": 4, "Q8H": 3, "WK": Decimal(1) / 7,
}  # fmt: skip
_PERIOD_DAYS = {"min": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7),
                "mo": Decimal(30), "a": Decimal(365)}  # fmt: skip
_WORD_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "other": 2,
                 "second": 2}  # fmt: skip
_COUNT = rf"(\d+|{'|'.join(_WORD_NUMBERS)})"
_DURATION = re.compile(
    rf"\b(?:for|during|x|over)\s+(?:the\s+)?(?:first|next|last)?\s*{_COUNT}(?:\s*-\s*\d+)?\s*(?:day|week|month)s?\b"
)
_EVERY = re.compile(rf"\b(?:every|each|q)\s*{_COUNT}?\s*(h|hours?|hrs?|days?|weeks?|months?)\b")
_PER = re.compile(r"\b(?:per|a|each|every)\s+(day|week|month)\b|/\s*(day|week|month)\b|\b(daily|weekly|monthly)\b")
_TIMES = re.compile(
    rf"(?<![\w.])(?:(once|twice|thrice)|{_COUNT}\s*(?:times?|x)|x\s?([2-4]))(?!\w)|(?<![\w.])(\d+)\s?x(?=\s?\d)"
)
_ONCE_TWICE = {"once": 1, "twice": 2, "thrice": 3}
_MOST_TIMES = 12
_LATIN: dict[str, int | Decimal] = {
    "qd": 1, "od": 1, "qhs": 1, "hs": 1, "qam": 1, "qpm": 1,
    "bid": 2, "bd": 2, "tid": 3, "tds": 3, "qid": 4, "qds": 4, "qod": Decimal("0.5"),
}  # fmt: skip
_HOURS_OF_DAY = (r"morning|breakfast", r"noon|midday|lunch", r"evening|dinner|supper", r"night|nightly|bedtime")
_DAYS = {"d": Decimal(1), "w": Decimal(7), "m": Decimal(30)}


def doses_per_day(instruction: Any) -> Decimal | None:
    """How often a day; the upper figure where a range is given. None when it cannot be read."""
    timing = instruction.timing
    repeat = getattr(timing, "repeat", None)
    structured = _repeated(repeat) if repeat is not None else None
    if structured is not None:
        return structured
    code = getattr(timing, "code", None)
    coded = [_TIMING_CODES[word.upper()] for _, word, _ in codings(code) if word.upper() in _TIMING_CODES]
    if coded:
        return Decimal(coded[0])
    spoken = (frequency_in_words(text) for text in (*texts(code), instruction.text or ""))
    return next((times for times in spoken if times is not None), None)


def _repeated(repeat: Any) -> Decimal | None:
    """Doses per day of Timing.repeat; a period without a frequency is once per period (FHIR R4)."""
    meals = {"C", "AC", "PC"} & set(repeat.when or ())  # "with meals": how many a day nobody says
    if meals and not (repeat.frequency and repeat.period):
        return None
    a_day = len(repeat.timeOfDay or repeat.when or ())
    if repeat.period and repeat.periodUnit in _PERIOD_DAYS:
        times = Decimal(repeat.frequencyMax or repeat.frequency or a_day or 1)
        return times / (Decimal(repeat.period) * _PERIOD_DAYS[repeat.periodUnit])
    if repeat.frequency or repeat.periodUnit:
        return None
    return Decimal(a_day or 1) * len(repeat.dayOfWeek) / 7 if repeat.dayOfWeek else Decimal(a_day) or None


# "2 (two) times" and "one (1) tablet" say a number twice.
_SAID_TWICE = re.compile(rf"\b{_COUNT}\s*\(\s*{_COUNT}\s*\)", re.IGNORECASE)
_AT_MOST = re.compile(
    r"[\s,;.(]*\b(?:(?:up to )?(?:a )?max(?:imum)?\b|(?:do )?not (?:to )?exceed|not? more than).*",
    re.IGNORECASE | re.DOTALL,
)


def _instruction(text: str) -> str:
    """An instruction without what it says twice, and without the most that it allows."""
    return _AT_MOST.sub("", _SAID_TWICE.sub(r"\1", text))


def frequency_in_words(text: str) -> Decimal | None:
    """'1 tablet twice daily' -> 2; 'once a week' -> 1/7; 'every 8 hours' -> 3; None when it is not clear."""
    plain = re.sub(r"(?<=\b[a-z])\.(?=[a-z]\b)", "", _instruction(text).lower())
    plain = _DURATION.sub(" ", plain).replace("alternate days", "every other day")
    every = _EVERY.search(plain)
    times = _TIMES.search(plain)
    count = _times(times) if times else None
    if times and count is None:
        return None
    if every and (every[1] or every[2].startswith("h")):
        return _every(every[1], every[2][0], once=count in (None, 1))
    latin = {count for word, count in _LATIN.items() if re.search(rf"(?<!\w){word}\b", plain)}
    periods = {next(word for word in match.groups() if word)[0] for match in _PER.finditer(plain)}
    if len(latin) > 1 or len(periods) > 1:
        return None
    if latin:
        return Decimal(latin.pop()) if not periods - {"d"} else None
    hours = sum(1 for words in _HOURS_OF_DAY if re.search(rf"\b(?:{words})\b", plain))
    if count is not None:
        # "Once" without a period may be a single dose.
        return None if count == 1 and not periods and not hours else count / _DAYS[periods.pop() if periods else "d"]
    if periods - {"d"}:
        return 1 / _DAYS[periods.pop()]
    return Decimal(max(hours, len(periods))) or None


def _times(match: re.Match[str]) -> int | None:
    """The count of "twice", "three times", "2 x", "x2"; None when nobody takes a medicine so often."""
    word = next(group for group in match.groups() if group)
    number = _ONCE_TWICE.get(word) or _WORD_NUMBERS.get(word) or (int(word) if word.isdigit() else 0)
    return number if 0 < number <= _MOST_TIMES else None


def _every(count: str | None, unit: str, *, once: bool) -> Decimal | None:
    """'every 8 hours', 'once every two weeks'; 'twice every two weeks' is not read."""
    number = _WORD_NUMBERS.get(count or "one") or int(count or 0)
    if not number or not once:
        return None
    return Decimal(24) / number if unit == "h" else 1 / (_DAYS[unit] * number)


# -- how much at a time -----------------------------------------------------------------------------------------------

_TAKE = re.compile(
    rf"(?<![\w.,/])((?:\d+\s*)?(?:1/2|½)|\d+(?:\.\d+)?|one and a half|one|two|three|four|half(?: an?| of an?)?|an?)"
    rf"\s+(?:{_AMOUNT}\s+)?(?:(?:effervescent|chewable|dispersible|oral|film-coated|coated|soft)\s+)*"
    r"(?:tablet|tab|capsule|caplet|cap|pill|softgel|sachet|packet)s?\b",
    re.IGNORECASE,
)
# "2 tablets in the morning, 1 at night": another count, without its unit.
_AND_MORE = re.compile(rf"(?<![\w.,/]){_COUNT}\s+(?:at|in the|with|every|each)\b", re.IGNORECASE)
_POUR = re.compile(rf"(?<![\w.,/-])(\d+(?:\.\d+)?)\s*{_ML}", re.IGNORECASE)
_MOST_ML = Decimal(200)
_AS_NEEDED = re.compile(r"\b(?:as|when|if|where) (?:needed|required|necessary)\b|\bp\.?r\.?n\b", re.IGNORECASE)


@dataclass(frozen=True)
class Taken:
    """What one dose is: a count of units, an amount of substance with its unit, or a volume."""

    count: Decimal | None = None
    amount: Decimal | None = None
    unit: str | None = None
    ml: Decimal | None = None


def one_dose(instruction: Any) -> Taken | None:
    """Units, amount or volume per dose; the upper figure of a range. None when the instruction does not say.

    A unit of the system's own ("mg of calcium") says nothing here; then the words of the instruction do.
    """
    for rate in instruction.doseAndRate or ():
        quantity = rate.doseQuantity or getattr(rate.doseRange, "high", None)
        if quantity is not None and quantity.value is not None:
            code, unit = quantity.code or "", quantity.unit or ""
            if not _is_measure(code, unit):
                break
            return _measured(Decimal(quantity.value), code, unit)
    return _taken_in_words(instruction.text or "")


def _is_measure(code: str, unit: str) -> bool:
    """Whether a unit is a count, a volume or an amount."""
    plain = {word.strip().lower() for word in (code, unit)}
    is_count = plain == {""} or bool(plain & (_UNITLESS - {""}))
    return is_count or re.fullmatch(_ML, (code or unit).strip().lower()) is not None or _is_mass(code or unit)


def _is_mass(unit: str) -> bool:
    return normal_unit(unit) in {*_MG, "[iU]"}


def _measured(value: Decimal, code: str, unit: str) -> Taken | None:
    plain = [word.strip().lower() for word in (code, unit)]
    if all(word in _UNITLESS for word in plain) or any(word in _UNITLESS - {""} for word in plain):
        return Taken(count=value) if 0 < value <= _MOST_TABLETS else None
    if plain[0] == "ml" or (not plain[0] and re.fullmatch(_ML, plain[1])):
        return Taken(ml=value) if 0 < value <= _MOST_ML else None
    known = normal_unit(code or unit)
    if known == "[iU]":
        return Taken(None, value, known) if value >= _FEWEST_IU else None
    return Taken(None, value, known) if known in _MG else None


def _taken_in_words(text: str) -> Taken | None:
    """Units, amount or volume named in an instruction; None where it names two, as in "one now, two at night"."""
    text = _instruction(text)
    counts = {_count(match[1].lower()) for match in _TAKE.finditer(text)}
    if counts:
        count = counts.pop()
        is_sole = not counts and not _AND_MORE.search(_TAKE.sub(" ", text))
        return Taken(count=count) if is_sole and 0 < count <= _MOST_TABLETS else None
    # "10 mL (500 mg/5 mL)" gives 10 mL: what stands over a volume is the strength.
    plain = _PER_VOLUME.sub(" ", text)
    if _OF_ELEMENT.search(plain) or _ELEMENTAL.search(plain):
        return None  # the element, where the strength may be that of the salt
    amounts = {_amount(match) for match in _STRENGTH.finditer(plain)}
    volumes = {Decimal(match[1]) for match in _POUR.finditer(plain)}
    if len(amounts) == 1:
        amount, unit = amounts.pop()
        return Taken(amount=amount, unit=unit) if amount is not None else None
    if amounts or len(volumes) != 1:
        return None
    ml = volumes.pop()
    return Taken(ml=ml) if 0 < ml <= _MOST_ML else None


def _count(word: str) -> Decimal:
    """A count of units in words or digits: 'two', '1.5', '1/2', '1 1/2', 'half a'."""
    if word.startswith("half"):
        return Decimal("0.5")
    if word == "one and a half":
        return Decimal("1.5")
    if word.endswith(("1/2", "½")):
        whole = word.removesuffix("1/2").removesuffix("½").strip()
        return Decimal(whole or 0) + Decimal("0.5")
    return Decimal(_WORD_NUMBERS.get(word, 0)) or Decimal(word)


def is_as_needed(instruction: Any) -> bool:
    """Whether the dose is taken only as needed: then what is read of it is the most that may be taken."""
    flag, reason = instruction.asNeededBoolean, instruction.asNeededCodeableConcept
    return bool(flag) or reason is not None or _AS_NEEDED.search(instruction.text or "") is not None


# -- how much a day ---------------------------------------------------------------------------------------------------


def daily_amount(instructions: Iterable[Any], component: Component, wanted: str, *, sole: bool) -> Decimal | None:
    """Daily amount of the ingredient in ``wanted`` (mg or [iU]); None as soon as one instruction cannot be read.

    Instructions of one sequence are taken together, those of different sequences one after another: the highest
    counts. ``sole`` says that a dose given as an amount can only mean this ingredient. A dose taken as needed counts
    as if it were always needed, up to the most that the order allows in a period.
    """
    totals: dict[int, Decimal] = {}
    for row in instructions:
        times, taken = doses_per_day(row), one_dose(row)
        each = _each(taken, component, wanted, sole=sole) if taken is not None else None
        a_day = each * times if each is not None and times is not None else None
        most = _most_a_day(row, component, wanted, sole=sole) if is_as_needed(row) else None
        if most is not None:
            a_day = most if a_day is None else min(a_day, most)
        if a_day is None:
            return None
        totals[row.sequence or 0] = totals.get(row.sequence or 0, Decimal(0)) + a_day
    highest = max(totals.values(), default=None)
    return highest.quantize(Decimal("0.001")) if highest is not None and highest < Decimal(10) ** 8 else None


def _most_a_day(instruction: Any, component: Component, wanted: str, *, sole: bool) -> Decimal | None:
    """Dosage.maxDosePerPeriod as an amount a day; None when there is none or it cannot be read."""
    ratio = instruction.maxDosePerPeriod
    top, bottom = getattr(ratio, "numerator", None), getattr(ratio, "denominator", None)
    if top is None or bottom is None or top.value is None or not bottom.value:
        return None
    unit = normal_unit(bottom.code or bottom.unit or "")
    taken = _measured(Decimal(top.value), top.code or "", top.unit or "")
    each = _each(taken, component, wanted, sole=sole) if taken is not None else None
    if each is None or unit not in _PERIOD_DAYS:
        return None
    return each / (Decimal(bottom.value) * _PERIOD_DAYS[unit])


def highest_single(instructions: Iterable[Any], component: Component, wanted: str, *, sole: bool) -> Decimal | None:
    """The largest amount taken at once, in ``wanted``; None as soon as one instruction cannot be read."""
    doses = [_each(taken, component, wanted, sole=sole) if (taken := one_dose(row)) else None for row in instructions]
    known = [dose for dose in doses if dose is not None]
    return max(known) if known and len(known) == len(doses) else None


def _each(taken: Taken, component: Component, wanted: str, *, sole: bool) -> Decimal | None:
    if taken.amount is not None:
        return convert(taken.amount, taken.unit, wanted) if sole or taken.unit == "[iU]" else None
    one = convert(component.amount, component.unit, wanted)
    if one is None:
        return None
    if taken.ml is not None:
        return one * taken.ml / component.per_ml if component.per_ml is not None else None
    # Units of a liquid are spoons or bottles: nobody knows how much.
    return one * taken.count if taken.count is not None and component.per_ml is None else None


def convert(amount: Decimal | None, unit: str | None, wanted: str) -> Decimal | None:
    """Milligrams or international units of vitamin D; None for a unit that cannot mean it."""
    if amount is None or not amount.is_finite():
        return None
    if unit == "[iU]":
        return amount if wanted == "[iU]" else None
    milligrams = amount * _MG[unit] if unit in _MG else None
    if wanted == "mg" or milligrams is None:
        return milligrams
    return milligrams * 1000 * IU_PER_UG if milligrams <= _MOST_VITAMIN_D_MG else None
