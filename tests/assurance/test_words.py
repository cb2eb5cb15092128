"""The sentences of the decision tables: every word of the rule language has one, and it says what the engine does."""

from __future__ import annotations

from typing import Any

import pytest

from cds.assurance.words import Sentence, filled, sentence
from cds.knowledge import KnowledgeBase
from cds.knowledge.model import AnyOf, Assertion, Condition
from cds.knowledge.source import Place
from cds.knowledge.vocabulary import KINDS, KNOWN, Word

HERE = Place("here.yaml", 1)
CONCEPTS = {
    "lab": "ionised-calcium",
    "vital": "body-mass-index",
    "diet": "dietary-calcium",
    "exposure": "sun-exposure",
    "symptom": "leg-cramps",
    "imaging": "leg-vein-ultrasound",
    "condition": "kidney-stone",
    "allergy": "milk-allergy",
    "procedure": "nutrition-counselling",
    "request": "serum-calcium",
    "medication": "calcium-supplement",
    "order": "calcium-supplement",
    "data": "laboratory",
}


def line(kind: str, concept: str, **words: Any) -> Condition:
    """A condition as the loader makes it from one line of a rule."""
    known = {**KINDS[kind].words, "known": KNOWN} if kind in KINDS else {}
    assertions = []
    for name, value in words.items():
        if name in ("as_", "or_unknown"):
            continue
        word = known.get(name, Word("present", "==", "flag", needs_presence=False))
        limit = {"threshold": value} if word.argument == "threshold" else {"literal": value}
        assertions.append(Assertion(name, word, **limit))
    return Condition(kind, concept, tuple(assertions), words.get("or_unknown", False), words.get("as_"), HERE)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (line("symptom", "leg-cramps", reported_within="cramp-window"), "Leg cramps reported in the last 28 days"),
        (
            line("lab", "adjusted-calcium", below="adjusted-calcium-low"),
            "Calcium adjusted for albumin below 2.10 mmol/L",
        ),
        (
            line("request", "serum-calcium", not_open_within="calcium-order-window"),
            "No open order of the last 14 days: total calcium in serum or plasma",
        ),
        (
            line("lab", "ionised-calcium", not_measured_within="calcium-recency", or_unknown=True),
            "No result in the last 42 days: ionised calcium, measured (or this is not known)",
        ),
        (line("gestation", "pregnant"), "She is pregnant"),
        (line("gestation", "pregnant", **{"is": False}), "She is not pregnant"),
        (line("gestation", "pregnant", known=False), "It is not known whether she is pregnant"),
        (line("gestation", "age", at_least="mid-pregnancy"), "Gestational age: 14 weeks or more"),
        (line("data", "laboratory", supplied=False), "The laboratory part of the record was not supplied"),
        (
            line("order", "vitamin-d", selected=True, dose_known=False, as_="supplement"),
            "Draft order: vitamin D, selected or being signed now, its dose is not known (shown as [supplement])",
        ),
        (line("condition", "hypercalcaemia", active=True), "Hypercalcaemia: active"),
        (line("medication", "vitamin-d", present=False), "Does not take, as far as supplied: vitamin D"),
        (
            line("symptom", "leg-swelling", one_sided=True, reported_within="red-flag-window"),
            "Swelling of a leg reported in the last 7 days, on one side only",
        ),
        (
            line("profile", "population-low-calcium"),
            "The profile in force says 'population low calcium' (profile seed: it does not)",
        ),
        (line("finding", "low-calcium"), "Adjusted or ionised calcium is low (finding low-calcium)"),
        (
            line("finding", "low-calcium", **{"is": False}),
            "This does not hold: Adjusted or ionised calcium is low (finding low-calcium)",
        ),
    ],
)  # fmt: skip
def test_a_condition_reads_as_a_sentence(knowledge: KnowledgeBase, condition: Condition, said: str) -> None:
    assert sentence(knowledge, condition) == said


def every_word() -> list[tuple[str, str, Any]]:
    rows: list[tuple[str, str, Any]] = []
    for kind in KINDS.values():
        for name, word in {**kind.words, "known": KNOWN}.items():
            values: tuple[Any, ...] = word.choices if word.argument == "word" else (True, False)
            rows.extend(
                (kind.name, name, v) for v in (("calcium-recency",) if word.argument == "threshold" else values)
            )
    return rows


@pytest.mark.parametrize(("kind", "word", "value"), every_word())
def test_every_word_of_the_language_has_a_sentence(
    knowledge: KnowledgeBase, kind: str, word: str, value: object
) -> None:
    concept = CONCEPTS.get(kind) or KINDS[kind].concepts[0]
    said = sentence(knowledge, line(kind, concept, **{word: value}))
    assert isinstance(said, str)
    assert "_" not in said
    assert "{" not in said
    if word not in ("known", "present", "is", "supplied"):
        assert said != sentence(knowledge, line(kind, concept)), "the word left no trace"
    if value is True and word != "known":
        assert said != sentence(knowledge, line(kind, concept, **{word: False}))


def test_alternatives_keep_apart_what_belongs_together(knowledge: KnowledgeBase) -> None:
    cramps, pregnant = line("symptom", "leg-cramps"), line("gestation", "pregnant")
    said: Sentence = sentence(knowledge, AnyOf(((cramps,), (cramps, pregnant)), HERE))
    assert said == (
        "At least one of:",
        ("Leg cramps reported", ("All of:", ("Leg cramps reported", "She is pregnant"))),
    )


def test_a_text_shows_its_numbers_and_names_what_comes_from_the_record(knowledge: KnowledgeBase) -> None:
    assert filled(knowledge, "{intake} of {calcium-upper-limit}") == "[intake] of 2500 mg/day"
