"""Feedback and the operating system: kills, a full disk, files that may only be read."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.feedback.bodies import body, overridden
from tests.knowledge.small_rules import small_rules
from tests.processes import ROOT, SERVE, Served, served

SERVICE = "prenatal-patient-view"
NOON = "2026-11-22T12:00:00Z"
KILLS = 20


def send(base: str, *items: dict[str, Any]) -> httpx.Response:
    return httpx.post(
        f"{base}/cds-services/{SERVICE}/feedback", json=body(*items), trust_env=False, timeout=20, verify=False
    )


def stored(file: Path) -> Counter[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return Counter(card for (card,) in connection.execute("SELECT card FROM feedback"))


def hook_calls_go_on(running: Served, chart: dict[str, Any]) -> None:
    answer = httpx.post(f"{running.base}/cds-services/{SERVICE}", json=chart, trust_env=False, timeout=20, verify=False)
    assert (answer.status_code, bool(answer.json()["cards"])) == (200, True)


# Imports once and forks for each life, so that the time of the test goes to killing, not to starting Python.
_LIVES = """
import os, signal, sys
from cds.service import load_settings, serve
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        serve(load_settings({"port": int(line)}))
        os._exit(0)
    os.write(int(sys.argv[1]), b"%d\\n" % child)
"""


class Lives:
    """Starts serving processes that share one state folder; each is known by its port and its process id."""

    def __init__(self, rules: Path, state: Path) -> None:
        given = {"rules_dir": rules, "state_dir": state, "cross_check": "false", "log_level": "error"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRENATAL_CDS_")}
        environment = inherited | {f"PRENATAL_CDS_{name.upper()}": str(value) for name, value in given.items()}
        self._read, write = os.pipe()
        # The ids come out by a pipe of their own: what `serve` prints must not be mixed with them.
        command = [sys.executable, "-c", _LIVES, str(write)]
        self.mother = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[write]
        )
        os.close(write)
        self._ids = os.fdopen(self._read)
        self._one_by_one = threading.Lock()
        self.alive: set[int] = set()

    def begin(self) -> tuple[str, int]:
        """A new process; returns its address once it answers, and its id."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assert self.mother.stdin is not None
        with self._one_by_one:
            self.mother.stdin.write(b"%d\n" % port)
            self.mother.stdin.flush()
            child = int(self._ids.readline())
            self.alive.add(child)
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{base}/health", trust_env=False, timeout=5)
            except httpx.TransportError:
                assert time.monotonic() < deadline, "a server did not answer within 30 seconds"
                time.sleep(0.01)
            else:
                return base, child

    def kill(self, child: int) -> None:
        os.kill(child, signal.SIGKILL)
        self.alive.discard(child)

    def end(self) -> None:
        for child in list(self.alive):
            self.kill(child)
        assert self.mother.stdin is not None
        self.mother.stdin.close()
        self.mother.wait(timeout=20)
        self._ids.close()


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Lives]:
    small = small_rules(tmp_path)
    lives = Lives(small.root, tmp_path / "state")
    yield lives
    lives.end()


@pytest.mark.slow
@pytest.mark.timeout(110)
def test_nothing_acknowledged_is_lost_or_doubled_when_processes_are_killed_while_they_write(
    lives: Lives, tmp_path: Path
) -> None:
    chance = random.Random(20261122)
    acknowledged: list[str] = []
    unsure: list[dict[str, Any]] = []

    def one_life(number: int, seconds: float) -> None:
        # Two at a time on one file: what the other is doing when its neighbour dies must stay whole, too.
        base, child = lives.begin()
        timer = threading.Timer(seconds, lives.kill, [child])
        timer.start()
        for sent in range(100_000):
            cards = [f"{number}-{sent}-{part}" for part in range(chance.randint(1, 4))]
            comment = {"userComment": "c" * chance.choice([10, 5_000])}
            items = [overridden(card, overrideReason=comment) for card in cards]
            try:
                answer = send(base, *items)
            except httpx.TransportError:
                unsure.extend(items)
                break
            assert answer.status_code == 200
            acknowledged.extend(cards)
        timer.join()

    moments = [(number, chance.uniform(0.0, 0.6)) for number in range(KILLS)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda life: one_life(*life), moments))
    file = tmp_path / "state" / "feedback.sqlite3"
    found = stored(file)
    assert len(acknowledged) > KILLS, "the stream was too thin to prove anything"
    assert set(acknowledged) - set(found) == set()
    assert set(found) - set(acknowledged) - {item["card"] for item in unsure} == set()
    assert max(found.values()) == 1
    # What a client does not know about it sends again; then each item is there, once.
    base, _ = lives.begin()
    assert send(base, *unsure).status_code == 200
    assert stored(file) == Counter([*acknowledged, *(item["card"] for item in unsure)])


def told_ready(running: Served) -> dict[str, str]:
    return dict(httpx.get(f"{running.base}/ready", trust_env=False, timeout=20).json()["checks"])


def test_a_full_disk_is_503_until_there_is_room_and_hook_calls_go_on(
    tmp_path: Path, cramps_chart: dict[str, Any]
) -> None:
    large = {"userComment": "c" * 10_000}
    with served(tmp_path, fixed_now=NOON) as running:
        pid = running.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (200_000, most))
        sent = 0
        while (answer := send(running.base, overridden(f"card-{sent}", overrideReason=large))).status_code == 200:
            sent += 1
            assert sent < 100, "the limit was never met"
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "no-store")
        hook_calls_go_on(running, cramps_chart)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4_096, most))
        assert told_ready(running)["feedback"].startswith("SQLITE_")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        assert told_ready(running)["feedback"] == "ok"
        assert send(running.base, overridden("there is room again")).status_code == 200
    found = stored(tmp_path / "state" / "feedback.sqlite3")
    assert sent > 3
    assert found == Counter([*(f"card-{number}" for number in range(sent)), "there is room again"])


# Root may write to any file; without that capability it is refused as everyone else is.
_WITHOUT_OVERRIDE = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="drops a capability of Linux")
@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_a_store_that_may_only_be_read_is_503_and_hook_calls_go_on(
    tmp_path: Path, cramps_chart: dict[str, Any], read_only: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    file = state / "feedback.sqlite3"
    if read_only == "file":
        file.touch()
        file.chmod(0o400)
    else:
        state.chmod(0o500)
    try:
        with served(tmp_path, arguments=("-c", _WITHOUT_OVERRIDE, *SERVE), fixed_now=NOON) as running:
            answer = send(running.base, overridden())
            assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "no-store")
            hook_calls_go_on(running, cramps_chart)
            file.chmod(0o600) if read_only == "file" else state.chmod(0o700)
            assert send(running.base, overridden("after")).status_code == 200
    finally:
        state.chmod(0o700)
    assert stored(file) == Counter(["after"])


def test_several_workers_share_one_store(tmp_path: Path) -> None:
    with served(tmp_path, workers=2, log_level="warning") as running, ThreadPoolExecutor(4) as pool:
        cards = [f"card-{number}" for number in range(40)]
        answers = list(pool.map(lambda card: send(running.base, overridden(card)), cards * 2))
    assert {answer.status_code for answer in answers} == {200}
    assert stored(tmp_path / "state" / "feedback.sqlite3") == Counter(cards)
