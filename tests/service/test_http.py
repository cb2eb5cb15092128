"""Routes, browsers and refusals, over a real connection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import create_app, load_settings

CANARY = "canary-7d1f"
VIEW = "/cds-services/prenatal-patient-view"
SELECT = "/cds-services/prenatal-order-select"
BROWSER = {"Origin": "https://sandbox.cds-hooks.org"}
Serving = Callable[[Starlette], AbstractContextManager[str]]


def _refused(answer: httpx.Response, status: int, code: str) -> str:
    """The text of a refusal, after checking that it is a complete one that gives nothing away."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert "cards" not in outcome
    (issue,) = outcome["issue"]
    assert issue["code"] == code
    assert issue["details"]["text"] == issue["diagnostics"]
    assert CANARY not in answer.text
    assert all(CANARY not in value for value in answer.headers.values())
    return str(issue["details"]["text"])


def test_discovery_lists_one_service_for_each_hook(client: httpx.Client) -> None:
    answer = client.get("/cds-services")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    services = answer.json()["services"]
    assert {service["hook"]: service["id"] for service in services} == {
        "patient-view": "prenatal-patient-view",
        "order-select": "prenatal-order-select",
        "order-sign": "prenatal-order-sign",
    }
    for service in services:
        assert service["title"]
        assert service["description"]
        assert all(isinstance(template, str) and template for template in service["prefetch"].values())
        assert set(service) <= {
            "hook",
            "id",
            "title",
            "description",
            "prefetch",
            "usageRequirements",
            "version",
            "hookVersion",
            "extension",
        }


def test_discovery_answers_with_and_without_a_trailing_slash(client: httpx.Client) -> None:
    assert client.get("/cds-services/").json() == client.get("/cds-services").json()


def test_a_chart_with_cramps_is_answered_with_cards_that_obey_the_specification(
    client: httpx.Client, cramps_chart: dict[str, Any]
) -> None:
    answer = client.post(VIEW, json=cramps_chart)
    assert answer.status_code == 200, answer.text
    cards = answer.json()["cards"]
    assert cards
    assert "null" not in answer.text
    for card in cards:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["uuid"]
        assert ("suggestions" in card) <= ("selectionBehavior" in card)
        assert all(reason["display"] for reason in card.get("overrideReasons", []))


def test_a_valid_call_is_answered_with_an_array_of_cards(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post(VIEW, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) <= {"cards", "extension"}
    assert isinstance(answer.json()["cards"], list)


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "application/json;charset=UTF8", "application/fhir+json", "Application/JSON"],
)
def test_each_spelling_of_the_json_content_type_is_accepted(
    client: httpx.Client, body: dict[str, Any], content_type: str
) -> None:
    answer = client.post(VIEW, content=json.dumps(body), headers={"Content-Type": content_type})
    assert answer.status_code == 200


