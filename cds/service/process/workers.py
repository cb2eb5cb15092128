"""Several processes behind one port: started, watched, told about signals, replaced when one dies or hangs.

uvicorn's own supervisor is not used: it answers signal HUP by new processes that load whatever stands on disk, ends
the service when one of them cannot start, and knows only its own server (see `cds.service.process.server`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, Final

from cds.service.settings import Settings

BEAT_SECONDS: Final = 1.0
_HANGING_SECONDS: Final = 30.0
_START_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 1.0
_MARGIN_SECONDS: Final = 5.0

Work = Callable[[Settings, list[socket.socket], Connection, str], None]
"""What a worker runs: settings, listeners, the pipe for its heartbeat, and the folder the workers share."""


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    seen: float
    """When its heartbeat was last heard, on the monotonic clock; until the first, when it may be missed."""
    started: bool = False
    owed: bool = False
    """Signal HUP came before it could be told."""

    @property
    def pid(self) -> int:
        return self.process.pid or 0


class Workers:
    """`run` starts `number` processes and returns when a signal has ended them in order."""

    def __init__(
        self,
        work: Work,
        settings: Settings,
        listeners: list[socket.socket],
        folder: str,
        log: Any,
        gone: Callable[[int], None],
    ) -> None:
        """`gone` is called with the process id of each worker that ended."""
        self._work = work
        self._settings = settings
        self._listeners = listeners
        self._folder = folder
        self._log = log
        self._gone = gone
        self._workers: list[_Worker] = []
        self._ending: int | None = None
        self._wake, self._waker = get_context("spawn").Pipe(duplex=False)

    def run(self) -> bool:
        """False when no worker could be started at all."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._pass_on)
        for _ in range(self._settings.workers):
            self._start()
        could_start = True
        while self._ending is None and could_start:
            self._listen(BEAT_SECONDS)
            could_start = self._mend()
        # Ours too, or the kernel would take connections that no worker is left to answer.
        for listener in self._listeners:
            listener.close()
        self._stop(self._ending or signal.SIGTERM)
        return could_start

    def _start(self) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=self._work, args=(self._settings, self._listeners, theirs, self._folder), daemon=False
        )
        # Ignored signals stay ignored in the new process, until it knows them: an interrupt must print no traceback.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
        try:
            process.start()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        theirs.close()
        self._workers.append(_Worker(process, ours, time.monotonic() + _START_SECONDS))

    def _listen(self, seconds: float) -> None:
        """Hear heartbeats, until a worker ends, a signal comes or the time is over."""
        pipes = {worker.pipe: worker for worker in self._workers}
        ends = [worker.process.sentinel for worker in self._workers]
        for ready in connection.wait([self._wake, *pipes, *ends], seconds):
            if isinstance(ready, Connection):
                try:
                    ready.recv_bytes()
                except (EOFError, OSError):
                    continue  # its end is seen by the sentinel
                if ready in pipes:
                    self._heard(pipes[ready])

    def _heard(self, worker: _Worker) -> None:
        worker.seen = time.monotonic()
        worker.started = True
        if worker.owed:
            worker.owed = False
            self._tell(worker, signal.SIGHUP)

    def _mend(self) -> bool:
        """Replace workers that ended or hang; False when one ended that never started, and none is left that did."""
        for worker in list(self._workers):
            hangs = time.monotonic() - worker.seen > _HANGING_SECONDS
            if worker.process.is_alive() and not hangs:
                continue
            if hangs:
                worker.process.kill()
            self._bury(worker)
            self._log.error("worker replaced", pid=worker.pid)
            if self._ending is not None:
                return True
            if not worker.started and not any(other.started for other in self._workers):
                return False
            if not worker.started:
                time.sleep(_PAUSE_SECONDS)
            self._start()
        return True

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        self._gone(worker.pid)

    def _stop(self, number: int) -> None:
        self._signal(number)
        allowed = self._settings.drain_seconds + self._settings.shutdown_seconds + _MARGIN_SECONDS
        end = time.monotonic() + allowed
        while self._workers and time.monotonic() < end:
            self._listen(max(0, min(BEAT_SECONDS, end - time.monotonic())))
            for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
                self._bury(worker)
        for worker in list(self._workers):
            worker.process.kill()
            self._bury(worker)

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            self._tell(worker, number)

    def _tell(self, worker: _Worker, number: int) -> None:
        if worker.process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    def _end(self, number: int, _: FrameType | None) -> None:
        if self._ending is not None and number == signal.SIGINT:
            self._signal(number)  # who asks twice does not want to wait
        self._ending = number
        self._waker.send_bytes(b"!")

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        for worker in self._workers:
            if worker.started:
                self._tell(worker, number)
            else:
                worker.owed = True  # told with its first heartbeat: a process that is starting does not listen yet


def beat(pipe: Connection) -> None:
    """Tell the parent that this process is alive. Ends the process in order when there is no parent any more."""
    try:
        pipe.send_bytes(b".")
    except (BrokenPipeError, OSError):
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGTERM)
