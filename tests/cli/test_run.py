"""`prenatal-cds run`: cards without a server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import create_app, load_settings
from tests.cli.conftest import NOW, Body, Cli, Ended, bundle, calcium
from tests.knowledge.small_rules import REAL_RULES, Rules
from tests.knowledge.test_languages import LOW_SPANISH

Ask = Callable[..., Ended]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_a_card_is_printed_with_its_indicator_proof_and_suggestions(asking: Ask, body: Body) -> None:
    body["prefetch"]["laboratory"] = None
    ended = asking("run", body)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("INFO  No serum calcium in 42 days\n")
    assert "  - Pregnancy: current, status: pregnant, 2026-11-20, Observation/status-1\n" in ended.out
    assert "  - Request serum calcium: Propose: Serum calcium\n" in ended.out
    assert "whether this already applies" in ended.out
    assert ended.out.splitlines()[-1].startswith("1 card for patient-view at 2026-11-22T12:00+00:00, profile seed")


def test_json_is_the_body_of_the_http_answer(asking: Ask, body: Body, rules: Rules) -> None:
    ended = asking("run", body, "--json")
    assert (ended.code, ended.err) == (0, "")
    answered = _over_http(rules, body)
    assert UUID.sub("uuid", ended.out) == UUID.sub("uuid", answered)
    assert json.loads(ended.out)["cards"][0]["summary"] == "Serum calcium 2.05 mmol/L is below 2.10 mmol/L"


@pytest.fixture
def spanish(rules: Rules) -> Rules:
    """The rules that `asking` asks, one of them in Spanish."""
    rules.write("languages/es.yaml", (REAL_RULES / "languages" / "es.yaml").read_text(encoding="utf-8"))
    rules.write("advice/low-calcium.es.yaml", LOW_SPANISH)
    return rules


@pytest.mark.usefixtures("spanish")
def test_cards_come_in_the_language_that_was_asked_for(asking: Ask, body: Body) -> None:
    ended = asking("run", body, "--language", "es-MX")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("INFO  El calcio sérico 2.05 mmol/L es inferior a 2.10 mmol/L\n")
    assert "Serum calcium 2.05 mmol/L is below" in asking("run", body).out


@pytest.mark.usefixtures("spanish")
def test_a_language_that_the_rules_do_not_have_is_refused(asking: Ask, body: Body) -> None:
    ended = asking("run", body, "--language", "fr")
    assert ended.code == 2
    assert "the rules have no such language; known are en, es" in ended.err


def test_no_card_is_said_in_words(asking: Ask, body: Body) -> None:
    body["prefetch"]["laboratory"] = bundle(calcium(2.30, "2026-11-20"))
    ended = asking("run", body)
    assert ended.code == 0
    assert ended.out.startswith("No card: no rule spoke about what was supplied.")


def test_a_request_may_come_through_stdin(process: Cli, rules: Rules, body: Body) -> None:
    ended = process("run", "-", "--json", "--rules", rules.root, "--now", NOW, stdin=json.dumps(body).encode())
    assert (ended.code, ended.err) == (0, "")
    assert len(json.loads(ended.out)["cards"]) == 1


def test_the_clock_is_read_when_no_time_is_given(cli: Cli, rules: Rules, body: Body, tmp_path: Path) -> None:
    """A result of the year 2000 is old at any time this test can run."""
    body["prefetch"]["laboratory"] = bundle(calcium(2.00, "2000-01-01"))
    path = tmp_path / "r.json"
    path.write_text(json.dumps(body))
    ended = cli("run", path, "--rules", rules.root, "--json")
    proof = json.loads(ended.out)["cards"][0]["extension"]["org.prenatal-cds.proof"]
    assert proof["evaluatedAt"] != NOW


def test_what_was_not_used_is_told(asking: Ask, body: Body) -> None:
    other = {**calcium(2.30, "2026-11-20"), "id": "of-another-woman"}
    body["prefetch"]["laboratory"]["entry"].append({"resource": {**other, "subject": {"reference": "Patient/x"}}})
    ended = asking("run", body)
    assert "- 1 resource(s) of another patient were ignored\n" in ended.out.split("Not supplied or not used:\n")[1]


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"hook": "patient-veiw"}, 2, "hook is none of patient-view, order-select, order-sign"),
        ({"hookInstance": "1"}, 2, "hookInstance has the wrong form; send a fresh UUID"),
        ({"context": {"userId": "Practitioner/1"}}, 2, "context.patientId is missing; send a FHIR id"),
        ({"context": {"userId": "Practitioner/1", "patientId": "other"}}, 2, "is another patient than"),
        ({"prefetch": {}}, 1, "(patient was not supplied), 'pregnancy' (pregnancy observations were not supplied)"),
    ],
)  # fmt: skip
def test_a_request_that_gets_no_advice_is_one_line(asking: Ask, body: Body, change: Body, code: int, told: str) -> None:
    ended = asking("run", {**body, **change})
    assert ended.code == code
    assert told in ended.complaint
    assert ended.complaint.count("request.json: ") == 1
    assert "mother-1" not in ended.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "syntax error at line 1, column 2"),
        ('{"hook": "a", "hook": "b"}', "an object has two members of the same name"),
        ("[]", "hook is none of"),
    ],
)
def test_a_body_that_is_no_request_is_wrong_use(cli: Cli, rules: Rules, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    ended = cli("run", tmp_path / "bad.json", "--rules", rules.root)
    assert ended.code == 2
    assert told in ended.complaint


def test_the_service_of_another_hook_refuses_the_request_like_over_http(asking: Ask, body: Body) -> None:
    ended = asking("run", body, "--hook", "order-sign")
    assert ended.code == 2
    assert "hook is not the hook of this service; send order-sign here" in ended.complaint


def test_record_text_can_neither_steer_the_terminal_nor_the_layout(asking: Ask, body: Body, rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "lab: serum-calcium, below: calcium-low,", "symptom: leg-cramps,")
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    body["prefetch"]["conditions"] = bundle(
        {
            "resourceType": "Condition",
            "id": "cramps",
            "clinicalStatus": {"coding": [active]},
            "code": {"text": "leg cramps \x1b[2J\x9b31m\r\n[bold red]x[/bold red]\u202e"},
            "recordedDate": "2026-11-20",
        }
    )
    for ended in (asking("run", body), asking("explain", body)):
        assert ended.code == 0
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", ended.out)
        assert "[bold red]x[/bold red]" in ended.out


def _over_http(rules: Rules, body: Body) -> str:
    """The body that the real application sends for this request."""
    settings = load_settings({"rules_dir": rules.root, "fixed_now": NOW, "log_level": "error"})
    app = create_app(settings)
    try:
        return _post(app, "/cds-services/prenatal-patient-view", json.dumps(body).encode())
    finally:
        app.state.rules.adviser.close()


def _post(app: Starlette, path: str, content: bytes) -> str:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post(path, content=content, headers={"Content-Type": "application/json"})

    response = asyncio.run(post())
    assert response.status_code == 200, response.text
    return response.text
