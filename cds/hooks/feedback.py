"""What a client reports about our cards: the body of `POST {base}/cds-services/{id}/feedback`.

https://cds-hooks.hl7.org/2.0/#feedback. Nothing here knows which cards exist: feedback may come late, again, and
for cards of another process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from cds.hooks.request import InvalidRequest
from cds.hooks.wire import WireModel

MAX_ITEMS: Final = 1_000
"""Items of one body: what a client that was cut off for a day sends at once; more goes into a second body."""
MAX_ID: Final = 256
"""Characters of a card, suggestion or reason code: ours are UUIDs (36) and words, other servers' ids are no longer."""
MAX_SYSTEM: Final = 1_024
"""Characters of a code system's URI."""
MAX_COMMENT: Final = 10_000
"""Characters of a comment: three pages; a pasted record would be longer."""

# RFC 3339 section 5.6, date-time; second 60 is a leap second.
_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):([0-5]\d|60)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)


def _instant(value: object) -> datetime:
    """An RFC 3339 time with its offset, as UTC; beyond microseconds it is cut off, a leap second is the one after."""
    if not isinstance(value, str):
        raise ValueError("is not text")
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        raise ValueError("is not a time of RFC 3339 with its offset")
    day, minute, second, fraction, sign, hours, minutes = match.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{minute}:00+00:00")
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        microseconds = int((fraction or "0")[:6].ljust(6, "0"))
        time += timedelta(seconds=int(second), microseconds=microseconds)
        return (time + offset if sign == "-" else time - offset).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a day or time of the calendar") from None


def _nothing_written(value: object) -> object:
    """A comment field that was left empty comes as "" from real forms."""
    return None if value == "" else value


Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
Comment = Annotated[str, StringConstraints(max_length=MAX_COMMENT)]


class AcceptedSuggestion(WireModel):
    """`id` is the uuid of a suggestion that was taken."""

    id: Id


class ReasonCoding(WireModel):
    """The reason that was picked. Its display is not read: the code says it, and text could say more."""

    code: Id
    system: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SYSTEM)]


class OverrideReason(WireModel):
    """Why a card was not followed. `user_comment` is free text and may name a patient: keep it out of logs."""

    reason: ReasonCoding | None = None
    user_comment: Annotated[Comment | None, BeforeValidator(_nothing_written)] = Field(default=None, repr=False)


class FeedbackItem(WireModel):
    """What became of one card. `outcome_timestamp` is UTC, `card` the uuid of any card, known here or not."""

    card: Id
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Annotated[
        datetime, PlainValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
    ]
    accepted_suggestions: Annotated[tuple[AcceptedSuggestion, ...], Field(max_length=MAX_ITEMS)] | None = None
    override_reason: OverrideReason | None = None

    @model_validator(mode="after")
    def _accepted_says_what(self) -> FeedbackItem:
        """cds-hooks_2.0@158: acceptedSuggestions is required for an accepted card (and not empty, @3)."""
        if self.outcome == "accepted" and not self.accepted_suggestions:
            raise ValueError("is accepted without acceptedSuggestions")
        return self


class Feedback(WireModel):
    """The body: at least one item, since an empty array reports nothing (cds-hooks_2.0@3, @154)."""

    feedback: Annotated[tuple[FeedbackItem, ...], Field(min_length=1, max_length=MAX_ITEMS)]


def parse_feedback(body: object) -> tuple[FeedbackItem, ...]:
    """Read the JSON body of a feedback call; unknown fields are ignored, null for an optional field is its absence.

    Raises InvalidRequest for the first fault found; one bad item refuses all of them. No value of the body appears in
    the error.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("body", "is not a JSON object", 'send {"feedback": [...]}')
    try:
        return Feedback.model_validate(dict(body), by_alias=True, by_name=False).feedback
    except ValidationError as error:
        raise _first_fault(error) from None


_PROBLEMS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "is not text",
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "tuple_type": "is not an array",
    "too_short": "is empty",
    "too_long": "has too many items",
    "literal_error": "has the wrong value",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
}
_WAYS_OUT: Final[Mapping[str, str]] = {
    "feedback": f"send an array of 1 to {MAX_ITEMS} objects with card, outcome and outcomeTimestamp",
    "card": f"send the uuid of the card, at most {MAX_ID} characters",
    "outcome": "send accepted or overridden",
    "outcomeTimestamp": "send when it was decided, in UTC, for example 2026-11-22T09:30:00Z",
    "acceptedSuggestions": 'send the suggestions that were taken: [{"id": "uuid of the suggestion"}]',
    "id": f"send the uuid of the suggestion, at most {MAX_ID} characters",
    "overrideReason": "send an object with reason or userComment, or leave it out",
    "reason": "send code and system of one of the card's overrideReasons, or leave it out",
    "code": f"send the code of the reason, at most {MAX_ID} characters",
    "system": f"send the URI of the reason's code system, at most {MAX_SYSTEM} characters",
    "userComment": f"send text of at most {MAX_COMMENT} characters, or leave it out",
}


def _first_fault(error: ValidationError) -> InvalidRequest:
    """The first fault in our own words; a place has only our field names and positions, all others are ignored."""
    fault: Any = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    named = [part for part in fault["loc"] if isinstance(part, str)]
    problem = _PROBLEMS.get(fault["type"], "is not valid")
    if fault["type"] == "value_error":
        problem = str(fault["ctx"]["error"])
        if named == ["feedback"]:  # the fault of a whole item: the only one there is concerns acceptedSuggestions
            named = ["acceptedSuggestions"]
    return InvalidRequest(place, problem, _WAYS_OUT[named[-1]])
