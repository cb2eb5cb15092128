"""Ending under load: no request that came in goes without its whole answer."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.knowledge.small_rules import small_rules
from tests.service.processes import Load, serving_process

NOON = "2026-11-22T12:00:00Z"


@pytest.mark.parametrize("workers", [1, 2])
def test_no_answer_is_broken_when_the_service_is_told_to_end_under_load(
    tmp_path: Path, empty_chart: dict[str, Any], workers: int
) -> None:
    content = json.dumps(empty_chart).encode()
    rules = small_rules(tmp_path).root
    with serving_process(tmp_path, rules_dir=rules, workers=workers, fixed_now=NOON, log_level="warning") as served:
        load = Load(served.port, "/cds-services/prenatal-patient-view", content)
        paused = Load(served.port, "/cds-services/prenatal-patient-view", content, pause=0.05)
        with load.clients(6), paused.clients(6):
            time.sleep(1)
            served.signal(signal.SIGTERM)
            assert served.process.wait(20) == 0
    assert load.broken + paused.broken == []
    assert load.answers[200] + paused.answers[200] > 30
    assert load.refused + paused.refused > 0


def test_while_it_ends_it_says_so_and_a_slow_request_still_gets_its_answer(
    tmp_path: Path, empty_chart: dict[str, Any]
) -> None:
    content = json.dumps(empty_chart).encode()
    rules = small_rules(tmp_path).root
    with serving_process(tmp_path, rules_dir=rules, fixed_now=NOON, drain_seconds=1.5) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as slow:
            slow.sendall(
                b"POST /cds-services/prenatal-patient-view HTTP/1.1\r\nHost: cds\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
            )
            served.signal(signal.SIGTERM)
            served.until(lambda: served.get("/ready").status_code == 503)
            told = served.get("/ready")
            assert told.json()["status"] == "draining"
            assert told.headers["Connection"] == "close"
            served.until(lambda: _refuses(served.port), seconds=20)  # nothing new is accepted
            slow.sendall(content)
            answer = b"".join(iter(lambda: slow.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert "cards" in json.loads(answer.partition(b"\r\n\r\n")[2])
        assert served.process.wait(20) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_never_ends_does_not_keep_the_service_from_ending(tmp_path: Path, workers: int) -> None:
    rules = small_rules(tmp_path).root
    quick: dict[str, Any] = {"drain_seconds": 0, "shutdown_seconds": 1, "workers": workers}
    with (
        serving_process(tmp_path, rules_dir=rules, **quick) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=20) as stuck,
    ):
        stuck.sendall(b"POST /cds-services/prenatal-patient-view HTTP/1.1\r\nHost: cds\r\n")
        stuck.sendall(b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n")
        time.sleep(0.3)
        served.signal(signal.SIGTERM)
        assert served.process.wait(15) == 0


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
