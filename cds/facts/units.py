"""Units of measure: UCUM codes, a few text aliases, and exact conversion with Decimal.

The unit decides what a number means, never the display of the code. An unknown or missing unit makes the value
unusable; nothing is converted in silence.
"""

from __future__ import annotations

from decimal import Decimal

UCUM = "http://unitsofmeasure.org"

# Canonical unit -> {UCUM unit: factor}. Calcium, magnesium, vitamin D and creatinine factors: miracum/loinc-conversion
# (clinical/knowledge.md 5.1); 1 mmol of a divalent ion is 2 mEq; the others are arithmetic.
_CALCIUM = {"mmol/L": Decimal(1), "mg/dL": Decimal("0.2495"), "meq/L": Decimal("0.5")}
ANALYTES: dict[str, dict[str, Decimal]] = {
    "serum-calcium": _CALCIUM,
    "ionised-calcium": _CALCIUM,
    "corrected-calcium": _CALCIUM,
    "albumin": {"g/L": Decimal(1), "g/dL": Decimal(10)},
    "magnesium": {"mmol/L": Decimal(1), "mg/dL": Decimal("0.4114"), "meq/L": Decimal("0.5")},
    "vitamin-d-25oh": {"nmol/L": Decimal(1), "ng/mL": Decimal("2.496"), "ug/L": Decimal("2.496")},
    "creatinine": {"umol/L": Decimal(1), "mg/dL": 1 / Decimal("0.0113")},
    "body-mass-index": {"kg/m2": Decimal(1)},
    "systolic-blood-pressure": {"mm[Hg]": Decimal(1)},
    "diastolic-blood-pressure": {"mm[Hg]": Decimal(1)},
    "dietary-calcium": {"mg/d": Decimal(1), "g/d": Decimal(1000)},
    "gestational-age": {"d": Decimal(1), "wk": Decimal(7)},
}
PLACES = {"albumin": Decimal("0.1"), "creatinine": Decimal("0.1"), "dietary-calcium": Decimal("0.1")}
_DEFAULT_PLACES = Decimal("0.0001")

# Text that stands for a UCUM unit. Spelling only: case and blanks of a unit that is otherwise plain.
_ALIASES = {
    "mmol/l": "mmol/L", "mg/dl": "mg/dL", "meq/l": "meq/L", "g/l": "g/L", "g/dl": "g/dL", "nmol/l": "nmol/L",
    "ng/ml": "ng/mL", "ug/l": "ug/L", "mcg/l": "ug/L", "umol/l": "umol/L", "mg/d": "mg/d", "mg/day": "mg/d",
    "mg/24h": "mg/d", "mg/24 h": "mg/d", "mg/(24.h)": "mg/d", "mg/{day}": "mg/d", "mg per day": "mg/d",
    "g/d": "g/d", "g/day": "g/d", "wk": "wk", "week": "wk", "weeks": "wk", "wks": "wk", "w": "wk",
    "d": "d", "day": "d", "days": "d", "mm[hg]": "mm[Hg]", "mmhg": "mm[Hg]", "kg/m2": "kg/m2", "kg/m^2": "kg/m2",
    "mg": "mg", "g": "g", "ug": "ug", "mcg": "ug", "iu": "[iU]", "[iu]": "[iU]", "unt": "[iU]", "unit": "[iU]",
    "units": "[iU]", "h": "h", "kg": "kg",
}  # fmt: skip


def unit_of(system: str | None, code: str | None, text: str | None) -> str | None:
    """The UCUM unit that a Quantity means, or None when it is missing, foreign or contradicts itself.

    ``system`` and ``code`` are Quantity.system and .code, ``text`` is Quantity.unit.
    """
    coded = normal_unit(code) if code and (system is None or system.rstrip("/") == UCUM) else None
    spoken = normal_unit(text) if text else None
    if code and system is not None and system.rstrip("/") != UCUM:
        coded = None
    if coded and spoken and coded != spoken:
        return None
    return coded or spoken


def normal_unit(text: str) -> str:
    """A unit in UCUM spelling where it is a known alias; otherwise as it is, without blanks around it."""
    plain = text.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return _ALIASES.get(plain.lower(), plain)


def to_canonical(analyte: str, value: Decimal, unit: str | None) -> Decimal | None:
    """``value`` in the analyte's canonical unit, rounded to four decimals; None for a unit that cannot mean it."""
    factor = ANALYTES.get(analyte, {}).get(unit or "")
    if factor is None:
        return None
    return (value * factor).quantize(PLACES.get(analyte, _DEFAULT_PLACES)).normalize() + 0
