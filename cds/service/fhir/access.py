"""What prefetch lacks, fetched from the FHIR server of the call with the access that the client lends.

prefetch + templates -> what is missing -> may we? (patient, scope, expiry, list) -> fetch in parallel, until the
deadline -> fuller prefetch, and a reason for each part that did not come

The token lives as long as `FhirAccess.complete` runs: the request that it returns has none. Answers of the FHIR server
are as untrusted as a request: bounded, strictly parsed, checked for type and id, never repeated in an error or the log.
Source: https://cds-hooks.hl7.org/2.0/#fhir-resource-access
"""

from __future__ import annotations

import asyncio
import re
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpcore

from cds.hooks import FhirAuthorization, HookRequest
from cds.service.answers import Refusal
from cds.service.fhir.network import BaseUrl, NotAllowed, Pinned, checked, listed, look_up
from cds.service.fhir.scopes import Grant, Interaction, Reach, reach, read_scopes
from cds.service.json_input import InvalidJson, parse_json
from cds.service.settings import Settings

MEDICATIONS: Final = "org.prenatal-cds.medications"
"""Where fetched Medication resources go: a key of its own, because beside the requests that refer to them they would
count as rows of that search, and hide that it came in part."""

_MAX_MEDICATIONS: Final = 20
_LONG: Final = 100_000  # bytes; some 10 ms of parsing
_TOKEN: Final = re.compile(r"\{\{(.*?)\}\}")
_MEDICATION: Final = re.compile(r"Medication/[A-Za-z0-9\-.]{1,64}")
_PATIENT: Final = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?")
_ORDERS: Final = ("MedicationRequest", "MedicationStatement")

LookUp = Callable[[str, int], Awaitable[list[str]]]
Json = dict[str, Any]


