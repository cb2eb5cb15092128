"""An EHR in small: it holds records, runs our prefetch templates on them, and calls the service over HTTP.

Strict on purpose: a template that uses anything beyond a read, a type search, `patient`, `code` or `status` is
an error here, as it would be at an EHR that supports only the recommended subset of CDS Hooks 2.0.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx

Json = dict[str, Any]

_PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}")
_READ: Final = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})")
_SEARCH: Final = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?)?")
_DRAFT_SYSTEM: Final = "http://www.whocc.no/atc"


@dataclass(frozen=True)
class Entry:
    """One resource of a record and, where a Bundle named it, its fullUrl."""

    resource: Json
    full_url: str | None = None

    @property
    def name(self) -> str:
        """`Type/id`, or `Type without id`."""
        kind, id = self.resource["resourceType"], self.resource.get("id")
        return f"{kind}/{id}" if id else f"{kind} without id"

    def as_json(self) -> Json:
        """The entry as a Bundle holds it."""
        return {"resource": self.resource} | ({"fullUrl": self.full_url} if self.full_url else {})


def entries_of(document: Any) -> Iterator[Entry]:
    """The resources of a file: those of a Bundle one by one, anything else as it is."""
    if document.get("resourceType") != "Bundle":
        yield Entry(document)
        return
    for row in document.get("entry", ()):
        yield Entry(row["resource"], row.get("fullUrl"))


def latest_time(entries: Iterable[Entry], otherwise: datetime) -> datetime:
    """The latest date or time in the resources, dates of birth left out.

    A time without a zone is read as UTC, a date alone as its noon.
    """
    texts = (text for entry in entries for text in _dates(entry.resource))
    return max((_read_time(text) for text in texts), default=otherwise)


def _dates(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "birthDate":
                yield from _dates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dates(inner)
    elif isinstance(value, str) and _DATE.fullmatch(value):
        yield value


def _read_time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if len(text) == len("2020-12-03"):
        found = datetime.combine(found.date(), time(12))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Chart:
    """The records of one patient, searchable.

    ``ignores`` are search parameters that this EHR does not know: FHIR lets it ignore them and answer
    unfiltered.
    """

    patient_id: str
    entries: tuple[Entry, ...] = field(repr=False)
    ignores: frozenset[str] = frozenset()

    def prefetch(self, templates: Mapping[str, str]) -> Json:
        """Every template executed: a resource, a searchset Bundle, or None where a read finds nothing."""
        return {key: self._execute(self._filled(template)) for key, template in templates.items()}

    def _filled(self, template: str) -> str:
        values = {"context.patientId": self.patient_id}
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)

    def _execute(self, query: str) -> Json | None:
        if read := _READ.fullmatch(query):
            return next((e.resource for e in self.entries if self._is(e, read[1], read[2])), None)
        search = _SEARCH.fullmatch(query)
        if search is None:
            raise ValueError(f"neither a read nor a type search: {query}")
        wanted = parse_qsl(search[2], keep_blank_values=True, strict_parsing=True)
        rows = [e for e in self.entries if e.resource["resourceType"] == search[1]]
        for name, value in wanted:
            if name not in self.ignores:
                rows = [entry for entry in rows if _matches(entry.resource, name, value)]
        return _searchset(rows)

    @staticmethod
    def _is(entry: Entry, kind: str, id: str) -> bool:
        named = entry.resource.get("id") == id or entry.full_url == f"urn:uuid:{id}"
        return named and entry.resource["resourceType"] == kind


def _searchset(rows: list[Entry]) -> Json:
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(rows)}
    if rows:  # FHIR knows no empty arrays
        bundle["entry"] = [row.as_json() for row in rows]
    return bundle


def _matches(resource: Json, name: str, value: str) -> bool:
    if name == "patient":
        holder = resource.get("subject") or resource.get("patient") or {}
        return holder.get("reference") in (f"Patient/{value}", f"urn:uuid:{value}")
    if name == "status":
        return resource.get("status") in value.split(",")
    if name == "code":
        rows = (resource.get("code") or {}).get("coding") or ()
        return bool({f"{row.get('system')}|{row.get('code')}" for row in rows} & set(value.split(",")))
    raise ValueError(f"search parameter {name} is not of the recommended subset")


class Ehr:
    """One clinician at one EHR who opens, orders and signs in one chart; talks HTTP to a running service."""

    def __init__(self, http: httpx.Client, chart: Chart) -> None:
        self._http = http
        self._services = {row["hook"]: row for row in _ok(http.get("/cds-services"))["services"]}
        self.chart = chart

    @property
    def hooks(self) -> tuple[str, ...]:
        return tuple(self._services)

    def request(self, hook: str) -> Json:
        """The request of a hook: prefetch by discovery; the order hooks hold the calcium draft, selected."""
        context: Json = {"userId": "Practitioner/real-test", "patientId": self.chart.patient_id}
        if hook != "patient-view":
            draft = calcium_draft(self.chart.patient_id)
            context["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
        if hook == "order-select":
            context["selections"] = ["MedicationRequest/calcium-draft"]
        return {
            "hook": hook,
            "hookInstance": str(uuid.uuid4()),
            "context": context,
            "prefetch": self.chart.prefetch(self._services[hook]["prefetch"]),
        }

    def post(self, request: Json) -> httpx.Response:
        return self._http.post(f"/cds-services/{self._services[request['hook']]['id']}", json=request)

    def ask(self, hook: str) -> Json:
        """The answer of the service to one hook; anything but 200 fails the test."""
        return _ok(self.post(self.request(hook)))


def _ok(response: httpx.Response) -> Json:
    assert response.status_code == 200, f"HTTP {response.status_code}: {response.text}"
    body: Json = response.json()
    return body


def calcium_draft(patient_id: str) -> Json:
    """A draft written for these tests: calcium carbonate 1250 mg twice a day, 1000 mg of the element."""
    return {
        "resourceType": "MedicationRequest",
        "id": "calcium-draft",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": _DRAFT_SYSTEM, "code": "A12AA04", "display": "calcium carbonate"}],
            "text": "Calcium carbonate 1250 mg tablet",
        },
        "subject": {"reference": f"Patient/{patient_id}"},
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
            }
        ],
    }


def rules_of(answer: Json) -> set[str]:
    """Ids of the rules behind the cards of an answer."""
    proofs = [card["extension"]["org.prenatal-cds.proof"] for card in answer["cards"]]
    return {rule["id"] for proof in proofs for rule in proof["rules"]}


def remarks_of(answer: Json) -> list[str]:
    """What the service says it could not use, cards or not."""
    rows: list[str] = answer["extension"]["org.prenatal-cds.response"].get("remarks", [])
    return rows
