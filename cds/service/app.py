"""The HTTP face of the one door, put together: layers from the outside in, then routes.

Envelope        request id, log line, last resort: sees every answer
  CORS          headers on successes and errors alike; answers preflights, which carry no token
    Busy        a full service refuses before a token is used up
      ClientTrust   with a trust file: a call without a good token ends here
        ROUTE   each guarded: an exception becomes an OperationOutcome; calls in turn: so many at once, so long each
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
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds.feedback import Store, StoreUnavailable
from cds.service import feedback, hook_call, operations
from cds.service.answers import Endpoint, guarded, http_error, json_answer
from cds.service.cors import Cors
from cds.service.envelope import Envelope
from cds.service.fhir.access import FhirAccess
from cds.service.limits import Busy, Gate, in_turn
from cds.service.log import make_logger
from cds.service.metrics import Metrics
from cds.service.operations import Check
from cds.service.process.reload import Reloader, start_with
from cds.service.ruleset import RuleSet
from cds.service.settings import Settings
from cds.service.trust.tokens import ClientTrust, Trust

# Named one by one because `*` does not cover Authorization (Fetch standard, CORS-unsafe request-header
# names).
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "X-Requested-With")


def create_app(settings: Settings, shared: Path | None = None) -> Starlette:
    """Build the application: loads the rules, compiles them and holds them until shutdown.

    `shared` is the folder of rules that the processes of one service share. Raises KnowledgeError when the rules or
    the site file have faults, SettingsError when the language set is none of theirs, TrustError when the trust file
    has faults.

    `app.state` has settings, rules (a RuleSet, replaced as a whole by a reload), loaded_at, reloader, trust (None
    without a trust file), fhir (a FhirAccess), feedback (a FeedbackWriter), log, metrics, draining (the process is
    ending) and checks (what /ready asks, by name).
    """
    log = make_logger(settings.log_level)
    trust = Trust(settings, log) if settings.trust_file is not None else None
    rules, copy, seen = start_with(settings, shared)
    writer = feedback.FeedbackWriter(
        Store(settings.store(), wait_seconds=settings.store_wait_seconds), settings.store_wait_seconds
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        knowledge = app.state.rules.knowledge
        log.info("serving", profile=knowledge.profile, rules_hash=knowledge.hash)
        try:
            await writer.check()
        except StoreUnavailable as fault:
            # Cards do not need it; feedback is answered 503 until it works.
            log.warning("the feedback store cannot be used", error=fault.reason)
        if trust is not None:
            trust.start()
        async with app.state.reloader.running():
            yield
        if trust is not None:
            await trust.stop()
        writer.close()
        app.state.rules.adviser.close()

    app = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(Envelope, log=log),
            Middleware(
                Cors,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST"),
                allow_headers=_CORS_HEADERS,
                expose_headers=("X-Request-Id", "Retry-After"),
                # A page of the internet may reach a service inside a hospital's network only when a site named it.
                allow_private_network="*" not in settings.cors_origins,
            ),
            Middleware(Busy),
            *([Middleware(ClientTrust, trust=trust)] if trust is not None else []),
        ],
        exception_handlers={HTTPException: http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.rules = rules
    app.state.loaded_at = datetime.now(UTC)
    app.state.trust = trust
    app.state.fhir = FhirAccess(settings)
    app.state.log = log
    app.state.metrics = Metrics()
    app.state.metrics.rules_in_use(rules.knowledge.hash, rules.knowledge.profile)
    app.state.draining = False
    checks = {"feedback": Check(writer.problem)}
    if trust is not None:
        # A token that cannot be remembered is refused, so without this store no call is answered.
        checks["tokens"] = Check(trust.problem, needed=True)
    app.state.checks = checks
    app.state.reloader = Reloader(app, shared, copy, seen)
    app.state.feedback = writer
    app.state.gate = Gate(settings.max_concurrent)
    return app


def _routes() -> list[Route]:
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/", _home),
        ("GET", "/health", operations.health),
        ("GET", "/ready", operations.ready),
        ("GET", "/metrics", operations.metrics),
        ("GET", "/openapi.json", _openapi),
        ("GET", "/cds-services", hook_call.discovery),
        # Some clients keep the slash of the configured base URL; a redirect would break their CORS preflight.
        ("GET", "/cds-services/", hook_call.discovery),
        ("POST", "/cds-services/{service_id}", in_turn(hook_call.call)),
        ("POST", "/cds-services/{service_id}/feedback", feedback.receive),
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
            "openapi": "/openapi.json",
        }
    )


async def _openapi(request: Request) -> Response:
    rules: RuleSet = request.app.state.rules
    return Response(rules.openapi, media_type="application/json")
