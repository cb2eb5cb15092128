"""Whatever part of the data a client supplies, and in whichever form, the answer is a legal one."""

from __future__ import annotations

import copy
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.test_cards import ACTION, CARD, LINK, SUGGESTION, URGENCY, absolute, text
from tests.conformance.test_wire import hollow

FORMS: dict[str, Any] = {
    "null": None,
    "empty": {"resourceType": "Bundle", "type": "searchset", "total": 0},
    "failed": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]},
    "odd": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": {"resourceType": "Basic"}}, {}]},
}


def faults(response: Any) -> list[str]:
    """What a 200 answer breaks of the tables of the specification."""
    found = [place for place in hollow(response) if place != ".cards"]
    found += [f"member {name}" for name in set(response) - {"cards", "extension"}]
    uuids: list[str] = []
    for card in response["cards"]:
        uuids.append(card["uuid"])
        found += [f"card.{name}" for name in set(card) - CARD]
        found += ["summary"] * (not text(card["summary"]) or len(card["summary"]) > 139)
        found += ["indicator"] * (card["indicator"] not in URGENCY)
        found += ["source"] * (not text(card["source"]["label"]))
        found += ["selectionBehavior"] * (
            ("suggestions" in card) != (card.get("selectionBehavior") in ("any", "at-most-one"))
        )
        found += ["reason"] * (not all(text(reason["display"]) for reason in card.get("overrideReasons", ())))
        for link in card.get("links", ()):
            found += ["link"] * (not set(link) <= LINK or not absolute(link["url"]) or link["type"] != "absolute")
        for suggestion in card.get("suggestions", ()):
            uuids.append(suggestion["uuid"])
            found += ["suggestion"] * (not set(suggestion) <= SUGGESTION or not suggestion["actions"])
            found += ["action"] * (not all(set(action) <= ACTION for action in suggestion["actions"]))
    found += ["uuid"] * (len(set(uuids)) != len(uuids))
    return found


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_part_of_a_golden_request_is_answered_by_the_book(
    service: httpx.Client, entries: list[Any], golden: dict[str, Any], data: st.DataObject
) -> None:
    request = copy.deepcopy(golden[data.draw(st.sampled_from(sorted(golden)))])
    for key in data.draw(st.sets(st.sampled_from(sorted(request["prefetch"])), max_size=6)):
        form = data.draw(st.sampled_from(["absent", *FORMS]))
        if form == "absent":
            del request["prefetch"][key]
        else:
            request["prefetch"][key] = FORMS[form]
    address = next(entry["id"] for entry in entries if entry["hook"] == request["hook"])
    answer = service.post(f"/cds-services/{address}", json=request)
    if answer.status_code == 200:
        assert faults(answer.json()) == []
    else:
        assert answer.status_code == 412
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert list(hollow(answer.json())) == []


def test_a_fault_would_be_seen(answers: list[Any]) -> None:
    answer = next(answer for answer in answers if answer.cards and "suggestions" in answer.cards[0])
    assert faults(answer.response) == []
    broken = copy.deepcopy(answer.response)
    broken["cards"][0] |= {"summary": "x" * 140, "indicator": "hard-stop", "uuid": answer.cards[-1]["uuid"]}
    broken["cards"][0]["suggestions"][0] |= {"actions": [], "actionSelectionBehavior": "any"}
    broken["systemActions"] = []
    assert {"summary", "indicator", "suggestion", "member systemActions", ".systemActions"} <= set(faults(broken))
