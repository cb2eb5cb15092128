"""Tokens that were used already: one small file that all worker processes of a machine share.

Exception
  StoreUnavailable     the file cannot be read or written; no token may be accepted then
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE_NAME: Final = "tokens-seen.sqlite3"

_WAIT_SECONDS: Final = 1.0
# 64 MB in pages of 4 kB: about half a million tokens, each of which is forgotten when it expires.
_MOST_PAGES: Final = 16_384
# More than one for each that comes, so that the file shrinks again after a busy hour.
_FORGET_AT_ONCE: Final = 8
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_expires ON seen (expires);
"""


class StoreUnavailable(Exception):
    """Whether a token was used before cannot be found out."""


class SeenTokens:
    """Which tokens were used, kept until they expire; of each only a hash of issuer and token id.

    The unique key of the table decides, so that of two workers with the same token exactly one is first. A thread
    of its own does the work: the event loop never waits for the disk or for another process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens-seen")

    async def is_first_use(self, issuer: str, token_id: str, expires: int, now: int) -> bool:
        """Remember a token until `expires`; False when it is remembered already. Times are Unix seconds.

        Raises StoreUnavailable when the file cannot be opened or written, is full, or stays locked for a second.
        """
        digest = hashlib.sha256(json.dumps([issuer, token_id]).encode()).digest()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._insert, digest, expires, now)

    def check(self) -> None:
        """Open the file once, to find out at start whether it can be used. Raises StoreUnavailable."""
        self._thread.submit(self._check).result()

    def close(self) -> None:
        self._thread.submit(self._drop).result()
        self._thread.shutdown()

    def _insert(self, digest: bytes, expires: int, now: int) -> bool:
        try:
            store = self._open()
            # The context manager ends the transaction: by a rollback when one of the statements fails.
            with store:
                store.execute("BEGIN IMMEDIATE")
                store.execute(
                    "DELETE FROM seen WHERE digest IN (SELECT digest FROM seen WHERE expires < ? LIMIT ?)",
                    (now, _FORGET_AT_ONCE),
                )
                added = store.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, expires))
                return added.rowcount == 1
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise StoreUnavailable from error

    def _check(self) -> None:
        try:
            with self._open() as store:
                store.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable from error
        finally:
            self._drop()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / FILE_NAME
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            store = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            self._connection = store
            if store.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                store.execute("PRAGMA journal_mode = wal")
            # A power cut may lose the last entries; a crash of the process loses none.
            store.execute("PRAGMA synchronous = normal")
            store.execute(f"PRAGMA max_page_count = {_MOST_PAGES}")
            store.executescript(_TABLES)
        return self._connection

    def _drop(self) -> None:
        store, self._connection = self._connection, None
        if store is not None:
            with suppress(sqlite3.Error):
                store.close()
