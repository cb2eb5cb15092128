"""The eleven invariants of the clinical knowledge base, each on whole requests: a product that breaks one is unsafe.

The patients are drawn from building blocks that real records mix: cramps or none, signs, results in any state, diet,
orders, histories. Every draw is judged by what the cards say and propose, not by which rule spoke.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.advise import Advice, Adviser
from cds.hooks import Card, to_json
from tests.patients import (
    LEFT,
    LOINC,
    NOW,
    SNOMED,
    TODAY,
    Resource,
    albumin,
    calcium,
    cramps,
    diet,
    draft,
    due,
    little_sun,
    observation,
    quantity,
    request,
    swelling,
)

RELIEF = re.compile(r"massag|stretch|pull (?:the )?toes|press (?:the )?heel", re.IGNORECASE)
WITHHELD = re.compile(
    r"(?:do not|no|not|without|withh\w+)[^.]*(?:massag|stretch)|(?:massag|stretch)[^.]*withheld", re.I
)
STARTS = re.compile(r"\b(?:start|begin|give|prescribe)\b[^.]*(?:calcium|supplement|vitamin|magnesium)", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.:!?])\s+|\n+")
ORDER_HOOKS = ("order-select", "order-sign")
BOTH = {"coding": [{"system": SNOMED, "code": "51440002", "display": "Right and left"}], "text": "both legs"}
NUTRITION = "nutrition"


def ionised(value: float, day: str = "2026-11-17", **more: Any) -> Resource:
    return observation("ionised", LOINC, "1995-0", day, valueQuantity=quantity(value, "mmol/L"), **more)


def condition(id: str, code: str, text: str, status: str = "active", system: str = SNOMED) -> Resource:
    return {
        "resourceType": "Condition",
        "id": id,
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": status}]
        },
        "code": {"coding": [{"system": system, "code": code, "display": text}], "text": text},
        "recordedDate": "2025-05-01",
    }


def denied_cramps() -> Resource:
    return cramps(valueBoolean=False)


def topics(advice: Advice, adviser: Adviser) -> list[str]:
    return [part.rule.topic for r in advice.recommendations for part in r.parts]


def rules(advice: Advice) -> set[str]:
    return {part.rule.id for r in advice.recommendations for part in r.parts}


def catalogue(advice: Advice) -> set[str]:
    """Catalogue ids of every rule on a card, `CK-01` form."""
    return {part.rule.catalogue for r in advice.recommendations for part in r.parts}


def words(advice: Advice) -> str:
    return "\n".join(f"{card.summary}\n{card.detail}" for card in advice.cards)


def advice_words(advice: Advice) -> str:
    """What the rules say, without the proof below it (which quotes the record)."""
    return "\n".join(f"{card.summary}\n{(card.detail or '').split('**')[0]}" for card in advice.cards)


def actions(card: Card) -> Iterator[Any]:
    for suggestion in card.suggestions:
        yield from suggestion.actions


def created(advice: Advice) -> Iterator[dict[str, Any]]:
    for card in advice.cards:
        for action in actions(card):
            if action.type == "create":
                assert action.resource is not None
                yield action.resource


# -- the patients ---------------------------------------------------------------------------------------------------

_SYMPTOMS = st.sampled_from(
    [
        [],
        [cramps()],
        [denied_cramps()],
        [cramps(note=[{"text": "every night, she cannot sleep"}])],
        [cramps(), swelling()],
        [swelling(bodySite=BOTH)],
    ]
)
_CALCIUM = st.sampled_from(
    [
        [],
        [calcium(1.95)],
        [calcium(1.98), albumin(28)],
        [calcium(2.3), albumin(36)],
        [calcium(2.8), albumin(38)],
        [calcium(3.4)],
        [calcium(9.2)],
        [ionised(0.85)],
        [ionised(1.2)],
        [ionised(1.45)],
    ]
)
_DIET = st.sampled_from([[], [diet(350)], [diet(900)], [diet(1300)], [diet(350), little_sun()]])
_HISTORY = st.sampled_from(
    [
        [],
        [condition("stone", "95570007", "Kidney stone", "resolved")],
        [condition("phpt", "36348003", "Primary hyperparathyroidism")],
        [condition("sarcoid", "31541009", "Sarcoidosis", "inactive")],
        [condition("high", "66931009", "Hypercalcemia")],
    ]
)
_DRAFTS = st.sampled_from(
    [
        ("Calcium carbonate 1250 mg tablet",),
        ("Calcium citrate 950 mg tablet", "Cholecalciferol 5000 IU capsule"),
        ("Vitamin D3 1000 IU capsule",),
        ("Prenatal multivitamin tablet",),
        ("Magnesium oxide 400 mg tablet",),
        ("Amoxicillin 500 mg capsule",),
    ]
)
_PATIENTS = st.tuples(_SYMPTOMS, _CALCIUM, _DIET, _HISTORY)
everybody = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def chart(parts: tuple[list[Resource], ...]) -> list[Resource]:
    return [due(), *(row for part in parts for row in part)]


# -- 1 to 11 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["patient-view", *ORDER_HOOKS])
@pytest.mark.parametrize("more", [{}, {"note": [{"text": "severe, persistent, wakes her every night"}]}])
def test_1_cramps_alone_never_lead_to_a_suggestion_to_start_a_supplement(
    adviser: Adviser, hook: str, more: dict[str, Any]
) -> None:
    drafts = () if hook == "patient-view" else (draft("Paracetamol 500 mg tablet"),)
    advice = adviser.advise(request(hook, due(), cramps(**more), drafts=drafts), NOW)
    assert all(resource["resourceType"] == "ServiceRequest" for resource in created(advice))
    for sentence in SENTENCE.split(advice_words(advice)):
        assert not re.search(
            r"\b(?:start|begin|give|prescribe)\b[^.]*(?:calcium|supplement|vitamin|magnesium)", sentence, re.I
        )
    if hook == "patient-view":
        assert "Leg cramps alone do not show calcium deficiency" in words(advice)


def test_1_a_calcium_order_because_of_cramps_is_met_with_a_check_and_the_same_sentence(adviser: Adviser) -> None:
    asked = request("order-sign", due(), cramps(), drafts=(draft("Calcium carbonate 1250 mg tablet"),))
    advice = adviser.advise(asked, NOW)
    assert "CK-01" in catalogue(advice)
    assert "Leg cramps alone do not show calcium deficiency" in words(advice)


@everybody
@given(_CALCIUM, _DIET, _HISTORY)
def test_2_cramps_absent_or_unknown_never_take_a_nutrition_card_away(
    adviser: Adviser, results: list[Resource], food: list[Resource], history: list[Resource]
) -> None:
    shown = {}
    for name, symptom in {"unknown": [], "denied": [denied_cramps()], "present": [cramps()]}.items():
        advice = adviser.advise(request("patient-view", *chart((symptom, results, food, history))), NOW)
        shown[name] = {p.rule.id for r in advice.recommendations for p in r.parts if p.rule.topic == NUTRITION}
    assert shown["unknown"] == shown["denied"]
    assert shown["present"] <= shown["unknown"] | {"nutrition-assessment-missing"}


SIGNS = {
    "swelling": swelling(),
    "redness": observation("red", SNOMED, "444827008", bodySite=LEFT),
    "calf pain": observation("pain", SNOMED, "300954003", bodySite=LEFT, note=[{"text": "constant, left calf"}]),
    "a code that names the side": condition("icd", "R22.42", "Localized swelling, left lower limb", "active",
                                            "http://hl7.org/fhir/sid/icd-10-cm") | {"recordedDate": "2026-11-20"},
}  # fmt: skip


@pytest.mark.parametrize("hook", ["patient-view", *ORDER_HOOKS])
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("beside", [[], [cramps()], [diet(350), cramps()]])
def test_3_one_leg_with_a_sign_is_critical_with_ultrasound_and_without_d_dimer_massage_or_stretching(
    adviser: Adviser, hook: str, sign: str, beside: list[Resource]
) -> None:
    drafts = () if hook == "patient-view" else (draft("Calcium carbonate 1250 mg tablet"),)
    advice = adviser.advise(request(hook, due(), SIGNS[sign], *beside, drafts=drafts), NOW)
    first = advice.cards[0]
    assert first.indicator == "critical"
    assert "thrombosis" in (first.summary + (first.detail or "")).lower() or "DVT" in first.summary
    codes = {c["code"] for resource in created(advice) for c in resource["code"]["coding"]}
    assert "30881-7" in codes
    assert not codes & {"48065-7", "48066-5"}
    for sentence in SENTENCE.split(advice_words(advice)):
        if RELIEF.search(sentence):
            assert WITHHELD.search(sentence), sentence
    assert not {"SC-01", "SC-02", "SC-03", "AS-01", "NU-01", "NU-02", "CK-01"} & catalogue(advice)


@pytest.mark.parametrize("value", [1.71, 1.8, 1.95, 2.04])
@pytest.mark.parametrize("hook", ["patient-view"])
def test_4_a_total_alone_is_never_called_low(adviser: Adviser, hook: str, value: float) -> None:
    advice = adviser.advise(request(hook, due(), calcium(value)), NOW)
    assert not {"LB-01", "LB-02", "RF-03"} & catalogue(advice)
    assert "LB-03" in catalogue(advice)
    assert not re.search(r"\b(?:low (?:adjusted )?calcium|hypocalc)", advice_words(advice), re.I)
    fact = advice.census.facts[("lab", "adjusted-calcium")]
    assert fact.state != "known", "a missing albumin was replaced"


@pytest.mark.parametrize(("value", "high"), [(2.60, False), (2.61, True), (2.9, True)])
def test_4_a_high_total_is_high_without_albumin(adviser: Adviser, value: float, high: bool) -> None:
    advice = adviser.advise(request("patient-view", due(), calcium(value)), NOW)
    assert ("LB-04" in catalogue(advice)) is high


STOPS = {
    "hypercalcaemia": [condition("c", "66931009", "Hypercalcemia")],
    "a high result": [calcium(2.8), albumin(38)],
    "hyperparathyroidism": [condition("c", "36348003", "Primary hyperparathyroidism")],
    "sarcoidosis, long ago": [condition("c", "31541009", "Sarcoidosis", "resolved")],
    "kidney stone, long ago": [condition("c", "95570007", "Kidney stone", "resolved")],
    "vitamin D excess": [condition("c", "E67.3", "Hypervitaminosis D", system="http://hl7.org/fhir/sid/icd-10-cm")],
}


@pytest.mark.parametrize("hook", ORDER_HOOKS)
@pytest.mark.parametrize("reason", STOPS)
def test_5_a_contraindication_stops_or_qualifies_every_supplement_card(
    adviser: Adviser, hook: str, reason: str
) -> None:
    drafts = (draft("Calcium carbonate 1250 mg tablet"),)
    advice = adviser.advise(request(hook, due(), cramps(), *STOPS[reason], drafts=drafts), NOW)
    assert {"CT-01", "CT-02", "CT-03"} & catalogue(advice), "no card names the contraindication"
    assert advice.cards[0].indicator in ("warning", "critical")
    assert not {"CK-01", "CK-02"} & catalogue(advice), "the ordinary check speaks although a stronger card must"


@pytest.mark.parametrize("status", ["preliminary", "registered", "entered-in-error", "cancelled"])
@pytest.mark.parametrize("value", [0.8, 1.45, 3.2])
def test_6_only_final_amended_and_corrected_results_count(adviser: Adviser, status: str, value: float) -> None:
    row = ionised(value) if value < 2 else calcium(value)
    for counts in ("final", "amended", "corrected"):
        heard = adviser.advise(request("patient-view", due(), row | {"status": counts}), NOW)
        assert {"LB-01", "LB-04", "RF-03", "RF-04"} & catalogue(heard)
    advice = adviser.advise(request("patient-view", due(), cramps(), row | {"status": status}), NOW)
    assert not {"LB-01", "LB-04", "RF-03", "RF-04", "AS-05"} & catalogue(advice)
    assert ("pending" in words(advice)) is (status in ("preliminary", "registered"))


def test_6_a_missing_value_is_missing_and_not_negative(adviser: Adviser) -> None:
    unasked = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "asked-unknown"}]
    }
    advice = adviser.advise(request("patient-view", due(), cramps(dataAbsentReason=unasked)), NOW)
    fact = advice.census.facts[("symptom", "leg-cramps")]
    assert fact.state == "unknown"


@pytest.mark.parametrize(
    ("days", "late"), [(97, None), (98, False), (195, False), (196, True)], ids=["13w6d", "14w0d", "27w6d", "28w0d"]
)
@pytest.mark.parametrize("dating", ["due date", "gestational age in weeks", "last period"])
def test_7_gestational_age_is_kept_in_days(adviser: Adviser, days: int, late: bool | None, dating: str) -> None:
    start = TODAY - timedelta(days=days)
    rows = {
        "due date": due((start + timedelta(days=280)).isoformat()),
        "gestational age in weeks": observation(
            "ga", LOINC, "11884-4", TODAY.isoformat(), valueQuantity={**quantity(days, "d")}
        ),
        "last period": observation("lmp", LOINC, "8665-2", TODAY.isoformat(), valueDateTime=start.isoformat()),
    }
    pregnant = observation(
        "status", LOINC, "82810-3", TODAY.isoformat(),
        valueCodeableConcept={"coding": [{"system": SNOMED, "code": "77386006"}]},
    )  # fmt: skip
    advice = adviser.advise(request("patient-view", rows[dating], pregnant, cramps()), NOW)
    assert advice.census.facts[("gestation", "age")].attributes["value"] == days
    assert ("AS-01" in catalogue(advice)) is (late is not None)
    assert ("lying flat" in words(advice) or "on either side" in words(advice) or "SC-03" in catalogue(advice)) is (
        late is True
    )


@pytest.mark.parametrize("milligrams", [300, 700, 850, 1100])
@pytest.mark.parametrize("profile", ["seed", "us", "cn", "uk", "who"])
def test_8_the_reference_is_total_intake_and_the_upper_limit_stands_beside_it(profile: str, milligrams: int) -> None:
    from cds.knowledge import load_knowledge

    base = load_knowledge(profile=profile)
    with Adviser(base) as adviser:
        advice = adviser.advise(request("patient-view", due(), diet(milligrams)), NOW)
    reference, limit = base.threshold("calcium-reference-intake"), base.threshold("calcium-upper-limit")
    for card in advice.cards:
        text = (card.detail or "").split("**")[0]
        for sentence in SENTENCE.split(text):
            if reference.quoted in sentence:
                assert re.search(r"total|intake", sentence), sentence
                assert not re.search(r"\b(?:add|extra|additional|supplement of)\b", sentence), sentence
                assert limit.quoted in text


@everybody
@given(_PATIENTS, st.integers(1, 11))
def test_9_the_season_never_changes_the_advice(
    adviser: Adviser, parts: tuple[list[Resource], ...], months: int
) -> None:
    def at(moved: timedelta) -> list[tuple[str, str]]:
        asked = request("patient-view", *(_moved(row, moved) for row in chart(parts)))
        advice = adviser.advise(asked, NOW + moved)
        return [(card.summary, card.indicator) for card in advice.cards]

    # By whole weeks, so that no window is entered or left.
    assert at(timedelta()) == at(timedelta(weeks=4 * months))


def _moved(value: Any, by: timedelta) -> Any:
    """Every date of a resource moved by the same number of days."""
    if isinstance(value, dict):
        return {key: _moved(inner, by) for key, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner, by) for inner in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return (date.fromisoformat(value) + by).isoformat()
    return value


DELIVERED = condition("birth", "Z37.0", "Single live birth", system="http://hl7.org/fhir/sid/icd-10-cm")
NOBODY = {
    "male": ({"gender": "male"}, [due()]),
    "dead": ({"deceasedDateTime": "2026-10-01"}, [due()]),
    "not pregnant": (
        {},
        [observation("status", LOINC, "82810-3", "2026-11-21",
                     valueCodeableConcept={"coding": [{"system": SNOMED, "code": "60001007"}]})],
    ),
    "born three weeks ago": ({}, [DELIVERED | {"recordedDate": "2026-11-01", "onsetDateTime": "2026-11-01"}]),
    "born six weeks and a day ago": ({}, [DELIVERED | {"recordedDate": "2026-10-10", "onsetDateTime": "2026-10-10"}]),
}  # fmt: skip


@everybody
@given(_PATIENTS, st.sampled_from(sorted(NOBODY)), st.sampled_from(["patient-view", *ORDER_HOOKS]), _DRAFTS)
def test_10_without_a_current_pregnancy_only_the_clot_rules_may_speak(
    adviser: Adviser, parts: tuple[list[Resource], ...], who: str, hook: str, names: tuple[str, ...]
) -> None:
    person, pregnancy = NOBODY[who]
    rows = [*pregnancy, *(row for part in parts for row in part)]
    drafts = () if hook == "patient-view" else tuple(draft(name, f"d{n}") for n, name in enumerate(names))
    advice = adviser.advise(request(hook, *rows, patient=person, drafts=drafts), NOW)
    allowed = {"RF-01", "RF-02"} if who == "born three weeks ago" else set()
    assert catalogue(advice) <= allowed


@pytest.mark.parametrize(("day", "speaks"), [("2026-10-11", True), ("2026-10-10", False)], ids=["day 42", "day 43"])
def test_10_the_clot_rules_stay_until_six_weeks_after_birth(adviser: Adviser, day: str, speaks: bool) -> None:
    birth = DELIVERED | {"recordedDate": day, "onsetDateTime": day}
    advice = adviser.advise(request("patient-view", birth, swelling()), NOW)
    assert ("RF-01" in catalogue(advice)) is speaks


@everybody
@given(_PATIENTS, st.sampled_from(["patient-view", *ORDER_HOOKS]), _DRAFTS)
def test_11_every_suggestion_is_a_proposal_and_none_starts_a_medicine(
    adviser: Adviser, parts: tuple[list[Resource], ...], hook: str, names: tuple[str, ...]
) -> None:
    drafts = () if hook == "patient-view" else tuple(draft(name, f"d{n}") for n, name in enumerate(names))
    advice = adviser.advise(request(hook, *chart(parts), drafts=drafts), NOW)
    for card in advice.cards:
        for action in actions(card):
            if action.type == "create":
                resource = action.resource or {}
                assert resource["resourceType"] == "ServiceRequest"
                assert (resource["status"], resource["intent"]) == ("draft", "proposal")
            elif action.type == "update":
                assert (action.resource or {})["status"] == "on-hold"
            else:
                assert action.type == "delete"
        body = to_json(card)
        assert "systemActions" not in body
    assert "systemActions" not in to_json(advice.response())


@everybody
@given(_PATIENTS, st.sampled_from(["patient-view", *ORDER_HOOKS]), _DRAFTS)
def test_the_most_dangerous_card_comes_first_and_none_above_info_is_lost(
    adviser: Adviser, parts: tuple[list[Resource], ...], hook: str, names: tuple[str, ...]
) -> None:
    drafts = () if hook == "patient-view" else tuple(draft(name, f"d{n}") for n, name in enumerate(names))
    advice = adviser.advise(request(hook, *chart(parts), drafts=drafts), NOW)
    order = [("critical", "warning", "info").index(card.indicator) for card in advice.cards]
    assert order == sorted(order)
    assert len(advice.cards) <= 5 or "info" not in [card.indicator for card in advice.cards[5:]]
    fired = {t.rule.id for t in adviser.explain(advice) if t.result == "fired"}
    with_card = {rule.id for rule in adviser.knowledge.rules if rule.then is not None and rule.then.card is not None}
    assert fired & with_card <= rules(advice) <= fired


def test_the_day_of_the_tests_is_the_day_of_the_records() -> None:
    assert isinstance(NOW, datetime)
    assert NOW.date() == TODAY