class _Failure(Exception):
    """Why something did not come: a key of `cds.facts.record.NOT_FETCHED`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Found:
    """A request with all that could be had, and without its token.

    ``gaps`` maps each part that was to be fetched and did not come whole to a key of `cds.facts.record.NOT_FETCHED`;
    ``fetched`` counts the parts of which something came.
    """

    request: HookRequest
    gaps: Mapping[str, str] = field(default_factory=dict)
    fetched: int | None = None


@dataclass(frozen=True)
class _Query:
    """One part to fetch: a read of `Type/id`, or a search that goes on from a first target."""

    kind: str
    target: str
    id: str | None = None
    so_far: Json | None = None


class FhirAccess:
    """Completes requests; holds settings only, nothing of any call. ``look_up`` finds the addresses of a host."""

    def __init__(self, settings: Settings, look_up: LookUp = look_up) -> None:
        self._settings = settings
        self._look_up = look_up
        self._tls = ssl.create_default_context(cafile=settings.fhir_ca_file)

    async def complete(
        self, request: HookRequest, templates: Mapping[str, str], servers: tuple[str, ...] | None = None
    ) -> Found:
        """Fetch what ``templates`` (prefetch key -> template) ask for and the request does not hold.

        ``servers`` are the FHIR servers of this client; None: those of the settings. Raises Refusal (400) when the
        access is for another patient.
        """
        access = request.fhir_authorization
        plain = request.model_copy(update={"fhir_authorization": None})
        if access is None or request.fhir_server is None:
            return Found(plain)
        if access.patient not in (None, request.context.patient_id):
            raise Refusal(
                400,
                "conflict",
                "fhirAuthorization.patient is another patient than context.patientId; lend access to one patient only.",
            )
        given = request.prefetch or {}
        missing = dict(_missing(plain, templates, self._settings.fhir_page_size))
        pages = [key for key in templates if _next_of(given.get(key)) is not None]
        base = listed(self._settings.fhir_servers if servers is None else servers, request.fhir_server)
        if not missing and not pages and not _medications(plain, given, base):
            return Found(plain)
        if base is None:
            return Found(plain, dict.fromkeys([*missing, *pages], "not-listed"), 0)
        for key in pages:
            target = base.target_of(str(_next_of(given[key])))
            # A next link to anywhere else is not followed; the part stays what it is, the beginning of a list.
            if target is not None:
                missing[key] = _Query(templates[key].partition("?")[0], target, so_far=given[key])
        call = _Call(self._settings, base, access, plain.context.patient_id)
        await call.run(plain, missing, self._look_up, self._tls)
        return Found(plain.model_copy(update={"prefetch": {**given, **call.found} or None}), call.gaps, call.parts)


class _Call:
    """The fetches of one hook call: what came (`found`), what did not (`gaps`)."""

    def __init__(self, settings: Settings, base: BaseUrl, access: FhirAuthorization, patient_id: str) -> None:
        self._settings = settings
        self._base = base
        self._access = access
        self._patient_id = patient_id
        self._grants: tuple[Grant, ...] = read_scopes(access.scope)
        self._room = settings.fhir_max_bytes
        # A lifetime that is not told is taken as one that outlasts these seconds; the server refuses if it does not.
        lifetime = settings.fhir_timeout_seconds if access.expires_in is None else access.expires_in
        self._seconds = min(settings.fhir_timeout_seconds, lifetime)
        self._pool: httpcore.AsyncConnectionPool
        self.found: Json = {}
        self.gaps: dict[str, str] = {}

    @property
    def parts(self) -> int:
        return len(self.found.keys() - {MEDICATIONS})

    async def run(self, request: HookRequest, queries: Mapping[str, _Query], look_up: LookUp, tls: Any) -> None:
        """Fetch until all is there or the time is up. Connections close at the end, idle or not."""
        if self._seconds <= 0:
            self.gaps = dict.fromkeys(queries, "expired")
            return
        allowed = {key: query for key, query in queries.items() if self._reach(query) is not Reach.NONE}
        self.gaps = dict.fromkeys(queries.keys() - allowed.keys(), "no-scope")
        if not allowed and not self._medications(request):
            return
        unfinished = dict.fromkeys(allowed, "late")
        try:
            async with asyncio.timeout(self._seconds):
                addresses = await self._addresses(look_up)
                async with httpcore.AsyncConnectionPool(
                    ssl_context=tls,
                    max_connections=self._settings.fhir_connections,
                    retries=1,
                    network_backend=Pinned(self._base, addresses),
                ) as self._pool:
                    async with asyncio.TaskGroup() as group:
                        for key, query in allowed.items():
                            group.create_task(self._part(key, query, unfinished))
                    async with asyncio.TaskGroup() as group:
                        for name in self._medications(request):
                            group.create_task(self._medication(name))
        except TimeoutError:
            pass
        except _Failure as failure:
            unfinished = dict.fromkeys(allowed, failure.reason)
        self.gaps |= unfinished
        for key, query in allowed.items():
            if key not in self.gaps and self._reach(query) is Reach.PART:
                self.gaps[key] = "limited"

    def _reach(self, query: _Query) -> Reach:
        # That the token could read the patient proves as much as the client's word that it is for her.
        is_hers = self._access.patient is not None or "patient" in self.found
        interaction: Interaction = "search" if query.id is None else "read"
        return reach(self._grants, query.kind, interaction, token_is_hers=is_hers)

    async def _addresses(self, look_up: LookUp) -> tuple[str, ...]:
        try:
            literal = self._base.literal
            found = [str(literal)] if literal else await look_up(self._base.host, self._base.port)
            return checked(self._base, found, self._settings.fhir_networks)
        except NotAllowed:
            raise _Failure("not-listed") from None
        except (OSError, ValueError):
            raise _Failure("failed") from None

    async def _part(self, key: str, query: _Query, unfinished: dict[str, str]) -> None:
        try:
            if query.id is not None:
                self.found[key] = await self._read(query.kind, query.id)
            else:
                await self._search(key, query)
        except _Failure as failure:
            unfinished[key] = failure.reason
        else:
            del unfinished[key]

    def _medications(self, request: HookRequest) -> list[str]:
        if self._reach(_Query("Medication", "", id="")) is Reach.NONE:
            return []
        return _medications(request, {**(request.prefetch or {}), **self.found}, self._base)

    async def _medication(self, name: str) -> None:
        """A product that an order refers to; without it the order stays one of an unknown product."""
        try:
            medication = await self._read(*name.split("/"))
        except _Failure:
            return
        bundle = self.found.setdefault(MEDICATIONS, {"resourceType": "Bundle", "type": "collection", "entry": []})
        bundle["entry"].append({"resource": medication})

    async def _read(self, kind: str, id: str) -> Json:
        resource = await self._get(f"{self._base.path}/{kind}/{id}")
        if resource.get("resourceType") != kind or resource.get("id") != id:
            raise _Failure("failed")
        return resource

    async def _search(self, key: str, query: _Query) -> None:
        """All pages; what came before a failure stays. A last page with a next link says by itself that it is none."""
        target: str | None = query.target if query.so_far else f"{self._base.path}/{query.target}"
        so_far, seen = query.so_far, set[str]()
        while target is not None and target not in seen and len(seen) < self._settings.fhir_max_pages:
            seen.add(target)
            sent = await self._get(target)
            page = _searchset(sent, self._patient_id)
            so_far = self.found[key] = _joined(so_far, page)
            url = _next_of(page)
            target = None if url is None else self._base.target_of(url)
            if url is None and "total" not in sent and len(_rows(sent)) >= self._settings.fhir_page_size:
                # As many rows as asked for, no word of more, no word of all: it may have been cut.
                raise _Failure("limited")

    async def _get(self, target: str) -> Json:
        base = self._base
        url = httpcore.URL(scheme=base.scheme, host=base.host, port=base.port, target=target)
        headers = [
            ("Host", base.authority),
            ("Authorization", f"Bearer {self._access.access_token.get_secret_value()}"),
            ("Accept", "application/fhir+json"),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", "prenatal-cds"),
        ]
        # A third, so that the one retry of a connection still leaves time for the answer.
        limits = {"connect": self._seconds / 3, "read": self._seconds, "write": self._seconds, "pool": self._seconds}
        try:
            async with self._pool.stream("GET", url, headers=headers, extensions={"timeout": limits}) as response:
                if response.status != 200:  # a redirect as well
                    raise _Failure("refused" if response.status in (401, 403) else "failed")
                body = await self._body(response)
        except httpcore.TimeoutException:
            raise _Failure("late") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, zlib.error):
            raise _Failure("failed") from None
        try:
            # In a thread when it takes long: other requests, and our own deadline, go on meanwhile.
            value = await asyncio.to_thread(parse_json, body) if len(body) > _LONG else parse_json(body)
        except InvalidJson:
            raise _Failure("failed") from None
        if not isinstance(value, dict):
            raise _Failure("failed")
        return value

    async def _body(self, response: httpcore.Response) -> bytes:
        """The whole body, unpacked no further than there is room for all answers of this call."""
        headers = {name.lower(): value.lower() for name, value in response.headers}
        encoding = headers.get(b"content-encoding", b"identity")
        if b"json" not in headers.get(b"content-type", b"") or encoding not in (b"identity", b"gzip"):
            raise _Failure("failed")
        unpack = zlib.decompressobj(wbits=31) if encoding == b"gzip" else None
        chunks: list[bytes] = []
        async for chunk in response.aiter_stream():
            chunks.append(unpack.decompress(chunk, self._room + 1) if unpack else chunk)
            self._room -= len(chunks[-1])
            if self._room < 0:
                self._room = 0
                raise _Failure("failed")
        if unpack and not unpack.eof:
            raise _Failure("failed")
        return b"".join(chunks)


def _missing(request: HookRequest, templates: Mapping[str, str], page_size: int) -> Iterator[tuple[str, _Query]]:
    """The parts that the client did not send. null and an OperationOutcome are answers: it looked, or it tried."""
    context = request.context.model_dump(by_alias=True, include={"user_id", "patient_id", "encounter_id"})
    values = {f"context.{name}": value for name, value in context.items() if value is not None}
    for key, template in templates.items():
        names = set(_TOKEN.findall(template))
        if key in (request.prefetch or {}) or not names <= values.keys():
            continue
        filled = _TOKEN.sub(lambda token: values[token[1]], template)
        kind, _, query = filled.partition("?")
        if query:
            yield key, _Query(kind, f"{kind}?{_encoded(query)}&_count={page_size}")
        else:
            kind, _, id = kind.partition("/")
            yield key, _Query(kind, filled, id=id)


def _encoded(query: str) -> str:
    """The query of a template, escaped. A patient is named with the type: some servers find nothing by a bare id,
    and those of US Core have to support both.
    """
    pairs = (pair.partition("=") for pair in query.split("&"))
    named = ((name, f"Patient/{value}" if name in ("patient", "subject") else value) for name, _, value in pairs)
    return "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in named)


def _searchset(page: Json, patient_id: str) -> Json:
    """One page, or _Failure.

    A server may ignore a filter and say so: then there are more rows, not fewer. The note is left out, and so are rows
    of other patients, which nobody asked for.
    """
    rows = page.get("entry", [])
    if page.get("resourceType") != "Bundle" or page.get("type") != "searchset" or not isinstance(rows, list):
        raise _Failure("failed")
    kept = [row for row in rows if not _ignored_filter(row)]
    if len(kept) == len(rows):
        return page
    hers = [row for row in kept if not _is_of_another(row, patient_id)]
    total = page.get("total")
    # It counts the others too; a total that is still too large tells that rows are missing.
    counted = {"total": total - len(kept) + len(hers)} if isinstance(total, int) else {}
    return {**page, **counted, "entry": hers}


def _is_of_another(row: Any, patient_id: str) -> bool:
    resource = row.get("resource") if isinstance(row, dict) else None
    holder = (resource.get("subject") or resource.get("patient")) if isinstance(resource, dict) else None
    reference = holder.get("reference") if isinstance(holder, dict) else None
    found = _PATIENT.fullmatch(reference) if isinstance(reference, str) else None
    return found is not None and found[1] != patient_id


def _ignored_filter(row: Any) -> bool:
    """Whether an entry only warns that a parameter is not supported; any other outcome may mean missing rows."""
    outcome = row.get("resource") if isinstance(row, dict) else None
    if not isinstance(outcome, dict) or outcome.get("resourceType") != "OperationOutcome":
        return False
    issues = outcome.get("issue")
    return isinstance(issues, list) and all(
        isinstance(issue, dict)
        and issue.get("severity") in ("warning", "information")
        and issue.get("code") == "not-supported"
        for issue in issues
    )


def _joined(first: Json | None, page: Json) -> Json:
    """One search result of several pages, with the links and the total of the last."""
    if first is None:
        return page
    rest = {name: value for name, value in first.items() if name not in ("link", "entry")}
    last: Json = {name: page[name] for name in ("link", "total") if name in page}
    return {**rest, **last, "entry": [*_rows(first), *_rows(page)]}


def _rows(bundle: Json) -> list[Any]:
    rows = bundle.get("entry")
    return rows if isinstance(rows, list) else []


def _next_of(bundle: Any) -> str | None:
    """The link to the next page of a search result."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return None
    links = bundle.get("link")
    rows = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    urls = [link.get("url") for link in rows if link.get("relation") == "next"]
    return next((url for url in urls if isinstance(url, str)), None)