def test_health_names_the_rules_in_use_and_the_stopped_clock(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert re.fullmatch(r"[0-9a-f]{16,}", health["rules"]["hash"])
    assert health["rules"]["profile"] == "seed"
    assert (health["clock"], health["fixedNow"]) == ("fixed", "2026-11-22T12:00:00+00:00")


def test_health_of_a_real_service_says_that_the_clock_runs(serving: Serving) -> None:
    with serving(create_app(load_settings({"log_level": "warning"}))) as base:
        health = httpx.get(f"{base}/health", trust_env=False).json()
    assert health["clock"] == "running"
    assert "fixedNow" not in health


def test_the_front_door_names_discovery(client: httpx.Client) -> None:
    assert client.get("/").json()["discovery"] == "/cds-services"


def test_each_answer_has_a_request_id_of_our_own(client: httpx.Client) -> None:
    answers = [client.get("/health", headers={"X-Request-Id": CANARY}) for _ in range(3)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 3
    assert CANARY not in ids


# --- browsers ---


@pytest.mark.parametrize(("path", "method"), [("/cds-services", "GET"), (VIEW, "POST"), ("/nowhere", "POST")])
def test_a_preflight_lets_the_authorization_header_in_by_name(client: httpx.Client, path: str, method: str) -> None:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = client.options(path, headers=BROWSER | asked)
    assert answer.status_code == 200
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type"} <= allowed
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_names_the_headers_even_when_it_did_not_ask_for_them(client: httpx.Client) -> None:
    answer = client.options(VIEW, headers=BROWSER | {"Access-Control-Request-Method": "POST"})
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "*" not in answer.headers["access-control-allow-headers"]


def test_a_call_with_a_token_from_another_origin_is_answered_and_readable(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    answer = client.post(VIEW, json=body, headers=BROWSER | {"Authorization": "Bearer e.y.j"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert client.get("/cds-services", headers=BROWSER).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "content", "content_type", "status"),
    [
        ("GET", "/nowhere", b"", "", 404),
        ("POST", "/cds-services/other", b"{}", "application/json", 404),
        ("GET", VIEW, b"", "", 405),
        ("POST", VIEW, b"{}", "text/plain", 415),
        ("POST", VIEW, b"{", "application/json", 400),
        ("POST", VIEW, b" " * 2_000_001, "application/json", 413),
    ],
)
def test_a_browser_can_read_every_refusal(
    client: httpx.Client, method: str, path: str, content: bytes, content_type: str, status: int
) -> None:
    answer = client.request(method, path, content=content, headers=BROWSER | {"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_site_can_let_in_its_own_origins_only(serving: Serving) -> None:
    app = create_app(load_settings({"cors_origins": ("https://ehr.example",), "log_level": "warning"}))
    with serving(app) as base:
        mine = httpx.get(f"{base}/cds-services", headers={"Origin": "https://ehr.example"}, trust_env=False)
        other = httpx.get(f"{base}/cds-services", headers=BROWSER, trust_env=False)
    assert mine.headers["access-control-allow-origin"] == "https://ehr.example"
    assert "access-control-allow-origin" not in other.headers


# --- refusals ---


@pytest.mark.parametrize("path", [f"/{CANARY}", f"/cds-services/{CANARY}", f"{VIEW}/", f"/cds-services/a/b/{CANARY}"])
def test_an_unknown_address_is_404(client: httpx.Client, body: dict[str, Any], path: str) -> None:
    assert "GET /cds-services" in _refused(client.post(path, json=body), 404, "not-found")


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/openapi.json", "/cds-services"])
def test_an_address_with_a_line_feed_at_its_end_is_another_one(client: httpx.Client, path: str) -> None:
    """A proxy that hides /metrics lets /metrics%0A through."""
    assert client.get(f"{path}%0A").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", VIEW, "POST"),
        ("PUT", VIEW, "POST"),
        ("DELETE", VIEW, "POST"),
        ("POST", "/cds-services", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert allowed in _refused(answer, 405, "not-supported")
    assert allowed in answer.headers["allow"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": f"application/xml; {CANARY}"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json; charset=utf-80"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
    ],
)
def test_a_content_type_that_is_not_plain_json_is_415(
    client: httpx.Client, body: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = client.post(VIEW, content=json.dumps(body | {"x": CANARY}), headers=headers)
    assert "; send" in _refused(answer, 415, "not-supported")


def test_a_request_without_content_type_is_415(client: httpx.Client) -> None:
    answer = client.post(VIEW, content=b"{}")
    assert "content-type" not in answer.request.headers
    _refused(answer, 415, "not-supported")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"hook": "canary-7d1f"',
        b"\xff\xfe canary-7d1f",
        b'{"context": {"patientId": "canary-7d1f", "patientId": "b"}}',
        b'{"value": NaN, "x": "canary-7d1f"}',
        b'{"value": 1e400, "x": "canary-7d1f"}',
        b'{"value": ' + b"7" * 10_000 + b', "x": "canary-7d1f"}',
        b'{"x": "canary-7d1f \\ud800"}',
        b'{"x": "canary-7d1f \\u0000"}',
        b"[" * 100_000,
        b'{"canary-7d1f":' * 100_000,
    ],
    ids=lambda content: content[:16],
)
def test_bytes_that_are_no_sound_json_are_400(client: httpx.Client, content: bytes) -> None:
    answer = client.post(VIEW, content=content, headers={"Content-Type": "application/json"})
    assert "cannot be read" in _refused(answer, 400, "structure")
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"hook": "order-sign"}, "hook"),
        ({"hook": CANARY}, "hook"),
        ({"hookInstance": CANARY}, "hookInstance"),
        ({"context": None}, "context"),
        ({"context": {"userId": "Practitioner/1"}}, "context.patientId"),
        ({"context": {"userId": CANARY, "patientId": CANARY}}, "context.userId"),
        ({"prefetch": [CANARY]}, "prefetch"),
    ],
)
def test_a_request_that_breaks_the_specification_is_400_and_names_the_place(
    client: httpx.Client, body: dict[str, Any], change: dict[str, Any], place: str
) -> None:
    text = _refused(client.post(VIEW, json=body | change), 400, "invalid")
    assert text.startswith(f"{place} ")
    assert "; send" in text


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"null", b"1"])
def test_json_that_is_no_object_is_400(client: httpx.Client, content: bytes) -> None:
    answer = client.post(VIEW, content=content, headers={"Content-Type": "application/json"})
    assert _refused(answer, 400, "invalid").startswith("body ")


