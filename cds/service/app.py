"""The HTTP face of the one door: routes, limits, and an OperationOutcome for every answer that is not advice.

    ENVELOPE  request id, log line, last resort        (outermost, sees every answer)
      CORS    headers on successes and errors alike
        ROUTE -> read body -> strict JSON -> HookRequest -> Adviser.advise -> cards

A failure is never a 200 with no cards: a clinician reads an empty answer as "nothing to worry about".
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import cds
from cds.advise import Adviser, DataUnavailable, PatientMismatch
from cds.hooks import (
    Discovery,
    InvalidRequest,
    ServiceEntry,
    operation_outcome,
    parse_request,
    to_json,
)
from cds.hooks.outcome import IssueCode
from cds.knowledge import KnowledgeBase, load_knowledge
from cds.service.json_input import InvalidJson, dump_json, parse_json
from cds.service.language import negotiate
from cds.service.log import fault, make_logger
from cds.service.settings import BASE_URL, Settings, known_language

# Named one by one because `*` does not cover Authorization (Fetch standard, CORS-unsafe request-header
# names).
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "X-Requested-With")
# How much of a body that is too large is still read, so that the client gets to see the 413.
_DRAINED_BODIES: Final = 4

Endpoint = Callable[[Request], Awaitable[Response]]


class _Refusal(Exception):
    """A request that is answered with an OperationOutcome; the text holds nothing of the request."""

    def __init__(self, status: int, code: IssueCode, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code: IssueCode = code
        self.text = text
        self.headers = headers


def create_app(settings: Settings) -> Starlette:
    """Build the application: loads the rules, compiles them and holds one Adviser until shutdown.

    Raises KnowledgeError when the rules or the site file have faults, SettingsError when the language set is none of
    theirs. `app.state` has settings, knowledge, adviser, and the language of a client that asks for none.
    """
    log = make_logger(settings.log_level)
    knowledge = load_knowledge(settings.rules_dir, settings.site_file, settings.profile)
    language = known_language(settings.language, knowledge.languages)
    adviser = Adviser(knowledge, cross_check=settings.cross_check)
    services = tuple(adviser.services())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        log.info("serving", profile=knowledge.profile, rules_hash=knowledge.hash)
        yield
        adviser.close()

    routes = [
        Route("/", _guarded(_home), methods=["GET"]),
        Route("/health", _guarded(_health), methods=["GET"]),
        Route("/cds-services", _guarded(_discovery), methods=["GET"]),
        # Some clients keep the slash of the configured base URL; a redirect would break their CORS preflight.
        Route("/cds-services/", _guarded(_discovery), methods=["GET"]),
        Route("/questionnaires/{questionnaire_id}", _guarded(_questionnaire), methods=["GET"]),
        Route("/cds-services/{service_id}", _guarded(_call), methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(_Envelope, log=log),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST"),
                allow_headers=_CORS_HEADERS,
                expose_headers=("X-Request-Id",),
            ),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.knowledge = knowledge
    app.state.adviser = adviser
    app.state.services = {service.id: service for service in services}
    app.state.language = language
    app.state.discovery = {
        tag: dump_json(to_json(Discovery(services=tuple(adviser.services(tag))))) for tag in adviser.languages
    }
    app.state.log = log
    return app


async def _home(_: Request) -> Response:
    return _json(
        {
            "name": "prenatal-cds",
            "description": "CDS Hooks 2.0 service about leg cramps, calcium and vitamin D in pregnancy.",
            "discovery": "/cds-services",
            "health": "/health",
        }
    )


async def _health(request: Request) -> Response:
    state = request.app.state
    knowledge: KnowledgeBase = state.knowledge
    settings: Settings = state.settings
    body: dict[str, Any] = {
        "status": "ok",
        "version": cds.__version__,
        "rules": {"hash": knowledge.hash, "profile": knowledge.profile},
        "clock": "running",
    }
    if settings.fixed_now is not None:
        body["clock"] = "fixed"
        body["fixedNow"] = settings.now().isoformat()
    return _json(body)


async def _discovery(request: Request) -> Response:
    language = _language(request)
    return Response(
        request.app.state.discovery[language], headers=_language_headers([language]), media_type="application/json"
    )


async def _questionnaire(request: Request) -> Response:
    """`GET /questionnaires/{id}`: a form whose answers the services read, as FHIR."""
    form = request.app.state.knowledge.form(request.path_params["questionnaire_id"])
    if form is None:
        raise _Refusal(404, "not-found", "There is no such questionnaire; cards link to those that exist.")
    return Response(dump_json(form.form), media_type="application/fhir+json")


def _own_url(request: Request) -> str | None:
    """Where the client reaches this service: as set, else as the request came; None when that is no plain address."""
    settings: Settings = request.app.state.settings
    url = settings.public_url or str(request.base_url)
    return url if BASE_URL.fullmatch(url) else None


async def _call(request: Request) -> Response:
    """`POST /cds-services/{id}`: the answer of one service to one hook."""
    state = request.app.state
    adviser: Adviser = state.adviser
    service: ServiceEntry | None = state.services.get(request.path_params["service_id"])
    if service is None:
        raise _Refusal(404, "not-found", "There is no such service; GET /cds-services lists them.")
    _note(request, service=service.id)
    _check_content_type(request.headers)
    body = await _read_body(request, state.settings)
    hook_request = parse_request(parse_json(body), hook=service.hook)
    # Inline, not in a thread: it is a few milliseconds of CPU work that holds the GIL and one engine lock
    # anyway, and a thread was measured to double its time. More requests at once need more workers.
    language = _language(request)
    advice = adviser.advise(hook_request, state.settings.now(), language, public_url=_own_url(request))
    topics = [card.source.topic.code for card in advice.cards if card.source.topic is not None]
    _note(request, cards=len(advice.cards), rules=topics)
    return _json(to_json(advice.response()), headers=_language_headers(advice.languages or [language]))


def _language(request: Request) -> str:
    """The language that this client asks for, of those we have."""
    state = request.app.state
    asked = ",".join(request.headers.getlist("accept-language"))
    return negotiate(asked, state.adviser.languages, state.language)


def _language_headers(languages: Sequence[str]) -> dict[str, str]:
    return {"Content-Language": ", ".join(languages), "Vary": "Accept-Language"}


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Turn every exception of an endpoint into its answer here, inside CORS, so that browsers can read it."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except _Refusal as refusal:
            return _outcome(refusal.status, refusal.code, refusal.text, refusal.headers)
        except InvalidJson as error:
            return _outcome(400, "structure", f"The body cannot be read: {error.problem}.")
        except InvalidRequest as error:
            return _outcome(400, "invalid", f"{error}.")
        except PatientMismatch:
            return _outcome(
                400,
                "conflict",
                "The prefetch holds another patient than context.patientId; send data of one patient only.",
            )
        except DataUnavailable as error:
            return _outcome(412, "incomplete", str(error))
        except ClientDisconnect:
            # Nobody is left to read it; it only gives the log line its status.
            return _outcome(400, "incomplete", "The client closed the connection before the end of the body.")
        except Exception as error:
            _note(request, **fault(error))
            return _internal_error(request.scope)

    return answer


async def _http_error(request: Request, error: Exception) -> Response:
    """The router's own refusals: no such path (404), no such method (405)."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    if status == 404:
        return _outcome(404, "not-found", "There is nothing at this address; GET /cds-services lists the services.")
    if status == 405:
        allowed = (headers or {}).get("Allow", "another method")
        return _outcome(405, "not-supported", f"This method is not supported here; use {allowed}.", headers)
    return _internal_error(request.scope)


