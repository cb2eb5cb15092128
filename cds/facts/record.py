"""The record of one request: every resource that was given, once, for this patient only, and which parts were supplied.

A part is one prefetch key. It is supplied when the client answered it, be it with null ("looked, there is nothing"). It
is withheld when the key is missing, holds an OperationOutcome or something that is no search result. It is incomplete
when the bundle has a next page, an entry that cannot be used, or a word of the server that something was held back.
Only a supplied, complete part can prove absence.

Whose data it is: a reference that means Patient/{context.patientId} is hers. Anyone else's is ignored and counted.
Where that cannot be told (no reference, her id on another FHIR server) it is ignored too, but its part proves nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, TypeVar, cast

from cds.facts.dates import moment
from cds.facts.reading import RESOURCES, Read, is_known, is_oversized, read_resource

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
_NO_ENTRY = "came with an entry that holds no resource"
_NO_SEARCH = "came in a form that is no search result"
_MORE_PAGES = "came in part only (the search result has further pages)"
_LEFT_OUT = "came with a resource whose elements were left out in part"
_ANYWHERE = "*"  # in the name of a Medication that came without saying from which server
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,39}")
_URL = re.compile(r"https?://", re.IGNORECASE)
_VERSION = re.compile(r"/_history/[^/]*$")
# Nearly every searchset of some EHRs holds a word of the server ("no results", "may not be the entire record"), a
# warning or less: what was asked for came. These codes say at any severity that something did not
# (http://hl7.org/fhir/R4/valueset-issue-type.html); a severity that nobody can read is taken for an error.
_HARMLESS = frozenset({"information", "warning"})
_HELD_BACK = frozenset({
    "exception", "expired", "forbidden", "incomplete", "lock-error", "login", "no-store", "security", "suppressed",
    "throttled", "timeout", "too-costly", "too-long", "transient", "unknown",
})  # fmt: skip
# Labels of a resource whose elements were left out or blanked: the rest of it may say the opposite, as a diagnosis
# without its abatement does (http://terminology.hl7.org/CodeSystem/v3-ObservationValue).
_CUT = frozenset({"ABSTRED", "AGGRED", "MASKED", "REDACTED", "SUBSETTED"})
_BESIDE = ("include", "outcome")
_PEOPLE = frozenset({"Patient", "RelatedPerson", "Group", "Person"})


@dataclass(frozen=True)
class Resource:
    """One raw resource and where it came from; validated when a reader needs it."""

    type: str
    raw: dict[str, Any]
    name: str
    draft: bool = False
    selected: bool = False
    about_another: bool = False
    """In her record, but its focus is another person, as a newborn."""
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
    server: tuple[str, str] | None = None
    tick: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)
    """Called for each resource that a reader looks at; it may raise to stop a request that takes too long."""
    memo: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What readers worked out from all of it; it lives as long as the request, and a changed record starts anew."""

    def once(self, what: Hashable, make: Callable[[], _Made]) -> _Made:
        """What ``make`` gives, worked out once: dozens of facts ask for the medicines of the same record."""
        if what not in self.memo:
            self.memo[what] = make()
        return cast("_Made", self.memo[what])

    def of(self, *types: str, drafts: bool = False, about_another: bool = False) -> Iterator[Resource]:
        """Her resources; or those in her record whose focus is another person, which only a remark may name."""
        for name in types:
            for resource in self.resources.get(name, ()):
                self.tick()
                if (resource.draft, resource.about_another) == (drafts, about_another):
                    yield resource

    def original(self, kind: str, name: str) -> dict[str, Any] | None:
        """The raw resource `Type/id` of the patient, to be repeated without loss; never to be written to.

        None unless there is exactly one, it has an id, is no draft, and was read without mending anything.
        """
        rows = [r for r in self.of(kind) if r.name == name and isinstance(r.raw.get("id"), str)]
        clean = len(rows) == 1 and rows[0].read.model is not None and not rows[0].read.remarks
        return rows[0].raw if clean else None

    def medication(self, reference: str) -> dict[str, Any]:
        """The Medication that a reference means, empty when it did not come.

        The same id on another server may be another product: an absolute reference means one of that server only.
        """
        plain = _place(_VERSION.sub("", reference))
        base, _, id = plain.rpartition("/Medication/")
        names = [plain]
        if base:
            known = None if self.server is None else "/".join(self.server).rstrip("/")
            names += [f"Medication/{id}"] if base == known else []
            names += [f"{_ANYWHERE}/Medication/{id}"] if known is None else []
        return next((self.medications[name] for name in names if name in self.medications), {})

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
    server: str | None = None,
) -> Record:
    """Collect the usable resources of a request.

    ``drafts`` is context.draftOrders, ``selections`` the chosen references (None: all drafts are chosen, as in
    order-sign). ``gaps`` maps a part that the service tried to fetch itself to a key of NOT_FETCHED; such a part proves
    nothing even where something of it came. ``tick`` is called for each resource. ``server`` is the base URL of the
    FHIR server that knows the patient by this id; an absolute reference to the id elsewhere is not hers.
    Raises OtherPatient.
    """
    collector = _Collector(patient_id, tick or (lambda: None), server)
    collector.urns(prefetch or {}, drafts or {})
    collector.parts(prefetch or {}, gaps or {})
    if drafts is not None:
        collector.drafts(drafts, selections)
    return collector.record()


