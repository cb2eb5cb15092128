"""For those who run the service: does it live, is it ready, what does it count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

import cds
from cds.service.answers import Refusal, json_answer
from cds.service.metrics import CONTENT_TYPE
from cds.service.process.reload import Reloader
from cds.service.ruleset import RuleSet
from cds.service.settings import Settings

_CHECK_SECONDS: Final = 2.0

Probe = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Check:
    """Something the service leans on. `probe` gives None when it is fine, else a fixed word such as `locked`.

    `needed`: without it no call can be answered. Otherwise /ready only says `degraded`: taking a service out because
    it cannot keep feedback would take its advice away as well.
    """

    probe: Probe
    needed: bool = False


async def health(request: Request) -> Response:
    """`GET /health`: the process lives, and with which rules."""
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


async def ready(request: Request) -> Response:
    """`GET /ready`: 200 when calls should be sent here, 503 when not: it is ending, or lacks what it needs."""
    app: Starlette = request.app
    rules: RuleSet = app.state.rules
    reloader: Reloader = app.state.reloader
    checks: dict[str, Check] = app.state.checks
    found = await asyncio.gather(*(_ask(check.probe) for check in checks.values()))
    lacking = {name: problem for name, problem in zip(checks, found, strict=True) if problem is not None}
    status = "ready"
    if app.state.draining:
        status = "draining"
    elif any(checks[name].needed for name in lacking):
        status = "not-ready"
    elif lacking or reloader.last.result == "failed":
        status = "degraded"
    body = {
        "status": status,
        "version": cds.__version__,
        "rules": {
            "hash": rules.knowledge.hash,
            "profile": rules.knowledge.profile,
            "loadedAt": _text(app.state.loaded_at),
        },
        "reload": {"result": reloader.last.result, "since": _text(reloader.last.at)},
        "checks": {name: lacking.get(name, "ok") for name in checks},
    }
    return json_answer(body, 503 if status in ("draining", "not-ready") else 200)


async def metrics(request: Request) -> Response:
    """`GET /metrics`: the counts, for Prometheus; 404 where the settings say so."""
    if not request.app.state.settings.metrics:
        raise Refusal(404, "not-found", "There is nothing at this address; GET /cds-services lists the services.")
    text = await asyncio.to_thread(request.app.state.metrics.text)
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


async def _ask(probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await probe()
    except TimeoutError:
        return "slow"
    except Exception:
        return "failing"


def _text(time: datetime | None) -> str | None:
    return time.isoformat(timespec="seconds") if time is not None else None
