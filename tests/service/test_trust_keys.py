"""Published keys: fetched from the pinned URL only, seldom, and used on while the URL fails."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette

from cds.service import create_app, load_settings
from cds.service.trust.keys import Refresh, RemoteKeys, UnusableKey, read_key, read_key_set
from tests.service.trusting import (
    PUBLIC_URL,
    Pair,
    Publisher,
    bearer,
    claims,
    elliptic,
    publishing,
    rsa_pair,
    token,
    write_trust_file,
)

Serving = Callable[[Starlette], AbstractContextManager[str]]
BOTH = ("ES384", "RS384")
PAIR = elliptic("one")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as running:
        running.keys = [PAIR.jwk()]
        yield running


@contextmanager
def trusting(serving: Serving, folder: Path, *clients: dict[str, Any], **settings: Any) -> Iterator[httpx.Client]:
    """A service whose trust file has these clients."""
    given = {
        "trust_file": write_trust_file(folder, *clients),
        "public_url": PUBLIC_URL,
        "state_dir": folder / "state",
        "log_level": "info",
    }
    with (
        serving(create_app(load_settings(given | settings))) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20) as http,
    ):
        yield http


def _client(url: str, name: str = "north", issuer: str = "https://ehr.north.example") -> dict[str, Any]:
    return {"name": name, "issuer": issuer, "jwks_url": url}


def _status(http: httpx.Client, pair: Pair = PAIR, algorithm: str = "ES384", kid: str | None = None) -> int:
    signed = token(pair, claims(), algorithm, kid=kid or pair.kid)
    return http.get("/cds-services", headers=bearer(signed)).status_code


def test_a_thousand_unknown_key_ids_cause_one_fetch(serving: Serving, tmp_path: Path, publisher: Publisher) -> None:
    with trusting(serving, tmp_path, _client(publisher.url), log_level="error") as http:
        assert _status(http) == 200

        _, body, signature = token(PAIR, claims()).split(".")

        def unknown(number: int) -> int:
            header = json.dumps({"alg": "ES384", "typ": "JWT", "kid": f"unknown-{number}"}).encode()
            start = base64.urlsafe_b64encode(header).decode().rstrip("=")
            return http.get("/cds-services", headers=bearer(f"{start}.{body}.{signature}")).status_code

        with ThreadPoolExecutor(8) as many:
            assert set(many.map(unknown, range(1000))) == {401}
        assert _status(http) == 200
    assert publisher.asked == ["/jwks.json"]


def test_a_new_key_is_found_and_a_removed_one_refused_after_the_next_fetch(
    serving: Serving, tmp_path: Path, publisher: Publisher
) -> None:
    new = rsa_pair("two")
    with trusting(serving, tmp_path, _client(publisher.url), jwks_pause_seconds=0.3) as http:
        assert _status(http) == 200
        publisher.keys = [new.jwk()]
        time.sleep(0.35)
        assert _status(http, new, "RS384") == 200, "an unknown key id fetches the set at once"
        assert _status(http) == 401
        assert len(publisher.asked) <= 3


def test_an_old_set_is_fetched_anew_though_the_key_id_is_known(
    serving: Serving, tmp_path: Path, publisher: Publisher
) -> None:
    """A key that was taken back stays good for the lifetime of the set, and no longer."""
    ages = {"jwks_lifetime_seconds": 0.5, "jwks_pause_seconds": 0.1}
    with trusting(serving, tmp_path, _client(publisher.url), **ages) as http:
        assert _status(http) == 200
        publisher.keys = []
        assert _status(http) == 200
        time.sleep(0.55)
        assert _status(http) == 401


TROUBLES: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "a redirect": {"status": 302, "headers": {"Location": "/other.json"}},
    "html": {"body": b"<html>maintenance</html>"},
    "no list": {"body": b'{"keys": {}}'},
    "nested": {"body": b"[" * 100_000},
    "huge": {"body": b'{"keys": [' + b'"' + b"x" * 1_100_000 + b'"]}'},
    "compressed": {"headers": {"Content-Encoding": "gzip"}},
    "101 keys": {"body": json.dumps({"keys": [PAIR.jwk() | {"kid": str(n)} for n in range(101)]}).encode()},
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_known_keys_go_on_while_the_key_set_url_fails_by(publisher: Publisher, trouble: str) -> None:
    reports: list[str | None] = []

    async def ask() -> None:
        tls = httpx.create_ssl_context(trust_env=False)
        keys = RemoteKeys(publisher.url, BOTH, Refresh(0.05, 0.01, 60), tls, reports.append)
        assert await keys.find("one") is not None
        for name, value in TROUBLES[trouble].items():
            setattr(publisher, name, value)
        await asyncio.sleep(0.06)
        assert await keys.find("one") is not None
        assert await keys.find("unknown") is None

    asyncio.run(ask())
    assert reports[0] is None
    assert reports[1] is not None
    assert set(publisher.asked) == {"/jwks.json"}, "a redirect is not followed"


def test_the_log_says_whose_keys_could_not_be_fetched(
    serving: Serving, tmp_path: Path, publisher: Publisher, capfd: pytest.CaptureFixture[str]
) -> None:
    ages = {"jwks_lifetime_seconds": 0.2, "jwks_pause_seconds": 0.1}
    with trusting(serving, tmp_path, _client(publisher.url), **ages) as http:
        assert _status(http) == 200
        publisher.status = 500
        time.sleep(0.25)
        assert _status(http) == 200
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    failed = [line for line in lines if line["event"] == "keys not fetched"]
    assert {(line["client"], line["level"], line["error"]) for line in failed} == {("north", "warning", "UnusableKey")}


def test_a_key_set_url_that_is_down_from_the_start_lets_nobody_in(serving: Serving, tmp_path: Path) -> None:
    with publishing() as gone:
        pass
    with trusting(serving, tmp_path, _client(gone.url), jwks_pause_seconds=0.2) as http:
        assert _status(http) == 401


def test_keys_that_were_too_long_unconfirmed_are_not_used(
    serving: Serving, tmp_path: Path, publisher: Publisher
) -> None:
    ages = {"jwks_lifetime_seconds": 0.2, "jwks_pause_seconds": 0.1, "jwks_stale_seconds": 0.2}
    with trusting(serving, tmp_path, _client(publisher.url), **ages) as http:
        assert _status(http) == 200
        publisher.status = 500
        time.sleep(0.5)
        assert _status(http) == 401
        publisher.status = 200
        time.sleep(0.15)
        assert _status(http) == 200


def test_a_slow_key_set_url_is_given_up_and_holds_no_other_client_up(
    serving: Serving, tmp_path: Path, publisher: Publisher
) -> None:
    publisher.delay = 4
    fast = elliptic("fast")
    other = {"name": "south", "issuer": "https://ehr.south.example", "jwks": {"keys": [fast.jwk()]}}
    with trusting(serving, tmp_path, _client(publisher.url), other) as http:

        def slow() -> tuple[int, float]:
            began = time.monotonic()
            return _status(http), time.monotonic() - began

        with ThreadPoolExecutor(8) as many:
            waiting = [many.submit(slow) for _ in range(5)]
            time.sleep(0.1)
            began = time.monotonic()
            signed = token(fast, claims(iss="https://ehr.south.example"))
            assert http.get("/cds-services", headers=bearer(signed)).status_code == 200
            assert time.monotonic() - began < 1
            for status, seconds in (one.result() for one in waiting):
                assert status == 401
                assert seconds < 3
    assert len(publisher.asked) == 1, "five calls wait for one fetch"


def test_a_body_that_drips_does_not_outlast_the_time_limit() -> None:
    """A byte now and then satisfies every read timeout; only the time for the whole ends it."""

    ended = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with suppress(OSError):
            for _byte in range(30):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
        writer.close()
        ended.set()

    async def fetch() -> tuple[float, list[str | None]]:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reports: list[str | None] = []
        tls = httpx.create_ssl_context(trust_env=False)
        url = f"http://127.0.0.1:{port}/"
        keys = RemoteKeys(url, BOTH, Refresh(60, 60, 60), tls, reports.append)
        began = time.monotonic()
        assert await keys.find("one") is None
        seconds = time.monotonic() - began
        await ended.wait()
        server.close()
        return seconds, reports

    seconds, reports = asyncio.run(fetch())
    assert 1.5 < seconds < 3
    assert reports == ["TimeoutError"]


def test_a_caller_that_hangs_up_does_not_end_the_fetch_that_others_wait_for(publisher: Publisher) -> None:
    publisher.delay = 0.3
    reports: list[str | None] = []

    async def ask() -> bool:
        tls = httpx.create_ssl_context(trust_env=False)
        keys = RemoteKeys(publisher.url, BOTH, Refresh(60, 60, 60), tls, reports.append)
        first, second = asyncio.create_task(keys.find("one")), asyncio.create_task(keys.find("one"))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second is not None

    assert asyncio.run(ask())
    assert len(publisher.asked) == 1
    assert reports == [None]


def test_keys_are_fetched_when_the_service_starts(serving: Serving, tmp_path: Path, publisher: Publisher) -> None:
    with trusting(serving, tmp_path, _client(publisher.url)):
        deadline = time.monotonic() + 5
        while not publisher.asked and time.monotonic() < deadline:
            time.sleep(0.02)
    assert publisher.asked == ["/jwks.json"]


def test_a_proxy_of_the_environment_is_not_asked(
    serving: Serving, tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with trusting(serving, tmp_path, _client(publisher.url)) as http:
        assert _status(http) == 200


UNUSABLE: dict[str, Any] = {
    "a private key": PAIR.jwk() | {"d": "AAAA"},
    "a shared secret": {"kid": "a", "kty": "oct", "k": "AAAA"},
    "no key id": {name: value for name, value in PAIR.jwk().items() if name != "kid"},
    "a key id that is a number": PAIR.jwk() | {"kid": 1},
    "a key to encrypt": PAIR.jwk() | {"use": "enc"},
    "a key for other operations": PAIR.jwk() | {"key_ops": ["sign"]},
    "another curve": elliptic("a", ec.SECP256R1()).jwk(),
    "a curve that is none": PAIR.jwk() | {"crv": ["P-384"]},
    "a point that is not on the curve": PAIR.jwk() | {"x": PAIR.jwk()["y"]},
    "a point of another curve": elliptic("a", ec.SECP521R1()).jwk() | {"crv": "P-384"},
    "a key for an algorithm that the client may not use": rsa_pair("a").jwk() | {"alg": "RS512"},
    "a number where text belongs": PAIR.jwk() | {"x": 1},
    "RSA of 1024 bits": rsa_pair("a", 1024).jwk(),
    "RSA with exponent 1": rsa_pair("a").jwk() | {"e": "AQ"},
    "RSA without numbers": {"kid": "a", "kty": "RSA"},
    "RSA that is far too long": {"kid": "a", "kty": "RSA", "e": "AQAB", "n": "_" * 20_000},
    "no object": "key",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_no_key_for_tokens_is(name: str) -> None:
    with pytest.raises(UnusableKey):
        read_key(UNUSABLE[name], BOTH)


def test_unusable_keys_of_a_published_set_are_passed_over_and_ids_that_stand_twice_left_out() -> None:
    twice = [elliptic("twice").jwk(), elliptic("twice").jwk()]
    found = read_key_set({"keys": [*UNUSABLE.values(), *twice, PAIR.jwk(), rsa_pair("two").jwk()]}, BOTH)
    assert {kid: set(key.algorithms) for kid, key in found.items()} == {"one": {"ES384"}, "two": {"RS384"}}
