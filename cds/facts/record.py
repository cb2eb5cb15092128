"""The record of one request: every resource that was given, once, for this patient only, and which parts were supplied.

A part is one prefetch key. It is supplied when the client answered it, be it with null ("looked, there is nothing"); it
is withheld when the key is missing, holds an OperationOutcome or something that is no search result; it is incomplete
when the bundle has a next page. Only a supplied, complete part can prove that something is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cds.facts.reading import RESOURCES, Read, read_resource, refuse_text_numbers

PARTS: dict[str, str] = {
    "patient": "Patient",
    "pregnancy": "Observation",
    "laboratory": "Observation",
    "vitals": "Observation",
    "nutrition": "Observation",
    "symptoms": "Observation",
    "conditions": "Condition",
    "medicationRequests": "MedicationRequest",
    "medicationStatements": "MedicationStatement",
    "serviceRequests": "ServiceRequest",
    "allergies": "AllergyIntolerance",
    "procedures": "Procedure",
}
"""Prefetch key -> resource type."""

PART_TITLES = {
    "patient": "patient",
    "pregnancy": "pregnancy observations",
    "laboratory": "laboratory results",
    "vitals": "vital signs",
    "nutrition": "diet and sunlight observations",
    "symptoms": "symptom observations",
    "conditions": "diagnoses",
    "medicationRequests": "medication requests",
    "medicationStatements": "medication statements",
    "serviceRequests": "open orders and referrals",
    "allergies": "allergies",
    "procedures": "procedures and counselling",
}

# Which parts must be complete before a kind of fact may be called absent.
COVERAGE: dict[str, tuple[str, ...]] = {
    "person": ("patient",),
    "gestation": ("pregnancy", "conditions"),
    "lab": ("laboratory",),
    "vital": ("vitals",),
    "diet": ("nutrition",),
    "intake": ("nutrition", "medicationRequests", "medicationStatements"),
    "exposure": ("nutrition",),
    "symptom": ("symptoms", "conditions"),
    "condition": ("conditions",),
    "allergy": ("allergies", "conditions"),
    "procedure": ("procedures",),
    "request": ("serviceRequests",),
    "medication": ("medicationRequests", "medicationStatements"),
    "order": (),
    "data": (),
}


@dataclass(frozen=True)
class Resource:
    """One raw resource and where it came from; validated when a reader needs it."""

    type: str
    raw: dict[str, Any]
    name: str
    draft: bool = False
    selected: bool = False

    @cached_property
    def read(self) -> Read:
        raw, remarks = refuse_text_numbers(self.raw, self.name) if self.type == "Observation" else (self.raw, ())
        result = read_resource(raw, self.type, self.name)
        return Read(result.model, (*remarks, *result.remarks))


@dataclass(frozen=True)
class Record:
    """Everything that may be used about one patient. ``withheld`` maps a part to the reason it proves nothing."""

    patient_id: str
    resources: Mapping[str, tuple[Resource, ...]]
    withheld: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    other: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, *types: str, drafts: bool = False) -> Iterator[Resource]:
        for name in types:
            for resource in self.resources.get(name, ()):
                if resource.draft == drafts:
                    yield resource

    def gap(self, kind: str) -> str:
        """Why the silence of the record proves nothing for this kind of fact; empty when it does."""
        gaps = [f"{PART_TITLES[part]} {self.withheld[part]}" for part in COVERAGE[kind] if part in self.withheld]
        return "; ".join(gaps)


class OtherPatient(Exception):
    """The `patient` part is another person than context.patientId; nothing of the request may be trusted."""


def take_record(
    patient_id: str,
    prefetch: Mapping[str, Any] | None,
    drafts: Mapping[str, Any] | None,
    selections: tuple[str, ...] | None,
) -> Record:
    """Collect the usable resources of a request.

    ``drafts`` is context.draftOrders, ``selections`` the chosen references (None: all drafts are chosen, as in
    order-sign). Raises OtherPatient.
    """
    return _Collector(patient_id).collect(prefetch or {}, drafts, selections)


class _Collector:
    def __init__(self, patient_id: str) -> None:
        self.patient_id = patient_id
        self.found: dict[str, dict[str, Resource]] = {}
        self.withheld: dict[str, str] = {}
        self.remarks: list[str] = []
        self.foreign = 0
        self.unowned: list[str] = []
        self.other: dict[str, dict[str, Any]] = {}
        self.count = 0

    def collect(
        self, prefetch: Mapping[str, Any], drafts: Mapping[str, Any] | None, selections: tuple[str, ...] | None
    ) -> Record:
        for part in PARTS:
            if part not in prefetch:
                self.withheld[part] = "were not supplied" if part != "patient" else "was not supplied"
        for key, value in prefetch.items():
            self._part(key, value)
        if drafts is not None:
            self._drafts(drafts, selections)
        if self.foreign:
            self.remarks.append(f"{self.foreign} resource(s) of another patient were ignored")
        for name in self.unowned[:5]:
            self.remarks.append(f"{name}: names no patient and was ignored")
        resources = {kind: tuple(rows.values()) for kind, rows in self.found.items()}
        return Record(self.patient_id, resources, self.withheld, tuple(self.remarks), self.other)

    def _part(self, key: str, value: Any) -> None:
        known = key in PARTS
        if value is None:
            if key == "patient":
                self.withheld[key] = "was not found by the client"
            return
        if not isinstance(value, dict):
            self._withhold(key, "came in a form that is no FHIR resource")
            return
        kind = value.get("resourceType")
        if kind == "OperationOutcome":
            self._withhold(key, "could not be fetched by the client")
        elif kind == "Bundle":
            if key == "patient":
                self._withhold(key, "came as a search result")
            self._bundle(key, value)
        elif isinstance(kind, str):
            if key == "patient" and kind == "Patient" and value.get("id") not in (self.patient_id, None):
                raise OtherPatient
            if known and kind != PARTS[key]:
                self._withhold(key, f"came as {_safe_type(kind)}")
            elif known and key != "patient":
                self._withhold(key, "came as a single resource, not as a search result")
            self._resource(value)
        else:
            self._withhold(key, "came in a form that is no FHIR resource")

    def _withhold(self, key: str, reason: str) -> None:
        if key in PARTS:
            self.withheld[key] = reason

    def _bundle(self, key: str, bundle: dict[str, Any]) -> None:
        links = bundle.get("link")
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("relation") == "next":
                self._withhold(key, "came in part only (the search result has further pages)")
        entries = bundle.get("entry")
        if entries is None:
            return
        if not isinstance(entries, list):
            self._withhold(key, "came in a form that is no search result")
            return
        for entry in entries:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if not isinstance(resource, dict):
                self._withhold(key, "came with an entry that holds no resource")
                continue
            if resource.get("resourceType") == "OperationOutcome":
                self._withhold(key, "came with an error report of the server")
                continue
            url = entry.get("fullUrl")
            self._resource(resource, url if isinstance(url, str) else None)

    def _resource(self, raw: dict[str, Any], url: str | None = None, *, draft: bool = False, chosen: bool = False) -> None:
        kind = raw.get("resourceType")
        if not isinstance(kind, str):
            self.remarks.append("an entry without resourceType was ignored")
            return
        id = raw.get("id")
        name = f"{kind}/{id}" if isinstance(id, str) and _is_id(id) else f"{_safe_type(kind)} without id"
        if kind not in RESOURCES:
            if kind == "Medication" and isinstance(id, str):
                self.other[name] = raw
                if url:
                    self.other[url] = raw
            return
        if kind == "Patient":
            if id != self.patient_id and (url is None or url != f"urn:uuid:{self.patient_id}"):
                self.foreign += 1
                return
        elif not self._owned(raw, name, draft):
            return
        self.count += 1
        rows = self.found.setdefault(kind, {})
        # The same resource under two keys counts once; a resource without id cannot be told apart and counts as is.
        slot = name if isinstance(id, str) and not draft else f"{name}#{self.count}" if not draft else f"draft:{name}#{self.count}"
        rows.setdefault(slot, Resource(kind, raw, name, draft, chosen))

    def _owned(self, raw: dict[str, Any], name: str, draft: bool) -> bool:
        """Whether the resource is about context.patientId. Drafts without a subject belong to their context."""
        holder = raw.get("subject") or raw.get("patient")
        reference = holder.get("reference") if isinstance(holder, dict) else None
        if not isinstance(reference, str):
            if draft:
                return True
            self.unowned.append(name)
            return False
        if _points_to(reference, self.patient_id):
            return True
        self.foreign += 1
        return False

    def _drafts(self, bundle: Mapping[str, Any], selections: tuple[str, ...] | None) -> None:
        entries = bundle.get("entry")
        if entries is not None and not isinstance(entries, list):
            self.remarks.append("draftOrders.entry is no list; no draft order could be read")
            self.withheld["draftOrders"] = "could not be read"
            return
        chosen = None if selections is None else {s.strip() for s in selections}
        for entry in entries or []:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if not isinstance(resource, dict):
                self.remarks.append("a draft order without a resource was ignored")
                continue
            kind, id = resource.get("resourceType"), resource.get("id")
            url = entry.get("fullUrl")
            names = {f"{kind}/{id}", url}
            self._resource(resource, None, draft=True, chosen=chosen is None or bool(names & chosen))


def _points_to(reference: str, patient_id: str) -> bool:
    """Whether a reference, relative, absolute, versioned or urn:uuid, means Patient/{patient_id}."""
    plain = reference.split("/_history/")[0]
    return plain == f"urn:uuid:{patient_id}" or plain == f"Patient/{patient_id}" or plain.endswith(f"/Patient/{patient_id}")


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "-._:") for c in text)


def _safe_type(kind: str) -> str:
    return kind if kind.isascii() and kind.isalpha() and len(kind) < 40 else "an unknown resource"
