"""The HTTP face of the one door, put together: layers from the outside in, then routes.

Envelope        request id, log line, last resort: sees every answer
  CORS          headers on successes and errors alike
    ROUTE       each guarded: an exception becomes an OperationOutcome
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds.service import hook_call, operations
from cds.service.answers import Endpoint, guarded, http_error, json_answer
from cds.service.envelope import Envelope
from cds.service.log import make_logger
from cds.service.metrics import Metrics
from cds.service.operations import Check
from cds.service.reload import Reloader, start_with
from cds.service.settings import Settings

# Named one by one because `*` does not cover Authorization (Fetch standard, CORS-unsafe request-header
# names).
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "X-Requested-With")


def create_app(settings: Settings, shared: Path | None = None) -> Starlette:
    """Build the application: loads the rules, compiles them and holds them until shutdown.

    `shared` is the folder of rules that the processes of one service share. Raises KnowledgeError when the rules or
    the site file have faults, SettingsError when the language set is none of theirs.

    `app.state` has settings, rules (a RuleSet, replaced as a whole by a reload), loaded_at, reloader, log, metrics,
    draining (the process is ending) and checks (what /ready asks, by name).
    """
    log = make_logger(settings.log_level)
    rules, copy, seen = start_with(settings, shared)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        knowledge = app.state.rules.knowledge
        log.info("serving", profile=knowledge.profile, rules_hash=knowledge.hash)
        async with app.state.reloader.running():
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
    app.state.loaded_at = datetime.now(UTC)
    app.state.log = log
    app.state.metrics = Metrics()
    app.state.metrics.rules_in_use(rules.knowledge.hash, rules.knowledge.profile)
    app.state.draining = False
    checks: dict[str, Check] = {}
    app.state.checks = checks
    app.state.reloader = Reloader(app, shared, copy, seen)
    return app


def _routes() -> list[Route]:
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/", _home),
        ("GET", "/health", operations.health),
        ("GET", "/ready", operations.ready),
        ("GET", "/metrics", operations.metrics),
        ("GET", "/cds-services", hook_call.discovery),
        # Some clients keep the slash of the configured base URL; a redirect would break their CORS preflight.
        ("GET", "/cds-services/", hook_call.discovery),
        ("POST", "/cds-services/{service_id}", hook_call.call),
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
            "ready": "/ready",
        }
    )
