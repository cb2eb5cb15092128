"""A small rules folder, a request for it, and the command line as its user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cds.cli import main
from tests.knowledge.small_rules import Rules, small_rules

NOW = "2026-11-22T12:00:00+00:00"
ROOT = Path(__file__).resolve().parents[2]
Body = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How one command line ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a failure; nothing else may have been said."""
        assert self.out == ""
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err.rstrip("\n")


Cli = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PRENATAL_CDS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """`cli("check", "--rules", path)`: the entry point of the console script, in this process."""

    def run(*words: object) -> Ended:
        capfd.readouterr()
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def process() -> Cli:
    """The same in a process of its own, as a shell starts it; stdin by keyword."""

    def run(*words: object, stdin: bytes = b"") -> Ended:
        command = [sys.executable, "-m", "cds", *(str(word) for word in words)]
        done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, timeout=60)
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """A folder of two rules without a problem."""
    return small_rules(tmp_path)


def bundle(*resources: Body) -> Body:
    """A searchset; each resource is about the patient of the request."""
    subject = {"subject": {"reference": "Patient/mother-1"}}
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": {**resource, **subject}} for resource in resources],
    }


def calcium(value: float, day: str, id: str = "calcium-result-of-november-2026") -> Body:
    """A final serum calcium in mmol/L."""
    unit = {"system": "http://unitsofmeasure.org", "code": "mmol/L", "unit": "mmol/L"}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2000-8"}]},
        "effectiveDateTime": day,
        "valueQuantity": {"value": value, **unit},
    }


@pytest.fixture
def body() -> Body:
    """A pregnant woman with an old calcium result; her open orders are not supplied."""
    status = {
        "resourceType": "Observation",
        "id": "status-1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "82810-3"}]},
        "effectiveDateTime": "2026-11-20",
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]},
    }
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/12", "patientId": "mother-1"},
        "prefetch": {
            "patient": {
                "resourceType": "Patient",
                "id": "mother-1",
                "gender": "female",
                "birthDate": "1996-04-12",
            },
            "pregnancy": bundle(status),
            "conditions": None,
            "laboratory": bundle(calcium(2.05, "2026-09-01")),
        },
    }


@pytest.fixture
def request_file(tmp_path: Path) -> Callable[[Body], Path]:
    """Write a body to a file."""

    def write(body: Body) -> Path:
        path = tmp_path / "request.json"
        path.write_text(json.dumps(body), encoding="utf-8")
        return path

    return write


@pytest.fixture
def asking(rules: Rules, request_file: Callable[[Body], Path], cli: Cli) -> Callable[..., Ended]:
    """`asking("run", body, "--json")`: a verb about a body, with the small rules at noon of 2026-11-22."""

    def ask(verb: str, body: Body, *words: object) -> Ended:
        return cli(verb, request_file(body), "--rules", rules.root, "--now", NOW, *words)

    return ask


@pytest.fixture
def rules_with_any(rules: Rules) -> None:
    """low-calcium with an alternative of two conditions, the second of which nobody can know."""
    rules.edit(
        "advice/low-calcium.yaml",
        "  - {lab: serum-calcium, below: calcium-low, as: result}\n",
        "  - any:\n"
        "      - {lab: serum-calcium, below: calcium-low, as: result}\n"
        "      - all:\n"
        "          - {gestation: pregnant}\n"
        "          - {request: serum-calcium, open_within: order-window}\n",
    )
