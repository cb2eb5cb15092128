"""Every rule with a card speaks in every language: whole requests, each rule at least once, no card falls back.

The stored requests and the patients below reach together each rule that gives or changes a card.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cds.advise import Advice, Adviser
from cds.cards import PROOF
from cds.hooks import Card, HookRequest, parse_request
from cds.knowledge import KnowledgeBase
from cds.knowledge.languages import CARD_WORDS
from cds.service.json_input import parse_json
from tests.patients import (
    LOINC,
    NOW,
    SNOMED,
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

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
FIXTURE_NOW = datetime.fromisoformat((FIXTURES / "now.txt").read_text(encoding="utf-8").strip())
STORED = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))
TAGS = ("es", "zh-Hans")
CALCIUM, CITRATE, D3 = "Calcium carbonate 1250 mg tablet", "Calcium citrate 950 mg tablet", "Vitamin D3 1000 IU"


def finding(code: str, id: str = "finding", day: str = "2026-11-20", **more: Any) -> Resource:
    return observation(id, SNOMED, code, day, **more)


def written(text: str) -> Resource:
    code = {"text": "Examination"}
    return {**observation("note", SNOMED, "404684003", "2026-11-20", valueString=text), "code": code}


def diagnosis(code: str | None = None, text: str | None = None, system: str = SNOMED, **more: Any) -> Resource:
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    said: Resource = {"coding": [{"system": system, "code": code}]} if code else {"text": text}
    return {
        "resourceType": "Condition", "id": "dx", "code": said, "recordedDate": "2026-11-18",
        "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]}, **more,
    }  # fmt: skip


def level(code: str, value: float, unit: str, id: str) -> Resource:
    return observation(id, LOINC, code, "2026-11-17", valueQuantity=quantity(value, unit))


def vitamin_d(value: float, code: str = "62292-8") -> Resource:
    return level(code, value, "nmol/L", "vitd")


def pressure(systolic: float, diastolic: float) -> Resource:
    parts = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity(value, "mm[Hg]")}
        for code, value in (("8480-6", systolic), ("8462-4", diastolic))
    ]
    return observation("pressure", LOINC, "85354-9", component=parts)


def ultrasound(conclusion: str) -> Resource:
    return {
        "resourceType": "DiagnosticReport", "id": "scan", "status": "final", "effectiveDateTime": "2026-11-21",
        "code": {"coding": [{"system": LOINC, "code": "30881-7"}]}, "conclusion": conclusion,
    }  # fmt: skip


def calf(side: str, value: float) -> Resource:
    text = {"code": {"text": "Calf circumference"}, "bodySite": {"text": side}}
    return {**observation(side, LOINC, "x", "2026-11-20", valueQuantity=quantity(value, "cm")), **text}


def takes(text: str, id: str = "taken", times: int = 1) -> Resource:
    return draft(text, id, times, status="active")


def unmeasured(id: str, status: str) -> Resource:
    return {**draft(CALCIUM, id, status=status), "dosageInstruction": [{"text": "as told"}]}


def as_needed(text: str, id: str = "taken", status: str = "active") -> Resource:
    order = draft(text, id, 3, status=status)
    return {**order, "dosageInstruction": [{**order["dosageInstruction"][0], "asNeededBoolean": True}]}


def counselled() -> Resource:
    return {
        "resourceType": "Procedure", "id": "counselling", "status": "completed", "performedDateTime": "2026-10-20",
        "code": {"text": "Leg cramp counselling"},
    }  # fmt: skip


def view(*rows: Resource, **how: Any) -> HookRequest:
    return request("patient-view", due(), *rows, **how)


def signs(order: str, *rows: Resource, times: int = 2, **how: Any) -> HookRequest:
    return request("order-sign", due(), *rows, drafts=(draft(order, times=times),), **how)


EARLIER_CLOT, HEADACHE = diagnosis("161508001"), finding("25064002", "headache")
TWINS = observation("fetuses", LOINC, "11878-6", "2026-10-01", valueQuantity=quantity(2, "{#}"))
NORMAL = (calcium(2.3), albumin(40))
TEENAGER, NO_BIRTH_DATE = {"birthDate": "2009-11-22"}, {"birthDate": None}
HIGH = (calcium(2.7), albumin(40))

PATIENTS: dict[str, HookRequest] = {
    "a swollen leg, cramps, breathless": view(swelling(), finding("267036007"), cramps()),
    "calves that differ": view(calf("left", 38), calf("right", 36), cramps()),
    "a red leg in free text": view(written("left calf swollen and red")),
    "a scan that shows a clot": view(swelling(), ultrasound("Acute deep vein thrombosis of the left leg.")),
    "a scan that is ordered": view(swelling(), {
        "resourceType": "ServiceRequest", "id": "ordered", "status": "active", "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": "30881-7"}]}, "authoredOn": "2026-11-21"}),
    "a clot on treatment": view(swelling(), diagnosis("128053003"), takes("Enoxaparin 40 mg injection")),
    "chest pain after an earlier clot": view(EARLIER_CLOT, finding("29857009", "chest")),
    "breathless in free text": view(EARLIER_CLOT, written("short of breath since yesterday")),
    "severe blood pressure": view(HEADACHE, pressure(165, 112)),
    "swelling, no pressure": view(finding("267038008", "oedema")),
    "swelling, no vital signs supplied": view(finding("267038008", "oedema"), withheld=("vitals",)),
    "nothing about food, no questionnaires supplied": view(withheld=("questionnaireResponses",)),
    "high calcium with a stone now": view(*HIGH, diagnosis(text="Renal colic")),
    "high calcium with marked vomiting": view(
        *HIGH, diagnosis(code="O21.1", system="http://hl7.org/fhir/sid/icd-10-cm")
    ),
    "high calcium, confused in free text": view(*HIGH, written("confused and drowsy")),
    "tetany in free text": view(written("tetany since this morning")),
    "a seizure in free text": view(written("seizure this morning")),
    "calcium order, stone": signs(CALCIUM, diagnosis("95570007")),
    "calcium order, sarcoidosis": signs(CALCIUM, diagnosis("31541009")),
    "calcium order, kidney disease": signs(CALCIUM, diagnosis("709044004")),
    "magnesium order, severe kidney disease": signs("Magnesium citrate 300 mg tablet", diagnosis(text="CKD stage 4")),
    "quinine for cramps": signs("Quinine sulfate 300 mg tablet", cramps()),
    "calcium order, bisphosphonate and steroid": signs(
        CALCIUM, takes("Alendronic acid 70 mg tablet"), takes("Prednisolone 20 mg tablet", "two")
    ),
    "calcium order, lithium": signs(CALCIUM, takes("Lithium carbonate 400 mg tablet")),
    "calcium order, digoxin": signs(CALCIUM, takes("Digoxin 125 mcg tablet")),
    "calcium order, bictegravir": signs(CALCIUM, takes("Bictegravir 50 mg tablet")),
    "calcium order, dolutegravir": signs(CALCIUM, takes("Dolutegravir 50 mg tablet")),
    "calcium order, dolutegravir and rilpivirine": signs(
        CALCIUM, takes("dolutegravir 50 MG / rilpivirine 25 MG Oral Tablet")
    ),
    "calcium order, elvitegravir": signs(CALCIUM, takes("Elvitegravir 150 mg / cobicistat 150 mg tablet")),
    "calcium order, levothyroxine and iron": signs(
        CALCIUM, takes("Levothyroxine 75 mcg tablet"), takes("Ferrous sulfate 200 mg tablet", "iron")
    ),
    "doxycycline order beside magnesium": signs("Doxycycline 100 mg capsule", takes("Magnesium citrate 300 mg tablet")),
    "vitamin D order, thiazide": signs("Vitamin D3 4000 IU", takes("Indapamide 2.5 mg tablet"), times=1),
    "vitamin D order, bone pain": signs("Vitamin D3 3000 IU", little_sun(), diagnosis(text="Bone pain"), times=1),
    "magnesium order": signs("Magnesium oxide 400 mg tablet", times=3),
    "magnesium order without a dose": request("order-sign", due(), drafts=(
        {**unmeasured("draft", "draft"), "medicationCodeableConcept": {"text": "Magnesium citrate powder"}},)),
    "magnesium order, myasthenia": signs("Magnesium oxide 300 mg tablet", diagnosis(text="Myasthenia gravis")),
    "calcium order beside calcium and food": signs(CITRATE, diet(400), takes(CALCIUM)),
    "calcium order, label of a salt": signs("Calcium 600 mg tablet", diet(1800), takes(CALCIUM, times=2)),
    "calcium order above the limit": signs(CITRATE, diet(1200), takes(CALCIUM, times=3), times=3),
    "calcium order above the limit at seventeen": signs(
        CITRATE, diet(1900), takes(CALCIUM, times=3), times=3, patient=TEENAGER
    ),
    "calcium order above the limit, age unknown": signs(
        CITRATE, diet(1200), takes(CALCIUM, times=3), times=3, patient=NO_BIRTH_DATE
    ),
    "calcium order, results withheld": signs(CALCIUM, withheld=("laboratory",)),
    "calcium order, result in the wrong unit": signs(CALCIUM, calcium(9.2)),
    "calcium order, nothing with a dose": request("order-sign", due(), unmeasured("taken", "active"), drafts=(
        unmeasured("draft", "draft"),)),
    "calcium order beside calcium as needed": signs(CALCIUM, diet(900), as_needed("Calcium carbonate 500 mg tablet")),
    "magnesium order as needed, kidney disease": request(
        "order-sign", due(), diagnosis("709044004"),
        drafts=(as_needed("Magnesium citrate 300 mg tablet", id="draft", status="draft"),),
    ),
    "calcium in one large dose": signs("Calcium carbonate 1500 mg", times=1),
    "calcium above the limit": view(diet(1200), takes(CALCIUM, times=3)),
    "calcium above the limit at seventeen": view(diet(1900), takes(CALCIUM, times=3), patient=TEENAGER),
    "calcium above the limit, age unknown": view(diet(1200), takes(CALCIUM, times=3), patient=NO_BIRTH_DATE),
    "vitamin D above the limit": view(takes("Vitamin D3 4000 IU"), takes(D3, "two")),
    "vitamin D order above the limit": signs("Vitamin D3 2500 IU", takes(D3)),
    "cramps, weeks unknown": request(
        "patient-view", diagnosis("77386006"), cramps(), diet(900)
    ),
    "cramps in early pregnancy": request("patient-view", due("2027-06-20"), cramps()),
    "cramps in early pregnancy with vomiting": request(
        "patient-view", due("2027-06-20"), cramps(), diagnosis(text="Hyperemesis gravidarum")
    ),
    "cramps after counselling": view(cramps(), counselled()),
    "cramps after counselling, little sun": view(cramps(), counselled(), little_sun()),
    "cramps after counselling, calcium known": view(cramps(), counselled(), *NORMAL),
    "cramps after counselling, calcium and intake known": view(cramps(), counselled(), *NORMAL, diet(1100)),
    "severe cramps": view(diagnosis("449917004", severity={"text": "Severe"})),
    "cramps and a diet without dairy": view(cramps(), diagnosis(text="Vegan diet")),
    "cramps, little sun and a diet without dairy": view(cramps(), little_sun(), diagnosis(text="Vegan diet")),
    "restless legs": view(cramps(), diagnosis("32914008")),
    "restless legs, low ferritin": view(cramps(), diagnosis("32914008"), level("2276-4", 20, "ug/L", "ferritin")),
    "cramps, a leg sign without a side": view(cramps(), swelling(bodySite=None)),
    "cramps and little sun": view(cramps(), little_sun()),
    "twins and a short diet": view(TWINS, diet(900)),
    "a short diet at seventeen": view(diet(1200), patient=TEENAGER),
    "a diet without milk at seventeen": view(diet(600), diagnosis(text="Milk allergy"), patient=TEENAGER),
    "diet, medicines withheld": view(diet(500), withheld=("medicationRequests", "medicationStatements")),
    "diet at seventeen, medicines withheld": view(
        diet(500), withheld=("medicationRequests", "medicationStatements"), patient=TEENAGER
    ),
    "earlier pre-eclampsia, short diet": view(diet(500), diagnosis("161807003")),
    "earlier pre-eclampsia, short diet, on calcium": view(diet(500), diagnosis("161807003"), takes(CALCIUM)),
    "kidney disease, short diet": view(diet(500), diagnosis("709044004")),
    "a total above the range": view(calcium(2.5)),
    "low adjusted, normal ionised calcium": view(calcium(1.9), albumin(40), level("1995-0", 1.2, "mmol/L", "ion")),
    "low magnesium after counselling": view(level("2601-3", 0.5, "mmol/L", "mg"), cramps(), counselled()),
    "low vitamin D": view(vitamin_d(40)),
    "low vitamin D, high calcium": view(vitamin_d(20), *HIGH),
    "low vitamin D3 alone": view(vitamin_d(20, "1989-3")),
    "high vitamin D": view(vitamin_d(150)),
    "toxic vitamin D": view(vitamin_d(400), takes(D3)),
}  # fmt: skip
NAMES = [*STORED, *PATIENTS]
# Its text is that of the rule; the profile for populations with little calcium lowers the indicator.
OTHER_PROFILE = {("calcium-check-before-supplement", "supplement-programme")}

AMOUNTS = (
    "at least", "at most", "mg/day", "IU/day", "days", "elemental calcium", "elemental magnesium", "as needed",
    "not stated", "not readable", "the label",
)  # fmt: skip
PIECES = {piece.strip(" .,:;()") for text in CARD_WORDS.values() for piece in re.split(r"\{\w+\}", text)}
SCAFFOLD = [*sorted(piece for piece in PIECES if len(piece) > len("and")), *AMOUNTS]
HAN = re.compile(r"[\u3400-\u9fff]")
HALF_WIDTH = re.compile(r"[\u3400-\u9fff][,;:?!]|[,;:?!][\u3400-\u9fff]|[\u3400-\u9fff]\.(?:\s|$)")


@pytest.fixture(scope="module")
def asked(adviser: Adviser) -> Any:
    """The advice on a stored request or a patient in a language; each is asked once."""

    @cache
    def ask(name: str, tag: str) -> Advice:
        if name in PATIENTS:
            return adviser.advise(PATIENTS[name], NOW, tag)
        body: Any = parse_json((FIXTURES / "requests" / f"{name}.json").read_bytes())
        return adviser.advise(parse_request(body, hook=body["hook"]), FIXTURE_NOW, tag)

    return ask


def proof(card: Card) -> Any:
    assert card.extension is not None
    return card.extension[PROOF]


def said_by(card: Card) -> list[str]:
    """What of a card a clinician reads in the language of the card."""
    actions = [action for suggestion in card.suggestions for action in suggestion.actions]
    forms = [link.label for link in card.links if "/questionnaires/" in link.url.lower()]
    reasons = [str(reason.display) for reason in card.override_reasons]
    labels = [suggestion.label for suggestion in card.suggestions]
    return [card.summary, card.detail or "", *labels, *(a.description for a in actions), *reasons, *forms]


def bones(card: Card) -> Any:
    """All of a card that no language may change."""
    actions = [
        [(a.type, a.resource_id, ((a.resource or {}).get("code") or {}).get("coding")) for a in suggestion.actions]
        for suggestion in card.suggestions
    ]
    reasons = [(reason.system, reason.code) for reason in card.override_reasons]
    topic = card.source.topic.code if card.source.topic else None
    links = [(link.url, link.type) for link in card.links]
    known = {key: value for key, value in proof(card).items() if key != "language"}
    return topic, card.indicator, card.selection_behavior, actions, reasons, links, known


def test_each_rule_with_a_card_speaks_in_some_request_in_each_of_its_forms(
    asked: Any, knowledge: KnowledgeBase
) -> None:
    parts = [p for name in NAMES for r in asked(name, "en").recommendations for p in r.parts]
    spoken = {(part.rule.id, part.variant.name if part.variant else "") for part in parts}
    advising = [rule for rule in knowledge.rules if rule.then is not None]
    forms = {(rule.id, variant.name) for rule in advising if rule.then for variant in rule.then.variants}
    assert {rule.id for rule in advising} - {id for id, _ in spoken} == set()
    assert forms - spoken == OTHER_PROFILE


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_the_same_card_in_every_language_and_none_falls_back(asked: Any, name: str) -> None:
    english = asked(name, "en").cards
    for tag in TAGS:
        cards = asked(name, tag).cards
        assert [bones(card) for card in cards] == [bones(card) for card in english]
        for card in cards:
            assert proof(card)["language"] == tag, card.summary


@pytest.mark.parametrize("name", NAMES)
def test_no_card_mixes_english_into_its_own_words(asked: Any, name: str) -> None:
    for tag in TAGS:
        for card in asked(name, tag).cards:
            assert 0 < len(card.summary) < 140
            for text in said_by(card):
                assert text
                assert not re.search(r"(?<!\\)[{}]", text), text
                assert not [words for words in SCAFFOLD if re.search(rf"\b{re.escape(words)}\b", text)], text


@pytest.mark.parametrize("name", NAMES)
def test_a_chinese_card_has_the_marks_of_its_script(asked: Any, name: str) -> None:
    for card in asked(name, "zh-Hans").cards:
        for text in said_by(card):
            assert HAN.search(text), text
            assert not HALF_WIDTH.search(text), text
