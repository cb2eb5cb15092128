"""The public CDS Hooks sandbox, imitated request by request: a React page that sends a token on everything, orders
that are no valid FHIR, and leaves out what it could not fetch. What it asks about must be answered all the same.
"""

from __future__ import annotations

import copy
import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

Json = dict[str, Any]
REQUESTS = Path(__file__).resolve().parents[2] / "fixtures" / "requests"
ORIGIN = "https://sandbox.cds-hooks.org"
FHIR = "https://launch.smarthealthit.org/v/r4/fhir"
KEY = ec.generate_private_key(ec.SECP384R1())


class Sandbox:
    """Discovery by URL without a slash at its end; services by URL, so that one id can serve one hook only."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.base = str(http.base_url).rstrip("/")
        services = self._send("GET", f"{self.base}/cds-services").json()["services"]
        self.services: dict[str, Json] = {f"{self.base}/cds-services/{one['id']}": one for one in services}
        assert len(self.services) == len(services)

    def call(self, hook: str, context: Json, prefetch: Json, **more: Any) -> httpx.Response:
        (url,) = [url for url, service in self.services.items() if service["hook"] == hook]
        # The order of the members is its own, and so is a FHIR server without a token for it.
        body: Json = {
            "hookInstance": str(uuid.uuid4()),
            "hook": hook,
            "fhirServer": FHIR,
            "context": {"patientId": "anna", "userId": "Practitioner/COREPRACTITIONER1", **context},
            **more,
        }
        wanted = self.services[url]["prefetch"]
        if found := {key: value for key, value in prefetch.items() if key in wanted}:
            body["prefetch"] = found
        return self._send("POST", url, body)

    def _send(self, method: str, url: str, body: Json | None = None) -> httpx.Response:
        now = int(time.time())
        claims = {"iss": ORIGIN, "aud": url, "exp": now + 300, "iat": now, "jti": str(uuid.uuid4())}
        header = {"kid": "9af2a7cd", "typ": "JWT", "jku": f"{ORIGIN}/.well-known/jwks.json"}
        headers = {
            "Origin": ORIGIN,
            "Accept": "application/json, text/plain, */*",
            "Authorization": f"Bearer {jwt.encode(claims, KEY, algorithm='ES384', headers=header)}",
        }
        answer = self.http.request(method, url, json=body, headers=headers)
        assert answer.headers["access-control-allow-origin"] in ("*", ORIGIN)
        return answer


@pytest.fixture
def sandbox(client: httpx.Client) -> Sandbox:
    return Sandbox(client)


def _fixture(name: str) -> Json:
    body: Json = json.loads((REQUESTS / f"{name}.json").read_text(encoding="utf-8"))
    return body


SENT = _fixture("calcium-order-as-the-sandbox-sends-it")
CHART: Json = SENT["prefetch"]
ORDER: Json = SENT["context"]["draftOrders"]["entry"][0]["resource"]
# What the Rx screen sends before anything was chosen in it.
UNCHOSEN: Json = {key: ORDER[key] for key in ("resourceType", "id", "status", "category", "subject")}


def _drafts(*orders: Json) -> Json:
    """draftOrders without Bundle.type, as it sends them."""
    return {"resourceType": "Bundle", "entry": [{"resource": order} for order in orders]}


def _select(*orders: Json) -> Json:
    return {"selections": ["MedicationRequest/request-123"], "draftOrders": _drafts(*orders)}


def _topics(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [card["source"]["topic"]["code"] for card in answer.json()["cards"]]


def test_the_fixture_is_as_odd_as_the_sandbox() -> None:
    assert "type" not in SENT["context"]["draftOrders"]
    assert isinstance(ORDER["category"], dict)
    assert "intent" not in ORDER
    assert ORDER["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["code"] == "{pill}"
    assert "encounterId" not in SENT["context"]


def test_opening_a_patient_shows_the_red_flag_and_lets_it_be_dismissed_and_answered(sandbox: Sandbox) -> None:
    swollen = _fixture("one-leg-swelling-with-cramps")
    context = {"patientId": "dina"}
    answer = sandbox.call("patient-view", context, swollen["prefetch"])
    assert answer.status_code == 200, answer.text
    (card,) = answer.json()["cards"]
    assert card["indicator"] == "critical"
    assert uuid.UUID(card["uuid"]).version == 4  # without it: no Dismiss button, no feedback
    assert all(uuid.UUID(suggestion["uuid"]).version == 4 for suggestion in card["suggestions"])


def test_opening_the_order_screen_with_nothing_chosen_is_no_error_and_no_order(sandbox: Sandbox) -> None:
    answer = sandbox.call("order-select", _select(UNCHOSEN), CHART)
    assert _topics(answer) == []
    remarks = answer.json()["extension"]["org.prenatal-cds.response"]["remarks"]
    assert any(remark.startswith("MedicationRequest/request-123: ") for remark in remarks)


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_a_calcium_order_of_the_sandbox_is_advised_on_like_a_valid_one(sandbox: Sandbox, hook: str) -> None:
    context = _select(ORDER) if hook == "order-select" else {"draftOrders": _drafts(ORDER)}
    valid = copy.deepcopy(context)
    order = valid["draftOrders"]["entry"][0]["resource"]
    order |= {"intent": "order", "category": [order["category"]]}
    valid["draftOrders"]["type"] = "collection"
    odd, sound = sandbox.call(hook, context, CHART), sandbox.call(hook, valid, CHART)
    assert _topics(odd) == _topics(sound) == ["calcium-check-before-supplement"]
    summaries = [answer.json()["cards"][0]["summary"] for answer in (odd, sound)]
    assert summaries[0] == summaries[1]
    assert "Calcium Carbonate 500 MG Oral Tablet" in summaries[0]


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"dosageInstruction": None}, "a medicine with no dose yet"),
        ({"subject": None}, "no patient on the order"),
        ({"dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 1, "code": "{pill}"}}]}]}, "no timing"),
        ({"reasonCode": [{"coding": [{"code": "449917004"}], "text": "Cramps"}]}, "a reason without its system"),
        ({"authoredOn": "2026-11-22", "note": "by hand"}, "a note that is no list"),
        ({"status": None}, "no status"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_else_is_odd_about_an_order_does_not_cost_the_advice(sandbox: Sandbox, change: Json, taken: str) -> None:
    order = {key: value for key, value in (ORDER | change).items() if value is not None}
    assert "calcium-check-before-supplement" in _topics(sandbox.call("order-select", _select(order), CHART)), taken


def test_an_unreadable_order_beside_a_good_one_costs_only_itself(sandbox: Sandbox) -> None:
    answer = sandbox.call("order-select", _select(UNCHOSEN | {"id": "request-124"}, ORDER), CHART)
    assert _topics(answer) == ["calcium-check-before-supplement"]


def test_prefetch_that_it_could_not_fetch_is_left_out_and_said_on_the_card(sandbox: Sandbox) -> None:
    found = {key: value for key, value in CHART.items() if key != "laboratory"}
    answer = sandbox.call("order-sign", {"draftOrders": _drafts(ORDER)}, found)
    assert _topics(answer) == ["calcium-history-not-supplied"]
    assert "laboratory results were not supplied" in answer.json()["cards"][0]["detail"]


def test_nothing_fetched_at_all_is_412_and_never_no_cards(sandbox: Sandbox) -> None:
    answer = sandbox.call("patient-view", {}, {})
    assert answer.status_code == 412
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_token_for_its_fhir_server_without_a_lifetime_is_no_reason_to_refuse_the_call(sandbox: Sandbox) -> None:
    """`expires_in` is undefined in the sandbox where the server does not tell, and JSON drops it."""
    token = {"access_token": "abc", "token_type": "Bearer", "scope": "launch patient/*.read", "subject": "sandbox"}
    answer = sandbox.call("order-select", _select(ORDER), CHART, fhirAuthorization=token)
    assert _topics(answer) == ["calcium-check-before-supplement"]


def test_every_suggestion_that_the_order_screen_would_take_is_whole(sandbox: Sandbox) -> None:
    """It applies a create or update only with text and a code, and a delete always."""
    for name in ("calcium-order-with-high-calcium", "calcium-order-above-the-upper-limit"):
        sent = _fixture(name)
        answer = sandbox.call(
            "order-sign", {"patientId": sent["context"]["patientId"]} | sent["context"], sent["prefetch"]
        )
        assert _topics(answer)
        suggestions = [one for card in answer.json()["cards"] for one in card.get("suggestions", ())]
        actions = [action for suggestion in suggestions for action in suggestion["actions"]]
        assert actions
        for action in actions:
            assert action["description"]
            medicine = action.get("resource", {}).get("medicationCodeableConcept")
            assert medicine is None or (medicine["text"] and medicine["coding"][0]["code"])
