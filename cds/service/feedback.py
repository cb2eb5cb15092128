"""The feedback endpoint: what clinicians did with our cards, on the disk before it is acknowledged.

read body -> strict JSON -> FeedbackItem... -> Store, in a thread of its own -> 200
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from cds.feedback import Store, StoreUnavailable
from cds.hooks import parse_feedback
from cds.service.answers import Refusal, json_answer, note
from cds.service.body import read_json
from cds.service.metrics import metrics_of
from cds.service.ruleset import RuleSet
from cds.service.settings import Settings
from cds.service.trust.client import client_of

# How many bodies may wait for a store that hangs; each may be as large as the largest body.
_MAX_WAITING: Final = 64
_RETRY_AFTER_SECONDS: Final = 30


class FeedbackWriter:
    """The one thread that writes to the store, and how long a request waits for it.

    Not the event loop's own threads: a disk that hangs would take them from name resolution and so from hook calls.
    """

    def __init__(self, store: Store, wait_seconds: float) -> None:
        self.store = store
        self._wait = wait_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._waiting = 0

    async def write(self, work: Callable[[], None]) -> None:
        """Run `work` in the thread. Raises StoreUnavailable, also when it takes too long; it may then still be done."""
        if self._waiting >= _MAX_WAITING:
            raise StoreUnavailable("queue full")
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._thread, work)
        job.add_done_callback(self._done)
        # Not wait_for: it would cancel the job, which then waits on in the queue without being counted.
        finished, _ = await asyncio.wait({job}, timeout=self._wait)
        if not finished:
            raise StoreUnavailable("too slow")
        job.result()

    async def check(self) -> None:
        """Raises StoreUnavailable when feedback could not be stored now."""
        await self.write(self.store.check)

    async def problem(self) -> str | None:
        """Why feedback could not be stored now, in a fixed word or two; None when it could."""
        try:
            await self.check()
        except StoreUnavailable as fault:
            return fault.reason
        return None

    def close(self) -> None:
        """Let what was begun end, then close the store; nothing can be written afterwards."""
        self._thread.submit(self.store.close)
        self._thread.shutdown(wait=False)

    def _done(self, job: asyncio.Future[None]) -> None:
        self._waiting -= 1
        if not job.cancelled():
            job.exception()  # seen: nobody waits for it any more when it was too slow


async def receive(request: Request) -> Response:
    """`POST /cds-services/{id}/feedback`: 200 once all items are stored, 503 when they cannot be."""
    settings: Settings = request.app.state.settings
    rules: RuleSet = request.app.state.rules
    writer: FeedbackWriter = request.app.state.feedback
    service = rules.services.get(request.path_params["service_id"])
    if service is None:
        raise Refusal(404, "not-found", "There is no such service; GET /cds-services lists them.")
    note(request.scope, service=service.id)
    items = parse_feedback(await read_json(request, settings))
    client = client_of(request.scope)
    name = client.name if client else None
    try:
        await writer.write(
            partial(writer.store.save, items, service=service.id, client=name, received_at=settings.now())
        )
    except StoreUnavailable as fault:
        note(request.scope, error=fault.reason)
        metrics_of(request.scope).count_feedback("unavailable")
        raise Refusal(
            503,
            "no-store",
            "The feedback could not be stored; send it again later. Hook calls are not affected.",
            {"Retry-After": str(_RETRY_AFTER_SECONDS)},
        ) from None
    note(request.scope, feedback=len(items))
    for item in items:
        metrics_of(request.scope).count_feedback(item.outcome)
    return json_answer({})
