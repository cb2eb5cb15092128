"""Every FHIR resource that leaves the service is valid R4 by three independent validators."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds.advise import Adviser
from cds.cards import recommend
from cds.cards.render import _create
from cds.cards.speech import Speech
from cds.hooks import parse_request, to_json
from cds.knowledge import KnowledgeBase
from cds.service.json_input import dump_json, parse_json
from tests.peers.r4 import Json, by_fhir_resources, by_fhirkit, by_medplum

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NOW = datetime.fromisoformat((FIXTURES / "now.txt").read_text(encoding="utf-8").strip())
NAMES = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))
LANGUAGES = ("en", "es", "zh-Hans")


def all_valid(resources: list[Json]) -> None:
    different = list({json.dumps(row, sort_keys=True): row for row in resources}.values())
    for resource in different:
        assert by_fhirkit(resource) == []
        assert by_fhir_resources(resource) == []
    for resource, problems in zip(different, by_medplum(different), strict=True):
        assert problems == [], resource


def golden(name: str) -> Json:
    body: Json = parse_json((FIXTURES / "requests" / f"{name}.json").read_bytes())
    return body


def actions(adviser: Adviser, body: Json, language: str = "en") -> Iterator[Json]:
    advice = adviser.advise(parse_request(body, hook=body["hook"]), NOW, language)
    response: Json = json.loads(dump_json(to_json(advice.response())))
    for card in response["cards"]:
        for suggestion in card.get("suggestions", []):
            yield from suggestion["actions"]


# -- the validators themselves ----------------------------------------------------------------------------------------

ORDER: Json = {
    "resourceType": "ServiceRequest",
    "status": "draft",
    "intent": "proposal",
    "priority": "routine",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2000-8", "display": "Calcium"}], "text": "Calcium"},
    "subject": {"reference": "Patient/anna"},
    "encounter": {"reference": "Encounter/e1"},
    "reasonCode": [{"text": "Cramps"}],
}
ALL, STRUCTURE = frozenset({"fhirkit", "medplum", "fhir.resources"}), frozenset({"fhirkit", "medplum"})
FAULTS: list[tuple[str, Json, frozenset[str]]] = [
    ("an element that R4 does not know", {"urgency": "high"}, ALL),
    ("a required element is missing", {"subject": None}, ALL),
    ("a required code is missing", {"status": None}, ALL),
    ("a list where one is allowed", {"code": [{"text": "x"}]}, ALL),
    ("text where a boolean belongs", {"doNotPerform": "perhaps"}, ALL),
    ("no such day", {"authoredOn": "2026-13-45"}, ALL),
    ("an extension without url", {"extension": [{"valueString": "x"}]}, ALL),
    ("a number as reference", {"subject": {"reference": 5}}, ALL),
    (
        "two forms of one choice",
        {"occurrenceDateTime": "2026-01-01", "occurrencePeriod": {"start": "2026-01-01"}},
        frozenset({"fhirkit", "fhir.resources"}),
    ),
    ("an empty list", {"reasonCode": []}, frozenset({"fhirkit"})),
    ("an empty text", {"code": {"text": ""}}, frozenset({"fhirkit"})),
    ("a broken invariant", {"code": None, "orderDetail": [{"text": "x"}]}, frozenset({"medplum"})),
    ("a code that is none of the list", {"status": "wish"}, frozenset({"fhir.resources"})),
    ("a priority that is none of the list", {"priority": "soon"}, frozenset({"fhir.resources"})),
    ("a reference to the wrong type", {"subject": {"reference": "Medication/x"}}, frozenset({"fhir.resources"})),
]


def test_the_validators_refuse_each_fault_that_they_are_here_for() -> None:
    broken = [{k: v for k, v in {**ORDER, **fault}.items() if v is not None} for _, fault, _ in FAULTS]
    medplum = by_medplum([ORDER, *broken])
    assert (by_fhirkit(ORDER), medplum[0], by_fhir_resources(ORDER)) == ([], [], [])
    for (what, _, expected), resource, third in zip(FAULTS, broken, medplum[1:], strict=True):
        answers = {"fhirkit": by_fhirkit(resource), "medplum": third, "fhir.resources": by_fhir_resources(resource)}
        refused = {name for name, problems in answers.items() if problems}
        assert refused >= expected, what


# -- orders that cards propose ----------------------------------------------------------------------------------------


def test_every_order_of_every_golden_response_is_valid_in_every_language(adviser: Adviser) -> None:
    rows = [
        action
        for number, name in enumerate(NAMES)
        for action in actions(adviser, golden(name), LANGUAGES[number % len(LANGUAGES)])
    ]
    assert {row["type"] for row in rows} == {"create", "update", "delete"}
    all_valid([row["resource"] for row in rows if "resource" in row])


@pytest.mark.parametrize("encounter", [None, "enc-1"])
def test_every_activity_becomes_a_valid_order(
    adviser: Adviser, knowledge: KnowledgeBase, encounter: str | None
) -> None:
    body = golden("low-adjusted-calcium-with-cramps")
    advice = adviser.advise(parse_request(body, hook=body["hook"]), NOW)
    recommendation = recommend(knowledge, advice.census, advice.outcome)[0]
    made = [
        _create(advice.census, recommendation, activity, encounter, Speech())
        for activity in knowledge.activities.values()
    ]
    assert len(made) == len(knowledge.activities)
    all_valid([json.loads(dump_json(action.resource)) for action in made])


# -- a request of the client, put on hold -----------------------------------------------------------------------------

ON_HOLD = "high-vitamin-d-while-taking-vitamin-d"


def test_an_update_repeats_the_request_but_for_its_status_and_stays_as_valid_as_it_came(
    adviser: Adviser,
) -> None:
    sent: dict[str, Json] = {}
    body = golden(ON_HOLD)
    for entry in body["prefetch"]["medicationRequests"]["entry"]:
        request = entry["resource"]
        # What a reader does not look at travels along: contained resources, extensions, texts, a client's own faults.
        request["contained"] = [{"resourceType": "Organization", "id": "o", "name": "<b>Ward</b>"}]
        request["text"] = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
        request["extension"] = [{"url": "http://example.org/x", "valueDecimal": 1}]
        request["meta"] = {"versionId": "3", "lastUpdated": "no instant"}
        sent[request["id"]] = json.loads(dump_json(request))
    updates = [action["resource"] for action in actions(adviser, body) if action["type"] == "update"]
    assert updates
    for update in updates:
        before = sent[update["id"]]
        assert update["status"] == "on-hold"
        assert {**update, "status": 0, "statusReason": 0} == {**before, "status": 0, "statusReason": 0}
        assert by_fhirkit(update) == by_fhirkit(before) != []
        assert by_fhir_resources(update) == by_fhir_resources(before) != []
        first, second = by_medplum([update, before])
        assert first == second != []
        all_valid([{**update, "meta": {"versionId": "3"}}])


@pytest.mark.parametrize("label", ["SUBSETTED", "MASKED"])
def test_a_request_that_came_in_part_is_never_written_back(adviser: Adviser, label: str) -> None:
    body = golden(ON_HOLD)
    assert "update" in {action["type"] for action in actions(adviser, copy.deepcopy(body))}
    for entry in body["prefetch"]["medicationRequests"]["entry"]:
        entry["resource"]["meta"] = {"tag": [{"code": label}]}
    assert "update" not in {action["type"] for action in actions(adviser, body)}


# -- what the routes answer -------------------------------------------------------------------------------------------


def test_every_questionnaire_that_is_served_is_valid(client: httpx.Client, knowledge: KnowledgeBase) -> None:
    served = [client.get(f"/questionnaires/{form.id}") for form in knowledge.questionnaires.values() if form.form]
    assert served
    assert {answer.status_code for answer in served} == {200}
    all_valid([answer.json() for answer in served])


def test_every_error_is_a_valid_operation_outcome(client: httpx.Client, body: dict[str, Any]) -> None:
    url, text = "/cds-services/prenatal-patient-view", {"Content-Type": "application/json"}
    other = {**body, "prefetch": {**body["prefetch"], "patient": {"resourceType": "Patient", "id": "another"}}}
    errors = [
        client.get("/nowhere"),
        client.get("/questionnaires/none"),
        client.get(url),
        client.post("/cds-services/none", json=body),
        client.post(url, content=b"{", headers=text),
        client.post(url, content=b"x", headers={"Content-Type": "text/plain"}),
        client.post(url, json={**body, "hook": "order-sign"}),
        client.post(url, json={**body, "prefetch": None}),
        client.post(url, json=other),
    ]
    assert [answer.status_code for answer in errors] == [404, 404, 405, 404, 400, 415, 400, 412, 400]
    all_valid([answer.json() for answer in errors])
