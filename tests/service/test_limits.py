"""Bodies that are too large, too slow or lie about their length, by raw sockets where a library is honest."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import create_app, load_settings

VIEW = "/cds-services/prenatal-patient-view"
LIMIT = 20_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def small(serving: Callable[[Starlette], AbstractContextManager[str]]) -> Iterator[str]:
    """A service that takes 20,000 bytes within one second."""
    settings = load_settings(
        {
            "max_body_bytes": LIMIT,
            "body_timeout_seconds": 1,
            "fixed_now": "2026-11-22T12:00:00Z",
            "log_level": "error",
        }
    )
    with serving(create_app(settings)) as base:
        yield base


def _padded(body: dict[str, Any], size: int) -> bytes:
    """The call as JSON of exactly `size` bytes."""
    text = json.dumps(body).encode()
    assert len(text) <= size
    return text + b" " * (size - len(text))


def _raw(base: str, head: str, *pieces: bytes, pause: float = 0) -> tuple[int, bytes]:
    """Status and whole answer to a hand-written request; the socket stays open until the server spoke."""
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        wire.sendall(f"POST {VIEW} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode())
        for piece in pieces:
            wire.sendall(piece)
            if select.select([wire], [], [], pause)[0]:
                break
        answer = b""
        while chunk := wire.recv(65536):
            answer += chunk
            head_end = answer.find(b"\r\n\r\n")
            if head_end >= 0 and answer.endswith(b"}"):
                break
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (10 * LIMIT, 413)])
def test_a_body_is_refused_from_one_byte_over_the_limit(
    small: str, body: dict[str, Any], size: int, status: int
) -> None:
    answer = httpx.post(f"{small}{VIEW}", content=_padded(body, size), headers=JSON, trust_env=False)
    assert answer.status_code == status
    if status == 413:
        assert answer.json()["issue"][0]["code"] == "too-long"
        assert str(LIMIT) in answer.json()["issue"][0]["details"]["text"]


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (3 * LIMIT, 413)])
def test_a_chunked_body_without_a_length_meets_the_same_limit(
    small: str, body: dict[str, Any], size: int, status: int
) -> None:
    content = _padded(body, size)
    pieces = (content[start : start + 997] for start in range(0, size, 997))
    answer = httpx.post(f"{small}{VIEW}", content=pieces, headers=JSON, trust_env=False)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.status_code == status


def test_an_endless_chunked_body_is_cut_off(small: str) -> None:
    head = "Content-Type: application/json\r\nTransfer-Encoding: chunked"
    status, _ = _raw(small, head, *[b"2710\r\n" + b" " * 10_000 + b"\r\n"] * 9)
    assert status == 413


def test_a_length_that_promises_more_than_comes_is_408_after_the_time_limit(small: str) -> None:
    started = time.monotonic()
    status, answer = _raw(small, "Content-Type: application/json\r\nContent-Length: 500", b"{}")
    assert status == 408
    assert b"OperationOutcome" in answer
    assert 0.8 < time.monotonic() - started < 10


def test_a_body_that_drips_is_408_after_the_time_limit_although_each_drop_is_in_time(small: str) -> None:
    head = "Content-Type: application/json\r\nContent-Length: 500"
    started = time.monotonic()
    status, _ = _raw(small, head, *[b" "] * 60, pause=0.2)
    assert status == 408
    assert time.monotonic() - started < 10, "the limit counts from the last drop, not from the first"


def test_a_length_over_the_limit_is_refused_before_the_body_is_asked_for(small: str) -> None:
    head = f"Content-Type: application/json\r\nContent-Length: {10**9}\r\nExpect: 100-continue"
    status, answer = _raw(small, head)
    assert status == 413
    assert b"100 Continue" not in answer


def test_a_length_shorter_than_the_body_never_joins_the_rest_to_it(small: str, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    status, answer = _raw(small, f"Content-Type: application/json\r\nContent-Length: {len(content) - 5}", content)
    assert status == 400
    assert b'"cards"' not in answer


def test_a_client_that_hangs_up_does_not_disturb_the_next_one(small: str, body: dict[str, Any]) -> None:
    host, port = small.removeprefix("http://").split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=5) as wire:
            wire.sendall(f"POST {VIEW} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode())
            wire.sendall(b"Content-Length: 500\r\n\r\n{")
    assert httpx.post(f"{small}{VIEW}", json=body, trust_env=False).status_code == 200
