"""The example records and archived test cases of the WHO antenatal care guide through the whole service.

Many of them are not valid FHIR R4. Each must be survived: what a rule needed and could not use is named, the rest is
used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from pydantic import ValidationError

from cds.facts import Fact
from cds.facts.reading import RESOURCES, model_class
from tests.real.clinic import Clinic
from tests.real.ehr import Chart, Entry, Json, entries_of, latest_time, remarks_of, rules_of

HOOKS = ("patient-view", "order-select", "order-sign")
CHECK_FIRST = "calcium-check-before-supplement"
GUIDE_DAY = datetime(2021, 6, 11, 12, tzinfo=UTC)
"""Date of the guide's decision tables; the clock for records that carry no date."""
A2_DAY = datetime(2020, 12, 3, 12, tzinfo=UTC)
A2_GESTATIONAL_AGE = 98
"""Due date 2021-06-03, 182 days after A2_DAY: 280 - 182."""

_A2 = ("adolescent-a2-1", "adolescent-a2-2", "mom-a2-1", "mom-a2-2")
_C6 = ("adolescent-c6-1", "adolescent-c6-2", "mom-c6-1", "mom-c6-2")
# Where a record stands -> its patient. The archived cases stand there twice, as files and as one Bundle.
A2_FILES = {f"archived-a2/patient-{name}": f"patient-{name}" for name in _A2}
A2_BUNDLES = {f"archived-a2/tests-patient-{name}-bundle.json": f"patient-{name}" for name in _A2}
A2 = A2_FILES | A2_BUNDLES
C6_FILES = {f"archived-c6/patient-{name}": f"patient-{name}" for name in _C6}
C6_BUNDLES = {f"archived-c6/tests-patient-{name}-bundle.json": f"patient-{name}" for name in _C6}
C6 = C6_FILES | C6_BUNDLES
EXAMPLE, CHARITY = "anc-patient-example", "charity-otala-1"
TESTS = {
    "tests/library/ANCDT01": "charity-with-danger-signs",
    "tests/library/ANCIND01": CHARITY,
    "tests/measure/ANCIND01": CHARITY,
    "tests/plandefinition/ANCDT01": "charity-with-danger-signs",
}
PLACES = [*A2.items(), *C6.items(), ("examples", EXAMPLE), ("examples", CHARITY), *TESTS.items()]


def invalid_and_needed(place: str, patient: str) -> set[str]:
    """By hand: the resources that are not valid FHIR R4 and that a rule asks about."""
    due_date = f"Observation/observation-{patient.removeprefix('patient-')}-edd"
    if place in A2_FILES:
        return {due_date, "Condition without id"}
    if place in A2_BUNDLES:
        return {due_date, f"Condition/condition-{patient}"}
    if (place, patient) == ("examples", EXAMPLE):
        names = ("104", "107", "108", "115", "116", "127", "132", "95", "96")
        numbered = {f"MedicationRequest/anc-b10-de{name}-example" for name in names}
        supplements = {f"MedicationRequest/{name}-supplement-example" for name in ("iron", "vitamin-a")}
        return numbered | supplements
    if (place, patient) == ("examples", CHARITY):
        return {"Observation/anc-b6-de14-charity-otala-1"}
    return set()


@dataclass(frozen=True)
class Guide:
    """Opens the charts of the guide by the place of their files."""

    folder: Path
    clinic_at: Callable[[datetime], Clinic]

    def entries(self, place: str) -> tuple[Entry, ...]:
        return _entries(self.folder / place)

    def chart(self, place: str, patient: str, *ignores: str) -> Chart:
        rows = [e for e in self.entries(place) if _patient_of(e.resource) in (patient, None)]
        return Chart(patient, tuple(rows), frozenset(ignores))

    def open(self, place: str, patient: str, *ignores: str, now: datetime | None = None) -> tuple[Clinic, Chart]:
        """The chart, and the service at ``now`` or at the latest day of its resources."""
        chart = self.chart(place, patient, *ignores)
        return self.clinic_at(now or latest_time(chart.entries, otherwise=GUIDE_DAY)), chart


@cache
def _entries(path: Path) -> tuple[Entry, ...]:
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    return tuple(entry for file in files for entry in _flat(json.loads(file.read_bytes())))


def _flat(document: Json) -> Iterator[Entry]:
    for entry in entries_of(document):
        # A Bundle inside a Bundle holds the same resources a second time, as the files do.
        yield from entries_of(entry.resource) if entry.resource["resourceType"] == "Bundle" else (entry,)


def _patient_of(resource: Json) -> str | None:
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    holder = resource.get("subject") or resource.get("patient") or {}
    reference = holder.get("reference")
    return str(reference).removeprefix("Patient/") if reference else None


@pytest.fixture(scope="module")
def guide(real: Path, clinic_at: Callable[[datetime], Clinic]) -> Guide:
    return Guide(real / "who-anc", clinic_at)


def named_in(remarks: list[str]) -> set[str]:
    """The resources that remarks call unreadable in part or whole; remarks on facts begin with the fact's title."""
    starts = {remark.split(":")[0] for remark in remarks if ": came " not in remark}
    return {start for start in starts if "/" in start or start.endswith("without id")}


