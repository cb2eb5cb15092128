"""The HTTP face of the one door, put together: layers from the outside in, then routes.

Envelope        request id, log line, last resort: sees every answer
  CORS          headers on successes and errors alike
    ROUTE       each guarded: an exception becomes an OperationOutcome
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import cds
from cds.service import hook_call
from cds.service.answers import Endpoint, guarded, http_error, json_answer
from cds.service.envelope import Envelope
from cds.service.limits import Gate, in_turn
from cds.service.log import make_logger
from cds.service.ruleset import RuleSet, load_ruleset
from cds.service.settings import Settings

# Named one by one because `*` does not cover Authorization (Fetch standard, CORS-unsafe request-header
# names).
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "X-Requested-With")


def create_app(settings: Settings) -> Starlette:
    """Build the application: loads the rules, compiles them and holds them until shutdown.

    Raises KnowledgeError when the rules or the site file have faults, SettingsError when the language set is none of
    theirs. `app.state` has settings, rules (a RuleSet) and log.
    """
    log = make_logger(settings.log_level)
    rules = load_ruleset(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        log.info("serving", profile=rules.knowledge.profile, rules_hash=rules.knowledge.hash)
        yield
        app.state.rules.adviser.close()

    app = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(Envelope, log=log),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST"),
                allow_headers=_CORS_HEADERS,
                expose_headers=("X-Request-Id",),
            ),
        ],
        exception_handlers={HTTPException: http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.rules = rules
    app.state.log = log
    app.state.gate = Gate(settings.max_concurrent)
    return app


def _routes() -> list[Route]:
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/", _home),
        ("GET", "/health", _health),
        ("GET", "/openapi.json", _openapi),
        ("GET", "/cds-services", hook_call.discovery),
        # Some clients keep the slash of the configured base URL; a redirect would break their CORS preflight.
        ("GET", "/cds-services/", hook_call.discovery),
        ("POST", "/cds-services/{service_id}", in_turn(hook_call.call)),
        ("GET", "/questionnaires/{questionnaire_id}", hook_call.questionnaire),
    ]
    return [Route(path, guarded(endpoint), methods=[method]) for method, path, endpoint in table]


async def _home(_: Request) -> Response:
    return json_answer(
        {
            "name": "prenatal-cds",
            "description": "CDS Hooks 2.0 service about leg cramps, calcium and vitamin D in pregnancy.",
            "discovery": "/cds-services",
            "health": "/health",
            "openapi": "/openapi.json",
        }
    )


async def _openapi(request: Request) -> Response:
    rules: RuleSet = request.app.state.rules
    return Response(rules.openapi, media_type="application/json")


async def _health(request: Request) -> Response:
    rules: RuleSet = request.app.state.rules
    settings: Settings = request.app.state.settings
    body: dict[str, Any] = {
        "status": "ok",
        "version": cds.__version__,
        "rules": {"hash": rules.knowledge.hash, "profile": rules.knowledge.profile},
        "clock": "running",
    }
    if settings.fixed_now is not None:
        body["clock"] = "fixed"
        body["fixedNow"] = settings.now().isoformat()
    return json_answer(body)
