"""The store alone: once, durable, for this user only, and honest about what it cannot do."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from cds.feedback import Store, StoreUnavailable, sqlite_url
from cds.hooks import FeedbackItem, parse_feedback
from tests.feedback.bodies import REASON, accepted, body, overridden

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


_OPEN: list[Store] = []


def store_in(folder: Path, wait_seconds: float = 10) -> Store:
    store = Store(URL.create("sqlite", database=str(folder / "feedback.sqlite3")), wait_seconds=wait_seconds)
    _OPEN.append(store)
    return store


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def save(store: Store, *items: dict[str, Any], service: str = "screening", client: str | None = "ehr") -> None:
    read: tuple[FeedbackItem, ...] = parse_feedback(body(*items))
    store.save(read, service=service, client=client, received_at=NOW)


def rows(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "feedback.sqlite3")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM feedback ORDER BY id")]


def test_an_item_is_kept_with_all_that_it_says(tmp_path: Path) -> None:
    why = {"reason": {**REASON, "display": "Patient refuses"}, "userComment": "She prefers food."}
    save(store_in(tmp_path), accepted("b", "a", "b", card="card-1", overrideReason=why))
    (row,) = rows(tmp_path)
    del row["content_key"]
    assert row == {
        "id": 1,
        "received_at": "2026-11-22 12:00:00.000000",
        "service": "screening",
        "client": "ehr",
        "card": "card-1",
        "outcome": "accepted",
        "outcome_timestamp": "2026-11-22 09:30:00.000000",
        "accepted_suggestions": '["a", "b"]',
        "reason_system": REASON["system"],
        "reason_code": REASON["code"],
        "comment": "She prefers food.",
    }


def test_the_same_item_is_one_row_however_it_is_sent_again(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    save(store, accepted("a", "b", card="one"), accepted("a", "b", card="one"))
    save(store, overridden("two"), accepted("b", "a", card="one"))
    save(store_in(tmp_path), {**accepted("a", "b", card="one"), "outcomeTimestamp": "2026-11-22T17:30:00+08:00"})
    assert [row["card"] for row in rows(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize(
    "other",
    [
        {"service": "another"},
        {"client": "another"},
        {"client": None},
        {"item": overridden("two")},
        {"item": accepted("a", card="one")},
        {"item": overridden("one", outcomeTimestamp="2026-11-22T09:30:01Z")},
        {"item": overridden("one", overrideReason={"reason": REASON})},
        {"item": overridden("one", overrideReason={"userComment": "now with words"})},
    ],
)
def test_what_differs_in_anything_is_a_row_of_its_own(tmp_path: Path, other: dict[str, Any]) -> None:
    store = store_in(tmp_path)
    save(store, overridden("one"))
    save(store, other.pop("item", overridden("one")), **other)
    assert len(rows(tmp_path)) == 2


def test_only_this_user_may_read_the_file_and_its_folder(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = store_in(tmp_path / "made" / "state")
        save(store, overridden())
        assert stat.S_IMODE((tmp_path / "made" / "state").stat().st_mode) == 0o700
        files = sorted((tmp_path / "made" / "state").iterdir())
        assert [path.suffix for path in files] == [".sqlite3", ".sqlite3-shm", ".sqlite3-wal"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    finally:
        os.umask(before)


def test_a_commit_is_on_the_disk_before_it_returns(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store._transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_stores_that_open_a_new_file_together_all_write_to_it(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def one(number: int) -> None:
        store = store_in(tmp_path)
        together.wait(timeout=10)
        save(store, overridden(f"card-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert {row["card"] for row in rows(tmp_path)} == {f"card-{number}" for number in range(8)}


def test_checking_a_store_that_was_never_used_makes_no_file(tmp_path: Path) -> None:
    store_in(tmp_path / "later").check()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = store_in(tmp_path / "file" / "state")
    with pytest.raises(StoreUnavailable, match="PermissionError"):
        store.check()
    with pytest.raises(StoreUnavailable, match="NotADirectoryError"):
        save(store, overridden())


def test_a_locked_store_is_told_and_works_again_when_it_is_free(tmp_path: Path) -> None:
    store = store_in(tmp_path, wait_seconds=0.1)
    save(store, overridden("before"))
    with closing(sqlite3.connect(tmp_path / "feedback.sqlite3")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            save(store, overridden("during"))
        with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            store.check()
    store.check()
    save(store, overridden("after"))
    assert [row["card"] for row in rows(tmp_path)] == ["before", "after"]


@pytest.mark.parametrize("content", [b"not a database " * 1000, b"\0" * 4096])
def test_a_file_that_is_no_data_base_is_told_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "feedback.sqlite3").write_bytes(content)
    store = store_in(tmp_path)
    with pytest.raises(StoreUnavailable, match="SQLITE_NOTADB"):
        save(store, overridden())
    assert (tmp_path / "feedback.sqlite3").read_bytes() == content


def test_a_file_that_was_taken_away_is_told_although_it_is_still_open(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    save(store, overridden("one"))
    for path in tmp_path.iterdir():
        path.unlink()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="FileNotFoundError"):
            save(store, overridden("two"))
    assert list(tmp_path.iterdir()) == [], "an empty file in its place would hide the loss"


def test_another_file_in_its_place_is_told(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    save(store, overridden("one"))
    (tmp_path / "other").mkdir()
    save(store_in(tmp_path / "other"), overridden("other"))
    (tmp_path / "other" / "feedback.sqlite3").replace(tmp_path / "feedback.sqlite3")
    with pytest.raises(StoreUnavailable, match="FileNotFoundError"):
        save(store, overridden("two"))


def test_a_bad_item_takes_the_whole_body_with_it_when_the_disk_fills(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    save(store, overridden("first"))
    with store._transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    store.close()
    engine = store._opened()
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    comment = {"userComment": "c" * 10_000}
    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        save(store, overridden("small"), overridden("large", overrideReason=comment))
    assert [row["card"] for row in rows(tmp_path)] == ["first"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "feedback.sqlite3",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:////var/x.sqlite3?mode=ro",
        "postgresql://user:secret@host/db",
        "sqlite+aiosqlite:////var/x.sqlite3",
    ],
)
def test_only_a_file_can_be_the_store_and_the_refusal_has_no_secret(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:////") as refused:
        sqlite_url(url)
    assert "secret" not in str(refused.value)
