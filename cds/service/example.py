"""A short call that gives cards: printed by `serve` where there are no fixtures, and shown in the OpenAPI document."""

from __future__ import annotations

from datetime import date
from typing import Any

_PATIENT = {"reference": "Patient/example"}


def example_body(hook: str, today: date) -> dict[str, Any]:
    """A call about a pregnant woman with leg cramps, recorded `today`: old records do not count."""
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    conditions = [
        {
            "resource": {
                "resourceType": "Condition",
                "clinicalStatus": {"coding": [active]},
                "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
                "subject": _PATIENT,
                "recordedDate": today.isoformat(),
            }
        }
        for code in ("77386006", "449917004")
    ]
    return {
        "hook": hook,
        "hookInstance": "5b0c1e6a-2c55-4d0e-9a1a-6b1d2f3c4e5f",
        "context": {"userId": "Practitioner/example", "patientId": "example", **_orders(hook, today)},
        "prefetch": {
            "patient": {"resourceType": "Patient", "id": "example", "gender": "female"},
            "conditions": {"resourceType": "Bundle", "type": "searchset", "entry": conditions},
        },
    }


def _orders(hook: str, today: date) -> dict[str, Any]:
    """The members of the context that a hook about orders has: one draft of calcium."""
    if not hook.startswith("order-"):
        return {}
    draft = {
        "resourceType": "MedicationRequest",
        "id": "draft",
        "status": "draft",
        "intent": "order",
        "subject": _PATIENT,
        "authoredOn": today.isoformat(),
        "medicationCodeableConcept": {"text": "Calcium carbonate 1250 mg tablet"},
        "dosageInstruction": [{"text": "1 tablet twice daily"}],
    }
    chosen = {"selections": ["MedicationRequest/draft"]} if hook == "order-select" else {}
    return {**chosen, "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft}]}}
