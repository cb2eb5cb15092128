"""A page of another origin in headless Chromium: the browser itself sends the preflights, enforces CORS and hides
what a page may not read; the page finds the services, calls, shows the cards and sends feedback, with a bearer token.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from cds.service import create_app, load_settings
from tests.peers.browser import chromium
from tests.peers.installed import HERE, node
from tests.service.conftest import running

Json = dict[str, Any]
REQUESTS = Path(__file__).resolve().parents[2] / "fixtures" / "requests"
NOW = (REQUESTS.parent / "now.txt").read_text(encoding="utf-8").strip()
SWOLLEN: Json = json.loads((REQUESTS / "one-leg-swelling-with-cramps.json").read_text(encoding="utf-8"))
VIEW = "/cds-services/prenatal-patient-view"
KEY = ec.generate_private_key(ec.SECP384R1())
ISSUER = "https://ehr.example"


def token(audience: str) -> str:
    """What the back end of an EHR signs for one call of one address."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + 120, "jti": str(uuid.uuid4())}
    return jwt.encode(claims, KEY, algorithm="ES384", headers={"kid": "browser", "typ": "JWT"})


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    origin: str | None
    authorized: bool
    asks_for: str | None
    status: int


@dataclass
class Recorder:
    """ASGI layer around the whole service that keeps what arrived and how it was answered."""

    app: Starlette
    seen: list[Seen] = field(default_factory=list)

    @property
    def state(self) -> Any:
        return self.app.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def recording(message: Message) -> None:
            if message["type"] == "http.response.start":
                one = Seen(
                    scope["method"],
                    scope["path"],
                    headers.get("origin"),
                    "authorization" in headers,
                    headers.get("access-control-request-headers"),
                    message["status"],
                )
                self.seen.append(one)
            await send(message)

        await self.app(scope, receive, recording)


@contextmanager
def service(**settings: Any) -> Iterator[tuple[str, list[Seen]]]:
    """A real server; yields its base URL and the growing list of what arrived."""
    recorder = Recorder(create_app(load_settings({"fixed_now": NOW, "log_level": "error", **settings})))
    with running(recorder) as base:  # type: ignore[arg-type] # an application with a layer more
        yield base, recorder.seen


@pytest.fixture(scope="module")
def everyones() -> Iterator[str]:
    """Base URL of a service as it is set without settings, for tests that need no record of what arrived."""
    with service() as (base, _):
        yield base


class _Pages(SimpleHTTPRequestHandler):
    """The page, and Medplum's client beside it."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def translate_path(self, path: str) -> str:
        medplum = HERE / "node_modules" / "@medplum" / "core" / "dist" / "esm" / "index.mjs"
        return str({"/": HERE / "browser_client.html", "/medplum.mjs": medplum}.get(path, HERE / "nothing"))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """Port of a server of static pages on loopback, under both its names."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(HERE))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@contextmanager
