"""One patient, the same cards: from prefetch, from either FHIR server, and from half of each.

The patients are those of golden requests, many on one server at once, so that a row of another patient would show.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds.advise import Adviser
from cds.service import create_app, load_settings
from tests.peers.fhir_servers import SERVERS
from tests.real.ehr import Chart, Entry

Json = dict[str, Any]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NAMES = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))
# Few, because the memory repository looks at every resource for every search; with all kinds of resources.
QUICK = (
    "antibiotic-order-while-taking-calcium",
    "calcium-order-test-already-open",
    "calcium-order-with-high-calcium",
    "calcium-order-with-thiazide-and-digoxin",
    "diet-and-tired-legs-told-in-the-questionnaire",
    "high-calcium-while-taking-calcium",
    "one-leg-swelling-with-negative-ultrasound",
    "quinine-order-for-cramps",
)
TOKEN = "canary-token-93b0"
SCOPES = {"sekmet": "patient/*.rs", "medplum": "patient/*.read"}


@cache
def _patient(name: str) -> tuple[Json, tuple[Json, ...]]:
    """A golden request without prefetch, and its resources; ids are made unique to this request."""
    text = (FIXTURES / "requests" / f"{name}.json").read_text("utf-8")
    call = json.loads(text)
    old, new = call["context"]["patientId"], f"p{NAMES.index(name)}"
    rows = [row for value in (call.pop("prefetch", None) or {}).values() for row in _resources(value)]
    names = {f"Patient/{old}": f"Patient/{new}"}
    for row in rows:
        row.setdefault("id", uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(row, sort_keys=True)).hex)
        kind = row["resourceType"]
        names.setdefault(f"{kind}/{row['id']}", f"{kind}/{new}-{row['id']}")
    unique = {names[f"{row['resourceType']}/{row['id']}"]: row for row in rows}
    records = tuple(_renamed(row, names) | {"id": name.partition("/")[2]} for name, row in unique.items())
    call["context"] = _renamed(call["context"], names) | {"patientId": new}
    return call, records


def _resources(value: Any) -> Iterator[Json]:
    if value is None or value["resourceType"] == "OperationOutcome":
        return
    if value["resourceType"] != "Bundle":
        yield value
    for entry in value.get("entry", ()):
        yield from _resources(entry["resource"])


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: names.get(row, row) if key == "reference" else _renamed(row, names) for key, row in value.items()}
    return [_renamed(row, names) for row in value] if isinstance(value, list) else value


def _peer(server: str, names: Sequence[str], folder: Path) -> AbstractContextManager[str]:
    """A FHIR server that holds these patients."""
    return SERVERS[server]([record for name in names for record in _patient(name)[1]], TOKEN, folder)


@contextmanager
def _service(serving: Any, fhir_server: str) -> Iterator[httpx.Client]:
    now = (FIXTURES / "now.txt").read_text("utf-8").strip()
    settings = load_settings(
        {"fixed_now": now, "log_level": "warning", "fhir_servers": fhir_server, "fhir_timeout_seconds": 20}
    )
    with serving(create_app(settings)) as base, httpx.Client(base_url=base, timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture(scope="module", params=SERVERS)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Name and base URL of a FHIR server that holds the patients of QUICK."""
    with _peer(request.param, QUICK, tmp_path_factory.mktemp("peer")) as base:
        yield request.param, base


@pytest.fixture(scope="module")
def service(serving: Any, peer: tuple[str, str]) -> Iterator[httpx.Client]:
    with _service(serving, peer[1]) as http:
        yield http


@pytest.fixture(scope="session")
def templates(adviser: Adviser) -> dict[str, dict[str, str]]:
    return {entry.hook: dict(entry.prefetch or {}) for entry in adviser.services()}


def _ask(service: httpx.Client, call: Json, prefetch: Json, base: str | None = None, scope: str = "") -> Any:
    """Status and body; what a server or a chance put in (uuids, meta) is left out."""
    body = copy.deepcopy(call) | {"prefetch": prefetch}
    if base is not None:
        access = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": scope, "subject": "us"}
        body |= {"fhirServer": base, "fhirAuthorization": access | {"patient": call["context"]["patientId"]}}
    answer = service.post(f"/cds-services/prenatal-{call['hook']}", json=body)
    return answer.status_code, _plain(answer.json())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(row) for key, row in value.items() if key not in ("uuid", "meta")}
    return [_plain(row) for row in value] if isinstance(value, list) else value


def _compare(service: httpx.Client, peer: tuple[str, str], templates: dict[str, dict[str, str]], name: str) -> Any:
    server, base = peer
    call, records = _patient(name)
    chart = Chart(call["context"]["patientId"], tuple(Entry(record) for record in records))
    prefetch = chart.prefetch(templates[call["hook"]])
    whole = _ask(service, call, prefetch)
    assert _ask(service, call, {}, base, SCOPES[server]) == whole, f"{name}: nothing in prefetch"
    for first in (0, 1):
        half = {key: prefetch[key] for key in list(prefetch)[first::2]}
        assert _ask(service, call, half, base, SCOPES[server]) == whole, f"{name}: half in prefetch"
    return whole


@pytest.mark.parametrize("name", QUICK)
def test_the_cards_are_the_same_wherever_the_record_comes_from(
    service: httpx.Client, peer: tuple[str, str], templates: dict[str, dict[str, str]], name: str
) -> None:
    status, body = _compare(service, peer, templates, name)
    assert status == 200
    assert bool(body["cards"]) is (name != "calcium-order-test-already-open")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_every_golden_patient_gets_the_same_cards_from_sekmet(
    serving: Any, templates: dict[str, dict[str, str]], tmp_path: Path, part: int
) -> None:
    names = NAMES[part::3]
    with _peer("sekmet", names, tmp_path) as base, _service(serving, base) as service:
        cards = 0
        for name in names:
            _, body = _compare(service, ("sekmet", base), templates, name)
            cards += len(body.get("cards", ()))
        assert cards > len(names)


def test_a_token_that_the_server_does_not_know_gives_412(service: httpx.Client, peer: tuple[str, str]) -> None:
    call = copy.deepcopy(_patient(QUICK[0])[0])
    access = {"access_token": "x", "token_type": "Bearer", "expires_in": 9, "scope": "patient/*.rs", "subject": "us"}
    call |= {"fhirServer": peer[1], "fhirAuthorization": access}
    answer = service.post(f"/cds-services/prenatal-{call['hook']}", json=call)
    assert answer.status_code == 412
    assert "the FHIR server refused" in answer.text
