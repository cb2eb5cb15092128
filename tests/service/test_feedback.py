"""The feedback endpoint on a real server: acknowledged means stored, and nothing else is acknowledged."""

from __future__ import annotations

import asyncio
import copy
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from starlette.applications import Starlette

from cds.feedback import Store, StoreUnavailable, sqlite_url
from cds.hooks import parse_feedback
from cds.service import create_app, load_settings
from cds.service.feedback import FeedbackWriter
from tests.feedback import bodies
from tests.feedback.bodies import CANARY, ILLEGAL, REASON, accepted, body, broken, overridden

Serving = Callable[[Starlette], AbstractContextManager[str]]
NOON = "2026-11-22T12:00:00Z"


class Desk:
    """A running service, its feedback file, and short ways to use both."""

    def __init__(self, base: str, file: Path) -> None:
        self.http = httpx.Client(base_url=base, timeout=20, trust_env=False)
        self.file = file
        services = self.http.get("/cds-services").json()["services"]
        self.service = next(service["id"] for service in services if service["hook"] == "patient-view")

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def send(self, sent: Any, service: str | None = None, **headers: str) -> httpx.Response:
        path = f"/cds-services/{service or self.service}/feedback"
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return self.http.post(path, content=content, headers={"Content-Type": "application/json", **headers})

    def rows(self) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM feedback ORDER BY id")]

    def cards(self) -> list[str]:
        return [row["card"] for row in self.rows()] if self.file.exists() else []


@pytest.fixture(scope="module")
def service(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Starlette, str]]:
    """One service with the bundled rules, and its address."""
    app = create_app(load_settings({"state_dir": tmp_path_factory.mktemp("feedback"), "fixed_now": NOON}))
    with serving(app) as base:
        yield app, base


@pytest.fixture(scope="module")
def shared(service: tuple[Starlette, str]) -> Iterator[Desk]:
    """One store for all tests that only add to it."""
    app, base = service
    with Desk(base, app.state.settings.state_dir / "feedback.sqlite3") as desk:
        yield desk


@pytest.fixture
def desk(service: tuple[Starlette, str], tmp_path: Path) -> Iterator[Desk]:
    """The same service with a store of the test's own, which waits for no other writer."""
    app, base = service
    file = tmp_path / "state" / "feedback.sqlite3"
    usual = app.state.feedback
    app.state.feedback = FeedbackWriter(Store(sqlite_url(f"sqlite:///{file}"), wait_seconds=0.1), 20)
    with Desk(base, file) as own:
        yield own
    app.state.feedback.close()
    app.state.feedback = usual


def test_feedback_is_answered_with_an_empty_object_once_it_is_in_the_file(desk: Desk) -> None:
    assert not desk.file.exists(), "nothing is made before it is needed"
    answer = desk.send(body(overridden("one", overrideReason={"reason": REASON, "userComment": "Prefers food."})))
    assert (answer.status_code, answer.json()) == (200, {})
    (row,) = desk.rows()
    assert (row["card"], row["outcome"], row["comment"]) == ("one", "overridden", "Prefers food.")
    assert (row["service"], row["client"]) == (desk.service, None)
    assert row["received_at"] == "2026-11-22 12:00:00.000000"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=bodies.bodies)
def test_every_legal_body_is_acknowledged_and_each_item_is_there_once(shared: Desk, sent: dict[str, Any]) -> None:
    for _ in range(2):
        assert shared.send(sent).status_code == 200
    read = parse_feedback(sent)
    wanted = {
        (
            item.card,
            item.outcome,
            item.outcome_timestamp.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0"),
            json.dumps(sorted({suggestion.id for suggestion in item.accepted_suggestions or ()})),
            item.override_reason.reason.system if item.override_reason and item.override_reason.reason else None,
            item.override_reason.reason.code if item.override_reason and item.override_reason.reason else None,
            item.override_reason.user_comment if item.override_reason else None,
        )
        for item in read
    }
    columns = "outcome_timestamp", "accepted_suggestions", "reason_system", "reason_code", "comment"
    found = [(row["card"], row["outcome"], *(row[name] for name in columns)) for row in shared.rows()]
    assert [found.count(item) for item in wanted] == [1] * len(wanted)


