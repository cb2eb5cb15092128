"""One HTTP connection: uvicorn's protocol with the bounds that it lacks.

uvicorn waits for ever for the headers of a request, takes headers of any size and any number of requests ahead of their
answers, keeps a connection whose client never reads, and answers broken HTTP in plain text. It takes requests for
several hosts or for none, and takes the body of one that offers another protocol (`Upgrade: h2c`, as Java's client
sends it) for requests of their own.
"""

from __future__ import annotations

import asyncio
import functools
import re
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
# RFC 3986 section 3.2.2 with RFC 9110 section 7.2; a name may be empty.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
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
        self._last_words: int | None = None
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
        self._unset_keepalive_if_required()
        self._called = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(self._status)
            return
        # A header that never ends reaches no callback of the parser; its bytes are counted here.
        if self._in_head and not self._called:
            self._head_came += len(data)
            if self._head_came > self._head_bytes:
                self._refuse(431)

    def _feed(self, data: bytes) -> None:
        """Parse. Another protocol that a client offers is passed over (RFC 9110 section 7.8): the parser would take
        the body for that protocol's bytes, so the head is read again without the offer.
        """
        while self._last_words is None and not self.transport.is_closing():
            try:
                return self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                head = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
                head += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
                data = b"\r\n".join([*head, b"", data[offer.args[0] :]])

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
        self._check_head()
        if self.parser.should_upgrade():
            return  # comes again, see _feed
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_WAITING:
            self._status = 503
            raise ValueError("too many requests ahead of their answers")

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        last = not self.pipeline
        super().on_response_complete()
        if self._last_words is not None:
            self.flow.pause_reading()  # super has resumed it for the next request
            if last:
                self._say(self._last_words)
        elif self.timeout_keep_alive_task is not None:
            # Also bounds a body that still drips after its answer, and empty lines between requests.
            self._expect_head(self.timeout_keep_alive + self._head_seconds)

    # -- refusing

    def _check_head(self) -> None:
        """RFC 9112: section 3.2, one Host; section 2.3, our version; section 6.1, no coding that we do not undo."""
        version = self.parser.get_http_version()
        hosts = [value for name, value in self.headers if name == b"host"]
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if (
            version not in ("1.0", "1.1")
            or self.parser.get_method() == b"CONNECT"
            or len(hosts) > 1
            or (version == "1.1" and not hosts)
            or not all(map(_HOST.fullmatch, hosts))
            or codings not in ([], [b"chunked"])
        ):
            raise ValueError("not a request for us")  # refused as in _count

    def _count(self, size: int, status: int) -> None:
        self._called = True
        self._head_came += size
        if self._head_came > self._head_bytes:
            self._status = status
            raise ValueError("head too large")  # the parser stops, and data_received refuses

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
        """Answer what cannot be read, after the answers to whole requests that came before it, and close."""
        if self.transport.is_closing() or self._last_words is not None:
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._say(status)
        elif not cycle.more_body or self.pipeline:
            if cycle.more_body:  # its body is broken, and it waits for those before it
                self.pipeline.popleft()
            self._last_words = status
            self.flow.pause_reading()
        elif cycle.response_started:
            self.transport.close()
        else:
            self._say(status)

    def _say(self, status: int) -> None:
        """Answer by hand and close: there is no whole request that the application could answer."""
        if not self.transport.is_closing():
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
