"""The service in processes of its own, and clients that notice every broken answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "cds", "serve")


@dataclass
class Served:
    """A running `prenatal-cds serve`; `errors` is the file that takes its stderr."""

    process: subprocess.Popen[bytes]
    port: int
    errors: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.base + path, trust_env=False, timeout=20)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text("utf-8").splitlines()]

    def events(self) -> Counter[str]:
        return Counter(line["event"] for line in self.log())

    def workers(self) -> list[int]:
        """Process ids of its workers; skips the test where the kernel does not list them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not children.exists():
            pytest.skip("only where the kernel lists the children of a process")
        pids = [int(pid) for pid in children.read_text("ascii").split()]
        return [pid for pid in pids if "spawn_main" in _command(pid)]

    def resident_bytes(self) -> int:
        """Its memory; skips the test where there is no /proc."""
        status = Path(f"/proc/{self.process.pid}/statm")
        if not status.exists():
            pytest.skip("only where /proc tells the memory of a process")
        return int(status.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def until(self, done: Any, seconds: float = 60) -> None:
        """Wait until `done()` is true."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, self.errors.read_text("utf-8")[-2000:]
            time.sleep(0.05)


@contextmanager
def serving_process(
    folder: Path,
    *,
    stdout: Any = subprocess.DEVNULL,
    stderr: Any = None,
    wrapper: tuple[str, ...] = (),
    **settings: Any,
) -> Iterator[Served]:
    """Run the service with these settings until the end of the block; it is killed if it does not end by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRENATAL_CDS_")}
    ours = {f"PRENATAL_CDS_{name.upper()}": str(value) for name, value in ({"port": port} | settings).items()}
    errors = folder / "stderr"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            (*wrapper, *COMMAND),
            cwd=ROOT,
            env=inherited | ours,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr or file,
        )
        served = Served(process, port, errors)
        try:
            _wait(served)
            yield served
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    except OSError:
        return ""


def _wait(served: Served) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert served.process.poll() is None, served.errors.read_text("utf-8")
        try:
            served.get("/health")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not answer within a minute")


@dataclass
class Load:
    """Clients that call without pause, each on its kept connection, and what they saw.

    An answer is broken when a request had been sent on a connection that was new, or that had answered before without
    saying that it would close, and then no whole answer of status 200 came back. That no connection can be made is no
    broken answer.
    """

    port: int
    path: str
    body: bytes
    pause: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    refused: int = 0
    hashes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    _threads: list[threading.Thread] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def clients(self, number: int) -> Iterator[Load]:
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)

    def _client(self) -> None:
        while not self._stop.is_set():
            connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.connect()
            except OSError:
                self.refused += 1
                connection.close()
                time.sleep(0.02)
                continue
            with contextlib.closing(connection):
                while not self._stop.is_set() and self._call(connection):
                    time.sleep(self.pause)

    def _call(self, connection: HTTPConnection) -> bool:
        """One call; whether the connection can be used again."""
        began = time.monotonic()
        try:
            connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            cards = json.loads(content)
        except (OSError, HTTPException, ValueError) as error:
            self.broken.append(f"{type(error).__name__}: {error}")
            return False
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[answer.status] += 1
        if answer.status != 200 or "cards" not in cards:
            self.broken.append(f"status {answer.status}")
        else:
            self.hashes[cards["extension"]["org.prenatal-cds.response"]["knowledge"]] += 1
        return not answer.will_close
