"""Patients with leg signs, chest symptoms, cramps, blood pressure and questionnaires, judged by what the cards mean.

Each line of symptoms.jsonl is one patient as an EHR sends her: the resources of the request, the cards that a clinician
needs (catalogue id, and the indicator where it matters), those that would be wrong, and words that must or must not be
said. They were written from the catalogue, not from the rules.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cds.advise import Advice, Adviser
from cds.hooks import to_json
from cds.service.json_input import dump_json
from tests.patients import NOW, request

LINES = Path(__file__).with_name("symptoms.jsonl").read_text(encoding="utf-8").splitlines()
PATIENTS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
RELIEF = re.compile(r"massag|stretch|toes up|press the heel", re.IGNORECASE)
D_DIMER = re.compile(r"48065-7|48066-5")


def shown(advice: Advice) -> dict[str, str]:
    """Catalogue id -> indicator of the first card it is on."""
    found: dict[str, str] = {}
    for recommendation, card in zip(advice.recommendations, advice.cards, strict=True):
        for part in recommendation.parts:
            found.setdefault(part.rule.catalogue or "", card.indicator)
    return found


def holds(cards: dict[str, str], wanted: str) -> bool:
    """Whether a card "RF-01", "RF-01:critical" or "ANY" is among the cards."""
    name, _, indicator = wanted.partition(":")
    return bool(cards) if name == "ANY" else name in cards and indicator in ("", cards[name])


@pytest.mark.parametrize("patient", PATIENTS, ids=[row["name"] for row in PATIENTS])
def test_the_cards_of_each_patient_mean_what_the_catalogue_says(adviser: Adviser, patient: dict[str, Any]) -> None:
    asked = request(
        patient["hook"],
        *patient["resources"],
        drafts=tuple(patient.get("drafts", ())),
        patient=patient.get("patient"),
        withheld=tuple(patient.get("withheld", ())),
    )
    advice = adviser.advise(asked, NOW)
    cards = shown(advice)
    for wanted in patient.get("cards", ()):
        assert holds(cards, wanted), f"{wanted} is not among {cards}"
    for unwanted in patient.get("silent", ()):
        assert not holds(cards, unwanted), f"{unwanted} is among {cards}"
    if "first" in patient:
        assert advice.recommendations[0].parts[0].rule.catalogue.startswith(patient["first"])
    whole = "\n".join(f"{card.summary}\n{card.detail}" for card in advice.cards)
    advised = "\n".join(f"{card.summary}\n{(card.detail or '').split('**')[0]}" for card in advice.cards)
    for words in patient.get("says", ()):
        assert re.search(words, whole, re.IGNORECASE), words
    for words in patient.get("never_says", ()):
        assert not re.search(words, advised, re.IGNORECASE), words
    if "RF-01" in cards:
        assert not RELIEF.search(advised.replace("Do not massage", "")), "relief advice beside a leg sign"
    assert not D_DIMER.search(dump_json(to_json(advice.response())).decode())


def test_there_are_enough_patients_and_each_has_a_name_of_its_own() -> None:
    names = [row["name"] for row in PATIENTS]
    assert len(names) == len(set(names)) >= 60