class _Collector:
    """Sorts what a request holds into usable resources, withheld parts and remarks."""

    def __init__(self, patient_id: str, tick: Callable[[], None], server: str | None) -> None:
        self.patient_id = patient_id
        self.tick = tick
        self.server = _base(server) if server else None
        self.her_urns = {f"urn:uuid:{patient_id}"}
        self.found: dict[tuple[str, bool, str], dict[str, Resource]] = {}
        self.withheld: dict[str, str] = {}
        self.remarks: dict[str, None] = {}
        self.foreign: set[str] = set()
        self.medications: dict[str, dict[str, dict[str, Any]]] = {}

    def record(self) -> Record:
        if self.foreign:
            self.remarks[f"{len(self.foreign)} resource(s) of another patient were ignored"] = None
        kinds: dict[str, list[Resource]] = {}
        for slot in sorted(self.found):
            kinds.setdefault(slot[0], []).extend(self._standing(list(self.found[slot].values())))
        resources = {kind: tuple(rows) for kind, rows in kinds.items()}
        medications = {name: row for name, rows in self.medications.items() if (row := _newest_medication(rows))}
        remarks = tuple(sorted(self.remarks))
        return Record(self.patient_id, resources, self.withheld, remarks, medications, self.server, self.tick)

    def _standing(self, copies: list[Resource]) -> list[Resource]:
        """Of several versions of one resource the latest. Where nothing says which of two holds, both do, and the
        newest date decides as it does between two resources.
        """
        if len(copies) == 1:
            return copies
        latest = max(_version(copy.raw) for copy in copies)
        rows = sorted((copy for copy in copies if _version(copy.raw) == latest), key=lambda copy: _canonical(copy.raw))
        if len(rows) > 1:
            self.remarks[f"{rows[0].name}: came twice with different content; both were used"] = None
        else:
            self.remarks[f"{rows[0].name}: came in two versions; the later one was used"] = None
        return rows

    def urns(self, *givers: Mapping[str, Any]) -> None:
        """Inside a Bundle references may name her by the urn of her Patient's entry."""
        bundles = [value for giver in givers for value in (giver, *giver.values()) if isinstance(value, Mapping)]
        lists = [rows for bundle in bundles if isinstance(rows := bundle.get("entry"), list)]
        for entry in (entry for rows in lists for entry in rows):
            resource = _resource_of(entry) or {}
            url = entry.get("fullUrl") if resource else None
            named = (resource.get("resourceType"), resource.get("id")) == ("Patient", self.patient_id)
            if named and isinstance(url, str) and url.startswith("urn:"):
                self.her_urns.add(url)

    # -- prefetch

    def parts(self, prefetch: Mapping[str, Any], gaps: Mapping[str, str]) -> None:
        for part in PARTS:
            if part in gaps:
                self._withhold(part, NOT_FETCHED[gaps[part]])
            elif part not in prefetch:
                self.withheld[part] = "was not supplied" if part == "patient" else "were not supplied"
        for key, value in prefetch.items():
            # A client's own key may be any text; it must not pass for the draft orders of the context.
            self._part(key if key in PARTS else "", value)

    def _part(self, key: str, value: Any) -> None:
        if value is None:
            if key == "patient":
                self._withhold(key, "was not found by the client")
            return
        kind = _type(value)
        if kind is None:
            self._withhold(key, _NO_RESOURCE if not isinstance(value, dict) else _came_as(value))
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
            self._withhold(key, f"came as {kind}")
        elif key != "patient":
            self._withhold(key, "came as a single resource, not as a search result")
        self._resource(key, resource)

    def _withhold(self, key: str, reason: str) -> None:
        """Of several reasons one is kept, the same in whatever order they came."""
        if key in PARTS or key == DRAFTS:
            self.withheld[key] = min(reason, self.withheld.get(key, reason))

    def _bundle(self, key: str, bundle: dict[str, Any]) -> None:
        entries = bundle.get("entry", [])
        if entries is None:
            entries = []
        kind = bundle.get("type", "searchset")
        if key == "patient":
            self._withhold(key, "came as a search result")
        elif kind != "searchset" or not isinstance(entries, list):
            self._withhold(key, _NO_SEARCH)
        if not isinstance(entries, list) or kind == "history":
            return  # a history holds what was replaced and deleted since
        if key == "patient":
            self._one_patient(entries)
        if _has_more(bundle, entries):
            self._withhold(key, _MORE_PAGES)
        if _is_cut(bundle):
            self._withhold(key, _LEFT_OUT)
        kinds = {self._entry(key, entry) for entry in entries} - {"OperationOutcome"}
        if kinds and PARTS.get(key) not in kinds:
            self._withhold(key, "came without any resource of the type that was asked for")

    def _one_patient(self, entries: list[Any]) -> None:
        """A search for her that found only others is as wrong as another person in her place."""
        rows = [row for entry in entries if (row := _resource_of(entry)) is not None]
        ids = [row.get("id") for row in rows if row["resourceType"] == "Patient"]
        if ids and None not in ids and self.patient_id not in ids:
            raise OtherPatient

    def _entry(self, key: str, entry: Any) -> str | None:
        resource = _resource_of(entry)
        kind = resource["resourceType"] if resource is not None else None
        if resource is None or kind == "Bundle":
            self._withhold(key, _NO_ENTRY)
            return None
        if kind == "OperationOutcome":
            if _failed(resource):
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
        if _has_more(bundle, entries or []):
            self._withhold(DRAFTS, _MORE_PAGES)
        wanted = None if selections is None else {s.strip() for s in selections}
        if wanted and not any(wanted & names for names in map(_names_in, entries or [])):
            # Something was selected, and which order it was cannot be told: no order may pass unseen.
            self.remarks["a selection names no draft order of the request"] = None
            wanted = None
        met: set[str] = set()
        for entry in entries or []:
            resource = _resource_of(entry)
            if resource is None or (resource["resourceType"] == "OperationOutcome" and _failed(resource)):
                self.remarks["a draft order without a resource was ignored"] = None
                self._withhold(DRAFTS, _NO_ENTRY)
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
        named = isinstance(id, str) and _is_id(id)
        name = f"{kind}/{id}" if named else f"{kind} without id"
        if kind not in (*RESOURCES, "Medication"):
            if draft and not is_known(kind):  # a MedicationOrder of DSTU2 may order what is asked about
                self.remarks[f"{name}: cannot be read as FHIR R4 and was left out"] = None
                self._withhold(key, _NO_ENTRY)
            return
        if is_oversized(raw):
            self.remarks[f"{name}: is larger than any real resource and was not read"] = None
            self._withhold(key, "came with a resource too large to be read")
            return
        if kind == "Medication":
            self._medication(raw, url)
            return
        if not self._is_hers(key, kind, raw, name, url):
            return
        if _is_cut(raw):
            # Who she is may be said in part; anything else of which a part is missing may mean something else.
            self._withhold(key, _LEFT_OUT)
            if kind != "Patient":
                self.remarks[f"{name}: came with elements left out and was not used"] = None
                return
        resource = Resource(kind, raw, name, draft, chosen, self._is_about_another(raw), tick=self.tick)
        # The same resource under two keys counts once; one without an id, and a draft, once for each content.
        slot = (kind, draft, name if named and not draft else f"{name} {_canonical(raw)}")
        copies = self.found.setdefault(slot, {})
        if not copies:
            copies[""] = resource  # most resources come once: their content is not worked out
            return
        if first := copies.pop("", None):
            copies[_canonical(first.raw)] = first
        content = _canonical(raw)
        if chosen or content not in copies:
            copies[content] = resource

    def _medication(self, raw: dict[str, Any], url: Any) -> None:
        home = _base(url.rpartition("/Medication/")[0]) if _kind_of(url) == "Medication" else None
        names = [_place(url)] if isinstance(url, str) else []
        if isinstance(raw.get("id"), str) and (home is None or self.server in (None, home)):
            names.append(f"Medication/{raw['id']}")
            if home is None:
                names.append(f"{_ANYWHERE}/Medication/{raw['id']}")
        for name in names:
            self.medications.setdefault(name, {})[_canonical(raw)] = raw

    def _is_hers(self, key: str, kind: str, raw: dict[str, Any], name: str, url: Any) -> bool:
        """Whether the resource is about context.patientId. Drafts without a subject belong to their context."""
        if kind == "Patient":
            id = raw.get("id")
            if id == self.patient_id or (id is None and isinstance(url, str) and url in self.her_urns):
                return True
            if id is None:
                self.remarks["the Patient resource has no id and was ignored"] = None
                self._withhold(key, "came without an id")
            else:
                self.foreign.add(_canonical(raw))
            return False
        holders = [raw[element] for element in ("subject", "patient") if raw.get(element)]
        answers = [self._whose(holder, url) for holder in holders]
        if "another's" in answers:
            self.foreign.add(_canonical(raw))
            return False
        if "elsewhere" in answers:
            self.remarks[f"{name}: names a patient of another FHIR server and was ignored"] = None
            self._withhold(key, "came with an entry about a patient of another FHIR server")
            return False
        if "hers" in answers or key == DRAFTS:
            return True
        self.remarks[f"{name}: names no patient and was ignored"] = None
        self._withhold(key, "came with an entry that names no patient")
        return False

    def _whose(self, holder: Any, url: Any) -> Literal["hers", "another's", "elsewhere", "unnamed"]:
        """Whom a reference, relative, absolute, versioned or urn:uuid, means. ``url`` is the entry's own."""
        reference = holder.get("reference") if isinstance(holder, dict) else None
        if not isinstance(reference, str) or reference.startswith("Patient?"):
            return "unnamed"
        if holder.get("type", "Patient") != "Patient":
            return "another's"  # type and reference must agree; a Group of her name is not she
        plain = _VERSION.sub("", reference)
        relative = f"Patient/{self.patient_id}"
        if plain == relative or plain in self.her_urns:
            return "hers"
        if not _URL.match(plain) or not plain.endswith(f"/{relative}"):
            return "another's"
        known = self.server or (_base(url.rpartition(f"/{_kind_of(url)}/")[0]) if _kind_of(url) else None)
        return "hers" if known in (None, _base(plain.removesuffix(relative))) else "elsewhere"

    def _is_about_another(self, raw: dict[str, Any]) -> bool:
        """Whether the focus is another person: what is measured on a newborn or a partner is not hers."""
        focus = raw.get("focus")
        rows = [row for row in focus if isinstance(row, dict)] if isinstance(focus, list) else []
        people = [row for row in rows if _names_person(row)]
        return any(self._whose(row, None) != "hers" for row in people)


