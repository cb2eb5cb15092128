"""HTTP as old, thrifty or careless clients speak it: what they may rely on, byte by byte."""

from __future__ import annotations

import http.client
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import create_app, load_settings

VIEW = "/cds-services/prenatal-patient-view"
JSON = {"Content-Type": "application/json"}


def _address(server: str) -> tuple[str, int]:
    host, port = server.removeprefix("http://").split(":")
    return host, int(port)


@contextmanager
def _connection(server: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(*_address(server), timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def _say(server: str, head: str, body: bytes = b"") -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body of the answer to hand-written bytes, read until the server hangs up."""
    with socket.create_connection(_address(server), timeout=20) as wire:
        wire.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        answer = b""
        while chunk := wire.recv(65536):
            answer += chunk
    start, _, content = answer.partition(b"\r\n\r\n")
    status, *lines = start.decode().split("\r\n")
    return status, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, content


# --- connections ---


def test_one_connection_carries_call_after_call_refusals_included(server: str, cramps_chart: dict[str, Any]) -> None:
    content = json.dumps(cramps_chart)
    calls = [("GET", "/cds-services", ""), ("POST", VIEW, content), ("POST", VIEW, "{"), ("GET", "/nowhere", "")]
    with _connection(server) as connection:
        connection.connect()
        wire = connection.sock
        for method, path, body in calls * 3:
            connection.request(method, path, body=body, headers=JSON)
            answer = connection.getresponse()
            assert json.loads(answer.read())
            assert answer.status == (400 if body == "{" else 404 if path == "/nowhere" else 200)
            assert connection.sock is wire, "the server closed the connection"


def test_http_1_0_is_answered_whole_and_the_connection_closed(server: str, cramps_chart: dict[str, Any]) -> None:
    body = json.dumps(cramps_chart).encode()
    head = f"POST {VIEW} HTTP/1.0\nContent-Type: application/json\nContent-Length: {len(body)}"
    status, headers, content = _say(server, head, body)
    assert status.split()[1] == "200"
    assert "transfer-encoding" not in headers
    assert int(headers["content-length"]) == len(content)
    assert json.loads(content)["cards"]


@pytest.mark.parametrize(
    "offer",
    [
        "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        "Connection: upgrade\nUpgrade: websocket\nConnection: keep-alive",
    ],
    ids=["HTTP/2, as Java's HttpClient", "a web socket"],
)
@pytest.mark.parametrize("cut", [0, 20, None], ids=["head alone", "20 bytes behind it", "in one piece"])
def test_a_call_that_offers_another_protocol_is_answered_in_http_1_1(
    server: str, cramps_chart: dict[str, Any], offer: str, cut: int | None
) -> None:
    body = json.dumps(cramps_chart).encode()
    head = f"POST {VIEW} HTTP/1.1\n{offer}\nHost: a\nContent-Type: application/json\nContent-Length: {len(body)}"
    first = head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body[:cut]
    with socket.create_connection(_address(server), timeout=20) as wire, wire.makefile("rb") as answers:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):  # the connection goes on after it
            wire.sendall(first)
            if cut is not None:
                wire.sendall(body[cut:])
            assert answers.readline().split()[1] == b"200"
            headers = dict(line.lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
            assert b"upgrade" not in headers
            assert json.loads(answers.read(int(headers[b"content-length"])))["cards"]


def test_a_client_that_waits_for_100_continue_gets_it_and_then_the_cards(
    server: str, cramps_chart: dict[str, Any]
) -> None:
    body = json.dumps(cramps_chart).encode()
    head = (
        f"POST {VIEW} HTTP/1.1\r\nHost: {server.removeprefix('http://')}\r\nConnection: close\r\n"
        f"Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(_address(server), timeout=20) as wire:
        wire.sendall(head.encode())
        assert wire.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(body)
        answer = b""
        while chunk := wire.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["cards"]


def test_a_chunked_body_is_read_like_any_other(client: httpx.Client, cramps_chart: dict[str, Any]) -> None:
    text = json.dumps(cramps_chart).encode()
    pieces = (text[at : at + 700] for at in range(0, len(text), 700))
    answer = client.post(VIEW, content=pieces, headers=JSON)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.status_code == 200
    assert answer.json()["cards"]


# --- methods ---


@pytest.mark.parametrize("path", ["/cds-services", "/cds-services/", "/health"])
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    asked, looked = client.get(path), client.head(path)
    assert (looked.status_code, looked.content) == (200, b"")
    fresh = {"date", "x-request-id"}
    assert {k: v for k, v in looked.headers.items() if k not in fresh} == {
        k: v for k, v in asked.headers.items() if k not in fresh
    }


def test_head_of_a_service_is_405_without_a_body(client: httpx.Client) -> None:
    answer = client.head(VIEW)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://ehr.example"}])
@pytest.mark.parametrize(("path", "allowed"), [("/cds-services", "GET"), (VIEW, "POST")])
def test_options_that_is_no_preflight_is_405_and_names_the_method(
    client: httpx.Client, headers: dict[str, str], path: str, allowed: str
) -> None:
    answer = client.options(path, headers=headers)
    assert answer.status_code == 405
    assert allowed in answer.headers["allow"]
    assert answer.json()["resourceType"] == "OperationOutcome"


# --- addresses ---


@pytest.mark.parametrize(
    "path",
    [
        f"{VIEW}/",
        "/cds-services//prenatal-patient-view",
        "//cds-services/prenatal-patient-view",
        "/CDS-Services/prenatal-patient-view",
        "/cds-services/Prenatal-Patient-View",
        "/cds-services/./prenatal-patient-view",
        "/cds-services/x/../prenatal-patient-view",
    ],
)
def test_a_call_has_one_address_only_because_tokens_and_proxies_compare_it_as_text(
    server: str, cramps_chart: dict[str, Any], path: str
) -> None:
    with _connection(server) as connection:  # it sends the path as it is; others tidy it first
        connection.request("POST", path, body=json.dumps(cramps_chart), headers=JSON)
        answer = connection.getresponse()
        outcome = json.loads(answer.read())
    assert answer.status == 404
    assert outcome["resourceType"] == "OperationOutcome"
    assert "GET /cds-services" in outcome["issue"][0]["details"]["text"]


def test_no_address_is_answered_by_a_redirect(server: str) -> None:
    with _connection(server) as connection:
        for path in ("//cds-services", "/cds-services//", "/health/", "//example.org/cds-services", VIEW + "/"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404
            assert answer.getheader("location") is None


def test_a_query_string_changes_nothing(client: httpx.Client, cramps_chart: dict[str, Any]) -> None:
    assert client.get("/cds-services?hook=patient-view&a=%00").json() == client.get("/cds-services").json()
    assert client.post(f"{VIEW}?version=2", json=cramps_chart).json()["cards"]


# --- what an answer says about itself ---


def test_an_answer_comes_as_it_is_whatever_compression_is_offered(
    client: httpx.Client, cramps_chart: dict[str, Any]
) -> None:
    """A median answer (7 kB) fits into the first flight of TCP. Cards hold text of the record beside secrets, and
    the length of compressed text tells about both (BREACH); a proxy may compress discovery (19 kB to 2 kB)."""
    for answer in (
        client.get("/cds-services", headers={"Accept-Encoding": "gzip, br, zstd"}),
        client.post(VIEW, json=cramps_chart, headers={"Accept-Encoding": "gzip;q=1, identity;q=0"}),
    ):
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.content)


def test_no_answer_may_be_stored_or_asked_for_again_by_a_tag(client: httpx.Client) -> None:
    """Cards are about one patient at one moment, and discovery changes with the rules."""
    tagged = {"If-None-Match": "*", "If-Modified-Since": "Sun, 22 Nov 2026 12:00:00 GMT"}
    for path in ("/cds-services", "/health", "/nowhere"):
        answer = client.get(path, headers=tagged)
        assert answer.status_code in (200, 404)
        assert answer.headers["cache-control"] == "no-store"
        assert not {"etag", "last-modified", "expires"} & set(answer.headers)


@pytest.mark.parametrize("accept", ["application/json", "application/fhir+json, */*; q=0.1", "text/html", "nonsense"])
def test_an_accept_header_never_costs_the_advice(
    client: httpx.Client, cramps_chart: dict[str, Any], accept: str
) -> None:
    answer = client.post(VIEW, json=cramps_chart, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


# --- retries ---


def test_a_retry_with_the_same_hook_instance_gives_the_same_cards_with_ids_of_their_own(
    client: httpx.Client, cramps_chart: dict[str, Any]
) -> None:
    """A client that lost the first answer asks again; both sets of ids must be able to carry feedback."""

    def ask() -> tuple[list[Any], list[str]]:
        cards: list[Any] = client.post(VIEW, json=cramps_chart).json()["cards"]
        ids = [card.pop("uuid") for card in cards]
        ids += [suggestion.pop("uuid") for card in cards for suggestion in card.get("suggestions", ())]
        return cards, ids

    answers = [ask() for _ in range(3)]
    assert answers[0][0]
    assert all(cards == answers[0][0] for cards, _ in answers)
    ids = [one for _, ids in answers for one in ids]
    assert len(ids) == len(set(ids)) > 3
    assert {uuid.UUID(one).version for one in ids} == {4}


# --- private networks ---


@pytest.mark.parametrize(("origins", "allowed"), [(("https://ehr.example",), True), (("*",), False)])
def test_a_page_of_the_internet_reaches_a_service_inside_only_when_its_origin_is_named(
    serving: Callable[[Starlette], AbstractContextManager[str]], origins: tuple[str, ...], allowed: bool
) -> None:
    asked = {
        "Origin": "https://ehr.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    with serving(create_app(load_settings({"cors_origins": origins, "log_level": "error"}))) as base:
        answer = httpx.options(f"{base}{VIEW}", headers=asked, trust_env=False)
    assert answer.is_success is allowed
    assert ("access-control-allow-private-network" in answer.headers) is allowed


def test_a_page_may_read_the_request_id_and_when_to_come_back(client: httpx.Client) -> None:
    answer = client.get("/nowhere", headers={"Origin": "https://ehr.example"})
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"X-Request-Id", "Retry-After"}
