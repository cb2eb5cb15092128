"""Who may call: one token for each way to be wrong, against the real service, and the same bare 401 for all."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import hmac
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.routing import Mount

from cds.service import create_app, load_settings
from cds.service.trust.client import client_of
from cds.service.trust.tokens import ClientTrust, Refused
from tests.service.trusting import (
    DISCOVERY,
    NORTH,
    PUBLIC_URL,
    Pair,
    bearer,
    claims,
    elliptic,
    rsa_pair,
    token,
    write_trust_file,
)

SOUTH = "https://ehr.south.example"
JKU = "http://127.0.0.1:9/jwks.json"  # port 9: nobody answers; no test here may need it to
CALL = "/cds-services/prenatal-patient-view"


@dataclass
class Trusting:
    """A running service that trusts north (static keys) and south (tenants, short tokens, a pinned URL)."""

    url: str
    app: Any
    http: httpx.Client
    north: Pair
    north_rsa: Pair
    south: Pair
    weak: Pair

    def get(self, signed: str, path: str = "/cds-services") -> httpx.Response:
        return self.http.get(path, headers=bearer(signed))


@pytest.fixture(scope="module")
def trusting(serving: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    folder = tmp_path_factory.mktemp("trust")
    north, south, weak = elliptic("north-1"), elliptic("south-1"), elliptic("weak-1", ec.SECP256R1())
    north_rsa = rsa_pair("north-2")
    path = write_trust_file(
        folder,
        {"name": "north", "issuer": NORTH, "jwks": {"keys": [north.jwk(), north_rsa.jwk()]}},
        {
            "name": "south",
            "issuer": SOUTH,
            "jwks": {"keys": [south.jwk()]},
            "tenants": ["ward-a", "ward-b"],
            "max_token_seconds": 900,
            "fhir_servers": ["https://ehr.south.example/fhir"],
        },
        {"name": "far", "issuer": "https://ehr.far.example", "jwks_url": JKU},
        {
            "name": "sandbox",
            "issuer": "https://sandbox.example",
            "jwks": {"keys": [weak.jwk()]},
            "algorithms": ["ES256"],
        },
    )
    settings = load_settings(
        {
            "trust_file": path,
            "public_url": PUBLIC_URL,
            "state_dir": folder / "state",
            "log_level": "info",
            "fixed_now": "2026-11-22T12:00:00Z",
        }
    )
    app = create_app(settings)
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        yield Trusting(url, app, http, north, north_rsa, south, weak)


@pytest.fixture(scope="module")
def refusal(trusting: Trusting) -> bytes:
    """The body of a call without any token: what every other refusal must equal."""
    return trusting.http.get("/cds-services").content


def _segment(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _forged(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    return f"{_segment(header)}.{_segment(body)}.{_segment(signature)}"


def _hmac(pair: Pair, algorithm: str, digest: str) -> str:
    """Signed with the published key as if it were a shared secret."""
    pem = pair.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_segment({'alg': algorithm, 'typ': 'JWT', 'kid': pair.kid})}.{_segment(claims())}"
    return f"{signed}.{_segment(hmac.new(pem, signed.encode(), digest).digest())}"


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_token_of_a_listed_client_is_accepted(trusting: Trusting, algorithm: str) -> None:
    pair = trusting.north if algorithm == "ES384" else trusting.north_rsa
    answer = trusting.get(token(pair, claims(), algorithm))
    assert answer.status_code == 200
    assert answer.json()["services"]


GOOD: dict[str, Callable[[Trusting], str]] = {
    "an audience in a list": lambda t: token(t.north, claims(aud=["https://other.example", DISCOVERY])),
    "discovery with a slash": lambda t: token(t.north, claims(aud=DISCOVERY + "/")),
    "typ in lower case": lambda t: token(t.north, claims(), typ="jwt"),
    "a jku beside keys of the trust file": lambda t: token(t.north, claims(), jku="https://ehr.north.example/jwks"),
    "expired within the skew": lambda t: token(t.north, claims(iat=_now(-330), exp=_now(-30))),
    "issued ahead within the skew": lambda t: token(t.north, claims(_now(30))),
    "nbf five minutes ago": lambda t: token(t.north, claims(nbf=_now(-300))),
    "nbf ahead within the skew": lambda t: token(t.north, claims(nbf=_now(30))),
    "times with fractions": lambda t: token(t.north, claims(iat=time.time(), exp=time.time() + 60)),
    "claims that mean nothing here": lambda t: token(t.north, claims(sub="app", tenant="any", scope="x")),
    "a long life, allowed for this client": lambda t: token(t.south, _south(exp=_now(900))),
    "an algorithm allowed for this client": lambda t: token(t.weak, claims(iss="https://sandbox.example"), "ES256"),
}


@pytest.mark.parametrize("name", GOOD)
def test_also_good_is(trusting: Trusting, name: str) -> None:
    assert trusting.get(GOOD[name](trusting)).status_code == 200


def _now(offset: int = 0) -> int:
    return int(time.time()) + offset


def _south(**changes: Any) -> dict[str, Any]:
    return claims(**({"iss": SOUTH, "tenant": "ward-a"} | changes))


STRANGER = elliptic("north-1")
BAD: dict[str, tuple[str, Callable[[Trusting], str]]] = {
    "alg none": ("algorithm", lambda t: _forged({"alg": "none", "typ": "JWT", "kid": "north-1"}, claims(), b"x")),
    "alg none without signature": ("malformed", lambda t: _forged({"alg": "none", "kid": "north-1"}, claims())),
    "alg None as a list": ("algorithm", lambda t: _forged({"alg": [], "typ": "JWT", "kid": "north-1"}, claims(), b"x")),
    "HS256 with the public key": ("algorithm", lambda t: _hmac(t.north, "HS256", "sha256")),
    "HS384 with the public key": ("algorithm", lambda t: _hmac(t.north_rsa, "HS384", "sha384")),
    "RS256, not listed": ("algorithm", lambda t: token(t.north_rsa, claims(), "RS256")),
    "PS384, not listed": ("algorithm", lambda t: token(t.north_rsa, claims(), "PS384")),
    "the key of another algorithm": ("algorithm", lambda t: token(t.north_rsa, claims(), "RS384", kid="north-1")),
    "wrong curve": ("key", lambda t: _wrong_curve(t)),
    "ES384 for a client of ES256": ("algorithm", lambda t: token(t.north, claims(iss="https://sandbox.example"))),
    "a stranger's key under a listed id": ("signature", lambda t: token(STRANGER, claims())),
    "another client's key": ("key", lambda t: token(t.south, claims())),
    "changed claims": ("signature", lambda t: _changed(token(t.north, claims()))),
    "embedded jwk": ("header", lambda t: token(STRANGER, claims(), jwk=STRANGER.jwk())),
    "x5c": ("header", lambda t: token(t.north, claims(), x5c=["MIIB"])),
    "x5u": ("header", lambda t: token(t.north, claims(), x5u="https://evil.example/cert")),
    "crit": ("header", lambda t: _signed(t.north, {"crit": ["exp"], "exp": 1})),
    "b64": ("header", lambda t: _signed(t.north, {"b64": True})),
    "foreign jku": ("header", lambda t: token(STRANGER, _far(), jku="https://evil.example/jwks.json")),
    "jku that begins like the pinned one": ("header", lambda t: token(STRANGER, _far(), jku=JKU + "?a")),
    "keys that cannot be fetched": ("key", lambda t: token(STRANGER, _far(), jku=JKU)),
    "kid of a path": ("key", lambda t: token(t.north, claims(), kid="../../../../etc/passwd")),
    "kid unknown": ("key", lambda t: token(t.north, claims(), kid="north-9")),
    "kid a number": ("header", lambda t: _signed(t.north, {"kid": 1})),
    "kid an object": ("header", lambda t: _signed(t.north, {"kid": {"a": 1}})),
    "kid empty": ("header", lambda t: token(t.north, claims(), kid="")),
    "kid very long": ("header", lambda t: token(t.north, claims(), kid="k" * 600)),
    "kid missing": ("header", lambda t: token(t.north, claims(), kid=...)),
    "typ missing": ("header", lambda t: token(t.north, claims(), typ=...)),
    "typ another": ("header", lambda t: token(t.north, claims(), typ="at+jwt")),
    "iss not listed": ("issuer", lambda t: token(t.north, claims(iss="https://evil.example"))),
    "iss with a slash more": ("issuer", lambda t: token(t.north, claims(iss=NORTH + "/"))),
    "iss a list": ("issuer", lambda t: _signed(t.north, {}, claims() | {"iss": [NORTH]})),
    "tenant not listed": ("tenant", lambda t: token(t.south, _south(tenant="ward-c"))),
    "tenant missing": ("tenant", lambda t: token(t.south, _south(tenant=...))),
    "tenant a list": ("claims", lambda t: token(t.south, _south(tenant=["ward-a"]))),
    "aud of another service": ("audience", lambda t: token(t.north, claims(aud=f"{PUBLIC_URL}{CALL}"))),
    "aud of another base": ("audience", lambda t: token(t.north, claims(aud="https://other.example/cds-services"))),
    "aud of the address inside": ("audience", lambda t: token(t.north, claims(aud=f"{t.url}/cds-services"))),
    "aud of plain http": ("audience", lambda t: token(t.north, claims(aud=DISCOVERY.replace("https", "http")))),
    "aud only the base": ("audience", lambda t: token(t.north, claims(aud=PUBLIC_URL))),
    "aud with a query": ("audience", lambda t: token(t.north, claims(aud=DISCOVERY + "?a=b"))),
    "aud in another case": ("audience", lambda t: token(t.north, claims(aud=DISCOVERY.upper()))),
    "aud an empty list": ("audience", lambda t: token(t.north, claims(aud=[]))),
    "aud a list of lists": ("audience", lambda t: token(t.north, claims(aud=[[DISCOVERY]]))),
    "expired": ("expired", lambda t: token(t.north, claims(iat=_now(-360), exp=_now(-61)))),
    "too long a life": ("lifetime", lambda t: token(t.north, claims(exp=_now(310)))),
    "too long a life for this client": ("lifetime", lambda t: token(t.south, _south(exp=_now(1000)))),
    "a short life that is far away": ("not-yet-valid", lambda t: token(t.north, claims(iat=_now(900), exp=_now(960)))),
    "iat in the future": ("not-yet-valid", lambda t: token(t.north, claims(iat=_now(90)))),
    "nbf in the future": ("not-yet-valid", lambda t: token(t.north, claims(nbf=_now(90)))),
    "nbf a word": ("claims", lambda t: _signed(t.north, {}, claims() | {"nbf": "now"})),
    "exp a text": ("claims", lambda t: _signed(t.north, {}, claims() | {"exp": str(_now(60))})),
    "exp true": ("claims", lambda t: _signed(t.north, {}, claims() | {"exp": True})),
    "exp beyond all time": ("lifetime", lambda t: _signed(t.north, {}, claims() | {"exp": 10**90})),
    "iss missing": ("issuer", lambda t: token(t.north, claims(iss=...))),
    "aud missing": ("audience", lambda t: token(t.north, claims(aud=...))),
    "exp missing": ("claims", lambda t: token(t.north, claims(exp=...))),
    "iat missing": ("claims", lambda t: token(t.north, claims(iat=...))),
    "jti missing": ("claims", lambda t: token(t.north, claims(jti=...))),
    "jti a number": ("claims", lambda t: _signed(t.north, {}, claims() | {"jti": 7})),
    "jti empty": ("claims", lambda t: token(t.north, claims(jti=""))),
    "truncated": ("signature", lambda t: token(t.north, claims())[:-8]),
    "two segments": ("malformed", lambda t: token(t.north, claims()).rpartition(".")[0]),
    "encrypted, five segments": ("malformed", lambda t: "a.b.c.d.e"),
    "garbage": ("malformed", lambda t: "garbage"),
    "garbage in three parts": ("malformed", lambda t: "Z2FyYmFnZQ.Z2FyYmFnZQ.Z2FyYmFnZQ"),
    "a claim twice": ("malformed", lambda t: _twice(t.north)),
    "25 kB": ("malformed", lambda t: token(t.north, claims(sub="x" * 19_000))),
    "9 kB": ("malformed", lambda t: token(t.north, claims(sub="x" * 7_000))),
}  # fmt: skip


def _far() -> dict[str, Any]:
    return claims(iss="https://ehr.far.example")


def _sign(pair: Pair, header: bytes, body: bytes) -> str:
    """A correct ES384 signature over whatever header and claims are given, also such that no library would write."""
    signing = f"{_segment(header)}.{_segment(body)}"
    assert isinstance(pair.private, ec.EllipticCurvePrivateKey)
    return f"{signing}.{_segment(ECAlgorithm(ECAlgorithm.SHA384).sign(signing.encode(), pair.private))}"


def _signed(pair: Pair, header: dict[str, Any], body: dict[str, Any] | None = None) -> str:
    members = {"alg": "ES384", "typ": "JWT", "kid": pair.kid} | header
    return _sign(pair, json.dumps(members).encode(), json.dumps(body or claims()).encode())


def _twice(pair: Pair) -> str:
    """The same claim twice: a reader that takes the first and one that takes the last see two issuers."""
    body = json.dumps(claims())[:-1] + f', "iss": "{NORTH}"}}'
    return _sign(pair, json.dumps({"alg": "ES384", "typ": "JWT", "kid": pair.kid}).encode(), body.encode())


def _wrong_curve(t: Trusting) -> str:
    """A P-256 key that says ES384: its signature is as long as that curve makes it."""
    signed = f"{_segment({'alg': 'ES384', 'typ': 'JWT', 'kid': t.weak.kid})}.{_segment(claims())}"
    return f"{signed}.{token(t.weak, claims(), 'ES256').rpartition('.')[2]}"


def _changed(signed: str) -> str:
    header, _, signature = signed.split(".")
    return f"{header}.{_segment(claims(sub='someone-else'))}.{signature}"


@pytest.mark.parametrize("name", BAD)
def test_refused_by_the_same_bare_401_is(
    trusting: Trusting, refusal: bytes, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    reason, make = BAD[name]
    signed = make(trusting)
    answer = trusting.get(signed)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.content == refusal
    log = capsys.readouterr().err
    assert _log_line(log)["refused"] == reason
    assert signed not in log
    assert not [part for part in signed.split(".") if len(part) > 20 and part in log]


def _log_line(log: str) -> dict[str, Any]:
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["event"] == "request"]
    return dict(line)


def test_the_body_of_a_refusal_names_no_cause(refusal: bytes) -> None:
    (issue,) = json.loads(refusal)["issue"]
    assert issue["code"] == "login"
    assert issue["diagnostics"] == "This service answers only clients that it knows; send a valid bearer token."


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "no-token"),
        ([("Authorization", "Bearer TOKEN"), ("Authorization", "Bearer TOKEN")], "malformed"),
        ([("Authorization", "Bearer TOKEN, Bearer TOKEN")], "malformed"),
        ([("Authorization", "Basic TOKEN")], "malformed"),
        ([("Authorization", "TOKEN")], "malformed"),
        ([("Authorization", "Bearer")], "malformed"),
        ([("Authorization", "")], "malformed"),
        ([("X-Authorization", "Bearer TOKEN")], "no-token"),
        ([("Cookie", "Authorization=TOKEN")], "no-token"),
    ],
)
def test_a_good_token_in_a_wrong_header_is_refused(
    trusting: Trusting, refusal: bytes, capsys: pytest.CaptureFixture[str], headers: list[tuple[str, str]], reason: str
) -> None:
    good = token(trusting.north, claims())
    sent = [(name, value.replace("TOKEN", good)) for name, value in headers]
    answer = trusting.http.get("/cds-services", headers=sent)
    assert (answer.status_code, answer.content) == (401, refusal)
    assert _log_line(capsys.readouterr().err)["refused"] == reason
    assert trusting.get(good).status_code == 200, "it was not used up by being refused"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_name_of_the_scheme_may_be_in_any_case(trusting: Trusting, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {token(trusting.north, claims())}"}
    assert trusting.http.get("/cds-services", headers=headers).status_code == 200


def test_a_token_opens_one_call_and_the_second_is_refused(trusting: Trusting, refusal: bytes) -> None:
    signed = token(trusting.north, claims())
    assert trusting.get(signed).status_code == 200
    again = trusting.get(signed)
    assert (again.status_code, again.content) == (401, refusal)


def test_two_clients_may_choose_the_same_token_id(trusting: Trusting) -> None:
    jti = str(uuid.uuid4())
    assert trusting.get(token(trusting.north, claims(jti=jti))).status_code == 200
    assert trusting.get(token(trusting.south, _south(jti=jti))).status_code == 200


def test_a_refused_token_uses_up_no_token_id(trusting: Trusting) -> None:
    """Or a stranger who guesses an id could lock out the client that uses it next."""
    good = claims()
    assert trusting.get(token(STRANGER, good)).status_code == 401
    assert trusting.get(token(trusting.north, good)).status_code == 200


def test_a_call_is_answered_with_cards_and_the_log_names_the_client(
    trusting: Trusting, cramps_chart: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    headers = bearer(token(trusting.south, _south(aud=PUBLIC_URL + CALL)))
    answer = trusting.http.post(CALL, json=cramps_chart, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["cards"]
    line = _log_line(capsys.readouterr().err)
    assert (line["client"], line["service"]) == ("south", "prenatal-patient-view")
    assert "refused" not in line
    assert "mother-1" not in json.dumps(line)


@pytest.mark.parametrize("path", [CALL, f"{CALL}/feedback", "/cds-services/no-such-service", "/cds-services/"])
def test_every_address_under_the_services_needs_a_token_for_itself(
    trusting: Trusting, refusal: bytes, empty_chart: dict[str, Any], path: str
) -> None:
    for headers in ({}, bearer(token(trusting.north, claims(aud="https://cds.example.org/cds-services/other")))):
        answer = trusting.http.post(path, json=empty_chart, headers=headers)
        assert (answer.status_code, answer.content) == (401, refusal), path
    good = bearer(token(trusting.north, claims(aud=PUBLIC_URL + path)))
    assert trusting.http.post(path, json={}, headers=good).status_code != 401


def test_an_escaped_address_is_no_way_around(trusting: Trusting, empty_chart: dict[str, Any]) -> None:
    assert trusting.http.post("/cds-services/%70renatal-patient-view", json=empty_chart).status_code == 401


SPELLINGS = [
    "//cds-services",
    "/x/../cds-services",
    "/CDS-SERVICES",
    "/./cds-services",
    "/cds-services;a=b",
    "/cds-services%2Fprenatal-patient-view",
    "/%63ds%2Dservices",
    "/cds-services%0A",  # the pattern of a route ends with $, which also matches before a last line feed
    "/cds-services%0D",
    "/cds-services%00",
    "http://elsewhere.example/cds-services",
    "http://elsewhere.example/cds-services%0a",
    "/health/../cds-services",
    "/health%0A",
    "*",
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_an_address_is_a_way_around(trusting: Trusting, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        lines = [f"{method} {path} HTTP/1.1", "Host: cds", "X-Original-URL: /health", "Connection: close"]
        with socket.create_connection(("127.0.0.1", urlsplit(trusting.url).port or 0), timeout=10) as raw:
            raw.sendall("\r\n".join([*lines, "", ""]).encode())
            assert raw.recv(100).split()[1] == b"401", method


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/openapi.json", "/questionnaires/no-such-one"])
def test_what_tells_nothing_of_patients_stays_open(trusting: Trusting, path: str) -> None:
    assert trusting.http.get(path).status_code in (200, 404)


def test_below_a_root_path_trust_holds_and_the_audience_has_the_public_url(
    trusting: Trusting, serving: Callable[..., Any]
) -> None:
    """In an application of somebody else; the same comes of the option --root-path of an ASGI server."""
    outer = Starlette(routes=[Mount("/tools/cds", app=trusting.app)])
    outer.state.settings = trusting.app.state.settings
    with serving(outer) as url, httpx.Client(base_url=f"{url}/tools/cds", trust_env=False) as http:
        assert http.get("/cds-services").status_code == 401
        assert http.post(CALL, json={}).status_code == 401
        assert http.get("/cds-services", headers=bearer(token(trusting.north, claims()))).status_code == 200
        assert http.get("/health").status_code == 200


def test_a_query_is_no_part_of_the_audience(trusting: Trusting) -> None:
    assert trusting.get(token(trusting.north, claims()), "/cds-services?a=b").status_code == 200


def test_a_large_body_without_a_token_is_refused_unread(trusting: Trusting, refusal: bytes) -> None:
    answer = trusting.http.post(CALL, content=b"x" * 1_900_000)
    assert (answer.status_code, answer.content) == (401, refusal)


@pytest.mark.parametrize(("path", "method"), [("/cds-services", "GET"), (CALL, "POST"), (CALL + "/feedback", "POST")])
def test_the_preflight_of_a_browser_needs_no_token(trusting: Trusting, path: str, method: str) -> None:
    asked = {
        "Origin": "https://ehr.north.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = trusting.http.options(path, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_options_that_is_no_preflight_needs_a_token(trusting: Trusting) -> None:
    assert trusting.http.options("/cds-services").status_code == 401


def test_a_page_may_read_the_refusal(trusting: Trusting) -> None:
    answer = trusting.http.get("/cds-services", headers={"Origin": "https://a.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, "*")
    assert "X-Request-Id" in answer.headers


def test_the_endpoints_learn_who_calls(trusting: Trusting) -> None:
    """Feedback and FHIR access go by it: name, tenant, and the FHIR servers of the trust file."""
    found = []

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        found.append(client_of(scope))

    async def ask() -> None:
        header = bearer(token(trusting.south, _south()))["Authorization"].encode()
        scope = {
            "type": "http",
            "path": "/cds-services",
            "headers": [(b"authorization", header)],
            "prenatal_cds": {"request_id": "", "notes": {}, "client": None},
        }
        await ClientTrust(endpoint, trusting.app.state.trust)(scope, None, None)  # type: ignore[arg-type]

    asyncio.run(ask())
    (client,) = found
    assert client is not None
    assert (client.name, client.issuer, client.tenant) == ("south", SOUTH, "ward-a")
    assert client.fhir_servers == ("https://ehr.south.example/fhir",)


def test_a_stopped_demo_clock_does_not_stop_tokens_expiring(trusting: Trusting) -> None:
    """The service of these tests runs with a fixed clock; only the clock of the tokens decides."""
    trust = trusting.app.state.trust
    real = trust.clock
    try:
        trust.clock = lambda: real() + 3600
        assert trusting.get(token(trusting.north, claims())).status_code == 401
        assert trusting.get(token(trusting.north, claims(real() + 3600))).status_code == 200
    finally:
        trust.clock = real


@pytest.mark.parametrize(
    ("offset", "status"), [(-360, 401), (-359, 200), (60, 200), (61, 401)], ids=lambda value: str(value)
)
def test_the_skew_is_exactly_as_set(trusting: Trusting, offset: int, status: int) -> None:
    """A token of 300 seconds, issued `offset` seconds from now, with 60 seconds of skew on both sides."""
    trust = trusting.app.state.trust
    real = trust.clock
    noon = 1_795_348_800
    try:
        trust.clock = lambda: noon
        assert trusting.get(token(trusting.north, claims(noon + offset))).status_code == status
    finally:
        trust.clock = real


def test_nothing_of_a_token_is_kept_in_clear(trusting: Trusting) -> None:
    jti = "canary-" + uuid.uuid4().hex
    signed = token(trusting.north, claims(jti=jti))
    assert trusting.get(signed).status_code == 200
    state: Path = trusting.app.state.settings.state_dir
    stored = b"".join(path.read_bytes() for path in state.iterdir())
    assert jti.encode() not in stored
    assert signed.rpartition(".")[2].encode() not in stored
    assert NORTH.encode() not in stored
    assert hashlib.sha256(json.dumps([NORTH, jti]).encode()).digest() in stored


def test_how_long_a_refusal_takes_tells_little_about_its_cause(trusting: Trusting) -> None:
    """Medians of ten: a check that costs more must not be told from one that costs nothing."""

    def median(make: Callable[[Trusting], str]) -> float:
        times = []
        for _ in range(10):
            signed = make(trusting)
            began = time.perf_counter()
            assert trusting.get(signed).status_code == 401
            times.append(time.perf_counter() - began)
        return sorted(times)[5]

    causes = ("garbage", "iss not listed", "kid unknown", "a stranger's key under a listed id", "expired")
    medians = [median(BAD[cause][1]) for cause in causes]
    assert max(medians) - min(medians) < 0.05, medians


PIECES = st.sampled_from(
    ["", ".", "..", "=", "A", "e30", "bnVsbA", "W10", "eyJhbGciOiJub25lIn0", "\u00e9", "\x7f", " "]
)


@hypothesis.settings(
    deadline=None, max_examples=150, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(data=st.data())
def test_no_damage_to_a_token_makes_it_good_or_fails_otherwise(trusting: Trusting, data: st.DataObject) -> None:
    whole = token(trusting.north, claims())
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 200)))
    damaged = whole[:start] + data.draw(PIECES | st.text(max_size=8)) + whole[end:]
    hypothesis.assume(damaged.lstrip(" ") != whole)  # RFC 6750 allows several spaces before the token
    with pytest.raises(Refused):
        asyncio.run(trusting.app.state.trust.verify("/cds-services", [f"Bearer {damaged}"]))


def test_without_a_trust_file_no_call_needs_a_token(client: httpx.Client, body: dict[str, Any]) -> None:
    assert client.get("/cds-services").status_code == 200
    assert client.post(CALL, json=copy.deepcopy(body), headers=bearer("garbage")).status_code == 200
