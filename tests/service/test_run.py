"""Starting the server as an operator does: in its own process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds.hooks import ServiceEntry
from cds.service import load_settings
from cds.service.run import example_call, greeting

COMMAND = [sys.executable, "-c", "from cds.service import load_settings, serve; serve(load_settings())"]
ROOT = Path(__file__).resolve().parents[2]


def _environment(**settings: Any) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRENATAL_CDS_")}
    return inherited | {f"PRENATAL_CDS_{name.upper()}": str(value) for name, value in settings.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(**settings: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not answer within a minute")


def _post_as_printed(line: str) -> httpx.Response:
    """Do what pasting the printed curl command would do."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-s"]
    data = words[words.index("-d") + 1]
    content = (ROOT / data[1:]).read_bytes() if data.startswith("@") else data.encode()
    name, _, value = words[words.index("-H") + 1].partition(": ")
    return httpx.post(words[2], content=content, headers={name: value}, trust_env=False, timeout=30)


def test_serve_prints_where_discovery_is_and_a_call_that_works_as_printed() -> None:
    port = _free_port()
    with _process(port=port, fixed_now="2026-11-22T12:00:00Z") as process:
        assert process.stdout is not None
        printed = [process.stdout.readline().strip() for _ in range(4)]
        _wait(port, process)
        assert printed[0] == f"Discovery:  http://127.0.0.1:{port}/cds-services"
        assert httpx.get(printed[0].split()[-1], trust_env=False).status_code == 200
        answer = _post_as_printed(printed[2])
        assert answer.status_code == 200, answer.text
        assert "cards" in answer.json()
        assert "2026-11-22T12:00:00" in printed[3]


def test_interrupting_the_server_ends_it_quietly() -> None:
    port = _free_port()
    with _process(port=port) as process:
        _wait(port, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert lines
    assert all("Traceback" not in line["event"] for line in lines)


_HUNG_UP_WHILE_IT_STARTS = """
import signal
from cds.service import load_settings, run
def create_app(settings):
    signal.raise_signal(signal.SIGHUP)
    raise SystemExit(7)
run.create_app = create_app
run.serve(load_settings())
"""


def test_a_signal_for_new_rules_does_not_end_a_service_that_is_loading_its_first() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _HUNG_UP_WHILE_IT_STARTS], cwd=ROOT, env=_environment(), check=False, timeout=60
    )
    assert ended.returncode == 7


_INTERRUPTED_WHILE_IT_LOADS = """
import runpy, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "cds.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
runpy.run_module("cds", run_name="__main__")
"""


def test_interrupting_the_program_while_it_loads_prints_no_traceback() -> None:
    command = [sys.executable, "-c", _INTERRUPTED_WHILE_IT_LOADS]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = subprocess.run(
            COMMAND,
            cwd=ROOT,
            env=_environment(port=port),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"127.0.0.1:{port}: ")
    assert "PRENATAL_CDS_PORT" in line
    assert ended.stdout == ""


def test_broken_rules_stop_the_server_before_it_listens(tmp_path: Path) -> None:
    ended = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=_environment(port=_free_port(), rules_dir=tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_two_workers_serve_the_settings_of_their_parent() -> None:
    port = _free_port()
    with _process(port=port, workers=2, fixed_now="2026-11-22T12:00:00Z") as process:
        _wait(port, process)
        clocks = {httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).json()["fixedNow"] for _ in range(20)}
    assert clocks == {"2026-11-22T12:00:00+00:00"}


def _entry(hook: str) -> ServiceEntry:
    return ServiceEntry(hook=hook, id=f"prenatal-{hook}", description="Advises.")


def test_the_greeting_names_a_reachable_address_when_listening_on_all() -> None:
    for host, shown in (("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("192.0.2.1", "192.0.2.1")):
        lines = greeting(load_settings({"host": host, "port": 8123}), [_entry("patient-view")])
        assert lines[0] == f"Discovery:  http://{shown}:8123/cds-services"


def test_an_example_call_without_fixtures_carries_a_body_that_is_answered_by_a_card(
    monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setattr("cds.service.run._fixtures", list)
    printed = example_call(server, [_entry("order-sign"), _entry("patient-view")], date(2026, 11, 22))
    assert shlex.split(printed)[2] == f"{server}/cds-services/prenatal-patient-view"
    answer = _post_as_printed(printed)
    assert answer.status_code == 200, answer.text
    assert answer.json()["cards"]


def test_a_running_clock_is_told_apart_from_the_day_of_the_fixtures(monkeypatch: pytest.MonkeyPatch) -> None:
    dated = (ROOT / "fixtures" / "now.txt").read_text("utf-8").strip()
    running = greeting(load_settings(), [_entry("order-select"), _entry("patient-view")])
    assert f"PRENATAL_CDS_FIXED_NOW={dated}" in running[-2]
    assert load_settings({"fixed_now": dated}).fixed_now is not None
    monkeypatch.setattr("cds.service.run._fixtures", list)
    assert "FIXED_NOW" not in greeting(load_settings(), [_entry("patient-view")])[-2]