def is_invalid(resource: Json) -> bool:
    try:
        model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError:
        return True
    return False


def facts(clinic: Clinic, chart: Chart) -> dict[tuple[str, str], Fact]:
    return dict(clinic.advice(clinic.ehr(chart).request("patient-view")).census.facts)


# -- everything is survived ---------------------------------------------------------------------------


def test_the_places_of_this_module_hold_every_record_and_a_patient_for_each(guide: Guide) -> None:
    all_files = {path for path in guide.folder.rglob("*.json") if path.parent.name != "decision-tables"}
    of_places: set[Path] = set()
    for place, patient in PLACES:
        path = guide.folder / place
        of_places |= {path} if path.is_file() else set(path.rglob("*.json"))
        assert any(e.name == f"Patient/{patient}" for e in guide.entries(place)), place
    assert of_places == all_files
    assert {_patient_of(e.resource) for place in {p for p, _ in PLACES} for e in guide.entries(place)} == {
        None,
        *(patient for _, patient in PLACES),
    }


@pytest.mark.parametrize(("place", "patient"), PLACES)
def test_every_record_is_answered_by_strict_and_by_careless_search(guide: Guide, place: str, patient: str) -> None:
    """Careless: `code` and `status` ignored, so every resource of the types we ask for is sent."""
    for ignores in ((), ("code", "status"), ("code", "status", "patient")):
        clinic, chart = guide.open(place, patient, *ignores)
        for hook in HOOKS:
            clinic.ehr(chart).ask(hook)


@pytest.mark.parametrize(("place", "patient"), PLACES)
def test_careless_search_sends_every_resource_of_a_type_that_we_read(guide: Guide, place: str, patient: str) -> None:
    clinic, chart = guide.open(place, patient, "code", "status", "patient")
    parts = clinic.ehr(chart).request("patient-view")["prefetch"].values()
    sent = [resource for part in parts for resource in _resources(part)]
    readable = [entry for entry in chart.entries if entry.resource["resourceType"] in RESOURCES]
    assert [entry.name for entry in readable if entry.resource not in sent] == []


def _resources(part: Json) -> list[Json]:
    return [row["resource"] for row in part.get("entry", ())] if part["resourceType"] == "Bundle" else [part]


@pytest.mark.parametrize(("place", "patient"), PLACES)
def test_a_client_that_adds_its_whole_record_gets_the_same_rules(guide: Guide, place: str, patient: str) -> None:
    """Every resource of the place, of whatever type, under a key that we never asked for."""
    clinic, chart = guide.open(place, patient, "code", "status")
    ehr = clinic.ehr(chart)
    rows = [entry.as_json() for entry in guide.entries(place)]
    for hook in HOOKS:
        request = ehr.request(hook)
        request["prefetch"]["everything"] = {"resourceType": "Bundle", "type": "collection", "entry": rows}
        response = ehr.post(request)
        assert response.status_code == 200, response.text
        assert rules_of(response.json()) == rules_of(ehr.ask(hook))


# -- invalid resources are named, the rest is used ------------------------------------------------------


@pytest.mark.parametrize(("place", "patient"), PLACES)
def test_each_invalid_resource_that_a_rule_asks_about_is_named_in_the_answer(
    guide: Guide, place: str, patient: str
) -> None:
    clinic, chart = guide.open(place, patient)
    answer = clinic.ehr(chart).ask("patient-view")
    assert named_in(remarks_of(answer)) == invalid_and_needed(place, patient)


@pytest.mark.parametrize(("place", "patient"), PLACES)
def test_only_resources_that_are_really_invalid_are_named(guide: Guide, place: str, patient: str) -> None:
    clinic, chart = guide.open(place, patient, "code", "status")
    invalid = {e.name for e in chart.entries if e.resource["resourceType"] in RESOURCES and is_invalid(e.resource)}
    for hook in HOOKS:
        assert named_in(remarks_of(clinic.ehr(chart).ask(hook))) <= invalid


def test_an_allergy_that_names_no_patient_is_not_used_and_is_named(guide: Guide) -> None:
    clinic, chart = guide.open("examples", EXAMPLE, "patient")
    remarks = remarks_of(clinic.ehr(chart).ask("patient-view"))
    assert any(r.startswith("AllergyIntolerance/anc-allergyintolerance-example: names no patient") for r in remarks)


def test_a_delivery_is_read_beside_eleven_invalid_medication_requests(guide: Guide) -> None:
    clinic, chart = guide.open("examples", EXAMPLE)
    found = facts(clinic, chart)[("gestation", "post-partum")]
    assert found.state == "known"
    assert all(source.startswith("Observation/anc-end-") for source in found.sources)


def test_active_medicines_that_cannot_be_read_do_not_prove_that_she_takes_none(guide: Guide) -> None:
    """Six active requests of this record say of no medicine which it is."""
    clinic, chart = guide.open("examples", EXAMPLE)
    nameless = [e for e in chart.entries if _is_nameless_medicine(e.resource)]
    assert len(nameless) == 6
    found = facts(clinic, chart)
    for concept in ("calcium-supplement", "vitamin-d", "anticoagulant"):
        assert found[("medication", concept)].state == "unknown"


