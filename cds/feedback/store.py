"""Where feedback is kept: durable when `save` has returned, once however often it is sent.

    Exception
      StoreUnavailable     nothing was stored and nothing may be acknowledged; the same call may work later

SQLite in WAL mode with `synchronous=FULL`: a commit is on the disk, and processes of one machine share the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.schema import CreateIndex, CreateTable

from cds.feedback.tables import FEEDBACK, METADATA
from cds.hooks.feedback import FeedbackItem

_FAULTS: Final = (DBAPIError, NoConnection, sqlite3.Error, OSError)


class StoreUnavailable(Exception):
    """The store cannot be used now. `reason` is SQLite's name of the fault (SQLITE_FULL) or an exception class."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def sqlite_url(url: str) -> URL:
    """Read a store URL: `sqlite:///relative` or `sqlite:////absolute`. Raises ValueError, without the URL in it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if (
        parsed is None
        or parsed.drivername != "sqlite"
        or parsed.host
        or parsed.query
        or (parsed.database or ":memory:").startswith((":memory:", "file:"))
    ):
        raise ValueError("give a file, such as sqlite:////var/lib/prenatal-cds/feedback.sqlite3")
    return parsed


class Store:
    """The feedback of all clients. Opened by its first use, and again after a fault; safe to call from threads."""

    def __init__(self, url: URL, *, wait_seconds: float) -> None:
        """`url` as of `sqlite_url`; another process that writes is waited for `wait_seconds` at most."""
        self._path = Path(url.database or "").absolute()
        self._wait = wait_seconds
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        self._opening = threading.Lock()
        self._refused = False
        """The last attempt to store something failed."""

    def save(self, items: Sequence[FeedbackItem], *, service: str, client: str | None, received_at: datetime) -> None:
        """Store all items in one transaction and return when they are on the disk; what is there already stays as is.

        Raises StoreUnavailable; then none of them is stored by this call, unless the disk failed in the act of
        confirming it: sending the same items again is always right.
        """
        rows = [_row(item, service, client, received_at) for item in items]
        with self._transaction() as connection:
            connection.execute(insert(FEEDBACK).on_conflict_do_nothing(index_elements=["content_key"]), rows)
        self._refused = False

    def check(self) -> None:
        """Raise StoreUnavailable when feedback could not be stored now. Makes no file; may take up to the wait.

        Writes nothing, except after feedback could not be stored: a full disk shows by a write only.
        """
        try:
            if self._file is None and not self._path.exists():
                folder = next(parent for parent in self._path.parents if parent.exists())
                if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
                    raise PermissionError("the folder of the store cannot be written to")
                return
        except OSError as error:
            raise StoreUnavailable(_reason(error)) from error
        with self._transaction() as connection:
            if self._refused:
                connection.exec_driver_sql("PRAGMA user_version = 0")  # the value it has; the page is written anew
            else:
                connection.rollback()
        self._refused = False

    def close(self) -> None:
        """Give up the connections; a later call opens new ones."""
        with self._opening:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._opened().begin() as connection:
                self._check_file()
                yield connection
            # A file that was moved or deleted meanwhile took the rows with it, and SQLite does not tell.
            self._check_file()
        except _FAULTS as error:
            self._refused = True
            with suppress(*_FAULTS):
                self.close()
            raise StoreUnavailable(_reason(error)) from error

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._make_file()
                engine = self._new_engine()
                try:
                    with engine.begin() as connection:
                        _create_tables(connection)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def _make_file(self) -> None:
        """The file and its folder, for this user only. Once seen, a missing one is a fault, never made again: an
        empty file in its place, perhaps below a volume that is not mounted, would hide what was stored.
        """
        if self._file is not None:
            self._check_file()
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its two helper files the mode of this one.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._file = (found.st_dev, found.st_ino)

    def _check_file(self) -> None:
        found = self._path.stat()
        if (found.st_dev, found.st_ino) != self._file:
            raise FileNotFoundError("another file is in the place of the store")

    def _new_engine(self) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=f"file:{self._quoted()}", query={"mode": "rw", "uri": "true"}),
            connect_args={"timeout": self._wait},
            pool_size=2,
            max_overflow=0,
            pool_timeout=self._wait,
            hide_parameters=True,
        )

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, __: Any) -> None:
            # The driver must not begin transactions in its own way; ours begin as writers, see below.
            connection.isolation_level = None
            try:
                for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                    connection.execute(f"PRAGMA {pragma}").close()
            except BaseException:
                connection.close()
                raise

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            # A reader that becomes a writer is refused at once when another wrote meanwhile; a writer waits.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def _quoted(self) -> str:
        """The path as part of an SQLite URI."""
        return str(self._path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _reason(error: BaseException) -> str:
    """A name without values; the text of the exception may quote the path or what was to be stored."""
    origin = getattr(error, "orig", None) or error
    return str(getattr(origin, "sqlite_errorname", type(origin).__name__))


def _create_tables(connection: Connection) -> None:
    # Not METADATA.create_all: it looks first and creates then, and two processes may start together.
    for table in METADATA.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _row(item: FeedbackItem, service: str, client: str | None, received_at: datetime) -> dict[str, Any]:
    suggestions = sorted({suggestion.id for suggestion in item.accepted_suggestions or ()})
    why = item.override_reason
    reason = why.reason if why else None
    said = {
        "service": service,
        "client": client,
        "card": item.card,
        "outcome": item.outcome,
        "outcome_timestamp": item.outcome_timestamp,
        "accepted_suggestions": suggestions,
        "reason_system": reason.system if reason else None,
        "reason_code": reason.code if reason else None,
        "comment": why.user_comment if why else None,
    }
    content = json.dumps({**said, "outcome_timestamp": item.outcome_timestamp.isoformat()}, sort_keys=True)
    return {**said, "content_key": hashlib.sha256(content.encode()).hexdigest(), "received_at": received_at}
