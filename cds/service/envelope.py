"""Around everything: a request id on each answer, a log line and a count per request, a bare 500 as last resort."""

from __future__ import annotations

import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds.service.answers import internal_error
from cds.service.log import fault
from cds.service.metrics import NONE, metrics_of
from cds.service.trust.client import client_of


class Envelope:
    """ASGI middleware; `scope["prenatal_cds"]` has the request id, the notes for the log line and the client."""

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
        scope["prenatal_cds"] = {"request_id": request_id, "notes": notes, "client": None}
        metrics = metrics_of(scope)
        metrics.began()
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
                if scope["app"].state.draining:
                    # The next request belongs elsewhere; one sent here could meet a closed connection.
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            # Re-raising would let the server print a traceback that quotes values.
            notes.update(fault(error))
            if status is None:
                await internal_error(scope)(scope, receive, send_with_id)
        finally:
            took = time.perf_counter() - started
            client = client_of(scope)
            name = client.name if client is not None else None
            metrics.ended(notes, _route(scope), status, name, took)
            write = self._log.error if status is None or status >= 500 else self._log.info
            about = {"route": _route(scope), "client": name, "duration_ms": round(took * 1000, 2)} | notes
            write("request", request_id=request_id, status=status, **about)


def _route(scope: Scope) -> str:
    """The name of the function that answered: ours, whatever the path was."""
    return getattr(scope.get("endpoint"), "__name__", NONE).removeprefix("_")