def _medications(request: HookRequest, prefetch: Json, base: BaseUrl | None) -> list[str]:
    """`Medication/id` of products that orders refer to and that did not come with them, at most 20."""
    drafts: Json = getattr(request.context, "draft_orders", None) or {}
    resources = [resource for value in (*prefetch.values(), drafts) for resource in _resources(value)]
    known = {f"Medication/{r.get('id')}" for r in resources if r.get("resourceType") == "Medication"}
    names: dict[str, None] = {}
    for resource in resources:
        holder = resource.get("medicationReference") if resource.get("resourceType") in _ORDERS else None
        reference = holder.get("reference") if isinstance(holder, dict) else None
        name = _medication_name(reference, base) if isinstance(reference, str) else None
        if name is not None and name not in known:
            names[name] = None
    return list(names)[:_MAX_MEDICATIONS]


def _medication_name(reference: str, base: BaseUrl | None) -> str | None:
    """`Medication/id` of a relative reference, or of an absolute one to the server of the call."""
    plain = reference.partition("/_history/")[0]
    if base is not None and (target := base.target_of(plain)) is not None:
        plain = target.removeprefix(base.path + "/")
    return plain if _MEDICATION.fullmatch(plain) else None


def _resources(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        rows = [entry.get("resource") for entry in _rows(value) if isinstance(entry, dict)]
        yield from (row for row in (value, *rows) if isinstance(row, dict))
