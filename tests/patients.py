"""Short ways to write a patient's record as an EHR would send it. Today is 2026-11-22."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

from cds.facts import PARTS
from cds.hooks import HookRequest, parse_request
from tests.canary import PRIVATE_PERSON

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = date(2026, 11, 22)
LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
LOCAL = "http://example.org/fhir/CodeSystem/anc-local"
LEFT = {"coding": [{"system": SNOMED, "code": "7771000", "display": "Left"}], "text": "left leg"}
Resource = dict[str, Any]


def observation(id: str, system: str, code: str, day: str = "2026-11-20", **more: Any) -> Resource:
    coding = {"coding": [{"system": system, "code": code}]}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": coding,
        "effectiveDateTime": day,
        **more,
    }


def quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def due(day: str = "2027-02-10") -> Resource:
    """A due date that makes her 28 weeks 4 days today."""
    return observation("due", LOINC, "11779-6", "2026-08-03", valueDateTime=day)


def cramps(day: str = "2026-11-16", **more: Any) -> Resource:
    return observation("cramps", SNOMED, "449917004", day, **more)


def swelling(day: str = "2026-11-20", **more: Any) -> Resource:
    """A swollen left lower leg, unless told otherwise."""
    return observation("swelling", SNOMED, "449615005", day, **{"bodySite": LEFT, **more})


def calcium(value: float, unit: str = "mmol/L", day: str = "2026-11-17") -> Resource:
    return observation("calcium", LOINC, "2000-8", day, valueQuantity=quantity(value, unit))


def albumin(value: float, unit: str = "g/L", day: str = "2026-11-17") -> Resource:
    return observation("albumin", LOINC, "1751-7", day, valueQuantity=quantity(value, unit))


def diet(value: float, day: str = "2026-11-02") -> Resource:
    return observation("diet", LOCAL, "dietary-calcium-intake", day, valueQuantity=quantity(value, "mg/d"))


def little_sun(day: str = "2026-11-02") -> Resource:
    answer = {"coding": [{"system": LOCAL, "code": "low"}]}
    return observation("sun", LOCAL, "sun-exposure", day, valueCodeableConcept=answer)


def draft(text: str, id: str = "draft", times: int = 2, **more: Any) -> Resource:
    """A draft order of ``text``, one tablet ``times`` a day."""
    dosage = {
        "timing": {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
    }
    return {
        "resourceType": "MedicationRequest", "id": id, "status": "draft", "intent": "order",
        "medicationCodeableConcept": {"text": text}, "dosageInstruction": [dosage], **more,
    }  # fmt: skip


def owned(resource: Resource, patient_id: str) -> Resource:
    holder = "patient" if resource["resourceType"] == "AllergyIntolerance" else "subject"
    return {holder: {"reference": f"Patient/{patient_id}"}, **resource}


def request(
    hook: str = "patient-view",
    *resources: Resource,
    patient: Resource | None = None,
    drafts: tuple[Resource, ...] = (),
    selections: tuple[str, ...] | None = None,
    withheld: tuple[str, ...] = (),
    patient_id: str = "anna",
) -> HookRequest:
    """A whole request: every part is supplied, holding those of ``resources`` whose type it is for.

    Observations go to every observation part: a resource that comes twice counts once.
    """
    person = {
        "resourceType": "Patient",
        "id": patient_id,
        "gender": "female",
        "birthDate": "1995-03-04",
        **PRIVATE_PERSON,
        **(patient or {}),
    }
    prefetch: dict[str, Any] = {}
    for part, kind in PARTS.items():
        rows = [owned(r, patient_id) for r in resources if r["resourceType"] == kind]
        if part not in withheld:
            entries = [{"resource": row} for row in rows]
            prefetch[part] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    if "patient" not in withheld:
        prefetch["patient"] = person
    context: dict[str, Any] = {"userId": "Practitioner/one", "patientId": patient_id}
    if hook != "patient-view":
        entries = [{"resource": owned(d, patient_id)} for d in drafts]
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    if hook == "order-select":
        context["selections"] = list(selections or [f"MedicationRequest/{d['id']}" for d in drafts])
    body = {"hook": hook, "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": prefetch}
    return parse_request(body, hook=hook)
