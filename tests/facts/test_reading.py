"""Invalid FHIR as real clients send it: repaired, dropped or left out, always named, never quoted."""

from __future__ import annotations

import json
import string
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.facts import Census
from cds.facts.reading import RESOURCES, is_oversized, read_resource
from cds.facts.record import OtherPatient
from tests.facts.charts import (
    ANNA,
    LOINC,
    SNOMED,
    Json,
    concept,
    condition,
    draft,
    fact_of,
    facts_of,
    observation,
    prescription,
    quantity,
    resource,
    statement,
    taken,
    verification,
    woman,
)

CALCIUM = observation(concept(LOINC, "2000-8"), "ca", valueQuantity=quantity(2.3, "mmol/L"))
CRAMPS = observation(concept(SNOMED, "449917004"), "cramps")


def read(raw: Json) -> tuple[Any, tuple[str, ...]]:
    found = read_resource(raw, raw["resourceType"], "Observation/x")
    return found.model, found.remarks


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"colour": "red"}, "'colour' is no element of FHIR R4 and was ignored"),
        ({"<b>x</b>": 1}, "'(unknown element)' is no element of FHIR R4 and was ignored"),
        (
            {"valueQuantity": {**quantity(2.3, "mmol/L"), "colour": 1}},
            "'valueQuantity.colour' is no element of FHIR R4 and was ignored",
        ),
        (
            {"effectiveDateTime": "2026-11-20T10:00:00"},
            "'effectiveDateTime' has no valid time or zone; only its date was used",
        ),
        (
            {"effectiveDateTime": "2026-11-20 10:00"},
            "'effectiveDateTime' has no valid time or zone; only its date was used",
        ),
        (
            {"effectiveDateTime": "last week", "issued": "2026-11-20T10:00:00Z"},
            "'effectiveDateTime' is not valid FHIR R4 and was dropped",
        ),
        ({"category": {"text": "lab"}}, "'category' is no list; it was read as the only item"),
        ({"_effectiveDateTime": 5}, "'_effectiveDateTime' is not valid FHIR R4 and was dropped"),
        ({"performer": [None]}, "'performer' is not valid FHIR R4 and was dropped"),
        ({"note": [{"text": 5}, {"text": "x"}, {"text": []}]}, "'note[2].text' is not valid FHIR R4 and was dropped"),
        ({"valueQuantity": {"value": "2.3"}}, "'valueQuantity.value' is text, not a number, and was dropped"),
    ],
)
def test_an_oddity_is_mended_and_named_by_its_place(change: Json, remark: str) -> None:
    model, remarks = read({**CALCIUM, **change})
    assert model is not None
    assert f"Observation/x: {remark}" in remarks


def test_a_valid_resource_has_no_remarks() -> None:
    assert read(CALCIUM)[1] == ()


def test_dropping_items_of_a_list_takes_the_right_ones() -> None:
    """Two bad items around a good one: the good one stays."""
    good = {"code": concept(LOINC, "1751-7"), "valueQuantity": quantity(30, "g/L")}
    model, remarks = read({**CALCIUM, "component": [5, good, {"valueString": "no code"}]})
    assert model is not None
    assert [part.code.coding[0].code for part in model.component] == ["1751-7"]
    assert len(remarks) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"status": ["final"]},
        {"status": None},
        {"dataAbsentReason": "unknown"},
        {"valueQuantity": {"value": [2.3]}},
        {"valueQuantity": {**quantity(2.3, "mmol/L"), "comparator": 7}},
        {"valueBoolean": True, "valueQuantity": quantity(2.3, "mmol/L")},
        {"component": [{"code": concept(LOINC, "1"), "valueBoolean": {}}]},
        {"modifierExtension": [{"url": "http://example.org/not", "valueBoolean": True}]},
        {"implicitRules": "http://example.org/rules"},
    ],
)
def test_a_resource_whose_meaning_cannot_be_read_is_left_out_as_a_whole(change: Json) -> None:
    model, remarks = read({name: value for name, value in {**CALCIUM, **change}.items() if value is not None})
    assert model is None
    assert remarks[-1].endswith("left out")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("verificationStatus", "refuted"),
        ("clinicalStatus", "resolved"),
        ("abatementDateTime", "yesterday"),
    ],
)
def test_a_diagnosis_whose_end_or_doubt_cannot_be_read_is_unknown_and_not_active(kind: str, change: str) -> None:
    broken = condition(concept("http://hl7.org/fhir/sid/icd-10-cm", "K91.2"), **{kind: change})
    fact = fact_of("condition", "malabsorption", broken)
    assert fact.state == "unknown"
    assert fact.reason == "an entry cannot be read (Condition/c1)"


