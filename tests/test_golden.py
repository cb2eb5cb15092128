"""Golden pairs: each request in fixtures/ gives exactly the response beside it, at a frozen time.

`make golden` rewrites the responses after a change that is meant; the diff is then read like any other.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from cds.advise import Adviser
from cds.hooks import parse_request, to_json
from cds.knowledge import KnowledgeBase
from cds.service.json_input import dump_json, parse_json

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
NAMES = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))
NOW = datetime.fromisoformat((FIXTURES / "now.txt").read_text(encoding="utf-8").strip())


def answer(adviser: Adviser, name: str) -> dict[str, Any]:
    """The response with what is fresh on each call or changes with each rule edit replaced by a fixed word."""
    body: Any = parse_json((FIXTURES / "requests" / f"{name}.json").read_bytes())
    advice = adviser.advise(parse_request(body, hook=body["hook"]), NOW)
    text = dump_json(to_json(advice.response())).decode()
    response: dict[str, Any] = json.loads(text.replace(advice.knowledge_hash, "HASH"))
    for number, card in enumerate(response["cards"]):
        card["uuid"] = f"card-{number}"
        card["detail"] = card["detail"].replace(advice.knowledge_hash[:12], "HASH")
        for index, suggestion in enumerate(card.get("suggestions", [])):
            suggestion["uuid"] = f"suggestion-{number}-{index}"
    return response


@pytest.mark.parametrize("name", NAMES)
def test_the_request_gives_exactly_the_recorded_response(adviser: Adviser, name: str) -> None:
    path = FIXTURES / "responses" / f"{name}.json"
    found = answer(adviser, name)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))


def test_every_rule_is_on_a_card_of_some_golden_response(knowledge: KnowledgeBase) -> None:
    shown: set[str] = set()
    for name in NAMES:
        response = json.loads((FIXTURES / "responses" / f"{name}.json").read_text(encoding="utf-8"))
        for card in response["cards"]:
            shown |= {rule["id"] for rule in card["extension"]["org.prenatal-cds.proof"]["rules"]}
    silent = {rule.id for rule in knowledge.rules if rule.concludes is None} - shown
    assert not silent, f"write a request in fixtures/requests whose card comes from {sorted(silent)}"


def test_every_response_has_its_request() -> None:
    assert {path.stem for path in (FIXTURES / "responses").glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_proposed_order_is_valid_fhir_r4(name: str) -> None:
    response = json.loads((FIXTURES / "responses" / f"{name}.json").read_text(encoding="utf-8"))
    for card in response["cards"]:
        for suggestion in card.get("suggestions", []):
            for action in suggestion["actions"]:
                if action["type"] == "create":
                    order = ServiceRequest.model_validate(action["resource"])
                    assert (order.status, order.intent) == ("draft", "proposal")
