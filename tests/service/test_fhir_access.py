"""What prefetch lacks comes from the FHIR server or is a named gap; a server that misbehaves costs no more."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import cds
from cds.advise import Adviser
from cds.facts.record import NOT_FETCHED
from cds.hooks import parse_request
from cds.service import create_app, load_settings
from cds.service.answers import Refusal
from cds.service.fhir.access import FhirAccess, Found
from tests.service.conftest import NOON
from tests.service.fault_ehr import Answer, FaultEhr, Peer, answer, fault_ehr, resource, searchset

Json = dict[str, Any]

TOKEN = "canary-token-4f1c9e"
OK = b'{"resourceType":"Bundle","type":"searchset","total":0}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n"
SECONDS = 1.0


@pytest.fixture
def ehr() -> Iterator[FaultEhr]:
    with fault_ehr() as server:
        yield server


@pytest.fixture
def trap() -> Iterator[FaultEhr]:
    """A server that no token may reach and that nobody has a reason to call."""
    with fault_ehr() as server:
        yield server
        assert server.connections == 0
        assert server.seen == []


@pytest.fixture(scope="session")
def templates(adviser: Adviser) -> dict[str, str]:
    (entry,) = (entry for entry in adviser.services() if entry.hook == "patient-view")
    return dict(entry.prefetch or {})


def body(chart: Json, server: str | None, *missing: str, **access: Any) -> Json:
    """The chart with access to a server, without the ``missing`` parts (all of them when there is one named *)."""
    call = copy.deepcopy(chart)
    for key in list(call["prefetch"]) if missing == ("*",) else missing:
        del call["prefetch"][key]
    lent = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.rs", "subject": "us"}
    call["fhirServer"] = server
    call["fhirAuthorization"] = lent | {"patient": "mother-1"} | access
    return call


def complete(call: Json, templates: Json, look_up: Any = None, servers: Any = None, **settings: Any) -> Found:
    """Run the fetch on its own, with the server of the call listed unless told otherwise."""
    given = {"fhir_servers": (call["fhirServer"],), "fhir_timeout_seconds": SECONDS} | settings
    access = FhirAccess(load_settings(given), *([look_up] if look_up else []))
    return asyncio.run(access.complete(parse_request(call, hook="patient-view"), templates, servers))


def prefetch(found: Found) -> Json:
    return found.request.prefetch or {}


# -- what is fetched


def test_all_that_is_missing_is_fetched_in_parallel_with_the_token_of_the_call(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    whole = cramps_chart["prefetch"]
    ehr.answers["Patient/mother-1"] = resource(whole["patient"])
    ehr.answers["Condition"] = resource(whole["conditions"])
    found = complete(body(cramps_chart, ehr.base, "*"), templates)
    assert found.gaps == {}
    assert found.fetched == len(templates)
    assert set(prefetch(found)) == set(templates)
    assert prefetch(found)["patient"] == whole["patient"]
    assert prefetch(found)["conditions"]["entry"] == whole["conditions"]["entry"]
    assert len(ehr.seen) == len(templates)
    assert ehr.tokens == {f"Bearer {TOKEN}"}
    assert all("patient=Patient/mother-1&" in target for target in ehr.targets if "?" in target)


def test_a_slow_server_is_asked_all_at_once_but_over_no_more_connections_than_set(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    def slow(peer: Peer) -> None:
        peer.wait(0.15)
        answer(OK)(peer)

    for kind in ("Observation", "Condition", "Procedure", "DiagnosticReport", "AllergyIntolerance"):
        ehr.answers[kind] = slow
    ehr.answers["Patient"] = resource(cramps_chart["prefetch"]["patient"])
    started = time.monotonic()
    found = complete(body(cramps_chart, ehr.base, "*"), templates, fhir_connections=4)
    assert found.gaps == {}
    assert time.monotonic() - started < 0.9
    assert 2 <= ehr.most_at_once <= 4
    assert ehr.connections <= 4


def test_nothing_is_fetched_when_nothing_is_missing(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    call = body(cramps_chart, ehr.base)
    call["prefetch"]["laboratory"] = {"resourceType": "OperationOutcome", "issue": []}  # the client tried
    found = complete(call, templates)
    assert (found.gaps, found.fetched) == ({}, None)
    assert prefetch(found) == call["prefetch"]
    assert ehr.connections == 0


@pytest.mark.parametrize("absent", ["fhirServer", "fhirAuthorization"])
def test_a_server_without_access_gives_no_right_to_ask_it(
    trap: FaultEhr, cramps_chart: Json, templates: Json, absent: str
) -> None:
    call = body(cramps_chart, trap.base, "conditions")
    call.pop("fhirAuthorization")
    if absent == "fhirServer":
        call.pop("fhirServer")
    found = asyncio.run(
        FhirAccess(load_settings({"fhir_servers": trap.base})).complete(
            parse_request(call, hook="patient-view"), templates
        )
    )
    assert (found.gaps, found.fetched) == ({}, None)


def test_the_token_goes_no_further_than_the_fetch(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    for call in (body(cramps_chart, ehr.base), body(cramps_chart, ehr.base, "vitals")):
        assert complete(call, templates).request.fhir_authorization is None


# -- what may be fetched


@pytest.mark.parametrize(
    ("scope", "gap"),
    [
        ("patient/*.rs", None),
        ("patient/Condition.read", None),
        ("user/Condition.s", None),
        ("patient/Condition.rs?category=problem-list-item", "limited"),
        ("patient/Condition.r", "no-scope"),
        ("patient/Observation.rs launch/patient openid", "no-scope"),
        ("", "no-scope"),
    ],
)
def test_the_scopes_decide_what_is_asked_and_what_it_proves(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, scope: str, gap: str | None
) -> None:
    found = complete(body(cramps_chart, ehr.base, "conditions", scope=scope), templates)
    assert found.gaps == ({"conditions": gap} if gap else {})
    assert ("conditions" in prefetch(found)) is (gap != "no-scope")
    assert ehr.connections == (0 if gap == "no-scope" else 1)


def test_access_for_a_patient_who_is_not_named_proves_no_absence_until_it_could_read_her(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    ehr.answers["Patient"] = resource(cramps_chart["prefetch"]["patient"])
    assert complete(body(cramps_chart, ehr.base, "vitals", patient=None), templates).gaps == {"vitals": "limited"}
    assert complete(body(cramps_chart, ehr.base, "patient", "vitals", patient=None), templates).gaps == {}
    assert complete(body(cramps_chart, ehr.base, "vitals", patient=None, scope="user/*.rs"), templates).gaps == {}


@pytest.mark.parametrize("seconds", [0, -5])
def test_access_that_has_expired_is_not_used(trap: FaultEhr, cramps_chart: Json, templates: Json, seconds: int) -> None:
    found = complete(body(cramps_chart, trap.base, "vitals", "conditions", expires_in=seconds), templates)
    assert found.gaps == {"vitals": "expired", "conditions": "expired"}


def test_access_is_not_used_longer_than_it_lives(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    ehr.answers["Condition"] = lambda peer: peer.wait(10)
    started = time.monotonic()
    call = body(cramps_chart, ehr.base, "conditions", expires_in=1)
    assert complete(call, templates, fhir_timeout_seconds=20).gaps == {"conditions": "late"}
    assert time.monotonic() - started < 2


def test_access_to_another_patient_is_a_conflict_and_not_used(
    trap: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    with pytest.raises(Refusal, match=r"fhirAuthorization\.patient is another patient") as caught:
        complete(body(cramps_chart, trap.base, "vitals", patient="mother-2"), templates)
    assert (caught.value.status, caught.value.code) == (400, "conflict")


@pytest.mark.parametrize("servers", [(), ("https://ehr.example.org/fhir",), ("{base}/tenant",), ("{other}",)])
def test_a_server_that_is_not_listed_is_not_called(
    trap: FaultEhr, cramps_chart: Json, templates: Json, servers: tuple[str, ...]
) -> None:
    other = trap.base.replace("127.0.0.1", "localhost")
    listed = tuple(server.format(base=trap.base, other=other) for server in servers)
    call = body(cramps_chart, trap.base, "vitals")
    assert complete(call, templates, fhir_servers=listed).gaps == {"vitals": "not-listed"}
    # A client that was verified has a list of its own.
    assert complete(call, templates, servers=listed).gaps == {"vitals": "not-listed"}


def test_the_list_of_a_verified_client_stands_for_the_one_of_the_settings(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    call = body(cramps_chart, ehr.base, "vitals")
    assert complete(call, templates, fhir_servers=(), servers=(ehr.base,)).gaps == {}


# -- servers that misbehave


def _hang(peer: Peer) -> None:
    peer.wait(10)


def _slow(peer: Peer) -> None:
    peer.wait(5)
    answer(OK)(peer)


def _drip(peer: Peer) -> None:
    peer.write(HEAD + b"Content-Length: 500\r\n\r\n")
    for _ in range(500):
        peer.wait(0.05)
        peer.write(b" ")


def _drip_headers(peer: Peer) -> None:
    peer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(500):
        peer.wait(0.05)
        peer.write(b"X-%d: 1\r\n" % number)


def _early_hints(peer: Peer) -> None:
    for _ in range(500):
        peer.wait(0.01)
        peer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def _endless(peer: Peer) -> None:
    peer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(2000):
        peer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


def _long_header(peer: Peer) -> None:
    peer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(100):
        peer.write(b"X: " + b"x" * 65536 + b"\r\n")


def _close(data: bytes) -> Answer:
    def write_and_close(peer: Peer) -> None:
        peer.write(data)
        raise OSError

    return write_and_close


def _reset(peer: Peer) -> None:
    peer.write(HEAD)
    peer.reset()
    raise OSError


def _packed(data: bytes) -> Answer:
    return answer(data, Content_Encoding="gzip")


BOMB = gzip.compress(b" " * 200_000_000, compresslevel=6)

FAULTS: dict[str, tuple[Answer, str]] = {
    "hangs": (_hang, "late"),
    "answers too late": (_slow, "late"),
    "drips the body": (_drip, "late"),
    "drips the headers": (_drip_headers, "late"),
    "repeats early hints": (_early_hints, "late"),
    "sends without end": (_endless, "failed"),
    "sends headers without end": (_long_header, "failed"),
    "closes without a word": (_close(b""), "failed"),
    "closes in the headers": (_close(HEAD), "failed"),
    "closes in the body": (_close(HEAD + b"Content-Length: 500\r\n\r\n" + OK), "failed"),
    "closes in a chunk": (_close(HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\n{"), "failed"),
    "resets": (_reset, "failed"),
    "speaks no HTTP": (_close(b"220 mail.example ESMTP\r\n"), "failed"),
    "sends a broken length": (_close(HEAD + b"Content-Length: 54x\r\n\r\n" + OK), "failed"),
    "sends two lengths": (_close(HEAD + b"Content-Length: 54\r\nContent-Length: 2\r\n\r\n" + OK), "failed"),
    "401": (answer(b"{}", 401, WWW_Authenticate="Bearer"), "refused"),
    "403": (answer(b"{}", 403), "refused"),
    "404": (answer(b"{}", 404), "failed"),
    "410": (answer(b"{}", 410), "failed"),
    "429": (answer(b"{}", 429, Retry_After="1"), "failed"),
    "500": (answer(b"{}", 500), "failed"),
    "503": (answer(OK, 503), "failed"),
    "204": (_close(b"HTTP/1.1 204 No Content\r\n\r\n"), "failed"),
    "206": (answer(OK, 206), "failed"),
    "html": (answer(b"<html>log in</html>", Content_Type="text/html"), "failed"),
    "html said to be JSON": (answer(b"<html>log in</html>"), "failed"),
    "XML": (answer(b"<Bundle/>", Content_Type="application/fhir+xml"), "failed"),
    "no content type": (answer(OK, Content_Type=""), "failed"),
    "nothing": (answer(b""), "failed"),
    "truncated JSON": (answer(OK[:-7]), "failed"),
    "NaN": (answer(OK[:-2] + b"NaN}"), "failed"),
    "a member twice": (answer(OK[:-1] + b',"total":3}'), "failed"),
    "deep nesting": (answer(b"[" * 100_000), "failed"),
    "not UTF-8": (answer(OK[:-1] + b',"id":"\xff"}'), "failed"),
    "an array": (answer(b"[]"), "failed"),
    "null": (answer(b"null"), "failed"),
    "an outcome": (resource({"resourceType": "OperationOutcome", "issue": []}), "failed"),
    "a resource": (resource({"resourceType": "Condition", "id": "c"}), "failed"),
    "a batch": (resource({"resourceType": "Bundle", "type": "batch-response"}), "failed"),
    "entries that are no list": (resource(searchset() | {"entry": {}}), "failed"),
    "more than there is room for": (answer(OK + b" " * 300_000), "failed"),
    "a bomb": (_packed(BOMB), "failed"),
    "a broken gzip": (_packed(b"\x1f\x8b" + b"x" * 50), "failed"),
    "half a gzip": (_packed(gzip.compress(OK)[:-9]), "failed"),
    "another encoding": (answer(OK, Content_Encoding="br"), "failed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_that_misbehaves_is_a_named_gap_before_the_deadline(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, name: str
) -> None:
    fault, reason = FAULTS[name]
    ehr.answers["Condition"] = fault
    started = time.monotonic()
    seconds = 0.4 if reason == "late" else 5
    found = complete(
        body(cramps_chart, ehr.base, "conditions", "vitals"),
        templates,
        fhir_timeout_seconds=seconds,
        fhir_max_bytes=200_000,
    )
    assert time.monotonic() - started < seconds + 0.5
    assert found.gaps["conditions"] == reason
    assert reason in NOT_FETCHED
    assert sum("Condition" in target for target in ehr.targets) == 1  # a request is never repeated
    assert "conditions" not in prefetch(found)
    # What else was asked for is not lost, unless the one answer took all the room there was.
    if "without end" not in name and "room" not in name and "bomb" not in name:
        assert found.gaps.keys() == {"conditions"}
        assert prefetch(found)["vitals"]["total"] == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    ehr: FaultEhr, trap: FaultEhr, cramps_chart: Json, templates: Json, status: int
) -> None:
    ehr.answers["Condition"] = answer(b"", status, Location=f"{trap.base}/Condition")
    found = complete(body(cramps_chart, ehr.base, "conditions"), templates, fhir_servers=(ehr.base, trap.base))
    assert found.gaps == {"conditions": "failed"}
    assert len(ehr.seen) == 1


def test_a_packed_answer_of_the_right_size_is_read(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    ehr.answers["Condition"] = _packed(gzip.compress(json.dumps(cramps_chart["prefetch"]["conditions"]).encode()))
    found = complete(body(cramps_chart, ehr.base, "conditions"), templates)
    assert found.gaps == {}
    assert len(prefetch(found)["conditions"]["entry"]) == 2


def test_an_answer_that_takes_long_to_read_does_not_hold_up_other_requests(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    rows = [_condition(f"c{number}") for number in range(30_000)]
    ehr.answers["Condition"] = resource(searchset(*rows, total=len(rows)))
    call = body(cramps_chart, ehr.base, "conditions")
    found = complete(call, templates, fhir_timeout_seconds=20)
    assert (found.gaps, len(_ids(found))) == ({}, len(rows))

    async def longest_pause() -> float:
        """Of the event loop, while the answer is fetched and read."""
        access = FhirAccess(load_settings({"fhir_servers": ehr.base, "fhir_timeout_seconds": 20}))
        fetch = asyncio.create_task(access.complete(parse_request(call, hook="patient-view"), templates))
        longest, before = 0.0, time.monotonic()
        while not fetch.done():
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
        return longest

    started = time.monotonic()
    pause = asyncio.run(longest_pause())
    assert pause < (time.monotonic() - started) / 2


def test_a_bomb_is_not_unpacked_beyond_the_room_there_is(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    ehr.answers["Condition"] = _packed(BOMB)
    call = body(cramps_chart, ehr.base, "conditions")
    tracemalloc.start()
    try:
        assert complete(call, templates, fhir_max_bytes=1_000_000).gaps == {"conditions": "failed"}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_a_server_that_is_down_or_never_accepts_is_a_gap(cramps_chart: Json, templates: Json) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
        call = body(cramps_chart, base, "conditions")
        assert complete(call, templates, fhir_timeout_seconds=5).gaps == {"conditions": "failed"}
        listener.listen(1)
        assert complete(call, templates, fhir_timeout_seconds=0.3).gaps == {"conditions": "late"}


@pytest.mark.parametrize(
    "answered",
    [
        {"resourceType": "Patient", "id": "mother-2", "gender": "female"},
        {"resourceType": "Patient"},
        {"resourceType": "Person", "id": "mother-1"},
        searchset({"resourceType": "Patient", "id": "mother-1"}),
    ],
)
def test_another_resource_than_the_one_that_was_asked_for_is_not_taken(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, answered: Json
) -> None:
    ehr.answers["Patient"] = resource(answered)
    found = complete(body(cramps_chart, ehr.base, "patient"), templates)
    assert found.gaps == {"patient": "failed"}
    assert "patient" not in prefetch(found)


# -- pages


def _condition(id: str) -> Json:
    return {"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/mother-1"}}


def _page(*ids: str, next: str | None = None, **more: Any) -> Json:
    links = [{"relation": "self", "url": "https://elsewhere.example"}]
    links += [{"relation": "next", "url": next}] if next else []
    return searchset(*(_condition(id) for id in ids), link=links, **more)


def _ids(found: Found) -> list[str]:
    return [row["resource"]["id"] for row in prefetch(found)["conditions"]["entry"]]


def _has_next(found: Found) -> bool:
    return any(link["relation"] == "next" for link in prefetch(found)["conditions"].get("link", ()))


def test_the_pages_of_a_search_become_one_result(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    ehr.answers["Condition"] = resource(_page("a", "b", next=f"{ehr.base}?page=2", total=3))
    ehr.answers["?page=2"] = resource(_page("c", total=3))
    found = complete(body(cramps_chart, ehr.base, "conditions"), templates)
    assert found.gaps == {}
    assert _ids(found) == ["a", "b", "c"]
    assert not _has_next(found)
    assert ehr.tokens == {f"Bearer {TOKEN}"}


def test_a_page_that_the_client_left_out_is_fetched(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    call = body(cramps_chart, ehr.base)
    call["prefetch"]["conditions"] = _page("a", next=f"{ehr.base}/Condition?page=2", total=2)
    ehr.answers["Condition?page=2"] = resource(_page("b", total=2))
    found = complete(call, templates)
    assert (found.gaps, _ids(found), _has_next(found)) == ({}, ["a", "b"], False)
    assert ehr.targets == ["/fhir/Condition?page=2"]


@pytest.mark.parametrize("of_client", [True, False])
@pytest.mark.parametrize(
    "link", ["{trap}/Condition?page=2", "{root}/admin?page=2", "{base}/../admin", "Condition?page=2", "//{trap}"]
)
def test_a_next_link_to_anywhere_else_is_not_followed_and_the_part_stays_incomplete(
    ehr: FaultEhr, trap: FaultEhr, cramps_chart: Json, templates: Json, link: str, of_client: bool
) -> None:
    url = link.format(trap=trap.base, base=ehr.base, root=ehr.base.removesuffix("/fhir"))
    call = body(cramps_chart, ehr.base, *(() if of_client else ("conditions",)))
    if of_client:
        call["prefetch"]["conditions"] = _page("a", next=url)
    ehr.answers["Condition"] = resource(_page("a", next=url))
    found = complete(call, templates, fhir_servers=(ehr.base, trap.base))
    assert _ids(found) == ["a"]
    assert _has_next(found)
    assert len(ehr.seen) == (0 if of_client else 1)


def test_a_loop_of_next_links_ends(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    ehr.answers["Condition"] = resource(_page("a", next=f"{ehr.base}/Condition?page=2"))
    ehr.answers["Condition?page=2"] = resource(_page("b", next=f"{ehr.base}/Condition?page=2"))
    found = complete(body(cramps_chart, ehr.base, "conditions"), templates)
    assert (_ids(found), _has_next(found), len(ehr.seen)) == (["a", "b"], True, 2)


def test_no_more_pages_are_read_than_set(ehr: FaultEhr, cramps_chart: Json, templates: Json) -> None:
    ehr.answers["Condition"] = lambda peer: resource(_page("a", next=f"{ehr.base}/Condition?p={len(ehr.seen)}"))(peer)
    found = complete(body(cramps_chart, ehr.base, "conditions"), templates, fhir_max_pages=4)
    assert (len(ehr.seen), _has_next(found)) == (4, True)


@pytest.mark.parametrize(
    ("fault", "reason"), [(answer(b"", 500), "failed"), (answer(b"", 401), "refused"), (_hang, "late")]
)
def test_the_pages_before_one_that_fails_are_kept_but_prove_nothing(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, fault: Answer, reason: str
) -> None:
    ehr.answers["Condition"] = resource(_page("a", next=f"{ehr.base}/Condition?page=2"))
    ehr.answers["Condition?page=2"] = fault
    found = complete(body(cramps_chart, ehr.base, "conditions"), templates)
    assert found.gaps == {"conditions": reason}
    assert _ids(found) == ["a"]
    assert _has_next(found)


def test_a_full_page_without_a_word_of_more_or_of_all_proves_nothing(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    call = body(cramps_chart, ehr.base, "conditions")
    ehr.answers["Condition"] = resource(_page("a", "b"))
    assert complete(call, templates, fhir_page_size=2).gaps == {"conditions": "limited"}
    assert complete(call, templates, fhir_page_size=3).gaps == {}
    ehr.answers["Condition"] = resource(_page("a", "b", total=2))
    assert complete(call, templates, fhir_page_size=2).gaps == {}


def _outcome(severity: str, code: str) -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def test_a_server_that_says_it_ignored_a_filter_gave_more_rows_and_those_of_others_are_left_out(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    other = _condition("b") | {"subject": {"reference": f"{ehr.base}/Patient/mother-2"}}
    rows = (_condition("a"), other, _outcome("warning", "not-supported"))
    call = body(cramps_chart, ehr.base, "conditions")
    ehr.answers["Condition"] = resource(searchset(*rows, total=2))
    found = complete(call, templates)
    assert (found.gaps, _ids(found), prefetch(found)["conditions"]["total"]) == ({}, ["a"], 1)
    ehr.answers["Condition"] = resource(searchset(*rows, total=9))
    assert prefetch(complete(call, templates))["conditions"]["total"] == 8  # seven rows were held back


@pytest.mark.parametrize(
    ("severity", "code"), [("error", "not-supported"), ("warning", "suppressed"), ("information", "incomplete")]
)
def test_any_other_report_of_the_server_stays_in_the_result_and_withholds_it(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, severity: str, code: str
) -> None:
    page = searchset(_condition("a"), _outcome(severity, code))
    ehr.answers["Condition"] = resource(page)
    assert prefetch(complete(body(cramps_chart, ehr.base, "conditions"), templates))["conditions"] == page


# -- products that orders refer to


def _order(reference: str) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": "order",
        "status": "active",
        "subject": {"reference": "Patient/mother-1"},
        "medicationReference": {"reference": reference},
    }


def _calcium(id: str = "calcium") -> Json:
    return {"resourceType": "Medication", "id": id, "code": {"text": "Calcium carbonate 1250 mg"}}


def _products(found: Found) -> list[Json]:
    rows = prefetch(found).get("org.prenatal-cds.medications", {"entry": ()})["entry"]
    return [row["resource"] for row in rows]


@pytest.mark.parametrize(
    "reference", ["Medication/calcium", "Medication/calcium/_history/3", "{base}/Medication/calcium"]
)
@pytest.mark.parametrize("fetched", [True, False])
def test_a_product_that_an_order_refers_to_is_fetched_too(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, reference: str, fetched: bool
) -> None:
    orders = searchset(_order(reference.format(base=ehr.base)), total=1)
    call = body(cramps_chart, ehr.base, *(["medicationRequests"] if fetched else []))
    if not fetched:
        call["prefetch"]["medicationRequests"] = orders
    ehr.answers["MedicationRequest"] = resource(orders)
    ehr.answers["Medication/calcium"] = resource(_calcium())
    found = complete(call, templates)
    assert _products(found) == [_calcium()]
    assert prefetch(found)["medicationRequests"] == orders
    assert found.gaps == {}


@pytest.mark.parametrize(
    "reference", ["#calcium", "urn:uuid:5b0c1e6a-2c55-4d0e-9a1a-6b1d2f3c4e5f", "{trap}/Medication/calcium",
                  "Medication/../Patient", "Medication/known", "Substance/calcium", ""]
)  # fmt: skip
def test_no_other_reference_is_followed(
    ehr: FaultEhr, trap: FaultEhr, cramps_chart: Json, templates: Json, reference: str
) -> None:
    call = body(cramps_chart, ehr.base)
    order = _order(reference.format(trap=trap.base))
    call["prefetch"]["medicationRequests"] = searchset(order, _calcium("known"))
    found = complete(call, templates, fhir_servers=(ehr.base, trap.base))
    assert _products(found) == []
    assert ehr.connections == 0


@pytest.mark.parametrize(
    ("scope", "fault", "requests"),
    [
        ("patient/MedicationRequest.rs", resource(_calcium()), 1),
        ("patient/*.rs", answer(b"", 404), 2),
        ("patient/*.rs", resource(_calcium("other")), 2),
        ("patient/*.rs", _hang, 2),
    ],
)
def test_an_order_whose_product_does_not_come_stays_an_order(
    ehr: FaultEhr, cramps_chart: Json, templates: Json, scope: str, fault: Answer, requests: int
) -> None:
    ehr.answers["MedicationRequest"] = resource(searchset(_order("Medication/calcium"), total=1))
    ehr.answers["Medication/calcium"] = fault
    found = complete(body(cramps_chart, ehr.base, "medicationRequests", scope=scope), templates)
    assert _products(found) == []
    assert found.gaps == {}
    assert len(ehr.seen) == requests


def test_a_record_with_many_products_is_not_a_flood_of_requests(
    ehr: FaultEhr, cramps_chart: Json, templates: Json
) -> None:
    call = body(cramps_chart, ehr.base)
    call["prefetch"]["medicationRequests"] = searchset(*(_order(f"Medication/m{number}") for number in range(50)))
    complete(call, templates)
    assert len(ehr.seen) == 20


# -- names, addresses and certificates


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server context and the file of its self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, folder / "ca.pem"


def test_https_needs_a_certificate_for_that_name_from_a_known_authority(
    cramps_chart: Json, templates: Json, tmp_path: Path
) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    tls, authority = _certificate(tmp_path, "ehr.test")
    with fault_ehr(tls=tls) as ehr:
        networks: Any = "127.0.0.0/8"
        right, wrong = (ehr.base.replace("127.0.0.1", name) for name in ("ehr.test", "other.test"))
        call = body(cramps_chart, right, "vitals")
        found = complete(call, templates, here, fhir_ca_file=authority, fhir_networks=networks)
        assert (found.gaps, ehr.tokens) == ({}, {f"Bearer {TOKEN}"})
        ehr.seen.clear()
        assert complete(call, templates, here, fhir_networks=networks).gaps == {"vitals": "failed"}
        call = body(cramps_chart, wrong, "vitals")
        found = complete(call, templates, here, fhir_ca_file=authority, fhir_networks=networks)
        assert found.gaps == {"vitals": "failed"}
        assert ehr.seen == []


def test_a_name_that_changes_its_address_during_the_call_gains_nothing(
    cramps_chart: Json, templates: Json, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def flips(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1" if len(asked) == 1 else "127.0.0.2"]

    tls, authority = _certificate(tmp_path, "ehr.test")
    with fault_ehr(tls=tls) as ehr:
        port = int(ehr.base.split(":")[2].partition("/")[0])
        with fault_ehr("127.0.0.2", port, tls) as other:
            call = body(cramps_chart, f"https://ehr.test:{port}/fhir", "*")
            ehr.answers["Patient"] = resource(cramps_chart["prefetch"]["patient"])
            found = complete(call, templates, flips, fhir_ca_file=authority, fhir_networks="127.0.0.1/32")
            assert found.gaps == {}
            assert (asked, other.connections) == (["ehr.test"], 0)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"]])
def test_a_listed_name_that_leads_into_the_own_network_is_not_called(
    trap: FaultEhr, cramps_chart: Json, templates: Json, addresses: list[str]
) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return addresses

    port = trap.base.split(":")[2]
    call = body(cramps_chart, f"https://ehr.example.org:{port}", "vitals")
    assert complete(call, templates, inside).gaps == {"vitals": "not-listed"}


def test_a_name_that_is_not_found_or_takes_too_long_is_a_gap(cramps_chart: Json, templates: Json) -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async def hanging(host: str, port: int) -> list[str]:
        await asyncio.sleep(10)
        return []

    call = body(cramps_chart, "https://ehr.example.org/fhir", "vitals")
    assert complete(call, templates, unknown).gaps == {"vitals": "failed"}
    assert complete(call, templates, hanging, fhir_timeout_seconds=0.3).gaps == {"vitals": "late"}


# -- through the service


@pytest.fixture(scope="module")
def module_ehr() -> Iterator[FaultEhr]:
    with fault_ehr() as server:
        yield server


@pytest.fixture(scope="module")
def lent(serving: Any, module_ehr: FaultEhr) -> Iterator[httpx.Client]:
    settings = load_settings(
        {"fixed_now": NOON, "log_level": "debug", "fhir_servers": module_ehr.base, "fhir_timeout_seconds": 1}
    )
    running: AbstractContextManager[str] = serving(create_app(settings))
    with running as base, httpx.Client(base_url=base, timeout=20, trust_env=False) as http:
        yield http


PATH = "/cds-services/prenatal-patient-view"


def _summaries(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [card["summary"] for card in response.json()["cards"]]


def test_a_call_without_prefetch_gets_the_cards_of_the_record_on_the_server(
    lent: httpx.Client, module_ehr: FaultEhr, cramps_chart: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    module_ehr.answers = {
        "Patient": resource(cramps_chart["prefetch"]["patient"]),
        "Condition": resource(cramps_chart["prefetch"]["conditions"]),
    }
    whole = _summaries(lent.post(PATH, json=cramps_chart))
    assert whole
    capsys.readouterr()
    call = body(cramps_chart, module_ehr.base)
    del call["prefetch"]
    assert _summaries(lent.post(PATH, json=call)) == whole
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = (line for line in lines if line["event"] == "request")
    assert (line["fetched"], line["not_fetched"]) == (14, 0)
    assert not any(secret in str(lines) for secret in (TOKEN, "mother-1", module_ehr.base))


@pytest.mark.parametrize(
    ("part", "fault", "reason"),
    [
        ("Patient", answer(b"canary-upstream", 404), "failed"),
        ("Patient", answer(b"canary-upstream", 401), "refused"),
        ("Patient", _hang, "late"),
        ("Patient", resource({"resourceType": "Patient", "id": "canary-upstream"}), "failed"),
    ],
)
def test_needed_data_that_cannot_be_had_is_412_with_the_reason_and_nothing_of_the_server(
    lent: httpx.Client, module_ehr: FaultEhr, cramps_chart: Json, part: str, fault: Answer, reason: str
) -> None:
    module_ehr.answers = {part: fault}
    started = time.monotonic()
    response = lent.post(PATH, json=body(cramps_chart, module_ehr.base, "*"))
    assert time.monotonic() - started < 2
    assert response.status_code == 412
    text = response.json()["issue"][0]["details"]["text"]
    assert NOT_FETCHED[reason] in text
    assert "canary" not in response.text
    assert module_ehr.base not in response.text


def test_optional_data_that_cannot_be_had_is_named_and_the_rest_is_used(
    lent: httpx.Client, module_ehr: FaultEhr, cramps_chart: Json
) -> None:
    module_ehr.answers = {"AllergyIntolerance": answer(b"", 500)}
    response = lent.post(PATH, json=body(cramps_chart, module_ehr.base, "allergies"))
    assert _summaries(response)
    assert NOT_FETCHED["failed"] in response.text


def test_a_product_that_was_fetched_counts_as_one_that_came_with_the_order(
    lent: httpx.Client, module_ehr: FaultEhr, cramps_chart: Json
) -> None:
    product = _calcium() | {"code": {"text": "Calcium carbonate 1250 mg tablet"}}
    dose: Json = {"timing": {"repeat": {"frequency": 4, "period": 1, "periodUnit": "d"}}}
    dose |= {"doseAndRate": [{"doseQuantity": {"value": 2, "unit": "tablet"}}]}
    order = _order("Medication/calcium") | {"intent": "order", "dosageInstruction": [dose], "authoredOn": "2026-11-20"}
    included = body(cramps_chart, module_ehr.base)
    included["prefetch"]["medicationRequests"] = searchset(order, product)
    referred = body(cramps_chart, module_ehr.base)
    referred["prefetch"]["medicationRequests"] = searchset(order)
    module_ehr.answers = {"Medication": answer(b"", 404)}
    unknown = _summaries(lent.post(PATH, json=referred))
    module_ehr.answers = {"Medication": resource(product)}
    assert _summaries(lent.post(PATH, json=referred)) == _summaries(lent.post(PATH, json=included)) != unknown


def test_a_server_that_is_not_listed_costs_nothing_but_what_is_missing(
    lent: httpx.Client, trap: FaultEhr, cramps_chart: Json
) -> None:
    response = lent.post(PATH, json=body(cramps_chart, trap.base, "allergies"))
    assert _summaries(response)
    assert NOT_FETCHED["not-listed"] in response.text
    assert lent.post(PATH, json=body(cramps_chart, trap.base, "*")).status_code == 412


def test_access_to_another_patient_is_400(lent: httpx.Client, trap: FaultEhr, cramps_chart: Json) -> None:
    response = lent.post(PATH, json=body(cramps_chart, trap.base, "allergies", patient="mother-2"))
    assert response.status_code == 400
    assert response.json()["issue"][0]["code"] == "conflict"
    assert "mother" not in response.text


def test_rows_of_other_patients_are_not_used(lent: httpx.Client, module_ehr: FaultEhr, cramps_chart: Json) -> None:
    other = json.loads(json.dumps(cramps_chart["prefetch"]["conditions"]).replace("mother-1", "mother-2"))
    module_ehr.answers = {"Condition": resource(other)}
    with_hers = _summaries(lent.post(PATH, json=cramps_chart))
    response = lent.post(PATH, json=body(cramps_chart, module_ehr.base, "conditions"))
    assert _summaries(response) != with_hers
    assert "mother-2" not in response.text
    assert "of another patient were ignored" in response.text


def test_not_even_a_server_at_level_debug_writes_the_token_the_patient_or_the_address(
    ehr: FaultEhr, cramps_chart: Json, tmp_path: Path
) -> None:
    """Run as an operator runs it, with the loggers of every library turned up."""
    ehr.answers["Patient"] = answer(b"{}", 500, Content_Location=f"{ehr.base}/Patient/mother-1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    loud = "import logging; logging.basicConfig(level=0); from cds.cli import app; app()"
    environment = {"PRENATAL_CDS_FHIR_SERVERS": ehr.base, "PRENATAL_CDS_LOG_LEVEL": "debug", "PATH": os.defpath}
    command = [sys.executable, "-c", loud, "serve", "--port", str(port)]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=Path(cds.__file__).parents[1], env=environment, stdout=out, stderr=out)
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=20), timeout=20) as http:
                url = f"http://127.0.0.1:{port}{PATH}"
                assert http.post(url, json=body(cramps_chart, ehr.base, "*")).status_code == 412
        finally:
            process.terminate()
            process.wait(20)
    written = (tmp_path / "out").read_text("utf-8")
    assert '"event": "request"' in written
    assert ehr.tokens == {f"Bearer {TOKEN}"}
    for secret in (TOKEN, "mother-1", ehr.base, "Bearer"):
        assert secret not in written