@pytest.mark.parametrize(
    "item",
    [
        accepted("one suggestion"),
        accepted("one", "two", "three"),
        overridden(),
        overridden(overrideReason={"reason": REASON}),
        overridden(overrideReason={"reason": {**REASON, "display": "Patient refuses"}}),
        overridden(overrideReason={"userComment": "no list was shown"}),
        overridden("a card of nobody"),
        overridden(outcomeTimestamp="2011-01-01T00:00:00Z"),
        overridden(outcomeTimestamp="2026-11-23T02:00:00+14:00"),
        {**overridden(), "extension": {"org.example.trace": {"id": 1}}, "future": None},
    ],
)
def test_each_legal_shape_is_stored(shared: Desk, item: dict[str, Any]) -> None:
    item = copy.deepcopy(item) | {"card": f"{item['card']} of this test"}
    before = len(shared.rows())
    assert shared.send(body(item)).status_code == 200
    assert len(shared.rows()) == before + 1


def test_several_cards_come_at_once_and_again_with_a_changed_mind(desk: Desk) -> None:
    assert desk.send(body(overridden("a"), accepted("s", card="b"), overridden("c"))).status_code == 200
    later = accepted("s", card="a", outcomeTimestamp="2026-11-22T10:00:00Z")
    assert desk.send(body(overridden("a"), later)).status_code == 200
    assert [(row["card"], row["outcome"]) for row in desk.rows()] == [
        ("a", "overridden"),
        ("b", "accepted"),
        ("c", "overridden"),
        ("a", "accepted"),
    ]


def test_feedback_on_a_real_card_uses_what_the_card_gave(desk: Desk, cramps_chart: dict[str, Any]) -> None:
    cards = desk.http.post(f"/cds-services/{desk.service}", json=cramps_chart).json()["cards"]
    card = next(card for card in cards if card.get("suggestions") and card.get("overrideReasons"))
    taken, reason = card["suggestions"][0]["uuid"], card["overrideReasons"][0]
    sent = body(
        accepted(taken, card=card["uuid"]),
        overridden(card["uuid"], overrideReason={"reason": reason}),
    )
    assert desk.send(sent).status_code == 200
    first, second = desk.rows()
    assert json.loads(first["accepted_suggestions"]) == [taken]
    assert (second["reason_system"], second["reason_code"]) == (reason["system"], reason["code"])


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_item_is_400_and_takes_the_good_ones_with_it(shared: Desk, name: str) -> None:
    before = shared.cards()
    answer = shared.send(body(overridden(), broken(name), overridden()))
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert f"feedback.1.{ILLEGAL[name][1]}" in answer.text or ILLEGAL[name][1].startswith("is ")
    assert CANARY not in answer.text
    assert shared.cards() == before


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"feedback": []}', {}, 400),
        (b'{"feedback": [], "feedback": []}', {}, 400),
        (b'{"feedback": [{"card": "\\u0000"}]}', {}, 400),
        (b'{"feedback": "\xff"}', {}, 400),
        (body(overridden()), {"Content-Type": "text/plain"}, 415),
        (b'"' + b"c" * 2_000_001 + b'"', {}, 413),
    ],
)
def test_what_is_no_feedback_is_refused_as_any_other_body(
    shared: Desk, sent: Any, headers: dict[str, str], status: int
) -> None:
    before = shared.cards()
    answer = shared.send(sent, **headers)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert shared.cards() == before


def test_an_unknown_service_and_another_method_are_told_apart(shared: Desk) -> None:
    assert shared.send(body(overridden()), service="no-such-service").status_code == 404
    assert shared.http.get(f"/cds-services/{shared.service}/feedback").status_code == 405


