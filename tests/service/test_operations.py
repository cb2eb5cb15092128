"""What those who run the service are told: ready or not, what was counted, what was logged."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

import cds
from cds.engine import EngineMismatch
from cds.service import create_app, load_settings
from cds.service.metrics import Metrics
from cds.service.operations import Check
from tests.knowledge.small_rules import small_rules
from tests.service.processes import serving_process

NOON = "2026-11-22T12:00:00Z"
CANARY = "canary-7d1f"
CALL = "/cds-services/prenatal-patient-view"
Serving = Callable[[Starlette], AbstractContextManager[str]]


def counted(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, in the order of the labels' names."""
    families = text_string_to_metric_families(text)
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Two rules: what is told here does not depend on their number, and a process starts sooner."""
    return small_rules(tmp_path).root


@pytest.fixture
def app(rules: Path) -> Starlette:
    return create_app(load_settings({"fixed_now": NOON, "log_level": "error", "rules_dir": rules}))


def get(base: str, path: str) -> httpx.Response:
    return httpx.get(base + path, trust_env=False, timeout=20)


def post(base: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(base + CALL, json=body, headers=headers, trust_env=False, timeout=20)


# --- ready ---


def test_ready_names_the_rules_in_use_and_when_they_were_loaded(serving: Serving, app: Starlette) -> None:
    with serving(app) as base:
        answer = get(base, "/ready")
        health = get(base, "/health").json()
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "ready"
    assert told["version"] == cds.__version__
    assert (told["rules"]["hash"], told["rules"]["profile"]) == (health["rules"]["hash"], "seed")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", told["rules"]["loadedAt"])
    assert told["reload"] == {"result": "none", "since": None}
    assert told["checks"] == {"feedback": "ok"}


@pytest.mark.parametrize(("needed", "status", "word"), [(False, 200, "degraded"), (True, 503, "not-ready")])
def test_a_part_that_fails_takes_the_service_out_only_when_no_advice_can_be_given_without_it(
    serving: Serving, app: Starlette, needed: bool, status: int, word: str
) -> None:
    async def locked() -> str | None:
        return "locked"

    async def fine() -> str | None:
        return None

    app.state.checks = {"store": Check(locked, needed), "other": Check(fine)}
    with serving(app) as base:
        answer = get(base, "/ready")
    assert answer.status_code == status
    assert answer.json()["status"] == word
    assert answer.json()["checks"] == {"store": "locked", "other": "ok"}


def test_a_check_that_raises_tells_nothing_of_why(serving: Serving, app: Starlette) -> None:
    async def broken() -> str | None:
        raise RuntimeError(CANARY)

    app.state.checks = {"store": Check(broken)}
    with serving(app) as base:
        answer = get(base, "/ready")
    assert answer.json()["checks"] == {"store": "failing"}
    assert CANARY not in answer.text


def test_a_service_that_is_ending_is_not_ready_and_ends_each_connection(serving: Serving, app: Starlette) -> None:
    with serving(app) as base:
        app.state.draining = True
        answer = get(base, "/ready")
        health = get(base, "/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "draining"
    assert answer.headers["Connection"] == health.headers["Connection"] == "close"
    assert health.status_code == 200


# --- metrics ---


def test_answers_and_cards_are_counted_by_service_rule_and_indicator(
    serving: Serving, app: Starlette, cramps_chart: dict[str, Any]
) -> None:
    with serving(app) as base:
        cards = post(base, cramps_chart).json()["cards"]
        assert post(base, cramps_chart | {"prefetch": {}}).status_code == 412
        answer = get(base, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    numbers = counted(answer.text)
    requests = {name[1:]: value for name, value in numbers.items() if name[0] == "prenatal_cds_requests_total"}
    assert requests == {
        ("none", "patient-view", "call", "prenatal-patient-view", "200"): 1,
        ("none", "patient-view", "call", "prenatal-patient-view", "412"): 1,
    }
    given = {name[1:]: value for name, value in numbers.items() if name[0] == "prenatal_cds_cards_total"}
    assert given == {(card["indicator"], card["source"]["topic"]["code"]): 1 for card in cards}
    assert numbers["prenatal_cds_data_unavailable_total", "patient"] == 1
    assert numbers["prenatal_cds_request_duration_seconds_count", "call", "prenatal-patient-view"] == 2
    assert numbers["prenatal_cds_requests_in_flight",] == 1  # this very request for the metrics
    assert numbers["prenatal_cds_rules_info", app.state.rules.knowledge.hash, "seed"] == 1
    assert numbers["prenatal_cds_engine_errors_total", "mismatch"] == 0


def test_no_word_of_a_request_gets_into_the_metrics(
    serving: Serving, app: Starlette, cramps_chart: dict[str, Any]
) -> None:
    marked = json.loads(json.dumps(cramps_chart).replace("mother-1", CANARY))
    with serving(app) as base:
        assert post(base, marked, **{"X-Request-Id": CANARY, "User-Agent": CANARY}).status_code == 200
        get(base, f"/{CANARY}?{CANARY}")
        httpx.patch(base + CALL, trust_env=False)
        httpx.post(f"{base}/cds-services/{CANARY}", json=marked, trust_env=False)
        text = get(base, "/metrics").text
    assert CANARY not in text
    assert "mother" not in text
    assert sum(value for name, value in counted(text).items() if name[0] == "prenatal_cds_requests_total") == 4


def test_words_that_are_on_no_list_are_counted_as_other() -> None:
    metrics = Metrics()
    metrics.count_fhir_fetch("late")
    metrics.count_fhir_fetch(CANARY)
    metrics.count_refusal(CANARY)
    metrics.count_feedback(CANARY)
    numbers = counted(metrics.text().decode())
    assert numbers["prenatal_cds_fhir_fetches_total", "late"] == 1
    assert numbers["prenatal_cds_fhir_fetches_total", "other"] == 1
    assert numbers["prenatal_cds_refusals_total", "other"] == numbers["prenatal_cds_feedback_total", "other"] == 1
    assert CANARY not in metrics.text().decode()


def test_a_difference_between_engine_and_reference_is_counted(
    serving: Serving, app: Starlette, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def differ(*_: object, **__: object) -> None:
        raise EngineMismatch(("rule:x",))

    monkeypatch.setattr(app.state.rules.adviser, "evaluate", differ)
    with serving(app) as base:
        assert post(base, body).status_code == 500
        numbers = counted(get(base, "/metrics").text)
    assert numbers["prenatal_cds_engine_errors_total", "mismatch"] == 1
    assert numbers["prenatal_cds_engine_errors_total", "fault"] == 0


def test_two_services_in_one_process_count_apart(
    serving: Serving, app: Starlette, rules: Path, body: dict[str, Any]
) -> None:
    with serving(app) as base:
        post(base, body)
    other = create_app(load_settings({"fixed_now": NOON, "log_level": "error", "rules_dir": rules}))
    assert b'status="200"' in app.state.metrics.text()
    assert b'status="200"' not in other.state.metrics.text()
    other.state.rules.adviser.close()


def test_metrics_can_be_switched_off(serving: Serving, rules: Path) -> None:
    with serving(create_app(load_settings({"metrics": False, "log_level": "error", "rules_dir": rules}))) as base:
        answer = get(base, "/metrics")
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


# --- processes ---


def test_each_of_two_workers_answers_for_both(tmp_path: Path, rules: Path, body: dict[str, Any]) -> None:
    with serving_process(tmp_path, workers=2, fixed_now=NOON, rules_dir=rules) as served:
        for _ in range(12):
            assert post(served.base, body).status_code == 200
        seen = [counted(served.get("/metrics").text) for _ in range(6)]
        calls = ("prenatal_cds_requests_total", "none", "patient-view", "call", "prenatal-patient-view", "200")
        assert [numbers[calls] for numbers in seen] == [12] * 6
        assert {numbers["prenatal_cds_requests_in_flight",] for numbers in seen} == {1}


def test_a_worker_that_dies_is_replaced_while_the_other_answers(tmp_path: Path, rules: Path) -> None:
    with serving_process(tmp_path, workers=2, rules_dir=rules) as served:
        served.until(lambda: served.events()["serving"] == 2)
        workers = served.workers()
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        served.until(lambda: served.events()["serving"] == 3)
        assert served.get("/ready").status_code == 200
        assert served.events()["worker replaced"] == 1
        assert len(served.workers()) == 2
        assert workers[1] in served.workers()


@pytest.mark.parametrize("stream", ["full", "closed"])
def test_a_service_whose_outputs_are_full_or_closed_answers_and_ends_in_order(
    tmp_path: Path, rules: Path, body: dict[str, Any], stream: str
) -> None:
    if stream == "full":
        with Path("/dev/full").open("wb") as full:
            how: dict[str, Any] = {"stdout": full, "stderr": full}
            with serving_process(tmp_path, rules_dir=rules, drain_seconds=0, **how) as served:
                _answers_and_ends(served, body)
    else:
        closing = ("sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh")
        with serving_process(tmp_path, rules_dir=rules, drain_seconds=0, wrapper=closing) as served:
            _answers_and_ends(served, body)


def _answers_and_ends(served: Any, body: dict[str, Any]) -> None:
    for _ in range(20):
        assert post(served.base, body).status_code == 200
    served.signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