def test_an_unreadable_answer_is_no_yes() -> None:
    """Without its value, a SNOMED CT finding would state itself."""
    assert fact_of("symptom", "leg-cramps", {**CRAMPS, "valueBoolean": {}}).state == "unknown"


def test_contained_resources_and_narrative_spoil_nothing() -> None:
    spoilt = {**CALCIUM, "contained": [{"resourceType": "NoSuch"}], "text": "<div>", "meta": 5}
    assert read(spoilt)[1] == ()
    assert fact_of("lab", "serum-calcium", spoilt).state == "known"


def test_only_what_a_rule_asks_about_is_read() -> None:
    other = observation(concept(LOINC, "8867-4"), "pulse", colour="red")
    assert facts_of(other).remarks == ()


# -- too much ---------------------------------------------------------------------------------------------------------


def nested(levels: int) -> Json:
    inner: Json = {}
    for _ in range(levels):
        inner = {"extension": [inner]}
    return inner


@pytest.mark.parametrize(
    "huge",
    [
        {"extension": [nested(5000)]},
        {"code": {"coding": [{"system": LOINC, "code": "2000-8"}] * 50_000}},
        {"note": [{"text": "x"}] * 20_000},
    ],
)
def test_an_oversized_resource_costs_no_time_and_leaves_its_part_unproven(huge: Json) -> None:
    raw = {**CALCIUM, **huge}
    assert is_oversized(raw)
    started = time.perf_counter()
    census = facts_of(raw)
    assert time.perf_counter() - started < 1
    assert census.facts[("lab", "serum-calcium")].state == "unknown"
    assert "Observation/ca: is larger than any real resource and was not read" in census.remarks


def test_a_large_real_resource_is_not_oversized() -> None:
    assert not is_oversized({**CALCIUM, "component": [{"code": concept(LOINC, "1")}] * 500, **nested(20)})


# -- whatever comes ---------------------------------------------------------------------------------------------------

CANARY = "canary-4711"
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 3000),
    st.floats(),
    st.sampled_from([CANARY, "2026-11-20", "final", "active", "draft", "mmol/L", "2000-8", LOINC, "Patient/anna", ""]),
)
ELEMENTS = st.sampled_from(
    [
        "code",
        "coding",
        "system",
        "value",
        "unit",
        "text",
        "status",
        "valueQuantity",
        "valueBoolean",
        "component",
        "id",
        "effectiveDateTime",
        "subject",
        "reference",
        "resource",
        "entry",
        "dosageInstruction",
        "timing",
        "repeat",
        "medicationReference",
        "medicationCodeableConcept",
        "contained",
        "ingredient",
        "strength",
        "numerator",
        "bodySite",
        "clinicalStatus",
        "verificationStatus",
        "gender",
        "birthDate",
        "display",
        "link",
        "onsetDateTime",
    ]
)
ANYTHING = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ELEMENTS, inner, max_size=4), max_leaves=12
)
CHART: list[Json] = [
    CALCIUM,
    CRAMPS,
    observation(concept(LOINC, "82810-3"), "status", valueCodeableConcept=concept(SNOMED, "77386006")),
    observation(concept(LOINC, "11779-6"), "edd", valueDateTime="2027-02-10"),
    observation(concept(LOINC, "1751-7"), "alb", valueQuantity=quantity(30, "g/L")),
    condition(concept("http://hl7.org/fhir/sid/icd-10-cm", "K91.2")),
    prescription("Calcium carbonate 500 MG Oral Tablet"),
    statement("Vitamin D3 400 IU tablet"),
    resource("AllergyIntolerance", "a", code={"text": "Milk"}, verificationStatus=verification("confirmed")),
    resource(
        "Procedure", "p", status="completed", code={"text": "dietary counselling"}, performedDateTime="2026-11-01"
    ),
    resource(
        "ServiceRequest", "r", status="active", intent="order", code=concept(LOINC, "2000-8"), authoredOn="2026-11-20"
    ),
]


