"""An independent client: @medplum/core reads our discovery, fills the prefetch from Medplum's own FHIR repository,
calls, and gets the cards that the same record gives in our own words.
"""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import create_app, load_settings
from tests.peers.installed import HERE, node
from tests.service.conftest import running

Json = dict[str, Any]
REQUESTS = Path(__file__).resolve().parents[2] / "fixtures" / "requests"
NOW = (REQUESTS.parent / "now.txt").read_text(encoding="utf-8").strip()
VIEW = "prenatal-patient-view"
SWOLLEN = "one-leg-swelling-with-cramps"


def ask(service: str, visits: list[Json], authorization: str | None = None) -> Json:
    """What Medplum's client found and was answered; see medplum_client.mjs."""
    task = {"service": service, "visits": visits, "authorization": authorization}
    done = subprocess.run(
        [node(), str(HERE / "medplum_client.mjs")],
        input=json.dumps(task),
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: Json = json.loads(done.stdout)
    return found


def fixture(name: str) -> Json:
    body: Json = json.loads((REQUESTS / f"{name}.json").read_text(encoding="utf-8"))
    return body


def resources(prefetch: Json) -> list[Json]:
    """Every resource of a prefetch, once."""
    found: dict[str, Json] = {}
    for value in prefetch.values():
        rows = [row["resource"] for row in value.get("entry", ())] if value["resourceType"] == "Bundle" else [value]
        found |= {f"{row['resourceType']}/{row['id']}": row for row in rows}
    return list(found.values())


def visit_of(name: str) -> Json:
    body = fixture(name)
    records = resources(body["prefetch"])
    return {"service": f"prenatal-{body['hook']}", "context": body["context"], "records": records}


def advice(answer: Json) -> list[Json]:
    """The cards without what is fresh on each answer, and without what Medplum notes on each resource."""
    cards: list[Json] = json.loads(json.dumps(answer["cards"]))
    for card in cards:
        assert uuid.UUID(card.pop("uuid")).version == 4
        for suggestion in card.get("suggestions", ()):
            assert uuid.UUID(suggestion.pop("uuid")).version == 4
            for action in suggestion["actions"]:
                action.get("resource", {}).pop("meta", None)
    return cards


@contextmanager
def service() -> Iterator[tuple[str, Starlette]]:
    app = create_app(load_settings({"fixed_now": NOW, "log_level": "error"}))
    with running(app) as base:
        yield base, app


# Every golden request; a record knows nothing of data that were withheld.
VISITS = sorted(path.stem for path in REQUESTS.glob("*.json") if "withheld" not in path.stem)


SWELLING = visit_of(SWOLLEN)
MARIA = {"resourceType": "Patient", "id": "maria", "gender": "female"}
OTHERS = {
    "no data": SWELLING | {"prefetch": False},
    "no user": SWELLING | {"context": {"patientId": "dina"}},
    "no service": SWELLING | {"service": "other"},
    "another patient's record": SWELLING
    | {"context": SWELLING["context"] | {"patientId": "maria"}, "records": [*SWELLING["records"], MARIA]},
}


@dataclass(frozen=True)
class Clinic:
    """What Medplum was answered, by name of visit, and the same service to ask directly."""

    services: list[Json]
    visits: dict[str, Json]
    http: httpx.Client


@pytest.fixture(scope="module")
def clinic() -> Iterator[Clinic]:
    wanted = {name: visit_of(name) for name in VISITS} | OTHERS
    with service() as (base, _), httpx.Client(base_url=base, trust_env=False, timeout=20) as http:
        found = ask(base, list(wanted.values()))
        yield Clinic(found["services"], dict(zip(wanted, found["visits"], strict=True)), http)


def test_medplum_finds_each_service_with_its_templates(clinic: Clinic) -> None:
    assert clinic.services == clinic.http.get("/cds-services").json()["services"]


@pytest.mark.parametrize("name", VISITS)
def test_a_record_in_medplum_gets_the_cards_of_a_direct_call(clinic: Clinic, name: str) -> None:
    body = fixture(name)
    direct = clinic.http.post(f"/cds-services/prenatal-{body['hook']}", json=body)
    assert direct.status_code == 200, direct.text
    assert advice(clinic.visits[name]["answer"]) == advice(direct.json())


@pytest.mark.parametrize("name", VISITS)
def test_every_prefetch_template_runs_on_medplums_fhir_search(clinic: Clinic, name: str) -> None:
    visit = clinic.visits[name]
    request = visit["request"]
    (entry,) = [entry for entry in clinic.services if entry["hook"] == request["hook"]]
    assert set(request) == {"hook", "hookInstance", "context", "prefetch"}
    assert set(request["prefetch"]) == set(entry["prefetch"])
    sent, recorded = (
        {(one["resourceType"], one["id"]) for one in resources(prefetch)}
        for prefetch in (request["prefetch"], fixture(name)["prefetch"])
    )
    assert sent == recorded
    assert [try_["status"] for try_ in visit["tries"]] == [200]


def test_a_refusal_reaches_the_user_of_medplum_in_our_words(clinic: Clinic) -> None:
    refused = {name: clinic.visits[name] for name in ("no data", "no user", "no service")}
    tries = {name: [try_["status"] for try_ in visit["tries"]] for name, visit in refused.items()}
    assert tries == {"no data": [412], "no user": [400], "no service": [404]}
    said = {name: visit["error"]["message"] for name, visit in refused.items()}
    assert refused["no data"]["request"]["prefetch"] == {}
    assert "prefetch" in said["no data"]
    assert said["no user"].startswith("context.userId ")
    assert "GET /cds-services" in said["no service"]
    assert refused["no data"]["error"]["outcome"]["issue"][0]["code"] == "incomplete"


def test_the_record_of_one_patient_gives_no_card_for_another_of_the_same_server(clinic: Clinic) -> None:
    assert clinic.visits["another patient's record"]["answer"]["cards"] == []


def test_medplum_repeats_a_failure_with_the_same_hook_instance_and_gets_no_cards_from_it() -> None:
    with service() as (base, app):
        app.state.rules.adviser.close()
        (visit,) = ask(base, [SWELLING])["visits"]
    assert [try_["status"] for try_ in visit["tries"]] == [500, 500, 500]
    assert {try_["hookInstance"] for try_ in visit["tries"]} == {visit["request"]["hookInstance"]}
    assert "answer" not in visit
    assert re.search(r"Report request [0-9a-f-]{36}", visit["error"]["message"])
