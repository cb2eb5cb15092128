"""Private data planted in everything that a client can send is in no log, refusal, header, metric or column."""

from __future__ import annotations

import copy
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cds.service import load_settings
from cds.service.log import make_logger
from tests.canary import IN_STORE, NET, PRIVATE_HEADERS, RUN, canary, kinds, kinds_in_store
from tests.feedback.bodies import ILLEGAL, REASON, accepted, body, broken, overridden
from tests.processes import ROOT, SERVE, Served, served
from tests.service.conftest import running

Json = dict[str, Any]
GOLDEN = (
    "cramps-in-late-pregnancy",
    "calcium-order-with-thiazide-and-digoxin",
    "calcium-order-as-the-sandbox-sends-it",
    "one-leg-swelling-with-cramps",
    "swollen-leg-told-in-the-questionnaire",
    "twins-with-low-calcium-intake",
    "calcium-in-the-wrong-unit",
)
NOW = (ROOT / "fixtures" / "now.txt").read_text(encoding="utf-8").strip()
# An element that only holds people's words, so that another text is still the same record.
WORDS = ("display", "text", "linkId-text", "description", "comment", "title")
# The message of this fault quotes the whole request; so do messages of real libraries.
WITH_A_BROKEN_ENGINE = """
from cds.advise import Adviser
from cds.cli import main
advise = Adviser.advise
def failing(self, request, *args, **named):
    if "broken" in request.context.user_id:
        raise RuntimeError(f"{request!r} {request.fhir_authorization}")
    return advise(self, request, *args, **named)
Adviser.advise = failing
main()
"""


def test_the_net_sees_a_canary_in_any_form() -> None:
    import base64
    from urllib.parse import quote

    private = canary("name")
    for written in (
        private,
        private.upper(),
        quote(f"é {private}"),
        json.dumps({"a": f"\n{private}\x01"}),
        repr({private: 1}),
        *(base64.b64encode(b"x" * shift + private.encode()).decode() for shift in range(3)),
        private.encode().hex(),
        f"00000000-0000-4000-8000-{RUN}",
    ):
        assert kinds(written), written
    assert not kinds("canary")


def test_the_net_sees_a_leak_into_the_log() -> None:
    # `at` is a field that the log lets through: the list of fields alone does not keep a value out.
    make_logger("info").info("request", at=canary("name"))
    assert NET.take() == ["log line: a canary of name"]


def test_the_net_sees_a_leak_into_a_refusal_and_a_header_and_lets_a_card_pass() -> None:
    async def echo(request: Request) -> PlainTextResponse:
        text, status = (await request.body()).decode(), int(request.path_params["status"])
        return PlainTextResponse(text, status, headers={"X-Echo": request.headers.get("x-echo", "-")})

    app = Starlette(routes=[Route("/{status}", echo, methods=["GET", "POST"])])
    app.state.settings = load_settings()
    with running(app) as base, httpx.Client(base_url=base, trust_env=False) as http:
        http.post("/200", content=canary("name"))
        assert NET.take() == []
        http.post("/400", content=canary("name"))
        assert NET.take() == ["body of a 400: a canary of name"]
        http.request("GET", "/200", content=canary("name"))
        assert NET.take() == ["body of a 200: a canary of name"], "a page such as /metrics is about no patient"
        http.post("/200", headers={"X-Echo": canary("name")})
        assert NET.take() == ["header of a 200: a canary of name"]


def test_the_net_sees_a_leak_into_a_column_that_is_not_for_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as connection:
        connection.execute("CREATE TABLE feedback (comment TEXT, card TEXT)")
        connection.execute("INSERT INTO feedback VALUES (?, ?)", (canary("comment"), canary("card")))
        connection.commit()
        assert kinds_in_store(tmp_path) == set()
        connection.execute("INSERT INTO feedback VALUES ('', ?)", (canary("comment"),))
        connection.commit()
    assert kinds_in_store(tmp_path) == {"comment"}
    (tmp_path / canary("name")).touch()
    assert kinds_in_store(tmp_path) == {"comment", "name"}


def test_a_test_that_leaks_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_leak.py").write_text(
        "from cds.service.log import make_logger\n"
        "from tests.canary import canary\n"
        "def test_that_asserts_nothing():\n"
        "    make_logger('info').info('request', at=canary('name'))\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "log line: a canary of name" in done.stdout