@pytest.mark.parametrize("prefetch", [None, {}, "left out"])
def test_no_data_at_all_is_412_and_never_an_all_clear(
    client: httpx.Client, body: dict[str, Any], prefetch: Any
) -> None:
    body["prefetch"] = prefetch
    if prefetch == "left out":
        del body["prefetch"]
    assert _refused(client.post(VIEW, json=body), 412, "incomplete")


def test_data_of_another_patient_is_400_without_either_id(client: httpx.Client, body: dict[str, Any]) -> None:
    body["context"]["patientId"] = CANARY
    text = _refused(client.post(VIEW, json=body), 400, "conflict")
    assert "mother-1" not in text


def test_a_failure_inside_is_500_with_a_request_id_and_never_an_empty_array_of_cards(
    serving: Serving, body: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(load_settings({"fixed_now": "2026-11-22T12:00:00Z"}))
    body["context"]["patientId"] = CANARY
    body["prefetch"] = json.loads(json.dumps(body["prefetch"]).replace("mother-1", CANARY))
    with serving(app) as base, httpx.Client(base_url=base, trust_env=False) as client:
        assert client.post(VIEW, json=body).status_code == 200
        app.state.rules.adviser.close()
        answer = client.post(VIEW, json=body, headers=BROWSER)
    text = _refused(answer, 500, "exception")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"] in text
    log = capsys.readouterr().err
    assert CANARY not in log
    failed = next(line for line in map(json.loads, log.splitlines()) if line.get("status") == 500)
    assert failed["request_id"] == answer.headers["x-request-id"]
    assert failed["error"]
    assert re.fullmatch(r"\w+\.py:\d+", failed["at"])


# --- log ---


def test_a_log_line_says_what_was_answered_and_nothing_about_whom(
    serving: Serving, cramps_chart: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.dumps(cramps_chart).replace("mother-1", CANARY)
    with serving(create_app(load_settings({"fixed_now": "2026-11-22T12:00:00Z"}))) as base:
        answer = httpx.post(
            f"{base}{VIEW}?{CANARY}",
            content=whole,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {CANARY}"},
            trust_env=False,
        )
        httpx.post(f"{base}/cds-services/{CANARY}", content=whole, trust_env=False)
    output = capsys.readouterr()
    assert output.out == ""
    assert CANARY not in output.err
    lines = [json.loads(line) for line in output.err.splitlines()]
    calls = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in calls] == [answer.status_code, 404]
    assert calls[0]["service"] == "prenatal-patient-view"
    cards = answer.json()["cards"]
    assert CANARY in answer.text
    assert calls[0]["cards"] == len(cards) > 0
    assert calls[0]["rules"] == [card["source"]["topic"]["code"] for card in cards]
    assert calls[0]["duration_ms"] > 0
    allowed = {
        "event",
        "level",
        "timestamp",
        "request_id",
        "service",
        "status",
        "duration_ms",
        "cards",
        "rules",
        "route",
        "hook",
    }
    assert all(set(line) <= allowed for line in calls)


# --- many at once ---


def test_eight_clients_with_different_patients_never_see_each_other(
    server: str, empty_chart: dict[str, Any], cramps_chart: dict[str, Any]
) -> None:
    def visit(number: int) -> tuple[int, set[tuple[int, bool]], str]:
        chart = cramps_chart if number % 2 else empty_chart
        text = json.dumps(chart).replace("mother-1", f"mother-{number}-secret")
        outcomes, seen = set(), ""
        with httpx.Client(base_url=server, timeout=60, trust_env=False) as client:
            for _ in range(25):
                answer = client.post(VIEW, content=text, headers={"Content-Type": "application/json"})
                outcomes.add((answer.status_code, bool(answer.json()["cards"])))
                seen += answer.text
        return number, outcomes, seen

    with ThreadPoolExecutor(8) as pool:
        visits = list(pool.map(visit, range(10, 18)))
    for number, outcomes, seen in visits:
        cramps = number % 2 == 1
        assert outcomes == {(200, cramps)}
        assert set(re.findall(r"mother-(\d+)-secret", seen)) == ({str(number)} if cramps else set())


# -- questionnaires ---------------------------------------------------------------------------------------------------

FORM = "/questionnaires/nutrition-and-leg-check"


def test_the_questionnaire_is_served_as_fhir_to_any_browser(client: httpx.Client) -> None:
    answer = client.get(FORM, headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers["access-control-allow-origin"] == "*"
    form = answer.json()
    assert (form["resourceType"], form["id"]) == ("Questionnaire", "nutrition-and-leg-check")
    assert form["url"].endswith("/Questionnaire/nutrition-and-leg-check")


@pytest.mark.parametrize("name", ["other", "nutrition-and-leg-check.yaml", "..%2Fsources"])
def test_only_questionnaires_are_served(client: httpx.Client, name: str) -> None:
    assert client.get(f"/questionnaires/{name}").status_code == 404


def _form_link(client: httpx.Client, chart: dict[str, Any], **headers: str) -> str:
    chart = json.loads(json.dumps(chart))
    due = {
        "resourceType": "Observation", "id": "due", "status": "final", "effectiveDateTime": "2026-08-03",
        "code": {"coding": [{"system": "http://loinc.org", "code": "11779-6"}]}, "valueDateTime": "2027-02-10",
        "subject": {"reference": "Patient/mother-1"},
    }  # fmt: skip
    chart["prefetch"]["pregnancy"] = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": due}]}
    answer = client.post(VIEW, json=chart, headers=headers)
    assert answer.status_code == 200, answer.text
    (link,) = [k for c in answer.json()["cards"] for k in c.get("links", ()) if k["label"].startswith("Questionnaire")]
    return str(link["url"])


def test_a_card_links_to_the_form_at_the_address_that_was_called(
    client: httpx.Client, server: str, cramps_chart: dict[str, Any]
) -> None:
    url = _form_link(client, cramps_chart)
    assert url == f"{server}{FORM}"
    assert client.get(url).status_code == 200


def test_an_address_that_is_none_does_not_get_into_a_card(
    client: httpx.Client, server: str, cramps_chart: dict[str, Any]
) -> None:
    canonical = "https://prenatal-cds.example/Questionnaire/nutrition-and-leg-check"
    for host in ("ehr.example)*x*(y", "a%20b", "a,b", ""):
        assert _form_link(client, cramps_chart, Host=host) in (canonical, f"{server}{FORM}")


def test_the_public_address_of_the_settings_decides(serving: Serving, cramps_chart: dict[str, Any]) -> None:
    settings = {"fixed_now": "2026-11-22T12:00:00Z", "log_level": "warning", "public_url": "https://cds.example.org/a"}
    with (
        serving(create_app(load_settings(settings))) as base,
        httpx.Client(base_url=base, timeout=20, trust_env=False) as http,
    ):
        assert _form_link(http, cramps_chart) == f"https://cds.example.org/a{FORM}"
