"""uvicorn, ending so that no request that came in goes without its whole answer.

signal TERM   /ready is 503 and each answer ends its connection, while new connections are still taken (drain_seconds)
              -> stop listening, but take what the kernel has already accepted
              -> a moment for connections on which a request may be under way
              -> finish what has begun (shutdown_seconds) -> exit code 0
signal INT    the same without the first step: somebody waits at a terminal

uvicorn alone closes kept connections at once, on which a client may be sending just then, lets the kernel reset
connections that it has not taken yet, and ends by the signal itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette

_LINGER_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.05


class Server(uvicorn.Server):
    """One process that serves `app`; `run(sockets=[listener])` returns when it has ended in order."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app
        self._hurry = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a signal that was obeyed is not raised again: the end was in order, the code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._hurry = self._hurry or sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.draining = True
        await self._wait(self._app.state.settings.drain_seconds)
        await self._stop_listening(sockets or [])
        await self._wait(_LINGER_SECONDS, self.server_state.connections)
        await super().shutdown(sockets)

    async def _wait(self, seconds: float, until_empty: set[Any] | None = None) -> None:
        """Let requests come and go; ends early when there are no connections left, or nobody wants to wait."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end and not self.force_exit:
            if until_empty is None and self._hurry:
                return
            if until_empty is not None and not until_empty:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Close the listeners, and serve the connections that the kernel has taken for us until then."""
        held = [listener.dup() for listener in sockets]
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        await asyncio.sleep(0)  # uvloop closes in its next turn
        loop = asyncio.get_running_loop()
        for listener in held:
            listener.setblocking(False)
            waiting: list[socket.socket] = []
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                while True:
                    waiting.append(listener.accept()[0])
            listener.close()
            for connection in waiting:
                connection.setblocking(False)
                with contextlib.suppress(OSError):
                    await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