def planted(value: Any, name: str = "") -> Any:
    """A record with a canary in every id, reference and text, which still says the same to the rules."""
    if isinstance(value, dict):
        return {key: planted(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [planted(member, name) for member in value]
    if not isinstance(value, str):
        return value
    if name in ("id", "patientId", "encounterId"):
        return f"{value[:20]}.{RUN}idz"
    if name in ("reference", "userId", "selections", "fullUrl") and "/" in value:
        return f"{value[:40]}.{RUN}idz"
    if name in WORDS:
        return f"{value} {canary('text')}"
    return value


def private_call(name: str) -> Json:
    """A golden request with canaries wherever it stays legal; the rest of the protocol's fields are added."""
    call: Json = planted(json.loads((ROOT / "fixtures" / "requests" / f"{name}.json").read_bytes()))
    call["hookInstance"] = f"00000000-0000-4000-8000-{RUN}"
    call["context"]["encounterId"] = canary("encounter")
    call["context"][canary("member")] = canary("context")
    call["extension"] = {f"org.example.{RUN}": {canary("member"): canary("extension")}}
    call["fhirServer"] = f"https://{RUN}hostz.invalid/{canary('path')}"
    call["fhirAuthorization"] = {
        "access_token": canary("token"),
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": f"user/*.read {canary('scope')}",
        "subject": canary("subject"),
    }
    call[canary("member")] = canary("unknown")
    person = call.get("prefetch", {}).get("patient")
    if person:
        person["name"] = [{"family": canary("family"), "given": [canary("given")]}]
        person["telecom"] = [{"system": "phone", "value": canary("phone")}]
        person["identifier"] = [{"system": f"urn:{RUN}systemz", "value": canary("identifier")}]
    call.setdefault("prefetch", {})[canary("prefetch")] = {"resourceType": "Patient", "id": canary("other")}
    return call


def everywhere(value: Any) -> Any:
    """Every text of a JSON value replaced; only the names of members stay."""
    if isinstance(value, dict):
        return {key: everywhere(member) for key, member in value.items()}
    if isinstance(value, list):
        return [everywhere(member) for member in value]
    return f"{value}{canary('value')}" if isinstance(value, str) else value


def spoilt(call: Json) -> Iterator[Json]:
    """The call with each member down to the prefetch keys replaced by other kinds of value, all of them private."""
    yield everywhere(call)
    yield {**everywhere(call), "hook": call["hook"]}
    for place in (call, call["context"], call["prefetch"]):
        for name, good in list(place.items()):
            for bad in (canary("value"), [canary("value")], {canary("member"): [canary("value")]}, 5, everywhere(good)):
                place[name] = bad
                yield copy.deepcopy(call)
            place[name] = good
    failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": canary("outcome")}]}
    yield {**call, "prefetch": dict.fromkeys(call["prefetch"], failed)}
    person = {**call["prefetch"]["patient"], "id": canary("other")}
    yield {**call, "prefetch": {**call["prefetch"], "patient": person}}


class Client:
    """Sends with private headers; keeps the status of each answer and looks at everything that is no success."""

    def __init__(self, running: Served) -> None:
        headers = {**PRIVATE_HEADERS, "Accept-Language": canary("language"), "Origin": f"https://{RUN}originz.example"}
        headers["Authorization"] = f"Bearer {canary('bearer')}"
        self.http = httpx.Client(base_url=running.base, headers=headers, trust_env=False, timeout=30)
        self.statuses: list[int] = []
        self.cards = 0

    def close(self) -> None:
        self.http.close()

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self.http.request(method, path, **more)
        self.statuses.append(answer.status_code)
        where = f"{answer.status_code} to {method}"
        NET.look(f"headers of {where}", str(answer.headers))
        if answer.status_code >= 400 or not path.startswith("/cds-services"):
            NET.look(f"body of {where}", answer.content)
        elif method == "POST" and "cards" in answer.json():
            self.cards += len(answer.json()["cards"])
        return answer

    def raw(self, data: bytes) -> None:
        """Bytes that no HTTP client sends."""
        address = ("127.0.0.1", self.http.base_url.port or 0)
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        NET.look("answer to raw bytes", answer)


def tour(client: Client, *, spoil: bool) -> None:
    """Everything a client can do to this service, with private data in all of it; `spoil` adds the long part."""
    services = {entry["hook"]: entry["id"] for entry in client.send("GET", "/cds-services").json()["services"]}
    for name in GOLDEN:
        call = private_call(name)
        assert client.send("POST", f"/cds-services/{services[call['hook']]}", json=call).status_code == 200, name
    assert client.cards > len(GOLDEN), "the records no longer say what they said before"
    order = private_call("calcium-order-as-the-sandbox-sends-it")
    for bad in spoilt(order) if spoil else ():
        client.send("POST", f"/cds-services/{services['order-select']}", json=bad)
    path = f"/cds-services/{services['patient-view']}"
    call = private_call(GOLDEN[0])
    call["context"]["userId"] += ".broken"
    client.send("POST", path, json=call)
    _malformed(client, path)
    _feedback(client, path)
    for wrong in (b"GARBAGE %b\r\n\r\n", b"GET /%b HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n"):
        client.raw(wrong.replace(b"%b", canary("raw").encode()))


def _malformed(client: Client, path: str) -> None:
    private = canary("malformed")
    text = json.dumps({"hook": private})
    for content in (
        text[:-1],
        text + private,
        f'{{"{private}": 1, "{private}": 2}}',
        f'{{"hook": {private}}}',
        f'{{"hook": NaN, "x": "{private}"}}',
        f'{{"hook": 1e999, "x": "{private}"}}',
        f'["{private}"]',
        f'"{private}"',
        f'{{"hook": "{private}\\u0000"}}',
        f'{{"hook": "{private}\\ud800"}}',
        f'"{private}"'.encode() + b"\xff",
        "[" * 100_000 + f'"{private}"',
        f'"{private}' + "x" * 2_100_000 + '"',
    ):
        client.send("POST", path, content=content, headers={"Content-Type": "application/json"})
    for headers in (
        {"Content-Type": f"text/{private}"},
        {"Content-Type": f"application/json; charset={private}"},
        {"Content-Type": "application/json", "Content-Encoding": private},
        {"Content-Type": "application/json", "Host": f"{private}.example"},
        {"Content-Type": "application/json", "X-Forwarded-Host": f"{private}.example", "Forwarded": f"for={private}"},
    ):
        client.send("POST", path, content=text, headers=headers)
    for method, address in (
        ("GET", f"/{private}"),
        ("GET", f"/%63anary/{private}?patient={private}"),
        ("GET", f"/health?patient={private}"),
        ("GET", f"/ready?patient={private}"),
        ("GET", f"/metrics?patient={private}"),
        ("GET", f"/questionnaires/{private}"),
        ("POST", f"/cds-services/{private}"),
        ("POST", f"/cds-services/{private}/feedback"),
        ("DELETE", path),
        ("PUT", f"{path}?patient={private}"),
        (f"X{RUN.upper()}", path),
        ("OPTIONS", path),
    ):
        client.send(method, address)


def _feedback(client: Client, path: str) -> None:
    path += "/feedback"
    private = {"code": canary("code"), "system": f"urn:{canary('system')}", "display": canary("display")}
    why = {"reason": private, "userComment": canary("comment"), canary("member"): canary("unknown")}
    legal = [
        overridden(canary("card"), overrideReason=why, extension={f"org.example.{RUN}": {"a": canary("extension")}}),
        accepted(canary("suggestion"), card=canary("card"), **{canary("member"): canary("unknown")}),
    ]
    assert client.send("POST", path, json=body(*legal)).status_code == 200
    assert client.send("POST", path, json=body(*legal)).status_code == 200
    for name in ILLEGAL:
        client.send("POST", path, json=everywhere_but_names(broken(name)))
    wrong: list[Any] = [canary("value"), [canary("value")], {canary("member"): []}, {"feedback": {canary("member"): 1}}]
    for bad in wrong:
        client.send("POST", path, json=bad)


def everywhere_but_names(item: Json) -> Json:
    """An illegal item with private data beside its fault."""
    return body({**item, canary("member"): canary("value"), "extension": {canary("member"): {}}})


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_private_leaves_the_service_but_on_the_cards(tmp_path: Path, workers: int) -> None:
    # Workers are started afresh and know nothing of a fault put into their parent.
    arguments = ("-c", WITH_A_BROKEN_ENGINE, "serve") if workers == 1 else SERVE
    with (
        served(
            tmp_path, arguments=arguments, workers=workers, fixed_now=NOW, log_level="debug", store_wait_seconds=3
        ) as running,
        closing(Client(running)) as client,
    ):
        tour(client, spoil=workers == 1)
        _locked_out(client, tmp_path / "state" / "feedback.sqlite3")
    output = running.stdout.read_bytes() + running.stderr.read_bytes()
    assert output.count(b'"event": "request"') >= len(client.statuses), "the log was not where it was looked for"
    wanted = {200, 400, 404, 405, 413, 415, 503} | ({412, 500} if workers == 1 else set())
    assert wanted <= set(client.statuses)
    assert kinds_in_store(tmp_path / "state") == set()
    assert _stored_kinds(tmp_path / "state" / "feedback.sqlite3") == set(IN_STORE.values())
    assert NET.take() == []


def _locked_out(client: Client, file: Path) -> None:
    """A 503 with a private body."""
    service = client.send("GET", "/cds-services").json()["services"][0]["id"]
    why = {"reason": REASON, "userComment": canary("comment")}
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = client.send(
            "POST", f"/cds-services/{service}/feedback", json=body(overridden("x", overrideReason=why))
        )
    assert answer.status_code == 503


def _stored_kinds(file: Path) -> set[str]:
    """What the store does hold: the planted feedback really arrived."""
    with closing(sqlite3.connect(file)) as connection:
        return set().union(*(kinds(str(row)) for row in connection.execute("SELECT * FROM feedback")))
