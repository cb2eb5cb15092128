"""Whole requests as record systems send them: what stands on the cards when medicines are chosen and signed.

Written from the clinical catalogue and judged by its ids: ``expect`` names a card and its indicator, a minus says that
the card must be away. Today is 2026-11-22; she is 28 weeks and 4 days unless a patient says otherwise.
"""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest

from cds.advise import Advice, Adviser
from cds.facts import PARTS
from cds.hooks import parse_request
from tests.patients import LOINC, NOW, SNOMED, UCUM, Resource

HER = {"reference": "Patient/eXyz-77"}
RXNORM, ATC = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://www.whocc.no/atc"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CARBONATE = "Calcium carbonate 1250 mg (500 mg elemental) tablet"
COLECALCIFEROL = "Cholecalciferol 2000 IU capsule"


def observation(id: str, code: str, day: str, system: str = LOINC, **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": id, "status": "final", "subject": HER, "effectiveDateTime": day,
            "code": {"coding": [{"system": system, "code": code}]}, **more}  # fmt: skip


def measured(id: str, code: str, value: float, unit: str, day: str = "2026-11-10") -> Resource:
    quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return observation(id, code, day, valueQuantity=quantity)


DUE = observation("edd", "11779-6", "2026-08-03", valueDateTime="2027-02-10")
IONISED = measured("ionised", "1995-0", 1.2, "mmol/L")


def diet(value: float) -> Resource:
    return observation("diet", "dietary-calcium-intake", "2026-11-01", "http://example.org/fhir/CodeSystem/anc-local",
                       valueQuantity={"value": value, "unit": "mg/d", "system": UCUM, "code": "mg/d"})  # fmt: skip


def taken(times: int, count: float = 1, unit: str = "tablet", text: str | None = None, **more: Any) -> Resource:
    timing = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
    spoken = {"text": text} if text else {}
    return {"timing": timing, "doseAndRate": [{"doseQuantity": {"value": count, "unit": unit}}], **spoken, **more}


def order(text: str, dosage: Any = None, status: str = "draft", id: str | None = None, **more: Any) -> Resource:
    rows = dosage if isinstance(dosage, list) else [dosage or taken(2)]
    concept = {} if "medicationReference" in more else {"medicationCodeableConcept": {"text": text}}
    return {"resourceType": "MedicationRequest", "id": id or f"m-{uuid.uuid4()}", "status": status, "intent": "order",
            "subject": HER, "dosageInstruction": rows, **concept, **more}  # fmt: skip


def active(text: str, dosage: Any = None, **more: Any) -> Resource:
    return order(text, dosage, "active", **more)


def statement(text: str, dosage: Any = None, status: str = "active") -> Resource:
    rows = {"dosage": [dosage]} if dosage else {}
    return {"resourceType": "MedicationStatement", "id": f"s-{uuid.uuid4()}", "status": status, "subject": HER,
            "medicationCodeableConcept": {"text": text}, **rows}  # fmt: skip


def diagnosis(text: str, clinical: str = "active", verified: str = "confirmed") -> Resource:
    return {"resourceType": "Condition", "id": f"c-{uuid.uuid4()}", "subject": HER, "code": {"text": text},
            "clinicalStatus": {"coding": [{"system": CLINICAL, "code": clinical}]},
            "verificationStatus": {"coding": [{"system": VERIFIED, "code": verified}]}}  # fmt: skip


def named_test(text: str) -> Resource:
    """An open laboratory order as order lists show it: a name, no code."""
    return {"resourceType": "ServiceRequest", "id": f"r-{uuid.uuid4()}", "status": "active", "intent": "order",
            "subject": HER, "authoredOn": "2026-11-18", "code": {"text": text}}  # fmt: skip


