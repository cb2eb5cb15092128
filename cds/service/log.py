"""One JSON line for each event on stderr, built from an allow-list of fields.

A field that is not listed is dropped, not masked: a later change cannot leak a patient by adding an argument.
There is no exception text and no traceback, because both quote values; the class and the line of code are
enough to find a fault.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, Final

import structlog

ALLOWED: Final = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "request_id",
        "service",
        "status",
        "duration_ms",
        "cards",
        "feedback",
        "rules",
        "error",
        "at",
        "logger",
        "profile",
        "rules_hash",
        "client",
        "fetched",
        "hook",
        "not_fetched",
        "pid",
        "problem",
        "refused",
        "route",
    }
)


class _Stderr:
    """Looks stderr up for each line, so that a replaced or closed stream never fails a request."""

    def msg(self, line: str) -> None:
        # None where the process was started without one; print would turn to stdout.
        with suppress(OSError, ValueError):
            if sys.stderr is not None:
                # In one piece: lines of several processes go to the same stream.
                sys.stderr.write(line + "\n")
                sys.stderr.flush()

    debug = info = warning = error = critical = msg


def _only_allowed(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name in ALLOWED and value is not None}


def make_logger(level: str) -> Any:
    """A structlog logger of this service; `level` is debug, info, warning or error."""
    return structlog.wrap_logger(
        _Stderr(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
    )


def fault(error: BaseException) -> dict[str, str]:
    """Where an exception came from (`at`) and its class (`error`), without its text."""
    frames = extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__name__, "at": place}


class ServerLog(logging.Handler):
    """Brings uvicorn's messages into the same form: one line of the template, no arguments, no traceback."""

    def __init__(self, level: str) -> None:
        super().__init__(_number(level))
        self._log = make_logger(level)

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, str(record.msg).partition("\n")[0], logger=record.name)


class LibraryLog(logging.Handler):
    """Says that a library had something to say, and where: what it says may quote values, and is often no template."""

    def __init__(self, level: str) -> None:
        super().__init__(_number(level))
        self._log = make_logger(level)

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "library message", logger=record.name, at=f"{record.filename}:{record.lineno}")


def _capture_the_rest(level: str) -> None:
    """What Python would print by itself, in its own form and with values: warnings, and what nobody caught."""
    log = make_logger(level)

    def warned(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        log.warning("library warning", error=category.__name__, at=f"{PurePath(filename).name}:{lineno}")

    def uncaught(_: Any, error: BaseException | None, *__: Any) -> None:
        log.error("not caught", **(fault(error) if error is not None else {}))

    warnings.showwarning = warned
    sys.excepthook = uncaught
    threading.excepthook = lambda about: uncaught(None, about.exc_value)
    sys.unraisablehook = lambda about: uncaught(None, about.exc_value)


def capture_server_log(level: str) -> None:
    """Send all that is said in this process through our own form: of uvicorn and asyncio the templates (their
    everyday ones only at level debug), of other libraries only where they said something.
    """
    _capture_the_rest(level)
    logging.getLogger().handlers = [LibraryLog("error" if level == "error" else "warning")]
    least = level if level in ("debug", "error") else "warning"
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [ServerLog(least)]
        logger.setLevel(_number(least))
        logger.propagate = False
    logging.getLogger("uvicorn.access").disabled = True
    # Their everyday messages quote addresses with the ids of patients, and headers.
    for name in ("httpcore", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