def _is_nameless_medicine(resource: Json) -> bool:
    medicine = ("medicationCodeableConcept", "medicationReference")
    return resource["resourceType"] == "MedicationRequest" and not any(name in resource for name in medicine)


# -- the archived pregnancies ---------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "patient"), A2.items())
def test_an_archived_pregnancy_is_dated_by_a_due_date_without_a_time_zone(
    guide: Guide, place: str, patient: str
) -> None:
    clinic, chart = guide.open(place, patient, now=A2_DAY)
    found = facts(clinic, chart)
    due_date = f"Observation/observation-{patient.removeprefix('patient-')}-edd"
    assert found[("gestation", "pregnant")].attributes == {"present": True}
    age = found[("gestation", "age")]
    assert age.attributes["value"] == Decimal(A2_GESTATIONAL_AGE)
    assert age.sources == (due_date,)
    remarks = remarks_of(clinic.ehr(chart).ask("patient-view"))
    assert any(r.startswith(f"{due_date}: 'valueDateTime'") and "only its date was used" in r for r in remarks)


@pytest.mark.parametrize(("place", "patient"), A2.items())
def test_the_calcium_draft_in_an_archived_pregnancy_asks_for_calcium_first(
    guide: Guide, place: str, patient: str
) -> None:
    clinic, chart = guide.open(place, patient, now=A2_DAY)
    for hook in ("order-select", "order-sign"):
        assert CHECK_FIRST in rules_of(clinic.ehr(chart).ask(hook))


@pytest.mark.parametrize(("place", "patient"), A2.items())
def test_the_pregnancy_diagnosis_is_evidence_beside_the_due_date(guide: Guide, place: str, patient: str) -> None:
    """One of the Bundles gives two diagnoses the same id: neither may push the other out unseen."""
    clinic, chart = guide.open(place, patient, now=A2_DAY)
    found = facts(clinic, chart)[("gestation", "pregnant")]
    assert found.day == date(2020, 12, 3)
    assert all(source.startswith("Condition") for source in found.sources)


@pytest.mark.parametrize(("place", "patient"), C6.items())
def test_a_status_without_a_date_is_survived_and_the_due_date_of_today_counts(
    guide: Guide, place: str, patient: str
) -> None:
    clinic, chart = guide.open(place, patient)
    found = facts(clinic, chart)
    pregnant = found[("gestation", "pregnant")]
    assert pregnant.attributes == {"present": True}
    status = f"Observation/observation-{patient.removeprefix('patient-')}-pregnancy-status"
    assert any("has no da" in remark and status in remark for remark in pregnant.remarks)
    assert found[("gestation", "age")].attributes["value"] == Decimal(280)


# -- values that mean nothing ---------------------------------------------------------------------------

DOUBTS = [
    ("examples", EXAMPLE, "Observation/anc-b6-de17-example", "not in weeks or days"),
    ("examples", CHARITY, "Observation/anc-b6-de17-charity-otala-1", "has no day"),
    ("examples", CHARITY, "Observation/anc-b6-de14-charity-otala-1", "cannot be read as a day"),
    ("tests/library/ANCIND01", CHARITY, "Observation/anc-b6-de17-charity-otala-1", "has no day"),
]
"""A gestational age in grams, one without a date, and a last menstrual period in an element that FHIR lacks."""


@pytest.mark.parametrize(("place", "patient", "source", "why"), DOUBTS)
def test_a_dating_that_cannot_be_used_is_named_with_its_reason_and_not_used(
    guide: Guide, place: str, patient: str, source: str, why: str
) -> None:
    clinic, chart = guide.open(place, patient)
    found = facts(clinic, chart)
    assert found[("gestation", "age")].state != "known"
    assert found[("gestation", "pregnant")].attributes.get("present") is not True
    assert any(why in remark and source in remark for remark in found[("gestation", "pregnant")].remarks)


@pytest.mark.parametrize(("place", "patient", "source", "why"), DOUBTS)
def test_a_dating_that_cannot_be_used_is_named_in_the_answer_even_without_a_card(
    guide: Guide, place: str, patient: str, source: str, why: str
) -> None:
    clinic, chart = guide.open(place, patient)
    answer = clinic.ehr(chart).ask("patient-view")
    assert answer["cards"] == []
    assert any(why in remark and source in remark for remark in remarks_of(answer))


@pytest.mark.parametrize(("place", "patient"), PLACES)
def test_each_doubt_about_the_pregnancy_is_said_once(guide: Guide, place: str, patient: str) -> None:
    """A code given in three systems is one finding."""
    clinic, chart = guide.open(place, patient)
    found = facts(clinic, chart)[("gestation", "pregnant")]
    reasons = found.reason.split("; ")
    assert len(set(found.remarks)) == len(found.remarks)
    assert len(set(reasons)) == len(reasons)