def answer(adviser: Adviser, hook: str, record: list[Resource], drafts: list[Resource], *chosen: str) -> Advice:
    prefetch: dict[str, Any] = {}
    for part, kind in PARTS.items():
        rows = [{"resource": row} for row in [DUE, *record] if row["resourceType"] == kind]
        prefetch[part] = {"resourceType": "Bundle", "type": "searchset", "total": len(rows), "entry": rows}
    prefetch["patient"] = {"resourceType": "Patient", "id": "eXyz-77", "gender": "female", "birthDate": "1994-05-06"}
    context: dict[str, Any] = {"userId": "Practitioner/p1", "patientId": "eXyz-77", "encounterId": "e1"}
    if hook != "patient-view":
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection",
                                  "entry": [{"resource": row} for row in drafts]}  # fmt: skip
    if hook == "order-select":
        context["selections"] = list(chosen)
    body = {"hook": hook, "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": prefetch}
    return adviser.advise(parse_request(copy.deepcopy(body), hook=hook), NOW)


def differences(advice: Advice, expect: str) -> list[str]:
    """What of ``expect`` is not so."""
    stands: dict[str, str] = {}
    for card, recommendation in zip(advice.cards, advice.recommendations, strict=True):
        for part in recommendation.parts:
            stands.setdefault(part.rule.catalogue, card.indicator)
    wrong = []
    for wish in expect.split():
        id, _, indicator = wish.removeprefix("-").partition(":")
        if wish.startswith("-") == (id in stands) or (indicator and stands.get(id) != indicator):
            wrong.append(f"{wish}: {stands.get(id, 'away')}")
    return wrong


LEVOTHYROXINE = active("levothyroxine 75 mcg tablet")
QUININE = "Quinine sulfate 300 mg capsule"
WEEKLY = [{"text": "Take 1 capsule by mouth once a week"}]

