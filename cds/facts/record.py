"""The record of one request: every resource that was given, once, for this patient only, and which parts were supplied.

A part is one prefetch key. It is supplied when the client answered it, be it with null ("looked, there is nothing"); it
is withheld when the key is missing, holds an OperationOutcome or something that is no search result; it is incomplete
when the bundle has a next page or an entry that cannot be used. Only a supplied, complete part can prove absence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from cds.facts.reading import RESOURCES, Read, is_oversized, read_resource

_Made = TypeVar("_Made")

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
    "diagnosticReports": "DiagnosticReport",
    "allergies": "AllergyIntolerance",
    "procedures": "Procedure",
    "questionnaireResponses": "QuestionnaireResponse",
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
    "diagnosticReports": "reports of leg ultrasound",
    "allergies": "allergies",
    "procedures": "procedures and counselling",
    "questionnaireResponses": "answered questionnaires",
}

# Which parts must be complete before a kind of fact may be called absent. Answered questionnaires are in none: what
# they are read for is unknown anyway until somebody says it, and few clients hold any.
COVERAGE: dict[str, tuple[str, ...]] = {
    "person": ("patient",),
    "gestation": ("pregnancy", "conditions"),
    "lab": ("laboratory",),
    "vital": ("vitals",),
    "diet": ("nutrition",),
    "intake": ("nutrition", "medicationRequests", "medicationStatements"),
    "exposure": ("nutrition",),
    "symptom": ("symptoms", "conditions"),
    "imaging": ("diagnosticReports",),
    "condition": ("conditions",),
    "allergy": ("allergies", "conditions"),
    "procedure": ("procedures",),
    "request": ("serviceRequests",),
    "medication": ("medicationRequests", "medicationStatements"),
    "order": (),
    "data": (),
}
NOT_FETCHED = {
    "expired": "could not be fetched: the access that was given had expired",
    "failed": "could not be fetched from the FHIR server",
    "late": "could not be fetched in time",
    "limited": "came by an access that shows a part only",
    "no-scope": "could not be fetched: the access that was given does not cover this",
    "not-listed": "could not be fetched: this service may not ask that FHIR server",
    "refused": "could not be fetched: the FHIR server refused",
}
"""Why the service could not fetch a part itself; keys are what `gaps` of a request names."""
DRAFTS = "draftOrders"
_NO_RESOURCE = "came in a form that is no FHIR resource"


@dataclass(frozen=True)
class Resource:
    """One raw resource and where it came from; validated when a reader needs it."""

    type: str
    raw: dict[str, Any]
    name: str
    draft: bool = False
    selected: bool = False
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What readers worked out about this resource; it lives as long as the request."""
    tick: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
    """As the tick of the record, for work on one resource that goes on beyond a look."""

    @cached_property
    def read(self) -> Read:
        self.tick()
        return read_resource(self.raw, self.type, self.name, draft=self.draft)

    @property
    def was_read(self) -> bool:
        """Whether a reader asked for the content."""
        return "read" in self.__dict__


