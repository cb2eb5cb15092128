"""One HTTP connection: uvicorn's protocol with the bounds that it lacks.

uvicorn waits for ever for the headers of a request, takes headers of any size and any number of requests ahead of their
answers, keeps a connection whose client never reads, and answers broken HTTP in plain text.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from cds.hooks import operation_outcome
from cds.hooks.outcome import IssueCode
from cds.service.json_input import dump_json
from cds.service.limits import RETRY_AFTER
from cds.service.settings import Settings

_MOST_WAITING: Final = 100
"""Requests that a client may send ahead of their answers; each of them is kept in memory."""
_REFUSALS: Final[dict[int, tuple[IssueCode, str]]] = {
    400: ("structure", "This is not an HTTP/1.1 request that can be understood."),
    408: ("timeout", "The headers of the request did not arrive in time; send them without pauses."),
    414: ("too-long", "The address is too long; GET /cds-services lists the addresses."),
    431: ("too-long", "The headers of the request are too large; send fewer or shorter ones."),
    503: ("throttled", "The service has as many connections, or requests ahead of their answers, as it takes."),
}


def connection_class(settings: Settings) -> Callable[..., Connection]:
    """What uvicorn calls for each connection (its option `http`); can be sent to worker processes."""
    return functools.partial(
        Connection,
        most_connections=settings.max_connections,
        head_bytes=settings.max_head_bytes,
        head_seconds=settings.head_timeout_seconds,
        answer_seconds=settings.request_seconds,
    )


class Connection(HttpToolsProtocol):
    """HTTP/1.1 on one socket.

    `head_seconds` and `head_bytes` bound the request line with its headers, `answer_seconds` a client that does not
    read its answer; of more than `most_connections` the newest is refused.
    """

    def __init__(
        self, *, most_connections: int, head_bytes: int, head_seconds: float, answer_seconds: float, **uvicorn: Any
    ) -> None:
        super().__init__(**uvicorn)
        self._most_connections = most_connections
        self._head_bytes = head_bytes
        self._head_seconds = head_seconds
        self._answer_seconds = answer_seconds
        self._head_came = 0
        self._in_head = False
        self._called = False
        self._status = 400
        self._data = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            self._refuse(503)
        else:
            self._expect_head(self._head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_answer_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._called = False
        self._data = data
        super().data_received(data)
        # A header that never ends reaches no callback of the parser; its bytes are counted here.
        if self._in_head and not self._called:
            self._head_came += len(data)
            if self._head_came > self._head_bytes and not self.transport.is_closing():
                self._refuse(431)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer_timer = self._answer_timer or self.loop.call_later(self._answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_answer_timer()
        super().resume_writing()

    # -- what the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_came, self._called = True, 0, True

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url), 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4, 431)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_WAITING:
            self._status = 503
            raise ValueError("too many requests ahead of their answers")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            # Also bounds a body that still drips after its answer, and empty lines between requests.
            self._expect_head(self.timeout_keep_alive + self._head_seconds)

    # -- another protocol asked for

    def _should_upgrade(self) -> bool:
        """Asked by uvicorn when the parser has found an offer of another protocol: take it to the method below."""
        return self.scope["method"] != "CONNECT"

    def handle_websocket_upgrade(self) -> None:
        """Stay with HTTP/1.1 (RFC 9110 section 7.8), called while the parser tells that the head is at its end.

        Java's HttpClient offers HTTP/2 in this way on each call without TLS. The parser then takes no body, so that
        uvicorn would answer a call without one; the head is read again without the offer, then what came behind it.
        """
        told = sys.exc_info()[1]
        behind = self._data[told.args[0] :] if isinstance(told, httptools.HttpParserUpgrade) else b""
        line = b" ".join([self.scope["method"].encode(), self.url, b"HTTP/" + self.scope["http_version"].encode()])
        headers = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([line, *headers, b"", behind]))

    # -- refusing

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._status)

    def _count(self, size: int, status: int) -> None:
        self._called = True
        self._head_came += size
        if self._head_came > self._head_bytes:
            self._status = status
            raise ValueError("head too large")  # the parser stops, and uvicorn asks for the refusal above

    def _expect_head(self, seconds: float) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(seconds, self._no_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _no_head(self) -> None:
        if self._in_head:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        """Answer by hand and close: there is no whole request that the application could answer."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_answer(status))
        self.transport.close()


@functools.cache
def _answer(status: int) -> bytes:
    body = dump_json(operation_outcome("error", *_REFUSALS[status]))
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Connection: close",
        *([f"Retry-After: {RETRY_AFTER}"] if status == 503 else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
