"""The body of a feedback call: what is read from it, and where a wrong one is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from cds.hooks import InvalidRequest, parse_feedback
from cds.hooks.feedback import MAX_COMMENT, MAX_ITEMS
from tests.feedback import bodies
from tests.feedback.bodies import CANARY, ILLEGAL, REASON, accepted, body, broken, overridden


@given(bodies.bodies)
def test_every_legal_body_is_read_item_by_item(sent: dict[str, Any]) -> None:
    read = parse_feedback(sent)
    assert [item.card for item in read] == [item["card"] for item in sent["feedback"]]
    assert [item.outcome for item in read] == [item["outcome"] for item in sent["feedback"]]
    assert all(item.outcome_timestamp.tzinfo is UTC for item in read)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-22T09:30:00Z", (2026, 11, 22, 9, 30, 0, 0)),
        ("2026-11-22t09:30:00z", (2026, 11, 22, 9, 30, 0, 0)),
        ("2026-11-22T09:30:00.5Z", (2026, 11, 22, 9, 30, 0, 500_000)),
        ("2026-11-22T09:30:00.123456789Z", (2026, 11, 22, 9, 30, 0, 123_456)),
        ("2026-11-22T09:30:00+08:00", (2026, 11, 22, 1, 30, 0, 0)),
        ("2026-11-22T23:30:00-05:30", (2026, 11, 23, 5, 0, 0, 0)),
        ("2026-11-22T09:30:00-00:00", (2026, 11, 22, 9, 30, 0, 0)),
        ("2016-12-31T23:59:60Z", (2017, 1, 1, 0, 0, 0, 0)),
        ("1970-01-01T00:00:00Z", (1970, 1, 1, 0, 0, 0, 0)),
        ("9999-12-31T23:59:59Z", (9999, 12, 31, 23, 59, 59, 0)),
    ],
)
def test_a_time_is_read_as_the_instant_it_means(written: str, meant: tuple[int, ...]) -> None:
    (item,) = parse_feedback(body(overridden(outcomeTimestamp=written)))
    assert item.outcome_timestamp == datetime(*meant, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_item_is_refused_at_its_place_without_its_value(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_feedback(body(overridden(), broken(name)))
    assert str(refused.value).startswith("feedback.1")
    assert ILLEGAL[name][1] in str(refused.value)
    assert CANARY not in str(refused.value)
    assert refused.value.way_out


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (None, "body is not a JSON object"),
        ([overridden()], "body is not a JSON object"),
        (CANARY, "body is not a JSON object"),
        ({}, "feedback is missing"),
        ({"feedback": None}, "feedback is not an array"),
        ({"feedback": overridden()}, "feedback is not an array"),
        ({"feedback": []}, "feedback is empty"),
        ({"feedback": [CANARY]}, "feedback.0 is not an object"),
        ({"feedback": [None]}, "feedback.0 is not an object"),
        ({"feedback": [overridden()] * (MAX_ITEMS + 1)}, "feedback has too many items"),
        (overridden(), "feedback is missing"),
    ],
)
def test_a_body_that_is_no_list_of_feedback_is_refused(sent: object, problem: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_feedback(sent)
    assert str(refused.value).startswith(problem)
    assert CANARY not in str(refused.value)


def test_the_largest_legal_body_is_read() -> None:
    comment = {"userComment": "c" * MAX_COMMENT}
    assert len(parse_feedback(body(*[overridden(overrideReason=comment)] * MAX_ITEMS))) == MAX_ITEMS


@pytest.mark.parametrize("why", [None, {}, {"reason": None}, {"userComment": ""}, {"userComment": None}])
def test_an_override_without_a_reason_is_legal_however_the_form_leaves_it_out(why: object) -> None:
    (item,) = parse_feedback(body(overridden(overrideReason=why)))
    assert item.override_reason is None or (item.override_reason.reason, item.override_reason.user_comment) == (
        None,
        None,
    )


def test_a_comment_is_not_in_the_text_form_of_an_item() -> None:
    (item,) = parse_feedback(body(accepted("one", overrideReason={"reason": REASON, "userComment": CANARY})))
    assert CANARY not in repr(item)