def paths(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every member of a JSON value."""
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for step, inner in steps for path in ((*here, step), *paths(inner, (*here, step)))]


def replaced(raw: Json, path: tuple[Any, ...], value: Any) -> Json:
    copy: Json = json.loads(json.dumps(raw))
    holder: Any = copy
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return copy


def census_of(rows: list[Json], spoilt_draft: Json) -> Census | None:
    try:
        return taken(
            *(r for r in rows if isinstance(r.get("resourceType"), str)), hook="order-select", drafts=[spoilt_draft]
        )[0]
    except OtherPatient:
        return None


SPOILS = [(row, path) for row in range(len(CHART)) for path in paths(CHART[row]) if path != ("resourceType",)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SPOILS), ANYTHING)
def test_no_member_of_any_type_can_break_the_reading(spoil: tuple[int, tuple[Any, ...]], value: Any) -> None:
    row, path = spoil
    rows = [replaced(raw, path, value) if number == row else raw for number, raw in enumerate(CHART)]
    assert facts_of(*rows).facts.keys() == facts_of().facts.keys()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RESOURCES), st.dictionaries(ELEMENTS, ANYTHING, max_size=8))
def test_no_resource_of_any_content_can_break_the_reading(kind: str, content: Json) -> None:
    raw = {"subject": {"reference": f"Patient/{ANNA}"}, **content, "resourceType": kind}
    census_of([raw], {**draft("Calcium 600 mg"), **content})


@pytest.mark.parametrize(
    "prefetch", [5, "x", [], {}, {"resourceType": 5}, {"resourceType": "Bundle", "entry": [5, None, {"resource": 5}]}]
)
def test_no_form_of_a_part_can_break_the_reading(prefetch: Any) -> None:
    assert facts_of(laboratory=prefetch, other=prefetch).facts[("lab", "serum-calcium")].state == "unknown"


def test_no_remark_quotes_the_record() -> None:
    """A canary in the place of every value of every resource: remarks may repeat ids and element names only."""
    quoted = []
    for row, path in SPOILS:
        if path[-1] in ("id", "resourceType"):
            continue
        rows = [replaced(raw, path, CANARY) if number == row else raw for number, raw in enumerate(CHART)]
        census = facts_of(*rows)
        remarks = [*census.remarks, *(remark for fact in census.facts.values() for remark in fact.remarks)]
        quoted += [(CHART[row]["id"], path) for remark in remarks if CANARY in remark]
    assert quoted == []


@pytest.mark.parametrize("gender", ["male", 5])
def test_a_patient_with_odd_elements_is_still_read(gender: Any) -> None:
    fact = fact_of("gestation", "pregnant", patient=woman(gender=gender, photo="x", name=[{"given": "x"}]))
    assert (fact.state == "known") is (gender == "male")


def test_names_in_remarks_are_ids_and_nothing_else() -> None:
    hostile = {**CALCIUM, "id": f"<{CANARY}>", "colour": 1}
    assert all(set(remark) <= set(string.printable) and CANARY not in remark for remark in facts_of(hostile).remarks)
