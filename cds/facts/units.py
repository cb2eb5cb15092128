"""Units of measure: UCUM codes, a few text aliases, and exact conversion with Decimal.

The unit decides what a number means, never the display of the code. An unknown or missing unit makes the value
unusable; nothing is converted in silence.
"""

from __future__ import annotations

from decimal import Decimal

from cds.facts.coding import normal_system

UCUM = "http://unitsofmeasure.org"

# Canonical unit -> {UCUM unit: factor}. Calcium, magnesium, vitamin D and creatinine factors:
# miracum/loinc-conversion (clinical/knowledge.md 5.1); 1 mmol of a divalent ion is 2 mEq; the others are arithmetic.
_CALCIUM = {"mmol/L": Decimal(1), "mg/dL": Decimal("0.2495"), "meq/L": Decimal("0.5")}
_VITAMIN_D3 = {"nmol/L": Decimal(1), "ng/mL": Decimal("2.496"), "ug/L": Decimal("2.496")}
ANALYTES: dict[str, dict[str, Decimal]] = {
    "serum-calcium": _CALCIUM,
    "ionised-calcium": _CALCIUM,
    "corrected-calcium": _CALCIUM,
    "albumin": {"g/L": Decimal(1), "g/dL": Decimal(10)},
    "magnesium": {"mmol/L": Decimal(1), "mg/dL": Decimal("0.4114"), "meq/L": Decimal("0.5")},
    # Total 25-OH-D is mostly D3 and is converted as such; D2, reported apart, weighs more (412.7 against 400.6 g/mol).
    "vitamin-d-25oh": _VITAMIN_D3,
    "vitamin-d3-25oh": _VITAMIN_D3,
    "vitamin-d2-25oh": {"nmol/L": Decimal(1), "ng/mL": Decimal("2.423"), "ug/L": Decimal("2.423")},
    "creatinine": {"umol/L": Decimal(1), "mg/dL": 1 / Decimal("0.0113")},
    "ferritin": {"ug/L": Decimal(1), "ng/mL": Decimal(1)},
    "haemoglobin": {"g/L": Decimal(1), "g/dL": Decimal(10)},
    "body-mass-index": {"kg/m2": Decimal(1)},
    "calf-circumference": {"cm": Decimal(1), "mm": Decimal("0.1"), "[in_i]": Decimal("2.54")},
    "calf-circumference-difference": {"cm": Decimal(1), "mm": Decimal("0.1"), "[in_i]": Decimal("2.54")},
    "systolic-blood-pressure": {"mm[Hg]": Decimal(1)},
    "diastolic-blood-pressure": {"mm[Hg]": Decimal(1)},
    "dietary-calcium": {"mg/d": Decimal(1), "g/d": Decimal(1000)},
    "gestational-age": {"d": Decimal(1), "wk": Decimal(7)},
}
# A converted value is rounded to the digits in which laboratories report the canonical unit, so that the card shows
# the number that was compared and published pairs (20 ng/mL and 50 nmol/L) fall on the same side of a limit.
_PLACES = {
    "serum-calcium": Decimal("0.01"),
    "ionised-calcium": Decimal("0.01"),
    "corrected-calcium": Decimal("0.01"),
    "magnesium": Decimal("0.01"),
    "vitamin-d-25oh": Decimal(1),
    "vitamin-d3-25oh": Decimal("0.01"),  # two that are added are rounded once, as their sum
    "vitamin-d2-25oh": Decimal("0.01"),
    "creatinine": Decimal(1),
    "gestational-age": Decimal("0.0001"),
}
_LARGEST = Decimal(10) ** 9
_MOST_DECIMALS = 6

# Text that stands for a UCUM unit. Spelling only: case and blanks of a unit that is otherwise plain.
_ALIASES = {
    "mmol/l": "mmol/L", "mg/dl": "mg/dL", "mg/100ml": "mg/dL", "mg/100 ml": "mg/dL", "mg%": "mg/dL",
    "meq/l": "meq/L", "g/l": "g/L", "g/dl": "g/dL", "nmol/l": "nmol/L", "ng/ml": "ng/mL", "ug/l": "ug/L",
    "mcg/l": "ug/L", "umol/l": "umol/L", "mg/d": "mg/d", "mg/day": "mg/d", "mg/24h": "mg/d", "mg/24 h": "mg/d",
    "mg/24 hours": "mg/d", "mg/(24.h)": "mg/d", "mg/{day}": "mg/d", "mg per day": "mg/d", "g/d": "g/d",
    "g/day": "g/d", "wk": "wk", "week": "wk", "weeks": "wk", "wks": "wk", "w": "wk", "d": "d", "day": "d",
    "days": "d", "mm[hg]": "mm[Hg]", "mmhg": "mm[Hg]", "mm hg": "mm[Hg]", "kg/m2": "kg/m2", "kg/m^2": "kg/m2",
    "microgram": "ug", "micrograms": "ug",
    "mg": "mg", "g": "g", "ug": "ug", "mcg": "ug", "iu": "[iU]", "[iu]": "[iU]", "unt": "[iU]", "unit": "[iU]",
    "units": "[iU]", "international units": "[iU]", "h": "h", "kg": "kg", "cm": "cm", "mm": "mm", "[in_i]": "[in_i]",
    "in": "[in_i]", "inch": "[in_i]", "inches": "[in_i]",
}  # fmt: skip
_KNOWN = frozenset(_ALIASES.values())


def unit_of(system: str | None, code: str | None, text: str | None) -> str | None:
    """The UCUM unit that a Quantity means, or None when it is missing, unknown or contradicts itself.

    ``system`` and ``code`` are Quantity.system and .code, ``text`` is Quantity.unit. The code is the meaning and the
    text its display; the text counts where there is no UCUM code, and a text that is another known unit is a
    contradiction. An alias is good as text only: as a UCUM code it is an error and proves nothing.
    """
    spoken = _known(normal_unit(text)) if text else None
    if not code:
        return spoken
    if system is not None and normal_system(system) != UCUM:
        foreign = _known(normal_unit(code))
        return None if foreign and spoken and foreign != spoken else spoken
    coded = _known(code.strip().replace("/dl", "/dL").replace("/ml", "/mL").replace("/l", "/L"))
    if coded and spoken and coded != spoken:
        return None
    return coded or spoken


def _known(unit: str) -> str | None:
    return unit if unit in _KNOWN else None


def normal_unit(text: str) -> str:
    """A unit in UCUM spelling where it is a known alias; otherwise as it is, without blanks around it."""
    plain = text.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return _ALIASES.get(plain.lower(), plain)


def to_canonical(analyte: str, value: Decimal, unit: str | None) -> Decimal | None:
    """``value`` in the analyte's canonical unit; None for a unit that cannot mean it or a number out of any range."""
    factor = ANALYTES.get(analyte, {}).get(unit or "")
    if factor is None or not value.is_finite() or abs(value) > _LARGEST:
        return None
    if factor != 1 and analyte in _PLACES:
        return (value * factor).quantize(_PLACES[analyte])
    canonical = (value * factor).normalize() + 0
    # The engine takes six decimals, more than any limit or laboratory has; simulated records carry more.
    return round(canonical, _MOST_DECIMALS) if -int(canonical.as_tuple().exponent) > _MOST_DECIMALS else canonical
