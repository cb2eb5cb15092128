"""Hostile requests on the wire: a clear 4xx, nothing of the request in its OperationOutcome, and the server lives."""

from __future__ import annotations

import copy
import gzip
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

VIEW = "/cds-services/prenatal-patient-view"
CANARY = "canary-5e2b"
ServiceBody = dict[str, Any]


def _exchange(base: str, data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Every answer that a hand-written stream of bytes gets, until the server closes or is silent for a second."""
    host, port = base.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        try:
            wire.sendall(data)
            wire.settimeout(1)
            while chunk := wire.recv(65536):
                received += chunk
        except (TimeoutError, ConnectionError):
            pass
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *rows = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        length = int(headers.get("content-length", "0"))
        answers.append((int(first.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return answers


def _call(head: str = "", body: bytes = b"{}", line: str = f"POST {VIEW} HTTP/1.1") -> bytes:
    return f"{line}\r\nHost: a\r\nContent-Type: application/json\r\n{head}\r\n".encode("latin-1") + body


def _is_alive(base: str, body: ServiceBody) -> bool:
    return httpx.post(f"{base}{VIEW}", json=body, trust_env=False, timeout=20).status_code == 200


SMUGGLED = f"GET /{CANARY} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        # lengths and codings that two servers may understand differently
        (_call("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), {400}),
        (_call("Content-Length: 2\r\nContent-Length: 30\r\n", b"{}" + SMUGGLED), {400}),
        (_call("Content-Length: +2\r\n"), {400}),
        (_call("Content-Length: -1\r\n"), {400}),
        (_call("Content-Length: 2, 2\r\n"), {400}),
        (_call("Content-Length: 0x2\r\n"), {400}),
        (_call("Content-Length: 99999999999999999999999\r\n"), {400, 413}),
        (_call("Transfer-Encoding: identity, chunked, x\r\n", b"2\r\n{}\r\n0\r\n\r\n"), {400}),
        (_call("Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), {400}),
        (_call("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"), {400}),
        (_call("Transfer-Encoding: chunked\r\n", b"-2\r\n{}\r\n0\r\n\r\n"), {400}),
        (_call("Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\n{}"), {400}),
        (_call("Transfer-Encoding: chunked\r\n", b"2\r\n{}XX0\r\n\r\n"), {400}),
        (_call("Transfer-Encoding: gzip, chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"), {400}),
        (_call("Upgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n", b"zz\r\n"), {400}),
        # one host
        (b"GET /health HTTP/1.1\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: canary-5e2b\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a canary-5e2b\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: canary-5e2b/<script>\r\n\r\n", {400}),
        # no HTTP, or not of our time
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {400}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
        (b"GET /cds-services HTTP/9.9\r\nHost: a\r\n\r\n", {400}),
        (b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n", {400}),
        (b"GET /health\r\n\r\n", {400}),
        (b"GET  HTTP/1.1\r\n\r\n", {400}),
        (b"canary-5e2b\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX-A: canary-5e2b\x00\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX A: canary-5e2b\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n folded: canary-5e2b\r\n\r\n", {400, 200}),
        # heads without end
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {414}),
        (b"GET /health HTTP/1.1\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", {431}),
        (b"GET /health HTTP/1.1\r\n" + b"X-A: canary-5e2b\r\n" * 4000 + b"\r\n", {431}),
        (b"GET /health HTTP/1.1\r\nX-A: " + b"a" * 400_000, {431}),
        # addresses
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {404}),
        (b"GET /questionnaires/..%2f..%2fcanary-5e2b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {404}),
        (b"GET /questionnaires/a%00canary-5e2b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {404}),
        (b"GET /cds-services/%ff%fe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {404, 405}),
        (b"GET //canary-5e2b/cds-services HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {404, 400}),
        (b"GET /cds-services%2fcanary-5e2b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {404, 405}),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {400, 404, 405}),
        (b"CONNECT canary-5e2b:443 HTTP/1.1\r\nHost: a\r\n\r\n", {400, 404, 405}),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {405}),
        (b"PUT /cds-services HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", {405}),
        (b"DELETE /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {405}),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", {400, 405}),
        # a web socket is not spoken here
        (
            b"GET /cds-services/canary-5e2b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            {404, 405},
        ),
    ],
    ids=lambda value: repr(value[:70]) if isinstance(value, bytes) else "",
)
def test_bytes_that_are_no_sound_request_are_refused_in_our_own_words(
    server: str, body: ServiceBody, data: bytes, statuses: set[int]
) -> None:
    answers = _exchange(server, data)
    assert answers, "no answer at all"
    assert {status for status, _, _ in answers} <= statuses, answers
    assert len(answers) == 1, "what came behind was taken for a request of its own"
    for status, headers, content in answers:
        assert CANARY.encode() not in content
        if status >= 400 and not data.startswith(b"HEAD"):
            assert headers["content-type"] == "application/json"
            assert json.loads(content)["resourceType"] == "OperationOutcome"
    assert _is_alive(server, body)


def test_head_of_a_page_has_headers_and_no_body(server: str) -> None:
    ((status, headers, content),) = _exchange(server, b"HEAD /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[
        :1
    ]
    assert (status, content) == (200, b"")
    assert headers["content-type"] == "application/json"


def test_requests_sent_in_one_go_are_answered_one_by_one_in_order(server: str, body: ServiceBody) -> None:
    content = json.dumps(body).encode()
    call = _call(f"Content-Length: {len(content)}\r\n", content)
    last = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = _exchange(server, call + b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" + call + last)
    assert [status for status, _, _ in answers] == [200, 404, 200, 200]
    assert len({headers["x-request-id"] for _, headers, _ in answers}) == 4


def test_requests_before_a_broken_one_are_answered_and_then_the_connection_ends(server: str, body: ServiceBody) -> None:
    content = json.dumps(body).encode()
    call = _call(f"Content-Length: {len(content)}\r\n", content)
    bad_chunk = _call("Transfer-Encoding: chunked\r\n", b"zz\r\n")
    for broken in (b"canary-5e2b\r\n\r\n", bad_chunk, b"GET /health HTTP/1.1\r\n\r\n"):
        answers = _exchange(server, call + SMUGGLED + call + broken + call)
        assert [status for status, _, _ in answers] == [200, 404, 200, 400]
        assert b'"cards"' in answers[2][2]


OFFERS = {
    "of Java's client": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n",
    "of a web socket": "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "of anything": "Connection: upgrade\r\nUpgrade: foo/1\r\n",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_of_another_protocol_costs_neither_body_nor_order(
    server: str, body: ServiceBody, offer: str, chunked: bool
) -> None:
    content = json.dumps(body).encode()
    if chunked:
        sent = _call(offer + "Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
    else:
        sent = _call(f"{offer}Content-Length: {len(content)}\r\n", content)
    last = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = _exchange(server, sent + SMUGGLED + sent + last)
    assert [status for status, _, _ in answers] == [200, 404, 200, 200]


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_body_is_never_a_request_however_it_is_cut(server: str, offer: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.sendall(_call(f"{offer}Expect: 100-continue\r\nContent-Length: {len(SMUGGLED)}\r\n", b""))
        assert wire.recv(65536).startswith(b"HTTP/1.1 100"), "the body is not waited for"
        wire.sendall(SMUGGLED)
        assert wire.recv(65536).startswith(b"HTTP/1.1 400")
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.recv(65536).startswith(b"HTTP/1.1 200"), "the body was taken for a request"


BROKEN = {
    "not a number": b'{"a": NaN}',
    "infinite": b'{"a": -Infinity}',
    "beyond all numbers": b'{"a": 1e400}',
    "ten thousand digits": b'{"a": ' + b"7" * 10_000 + b"}",
    "escaped half of a pair": b'{"hook": "canary-5e2b \\ud83e"}',
    "raw half of a pair": b'{"hook": "\xed\xa0\xbe"}',
    "escaped NUL": b'{"hook": "canary-5e2b\\u0000"}',
    "raw NUL": b'{"hook": "canary-5e2b\x00"}',
    "a member twice": b'{"context": {"patientId": "canary-5e2b", "patientId": "b"}}',
    "a member twice, far below": b'{"a": [[{"b": {"canary-5e2b": 1, "canary-5e2b": 1}}]]}',
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 arrays left open": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "truncated": b'{"hook": "canary-5e2b", "cont',
    "overlong UTF-8": b'{"hook": "\xc0\xafcanary-5e2b"}',
    "UTF-16 with a mark": '{"hook": "canary-5e2b"}'.encode("utf-16"),
    "UTF-32": '{"hook": "canary-5e2b"}'.encode("utf-32"),
    "Latin-1": '{"hook": "canary-5e2b é"}'.encode("latin-1"),
    "two values": b'{"hook": "canary-5e2b"} {}',
    "nothing": b"",
    "only a mark": b"\xef\xbb\xbf",
    "XML": b"<Patient><id value='canary-5e2b'/></Patient>",
    "a form": b"hook=canary-5e2b&context=",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_is_no_sound_json_is_400_and_not_repeated(
    client: httpx.Client, body: ServiceBody, name: str
) -> None:
    answer = client.post(VIEW, content=BROKEN[name], headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert CANARY not in answer.text
    assert client.post(VIEW, json=body).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity", "canary-5e2b"])
def test_a_compressed_body_is_415_and_never_unpacked(client: httpx.Client, coding: str) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    answer = client.post(VIEW, content=bomb, headers={"Content-Type": "application/json", "Content-Encoding": coding})
    assert answer.status_code == 415
    assert CANARY not in answer.text


Twist = Callable[[ServiceBody], None]


def _at(*path: str | int, value: Any) -> Twist:
    def twist(body: ServiceBody) -> None:
        node: Any = body
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return twist


CRAMPS = ("prefetch", "conditions", "entry", 1, "resource")
LAB = {
    "resourceType": "Observation",
    "id": "calcium",
    "status": "final",
    "subject": {"reference": "Patient/mother-1"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "17861-6"}]},
    "effectiveDateTime": "2026-11-20",
}
TWISTED: dict[str, Twist] = {
    "ids are numbers": _at("context", "patientId", value=7),
    "the user is an object": _at("context", "userId", value={"reference": CANARY}),
    "the context is a list": _at("context", value=[CANARY]),
    "the prefetch is a list": _at("prefetch", value=[CANARY]),
    "a prefetch value is text": _at("prefetch", "conditions", value=CANARY),
    "a prefetch value is a number": _at("prefetch", "patient", value=10**90),
    "an entry is text": _at("prefetch", "conditions", "entry", value=[CANARY, 1, None, [], {}]),
    "the resource type is a list": _at(*CRAMPS, "resourceType", value=[CANARY]),
    "the code is text": _at(*CRAMPS, "code", value=CANARY),
    "the coding is text": _at(*CRAMPS, "code", value={"coding": CANARY, "text": 5}),
    "codings are numbers": _at(*CRAMPS, "code", "coding", value=[1, None, "x", {"code": 7, "system": []}]),
    "the value is text": _at(
        "prefetch", "laboratory", value={**LAB, "valueQuantity": {"value": "2.1", "unit": "mmol/L"}}
    ),
    "the value is huge": _at(
        "prefetch", "laboratory", value={**LAB, "valueQuantity": {"value": 10**99, "unit": "mmol/L"}}
    ),
    "the date is a number": _at(*CRAMPS, "recordedDate", value=20261120),
    "the date is far": _at(*CRAMPS, "recordedDate", value="9999-12-31"),
    "the date is no day": _at(*CRAMPS, "recordedDate", value="2026-02-31"),
    "text goes right to left": _at(*CRAMPS, "code", "text", value=f"\u202e{CANARY}\u2066\ufeff"),
    "the markup of a page": _at(*CRAMPS, "code", "text", value="<script>alert(1)</script>[a](javascript:b)"),
    "STU3: a status as text": _at(*CRAMPS, "clinicalStatus", value="active"),
    "STU3: the context of a resource": _at(*CRAMPS, "context", value={"reference": "Encounter/1"}),
    "R5: a reason as CodeableReference": _at(
        "prefetch",
        "medicationRequests",
        value={
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/mother-1"},
            "medication": {"concept": {"text": "calcium"}},
            "reason": [{"concept": {"text": "cramps"}}],
        },
    ),
    "R5: an actor beside the subject": _at(
        *CRAMPS, "participant", value=[{"actor": {"reference": "Patient/mother-1"}}]
    ),
    "a token without its server": _at("fhirAuthorization", value={"access_token": CANARY}),
    "an extension that is a list": _at("extension", value=[CANARY]),
    "10,000 members nobody asked for": lambda body: body.update({f"x{n}": CANARY for n in range(10_000)}),
    "10,000 prefetch keys": lambda body: body["prefetch"].update({f"x{n}": None for n in range(10_000)}),
}


@pytest.mark.parametrize("name", TWISTED)
def test_a_call_with_something_twisted_is_advice_or_a_refusal_and_never_an_error_of_ours(
    client: httpx.Client, cramps_chart: ServiceBody, name: str
) -> None:
    body = copy.deepcopy(cramps_chart)
    TWISTED[name](body)
    answer = client.post(VIEW, json=body)
    assert answer.status_code in (200, 400, 412), answer.text
    if answer.status_code == 200:
        read = "\n".join(card["summary"] + card["detail"] for card in answer.json()["cards"])
        assert re.search(r"(?<!\\)<script|(?<!\\)\]\(javascript", read) is None
        assert "\u202e" not in answer.text
    else:
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert CANARY not in answer.text
    assert client.post(VIEW, json=cramps_chart).json()["cards"]