Signed = tuple[str, str, list[Resource], list[Resource]]
SIGNED: list[Signed] = [
    # labels and instructions
    ("oyster shell calcium without a dose", "CK-01:warning", [], [order("Oyster shell calcium", [])]),
    ("a brand that says neither salt nor element", "CK-01", [], [order("Caltrate 600+D3 tablet")]),
    ("a combination whose figure is that of the salt", "CK-01 -CK-02 -DO-01", [],
     [order("Adcal-D3 1500mg/400unit chewable tablets", medicationCodeableConcept={
         "coding": [{"system": ATC, "code": "A12AX"}], "text": "Adcal-D3 1500mg/400unit chewable tablets"})]),
    ("a routine prenatal product, its label after a colon", "-CK-01 -CK-02", [],
     [order("Prenatal vitamin: calcium 150 mg, D3 400 IU tablet", taken(1))]),
    ("the same product three times a day is no routine dose", "CK-01", [],
     [order("Prenatal vitamin: calcium 150 mg, D3 400 IU tablet", taken(3))]),
    ("a loading dose once a week", "DO-02:warning", [], [order("ergocalciferol 50,000 unit capsule", WEEKLY)]),
    ("a daily dose in micrograms at the routine limit", "-CK-02", [], [order("Colecalciferol 25 µg", taken(1))]),
    ("a daily dose in micrograms above it", "CK-02:warning", [], [order("Colecalciferol 50 µg", taken(1))]),
    ("magnesium oxide below the check dose", "-CK-03", [], [order("Magnesium oxide 400 mg tab", taken(1))]),
    ("magnesium oxide above the check dose", "CK-03:info", [], [order("Magnesium oxide 400 mg tab", taken(2))]),
    ("calcium as a contained medication", "CK-01", [],
     [order("", medicationReference={"reference": "#m"},
            contained=[{"resourceType": "Medication", "id": "m", "code": {"text": CARBONATE}}])]),
    ("names of other medicines that hold the word", "-CK-01 -DO-01 -DI-02", [],
     [order("atorvastatin calcium 20 mg"), order("amlodipine (calcium channel blocker) 5 mg")]),
    # what was checked or ordered
    ("a recent ionised calcium", "-CK-01", [IONISED], [order(CARBONATE)]),
    ("a total calcium without albumin", "CK-01:warning", [measured("ca", "2000-8", 2.2, "mmol/L")], [order(CARBONATE)]),
    ("a calcium order that carries only its name", "-CK-01", [named_test("CALCIUM, SERUM")], [order(CARBONATE)]),
    ("an order list that says no more than calcium", "-CK-01", [named_test("Calcium")], [order(CARBONATE)]),
    ("an ionised calcium order by name", "-CK-01", [named_test("Calcium, Ionized")], [order(CARBONATE)]),
    ("calcium in urine is another test", "CK-01", [named_test("Calcium level, urine")], [order(CARBONATE)]),
    ("a day's urine is another test", "CK-01", [named_test("24h urine calcium")], [order(CARBONATE)]),
    # totals
    ("food, an active product and a draft above the limit", "DO-01:warning DO-04 -CK-01",
     [diet(1000), active(CARBONATE)], [order("calcium citrate 950 mg (200 mg elemental) tab", taken(2, 2))]),
    ("a product listed as order and as statement", "-DO-01 DO-04:info",
     [diet(900), active(CARBONATE), statement(CARBONATE, taken(2))], [order("calcium citrate 950 mg tab", taken(1))]),
    ("a renewal that says so", "-DO-01", [diet(1000), active(CARBONATE, id="old")],
     [order(CARBONATE, priorPrescription={"reference": "MedicationRequest/old"})]),
    ("a second vitamin D product while the level is toxic", "VD-04:critical DO-04:warning",
     [measured("25ohd", "62292-8", 160, "ng/mL"), active(COLECALCIFEROL)], [order("Vitamin D3 1000 IU")]),
    ("another woman's medicine", "-DO-04", [IONISED, {**statement(CARBONATE), "subject": {"reference": "Patient/b"}}],
     [order(CARBONATE)]),
    # contraindications
    ("a high adjusted calcium", "CT-01:critical -CK-01 -DO-03",
     [measured("ca", "2000-8", 2.75, "mmol/L"), measured("alb", "1751-7", 36, "g/L")], [order(CARBONATE)]),
    ("a resolved stone is still a history", "CT-03:warning -CK-01", [diagnosis("Calculus of kidney", "resolved")],
     [order(CARBONATE)]),
    ("a refuted stone is none", "-CT-03 CK-01", [diagnosis("Kidney stone", verified="refuted")], [order(CARBONATE)]),
    ("her mother's stones are not hers", "-CT-03", [diagnosis("Family history of kidney stones")], [order(CARBONATE)]),
    ("stones in Spanish", "CT-03", [diagnosis("Litiasis renal")], [order(CARBONATE)]),
    ("the stones of her family in Spanish", "-CT-03", [diagnosis("Antecedentes familiares de litiasis renal")],
     [order(CARBONATE)]),
    ("hyperparathyroidism in Chinese", "CT-02:warning", [diagnosis("原发性甲状旁腺功能亢进症")], [order(CARBONATE)]),
    ("the opposite disease in Chinese", "-CT-02", [diagnosis("甲状旁腺功能减退")], [order(CARBONATE)]),
    ("stones denied in Chinese", "-CT-03 CK-01", [diagnosis("否认肾结石病史")], [order(CARBONATE)]),
    ("hypercalcaemia in Chinese", "CT-01:critical", [diagnosis("高钙血症")], [order("碳酸钙片")]),
    ("stage 4 kidney disease and magnesium", "CT-04:critical", [diagnosis("Chronic kidney disease (stage 4)")],
     [order("Magnesium oxide 400 mg", taken(1))]),
    ("magnesium and myasthenia gravis in Chinese", "CK-03:warning", [diagnosis("重症肌无力")], [order("氧化镁片")]),
    # interactions
    ("levothyroxine by brand in a statement", "DI-01:warning", [IONISED, statement("Synthroid 75 mcg")],
     [order(CARBONATE)]),
    ("levothyroxine in Chinese", "DI-01:warning", [IONISED, active("左甲状腺素钠片 50ug")], [order("碳酸钙D3片")]),
    ("levothyroxine drafted beside active calcium", "DI-01:warning", [active(CARBONATE)],
     [order("Levotiroxina 75 mcg")]),
    ("a medicine whose status nobody knows", "DI-01:warning", [IONISED, statement("Euthyrox 50", status="unknown")],
     [order(CARBONATE)]),
    ("a medicine that she does not take", "-DI-01", [IONISED, statement("Euthyrox 50", status="not-taken")],
     [order(CARBONATE)]),
    ("levothyroxine beside vitamin D alone", "-DI-01", [LEVOTHYROXINE], [order(COLECALCIFEROL)]),
    ("dolutegravir by its programme's abbreviation", "DI-03:warning", [IONISED, active("TLD 300/300/50")],
     [order(CARBONATE)]),
    ("an antacid by brand beside dolutegravir", "DI-03:warning", [active("Tivicay 50 mg")],
     [order("Maalox suspension")]),
    ("levofloxacin tablets in Chinese", "DI-04:warning", [IONISED, active("左氧氟沙星片 0.5g")], [order("碳酸钙片")]),
    ("levofloxacin eye drops in Chinese", "-DI-04", [IONISED, active("左氧氟沙星滴眼液")], [order("碳酸钙片")]),
    ("iron in Spanish", "DI-02:info", [IONISED, active("Sulfato ferroso 300 mg")],
     [order("Carbonato de calcio 1250 mg")]),
    ("a thiazide within a combination", "DI-05:warning", [IONISED, active("losartan-hydrochlorothiazide 50-12.5 mg")],
     [order(CARBONATE)]),
    # quinine
    ("quinine", "DI-08:critical", [], [order(QUININE)]),
    ("quinine by brand", "DI-08:critical", [], [order("Qualaquin 324 mg capsule")]),
    ("quinine in Chinese", "DI-08:critical", [], [order("硫酸奎宁片 0.3g")]),
    ("quinine for malaria", "-DI-08", [], [order(QUININE, reasonCode=[{"text": "Falciparum malaria"}])]),
    ("quinine for malaria in French", "-DI-08", [], [order(QUININE, reasonCode=[{"text": "Paludisme grave"}])]),
    ("quinine for malaria in Chinese", "-DI-08", [], [order(QUININE, reasonCode=[{"text": "恶性疟疾"}])]),
    ("quinine and not malaria", "DI-08:critical", [],
     [order(QUININE, reasonCode=[{"text": "leg cramps, not malaria"}])]),
    ("quinine after a malaria long over", "DI-08:critical", [diagnosis("Malaria", "resolved")], [order(QUININE)]),
    # a red flag before everything
    ("a swollen leg silences the check", "RF-01:critical -CK-01",
     [observation("leg", "449615005", "2026-11-20", SNOMED, bodySite={"text": "left lower leg"})], [order(CARBONATE)]),
]  # fmt: skip