def _names_person(reference: dict[str, Any]) -> bool:
    """Whether a reference of any target means a person rather than an organ, a device or an event."""
    text = reference.get("reference")
    plain = _VERSION.sub("", text) if isinstance(text, str) else ""
    parts = plain.split("/")
    named = len(parts) > 1 and parts[-2] in _PEOPLE
    return named or plain.startswith("urn:") or reference.get("type") in _PEOPLE


def _type(value: Any) -> str | None:
    """The type of a resource; None where it is none or its type no name of FHIR, which tells upper from lower case."""
    kind = value.get("resourceType") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and _TYPE.fullmatch(kind) else None


def _resource_of(entry: Any) -> dict[str, Any] | None:
    """The resource of a Bundle's entry, None where there is none."""
    resource = entry.get("resource") if isinstance(entry, dict) else None
    return resource if _type(resource) is not None else None


def _came_as(value: dict[str, Any]) -> str:
    return "came as an unknown resource" if isinstance(value.get("resourceType"), str) else _NO_RESOURCE


def _has_more(bundle: Mapping[str, Any], entries: list[Any]) -> bool:
    """Whether a search result says that there is more of it than came: a next page, or a larger total.

    The total counts the matches, not what was included with them; one match that came twice is one.
    """
    links = bundle.get("link") or []
    rows = links if isinstance(links, list) else [links]
    if any(isinstance(row, dict) and str(row.get("relation")).strip().lower() == "next" for row in rows):
        return True
    total = bundle.get("total")
    if total is None:
        return False
    return isinstance(total, bool) or not isinstance(total, (int, Decimal)) or not 0 <= total <= len(_matches(entries))