@dataclass(frozen=True)
class Record:
    """Everything that may be used about one patient, in an order that the request's order does not change.

    ``withheld`` maps a part to the reason it proves nothing; ``medications`` are the Medication resources by reference.
    """

    patient_id: str
    resources: Mapping[str, tuple[Resource, ...]]
    withheld: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    medications: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    tick: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
    """Called for each resource that a reader looks at; it may raise to stop a request that takes too long."""
    memo: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What readers worked out from all of it; it lives as long as the request, and a changed record starts anew."""

    def once(self, what: Hashable, make: Callable[[], _Made]) -> _Made:
        """What ``make`` gives, worked out once: dozens of facts ask for the medicines of the same record."""
        if what not in self.memo:
            self.memo[what] = make()
        return cast("_Made", self.memo[what])

    def of(self, *types: str, drafts: bool = False) -> Iterator[Resource]:
        for name in types:
            for resource in self.resources.get(name, ()):
                self.tick()
                if resource.draft == drafts:
                    yield resource

    def original(self, kind: str, name: str) -> dict[str, Any] | None:
        """The raw resource `Type/id` of the patient, to be repeated without loss; never to be written to.

        None unless there is exactly one, it has an id, is no draft, and was read without mending anything.
        """
        rows = [r for r in self.of(kind) if r.name == name and isinstance(r.raw.get("id"), str)]
        clean = len(rows) == 1 and rows[0].read.model is not None and not rows[0].read.remarks
        return rows[0].raw if clean else None

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
    gaps: Mapping[str, str] | None = None,
    tick: Callable[[], None] | None = None,
) -> Record:
    """Collect the usable resources of a request.

    ``drafts`` is context.draftOrders, ``selections`` the chosen references (None: all drafts are chosen, as in
    order-sign). ``gaps`` maps a part that the service tried to fetch itself to a key of NOT_FETCHED; such a part proves
    nothing even where something of it came. ``tick`` is called for each resource. Raises OtherPatient.
    """
    collector = _Collector(patient_id, tick or (lambda: None))
    collector.parts(prefetch or {}, gaps or {})
    if drafts is not None:
        collector.drafts(drafts, selections)
    return collector.record()


class _Collector:
    """Sorts what a request holds into usable resources, withheld parts and remarks."""

    def __init__(self, patient_id: str, tick: Callable[[], None]) -> None:
        self.patient_id = patient_id
        self.tick = tick
        self.found: dict[tuple[str, bool, str], Resource] = {}
        self.withheld: dict[str, str] = {}
        self.remarks: dict[str, None] = {}
        self.foreign: set[str] = set()
        self.medications: dict[str, dict[str, Any]] = {}

    def record(self) -> Record:
        if self.foreign:
            self.remarks[f"{len(self.foreign)} resource(s) of another patient were ignored"] = None
        kinds: dict[str, list[Resource]] = {}
        for slot in sorted(self.found):
            kinds.setdefault(slot[0], []).append(self.found[slot])
        resources = {kind: tuple(rows) for kind, rows in kinds.items()}
        remarks = tuple(sorted(self.remarks))
        return Record(self.patient_id, resources, self.withheld, remarks, self.medications, self.tick)

    # -- prefetch

    def parts(self, prefetch: Mapping[str, Any], gaps: Mapping[str, str]) -> None:
        for part in PARTS:
            if part in gaps:
                self._withhold(part, NOT_FETCHED[gaps[part]])
            elif part not in prefetch:
                self.withheld[part] = "was not supplied" if part == "patient" else "were not supplied"
        for key, value in prefetch.items():
            self._part(key, value)

    def _part(self, key: str, value: Any) -> None:
        if value is None:
            if key == "patient":
                self._withhold(key, "was not found by the client")
            return
        kind = value.get("resourceType") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            self._withhold(key, _NO_RESOURCE)
        elif kind == "OperationOutcome":
            self._withhold(key, "could not be fetched by the client")
        elif kind == "Bundle":
            self._bundle(key, value)
        else:
            self._single(key, kind, value)

    def _single(self, key: str, kind: str, resource: dict[str, Any]) -> None:
        """A resource where a search result should be is used, but it does not say that there is no other."""
        if key == "patient" and kind == "Patient" and resource.get("id") not in (self.patient_id, None):
            raise OtherPatient
        if kind != PARTS.get(key):
            self._withhold(key, f"came as {_safe_type(kind)}")
        elif key != "patient":
            self._withhold(key, "came as a single resource, not as a search result")
        self._resource(key, resource)

    def _withhold(self, key: str, reason: str) -> None:
        """Of several reasons one is kept, the same in whatever order they came."""
        if key in PARTS or key == DRAFTS:
            self.withheld[key] = min(reason, self.withheld.get(key, reason))

    def _bundle(self, key: str, bundle: dict[str, Any]) -> None:
        if key == "patient":
            self._withhold(key, "came as a search result")
        entries = bundle.get("entry", [])
        if entries is None:
            entries = []
        if not isinstance(entries, list):
            self._withhold(key, "came in a form that is no search result")
            return
        links = bundle.get("link")
        relations = (
            [link.get("relation") for link in links if isinstance(link, dict)] if isinstance(links, list) else []
        )
        total = bundle.get("total")
        if "next" in relations or (isinstance(total, int) and total > len(entries)):
            self._withhold(key, "came in part only (the search result has further pages)")
        kinds = {self._entry(key, entry) for entry in entries}
        if kinds and PARTS.get(key) not in kinds:
            self._withhold(key, "came without any resource of the type that was asked for")

    def _entry(self, key: str, entry: Any) -> str | None:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(resource, dict) or not isinstance(kind, str) or kind == "Bundle":
            self._withhold(key, "came with an entry that holds no resource")
            return None
        if kind == "OperationOutcome":
            self._withhold(key, "came with an error report of the server")
        else:
            self._resource(key, resource, entry.get("fullUrl"))
        return kind

    # -- drafts

    def drafts(self, bundle: Mapping[str, Any], selections: tuple[str, ...] | None) -> None:
        entries = bundle.get("entry")
        if entries is not None and not isinstance(entries, list):
            self.remarks["draftOrders.entry is no list; no draft order could be read"] = None
            self._withhold(DRAFTS, "could not be read")
            return
        wanted = None if selections is None else {s.strip() for s in selections}
        met: set[str] = set()
        for entry in entries or []:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                self.remarks["a draft order without a resource was ignored"] = None
                self._withhold(DRAFTS, "came with an entry that holds no resource")
                continue
            names = _draft_names(resource, entry.get("fullUrl"))
            chosen = names & wanted if wanted is not None else names
            met |= chosen
            self._resource(DRAFTS, resource, entry.get("fullUrl"), chosen=wanted is None or bool(chosen))
        if wanted is not None and wanted - met:
            self.remarks["a selection names no draft order of the request"] = None

    # -- resources

    def _resource(self, key: str, raw: dict[str, Any], url: Any = None, *, chosen: bool = False) -> None:
        self.tick()
        draft = key == DRAFTS
        kind, id = str(raw["resourceType"]), raw.get("id")
        if kind == "Medication":
            self._medication(raw, url)
        if kind not in RESOURCES:
            return
        named = isinstance(id, str) and _is_id(id)
        name = f"{kind}/{id}" if named else f"{kind} without id"
        if is_oversized(raw):
            self.remarks[f"{name}: is larger than any real resource and was not read"] = None
            self._withhold(key, "came with a resource too large to be read")
            return
        if not self._is_hers(key, kind, raw, name, url):
            return
        resource = Resource(kind, raw, name, draft, chosen, tick=self.tick)
        # The same resource under two keys counts once; one without an id, and a draft, once for each content.
        slot = (kind, draft, name if named and not draft else f"{name} {_canonical(raw)}")
        other = self.found.get(slot)
        if other is None:
            self.found[slot] = resource
        elif other.raw == raw:
            return
        elif _version(other.raw) == _version(raw):
            # Nothing says which one holds: both do, and the newest date decides as it does between two resources.
            self.remarks[f"{name}: came twice with different content; both were used"] = None
            self.found[(kind, draft, f"{name} {_canonical(raw)}")] = resource
        else:
            self.remarks[f"{name}: came in two versions; the later one was used"] = None
            self.found[slot] = max(resource, other, key=lambda r: _version(r.raw))

    def _medication(self, raw: dict[str, Any], url: Any) -> None:
        if isinstance(raw.get("id"), str):
            self.medications[f"Medication/{raw['id']}"] = raw
        if isinstance(url, str):
            self.medications[url] = raw

    def _is_hers(self, key: str, kind: str, raw: dict[str, Any], name: str, url: Any) -> bool:
        """Whether the resource is about context.patientId. Drafts without a subject belong to their context."""
        if kind == "Patient":
            id = raw.get("id")
            if id == self.patient_id or (id is None and url == f"urn:uuid:{self.patient_id}"):
                return True
            if id is None:
                self.remarks["the Patient resource has no id and was ignored"] = None
                self._withhold(key, "came without an id")
            else:
                self.foreign.add(_canonical(raw))
            return False
        holder = raw.get("subject") or raw.get("patient")
        reference = holder.get("reference") if isinstance(holder, dict) else None
        if not isinstance(reference, str):
            if key != DRAFTS:
                self.remarks[f"{name}: names no patient and was ignored"] = None
                self._withhold(key, "came with an entry that names no patient")
            return key == DRAFTS
        if _points_to(reference, self.patient_id):
            return True
        self.foreign.add(_canonical(raw))
        return False


def _draft_names(resource: dict[str, Any], url: Any) -> set[str]:
    """Every way in which a selection may name a draft."""
    names = {url} if isinstance(url, str) else set()
    if isinstance(resource.get("id"), str):
        names |= {resource["id"], f"{resource['resourceType']}/{resource['id']}"}
    return names


def _canonical(raw: dict[str, Any]) -> str:
    return json.dumps(raw, sort_keys=True, default=str)


def _version(raw: dict[str, Any]) -> tuple[str, str]:
    meta = raw.get("meta")
    rows = [meta.get(name) for name in ("lastUpdated", "versionId")] if isinstance(meta, dict) else ["", ""]
    updated, version = (row if isinstance(row, str) else "" for row in rows)
    return updated, version.rjust(20, "0")


def _points_to(reference: str, patient_id: str) -> bool:
    """Whether a reference, relative, absolute, versioned or urn:uuid, means Patient/{patient_id}."""
    plain = reference.split("/_history/")[0]
    relative = f"Patient/{patient_id}"
    return plain in (relative, f"urn:uuid:{patient_id}") or plain.endswith(f"/{relative}")


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "-._:") for c in text)


def _safe_type(kind: str) -> str:
    return kind if kind.isascii() and kind.isalpha() and len(kind) < 40 else "an unknown resource"
