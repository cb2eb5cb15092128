"""The service as operators run it: `serve` in a process of its own, with its output in files."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.canary import NET

ROOT = Path(__file__).resolve().parents[1]
SERVE = ("-m", "cds", "serve")


@dataclass
class Served:
    """A running service: its address, its process, and the files that its output goes to."""

    base: str
    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def kill(self) -> None:
        """End it as a power cut would: nothing of its own runs any more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=20)

    def stop(self) -> None:
        """End it as a supervisor does; killed when it does not end within 20 seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def served(folder: Path, *, arguments: Sequence[str] = SERVE, **settings: Any) -> Iterator[Served]:
    """Run Python with `arguments` and these settings until the end of the block; waits until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRENATAL_CDS_")}
    given = {"port": port, "state_dir": folder / "state", **settings}
    environment = inherited | {f"PRENATAL_CDS_{name.upper()}": str(value) for name, value in given.items()}
    stdout, stderr = folder / f"stdout-{port}", folder / f"stderr-{port}"
    with stdout.open("wb") as out, stderr.open("wb") as errors:
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=out, stderr=errors)
    running = Served(f"http://127.0.0.1:{port}", process, stdout, stderr)
    try:
        _wait(running)
        yield running
    finally:
        running.stop()
        for file in (stdout, stderr):
            NET.look(file.name, file.read_bytes())


def _wait(running: Served) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert running.process.poll() is None, f"the server ended: {running.stderr.read_text()}"
        try:
            httpx.get(f"{running.base}/health", trust_env=False, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not answer within a minute")