@pytest.mark.parametrize(("expect", "record", "drafts"), [row[1:] for row in SIGNED], ids=[row[0] for row in SIGNED])
def test_what_stands_before_signing(
    adviser: Adviser, expect: str, record: list[Resource], drafts: list[Resource]
) -> None:
    assert not differences(answer(adviser, "order-sign", record, drafts), expect)


DOSES: list[tuple[str, Resource, str]] = [
    ("an order system that puts the form after a comma", order("calcium carbonate 500 mg oral tablet, chewable", [{
        "text": "500 mg = 1 tab, PO, TID", "timing": {"code": {"text": "TID"}},
        "doseAndRate": [{"doseQuantity": {"value": 500, "unit": "mg"}}]}]), "600 mg/day"),
    ("an order system with a dose unit of its own", order("CALCIUM CARBONATE 500 MG CALCIUM (1,250 MG) TABLET", taken(
        2, 500, "mg of calcium", "Take 1 tablet (500 mg of calcium total) by mouth 2 (two) times a day with meals.")),
     "1000 mg/day"),
    ("element in the instruction, salt on the label", order("calcium carbonate 1,250 mg tablet", [
        {"text": "Take 500 mg of elemental calcium by mouth 2 times daily"}]), "daily dose not readable"),
    ("a Spanish name that says neither salt nor element", order("Carbonato de calcio 1250 mg comprimido"),
     "elemental calcium not stated"),
    ("a decimal comma", order("Calcium carbonate 1,25 g"), "daily dose not readable"),
]  # fmt: skip


