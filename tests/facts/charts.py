"""A woman's chart as an EHR sends it: raw FHIR JSON through the one entrance of the fact layer.

Today is Sunday, 2026-11-22. `facts_of` supplies every part of the record, so that silence means absence.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from cds.facts import PARTS, Census, Fact, Record, take_census
from cds.knowledge import KnowledgeBase, load_knowledge

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = date(2026, 11, 22)
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
WHO = "http://fhir.org/guides/who/anc-cds/CodeSystem/anc-custom-codes"
LOCAL = "http://example.org/fhir/CodeSystem/anc-local"
RXNORM, ATC = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://www.whocc.no/atc"
ANNA = "anna"
Json = dict[str, Any]


@cache
def knowledge() -> KnowledgeBase:
    return load_knowledge()


def days_ago(days: int) -> str:
    """The ISO date of that day before today; negative for a day to come."""
    return (TODAY - timedelta(days=days)).isoformat()


def concept(system: str, code: str, text: str | None = None, display: str | None = None) -> Json:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]} | ({"text": text} if text else {})


def resource(kind: str, id: str, **elements: Any) -> Json:
    """A resource of hers; an element given as None is left out."""
    holder = "patient" if kind == "AllergyIntolerance" else "subject"
    whole = {"resourceType": kind, "id": id, holder: {"reference": f"Patient/{ANNA}"}, **elements}
    return {name: value for name, value in whole.items() if value is not None}


def observation(code: Json, id: str = "o1", day: str | None = None, **elements: Any) -> Json:
    """A final Observation of yesterday unless told otherwise."""
    when = {"effectiveDateTime": day or days_ago(1)}
    return resource("Observation", id, **{"status": "final", "code": code, **when, **elements})


def quantity(value: float | int | Decimal, unit: str, **more: Any) -> Json:
    number = float(value) if isinstance(value, Decimal) else value
    return {"value": number, "unit": unit, "system": UCUM, "code": unit, **more}


def condition(code: Json, id: str = "c1", recorded: str | None = None, **elements: Any) -> Json:
    """An active, confirmed Condition recorded 30 days ago unless told otherwise."""
    status = {
        "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
    }
    return resource("Condition", id, **{**status, "code": code, "recordedDate": recorded or days_ago(30), **elements})


def clinical(word: str) -> Json:
    return concept("http://terminology.hl7.org/CodeSystem/condition-clinical", word)


def verification(word: str) -> Json:
    return concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", word)


def bundle(resources: Iterable[Json], **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources], **more}


def woman(**elements: Any) -> Json:
    return {"resourceType": "Patient", "id": ANNA, "gender": "female", "birthDate": "1995-03-04", **elements}


def prefetch_of(*resources: Json, patient: Json | None = None, **parts: Any) -> Json:
    """Every part supplied, each resource under every part of its type; `parts` replace parts, `...` withholds one."""
    whole: Json = {part: bundle(r for r in resources if r["resourceType"] == kind) for part, kind in PARTS.items()}
    whole["patient"] = patient or woman()
    whole.update(parts)
    return {part: value for part, value in whole.items() if value is not ...}


def taken(
    *resources: Json,
    hook: str = "patient-view",
    patient: Json | None = None,
    drafts: Iterable[Json] | None = None,
    selections: tuple[str, ...] | None = None,
    now: datetime = NOW,
    **parts: Any,
) -> tuple[Census, Record]:
    draft_bundle = bundle(drafts) if drafts is not None else None
    supplied = prefetch_of(*resources, patient=patient, **parts)
    return take_census(knowledge(), hook, ANNA, supplied, draft_bundle, selections, now)


def facts_of(*resources: Json, **how: Any) -> Census:
    return taken(*resources, **how)[0]


def fact_of(kind: str, name: str, *resources: Json, **how: Any) -> Fact:
    """One fact of the chart."""
    return facts_of(*resources, **how).facts[(kind, name)]


def value_of(fact: Fact) -> Any:
    return fact.attributes.get("value")


def draft(text: str | None = None, id: str = "d1", **elements: Any) -> Json:
    """A draft order of one tablet twice a day."""
    dosage = {
        "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
    }
    medicine = {"medicationCodeableConcept": {"text": text}} if text else {}
    whole = {"status": "draft", "intent": "order", **medicine, "dosageInstruction": [dosage], **elements}
    return resource("MedicationRequest", id, **whole)


def prescription(text: str, id: str = "m1", **elements: Any) -> Json:
    return draft(text, id, **{"status": "active", **elements})


def statement(text: str, id: str = "s1", **elements: Any) -> Json:
    dosage = [{"text": "1 tablet twice daily"}]
    whole = {"status": "active", "medicationCodeableConcept": {"text": text}, "dosage": dosage, **elements}
    return resource("MedicationStatement", id, **whole)
