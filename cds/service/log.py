"""One JSON line for each event on stderr, built from an allow-list of fields.

A field that is not listed is dropped, not masked: a later change cannot leak a patient by adding an argument.
There is no exception text and no traceback, because both quote values; the class and the line of code are
enough to find a fault.
"""

from __future__ import annotations

import logging
import sys
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


def capture_server_log(level: str) -> None:
    """Send the messages of uvicorn and asyncio through ServerLog; their everyday ones only at level debug."""
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
