"""The HTTP face of the one door, put together: layers from the outside in, then routes.

Envelope        request id, log line, last resort: sees every answer
  CORS          headers on successes and errors alike; answers preflights, which carry no token
    ClientTrust   with a trust file: a call without a good token ends here
      ROUTE     each guarded: an exception becomes an OperationOutcome
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import cds
from cds.service import hook_call
from cds.service.answers import Endpoint, guarded, http_error, json_answer
from cds.service.cors import Cors
from cds.service.envelope import Envelope
from cds.service.log import make_logger
from cds.service.ruleset import RuleSet, load_ruleset
from cds.service.settings import Settings
from cds.service.trust import ClientTrust, Trust

# Named one by one because `*` does not cover Authorization (Fetch standard, CORS-unsafe request-header
# names).
_CORS_HEADERS: Final = ("Authorization", "Content-Type", "X-Requested-With")


def create_app(settings: Settings) -> Starlette:
    """Build the application: loads the rules, compiles them and holds them until shutdown.

    Raises KnowledgeError when the rules or the site file have faults, SettingsError when the language set is none of
    theirs, TrustError when the trust file has faults. `app.state` has settings, rules (a RuleSet), trust (None
    without a trust file) and log.
    """
    log = make_logger(settings.log_level)
    trust = Trust(settings, log) if settings.trust_file is not None else None
    rules = load_ruleset(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        log.info("serving", profile=rules.knowledge.profile, rules_hash=rules.knowledge.hash)
        if trust is not None:
            trust.start()
        yield
        if trust is not None:
            await trust.stop()
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
            *([Middleware(ClientTrust, trust=trust)] if trust is not None else []),
        ],
        exception_handlers={HTTPException: http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.rules = rules
    app.state.trust = trust
    app.state.log = log
    return app


def _routes() -> list[Route]:
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/", _home),
        ("GET", "/health", _health),
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
        }
    )


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