def _matches(entries: list[Any]) -> set[str]:
    found = set()
    for number, entry in enumerate(entries):
        resource = _resource_of(entry)
        search = entry.get("search") if resource is not None else None
        mode = search.get("mode") if isinstance(search, dict) else None
        if resource is not None and resource["resourceType"] != "OperationOutcome" and mode not in _BESIDE:
            id = resource.get("id")
            found.add(f"{resource['resourceType']}/{id}" if isinstance(id, str) else str(number))
    return found


def _failed(outcome: dict[str, Any]) -> bool:
    """Whether an OperationOutcome says that something failed or was held back; one that says nothing does."""
    issues = outcome.get("issue")
    rows = issues if isinstance(issues, list) and issues else [None]
    return not all(
        isinstance(row, dict) and row.get("severity") in _HARMLESS and row.get("code") not in _HELD_BACK for row in rows
    )


def _is_cut(raw: Mapping[str, Any]) -> bool:
    """Whether a resource is labelled as sent without some of its elements."""
    meta = raw.get("meta")
    labels = [meta.get(name) for name in ("tag", "security")] if isinstance(meta, dict) else []
    rows = [row for label in labels for row in (label if isinstance(label, list) else [label])]
    return any(isinstance(row, dict) and row.get("code") in _CUT for row in rows)


