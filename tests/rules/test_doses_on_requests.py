"""Dose, duplicate and magnesium cards on whole requests: which stand, on which hook, and what they say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds.advise import Adviser
from cds.hooks import Card
from cds.knowledge import bundled_rules, load_knowledge
from tests import patients
from tests.patients import NOW, Resource, diet, due, observation, quantity, request

CARBONATE, CITRATE = "Calcium carbonate 1250 mg tablet", "Calcium citrate 950 mg tablet"
CHECK, ABOVE, TAKEN = (
    "calcium-check-before-supplement",
    "calcium-order-above-limit",
    "calcium-or-vitamin-d-already-taken",
)


def active(text: str, id: str = "m1", times: int = 2, **more: Any) -> Resource:
    return patients.draft(text, id, times, status="active", **more)


def draft(text: str, times: int = 2, **more: Any) -> Resource:
    return patients.draft(text, times=times, **more)


def cards(adviser: Adviser, hook: str, *resources: Resource, **how: Any) -> dict[str, Card]:
    advice = adviser.advise(request(hook, due(), *resources, **how), NOW)
    return {card.source.topic.code: card for card in advice.cards if card.source.topic}


def condition(text: str) -> Resource:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    return {"resourceType": "Condition", "id": "c", "clinicalStatus": status, "code": {"text": text}}


def creatinine(value: float, day: str = "2026-11-01") -> Resource:
    return observation("creatinine", patients.LOINC, "14682-9", day, valueQuantity=quantity(value, "umol/L"))


# -- totals -----------------------------------------------------------------------------------------------------------


def test_active_products_above_the_limit_are_named_at_the_visit(adviser: Adviser) -> None:
    found = cards(adviser, "patient-view", diet(1200), active(CARBONATE, times=3))
    assert found["total-calcium-above-limit"].indicator == "warning"
    assert "2700 mg/day" in found["total-calcium-above-limit"].summary
    assert "2500 mg/day" in found["total-calcium-above-limit"].summary


def test_active_products_above_the_limit_give_no_card_while_something_else_is_ordered(adviser: Adviser) -> None:
    found = cards(adviser, "order-sign", diet(1200), active(CARBONATE, times=3), drafts=(draft("Amoxicillin 500 mg"),))
    assert not {name for name in found if "above-limit" in name}


def test_a_draft_that_passes_the_limit_gives_one_card_that_names_the_duplicate(adviser: Adviser) -> None:
    found = cards(adviser, "order-sign", diet(1200), active(CARBONATE), drafts=(draft(CITRATE, times=3),))
    card = found[ABOVE]
    assert card.indicator == "warning"
    assert not {CHECK, TAKEN} & found.keys()
    assert "Another product with calcium or vitamin D is active" in (card.detail or "")
    assert "(DO-01)" in (card.detail or "")
    assert "(DO-04)" in (card.detail or "")


def test_below_the_limit_the_duplicate_stands_alone_and_the_check_stays(adviser: Adviser) -> None:
    found = cards(adviser, "order-sign", diet(400), active(CARBONATE, times=1), drafts=(draft(CITRATE),))
    assert {CHECK, TAKEN} <= found.keys()
    assert ABOVE not in found
    assert found[TAKEN].indicator == "info"
    assert "total would be 1299 mg/day" in found[TAKEN].summary


def test_a_total_without_a_diet_record_says_supplements_only(adviser: Adviser) -> None:
    found = cards(adviser, "order-sign", active(CARBONATE, times=4), drafts=(draft(CITRATE, times=3),))
    assert "at least 2598 mg/day" in found[ABOVE].summary
    assert "diet not recorded: supplements only" in (found[ABOVE].detail or "")


def test_calcium_whose_label_may_mean_the_salt_is_not_counted_and_the_card_says_so(adviser: Adviser) -> None:
    found = cards(adviser, "order-sign", diet(1800), active(CARBONATE), drafts=(draft("Calcium 600 mg tablet"),))
    assert "at least 2800 mg/day" in found[ABOVE].summary
    assert "elemental calcium not stated" in (found[ABOVE].detail or "")


@pytest.mark.parametrize(
    ("born", "shown"), [("2008-11-22", None), ("2007-11-22", "2500 mg/day"), (None, "2500 mg/day")]
)
def test_the_limit_follows_the_age_and_that_of_adults_stands_where_it_is_unknown(
    adviser: Adviser, born: str | None, shown: str | None
) -> None:
    """Eighteen today, nineteen today, no birth date."""
    found = cards(adviser, "patient-view", diet(1200), active(CARBONATE, times=3), patient={"birthDate": born})
    card = found.get("total-calcium-above-limit")
    assert (card is None) == (shown is None)
    if card is not None:
        assert shown is not None
        assert shown in card.summary
        assert ("Her age is not known" in (card.detail or "")) == (born is None)


def test_an_unselected_draft_stays_quiet_until_it_is_signed(adviser: Adviser) -> None:
    drafts = (draft(CITRATE, times=3), patients.draft("Amoxicillin 500 mg", "other"))
    how: dict[str, Any] = {"drafts": drafts}
    rows = diet(1200), active(CARBONATE)
    quiet = cards(adviser, "order-select", *rows, selections=("MedicationRequest/other",), **how)
    assert not {ABOVE, TAKEN, CHECK, "split-calcium-dose"} & quiet.keys()
    assert ABOVE in cards(adviser, "order-select", *rows, selections=("MedicationRequest/draft",), **how)
    assert ABOVE in cards(adviser, "order-sign", *rows, **how)


def test_vitamin_d_of_several_products_is_added_up_and_replaces_the_check(adviser: Adviser) -> None:
    found = cards(adviser, "order-sign", active("Vitamin D3 1000 IU"), drafts=(draft("Vitamin D3 1250 IU"),))
    assert "4500 IU/day" in found["vitamin-d-order-above-limit"].summary
    assert "calcium-check-before-vitamin-d" not in found
    view = cards(adviser, "patient-view", active("Vitamin D3 1000 IU"), active("Colecalciferol 50 ug", "m2"))
    assert "6000 IU/day" in view["total-vitamin-d-above-limit"].summary
    exact = cards(adviser, "patient-view", active("Vitamin D3 1000 IU"), active("Colecalciferol 25 ug", "m2"))
    assert "total-vitamin-d-above-limit" not in exact


def test_no_dose_card_without_a_pregnancy(adviser: Adviser) -> None:
    how = {"hook": "order-sign", "drafts": (draft(CITRATE, times=3),)}
    ended = observation("status", patients.LOINC, "82810-3", "2026-11-21", valueCodeableConcept={
        "coding": [{"system": patients.SNOMED, "code": "60001007"}]})  # fmt: skip
    advice = adviser.advise(request(how["hook"], ended, diet(1900), active(CARBONATE), drafts=how["drafts"]), NOW)  # type: ignore[arg-type]
    assert not {card.source.topic.code for card in advice.cards if card.source.topic} & {ABOVE, TAKEN, CHECK}


def test_a_large_single_dose_is_an_option_to_split_and_a_small_one_is_not(adviser: Adviser) -> None:
    assert "split-calcium-dose" in cards(adviser, "order-sign", drafts=(draft("Calcium carbonate 1500 mg", times=1),))
    assert "split-calcium-dose" not in cards(adviser, "order-sign", drafts=(draft(CARBONATE, times=3),))


# -- the routine prenatal dose ----------------------------------------------------------------------------------------


def test_a_routine_prenatal_dose_is_not_checked_first_but_counts(adviser: Adviser) -> None:
    prenatal = draft("Prenatal vitamin with calcium 150 mg and vitamin D3 400 IU")
    found = cards(adviser, "order-sign", diet(2400), drafts=(prenatal,))
    assert not {CHECK, "calcium-check-before-vitamin-d"} & found.keys()
    assert "2700 mg/day" in found[ABOVE].summary


@pytest.fixture
def in_programme(tmp_path: Path) -> Iterator[Adviser]:
    """The rules for a population of low calcium intake that is supplied with calcium."""
    rules = tmp_path / "rules"
    shutil.copytree(bundled_rules(), rules)
    profile = rules / "profiles" / "seed.yaml"
    profile.write_text(profile.read_text().replace("population-low-calcium: false", "population-low-calcium: true"))
    with Adviser(load_knowledge(rules)) as adviser:
        yield adviser


def test_in_a_supplement_programme_the_check_is_information(in_programme: Adviser) -> None:
    assert cards(in_programme, "order-sign", drafts=(draft(CARBONATE),))[CHECK].indicator == "info"


def test_in_a_supplement_programme_a_history_against_calcium_is_still_a_warning(in_programme: Adviser) -> None:
    found = cards(in_programme, "order-sign", condition("hypervitaminosis D"), drafts=(draft(CARBONATE),))
    assert "warning" in {card.indicator for card in found.values()}
    assert CHECK not in found or found[CHECK].indicator == "warning"


# -- magnesium --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("Magnesium 180 mg tablet", False),
        ("Magnesium 181 mg tablet", True),
        ("Magnesium oxide 300 mg tablet", False),
        ("Magnesium oxide 301 mg tablet", True),
        ("Magnesium citrate powder", True),
    ],
)
def test_magnesium_above_the_studied_dose_or_of_unknown_dose_is_checked(
    adviser: Adviser, text: str, fires: bool
) -> None:
    found = cards(adviser, "order-sign", drafts=(draft(text),))
    assert ("magnesium-dose-check" in found) is fires
    assert "magnesium-dose-check" not in cards(adviser, "order-sign", creatinine(77), drafts=(draft(text),))
    old = creatinine(77, "2026-08-23")
    assert ("magnesium-dose-check" in cards(adviser, "order-sign", old, drafts=(draft(text),))) is fires


@pytest.mark.parametrize("history", ["chronic kidney disease", "Myasthenia gravis"])
def test_any_magnesium_with_kidney_or_muscle_disease_gives_one_warning(adviser: Adviser, history: str) -> None:
    found = cards(adviser, "order-sign", condition(history), drafts=(draft("Magnesium 300 mg tablet"),))
    assert "magnesium-dose-check" not in found
    warnings = [card for name, card in found.items() if name.startswith(("magnesium", "minerals"))]
    assert [card.indicator for card in warnings if card.indicator == "warning"]


def test_bone_pain_makes_a_vitamin_d_level_an_option_before_a_higher_dose(adviser: Adviser) -> None:
    pain = {**observation("pain", patients.LOCAL, "x"), "code": {"text": "Bone pain"}, "valueBoolean": True}
    labels = [
        {suggestion.label for suggestion in cards(adviser, "order-sign", *rows, drafts=(draft("Vitamin D3 1000 IU"),))[
            "calcium-check-before-vitamin-d"].suggestions}
        for rows in ([], [pain])
    ]  # fmt: skip
    assert labels[1] - labels[0] == {"Request 25-OH vitamin D (risk or symptom recorded)"}
