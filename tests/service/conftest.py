"""A real server on a free loopback port, for every test that speaks HTTP."""

from __future__ import annotations

import copy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from cds.service import create_app, load_settings
from cds.service.run import uvicorn_options
from tests.canary import NET, PRIVATE_HEADERS, PRIVATE_PERSON

NOON = "2026-11-22T12:00:00Z"
ServiceBody = dict[str, Any]


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """Serve `app` by uvicorn, with the options of production, in a thread; yields the base URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(NET.around(app), **uvicorn_options(app.state.settings)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise RuntimeError("the test server did not start within 20 seconds")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


@pytest.fixture(scope="session")
def serving() -> Callable[[Starlette], AbstractContextManager[str]]:
    """`with serving(app) as base_url:` for a test that needs an application of its own."""
    return running


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Base URL of the service with the bundled rules and a clock stopped at noon of 2026-11-22, UTC."""
    with running(create_app(load_settings({"fixed_now": NOON, "log_level": "warning"}))) as base:
        yield base


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    """An HTTP client of the running service; paths are relative to it."""
    with httpx.Client(base_url=server, timeout=20, trust_env=False, headers=PRIVATE_HEADERS) as http:
        yield http


@pytest.fixture(scope="session")
def empty_chart(server: str) -> ServiceBody:
    """A valid patient-view call for a woman with an empty chart: each prefetch key answered, most by null."""
    services = httpx.get(f"{server}/cds-services", trust_env=False).json()["services"]
    entry = next(service for service in services if service["hook"] == "patient-view")
    patient = {"resourceType": "Patient", "id": "mother-1", "gender": "female", "birthDate": "1996-04-12"}
    patient |= PRIVATE_PERSON
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/12", "patientId": "mother-1"},
        "prefetch": {
            key: patient if template.startswith("Patient/") else None for key, template in entry["prefetch"].items()
        },
    }


@pytest.fixture(scope="session")
def cramps_chart(empty_chart: ServiceBody) -> ServiceBody:
    """The call of `empty_chart` for a pregnant woman with leg cramps; every id holds `mother-1`."""
    chart = copy.deepcopy(empty_chart)
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    chart["prefetch"]["conditions"] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {
                "resource": {
                    "resourceType": "Condition",
                    "id": f"{name}-mother-1",
                    "clinicalStatus": {"coding": [active]},
                    "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
                    "subject": {"reference": "Patient/mother-1"},
                    "recordedDate": "2026-11-20",
                }
            }
            for name, code in (("pregnancy", "77386006"), ("cramps", "449917004"))
        ],
    }
    return chart


@pytest.fixture
def body(empty_chart: ServiceBody) -> ServiceBody:
    """A copy of `empty_chart` that a test may change."""
    return copy.deepcopy(empty_chart)
