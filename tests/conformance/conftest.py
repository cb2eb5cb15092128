"""A real service, asked every golden request in every language: what the conformance tests look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds.service import create_app, load_settings
from tests.service.conftest import running

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
LANGUAGES = ("en", "es", "zh-Hans")


@dataclass(frozen=True)
class Answer:
    """One golden request (by its file name) and what came back for it."""

    name: str
    request: Any
    response: Any

    @property
    def cards(self) -> list[Any]:
        return list(self.response["cards"])


@pytest.fixture(scope="session")
def service() -> Iterator[httpx.Client]:
    """An HTTP client of a running service whose clock stands where that of the golden requests does."""
    now = (FIXTURES / "now.txt").read_text(encoding="utf-8").strip()
    app = create_app(load_settings({"fixed_now": now, "log_level": "warning"}))
    with running(app) as base, httpx.Client(base_url=base, timeout=20, trust_env=False) as http:
        yield http


@pytest.fixture(scope="session")
def entries(service: httpx.Client) -> list[Any]:
    """The services of discovery."""
    services = service.get("/cds-services").json()["services"]
    assert services
    return list(services)


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """The golden requests by name."""
    paths = sorted((FIXTURES / "requests").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


@pytest.fixture(scope="session")
def answers(service: httpx.Client, entries: list[Any], golden: dict[str, Any]) -> list[Answer]:
    """Every golden request in every language, answered."""
    address = {entry["hook"]: f"/cds-services/{entry['id']}" for entry in entries}
    given = []
    for name, request in golden.items():
        for language in LANGUAGES:
            answer = service.post(address[request["hook"]], json=request, headers={"Accept-Language": language})
            assert answer.status_code == 200, (name, answer.text)
            given.append(Answer(name, request, answer.json()))
    return given


@pytest.fixture(scope="session")
def cards(answers: list[Answer]) -> list[Any]:
    found = [card for answer in answers for card in answer.cards]
    assert len(found) > 100
    return found


@pytest.fixture(scope="session")
def suggestions(cards: list[Any]) -> list[Any]:
    return [suggestion for card in cards for suggestion in card.get("suggestions", ())]


@pytest.fixture(scope="session")
def actions(suggestions: list[Any]) -> list[Any]:
    found = [action for suggestion in suggestions for action in suggestion["actions"]]
    assert {action["type"] for action in found} == {"create", "update", "delete"}, "no golden request for some type"
    return found


@pytest.fixture(scope="session")
def links(cards: list[Any]) -> list[Any]:
    found = [link for card in cards for link in card.get("links", ())]
    assert found
    return found


@pytest.fixture
def call(service: httpx.Client, entries: list[Any], golden: dict[str, Any]) -> Any:
    """`call(name, **members)`: the answer to a golden request with top-level members replaced (None: left out)."""
    address = {entry["hook"]: f"/cds-services/{entry['id']}" for entry in entries}

    def send(name: str, **members: Any) -> httpx.Response:
        body = {key: value for key, value in {**golden[name], **members}.items() if value is not None}
        return service.post(address[golden[name]["hook"]], json=body)

    return send