def _check_content_type(headers: Headers) -> None:
    """JSON in UTF-8, not compressed; text/plain would let any web page call us without a preflight."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    kind, _, subtype = media_type.strip().lower().partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise _Refusal(415, "not-supported", "The content type is not JSON; send Content-Type: application/json.")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if "charset=" in charset and "charset=utf-8" not in charset:
        raise _Refusal(415, "not-supported", "The character set is not UTF-8; send UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _Refusal(415, "not-supported", "The body is compressed; send it without Content-Encoding.")


async def _read_body(request: Request, settings: Settings) -> bytes:
    """The whole body, by the bytes that really arrive: Content-Length is only used to refuse early."""
    limit = settings.max_body_bytes
    too_large = _Refusal(
        413,
        "too-long",
        f"The body is larger than {limit} bytes; send only what the prefetch templates ask for.",
        {"Connection": "close"},
    )
    announced = request.headers.get("content-length", "")
    # A client that waits for 100 Continue has sent nothing yet and needs no draining.
    if announced.isdecimal() and int(announced[:20]) > limit and "expect" in request.headers:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= limit:
                    chunks.append(chunk)
                elif size > _DRAINED_BODIES * limit:
                    break
    except TimeoutError:
        if size <= limit:
            raise _Refusal(
                408,
                "timeout",
                "The body did not arrive in time; send it without pauses.",
                {"Connection": "close"},
            ) from None
    if size > limit:
        raise too_large
    return b"".join(chunks)


class _Envelope:
    """Around everything: a request id on each answer, a log line per request, a bare 500 as last resort."""

    def __init__(self, app: ASGIApp, log: Any) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Always our own id: one from the client would put its text into our log.
        request_id = str(uuid.uuid4())
        notes: dict[str, Any] = {}
        scope["prenatal_cds"] = {"request_id": request_id, "notes": notes}
        started = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                # An answer speaks about one patient at one moment; discovery changes with the rules.
                headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            # Re-raising would let the server print a traceback that quotes values.
            notes.update(fault(error))
            if status is None:
                await _internal_error(scope)(scope, receive, send_with_id)
        finally:
            duration = round((time.perf_counter() - started) * 1000, 2)
            write = self._log.error if status is None or status >= 500 else self._log.info
            write("request", request_id=request_id, status=status, duration_ms=duration, **notes)


def _note(request: Request, **fields: Any) -> None:
    """Add fields to the log line of this request."""
    request.scope["prenatal_cds"]["notes"].update(fields)


def _json(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dump_json(body), status, dict(headers or {}), media_type="application/json")


def _outcome(status: int, code: IssueCode, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json(operation_outcome("error", code, text), status, headers)


def _internal_error(scope: Scope) -> Response:
    request_id = scope["prenatal_cds"]["request_id"]
    text = f"Internal error; no advice could be given. Report request {request_id} to the operator."
    return _json(operation_outcome("fatal", "exception", text), 500)
