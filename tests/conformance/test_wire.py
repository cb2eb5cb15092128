"""JSON, status codes, browsers and extensions: what holds for every answer of the service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cds.service import create_app, load_settings
from tests.conformance.conftest import Answer
from tests.service.conftest import running

VIEW = "/cds-services/prenatal-patient-view"
JSON = {"Content-Type": "application/json"}
BROWSER = {"Origin": "https://ehr.example"}
Call = Callable[..., httpx.Response]

# One request for each refusal that a client can bring about by what it sends: method, path, headers, content.
REFUSED = {
    400: ("POST", VIEW, JSON, b"{"),
    404: ("POST", "/cds-services/unknown", JSON, b"{}"),
    405: ("DELETE", VIEW, {}, b""),
    412: (
        "POST",
        VIEW,
        JSON,
        json.dumps(
            {
                "hook": "patient-view",
                "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
                "context": {"userId": "Practitioner/1", "patientId": "anna"},
            }
        ).encode(),
    ),
    413: ("POST", VIEW, JSON, b" " * 3_000_000),
    415: ("POST", VIEW, {"Content-Type": "text/plain"}, b"{}"),
}


def hollow(value: Any, place: str = "") -> Iterator[str]:
    """The place of each null and each empty text, array or object."""
    if value is None or value in ("", [], {}):
        yield place
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from hollow(member, f"{place}.{name}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from hollow(member, f"{place}[{number}]")


def extensions(value: Any) -> Iterator[Any]:
    """Each `extension` of a CDS Hooks object; FHIR resources have another kind, an array."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "extension":
                yield member
            elif name != "resource":
                yield from extensions(member)
    elif isinstance(value, list):
        for member in value:
            yield from extensions(member)


def refused(service: httpx.Client, status: int, **headers: str) -> httpx.Response:
    method, path, sent, content = REFUSED[status]
    return service.request(method, path, headers={**sent, **headers}, content=content)


def test_successes_and_refusals_are_json(service: httpx.Client, call: Call) -> None:
    answers = [service.get("/cds-services"), call("male-patient"), *(refused(service, status) for status in REFUSED)]
    for answer in answers:
        assert answer.headers["content-type"] == "application/json"
        json.loads(answer.content.decode("utf-8"))


def test_what_is_not_json_is_not_read(service: httpx.Client, golden: dict[str, Any]) -> None:
    text = json.dumps(golden["cramps-in-late-pregnancy"])
    assert service.post(VIEW, content=text, headers=JSON).status_code == 200
    assert service.post(VIEW, content=text, headers={"Content-Type": "text/plain"}).status_code == 415
    for almost in (text[:-1] + ",}", text.replace("{", "{/* note */", 1), text.replace('"', "'")):
        assert service.post(VIEW, content=almost, headers=JSON).status_code == 400


def test_no_answer_has_a_null_or_an_empty_member(service: httpx.Client, answers: list[Answer]) -> None:
    bodies = [service.get("/cds-services").json(), *(refused(service, status).json() for status in REFUSED)]
    assert [list(hollow(body)) for body in bodies if list(hollow(body))] == []
    for answer in answers:
        found = set(hollow(answer.response)) - ({".cards"} if answer.name in SILENT else set())
        assert found == set(), answer.name


SILENT = ("calcium-order-test-already-open", "male-patient", "prenatal-vitamin-order")


def test_nothing_to_say_is_200_with_an_empty_array_of_cards(answers: list[Answer]) -> None:
    silent = {answer.name: answer.response for answer in answers if answer.name in SILENT}
    assert set(silent) == set(SILENT)
    assert all(response["cards"] == [] for response in silent.values())


@pytest.mark.parametrize("status", REFUSED)
def test_each_refusal_has_its_status_and_an_operation_outcome(service: httpx.Client, status: int) -> None:
    answer = refused(service, status)
    assert answer.status_code == status
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["severity"] in {"error", "fatal"} and issue["details"]["text"] for issue in outcome["issue"])
    assert "cards" not in outcome


@pytest.mark.parametrize("status", [200, *REFUSED])
def test_a_browser_of_another_origin_can_read_every_answer(service: httpx.Client, call: Call, status: int) -> None:
    answer = service.get("/cds-services", headers=BROWSER) if status == 200 else refused(service, status, **BROWSER)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "*")


@pytest.mark.parametrize("path", ["/cds-services", VIEW, f"{VIEW}/feedback"])
def test_a_preflight_without_token_allows_a_call_with_one(service: httpx.Client, path: str) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = service.options(path, headers=BROWSER | asked)
    assert answer.status_code == 200
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed


@pytest.mark.parametrize(
    "asked",
    [
        {"Access-Control-Request-Method": "DELETE"},
        {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-secret"},
    ],
    ids=["method", "header"],
)
def test_a_refused_preflight_is_an_operation_outcome_too(service: httpx.Client, asked: dict[str, str]) -> None:
    answer = service.options(VIEW, headers=BROWSER | asked)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "x-secret" not in answer.text
    assert "DELETE" not in answer.headers["access-control-allow-methods"]


def test_a_preflight_from_an_origin_that_is_not_let_in_is_refused() -> None:
    settings = {"cors_origins": ("https://ehr.example",), "log_level": "warning"}
    with running(create_app(load_settings(settings))) as base:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = httpx.options(f"{base}{VIEW}", headers=asked, trust_env=False)
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert "access-control-allow-origin" not in answer.headers


def test_an_extension_is_an_object(answers: list[Answer], entries: list[Any]) -> None:
    found = list(extensions([answer.response for answer in answers])) + list(extensions(entries))
    assert found
    assert all(isinstance(extension, dict) for extension in found)


def test_an_extension_is_named_by_a_reverse_domain(answers: list[Answer], entries: list[Any]) -> None:
    names = {name for extension in extensions([a.response for a in answers] + entries) for name in extension}
    assert names
    assert all(name.startswith("org.prenatal-cds.") for name in names)


def test_an_extension_of_the_client_is_accepted_and_changes_nothing(call: Call) -> None:
    name = "cramps-in-late-pregnancy"
    plain = call(name).json()["cards"]
    extended = call(name, extension={"com.example.ehr": {"a": [1]}}).json()["cards"]
    assert [card["summary"] for card in extended] == [card["summary"] for card in plain]
    assert plain