def page_at(browser: Browser, origin: str, sign: Callable[[str], str] = token) -> Iterator[Page]:
    """The page, loaded from `origin`; each has its own context, so no preflight is remembered."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    try:
        page = context.new_page()
        page.expose_function("tokenFor", sign)
        page.goto(f"{origin}/")
        page.wait_for_function("window.ready")
        yield page
    finally:
        context.close()


def of(seen: list[Seen], method: str, path: str) -> list[Seen]:
    return [one for one in seen if (one.method, one.path) == (method, path)]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_page_of_another_origin_asks_and_shows_the_cards(browser: Browser, pages: int, name: str) -> None:
    origin = f"http://{name}:{pages}"
    with service() as (base, seen), page_at(browser, origin) as page:
        found = page.evaluate("([base, request]) => ask(base, request)", [base, SWOLLEN])
        shown = [(item.get_attribute("class"), item.inner_text()) for item in page.locator("#cards li").all()]
    assert urlsplit(base).netloc != urlsplit(origin).netloc
    assert found["discovery"]["status"] == found["call"]["status"] == 200
    assert shown == [(card["indicator"], card["summary"]) for card in found["call"]["json"]["cards"]] != []
    assert shown[0][0] == "critical"
    # The browser asked first, without the token, and then sent it.
    for method, path in (("GET", "/cds-services"), ("POST", VIEW)):
        (preflight,) = of(seen, "OPTIONS", path)
        assert (preflight.origin, preflight.authorized, preflight.status) == (origin, False, 200)
        assert preflight.asks_for is not None
        assert "authorization" in preflight.asks_for
        (real,) = of(seen, method, path)
        assert (real.origin, real.authorized, real.status) == (origin, True, 200)
        assert seen.index(preflight) < seen.index(real)


def test_the_page_can_read_the_request_id_and_the_language(browser: Browser, pages: int, everyones: str) -> None:
    with page_at(browser, f"http://localhost:{pages}") as page:
        found = page.evaluate("([base, request]) => ask(base, request)", [everyones, SWOLLEN])["call"]
    assert re.fullmatch(r"[0-9a-f-]{36}", found["requestId"])
    assert found["language"] == "en"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", VIEW, "{", {}, 400),
        ("POST", VIEW, {**SWOLLEN, "hookInstance": "none"}, {}, 400),
        ("POST", "/cds-services/other", SWOLLEN, {}, 404),
        ("GET", VIEW, None, {}, 405),
        ("POST", VIEW, {**SWOLLEN, "prefetch": {}}, {}, 412),
        ("POST", VIEW, "{}", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_the_page_can_read_why_a_call_was_refused(
    browser: Browser, pages: int, everyones: str, method: str, path: str, body: Any, headers: Json, status: int
) -> None:
    with page_at(browser, f"http://localhost:{pages}") as page:
        found = page.evaluate(
            "([method, url, body, headers]) => send(method, url, body ?? undefined, headers)",
            [method, everyones + path, body, headers],
        )
    assert found["status"] == status
    assert found["json"]["resourceType"] == "OperationOutcome"
    assert found["json"]["issue"][0]["details"]["text"]
    assert re.fullmatch(r"[0-9a-f-]{36}", found["requestId"])


def test_the_browser_keeps_a_page_out_whose_origin_is_not_listed(browser: Browser, pages: int) -> None:
    with service(cors_origins=(f"http://127.0.0.1:{pages}",)) as (base, seen):
        with page_at(browser, f"http://localhost:{pages}") as stranger:
            refused = stranger.evaluate("([base, request]) => ask(base, request)", [base, SWOLLEN])
            call = "([url, request]) => send('POST', url, request)"
            refused_call = stranger.evaluate(call, [base + VIEW, SWOLLEN])
        assert refused["discovery"] == refused_call == {"blocked": "TypeError"}
        assert {one.method for one in seen} == {"OPTIONS"}, "no request of a stranger came further than its preflight"
        with page_at(browser, f"http://127.0.0.1:{pages}") as listed:
            found = listed.evaluate("([base, request]) => ask(base, request)", [base, SWOLLEN])
    assert found["call"]["status"] == 200


def test_the_page_sends_feedback_for_a_card(browser: Browser, pages: int) -> None:
    with service() as (base, seen), page_at(browser, f"http://localhost:{pages}") as page:
        found = page.evaluate("([base, request]) => ask(base, request)", [base, SWOLLEN])
        card = found["call"]["json"]["cards"][0]
        reason = {"reason": card["overrideReasons"][0], "userComment": "seen by the midwife"}
        overridden = page.evaluate(
            "([url, card, more]) => decide(url, card, 'overridden', more)",
            [found["url"], card, {"overrideReason": reason}],
        )
        accepted = page.evaluate(
            "([url, card, more]) => decide(url, card, 'accepted', more)",
            [found["url"], card, {"acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}]}],
        )
        wrong = page.evaluate("([url, card]) => decide(url, card, 'ignored')", [found["url"], card])
    assert (overridden["status"], overridden["json"]) == (accepted["status"], accepted["json"]) == (200, {})
    assert (wrong["status"], wrong["json"]["resourceType"]) == (400, "OperationOutcome")
    preflight, *_ = of(seen, "OPTIONS", f"{VIEW}/feedback")
    assert (preflight.authorized, preflight.status) == (False, 200)
    assert [one.authorized for one in of(seen, "POST", f"{VIEW}/feedback")] == [True, True, True]


def trust_file(folder: Path) -> Path:
    """A list of clients with one EHR on it, whose page this is."""
    keys = {"keys": [json.loads(ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "browser", "alg": "ES384"}]}
    path = folder / "clients.yaml"
    path.write_text(json.dumps({"clients": [{"name": "page", "issuer": ISSUER, "jwks": keys}]}), encoding="utf-8")
    return path


def test_a_page_of_a_trusted_ehr_is_let_in_and_the_same_page_without_its_key_reads_the_401(
    browser: Browser, pages: int, tmp_path: Path
) -> None:
    origin = f"http://localhost:{pages}"
    settings: Json = {
        "trust_file": trust_file(tmp_path),
        "public_url": "https://cds.example.org",
        "state_dir": tmp_path,
    }
    with service(cors_origins=(origin,), **settings) as (base, seen):

        def sign(url: str) -> str:
            return token(url.replace(base, "https://cds.example.org"))

        with page_at(browser, origin, sign) as page:
            found = page.evaluate("([base, request]) => ask(base, request)", [base, SWOLLEN])
            call = "([url, request]) => send('POST', url, request)"
            again = page.evaluate(call, [base + VIEW, SWOLLEN])
        with page_at(browser, origin, lambda _: "no.such.token") as page:
            refused = page.evaluate(call, [base + VIEW, SWOLLEN])
    assert (found["discovery"]["status"], found["call"]["status"], again["status"]) == (200, 200, 200)
    assert found["call"]["json"]["cards"]
    assert (refused["status"], refused["json"]["resourceType"]) == (401, "OperationOutcome")
    assert re.fullmatch(r"[0-9a-f-]{36}", refused["requestId"])
    assert {one.status for one in seen if one.method == "OPTIONS"} == {200}, "a preflight carries no token"


def test_medplums_client_in_a_page_gets_the_same_cards(browser: Browser, pages: int) -> None:
    node()  # its packages
    with service() as (base, seen), page_at(browser, f"http://localhost:{pages}") as page:
        direct = page.evaluate("([base, request]) => ask(base, request)", [base, SWOLLEN])["call"]["json"]["cards"]
        found = page.evaluate("([base, request]) => askWithMedplum(base, request)", [base, SWOLLEN])["cards"]
    assert [card["summary"] for card in found] == [card["summary"] for card in direct] != []
    assert of(seen, "POST", VIEW)[-1].authorized