def test_the_log_line_counts_the_items_and_holds_nothing_of_them(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.send(body(overridden(CANARY, overrideReason={"reason": REASON, "userComment": CANARY}), overridden()))
    desk.send(body(broken("comment is an object")))
    lines = capsys.readouterr().err
    assert CANARY not in lines
    assert [json.loads(line).get("feedback") for line in lines.splitlines()[-2:]] == [2, None]


def _hook_calls_go_on(desk: Desk, chart: dict[str, Any]) -> None:
    answer = desk.http.post(f"/cds-services/{desk.service}", json=chart)
    assert (answer.status_code, bool(answer.json()["cards"])) == (200, True)


def _refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "no-store")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_locked_store_is_503_and_hook_calls_go_on(
    desk: Desk, cramps_chart: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.send(body(overridden("before"))).status_code == 200
    with closing(sqlite3.connect(desk.file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        _refused(desk.send(body(overridden(CANARY))))
        _hook_calls_go_on(desk, cramps_chart)
    assert desk.send(body(overridden("after"))).status_code == 200
    assert desk.cards() == ["before", "after"]
    log = capsys.readouterr().err
    assert CANARY not in log
    assert [json.loads(line).get("error") for line in log.splitlines()].count("SQLITE_BUSY") == 1


def test_a_store_whose_folder_is_gone_is_503_and_hook_calls_go_on(desk: Desk, cramps_chart: dict[str, Any]) -> None:
    assert desk.send(body(overridden("before"))).status_code == 200
    away = desk.file.parent.with_name("away")
    desk.file.parent.rename(away)
    for _ in range(2):
        _refused(desk.send(body(overridden("during"))))
    _hook_calls_go_on(desk, cramps_chart)
    assert not desk.file.parent.exists()
    away.rename(desk.file.parent)
    assert desk.send(body(overridden("after"))).status_code == 200
    assert desk.cards() == ["before", "after"]


def test_a_corrupt_store_is_503_and_hook_calls_go_on(
    serving: Serving, tmp_path: Path, cramps_chart: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "feedback.sqlite3"
    file.write_bytes(b"no data base " * 1000)
    app = create_app(load_settings({"store_url": f"sqlite:///{file}", "fixed_now": NOON}))
    with serving(app) as base, Desk(base, file) as desk:
        _refused(desk.send(body(overridden())))
        _hook_calls_go_on(desk, cramps_chart)
    assert file.read_bytes() == b"no data base " * 1000
    # Said at start already, before the first clinician's answer is refused.
    first = next(line for line in capsys.readouterr().err.splitlines() if "feedback store" in line)
    assert json.loads(first)["level"] == "warning"


def test_a_store_that_hangs_is_503_within_the_wait_and_hook_calls_do_not_wait_for_it(
    service: tuple[Starlette, str], desk: Desk, cramps_chart: dict[str, Any]
) -> None:
    app, _ = service
    assert desk.send(body(overridden("before"))).status_code == 200
    usual = app.state.feedback
    app.state.feedback = slow = FeedbackWriter(Store(sqlite_url(f"sqlite:///{desk.file}"), wait_seconds=20), 0.2)
    try:
        with closing(sqlite3.connect(desk.file)) as other:
            other.execute("BEGIN EXCLUSIVE")
            answers = [desk.send(body(overridden(f"during {number}"))) for number in range(3)]
            assert asyncio.run(app.state.feedback.problem())
            _hook_calls_go_on(desk, cramps_chart)
        for answer in answers:
            _refused(answer)
            assert answer.elapsed.total_seconds() < 5
    finally:
        slow.close()
        slow._thread.shutdown(wait=True)
        app.state.feedback = usual
    # What waited is written after all; sent again, it is still there once.
    assert desk.send(body(overridden("during 0"), overridden("after"))).status_code == 200
    assert sorted(desk.cards()) == ["after", "before", "during 0", "during 1", "during 2"]


def test_no_more_bodies_wait_for_a_store_that_hangs_than_memory_allows(tmp_path: Path) -> None:
    writer = FeedbackWriter(Store(sqlite_url(f"sqlite:///{tmp_path}/f"), wait_seconds=1), 0.01)
    release = threading.Event()
    done: list[int] = []

    async def flood() -> list[str]:
        def job(number: int) -> None:
            release.wait(20)
            done.append(number)

        async def one(number: int) -> str:
            try:
                await writer.write(partial(job, number))
            except StoreUnavailable as fault:
                return fault.reason
            return "written"

        first = await asyncio.gather(*(one(number) for number in range(100)))
        release.set()
        return first

    reasons = asyncio.run(flood())
    writer.close()
    assert (reasons.count("too slow"), reasons.count("queue full")) == (64, 36)