@pytest.mark.parametrize(("draft", "shown"), [row[1:] for row in DOSES], ids=[row[0] for row in DOSES])
def test_how_much_calcium_a_draft_gives(adviser: Adviser, draft: Resource, shown: str) -> None:
    fact = answer(adviser, "order-sign", [], [draft]).census.facts[("order", "calcium-supplement")]
    assert shown in fact.shown


def test_a_draft_is_judged_when_it_is_chosen(adviser: Adviser) -> None:
    drafts = [order(CARBONATE, id="calcium"), order("Amoxicillin 500 mg", id="other")]
    other = answer(adviser, "order-select", [], drafts, "MedicationRequest/other")
    assert not differences(other, "-CK-01 -DO-03")
    assert not differences(answer(adviser, "order-select", [], drafts, "MedicationRequest/calcium"), "CK-01:warning")
    assert not differences(answer(adviser, "order-sign", [], drafts), "CK-01:warning")


VIEWED: list[tuple[str, str, list[Resource]]] = [
    ("short of food and no supplement", "NU-01:warning -NU-02", [diet(500)]),
    ("a supplement that makes up for it", "-NU-01", [diet(500), active(CARBONATE)]),
    ("a supplement that nobody knows to be taken", "NU-01:warning",
     [diet(500), statement(CARBONATE, taken(2), "unknown")]),
    ("high blood pressure as the diagnosis list words it", "PE-01:warning",
     [diet(700), diagnosis("Essential (primary) hypertension")]),
    ("the pre-eclampsia of her family", "-PE-01", [diet(700), diagnosis("Family history of pre-eclampsia")]),
    ("vitamin D under a Spanish name", "DO-02:warning", [active("Vitamina D3 5000 IU", taken(1))]),
    ("products above the limit that are no longer taken", "-DO-01",
     [diet(1300), order(CARBONATE, taken(4), "stopped"), order(CARBONATE, taken(4), "on-hold")]),
]  # fmt: skip


@pytest.mark.parametrize(("expect", "record"), [row[1:] for row in VIEWED], ids=[row[0] for row in VIEWED])
def test_what_stands_at_the_visit(adviser: Adviser, expect: str, record: list[Resource]) -> None:
    assert not differences(answer(adviser, "patient-view", record, []), expect)


def test_severe_hypercalcaemia_proposes_to_hold_every_product_with_calcium_or_vitamin_d(adviser: Adviser) -> None:
    held = ["Tums 500 mg", "Prenatal vitamin: calcium 150 mg, D3 400 IU", "calcitriol 0.25 mcg", "Vitamina D3 2000 UI"]
    record = [active(name, id=f"held{n}") for n, name in enumerate(held)]
    record += [active("hydrochlorothiazide 25 mg", id="kept"), measured("ca", "2000-8", 3.2, "mmol/L")]
    card = answer(adviser, "patient-view", record, []).cards[0]
    assert card.indicator == "critical"
    updates = [a.resource for s in card.suggestions or () for a in s.actions if a.type == "update"]
    assert {row["id"] for row in updates if row} == {f"held{n}" for n in range(len(held))}
    assert {row["status"] for row in updates if row} == {"on-hold"}
