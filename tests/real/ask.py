"""Print a hook request about one real record: `python -m tests.real.ask Maple_Emmerich order-sign`.

The record is read where it lies; the draft order of calcium is written for the tests. The latest date of a record
is its clock; `--clock` prints it instead.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from cds.advise import Adviser
from cds.knowledge import load_knowledge
from tests.real.conftest import REAL
from tests.real.ehr import Chart, calcium_draft, entries_of, latest_time


def main(name: str, hook: str) -> None:
    (path,) = (REAL / "synthea-2021").glob(f"{name}_*.json")
    entries = tuple(entries_of(json.loads(path.read_bytes())))
    if hook == "--clock":
        print(latest_time(entries, otherwise=datetime(2021, 4, 1, 12, tzinfo=UTC)).isoformat())
        return
    (patient,) = (e.resource for e in entries if e.resource["resourceType"] == "Patient")
    with Adviser(load_knowledge()) as adviser:
        templates = {service.hook: service.prefetch for service in adviser.services()}[hook]
    context: dict[str, object] = {"userId": "Practitioner/real-test", "patientId": patient["id"]}
    if hook != "patient-view":
        context["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": calcium_draft(patient["id"])}]}
    if hook == "order-select":
        context["selections"] = ["MedicationRequest/calcium-draft"]
    prefetch = Chart(patient["id"], entries).prefetch(templates)
    instance = "6f0d7c1e-5a7b-4b7e-9a53-0f1f6a8e2d11"
    json.dump({"hook": hook, "hookInstance": instance, "context": context, "prefetch": prefetch}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
