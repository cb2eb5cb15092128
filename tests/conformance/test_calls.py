"""The call of a service: what it needs, what it uses, and when it refuses."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cds.service import create_app, load_settings
from tests.conformance.conftest import FIXTURES, Answer
from tests.service.conftest import running

CRAMPS = "cramps-in-late-pregnancy"
FAILED = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "timeout", "details": {"text": "The search took too long."}}],
}
Call = Callable[..., httpx.Response]


def said(response: Any) -> list[Any]:
    """The cards without what is fresh on each call."""
    cards = copy.deepcopy(response["cards"])
    for card in cards:
        card.pop("uuid")
        for suggestion in card.get("suggestions", ()):
            suggestion.pop("uuid")
    return list(cards)


def test_a_success_is_200_with_an_array_of_cards_and_nothing_else_but_an_extension(answers: list[Answer]) -> None:
    for answer in answers:
        assert set(answer.response) <= {"cards", "extension"}
        assert isinstance(answer.response["cards"], list)


def test_no_answer_ever_has_a_system_action(answers: list[Answer]) -> None:
    assert not any("systemActions" in answer.response for answer in answers)


def test_advice_comes_from_prefetched_data(call: Call) -> None:
    assert call(CRAMPS).json()["cards"]
    assert "fhirServer" not in call(CRAMPS).request.content.decode()


@pytest.mark.parametrize("prefetch", [None, {}, {"unknown": None}])
def test_needed_data_that_did_not_come_is_412(call: Call, prefetch: Any) -> None:
    answer = call(CRAMPS, prefetch=prefetch)
    assert answer.status_code == 412
    assert "prefetch" in answer.json()["issue"][0]["diagnostics"]


def test_a_client_whose_queries_all_failed_gets_412_and_no_all_clear(call: Call, golden: dict[str, Any]) -> None:
    assert call(CRAMPS, prefetch=dict.fromkeys(golden[CRAMPS]["prefetch"], FAILED)).status_code == 412


def test_an_operation_outcome_under_a_key_is_not_taken_for_an_empty_result(call: Call, golden: dict[str, Any]) -> None:
    prefetch = golden[CRAMPS]["prefetch"]
    none = call(CRAMPS, prefetch=prefetch | {"laboratory": None}).json()
    failed = call(CRAMPS, prefetch=prefetch | {"laboratory": FAILED}).json()
    assert "no calcium result" in str(none)
    assert "no calcium result" not in str(failed)
    assert any("laboratory" in remark for remark in failed["extension"]["org.prenatal-cds.response"]["remarks"])


def test_an_operation_outcome_inside_a_search_result_is_not_taken_for_data(call: Call, golden: dict[str, Any]) -> None:
    prefetch = golden[CRAMPS]["prefetch"]
    searched = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    entry = [{"search": {"mode": "outcome"}, "resource": FAILED}]
    failed = call(CRAMPS, prefetch=prefetch | {"laboratory": {**searched, "entry": entry}}).json()
    assert "no calcium result" not in str(failed)


@pytest.mark.parametrize("change", [{"hook": "order-sign"}, {"hookInstance": "1"}, {"context": {}}, {"prefetch": [1]}])
def test_a_call_that_breaks_the_protocol_is_400(call: Call, change: dict[str, Any]) -> None:
    assert call(CRAMPS, **change).status_code == 400


def test_unknown_members_of_a_call_are_passed_over(call: Call, golden: dict[str, Any]) -> None:
    more = {"context": {**golden[CRAMPS]["context"], "new": 1}, "new": {"a": [1]}}
    assert said(call(CRAMPS, **more).json()) == said(call(CRAMPS).json())


def test_no_service_needs_that_another_hook_was_called_before(call: Call, golden: dict[str, Any]) -> None:
    """So a client that supports only one of our hooks loses the other services, never a part of this one."""
    now = (FIXTURES / "now.txt").read_text(encoding="utf-8").strip()
    name = "calcium-order-with-high-calcium"
    with running(create_app(load_settings({"fixed_now": now, "log_level": "warning"}))) as fresh:
        first = httpx.post(f"{fresh}{call(name).request.url.path}", json=golden[name], trust_env=False).json()
    assert call("high-calcium-on-opening-the-record").status_code == 200
    assert said(call(name).json()) == said(first)
    assert first["cards"]


def test_a_call_takes_far_less_than_half_a_second(call: Call, golden: dict[str, Any]) -> None:
    """Measured as a client sees it, over all golden requests; the median, because a busy machine has outliers."""
    taken = []
    for name in golden:
        started = time.perf_counter()
        call(name)
        taken.append(time.perf_counter() - started)
    assert statistics.median(taken) < 0.5


def test_a_call_with_every_optional_member_is_answered_like_one_without(call: Call) -> None:
    whole = {
        "fhirServer": "https://fhir.ehr.example/r4",
        "fhirAuthorization": {
            "access_token": "opaque",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/Patient.read patient/Observation.rs",
            "subject": "prenatal-cds",
            "patient": "anna",
        },
        "extension": {"com.example.ehr": {"station": 3}},
    }
    answer = call(CRAMPS, **whole)
    assert answer.status_code == 200, answer.text
    assert said(answer.json()) == said(call(CRAMPS).json())
    assert "opaque" not in answer.text