def _newest_medication(copies: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The latest version; None where two say different things, for then nobody knows what the medicine is."""
    latest = max(map(_version, copies.values()))
    rows = [row for row in copies.values() if _version(row) == latest]
    return rows[0] if len(rows) == 1 else None


def _names_in(entry: Any) -> set[str]:
    resource = _resource_of(entry)
    return set() if resource is None else _draft_names(resource, entry.get("fullUrl"))


def _draft_names(resource: dict[str, Any], url: Any) -> set[str]:
    """Every way in which a selection may name a draft."""
    names = {url} if isinstance(url, str) else set()
    if isinstance(resource.get("id"), str):
        names |= {resource["id"], f"{resource['resourceType']}/{resource['id']}"}
    return names


def _canonical(raw: dict[str, Any]) -> str:
    return json.dumps(raw, sort_keys=True, default=float)


def _version(raw: dict[str, Any]) -> tuple[datetime, str]:
    meta = raw.get("meta")
    updated, version = [meta.get(name) for name in ("lastUpdated", "versionId")] if isinstance(meta, dict) else ("", "")
    when = moment(updated, UTC)
    return (
        when.order(UTC) if when else datetime.min.replace(tzinfo=UTC),
        version.rjust(20, "0") if isinstance(version, str) else "",
    )


def _base(url: str) -> tuple[str, str]:
    """Host and path of a server. Not the scheme: behind a proxy one server is both http and https."""
    host, _, path = _URL.sub("", url).rstrip("/").partition("/")
    return host.lower().removesuffix(":443").removesuffix(":80"), path


def _place(url: str) -> str:
    """An absolute URL as host and path, which one server has in several spellings; any other reference as it is."""
    return "/".join(_base(url)).rstrip("/") if _URL.match(url) else url


def _kind_of(url: Any) -> str:
    """The resource type in an entry's fullUrl of the form https://server/Type/id, else empty."""
    parts = url.split("/") if isinstance(url, str) and _URL.match(url) else []
    return parts[-2] if len(parts) > 4 and _TYPE.fullmatch(parts[-2]) else ""


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "-._:") for c in text)
