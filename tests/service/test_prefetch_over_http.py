"""Forms of prefetch as a client posts them: what is refused, and what the answer says about the rest."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest

URL = "/cds-services/prenatal-patient-view"
PROOF, RESPONSE = "org.prenatal-cds.proof", "org.prenatal-cds.response"
Json = dict[str, Any]
OUTCOME: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
STRANGER: Json = {"resourceType": "Patient", "id": "mother-10"}


def bundle(*resources: Json, **more: Any) -> Json:
    rows = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": rows, **more}


def post(client: httpx.Client, chart: Json, **prefetch: Any) -> httpx.Response:
    body = copy.deepcopy(chart)
    body["prefetch"] |= prefetch
    return client.post(URL, json=body)


@pytest.mark.parametrize("prefetch", [[], "", "x", 0, 1.5, True, [{"resourceType": "Patient"}]])
def test_a_prefetch_that_is_no_object_is_refused(client: httpx.Client, cramps_chart: Json, prefetch: Any) -> None:
    answer = client.post(URL, json={**cramps_chart, "prefetch": prefetch})
    assert answer.status_code == 400
    assert "prefetch" in answer.json()["issue"][0]["details"]["text"]


@pytest.mark.parametrize("prefetch", [None, {}])
def test_a_prefetch_that_holds_nothing_is_data_that_was_not_given(
    client: httpx.Client, cramps_chart: Json, prefetch: Any
) -> None:
    assert client.post(URL, json={**cramps_chart, "prefetch": prefetch}).status_code == 412


@pytest.mark.parametrize("patient", [STRANGER, bundle(STRANGER), {**STRANGER, "id": "Mother-1"}, {**STRANGER, "id": 1}])
def test_another_patient_under_the_key_patient_is_refused_without_a_word_of_her(
    client: httpx.Client, cramps_chart: Json, patient: Json
) -> None:
    answer = post(client, cramps_chart, patient=patient)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["details"]["text"].startswith("The prefetch holds another patient")
    assert "other-1" not in answer.text


def test_another_patient_under_another_key_is_ignored_and_counted(client: httpx.Client, cramps_chart: Json) -> None:
    plain = post(client, cramps_chart).json()
    answer = post(client, cramps_chart, Patient=STRANGER, everyone=bundle(STRANGER, {**STRANGER, "id": "x"})).json()
    assert [card["summary"] for card in answer["cards"]] == [card["summary"] for card in plain["cards"]]
    assert "2 resource(s) of another patient were ignored" in answer["extension"][RESPONSE]["remarks"]


def test_every_part_failed_is_no_all_clear(client: httpx.Client, cramps_chart: Json) -> None:
    failed = dict.fromkeys(cramps_chart["prefetch"], OUTCOME)
    answer = post(client, cramps_chart, **failed)
    assert answer.status_code == 412
    assert "could not be fetched by the client" in answer.text


@pytest.mark.parametrize(
    ("laboratory", "reason"),
    [
        (OUTCOME, "laboratory results could not be fetched by the client"),
        (
            bundle(link=[{"relation": "next", "url": "https://ehr.example.org/?page=2"}]),
            "laboratory results came in part only (the search result has further pages)",
        ),
        (bundle(total=4), "laboratory results came in part only (the search result has further pages)"),
        (bundle(OUTCOME), "laboratory results came with an error report of the server"),
        ("Observation?patient={{context.patientId}}", "laboratory results came in a form that is no FHIR resource"),
    ],
)
def test_what_was_not_given_is_said_in_the_cards_their_proof_and_the_remarks(
    client: httpx.Client, cramps_chart: Json, laboratory: Any, reason: str
) -> None:
    looked = post(client, cramps_chart, laboratory=None).json()
    withheld = post(client, cramps_chart, laboratory=laboratory).json()
    assert reason in withheld["extension"][RESPONSE]["remarks"]
    assert reason not in looked["extension"][RESPONSE].get("remarks", [])
    assert withheld["cards"]
    for card in withheld["cards"]:
        assert reason in card["detail"].replace("\\", "")
    states = {
        name: {
            fact["state"]
            for card in answer["cards"]
            for group in ("facts", "missing")
            for fact in card["extension"][PROOF].get(group, [])
            if fact["kind"] == "lab"
        }
        for name, answer in (("looked", looked), ("withheld", withheld))
    }
    assert "absent" not in states["withheld"]
    assert "unknown" not in states["looked"]


def test_a_word_of_the_server_beside_the_results_withholds_nothing(client: httpx.Client, cramps_chart: Json) -> None:
    said = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "processing"}]}
    entry = {"resource": said, "search": {"mode": "outcome"}}
    plain = post(client, cramps_chart).json()
    empty = [key for key, value in cramps_chart["prefetch"].items() if value is None]
    answer = post(client, cramps_chart, **{key: bundle(total=0, entry=[entry]) for key in empty}).json()
    assert [card["detail"] for card in answer["cards"]] == [card["detail"] for card in plain["cards"]]
    assert answer["extension"] == plain["extension"]
