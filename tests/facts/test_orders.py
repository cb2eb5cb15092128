"""Draft orders and active medicines: which class, which dose, whose, and counted once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.facts import Fact, take_census
from cds.facts.record import DRAFTS, take_record
from tests.facts.charts import (
    ANNA,
    ATC,
    ICD,
    NOW,
    RXNORM,
    UCUM,
    Json,
    concept,
    condition,
    days_ago,
    draft,
    fact_of,
    facts_of,
    knowledge,
    prefetch_of,
    prescription,
    quantity,
    resource,
    statement,
    verification,
)

SERVER, ELSEWHERE = "https://ehr.example.org/fhir", "https://other.example.org/fhir"
DAILY = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}


def ordered(
    *drafts: Json, kind: str = "calcium-supplement", selections: tuple[str, ...] | None = None, **how: Any
) -> Fact:
    return fact_of("order", kind, drafts=drafts, selections=selections, hook="order-select", **how)


def therapy(*resources: Json, kind: str = "calcium-supplement", **how: Any) -> Fact:
    return fact_of("medication", kind, *resources, **how)


def dose(fact: Fact) -> Any:
    """The daily dose; None when it is not known, and then the fact says so."""
    assert fact.attributes["dose_known"] is ("dose" in fact.attributes)
    return fact.attributes.get("dose")


# -- what the sandbox sends -------------------------------------------------------------------------------------------


def test_the_sandboxs_invalid_order_is_read_with_its_oddities_named() -> None:
    order = draft(
        "Calcium Carbonate 500 MG Oral Tablet",
        category={"text": "Inpatient"},
        intent=None,
        subject=None,
        dosageInstruction=[
            {
                "doseAndRate": [{"doseQuantity": {"value": 1, "system": UCUM, "code": "{pill}"}}],
                "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
            }
        ],
    )
    census = facts_of(hook="order-select", drafts=[order])
    assert dose(census.facts[("order", "calcium-supplement")]) == Decimal(400)
    assert census.remarks == (
        "MedicationRequest/d1: 'category' is no list; it was read as the only item",
        "MedicationRequest/d1: 'intent' is missing; the rest was used",
    )


def test_an_order_without_a_medicine_is_no_order_of_calcium_but_is_named() -> None:
    census = facts_of(hook="order-select", drafts=[draft(intent=None)])
    assert census.facts[("order", "calcium-supplement")].state == "absent"
    assert "MedicationRequest/d1: cannot be read as FHIR R4 and was left out" in census.remarks


def test_an_order_without_status_or_subject_is_a_draft_of_this_visit() -> None:
    assert ordered(draft("Calcium carbonate 500 mg", status=None, subject=None)).state == "known"


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "stopped", "completed", "on-hold"])
def test_a_withdrawn_draft_is_no_order(status: str) -> None:
    assert ordered(draft("Calcium carbonate 500 mg", status=status)).state == "absent"


def test_a_draft_not_to_give_it_is_no_order() -> None:
    assert ordered(draft("Calcium carbonate 500 mg", doNotPerform=True)).state == "absent"


def test_drafts_that_could_not_be_read_leave_orders_unknown() -> None:
    for entries in ({"resource": draft("Calcium 600 mg")}, [{"fullUrl": "x"}]):
        census, _ = take_census(knowledge(), "order-sign", ANNA, prefetch_of(), {"entry": entries}, None, NOW)
        assert census.facts[("order", "calcium-supplement")].state == "unknown"


def test_a_medicine_whose_name_was_not_sent_may_be_anything() -> None:
    elsewhere = draft(medicationReference={"reference": "Medication/77"})
    assert ordered(elsewhere).reason == "a draft order cannot be read (MedicationRequest/d1)"
    active = {**elsewhere, "status": "active", "id": "m1"}
    assert therapy(active).state == "unknown"
    assert dose(therapy(active, prescription("Calcium carbonate 500 mg tablet", "m2"))) is None


def test_an_unreadable_medicine_leaves_every_class_unknown() -> None:
    broken = prescription("Enoxaparin 40 mg", status="active", doNotPerform="perhaps")
    assert therapy(broken, kind="anticoagulant").reason == "a medicine cannot be read (MedicationRequest/m1)"


# -- dose -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("Calcium Carbonate 500 MG Oral Tablet", concept(RXNORM, "318076"), 400),
        ("Calcium carbonate 1250 mg tablet", None, 1000),
        ("Calcium carbonate 1,250 mg tablet", None, 1000),
        ("Calcium carbonate 1 250 mg tablet", None, 1000),
        ("Calcium carbonate 1.25 g tablet", None, 1000),
        ("Calcium carbonate 1.250 mg tablet", None, None),
        ("Calcium citrate 950 mg tablet", None, 399),
        ("Calcium lactate 300 mg", None, 78),
        ("Calcium gluconate 500 mg", None, 90),
        ("Tricalcium phosphate 500 mg", None, 390),
        ("Calcium phosphate 500 mg", None, None),
        ("Calcium 600 mg tablet", None, None),
        ("Calcium 600 mg tablet", concept(ATC, "A12AA04"), None),
        ("Elemental calcium 500 mg", None, 1000),
        ("Calcium (elemental) 500 mg", None, None),
        ("Calcium carbonate 1250 mg (500 mg elemental calcium)", None, 1000),
        ("Calcium carbonate 1250 mg (elemental calcium 500 mg)", None, 1000),
        ("Calcium carbonate 1250 mg equivalent to 500 mg calcium", None, 1000),
        ("Calcium 600 mg / vitamin D3 400 IU", concept(ATC, "A12AX"), 1200),
        ("Calcium carbonate 1250 mg / cholecalciferol 400 IU", concept(ATC, "A12AX"), 1000),
        ("Calcium (as carbonate) 600 mg", None, None),
        ("calcium carbonate (OS-CAL) 500 mg calcium (1,250 mg) chewable tablet", None, 1000),
        ("calcium carbonate 1,250 mg (500 mg calcium) tablet", None, 1000),
        ("calcium carbonate-vitamin D3 500 mg(1,250mg) -200 unit per tablet", None, None),
        ("calcium carbonate-vitamin D3 600 mg-10 mcg (400 unit) tablet", None, None),
        ("Calcium carbonate 1.25 g (1250 mg) tablet", None, 1000),
        ("Os-Cal 500 mg calcium (1,250 mg) tablet", None, None),
        ("600 mg calcium tablet", None, None),
        ("500 mg calcium carbonate tablet", None, 400),
        ("Caltrate", None, None),
        ("Calcium-Sandoz Forte 500 mg", None, None),
        ("Calcium lactate gluconate 1000 mg + calcium carbonate 500 mg effervescent tablet", None, 660),
        ("Calcium carbonate 1250 mg / elemental calcium 500 mg", None, 1000),
        ("Calcium carbonate and calcium citrate 500 mg", None, None),
        ("Prenatal vitamin with calcium 150 mg and iron 27 mg", None, 300),
    ],
)
def test_the_daily_elemental_calcium_of_two_tablets(name: str, code: Json | None, expected: int | None) -> None:
    order = draft(medicationCodeableConcept={**(code or {}), "text": name})
    assert dose(ordered(order)) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Vitamin D3 1000 IU capsule", 2000),
        ("Cholecalciferol 25 mcg tablet", 2000),
        ("Cholecalciferol 0.025 mg tablet", 2000),
        ("Cholecalciferol 1000 UNT Oral Tablet", 2000),
        ("Calcium carbonate 1250 mg / cholecalciferol 400 IU", 800),
        ("Vitamin D3", None),
    ],
)
def test_the_daily_vitamin_d_of_two_tablets(name: str, expected: int | None) -> None:
    assert dose(ordered(draft(name), kind="vitamin-d")) == (None if expected is None else Decimal(expected))


def weekly(text: str, dosage: Json) -> Json:
    return draft(text, dosageInstruction=[dosage])


@pytest.mark.parametrize(
    "dosage",
    [
        {"text": "1 capsule once a week"},
        {"text": "take one capsule weekly"},
        {"text": "one capsule every 7 days"},
        {
            "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk"}},
            "doseAndRate": [{"doseQuantity": quantity(1, "1")}],
        },
        {
            "timing": {"repeat": {"period": 7, "periodUnit": "d"}},
            "doseAndRate": [{"doseQuantity": quantity(1, "{capsule}")}],
        },
        {"timing": {"repeat": {"dayOfWeek": ["mon"]}}, "doseAndRate": [{"doseQuantity": quantity(1, "1")}]},
        {
            "timing": {"code": {"coding": [{"system": "x", "code": "WK"}]}},
            "doseAndRate": [{"doseQuantity": quantity(50000, "[iU]")}],
        },
    ],
)
def test_a_weekly_loading_dose_is_spread_over_the_week(dosage: Json) -> None:
    fact = ordered(weekly("Ergocalciferol 50,000 IU capsule", dosage), kind="vitamin-d")
    assert dose(fact) == Decimal("7142.857")
    assert "7143 IU/day" in fact.shown


@pytest.mark.parametrize(
    ("dosage", "expected"),
    [
        ({"text": "Take 1 tablet by mouth twice daily with meals"}, 400),
        ({"text": "1-2 tablets three times a day"}, 1200),
        ({"text": "half a tablet daily"}, 100),
        ({"text": "take two 500 mg tablets daily"}, 400),
        ({"text": "1 tablet twice a day for 1 week"}, 400),
        ({"text": "1 tablet daily for 3 months"}, 200),
        ({"text": "1 tablet every morning and evening"}, 400),
        ({"text": "500 mg twice daily"}, 400),
        ({"text": "Take 1 tablet (500 mg total) by mouth 2 (two) times a day with meals."}, 400),
        ({"text": "take one (1) tablet twice daily"}, 400),
        ({"text": "1 tablet twice daily, maximum 4 tablets a day"}, 400),
        ({"text": "2 tablets in the morning, 1 at night"}, None),
        ({"text": "one tablet every morning, two every evening"}, None),
        ({"text": "1 tab PO BID with meals"}, 400),
        ({"text": "take one tablet twice daily"}, 400),
        ({"text": "2 x 500 mg/day"}, 400),
        ({"text": "1/2 tablet daily"}, 100),
        ({"text": "1 1/2 tablets daily"}, 300),
        ({"text": "½ tablet twice a day"}, 200),
        ({"text": "0,5 tablet twice a day"}, None),
        ({"text": "1 tablet in the morning and 2 tablets at night"}, None),
        ({"text": "one chewable tablet three times a day"}, 600),
        ({"text": "10 mg/kg twice daily"}, None),
        ({"text": "250 mg in the morning, 500 mg at night"}, None),
        ({"timing": {"repeat": {"when": ["C"]}}, "text": "1 tablet"}, None),
        ({"timing": {"repeat": {"when": ["MORN", "NIGHT"]}}, "text": "1 tablet"}, 400),
        (
            {"timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d", "when": ["C"]}}, "text": "1 tablet"},
            600,
        ),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(2, "{sachet}")}]}, 400),
        ({"text": "1 tablet as directed"}, None),
        ({"text": "take once"}, None),
        ({"timing": {"code": {"text": "BID"}}, "text": "1 tablet"}, 400),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(500, "mg")}]}, 200),
        ({"timing": DAILY, "doseAndRate": [{"doseRange": {"low": quantity(1, "1"), "high": quantity(2, "1")}}]}, 400),
        (
            {
                "timing": {"repeat": {"frequency": 2, "frequencyMax": 3, "period": 1, "periodUnit": "d"}},
                "text": "1 tablet",
            },
            600,
        ),
        ({"timing": {"repeat": {"period": 8, "periodUnit": "h"}}, "text": "1 tablet"}, 600),
        ({"timing": {"repeat": {"timeOfDay": ["08:00:00", "20:00:00"]}}, "text": "1 tablet"}, 400),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mL"}}]}, None),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": {"value": 500}}]}, None),
        ({"timing": {"repeat": {"frequency": "x", "period": 1, "periodUnit": "d"}}, "text": "1 tablet"}, None),
        ({}, None),
    ],
)
def test_the_instruction_says_how_much_a_day(dosage: Json, expected: int | None) -> None:
    fact = ordered(weekly("Calcium carbonate 500 mg tablet", dosage))
    assert dose(fact) == (None if expected is None else Decimal(expected))


def test_instructions_together_add_up_and_one_after_another_give_the_highest() -> None:
    together = [{"text": "1 tablet in the morning"}, {"text": "2 tablets at bedtime"}]
    after = [{"sequence": 1, **together[0]}, {"sequence": 2, **together[1]}]
    name = "Calcium carbonate 500 mg tablet"
    assert dose(ordered(draft(name, dosageInstruction=together))) == Decimal(600)
    assert dose(ordered(draft(name, dosageInstruction=after))) == Decimal(400)
    assert dose(ordered(draft(name, dosageInstruction=[*together, {"text": "as directed"}]))) is None


def test_one_unit_is_a_tablet_or_an_international_unit_and_so_unknown() -> None:
    units = {"timing": DAILY, "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "unit"}}]}
    assert dose(ordered(weekly("Vitamin D3 1000 IU", units), kind="vitamin-d")) is None


def test_a_dose_in_milligrams_of_a_combination_is_nobodys_dose() -> None:
    """1250 mg of the tablet are not 50 million units of vitamin D."""
    name = "Calcium carbonate 1250 mg / cholecalciferol 400 IU"
    milligrams = weekly(name, {"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(1250, "mg")}]})
    assert dose(ordered(milligrams, kind="vitamin-d")) is None
    assert dose(ordered(milligrams)) is None


def test_a_dose_in_units_of_a_combination_is_its_vitamin_d() -> None:
    units = {"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(800, "[iU]")}]}
    order = weekly("Calcium carbonate 1250 mg / cholecalciferol 400 IU", units)
    assert dose(ordered(order, kind="vitamin-d")) == Decimal(800)
    assert dose(ordered(order)) is None


def test_the_card_says_what_the_dose_is_of() -> None:
    assert ordered(draft("Calcium carbonate 500 mg")).shown == "Calcium carbonate 500 mg (elemental calcium 400 mg/day)"
    assert ordered(draft("Vitamin D3 400 IU"), kind="vitamin-d").shown == "Vitamin D3 400 IU (800 IU/day)"
    assert ordered(draft("Calcium 600 mg")).shown == "Calcium 600 mg (elemental calcium not stated)"
    assert (
        ordered(draft("Calcium carbonate 20.5 mg")).shown == "Calcium carbonate 20.5 mg (elemental calcium 16.4 mg/day)"
    )


def medication(*ingredients: Json, id: str = "med") -> Json:
    return {
        "resourceType": "Medication",
        "id": id,
        "code": {"text": "Chewable tablet"},
        "ingredient": list(ingredients),
    }


def ingredient(name: str, amount: Any, unit: str, per: Json | None = None) -> Json:
    strength = {"numerator": {"value": amount, "unit": unit}, "denominator": per or {"value": 1, "unit": "tablet"}}
    return {"itemCodeableConcept": {"text": name}, "strength": strength}


@pytest.mark.parametrize(
    ("server", "home", "reference", "found"),
    [
        (SERVER, None, f"{SERVER}/Medication/med", True),
        (SERVER, None, "https://EHR.example.org:443/fhir/Medication/med/_history/2", True),
        (SERVER, None, f"{ELSEWHERE}/Medication/med", False),
        (SERVER, f"{ELSEWHERE}/Medication/med", f"{ELSEWHERE}/Medication/med", True),
        (SERVER, f"{ELSEWHERE}/Medication/med", f"{SERVER}/Medication/med", False),
        (SERVER, f"{ELSEWHERE}/Medication/med", "Medication/med", False),
        (SERVER, f"{SERVER}/Medication/med", "Medication/med", True),
        (SERVER, f"{SERVER}/Medication/med", f"{SERVER}/Medication/med", True),
        (None, f"{SERVER}/Medication/med", f"{ELSEWHERE}/Medication/med", False),
        (None, f"{SERVER}/Medication/med", "Medication/med", True),
        (None, None, f"{ELSEWHERE}/Medication/med", True),
        (
            SERVER,
            "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
            "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
            True,
        ),
    ],
)
def test_the_same_id_on_another_server_is_another_product(
    server: str | None, home: str | None, reference: str, found: bool
) -> None:
    entry: Json = {"resource": {"resourceType": "Medication", "id": "med"}} | ({"fullUrl": home} if home else {})
    prefetch = {"medications": {"resourceType": "Bundle", "entry": [entry]}}
    record = take_record("p1", prefetch, None, None, server=server)
    assert bool(record.medication(reference)) is found


@pytest.mark.parametrize("kind", ["MedicationOrder", "ProcedureRequest", "Medicationrequest"])
def test_a_draft_of_another_version_of_fhir_is_named_and_leaves_the_orders_open(kind: str) -> None:
    old = draft() | {"resourceType": kind, "id": "old"}
    record = take_record("p1", None, {"resourceType": "Bundle", "entry": [{"resource": old}]}, None)
    assert f"{kind}/old: cannot be read as FHIR R4 and was left out" in record.remarks
    assert DRAFTS in record.withheld
    fact = ordered(old)
    assert fact.state == "unknown"


@pytest.mark.parametrize("kind", ["NutritionOrder", "DeviceRequest", "Encounter", "Practitioner"])
def test_a_draft_that_orders_something_else_is_no_remark(kind: str) -> None:
    record = take_record("p1", None, {"entry": [{"resource": {"resourceType": kind, "id": "x"}}]}, None)
    assert (record.remarks, DRAFTS in record.withheld) == ((), False)


def test_ingredients_of_a_medication_are_read_contained_or_supplied() -> None:
    calcium = ingredient("Calcium carbonate", 1250, "mg")
    inside = draft(medicationReference={"reference": "#med"}, contained=[medication(calcium)])
    assert dose(ordered(inside)) == Decimal(1000)
    for reference in ("Medication/med", "https://ehr.example.org/fhir/Medication/med/_history/2"):
        outside = draft(medicationReference={"reference": reference})
        parts: Json = {"medications": {"resourceType": "Bundle", "entry": [{"resource": medication(calcium)}]}}
        assert dose(ordered(outside, **parts)) == Decimal(1000)
    assert dose(ordered(medication(calcium), draft(medicationReference={"reference": "Medication/med"}))) == Decimal(
        1000
    )


def test_a_strength_per_volume_is_no_strength_of_a_tablet() -> None:
    syrup = medication(ingredient("Calcium carbonate", 1250, "mg", {"value": 5, "unit": "mL"}))
    assert dose(ordered(draft(medicationReference={"reference": "#med"}, contained=[syrup]))) is None


@pytest.mark.parametrize("amount", ["1250", True, None, float("nan"), float("inf"), {}])
def test_a_strength_that_is_no_number_is_unknown(amount: Any) -> None:
    odd = medication(ingredient("Calcium carbonate", amount, "mg"))
    assert dose(ordered(draft(medicationReference={"reference": "#med"}, contained=[odd]))) is None


def liquid(text: str, dosage: Json, **more: Any) -> Fact:
    return ordered(draft(text, dosageInstruction=[dosage], **more))


@pytest.mark.parametrize(
    "name",
    [
        "Calcium carbonate 1250 mg/5 mL oral suspension",
        "Calcium carbonate 1250 mg per 5 ml",
        "calcium carbonate 250 MG/ML Oral Suspension",
        "Calcium carbonate 1.25 g / 5 mL",
    ],
)
@pytest.mark.parametrize(
    ("dosage", "expected"),
    [
        ({"text": "10 mL once daily"}, 1000),
        ({"text": "Take 5 mL (1250 mg) twice daily"}, 1000),
        ({"text": "10 mL (1250 mg/5 mL) daily"}, 1000),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(10, "mL")}]}, 1000),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": {"value": 10, "unit": "ml"}}]}, 1000),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(2500, "mg")}]}, 1000),
        ({"text": "one tablet daily"}, None),
        ({"text": "one spoon daily"}, None),
        ({"timing": DAILY, "doseAndRate": [{"doseQuantity": quantity(9000, "mL")}]}, None),
    ],
)
def test_a_volume_of_a_liquid_is_a_dose_where_the_strength_per_volume_is_known(
    name: str, dosage: Json, expected: int | None
) -> None:
    assert dose(liquid(name, dosage)) == (None if expected is None else Decimal(expected))


def test_a_volume_of_a_liquid_of_unknown_strength_is_no_dose() -> None:
    assert dose(liquid("Calcium carbonate oral suspension", {"text": "10 mL once daily"})) is None
    assert dose(liquid("Calcium carbonate 500 mg per 0 mL", {"text": "10 mL once daily"})) is None


def test_both_strengths_of_a_liquid_combination_are_of_one_volume() -> None:
    order = draft(
        "Calcium carbonate 1250 mg / cholecalciferol 400 IU per 5 mL", dosageInstruction=[{"text": "10 mL daily"}]
    )
    assert dose(ordered(order)) == Decimal(1000)
    assert dose(ordered(order, kind="vitamin-d")) == Decimal(800)


def test_ingredients_of_a_liquid_are_read_by_volume() -> None:
    syrup = medication(ingredient("Calcium carbonate", 1250, "mg", {"value": 5, "unit": "mL"}))
    order = draft(
        medicationReference={"reference": "#med"}, contained=[syrup], dosageInstruction=[{"text": "5 mL daily"}]
    )
    assert dose(ordered(order)) == Decimal(500)


@pytest.mark.parametrize(("system", "code"), [(RXNORM, "1897"), (ATC, "A12AA04")])
def test_an_ingredient_known_by_the_code_of_its_salt_is_converted(system: str, code: str) -> None:
    coded = {"itemCodeableConcept": concept(system, code), "strength": ingredient("", 1250, "mg")["strength"]}
    order = draft(medicationReference={"reference": "#med"}, contained=[medication(coded)])
    assert dose(ordered(order)) == Decimal(1000)


def test_an_ingredient_known_as_calcium_only_may_be_salt_or_element() -> None:
    coded = {"itemCodeableConcept": concept(RXNORM, "1895"), "strength": ingredient("", 600, "mg")["strength"]}
    fact = ordered(draft(medicationReference={"reference": "#med"}, contained=[medication(coded)]))
    assert (fact.state, dose(fact)) == ("known", None)
    assert "elemental calcium not stated" in fact.shown


def test_a_product_code_that_nobody_knows_is_read_by_its_text() -> None:
    code = concept(RXNORM, "99999999", display="calcium carbonate 1250 MG Oral Tablet")
    assert dose(ordered(draft(medicationCodeableConcept=code))) == Decimal(1000)


# -- at a time, as needed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dosage", "expected"),
    [
        ("Calcium carbonate 1250 mg", {"text": "2 tablets twice a day"}, 1000),
        ("Calcium carbonate 1250 mg", {"text": "1 tablet twice a day"}, 500),
        ("Calcium carbonate 1250 mg", {"text": "2 tablets"}, 1000),
        ("Calcium 600 mg / vitamin D3 400 IU", {"text": "1 tablet daily"}, None),
        ("Calcium 600 mg", {"text": "1 tablet daily"}, None),
    ],
)
def test_the_elemental_calcium_of_one_intake(name: str, dosage: Json, expected: int | None) -> None:
    fact = ordered(weekly(name, dosage))
    assert fact.attributes.get("single_dose") == (None if expected is None else Decimal(expected))


def test_of_several_instructions_the_largest_intake_counts() -> None:
    rows = [{"text": "1 tablet in the morning"}, {"text": "2 tablets at bedtime"}]
    fact = ordered(draft("Calcium carbonate 1250 mg", dosageInstruction=rows))
    assert fact.attributes["single_dose"] == Decimal(1000)


@pytest.mark.parametrize(
    "needed",
    [
        {"asNeededBoolean": True},
        {"asNeededCodeableConcept": {"text": "heartburn"}},
        {"text": "1 tablet 3 times daily as needed"},
        {"text": "1 tab tid prn"},
    ],
)
def test_a_dose_taken_as_needed_is_read_at_its_highest_and_named_so(needed: Json) -> None:
    dosage = {"text": "1 tablet three times a day", **needed}
    fact = ordered(weekly("Calcium carbonate 500 mg", dosage))
    assert dose(fact) == Decimal(600)
    assert "elemental calcium at most 600 mg/day, as needed" in fact.shown


def test_the_most_that_is_allowed_a_day_bounds_a_dose_taken_as_needed() -> None:
    most = {"numerator": {"value": 2, "unit": "tablet"}, "denominator": quantity(1, "d")}
    for text in ("1 tablet every 4 hours", "1 tablet"):
        dosage = {"text": text, "asNeededBoolean": True, "maxDosePerPeriod": most}
        assert dose(ordered(weekly("Calcium carbonate 500 mg", dosage))) == Decimal(400)


def test_the_most_that_is_allowed_does_not_lower_a_regular_dose() -> None:
    most = {"numerator": {"value": 2, "unit": "tablet"}, "denominator": quantity(1, "d")}
    dosage = {"text": "1 tablet three times a day", "maxDosePerPeriod": most}
    assert dose(ordered(weekly("Calcium carbonate 500 mg", dosage))) == Decimal(600)


# -- magnesium --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected", "shown"),
    [
        ("Magnesium oxide 400 mg tablet", 480, "elemental magnesium 480 mg/day"),
        ("Elemental magnesium 150 mg", 300, "elemental magnesium 300 mg/day"),
        ("Magnesium 150 mg tablet", 300, "elemental magnesium at most 300 mg/day, the label may mean the salt"),
        ("Magnesium citrate 1 g", 2000, "elemental magnesium at most 2000 mg/day, the label may mean the salt"),
        ("Prenatal vitamin with magnesium 50 mg and iron 27 mg", 100, "elemental magnesium 100 mg/day"),
        ("Magnesium citrate powder", None, "daily dose not readable"),
    ],
)
def test_magnesium_is_that_of_the_salt_or_at_most_what_the_label_says(
    name: str, expected: int | None, shown: str
) -> None:
    fact = ordered(draft(name), kind="magnesium-supplement")
    assert dose(fact) == (None if expected is None else Decimal(expected))
    assert f"({shown})" in fact.shown


# -- what it is given for ---------------------------------------------------------------------------------------------


MALARIA = {"resourceType": "Condition", "id": "c1", "code": {"text": "Plasmodium falciparum malaria"}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"reasonCode": [{"text": "Malaria, uncomplicated"}]}, "malaria"),
        ({"reasonCode": [{"coding": [{"system": ICD, "code": "X", "display": "Malaria"}]}]}, "malaria"),
        ({"reasonReference": [{"reference": "Condition/c1"}]}, "malaria"),
        ({"reasonReference": [{"reference": "https://ehr.example.org/fhir/Condition/c1/_history/3"}]}, "malaria"),
        ({"reasonReference": [{"reference": "#in"}], "contained": [{**MALARIA, "id": "in"}]}, "malaria"),
        ({"reasonReference": [{"display": "Malaria"}]}, "malaria"),
        ({"dosageInstruction": [{"text": "1 tablet twice daily for malaria"}]}, "malaria"),
        ({"dosageInstruction": [{"text": "1 tablet", "patientInstruction": "for your malaria"}]}, "malaria"),
        ({"reasonCode": [{"text": "non-malaria use"}]}, None),
        ({"reasonCode": [{"text": "Leg cramps, not for malaria"}]}, None),
        ({"reasonCode": [{"text": "Leg cramps; no malaria"}]}, None),
        ({"reasonCode": [{"text": "Leg cramps"}]}, None),
        ({"reasonReference": [{"reference": "Condition/other"}]}, None),
        ({"reasonReference": [{"reference": 7}]}, None),
        ({}, None),
    ],
)
def test_an_order_is_for_malaria_only_where_the_record_says_so(said: Json, expected: str | None) -> None:
    diagnosis = condition({"text": "Plasmodium falciparum malaria"})
    census = facts_of(diagnosis, hook="order-select", drafts=[draft("Calcium carbonate 500 mg", **said)])
    assert census.facts[("order", "calcium-supplement")].attributes.get("reason") == expected


def test_a_refuted_malaria_is_no_reason() -> None:
    refuted = condition({"text": "Malaria"}, verificationStatus=verification("refuted"))
    order = draft("Calcium carbonate 500 mg", reasonReference=[{"reference": "Condition/c1"}])
    fact = fact_of("order", "calcium-supplement", refuted, drafts=[order], hook="order-select")
    assert "reason" not in fact.attributes


def test_one_order_of_two_without_the_reason_leaves_both_without() -> None:
    stated = draft("Calcium carbonate 500 mg", reasonCode=[{"text": "malaria"}])
    assert ordered(stated).attributes["reason"] == "malaria"
    assert "reason" not in ordered(stated, draft("Calcium carbonate 500 mg", "d2")).attributes


# -- what is no calcium -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Atorvastatin calcium 20 MG Oral Tablet",
        "Amlodipine (calcium channel blocker) 5 mg",
        "Calcium-channel blocker 5 mg",
        "Levofolinate 50 mg (as calcium levofolinate)",
        "Calcium folinate 15 mg tablet",
        "Levoleucovorin calcium 50 mg",
        "Calcium polystyrene sulfonate 15 g",
        "Heparin calcium 5000 units",
        "Vitamin C (calcium ascorbate) 500 mg",
        "Prenatal vitamin without calcium",
        "Ferrous sulfate 325 mg",
    ],
)
def test_a_product_with_calcium_in_its_name_only_is_no_calcium_supplement(name: str) -> None:
    assert ordered(draft(name)).state == "absent"


def test_a_multivitamin_with_calcium_by_its_code_is_calcium_already_taken_but_no_therapeutic_order() -> None:
    code = {**concept(ATC, "A11AA02"), "text": "Femina Plus"}
    assert ordered(draft(medicationCodeableConcept=code)).state == "absent"
    assert dose(therapy(prescription("", medicationCodeableConcept=code))) is None


def test_a_prenatal_product_that_does_not_say_how_much_calcium_is_no_therapeutic_order() -> None:
    assert ordered(draft("Prenatal multivitamin with calcium")).state == "absent"
    named = draft("Prenatal multivitamin with calcium 1000 mg", dosageInstruction=[{"text": "as directed"}])
    assert dose(ordered(named)) is None


def test_an_antacid_is_an_antacid() -> None:
    order = draft("Calcium carbonate antacid 750 mg chewable tablet")
    assert ordered(order, kind="calcium-antacid").state == "known"
    assert ordered(order).state == "absent"


# -- which drafts -----------------------------------------------------------------------------------------------------

A, B = draft("Calcium carbonate 500 mg", "a"), draft("Calcium carbonate 1250 mg", "b")


def test_selections_decide_which_draft_is_chosen() -> None:
    fact = ordered(A, B, selections=("MedicationRequest/a",))
    assert (fact.attributes["selected"], dose(fact), fact.sources) == (True, Decimal(400), ("MedicationRequest/a",))
    assert ordered(A, B, selections=()).attributes["selected"] is False
    assert dose(ordered(A, B, selections=())) == Decimal(1400)


def test_on_signing_all_drafts_are_chosen_and_added_up() -> None:
    fact = fact_of("order", "calcium-supplement", drafts=[A, B], hook="order-sign")
    assert (fact.attributes["selected"], dose(fact)) == (True, Decimal(1400))


def test_a_selection_by_bare_id_counts_and_one_that_meets_nothing_is_named() -> None:
    assert ordered(A, selections=("a",)).attributes["selected"] is True
    census = facts_of(hook="order-select", drafts=[A], selections=("MedicationRequest/z",))
    assert "a selection names no draft order of the request" in census.remarks
    # Which order was chosen cannot be told then, so that none passes unseen.
    assert ordered(A, B, selections=("MedicationRequest/z",)).attributes["selected"] is True
    assert ordered(A, B, selections=("MedicationRequest/z", "MedicationRequest/a")).sources == ("MedicationRequest/a",)


def test_a_selection_may_name_a_draft_by_its_full_url() -> None:
    unnamed = {name: value for name, value in A.items() if name != "id"}
    sent = {"entry": [{"fullUrl": "urn:uuid:7", "resource": unnamed}, {"fullUrl": "urn:uuid:8", "resource": B}]}
    census, _ = take_census(knowledge(), "order-select", ANNA, prefetch_of(), sent, ("urn:uuid:7",), NOW)
    assert dose(census.facts[("order", "calcium-supplement")]) == Decimal(400)


def test_one_draft_of_unknown_dose_leaves_the_sum_unknown() -> None:
    assert dose(ordered(A, draft("Calcium 600 mg", "c"))) is None


def test_two_drafts_of_one_id_are_both_judged() -> None:
    assert dose(ordered(A, {**B, "id": "a"})) == Decimal(1400)


def test_a_draft_for_another_patient_is_ignored_and_counted() -> None:
    census = facts_of(hook="order-select", drafts=[{**A, "subject": {"reference": "Patient/bella"}}])
    assert census.facts[("order", "calcium-supplement")].state == "absent"
    assert census.remarks == ("1 resource(s) of another patient were ignored",)


def test_a_draft_is_no_therapy_and_therapy_no_draft() -> None:
    assert ordered(prescription("Calcium carbonate 500 mg")).state == "known"  # sent as a draft, whatever its status
    assert (
        fact_of("order", "calcium-supplement", prescription("Calcium carbonate 500 mg"), hook="order-select").state
        == "absent"
    )


# -- therapy ----------------------------------------------------------------------------------------------------------


def test_active_medicines_add_up() -> None:
    fact = therapy(prescription("Calcium carbonate 500 mg", "a"), prescription("Calcium citrate 950 mg", "b"))
    assert dose(fact) == Decimal(799)


@pytest.mark.parametrize("status", ["draft", "on-hold", "stopped", "completed", "cancelled", "entered-in-error"])
def test_only_active_prescriptions_are_therapy(status: str) -> None:
    assert therapy(prescription("Calcium carbonate 500 mg", status=status)).state == "absent"


@pytest.mark.parametrize("status", ["intended", "completed", "not-taken", "entered-in-error"])
def test_only_active_statements_are_therapy(status: str) -> None:
    assert therapy(statement("Calcium carbonate 500 mg", status=status)).state == "absent"


@pytest.mark.parametrize(("ended", "state"), [(1, "absent"), (0, "known"), (-5, "known")])
def test_a_statement_whose_period_is_over_is_no_therapy(ended: int, state: str) -> None:
    period = {"start": days_ago(90), "end": days_ago(ended)}
    assert therapy(statement("Calcium carbonate 500 mg", effectivePeriod=period)).state == state


@pytest.mark.parametrize(
    "again",
    [
        statement("calcium carbonate 500 mg"),
        statement("Tums", medicationCodeableConcept={**concept(RXNORM, "318076"), "text": "Tums"}),
        statement("Chalk tablets", basedOn=[{"reference": "MedicationRequest/m1"}]),
    ],
)
def test_one_product_as_request_and_statement_counts_once(again: Json) -> None:
    code = {**concept(RXNORM, "318076"), "text": "Calcium carbonate 500 mg"}
    fact = therapy(prescription("", medicationCodeableConcept=code), again)
    assert (dose(fact), fact.sources) == (Decimal(400), ("MedicationRequest/m1",))


def test_a_dose_that_the_request_leaves_open_is_read_from_the_statement_of_the_same_product() -> None:
    request = prescription("Calcium carbonate 500 mg", dosageInstruction=[{"text": "as directed"}])
    fact = therapy(request, statement("Calcium carbonate 500 mg"))
    assert (dose(fact), fact.sources) == (Decimal(400), ("MedicationRequest/m1",))


def test_a_statement_may_say_what_a_request_that_it_is_based_on_is() -> None:
    request = prescription("White tablets")
    report = statement("Calcium carbonate 500 mg", basedOn=[{"reference": "MedicationRequest/m1"}])
    assert dose(therapy(request, report)) == Decimal(400)


def test_a_dose_from_half_of_the_medicine_lists_is_no_known_dose() -> None:
    fact = therapy(prescription("Calcium carbonate 500 mg"), medicationStatements=...)
    assert (fact.state, dose(fact)) == ("known", None)
    assert fact.remarks == ("medication statements were not supplied: there may be more",)


def test_a_medicine_known_by_code_only_has_no_dose() -> None:
    fact = therapy(prescription("", medicationCodeableConcept=concept(ATC, "A12AA04")))
    assert (fact.state, dose(fact)) == ("known", None)


def test_a_plan_with_a_name_only_reference_is_read_by_its_display() -> None:
    shown = {"reference": "Medication/77", "display": "Calcium carbonate 500 mg"}
    assert dose(therapy(prescription("", medicationCodeableConcept=None, medicationReference=shown))) == Decimal(400)


def test_other_resources_are_no_medicines() -> None:
    assert therapy(resource("Procedure", "p", status="completed", code={"text": "calcium carbonate"})).state == "absent"
