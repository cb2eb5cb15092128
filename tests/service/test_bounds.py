"""How much a call may hold, how long it may take, how many run at once, and what one connection may do."""

from __future__ import annotations

import copy
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import SettingsError, create_app, limits, load_settings

VIEW = "/cds-services/prenatal-patient-view"
SIGN = "/cds-services/prenatal-order-sign"
Serving = Callable[[Starlette], AbstractContextManager[str]]
ServiceBody = dict[str, Any]


def _app(**limits: Any) -> Starlette:
    return create_app(load_settings({"fixed_now": "2026-11-22T12:00:00Z", "log_level": "error", **limits}))


def _post(base: str, body: Any, path: str = VIEW) -> httpx.Response:
    return httpx.post(f"{base}{path}", json=body, trust_env=False, timeout=30)


def _wire(base: str) -> socket.socket:
    host, port = base.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def _all_of(wire: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := wire.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


def _issue(answer: httpx.Response) -> tuple[str, str]:
    (issue,) = answer.json()["issue"]
    return issue["code"], issue["diagnostics"]


# -- size -------------------------------------------------------------------------------------------------------------


def _condition(number: int, codings: int = 1, **also: Any) -> dict[str, Any]:
    rows = [{"system": "http://example.org/local", "code": str(n)} for n in range(codings)]
    return {
        "resourceType": "Condition",
        "id": f"c{number}",
        "subject": {"reference": "Patient/mother-1"},
        "code": {"coding": rows},
    } | also


def _bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": row} for row in resources]}


@pytest.fixture(scope="module")
def tight(serving: Serving) -> Iterator[str]:
    """A service that takes 10 resources, 40 codings and 20 levels."""
    with serving(_app(max_entries=10, max_codings=40, max_depth=20)) as base:
        yield base


@pytest.mark.parametrize(("count", "status"), [(9, 200), (10, 413)])
def test_resources_beyond_the_limit_are_413(tight: str, body: ServiceBody, count: int, status: int) -> None:
    body["prefetch"]["conditions"] = _bundle([_condition(n) for n in range(count)])  # and the patient
    answer = _post(tight, body)
    assert answer.status_code == status
    if status == 413:
        assert _issue(answer) == (
            "too-long",
            "The request holds more than 10 resources; send only what the prefetch templates ask for.",
        )


def test_draft_orders_count_among_the_resources(tight: str, body: ServiceBody) -> None:
    body["hook"] = "order-sign"
    body["context"]["draftOrders"] = _bundle([{"resourceType": "MedicationRequest"}] * 9)
    assert _post(tight, body, SIGN).status_code == 200
    body["context"]["draftOrders"]["entry"] *= 2
    assert _post(tight, body, SIGN).status_code == 413


def test_prefetch_keys_nobody_asked_for_count_as_well(tight: str, body: ServiceBody) -> None:
    body["prefetch"].update({f"x{n}": _condition(n) for n in range(10)})
    assert _post(tight, body).status_code == 413


@pytest.mark.parametrize(("codings", "status"), [(20, 200), (21, 413)])
def test_codings_beyond_the_limit_are_413_wherever_they_stand(
    tight: str, body: ServiceBody, codings: int, status: int
) -> None:
    category = [{"coding": [{"system": "http://example.org", "code": "x"}] * 20}]
    body["prefetch"]["conditions"] = _bundle([_condition(1, codings, category=category)])
    assert _post(tight, body).status_code == status


def test_the_depth_of_the_settings_holds(tight: str, body: ServiceBody) -> None:
    body["extension"] = {"deep": json.loads("[" * 17 + "]" * 17)}
    assert _post(tight, body).status_code == 200
    body["extension"] = {"deep": json.loads("[" * 19 + "]" * 19)}
    answer = _post(tight, body)
    assert answer.status_code == 400
    assert "deeper than 20" in _issue(answer)[1]


def test_one_absurd_resource_is_left_out_and_named_and_the_rest_is_used(server: str, cramps_chart: ServiceBody) -> None:
    body = copy.deepcopy(cramps_chart)
    body["prefetch"]["conditions"]["entry"].append({"resource": _condition(9, codings=6000)})
    answer = _post(server, body)
    assert answer.status_code == 200
    assert answer.json()["cards"]
    assert "Condition/c9: is larger than any real resource" in answer.text


def test_remarks_about_a_broken_export_do_not_make_an_answer_of_megabytes(server: str, body: ServiceBody) -> None:
    broken = [_condition(n, **{f"bad{m}": 1 for m in range(5)}, code={"text": "leg cramps"}) for n in range(100)]
    body["prefetch"]["conditions"] = _bundle(broken)
    remarks = _post(server, body).json()["extension"]["org.prenatal-cds.response"]["remarks"]
    assert len(remarks) == 201
    assert remarks[-1].endswith("more such remarks were left out")


# -- time -------------------------------------------------------------------------------------------------------------

_SIGNS = ("No swelling of the left leg, calf pain or redness, denies chest pain and the right calf is warm, and " * 20)[
    :2000
]


def _long_texts(chart: ServiceBody, count: int) -> ServiceBody:
    """The slowest call found: every text is full of signs, places and denials, each of which may belong to another."""
    body = copy.deepcopy(chart)
    texts = [{**_condition(n), "code": {"text": f"{_SIGNS}{n}"}} for n in range(count)]
    body["prefetch"]["conditions"]["entry"] += [{"resource": row} for row in texts]
    return body


def test_a_call_that_takes_too_long_is_503_and_never_an_empty_answer(
    serving: Serving, cramps_chart: ServiceBody
) -> None:
    with serving(_app(request_seconds=1, body_timeout_seconds=1)) as base:
        started = time.monotonic()
        answer = _post(base, _long_texts(cramps_chart, 600))
        took = time.monotonic() - started
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert _issue(answer)[0] == "timeout"
        assert "cards" not in answer.json()
        assert 1 <= took < 4
        assert _post(base, cramps_chart).json()["cards"]


def _medicines(count: int) -> list[dict[str, Any]]:
    return [
        {
            "resourceType": "MedicationStatement",
            "id": f"m{n}",
            "status": "active",
            "subject": {"reference": "Patient/mother-1"},
            "medicationReference": {"reference": "#m"},
            "contained": [
                {
                    "resourceType": "Medication",
                    "id": "m",
                    "code": {"text": f"calcium {n}"},
                    "ingredient": [{"itemCodeableConcept": {"text": f"calcium salt {i}"}} for i in range(12)],
                }
            ],
        }
        for n in range(count)
    ]


def _many_ingredients(chart: ServiceBody) -> ServiceBody:
    body = copy.deepcopy(chart)
    body["prefetch"]["medicationStatements"] = _bundle(_medicines(1200))
    return body


@pytest.mark.slow
@pytest.mark.parametrize(
    "worst", [lambda chart: _long_texts(chart, 780), _many_ingredients], ids=["long texts", "many ingredients"]
)
def test_the_worst_call_within_all_limits_ends_in_time(
    server: str, cramps_chart: ServiceBody, worst: Callable[[ServiceBody], ServiceBody]
) -> None:
    body = worst(cramps_chart)
    assert len(json.dumps(body)) < 2_000_000
    started = time.monotonic()
    assert _post(server, body).status_code in (200, 503)
    assert time.monotonic() - started < load_settings().request_seconds + 4


@pytest.mark.slow
def test_two_thousand_resources_are_answered_within_the_default_time(server: str, cramps_chart: ServiceBody) -> None:
    body = copy.deepcopy(cramps_chart)
    results = [
        {
            "resourceType": "Observation",
            "id": f"o{n}",
            "status": "final",
            "subject": {"reference": "Patient/mother-1"},
            "code": {"coding": [{"system": "http://loinc.org", "code": ("17861-6", "1995-0", "1751-7")[n % 3]}]},
            "effectiveDateTime": f"2026-11-{1 + n % 20:02}",
            "valueQuantity": {"value": 2.2, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        }
        for n in range(1000)
    ]
    body["prefetch"]["laboratory"] = _bundle(results)
    body["prefetch"]["conditions"]["entry"] += [{"resource": _condition(n)} for n in range(997)]
    answer = _post(server, body)
    assert answer.status_code == 200
    assert answer.json()["cards"]


# -- how many at once -------------------------------------------------------------------------------------------------


def _half_sent(base: str) -> socket.socket:
    """A call whose body does not come."""
    wire = _wire(base)
    wire.sendall(
        f"POST {VIEW} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode()
    )
    return wire


def test_clients_that_drip_their_bodies_do_not_hold_the_places_of_others(serving: Serving, body: ServiceBody) -> None:
    content = json.dumps(body).encode()
    head = f"POST {VIEW} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with serving(_app(max_concurrent=2)) as base, ExitStack() as wires:
        slow = []
        for _ in range(3):
            for _ in range(2):
                slow.append(wires.enter_context(_wire(base)))
                slow[-1].sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-1])
            time.sleep(limits.PATIENCE + 0.1)
        assert _post(base, body).status_code == 200
        for wire in slow:
            wire.sendall(content[-1:])
            assert _all_of(wire).split()[1] == b"200", "what came slowly is answered as well"


