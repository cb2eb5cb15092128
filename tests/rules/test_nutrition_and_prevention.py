"""Nutrition, twins, adolescents, early cramps, restless legs and pre-eclampsia on whole requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cds.advise import Adviser
from cds.facts.prefetch import prefetch_templates
from cds.hooks import Card
from cds.knowledge import load_knowledge
from tests.patients import LOINC, NOW, SNOMED, Resource, cramps, diet, draft, due, observation, quantity, request

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
LOW, SHORT = "low-calcium-intake", "calcium-intake-may-be-short"
PREVENTION = "calcium-against-pre-eclampsia"
HANDLING = ("massage", "stretch", "pull the toes", "press the heel", "press heel")


@pytest.fixture(scope="module")
def who() -> Iterator[Adviser]:
    with Adviser(load_knowledge(profile="who")) as ready:
        yield ready


def coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def diagnosis(code: Resource, id: str = "dx", day: str = "2026-10-01", state: str = "active") -> Resource:
    status = coded(CLINICAL, state)
    return {"resourceType": "Condition", "id": id, "code": code, "recordedDate": day, "clinicalStatus": status}


def fetuses(number: float, day: str = "2026-10-01", id: str = "fetuses", **more: Any) -> Resource:
    return observation(id, LOINC, "11878-6", day, **{"valueQuantity": quantity(number, "{#}"), **more})


TWINS: dict[str, Resource] = {
    "two counted by ultrasound": fetuses(2),
    "a whole number": observation("n", LOINC, "55281-0", "2026-10-01", valueInteger=2),
    "three": fetuses(3),
    "multiple pregnancy, yes": observation("m", LOINC, "45371-2", "2026-10-01", valueBoolean=True),
    "multiple pregnancy, Yes in words": observation(
        "m", LOINC, "45371-2", "2026-10-01", valueCodeableConcept={"text": "Yes"}
    ),
    "multiple pregnancy, twins": observation(
        "m", LOINC, "45371-2", "2026-10-01", valueCodeableConcept=coded(SNOMED, "65147003")
    ),
    "a twin diagnosis": diagnosis(coded(SNOMED, "65147003")),
    "a triplet diagnosis": diagnosis(coded(ICD, "O30.103")),
}
ONE: dict[str, Resource] = {
    "one counted": fetuses(1),
    "no multiple pregnancy": observation("m", LOINC, "45371-2", "2026-10-01", valueBoolean=False),
    "a fraction": fetuses(2.5),
    "none at all": fetuses(0),
    "weeks": fetuses(20, valueQuantity=quantity(20, "wk")),
    "more than one, but nobody says how many": fetuses(1, valueQuantity={**quantity(1, "{#}"), "comparator": ">"}),
    "a count that is not final": fetuses(2, status="preliminary"),
    "a count taken back": fetuses(2, status="entered-in-error"),
    "a count of tomorrow": fetuses(2, "2026-11-23"),
    "twins of an earlier pregnancy": fetuses(2, "2024-03-01"),
    "a twin diagnosis of an earlier pregnancy": diagnosis(coded(SNOMED, "65147003"), day="2024-03-01"),
    "a twin diagnosis that is refuted": {
        **diagnosis(coded(ICD, "O30.103")),
        "verificationStatus": coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "refuted"),
    },
}


def cards(adviser: Adviser, *resources: Resource, hook: str = "patient-view", **how: Any) -> dict[str, Card]:
    found = adviser.advise(request(hook, *resources, **how), NOW).cards
    return {card.source.topic.code: card for card in found if card.source.topic}


def words(card: Card) -> str:
    return f"{card.summary}\n{card.detail or ''}"


# -- twins ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", TWINS.values(), ids=TWINS.keys())
def test_twins_or_more_raise_a_short_intake_to_a_warning(adviser: Adviser, record: Resource) -> None:
    card = cards(adviser, due(), diet(1000), record)[SHORT]
    assert card.indicator == "warning"
    assert "no separate reference for twins is used" in words(card)
    assert "1200 mg/day" in words(card)


@pytest.mark.parametrize("record", ONE.values(), ids=ONE.keys())
def test_without_a_sure_count_of_two_in_this_pregnancy_it_stays_information(adviser: Adviser, record: Resource) -> None:
    card = cards(adviser, due(), diet(1000), record)[SHORT]
    assert card.indicator == "info"
    assert "twins" not in words(card)


def test_twins_leave_a_warning_a_warning(adviser: Adviser) -> None:
    assert cards(adviser, due(), diet(400), fetuses(2))[LOW].indicator == "warning"


def test_the_newest_count_decides_and_of_one_day_the_larger(adviser: Adviser) -> None:
    vanished = (fetuses(2, "2026-08-10", "early"), fetuses(1, "2026-10-01", "late"))
    assert cards(adviser, due(), diet(1000), *vanished)[SHORT].indicator == "info"
    same_day = (fetuses(1, "2026-10-01", "a"), fetuses(2, "2026-10-01", "b"))
    assert cards(adviser, due(), diet(1000), *same_day)[SHORT].indicator == "warning"


def test_discovery_asks_for_the_number_of_fetuses(adviser: Adviser) -> None:
    asked = prefetch_templates(adviser.knowledge, "patient-view")["pregnancy"]
    for code in ("11878-6", "55281-0", "45371-2", "ANC.B8.DE109"):
        assert f"|{code}" in asked


# -- adolescents ------------------------------------------------------------------------------------------------------


def test_the_adolescent_values_hold_until_the_day_before_the_19th_birthday(adviser: Adviser) -> None:
    young, grown = {"birthDate": "2007-11-23"}, {"birthDate": "2007-11-22"}
    low = cards(adviser, due(), diet(1050), patient=young)[LOW]
    assert "1100 mg/day" in words(low)
    assert "3000 mg/day" in words(low)
    short = cards(adviser, due(), diet(1050), patient=grown)
    assert LOW not in short
    assert "2500 mg/day" in words(short[SHORT])


def test_an_unknown_birth_date_leaves_the_values_of_adults(adviser: Adviser) -> None:
    found = cards(adviser, due(), diet(1050), patient={"birthDate": "2007"})
    assert LOW not in found
    assert "1200 mg/day" in words(found[SHORT])


# -- intake -----------------------------------------------------------------------------------------------------------


def product(text: str, kind: str = "MedicationStatement") -> Resource:
    dosage = [{"text": "1 tablet twice daily"}]
    return {
        "resourceType": kind, "id": "product", "status": "active", "medicationCodeableConcept": {"text": text},
        "dosage": dosage,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["Calcium carbonate 1250 mg tablet", "Calcium carbonate 1250 mg antacid tablet"])
def test_supplements_and_antacids_count_towards_the_intake(adviser: Adviser, text: str) -> None:
    assert LOW in cards(adviser, due(), diet(500))
    assert LOW not in cards(adviser, due(), diet(500), product(text))


def test_intake_is_named_with_requirement_reference_upper_limit_and_its_day(adviser: Adviser) -> None:
    card = words(cards(adviser, due(), diet(500))[LOW])
    for part in ("500 mg/day", "800 mg/day", "1200 mg/day", "2500 mg/day", "2026-11-02"):
        assert part in card


# -- pre-eclampsia ----------------------------------------------------------------------------------------------------

RISKS: dict[str, Resource] = {
    "twins": fetuses(2),
    "earlier pre-eclampsia": diagnosis(coded(SNOMED, "161807003"), day="2022-01-01"),
    "pre-eclampsia that is over": diagnosis(coded(SNOMED, "398254007"), day="2022-01-01", state="resolved"),
    "diabetes": diagnosis(coded(SNOMED, "73211009"), day="2020-01-01"),
    "chronic hypertension": diagnosis(coded(SNOMED, "38341003"), day="2020-01-01"),
    "lupus in words": diagnosis({"text": "Systemic lupus erythematosus"}, day="2020-01-01"),
}


@pytest.mark.parametrize("risk", RISKS.values(), ids=RISKS.keys())
def test_a_risk_of_pre_eclampsia_and_a_low_diet_call_for_what_who_lists(adviser: Adviser, risk: Resource) -> None:
    card = cards(adviser, due(), diet(850), risk)[PREVENTION]
    assert card.indicator == "warning"
    assert "1500-2000 mg/day" in words(card)
    assert PREVENTION not in cards(adviser, due(), diet(850))
    assert PREVENTION not in cards(adviser, due(), diet(950), risk)


def test_in_a_low_intake_population_the_diet_need_not_be_known(adviser: Adviser, who: Adviser) -> None:
    assert PREVENTION in cards(who, due(), fetuses(2))
    assert PREVENTION not in cards(adviser, due(), fetuses(2))


def test_kidney_disease_is_a_risk_that_asks_for_renal_advice(adviser: Adviser) -> None:
    kidney = diagnosis(coded(SNOMED, "709044004"), day="2020-01-01")
    card = cards(adviser, due(), diet(850), kidney)[PREVENTION]
    assert card.indicator == "info"
    assert "renal advice" in words(card)


@pytest.mark.parametrize("code", ["66999008", "31541009", "95570007", "66931009"])
def test_what_speaks_against_calcium_silences_prevention_with_it(adviser: Adviser, code: str) -> None:
    against = diagnosis(coded(SNOMED, code), "against", "2020-01-01")
    assert PREVENTION not in cards(adviser, due(), diet(850), RISKS["diabetes"], against)


@pytest.mark.parametrize("record", [*TWINS.values(), *RISKS.values()], ids=[*TWINS.keys(), *RISKS.keys()])
def test_no_card_starts_a_medicine(who: Adviser, record: Resource) -> None:
    for card in cards(who, due(), diet(500), cramps(), record).values():
        for action in (a for s in card.suggestions for a in s.actions):
            assert action.type == "create"
            assert action.resource is not None
            assert action.resource["resourceType"] == "ServiceRequest"


# -- profiles ---------------------------------------------------------------------------------------------------------


def test_in_a_supplement_programme_the_check_before_calcium_is_information(adviser: Adviser, who: Adviser) -> None:
    order: dict[str, Any] = {"hook": "order-sign", "drafts": (draft("Calcium carbonate 1250 mg tablet"),)}
    assert cards(adviser, due(), **order)["calcium-check-before-supplement"].indicator == "warning"
    assert cards(who, due(), **order)["calcium-check-before-supplement"].indicator == "info"


def test_a_stone_in_the_history_keeps_the_check_a_warning_in_a_programme_too(who: Adviser) -> None:
    stone = diagnosis(coded(SNOMED, "95570007"), day="2020-01-01", state="resolved")
    order: dict[str, Any] = {"hook": "order-sign", "drafts": (draft("Calcium carbonate 1250 mg tablet"),)}
    found = cards(who, due(), stone, **order)
    assert all(card.indicator != "info" for card in found.values())
    assert found


def test_each_card_says_which_profile_spoke(adviser: Adviser, who: Adviser) -> None:
    assert "Profile seed," in words(cards(adviser, due(), diet(500))[LOW])
    card = words(cards(who, due(), diet(500))[LOW])
    assert "Profile who," in card
    assert "the upper limit 3000 mg/day" in card


# -- cramps -----------------------------------------------------------------------------------------------------------


def test_restless_legs_take_the_calcium_wording_away(adviser: Adviser) -> None:
    restless = diagnosis(coded(SNOMED, "32914008"), day="2026-11-18")
    found = cards(adviser, due(), cramps(), restless)
    assert "leg-cramps-review" not in found
    assert "Calcium advice is not the first step here" in words(found["restless-legs-not-cramps"])
    codes = [
        a.resource["code"]["coding"][0]["code"]
        for s in found["restless-legs-not-cramps"].suggestions
        for a in s.actions
        if a.resource
    ]
    assert codes == ["2276-4", "718-7"]


@pytest.mark.parametrize("code", [coded(ICD, "O21.1"), coded(SNOMED, "444673007"), {"text": "Hyperemesis gravidarum"}])
def test_early_cramps_with_marked_vomiting_ask_for_potassium_and_magnesium(adviser: Adviser, code: Resource) -> None:
    early = due("2027-06-20")
    card = cards(adviser, early, cramps(), diagnosis(code, day="2026-11-10"))["leg-cramps-before-mid-pregnancy"]
    assert "marked vomiting is recorded" in words(card)
    assert [s.label for s in card.suggestions] == ["Request potassium and magnesium"]
    plain = cards(adviser, early, cramps())["leg-cramps-before-mid-pregnancy"]
    assert plain.suggestions == ()


LEG_SIGNS: dict[str, Resource] = {
    "swelling without a side": observation("sign", SNOMED, "449615005", "2026-11-20"),
    "swelling in free text": observation(
        "sign", SNOMED, "404684003", "2026-11-20", valueString="left calf swollen since yesterday"
    ),
    "redness without a date": {
        **observation("sign", SNOMED, "444827008", bodySite={"text": "left lower leg"}), "effectiveDateTime": None,
    },
    "one red leg": observation("sign", SNOMED, "444827008", "2026-11-20", bodySite={"text": "left lower leg"}),
}  # fmt: skip


@pytest.mark.parametrize("sign", LEG_SIGNS.values(), ids=LEG_SIGNS.keys())
def test_no_card_speaks_of_handling_the_leg_while_a_leg_sign_stands(adviser: Adviser, sign: Resource) -> None:
    clean = {name: value for name, value in sign.items() if value is not None}
    found = cards(adviser, due(), cramps(), clean)
    assert found
    for card in found.values():
        text = words(card).lower().replace("do not massage the leg", "")
        assert not [word for word in HANDLING if word in text]


def test_swelling_of_both_legs_leaves_self_care_as_it_is(adviser: Adviser) -> None:
    both = observation("sign", SNOMED, "762898005", "2026-11-20")
    assert "massage" in words(cards(adviser, due(), cramps(), both)["leg-cramps-self-care"])
