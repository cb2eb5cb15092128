"""The words of the rule language: which kinds of fact there are and what a condition may say about each.

A condition line names one fact (`lab: serum-calcium`) and says something about it in the words below. Each word is one
test on one attribute of that fact. Kinds differ in what silence of the record means:

closed   we were given the data and it holds none: the fact is absent (laboratory results, orders, diagnoses)
open     nobody wrote it down: the fact stays unknown (symptoms, diet, sunlight) - an unasked question is no "no"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Argument = Literal["threshold", "word", "flag"]


@dataclass(frozen=True)
class Word:
    """One word of a condition: which attribute it tests, how, and what it takes."""

    attribute: str
    operator: str  # one of < <= > >= == and `known`, which asks whether there is a fact at all
    argument: Argument
    negated: bool = False
    choices: tuple[str, ...] = ()
    needs_presence: bool = True


@dataclass(frozen=True)
class FactKind:
    """A kind of fact: its word, the resources it is read from, and the words a condition may use."""

    name: str
    meaning: str
    closed: bool
    words: dict[str, Word]
    resources: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()  # fixed concepts; empty = any value set
    units: dict[str, str] = field(default_factory=dict)


def _numbers(attribute: str = "value", suffix: str = "", prefix: str = "") -> dict[str, Word]:
    operators = {"below": "<", "above": ">", "at_least": ">=", "at_most": "<="}
    return {f"{prefix}{word}{suffix}": Word(attribute, op, "threshold") for word, op in operators.items()}


def _window(verb: str) -> dict[str, Word]:
    return {
        f"{verb}_within": Word("age", "<=", "threshold"),
        f"not_{verb}_within": Word("age", "<=", "threshold", negated=True),
    }


SIDES = ("left", "right", "both", "unknown")
_PRESENT = {"present": Word("present", "==", "flag", needs_presence=False)}
KNOWN = Word("present", "known", "flag", needs_presence=False)
"""`known: false` is the one way to ask for ignorance; every kind has it."""

KINDS: dict[str, FactKind] = {
    kind.name: kind
    for kind in (
        FactKind(
            "person",
            "the patient herself",
            True,
            _numbers(),
            ("Patient",),
            ("age",),
            {"age": "a"},
        ),
        FactKind(
            "gestation",
            "pregnancy: current or not, gestational age, days since birth or loss",
            False,
            {**_numbers(), "is": Word("present", "==", "flag", needs_presence=False)},
            ("Patient", "Observation", "Condition"),
            ("pregnant", "age", "post-partum", "past-due", "fetuses"),
            {"age": "d", "post-partum": "d", "past-due": "d", "fetuses": "1"},
        ),
        FactKind(
            "lab",
            "the newest usable laboratory result",
            True,
            {
                **_numbers(),
                **_window("measured"),
                "above_range": Word("above_range", "==", "flag"),
                "below_range": Word("below_range", "==", "flag"),
                "lower_limit": Word("lower_limit", "==", "flag"),
                "upper_limit": Word("upper_limit", "==", "flag"),
                "pregnancy_range": Word("pregnancy_range", "==", "word", choices=("below", "inside", "above", "none")),
                **_PRESENT,
            },
            ("Observation",),
        ),
        FactKind(
            "vital",
            "the newest usable vital sign",
            True,
            {**_numbers(), **_window("measured"), **_PRESENT},
            ("Observation",),
        ),
        FactKind(
            "diet",
            "self-reported intake from food",
            False,
            {**_numbers(), **_window("recorded"), **_PRESENT},
            ("Observation",),
        ),
        FactKind(
            "intake",
            "daily total from food, supplements and antacids",
            False,
            {**_numbers(), **_window("recorded"), **_PRESENT},
            ("Observation", "MedicationRequest", "MedicationStatement"),
            ("calcium", "calcium-total", "vitamin-d-total"),
            {"calcium": "mg/d", "calcium-total": "mg/d", "vitamin-d-total": "[iU]/d"},
        ),
        FactKind(
            "exposure",
            "a self-reported habit or circumstance, in steps (low, moderate, high) or as yes and no",
            False,
            {
                "is": Word("level", "==", "word", choices=("low", "moderate", "high")),
                **_window("recorded"),
                **_PRESENT,
            },
            ("Observation",),
        ),
        FactKind(
            "symptom",
            "a symptom or sign that was reported or denied",
            False,
            {
                **_window("reported"),
                "side": Word("side", "==", "word", choices=SIDES),
                "one_sided": Word("one_sided", "==", "flag"),
                "persistent": Word("persistent", "==", "flag"),
                "severe": Word("severe", "==", "flag"),
                "coded": Word("coded", "==", "flag"),
                "days_after_counselling": Word("days_after_counselling", ">=", "threshold"),
                **_PRESENT,
            },
            ("Observation", "Condition"),
        ),
        FactKind(
            "imaging",
            "the newest report of an imaging study; `after_signs`: made on the day of the newest one-leg sign or "
            "later, and not of the other leg only",
            True,
            {
                **_window("done"),
                "result": Word("result", "==", "word", choices=("negative", "positive", "unclear")),
                "after_signs": Word("after_signs", "==", "flag"),
                **_PRESENT,
            },
            ("DiagnosticReport", "Observation", "Condition"),
        ),
        FactKind(
            "condition",
            "a diagnosis in the problem list or history",
            True,
            {"active": Word("active", "==", "flag"), **_window("recorded"), **_PRESENT},
            ("Condition",),
        ),
        FactKind("allergy", "an allergy or intolerance", True, {**_PRESENT}, ("AllergyIntolerance", "Condition")),
        FactKind(
            "procedure",
            "something done, counselling included",
            True,
            {**_window("done"), **_PRESENT},
            ("Procedure",),
        ),
        FactKind(
            "request",
            "a test or referral that is ordered and open",
            True,
            {**_window("open"), **_PRESENT},
            ("ServiceRequest",),
        ),
        FactKind(
            "medication",
            "an active medicine or supplement",
            True,
            {**_numbers("dose", prefix="dose_"), "dose_known": Word("dose_known", "==", "flag"), **_PRESENT},
            ("MedicationRequest", "MedicationStatement"),
        ),
        FactKind(
            "order",
            "a draft order of this session",
            True,
            {
                "selected": Word("selected", "==", "flag"),
                **_numbers("dose", prefix="dose_"),
                **_numbers("single_dose", prefix="single_dose_"),
                "dose_known": Word("dose_known", "==", "flag"),
                "reason": Word("reason", "==", "word", choices=("malaria",)),
                **_PRESENT,
            },
        ),
        FactKind(
            "data",
            "whether the client supplied a part of the record",
            True,
            {"supplied": Word("present", "==", "flag", needs_presence=False)},
        ),
    )
}

BOUNDED = ("lab",)
"""Kinds whose number may be a bound ("<1.0 mmol/L"): comparisons test the least and the most that it may be."""

BOUNDED_NUMBERS = ("value", "age")
"""What may be a bound of such a fact: its value, and its age where the record gives only a month or a year."""

# Facts that Python derives from others by clinical arithmetic; a rule that asks for one asks for its ingredients.
DERIVED: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("lab", "adjusted-calcium"): (("lab", "serum-calcium"), ("lab", "albumin"), ("lab", "corrected-calcium")),
    ("lab", "unadjusted-calcium"): (
        ("lab", "serum-calcium"),
        ("lab", "albumin"),
        ("lab", "corrected-calcium"),
        ("lab", "ionised-calcium"),
    ),
    ("vital", "calf-circumference-difference"): (("vital", "calf-circumference"),),
    # D2 and D3 reported apart are added; the result that counts may be either.
    ("lab", "vitamin-d-25oh"): (("lab", "vitamin-d3-25oh"), ("lab", "vitamin-d2-25oh")),
    ("vital", "body-mass-index-before-pregnancy"): (("vital", "body-mass-index"),),
    ("intake", "calcium"): (("diet", "dietary-calcium"), ("medication", "calcium-supplement")),
    ("intake", "calcium-total"): (("diet", "dietary-calcium"), ("medication", "calcium-supplement")),
    ("intake", "vitamin-d-total"): (("medication", "vitamin-d"),),
}
DERIVED_TITLES = {
    ("lab", "adjusted-calcium"): "Calcium adjusted for albumin",
    ("lab", "unadjusted-calcium"): "Total calcium without albumin or ionised calcium",
    ("vital", "body-mass-index-before-pregnancy"): "Body mass index before the pregnancy",
    ("intake", "calcium"): "Total calcium intake",
    ("intake", "calcium-total"): "Calcium from food, supplements, antacids and drafts",
    ("intake", "vitamin-d-total"): "Vitamin D from all products and drafts",
    ("gestation", "fetuses"): "Number of fetuses",
    ("gestation", "pregnant"): "Pregnancy",
    ("gestation", "age"): "Gestational age",
    ("gestation", "post-partum"): "Time since the end of pregnancy",
    ("gestation", "past-due"): "Days past the due date",
    ("person", "age"): "Age",
}

# Canonical units of numeric facts: thresholds must be given in these (UCUM).
CANONICAL_UNITS: dict[tuple[str, str], str] = {
    ("lab", "serum-calcium"): "mmol/L",
    ("lab", "ionised-calcium"): "mmol/L",
    ("lab", "corrected-calcium"): "mmol/L",
    ("lab", "adjusted-calcium"): "mmol/L",
    ("lab", "unadjusted-calcium"): "mmol/L",
    ("lab", "albumin"): "g/L",
    ("lab", "magnesium"): "mmol/L",
    ("lab", "vitamin-d-25oh"): "nmol/L",
    ("lab", "vitamin-d3-25oh"): "nmol/L",
    ("lab", "vitamin-d2-25oh"): "nmol/L",
    ("lab", "creatinine"): "umol/L",
    ("lab", "ferritin"): "ug/L",
    ("lab", "haemoglobin"): "g/L",
    ("vital", "body-mass-index"): "kg/m2",
    ("vital", "body-mass-index-before-pregnancy"): "kg/m2",
    ("vital", "calf-circumference"): "cm",
    ("vital", "calf-circumference-difference"): "cm",
    ("vital", "systolic-blood-pressure"): "mm[Hg]",
    ("vital", "diastolic-blood-pressure"): "mm[Hg]",
    ("diet", "dietary-calcium"): "mg/d",
    ("intake", "calcium"): "mg/d",
    ("intake", "calcium-total"): "mg/d",
    ("intake", "vitamin-d-total"): "[iU]/d",
    ("order", "calcium-supplement"): "mg/d",
    ("order", "magnesium-supplement"): "mg/d",
    ("order", "vitamin-d"): "[iU]/d",
    ("medication", "calcium-supplement"): "mg/d",
    ("medication", "magnesium-supplement"): "mg/d",
    ("medication", "vitamin-d"): "[iU]/d",
    ("person", "age"): "a",
    ("gestation", "age"): "d",
    ("gestation", "post-partum"): "d",
    ("gestation", "past-due"): "d",
    ("gestation", "fetuses"): "1",
}

SHARED_WORDS = ("as", "or_unknown")
HOOKS = ("patient-view", "order-select", "order-sign")
INDICATORS = ("info", "warning", "critical")
STATUSES = ("draft", "active", "retired")
STRENGTHS = ("strong", "moderate", "conditional", "weak", "consensus", "policy")
AGREEMENTS = ("agree", "partly-agree", "partly-disagree", "disagree")
CONFIDENCES = ("VERIFIED", "SECONDARY", "DESIGN")