def test_a_body_that_came_slowly_waits_for_no_place(
    serving: Serving, body: ServiceBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.dumps(body).encode()
    head = f"POST {VIEW} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with serving(_app(max_concurrent=1)) as base, _wire(base) as slow:
        slow.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-1])
        time.sleep(limits.PATIENCE + 0.1)
        monkeypatch.setattr(limits, "PATIENCE", 30)
        with _half_sent(base):
            time.sleep(0.3)
            slow.sendall(content[-1:])
            assert _all_of(slow).split()[1] == b"503"
        time.sleep(0.3)
        assert _post(base, body).status_code == 200, "a refused call left no place behind"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls whose bodies do not come keep their places, as calls at work do."""
    monkeypatch.setattr(limits, "PATIENCE", 30)


@pytest.mark.usefixtures("patient")
def test_a_full_service_says_503_at_once_and_takes_the_next_call_when_a_place_is_free(
    serving: Serving, body: ServiceBody
) -> None:
    with serving(_app(max_concurrent=2, body_timeout_seconds=2)) as base, ExitStack() as wires:
        for _ in range(2):
            wires.enter_context(_half_sent(base))
        time.sleep(0.3)
        started = time.monotonic()
        answer = _post(base, body)
        assert answer.status_code == 503
        assert time.monotonic() - started < 1
        assert answer.headers["retry-after"] == "1"
        assert _issue(answer)[0] == "throttled"
        assert httpx.get(f"{base}/health", trust_env=False).status_code == 200, "only calls are counted"
        time.sleep(2.5)
        assert _post(base, body).status_code == 200


@pytest.mark.usefixtures("patient")
def test_a_client_that_hangs_up_leaves_its_place(serving: Serving, body: ServiceBody) -> None:
    with serving(_app(max_concurrent=1)) as base:
        _half_sent(base).close()
        time.sleep(0.3)
        assert _post(base, body).status_code == 200


@pytest.mark.usefixtures("patient")
def test_a_refused_upload_does_not_spoil_the_connection(serving: Serving, body: ServiceBody) -> None:
    with (
        serving(_app(max_concurrent=1)) as base,
        _half_sent(base),
        httpx.Client(base_url=base, trust_env=False) as http,
    ):
        time.sleep(0.3)
        padded = json.dumps(body).encode() + b" " * 1_000_000
        answer = http.post(VIEW, content=padded, headers={"Content-Type": "application/json"})
        assert answer.status_code == 503
        assert http.get("/health").status_code == 200


def test_calls_that_wait_for_the_processor_are_counted_too(serving: Serving, cramps_chart: ServiceBody) -> None:
    """Advice is worked out without awaiting: a crowd must not queue up unseen behind it."""
    content = json.dumps(_long_texts(cramps_chart, 4)).encode()
    head = f"POST {VIEW} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    call = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
    with serving(_app(max_concurrent=2)) as base, ExitStack() as wires:
        crowd = [wires.enter_context(_wire(base)) for _ in range(12)]
        for wire in crowd:
            wire.sendall(call)
        statuses = [_all_of(wire).split()[1] for wire in crowd]
    assert 2 <= statuses.count(b"200") < 12
    assert statuses.count(b"503") == 12 - statuses.count(b"200")


# -- one connection ---------------------------------------------------------------------------------------------------


@contextmanager
def _bounded(serving: Serving, **limits: Any) -> Iterator[str]:
    settings = {"head_timeout_seconds": 1, "keep_alive_seconds": 1, **limits}
    with serving(_app(**settings)) as base:
        yield base


def test_headers_that_drip_are_408_after_the_time_limit(serving: Serving) -> None:
    with _bounded(serving) as base, _wire(base) as wire:
        started = time.monotonic()
        wire.sendall(b"GET /health HTTP/1.1\r\n")
        for _ in range(30):
            try:
                wire.sendall(b"X-A: b\r\n")
            except ConnectionError:
                break
            time.sleep(0.1)
        answer = _all_of(wire)
        assert time.monotonic() - started < 8
    assert answer.startswith(b"HTTP/1.1 408 ") or answer == b"", "a reset may eat the answer"


def test_headers_that_stop_are_408_with_an_operation_outcome(serving: Serving) -> None:
    with _bounded(serving) as base, _wire(base) as wire:
        wire.sendall(b"GET /health HTTP/1.1\r\nX-A: canary-77\r\n")
        started = time.monotonic()
        answer = _all_of(wire)
        assert 0.5 < time.monotonic() - started < 5
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["issue"][0]["code"] == "timeout"
    assert b"canary" not in answer


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n\r\n"])
def test_a_connection_that_asks_nothing_is_closed_in_silence(serving: Serving, sent: bytes) -> None:
    with _bounded(serving) as base, _wire(base) as wire:
        wire.sendall(sent)
        started = time.monotonic()
        assert _all_of(wire) == b""
        assert time.monotonic() - started < 5


def test_a_body_that_drips_on_after_its_refusal_is_cut_off(serving: Serving) -> None:
    with _bounded(serving) as base, _wire(base) as wire:
        wire.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n")
        started = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012 - which drop meets the closed connection is not known
            for _ in range(100):
                wire.sendall(b" ")
                time.sleep(0.1)
        assert 1 < time.monotonic() - started < 8


def test_an_idle_connection_stays_open_for_the_time_of_the_settings(serving: Serving) -> None:
    with _bounded(serving, keep_alive_seconds=3) as base, _wire(base) as wire:
        for pause in (0, 2.2):
            time.sleep(pause)
            wire.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_the_connection_too_many_is_told_so_and_closed(serving: Serving) -> None:
    with _bounded(serving, max_connections=3, head_timeout_seconds=20) as base, ExitStack() as wires:
        kept = [wires.enter_context(_wire(base)) for _ in range(3)]
        time.sleep(0.3)
        with _wire(base) as wire:
            answer = _all_of(wire)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
        assert b'"throttled"' in answer
        kept[0].sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert kept[0].recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_never_reads_its_answers_is_let_go(serving: Serving) -> None:
    with _bounded(serving, request_seconds=1, body_timeout_seconds=1) as base, socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = base.removeprefix("http://").split(":")
        wire.connect((host, int(port)))
        wire.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 90)
        with pytest.raises(ConnectionError):  # noqa: PT012 - which line meets the reset is not known
            for _ in range(100):
                time.sleep(0.1)
                wire.sendall(b"\r\n")
        assert httpx.get(f"{base}/health", trust_env=False).status_code == 200


def test_requests_far_ahead_of_their_answers_are_cut_off(server: str) -> None:
    with _wire(server) as wire:
        with pytest.raises(ConnectionError):  # noqa: PT012 - the reset comes at some of the sends
            for _ in range(200):
                wire.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 5000)
        assert httpx.get(f"{server}/health", trust_env=False).status_code == 200


def test_a_row_of_requests_is_no_long_head_wherever_it_is_cut(server: str) -> None:
    ask = b"GET /health HTTP/1.1\r\nHost: a\r\nX-A: " + b"b" * 1500 + b"\r\n\r\n"
    row = ask * 60 + ask.replace(b"X-A: b", b"Connection: close\r\nX-A: b")
    cut = len(ask) * 25
    with _wire(server) as wire:
        for piece in (row[: cut + 30], row[cut + 30 : 2 * cut + 30], row[2 * cut + 30 :]):
            wire.sendall(piece)
            time.sleep(0.2)
        assert _all_of(wire).count(b"HTTP/1.1 200 ") == 61


def test_a_whole_shorter_than_its_body_is_a_setting_that_cannot_be_meant() -> None:
    with pytest.raises(SettingsError, match="REQUEST_SECONDS: less than PRENATAL_CDS_BODY_TIMEOUT_SECONDS"):
        load_settings({"request_seconds": 2, "body_timeout_seconds": 3})
