"""`prenatal-cds serve`: the same server as from the environment, with flags."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from tests.cli.conftest import NOW, ROOT, Cli
from tests.knowledge.small_rules import Rules


def test_the_flags_reach_the_server_and_an_interrupt_ends_it(rules: Rules) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--port", str(port), "--rules", str(rules.root), "--profile", "strict", "--now", NOW]
    command = [sys.executable, "-m", "cds", "serve", *flags]
    environment = {**os.environ, "PRENATAL_CDS_PROFILE": "seed"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        try:
            health = _health(port, started)
        finally:
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=30)
    assert health["rules"] == {"hash": rules.load(profile="strict").hash, "profile": "strict"}
    assert health["fixedNow"] == NOW
    assert f"Discovery:  http://127.0.0.1:{port}/cds-services" in out.decode()
    assert b"Traceback" not in err


def test_a_port_in_use_is_one_line_and_exit_code_2(cli: Cli, rules: Rules) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = cli("serve", "--port", port, "--rules", rules.root)
    assert ended.code == 2
    assert ended.complaint.startswith(f"127.0.0.1:{port}: address already in use")


def test_rules_that_do_not_load_are_not_served(cli: Cli, rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "version: 1.0.0", "version: one")
    ended = cli("serve", "--rules", rules.root)
    assert ended.code == 1
    assert ended.complaint == "advice/low-calcium.yaml:1: version 'one' must look like 1.0.0"


def _health(port: int, started: subprocess.Popen[bytes]) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert started.poll() is None, "the server ended"
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return dict(answer.json())
    pytest.fail("the server did not answer within a minute")
