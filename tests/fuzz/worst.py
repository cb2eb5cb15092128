"""Calls that cost most for what the limits let in: `python -m tests.fuzz.worst [RESOURCES]` prints how long each takes.

Each is a woman with leg cramps whose record holds so many resources of one kind, as many as fit into the largest body.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Any

from cds.advise import Adviser
from cds.hooks import HookRequest, parse_request, to_json
from cds.knowledge import load_knowledge
from cds.service import dump_json, load_settings, parse_json
from cds.service.example import example_body

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_HERS = {"reference": "Patient/example"}
_SIGNS = "No swelling of the left leg, calf pain or redness, denies chest pain and the right calf is warm, and " * 20
_CODINGS = [{"system": "http://example.org", "code": str(n)} for n in range(50)]
_Resource = dict[str, Any]


def _result(number: int, code: str, unit: str = "mmol/L", **also: Any) -> _Resource:
    value = {"value": 2 + number / 10_000, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    coding = [{"system": "http://loinc.org", "code": code}]
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "subject": _HERS,
        "code": {"coding": coding},
        "effectiveDateTime": "2026-11-20",
        "valueQuantity": value,
        **also,
    }


def _condition(number: int, code: _Resource) -> _Resource:
    return {"resourceType": "Condition", "id": f"c{number}", "subject": _HERS, "code": code}


def _medicine(number: int, name: str, **also: Any) -> _Resource:
    return {
        "resourceType": "MedicationRequest",
        "id": f"m{number}",
        "status": "active",
        "intent": "order",
        "subject": _HERS,
        "medicationCodeableConcept": {"text": name},
        "dosageInstruction": [{"text": "1 tablet twice daily"}],
        **also,
    }


def _taken(number: int) -> _Resource:
    """A statement of one Medication with 100 ingredients that all of them name."""
    return {
        "resourceType": "MedicationStatement" if number else "Medication",
        "id": f"t{number}",
        "status": "active",
        "subject": _HERS,
        "medicationReference": {"reference": "Medication/t0"},
        "code": {"text": "calcium"},
        "ingredient": [{"itemCodeableConcept": {"text": f"calcium {n}"}} for n in range(0 if number else 100)],
    }


def _form(number: int) -> _Resource:
    items = [{"linkId": f"l{n}", "text": "calf pain", "answer": [{"valueString": _SIGNS[:200]}]} for n in range(20)]
    return {"resourceType": "QuestionnaireResponse", "id": f"q{number}", "status": "completed", "subject": _HERS,
            "authored": "2026-11-20", "item": items}  # fmt: skip


def _ill(number: int) -> _Resource:
    """What must be mended element by element."""
    bad: dict[str, Any] = {f"bad{n}": 1 for n in range(15)}
    return {**_result(number, "17861-6", performer="x", note=[{"time": "x"}] * 15), **bad}


def _pregnancy(number: int) -> _Resource:
    return _condition(number, {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]})


def _renewal(number: int) -> _Resource:
    """A draft that says to replace the next one."""
    older = {"reference": f"MedicationRequest/m{number + 1}"}
    return _medicine(number, "calcium 500 mg tablet", status="draft", priorPrescription=older)


def _report(number: int) -> _Resource:
    code = {"text": "venous ultrasound of the left leg"}
    return {"resourceType": "DiagnosticReport", "id": f"r{number}", "status": "final", "subject": _HERS, "code": code,
            "conclusion": f"{_SIGNS[:1990]}{number}"}  # fmt: skip


_PLAIN = {"text": "left leg pain"}
WORKLOADS: dict[str, tuple[str, Callable[[int], _Resource]]] = {
    "results of one code": ("laboratory", lambda n: _result(n, ("17861-6", "1995-0", "1751-7")[n % 3])),
    "gestational ages": ("pregnancy", lambda n: _result(n, "11884-4", "wk")),
    "pregnancies": ("conditions", _pregnancy),
    "short texts": ("conditions", lambda n: _condition(n, _PLAIN)),
    "long texts": ("conditions", lambda n: _condition(n, {"text": f"{_SIGNS[:1990]}{n}"})),
    "notes": ("symptoms", lambda n: _result(n, "x", valueString=f"{_SIGNS[:1990]}{n}")),
    "medicines": ("medicationRequests", lambda n: _medicine(n, f"calcium carbonate {n} mg tablet")),
    "medicines with long names": ("medicationRequests", lambda n: _medicine(n, f"{_SIGNS[:1990]}{n}")),
    "one medicine of 100 ingredients": ("medicationStatements", _taken),
    "drafts": ("draftOrders", lambda n: _medicine(n, f"calcium carbonate {n} mg tablet", status="draft")),
    "renewals": ("draftOrders", _renewal),
    "50 codings each": ("laboratory", lambda n: _result(n, "x", category=[{"coding": _CODINGS}])),
    "elements to be mended": ("laboratory", _ill),
    "questionnaires": ("questionnaireResponses", _form),
    "reports": ("diagnosticReports", _report),
}  # fmt: skip


def call(name: str, most: int) -> HookRequest:
    """One workload: resources until `most`, the largest body, or the most codings of the settings."""
    settings = load_settings({})
    part, make = WORKLOADS[name]
    hook = "order-sign" if part == "draftOrders" else "patient-view"
    body = example_body(hook, NOW.date())
    entries: list[_Resource] = []
    size = len(json.dumps(body))
    for number in _numbers(most):
        resource = make(number)
        text = json.dumps(resource)
        size += len(text) + 20
        if size > settings.max_body_bytes or (text.count('"code":') - 1) * number > settings.max_codings:
            break
        entries.append({"resource": resource})
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    (body["context"] if part == "draftOrders" else body["prefetch"]).update({part: _with_first(body, part, bundle)})
    return parse_request(parse_json(json.dumps(body).encode()), hook=hook)


def _numbers(most: int) -> Iterator[int]:
    return iter(range(most)) if most else count()


def _with_first(body: dict[str, Any], part: str, bundle: dict[str, Any]) -> dict[str, Any]:
    """Her diagnoses stay where diagnoses are the workload."""
    if part == "conditions":
        bundle["entry"] = [*body["prefetch"][part]["entry"], *bundle["entry"]]
    return bundle


def main(most: str = "1990") -> None:
    with Adviser(load_knowledge()) as adviser:
        for name in WORKLOADS:
            asked = call(name, int(most))
            ticks = [time.perf_counter()]

            def tick(ticks: list[float] = ticks) -> None:
                ticks.append(time.perf_counter())

            dump_json(to_json(adviser.advise(asked, NOW, tick=tick).response()))
            ticks.append(time.perf_counter())
            longest = max(after - before for before, after in pairwise(ticks))
            print(f"{name:32} {ticks[-1] - ticks[0]:6.2f} s, at most {longest:4.2f} s between two looks at the clock")


if __name__ == "__main__":
    main(*sys.argv[1:])
