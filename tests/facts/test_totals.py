"""Daily totals against upper limits: what is certainly known, each product once, the rest named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.facts import Fact
from tests.facts.charts import (
    ATC,
    LOCAL,
    RXNORM,
    Json,
    bundle,
    concept,
    days_ago,
    draft,
    fact_of,
    observation,
    prescription,
    quantity,
    statement,
)


def diet(value: float = 900, day: str | None = None, **more: Any) -> Json:
    code = concept(LOCAL, "dietary-calcium-intake")
    return observation(code, "diet", day, **{"valueQuantity": quantity(value, "mg/d"), **more})


def calcium(*resources: Json, drafts: tuple[Json, ...] = (), hook: str = "order-sign", **how: Any) -> Fact:
    return fact_of("intake", "calcium-total", *resources, drafts=drafts, hook=hook, **how)


def vitamin_d(*resources: Json, drafts: tuple[Json, ...] = (), **how: Any) -> Fact:
    return fact_of("intake", "vitamin-d-total", *resources, drafts=drafts, hook="order-sign", **how)


def total(fact: Fact) -> Any:
    return fact.attributes.get("value")


CARBONATE, CITRATE = "Calcium carbonate 500 mg", "Calcium citrate 950 mg"  # 400 and 399 mg of calcium a day


# -- what counts ------------------------------------------------------------------------------------------------------


def test_food_therapy_antacids_and_drafts_are_added_up() -> None:
    antacid = prescription("Calcium carbonate antacid 750 mg", "m2")
    fact = calcium(diet(), prescription(CARBONATE), antacid, drafts=(draft(CITRATE),))
    assert total(fact) == Decimal(900 + 400 + 600 + 399)
    assert fact.brief == "2299 mg/day"
    assert fact.remarks == ()
    assert "Calcium citrate 950 mg (draft, elemental calcium 399 mg/day)" in fact.shown
    assert set(fact.sources) == {
        "Observation/diet",
        "MedicationRequest/m1",
        "MedicationRequest/m2",
        "MedicationRequest/d1",
    }


def test_without_a_diet_record_the_products_are_counted_and_the_gap_is_named() -> None:
    fact = calcium(prescription(CARBONATE))
    assert (total(fact), fact.brief) == (Decimal(400), "at least 400 mg/day")
    assert fact.remarks == ("diet not recorded: supplements only",)


@pytest.mark.parametrize(("age", "expected"), [(56, 1300), (57, 400)])
def test_a_diet_record_counts_up_to_the_last_day_of_its_window(age: int, expected: int) -> None:
    fact = calcium(diet(day=days_ago(age)), prescription(CARBONATE))
    assert total(fact) == Decimal(expected)
    assert ("the diet on record is not current: supplements only" in fact.remarks) == (age > 56)


def test_a_diet_record_without_a_date_does_not_count() -> None:
    fact = calcium(diet(effectiveDateTime=None), prescription(CARBONATE))
    assert total(fact) == Decimal(400)
    assert fact.remarks == ("diet: the newest result (900 mg/d) has no date (Observation/diet)",)


def test_a_product_of_unknown_dose_is_named_and_not_counted_as_nothing() -> None:
    fact = calcium(diet(), prescription("Calcium 600 mg"))
    assert (total(fact), fact.brief) == (Decimal(900), "at least 900 mg/day")
    assert fact.remarks == ("Calcium 600 mg is not counted: elemental calcium not stated (MedicationRequest/m1)",)


def test_a_total_of_which_no_part_is_known_is_unknown() -> None:
    assert calcium().state == "unknown"
    fact = calcium(prescription("Calcium 600 mg"))
    assert (fact.state, "elemental calcium not stated" in fact.reason) == ("unknown", True)


def test_medicines_that_were_not_supplied_may_hold_more() -> None:
    fact = calcium(diet(), prescription(CARBONATE), medicationStatements=...)
    assert total(fact) == Decimal(1300)
    assert fact.remarks == ("medication statements were not supplied: there may be more",)
    assert fact.brief.startswith("at least")


def test_a_medicine_that_nobody_can_read_may_hold_more() -> None:
    unreadable = prescription("", "m2", medicationCodeableConcept=concept(RXNORM, "99999999"))
    fact = calcium(diet(), unreadable)
    assert "a medicine cannot be read (MedicationRequest/m2): there may be more" in fact.remarks


def test_a_prenatal_product_counts_with_what_it_says() -> None:
    assert total(calcium(prescription("Prenatal vitamin with calcium 150 mg and iron 27 mg"))) == Decimal(300)
    fact = calcium(diet(), prescription("Prenatal multivitamin with calcium"))
    assert (total(fact), fact.brief) == (Decimal(900), "at least 900 mg/day")


def test_a_product_with_calcium_and_vitamin_d_counts_in_both_totals() -> None:
    both = prescription("Calcium carbonate 1250 mg / cholecalciferol 400 IU")
    assert total(calcium(both)) == Decimal(1000)
    assert total(vitamin_d(both)) == Decimal(800)


def test_vitamin_d_of_all_products_and_drafts_is_added_up_in_units() -> None:
    fact = vitamin_d(
        prescription("Vitamin D3 1000 IU"),
        statement("Prenatal vitamin with vitamin D3 10 mcg"),
        drafts=(draft("Cholecalciferol 0.025 mg tablet"),),
    )
    assert total(fact) == Decimal(2000 + 800 + 2000)
    assert fact.brief == "4800 IU/day"


def test_an_antacid_taken_as_needed_counts_at_the_most_and_is_named() -> None:
    needed = [{"text": "1 tablet four times a day", "asNeededBoolean": True}]
    fact = calcium(diet(), prescription("Calcium carbonate antacid 750 mg", dosageInstruction=needed))
    assert total(fact) == Decimal(900 + 1200)
    assert fact.remarks == ("Calcium carbonate antacid 750 mg: as needed, counted at the most that may be taken",)


def test_an_antacid_taken_as_needed_does_not_make_a_low_intake_look_sufficient() -> None:
    needed = [{"text": "1 tablet four times a day", "asNeededBoolean": True}]
    rows = diet(500), prescription("Calcium carbonate antacid 750 mg", dosageInstruction=needed)
    assert fact_of("intake", "calcium", *rows).state == "unknown"


def test_medicines_that_are_over_do_not_count() -> None:
    stopped = prescription(CITRATE, "m2", status="stopped")
    assert total(calcium(prescription(CARBONATE), stopped)) == Decimal(400)


# -- drafts -----------------------------------------------------------------------------------------------------------


def test_a_draft_counts_whether_selected_or_not_and_is_no_therapy() -> None:
    how: dict[str, Any] = {"hook": "order-select", "drafts": (draft(CARBONATE),)}
    assert total(calcium(selections=("MedicationRequest/other",), **how)) == Decimal(400)
    assert total(calcium(selections=("MedicationRequest/d1",), **how)) == Decimal(400)
    assert fact_of("medication", "calcium-supplement", **how).state == "absent"


def test_two_drafts_of_one_product_are_two_orders() -> None:
    assert total(calcium(drafts=(draft(CARBONATE, "d1"), draft(CARBONATE, "d2")))) == Decimal(800)


@pytest.mark.parametrize("status", ["stopped", "cancelled", "completed", "on-hold", "entered-in-error"])
def test_a_request_that_this_session_ends_does_not_count(status: str) -> None:
    ended = draft(CARBONATE, "m1", status=status)
    fact = calcium(diet(), prescription(CARBONATE), drafts=(ended, draft(CITRATE)))
    assert total(fact) == Decimal(900 + 399)


def test_drafts_that_could_not_be_read_may_hold_more() -> None:
    unreadable = draft(medicationCodeableConcept=concept(RXNORM, "99999999"))
    fact = calcium(prescription(CARBONATE), drafts=(unreadable,))
    assert "a draft cannot be read (MedicationRequest/d1): there may be more" in fact.remarks


# -- once -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "renewal",
    [
        {"priorPrescription": {"reference": "MedicationRequest/m1"}},
        {"priorPrescription": {"reference": "https://ehr.example.org/fhir/MedicationRequest/m1/_history/2"}},
        {"basedOn": [{"reference": "MedicationRequest/m1"}]},
        {"id": "m1"},
    ],
)
@pytest.mark.parametrize(("text", "expected"), [("Calcium carbonate 250 mg", 200), ("Calcium citrate 1900 mg", 798)])
def test_a_draft_that_says_what_it_replaces_counts_instead(renewal: Json, text: str, expected: int) -> None:
    fact = calcium(diet(), prescription(CARBONATE), drafts=(draft(text, **renewal),))
    assert total(fact) == Decimal(900 + expected)
    assert fact.remarks == ()


def test_a_renewal_of_unknown_dose_leaves_the_older_dose_and_is_named() -> None:
    renewal = draft("Calcium 600 mg", priorPrescription={"reference": "MedicationRequest/m1"})
    fact = calcium(prescription(CARBONATE), drafts=(renewal,))
    assert total(fact) == Decimal(400)
    assert "Calcium 600 mg is not counted: elemental calcium not stated (MedicationRequest/d1)" in fact.remarks


def test_the_same_product_and_dose_drafted_again_is_taken_for_a_renewal_and_named() -> None:
    fact = calcium(diet(), prescription(CARBONATE), drafts=(draft(CARBONATE),))
    assert (total(fact), fact.brief) == (Decimal(1300), "at least 1300 mg/day")
    assert fact.remarks == (f"{CARBONATE} is active and drafted with the same dose: counted once",)


def test_the_same_product_in_another_dose_is_added() -> None:
    thrice = [{"text": "1 tablet three times a day"}]
    fact = calcium(prescription(CARBONATE), drafts=(draft(CARBONATE, dosageInstruction=thrice),))
    assert total(fact) == Decimal(400 + 600)


def test_another_product_of_the_same_dose_is_added() -> None:
    assert total(calcium(prescription(CARBONATE), drafts=(draft("Calcium carbonate 500 mg chewable"),))) == Decimal(800)


def test_a_prescription_that_replaces_another_active_one_counts_instead() -> None:
    newer = prescription(CITRATE, "m2", priorPrescription={"reference": "MedicationRequest/m1"})
    assert total(calcium(prescription(CARBONATE, "m1"), newer)) == Decimal(399)


def test_two_prescriptions_that_name_each_other_both_count() -> None:
    one = prescription(CARBONATE, "m1", priorPrescription={"reference": "MedicationRequest/m2"})
    other = prescription(CITRATE, "m2", priorPrescription={"reference": "MedicationRequest/m1"})
    itself = prescription(CITRATE, "m3", priorPrescription={"reference": "MedicationRequest/m3"})
    assert total(calcium(one, other, itself)) == Decimal(400 + 399 + 399)


def test_a_product_as_request_and_statement_counts_once() -> None:
    assert total(calcium(prescription(CARBONATE), statement(CARBONATE))) == Decimal(400)


def test_a_product_that_is_supplement_and_antacid_by_its_codes_counts_once() -> None:
    codes = [{"system": ATC, "code": "A12AA04"}, {"system": ATC, "code": "A02AC01"}]
    both = prescription("", medicationCodeableConcept={"coding": codes, "text": CARBONATE})
    assert total(calcium(both)) == Decimal(400)
    assert fact_of("intake", "calcium", diet(), both).attributes["value"] == Decimal(1300)


# -- properties -------------------------------------------------------------------------------------------------------

_SALTS = ("Calcium carbonate", "Calcium citrate", "Tricalcium phosphate", "Calcium gluconate", "Elemental calcium")
_PRODUCTS = st.lists(
    st.tuples(st.sampled_from(_SALTS), st.integers(1, 2000), st.sampled_from(["active", "draft"])),
    min_size=1,
    max_size=4,
)
_FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def chart(products: list[tuple[str, int, str]]) -> tuple[list[Json], list[Json]]:
    """The products as active prescriptions and as drafts; each strength is made its own, so that none is a renewal."""
    rows = [
        draft(f"{salt} {milligrams * 10 + number} mg", f"p{number}", status=status)
        for number, (salt, milligrams, status) in enumerate(products)
    ]
    return [row for row in rows if row["status"] == "active"], [row for row in rows if row["status"] == "draft"]


@_FEW
@given(_PRODUCTS, st.randoms(use_true_random=False))
def test_the_order_of_the_resources_does_not_matter(products: list[tuple[str, int, str]], random: Any) -> None:
    active, drafts = chart(products)
    before = calcium(diet(), *active, drafts=tuple(drafts))
    random.shuffle(active)
    random.shuffle(drafts)
    after = calcium(*active, diet(), drafts=tuple(drafts))
    assert (before.shown, before.attributes) == (after.shown, after.attributes)


@_FEW
@given(
    _PRODUCTS, st.sampled_from([CARBONATE, "Calcium 600 mg", "Vitamin D3 400 IU", "Calcium carbonate antacid 750 mg"])
)
def test_another_product_never_lowers_the_total(products: list[tuple[str, int, str]], more: str) -> None:
    active, drafts = chart(products)
    before = total(calcium(*active, drafts=tuple(drafts)))
    assert total(calcium(*active, prescription(more, "z"), drafts=tuple(drafts))) >= before
    assert total(calcium(*active, drafts=(*drafts, draft(more, "z")))) >= before


@_FEW
@given(st.integers(1, 3000))
def test_one_strength_spelled_in_any_unit_is_one_dose(milligrams: int) -> None:
    grams = Decimal(milligrams) / 1000
    names = (
        f"Calcium carbonate {milligrams} mg",
        f"Calcium carbonate {milligrams}mg tablet",
        f"Calcium carbonate {milligrams * 1000} mcg",
        f"Calcium carbonate {milligrams * 1000} ug",
    )
    doses = {total(calcium(drafts=(draft(name),))) for name in names}
    # "1.250 g" reads as thousands in half of Europe, so grams are only read in the shorter form.
    short = f"{grams.normalize():f}"
    if len(short.partition(".")[2]) < 3:
        doses.add(total(calcium(drafts=(draft(f"Calcium carbonate {short} g"),))))
    assert doses == {Decimal(milligrams) * 2 * Decimal("0.4")}


def test_the_parts_of_a_bundle_with_further_pages_are_a_lower_bound() -> None:
    first_page = bundle([prescription(CARBONATE)], link=[{"relation": "next", "url": "x"}])
    fact = calcium(diet(), medicationRequests=first_page)
    assert fact.brief == "at least 1300 mg/day"
