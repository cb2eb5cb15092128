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
        timeout=50,
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


@pytest.fixture(scope="module")
def clinic() -> Iterator[tuple[str, Json]]:
    with service() as (base, _):
        yield base, ask(base, [visit_of(name) for name in VISITS])


def test_medplum_finds_each_service_with_its_templates(clinic: tuple[str, Json]) -> None:
    base, found = clinic
    assert found["services"] == httpx.get(f"{base}/cds-services", trust_env=False).json()["services"]


@pytest.mark.parametrize("number", range(len(VISITS)), ids=VISITS)
def test_a_record_in_medplum_gets_the_cards_of_a_direct_call(clinic: tuple[str, Json], number: int) -> None:
    base, found = clinic
    body = fixture(VISITS[number])
    direct = httpx.post(f"{base}/cds-services/prenatal-{body['hook']}", json=body, trust_env=False)
    assert direct.status_code == 200, direct.text
    assert advice(found["visits"][number]["answer"]) == advice(direct.json())


@pytest.mark.parametrize("number", range(len(VISITS)), ids=VISITS)
def test_every_prefetch_template_runs_on_medplums_fhir_search(clinic: tuple[str, Json], number: int) -> None:
    _, found = clinic
    visit = found["visits"][number]
    request = visit["request"]
    (entry,) = [entry for entry in found["services"] if entry["hook"] == request["hook"]]
    assert set(request) == {"hook", "hookInstance", "context", "prefetch"}
    assert set(request["prefetch"]) == set(entry["prefetch"])
    sent, recorded = (
        {(one["resourceType"], one["id"]) for one in resources(prefetch)}
        for prefetch in (request["prefetch"], fixture(VISITS[number])["prefetch"])
    )
    assert sent == recorded
    assert [try_["status"] for try_ in visit["tries"]] == [200]


def test_a_refusal_reaches_the_user_of_medplum_in_our_words() -> None:
    swollen = visit_of(SWOLLEN)
    without_user = swollen | {"context": {"patientId": "dina"}}
    another = swollen | {"context": swollen["context"] | {"patientId": "maria"}}
    another["records"] = [*swollen["records"], {"resourceType": "Patient", "id": "maria", "gender": "female"}]
    with service() as (base, _):
        found = ask(base, [swollen | {"prefetch": False}, without_user, swollen | {"service": "other"}, another])
    no_data, no_user, no_service, empty_chart = found["visits"]
    assert [[try_["status"] for try_ in visit["tries"]] for visit in (no_data, no_user, no_service)] == [
        [412],
        [400],
        [404],
    ]
    assert no_data["request"]["prefetch"] == {}
    assert "prefetch" in no_data["error"]["message"]
    assert no_user["error"]["message"].startswith("context.userId ")
    assert "GET /cds-services" in no_service["error"]["message"]
    assert no_data["error"]["outcome"]["issue"][0]["code"] == "incomplete"
    # A record without a word about pregnancy is no error: it was asked for and there is nothing to say.
    assert empty_chart["answer"]["cards"] == []


def test_medplum_repeats_a_failure_with_the_same_hook_instance_and_gets_no_cards_from_it() -> None:
    with service() as (base, app):
        app.state.rules.adviser.close()
        (visit,) = ask(base, [visit_of(SWOLLEN)])["visits"]
    assert [try_["status"] for try_ in visit["tries"]] == [500, 500, 500]
    assert {try_["hookInstance"] for try_ in visit["tries"]} == {visit["request"]["hookInstance"]}
    assert "answer" not in visit
    assert re.search(r"Report request [0-9a-f-]{36}", visit["error"]["message"])
