"""How much of a call is accepted, how long it may take, and how many are in work at once.

Sizes are counted before any FHIR is read. A single absurd resource is not refused here: the fact layer leaves it out
and names it (`cds.facts.reading.is_oversized`), and the rest of the record is used.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cds.hooks import HookRequest
from cds.service.answers import Endpoint, Refusal
from cds.service.metrics import metrics_of
from cds.service.settings import Settings

RETRY_AFTER: Final = "1"
"""Seconds a refused client is asked to wait: a call takes some milliseconds, so a slot is free again soon."""

PATIENCE: Final = 0.25
"""Seconds for which a call keeps its place while its body is on the way: else a few dripping clients hold them all."""

_LOOKS: Final = 8
"""How often a call lets the loop look for others before it begins: each look takes in about one more connection."""


class Deadline:
    """When a call must be answered, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; never below 0."""
        return max(0.0, self._end - time.monotonic())

    def tick(self) -> None:
        """Raise Refusal (503) when the time is over: called often by work that does not await."""
        if time.monotonic() > self._end:
            raise self._refusal()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Raise Refusal (503) out of awaits that outlast the time."""
        limit = asyncio.timeout(self.remaining)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._refusal() from None

    def _refusal(self) -> Refusal:
        text = (
            f"No advice within {self._seconds:g} seconds; try again, or send only what the prefetch templates ask for."
        )
        return Refusal(503, "timeout", text, {"Retry-After": RETRY_AFTER})


class Gate:
    """Lets so many calls of this worker be in work at once, and refuses the next one at once."""

    def __init__(self, places: int) -> None:
        self._places = places
        self.taken = 0

    def check(self) -> None:
        """Raise Refusal (503) when all places are taken."""
        if self.taken >= self._places:
            text = "The service is busy: as many calls as it takes are in work; try again."
            raise Refusal(503, "throttled", text, {"Retry-After": RETRY_AFTER})

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Hold one place. Raises Refusal (503) when all are taken."""
        place = Place(self)
        place.take()
        try:
            yield place
        finally:
            place.leave()


class Place:
    """One place of a Gate, which may be left for a while."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._held = False

    def take(self) -> None:
        """Raises Refusal (503) when it is not held and all are taken."""
        if not self._held:
            self._gate.check()
            self._gate.taken += 1
            self._held = True

    def leave(self) -> None:
        if self._held:
            self._gate.taken -= 1
            self._held = False

    @contextmanager
    def left_when_slow(self) -> Iterator[None]:
        """Wait for a client: left after `PATIENCE` and taken again at the end, which may raise Refusal (503)."""
        timer = asyncio.get_running_loop().call_later(PATIENCE, self.leave)
        try:
            yield
        finally:
            timer.cancel()
        self.take()


class Busy:
    """ASGI middleware before client trust: a full service says so while the token of the call is still unused.

    A client may then try again with the same token. Nothing is held here: an anonymous flood takes no place.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["path"].endswith("/feedback"):
            try:
                scope["app"].state.gate.check()
            except Refusal as refusal:
                metrics_of(scope).count_refusal("busy")
                await refusal.answer()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def in_turn(endpoint: Endpoint) -> Endpoint:
    """An endpoint that works in a place of `app.state.gate`, within the time of `scope["prenatal_cds"]["deadline"]`.

    When the gate is full the body is not even read. Between `Busy` and this stands client trust.
    """

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        gate: Gate = request.app.state.gate
        with gate.place() as place:
            request.scope["prenatal_cds"]["place"] = place
            deadline = Deadline(request.app.state.settings.request_seconds)
            request.scope["prenatal_cds"]["deadline"] = deadline
            async with deadline.kept():
                # Advice is worked out without awaiting: whoever came meanwhile has to be counted first.
                for _ in range(_LOOKS):
                    await asyncio.sleep(0)
                return await endpoint(request)

    return answer


def deadline_of(request: Request) -> Deadline:
    """The time limit of a call that runs `in_turn`."""
    found: Deadline = request.scope["prenatal_cds"]["deadline"]
    return found


def place_of(request: Request) -> Place:
    """The place of a call that runs `in_turn`."""
    found: Place = request.scope["prenatal_cds"]["place"]
    return found


def check_size(request: HookRequest, settings: Settings) -> None:
    """Raise Refusal (413) for more resources or codings than the settings allow, counted over the whole request."""
    parts = parts_of(request)
    if resources_in(parts) > settings.max_entries:
        raise _too_much("resources", settings.max_entries)
    if codings_in(parts) > settings.max_codings:
        raise _too_much("codings", settings.max_codings)


def parts_of(request: HookRequest) -> list[Any]:
    """Every value of a request that may hold FHIR: prefetch, and the draft orders."""
    drafts = getattr(request.context, "draft_orders", None)
    return [*(request.prefetch or {}).values(), *([] if drafts is None else [drafts])]


def resources_in(parts: Sequence[Any]) -> int:
    """How many resources prefetch values or draft orders hold."""
    return sum(_entries(part) for part in parts)


def _too_much(what: str, limit: int) -> Refusal:
    text = f"The request holds more than {limit} {what}; send only what the prefetch templates ask for."
    return Refusal(413, "too-long", text)


def _entries(part: Any) -> int:
    """How many resources one prefetch value or the draft orders hold."""
    if not isinstance(part, Mapping):
        return 1 if part is not None else 0
    entries = part.get("entry")
    return len(entries) if isinstance(entries, list) else 1


def codings_in(parts: Sequence[Any]) -> int:
    """The items of all `coding` members, at any depth; without recursion."""
    count = 0
    level = [part for part in parts if isinstance(part, (dict, list))]
    while level:
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                rows = node.get("coding")
                if rows is not None:
                    count += len(rows) if isinstance(rows, list) else 1
                below.extend(value for value in node.values() if isinstance(value, (dict, list)))
            else:
                below.extend(value for value in node if isinstance(value, (dict, list)))
        level = below
    return count
