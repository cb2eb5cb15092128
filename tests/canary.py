"""Canaries: texts that nobody could guess, planted where private data stands, and the net that looks for them.

The net is under every test: `conftest.py` gives it each log line that a server of the tests writes, the service
fixtures give it each answer, `served` gives it what a process printed. A canary may come back on a card, which is the
answer to the one who sent it, and in the columns of the store that hold what feedback says; nowhere else. A test that
leaks one fails, whatever else it asserts.
"""

from __future__ import annotations

import base64
import re
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Hexadecimal, so that it can stand in a UUID and a FHIR id, and that no escaping and no percent-encoding changes it.
RUN: Final = secrets.token_hex(6)
# Where the store may hold a canary, and of which kind: what was said in feedback, each in its own column.
IN_STORE: Final = {
    "comment": "comment",
    "card": "card",
    "accepted_suggestions": "suggestion",
    "reason_system": "system",
    "reason_code": "code",
}

_KIND: Final = re.compile(RUN + "([a-y]*)z?")


def canary(kind: str) -> str:
    """A private text; `kind` (small letters without z) says of what, so that a find tells where it came from."""
    return f"canary-{RUN}{kind}z"


def _encoded() -> set[str]:
    """The forms in which the run's text hides in base64, for each of the three places at which it can begin."""
    found = set()
    for text in (RUN, RUN.upper()):
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + text.encode()).decode()
            found.add(whole[4 if shift else 0 : 16])
    return found | {RUN.encode().hex()}


_ENCODED: Final = _encoded()


def kinds(data: bytes | str) -> set[str]:
    """The kinds of the canaries in some output, in any case; "encoded" for base64 or hexadecimal."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    found = set(_KIND.findall(text.casefold()))
    return found | {"encoded"} if any(form in text for form in _ENCODED) else found


def kinds_in_store(path: Path) -> set[str]:
    """Canaries in a folder of kept files: each SQLite column that may not hold them, and names and bytes of files."""
    found: set[str] = set()
    for file in sorted(path.rglob("*")):
        found |= kinds(file.name)
        if file.is_file():
            # The bytes too: SQLite leaves what was deleted, and a file may be none of SQLite's.
            found |= kinds(file.read_bytes()) - set(IN_STORE.values())
            if file.read_bytes().startswith(b"SQLite format 3\0"):
                found |= _kinds_in_tables(file)
    return found


def _kinds_in_tables(file: Path) -> set[str]:
    found: set[str] = set()
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for column in row.keys():  # noqa: SIM118 - a row iterates over its values
                    allowed = {IN_STORE[column]} if table == "feedback" and column in IN_STORE else set()
                    found |= kinds(str(row[column])) - allowed
    return found


class Net:
    """What leaked since it was last asked."""

    def __init__(self) -> None:
        self._leaks: list[str] = []

    def look(self, where: str, data: bytes | str) -> None:
        if found := kinds(data):
            self._leaks.append(f"{where}: a canary of {', '.join(sorted(found)) or 'no kind'}")

    def take(self) -> list[str]:
        leaks, self._leaks = self._leaks, []
        return leaks

    def around(self, app: ASGIApp) -> ASGIApp:
        """The same application, with the headers of all its answers looked at, and each body that is no card: those of
        refusals, and of pages that are about no patient (metrics, health, the OpenAPI document).
        """

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            status = 0
            body = b""

            async def see(message: Message) -> None:
                nonlocal status, body
                if message["type"] == "http.response.start":
                    status = message["status"]
                    for name, value in message["headers"]:
                        self.look(f"header of a {status}", name + b": " + value)
                elif message["type"] == "http.response.body" and (status >= 400 or scope["method"] != "POST"):
                    body += message.get("body", b"")
                    if not message.get("more_body", False):
                        self.look(f"body of a {status}", body)
                await send(message)

            await app(scope, receive, see)

        return watched


NET: Final = Net()

# Elements of a Patient that no rule reads.
PRIVATE_PERSON: Final[dict[str, Any]] = {
    "identifier": [{"system": "urn:example:mrn", "value": canary("identifier")}],
    "name": [{"family": canary("family"), "given": [canary("given")], "text": canary("name")}],
    "telecom": [{"system": "phone", "value": canary("phone")}],
    "address": [{"line": [canary("street")], "city": canary("city")}],
}
PRIVATE_HEADERS: Final = {
    "User-Agent": canary("agent"),
    "Cookie": f"session={canary('cookie')}",
    "Referer": f"https://ehr.example/{canary('referer')}",
    "X-Request-Id": canary("request"),
    "X-Forwarded-For": canary("forwarded"),
}
