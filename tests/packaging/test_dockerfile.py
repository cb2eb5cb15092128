"""The Dockerfile copies what exists, runs what exists and does not run as root."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order, continued lines joined and comments dropped."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    joined = "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ")
    parsed = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(word.upper(), re.sub(r"\s+", " ", rest).strip()) for word, rest in parsed]


def final_stage() -> list[tuple[str, str]]:
    steps = instructions()
    start = max(index for index, (word, _) in enumerate(steps) if word == "FROM")
    return steps[start:]


def last(word: str) -> str:
    return [rest for name, rest in final_stage() if name == word][-1]


def copied() -> list[str]:
    """Return every source that is copied out of the checkout (not out of an earlier stage)."""
    return [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]


def pinned(name: str) -> set[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_the_service_does_not_run_as_root() -> None:
    user = last("USER").partition(":")[0]
    assert user.isdigit(), "a number, so that Kubernetes can tell that it is not root"
    assert int(user) != 0


def test_the_image_that_runs_has_no_compiler() -> None:
    assert not [rest for word, rest in final_stage() if word == "RUN" and "apt-get" in rest]
    assert [rest for word, rest in instructions() if word == "RUN" and " gcc " in rest]


def test_both_stages_have_the_same_supported_python() -> None:
    bases = {rest.partition(" ")[0] for word, rest in instructions() if word == "FROM"}
    assert len(bases) == 1
    found = re.fullmatch(r"python:3\.(1[123])-slim", bases.pop())
    assert found


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_is_let_through_by_dockerignore(source: str) -> None:
    assert (ROOT / source).exists()
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    verdict = [line for line in patterns if fnmatch.fnmatch(source.rstrip("/"), line.lstrip("!").rstrip("/"))][-1]
    assert verdict.startswith("!")


def test_the_install_step_is_the_one_that_make_install_uses() -> None:
    (step,) = [rest for word, rest in instructions() if word == "RUN" and "install.sh" in rest]
    assert step == "sh requirements/install.sh /opt/venv runtime python3"
    assert "sh requirements/install.sh" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_exactly_the_build_tools_are_removed_before_the_service_is_copied() -> None:
    (step,) = [rest for word, rest in instructions() if word == "RUN" and "pip uninstall" in rest]
    removed = set(step.partition("--yes")[2].split())
    assert removed == pinned("build") - pinned("runtime")


def test_the_command_is_a_verb_that_the_service_has() -> None:
    command = json.loads(last("CMD"))
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert command[0] in scripts
    shown = subprocess.run(
        [sys.executable, "-m", "cds", command[1], "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    options = [word for word in command[2:] if word.startswith("--")]
    assert options
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout)
    assert all(option in plain for option in options)


def test_the_health_check_asks_the_port_that_is_exposed() -> None:
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{last('EXPOSE')}/health" in command[2]


class _Fine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_health_check_goes_past_the_proxy_of_a_hospital() -> None:
    code = json.loads(last("HEALTHCHECK").partition("CMD ")[2])[2]
    server = HTTPServer(("127.0.0.1", 0), _Fine)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        here = code.replace(f":{last('EXPOSE')}/", f":{server.server_port}/")
        nobody = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
        ended = subprocess.run([sys.executable, "-c", here], env=os.environ | nobody, check=False, timeout=30)
    finally:
        server.shutdown()
        server.server_close()
    assert ended.returncode == 0
