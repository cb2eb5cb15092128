"""Feedback as clients may send it: every legal shape, and what makes a body illegal."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
REASON = {"code": "patient-refuses", "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"}


def overridden(card: str | None = None, **more: Any) -> Json:
    stamp = "2026-11-22T09:30:00Z"
    return {"card": card or str(uuid.uuid4()), "outcome": "overridden", "outcomeTimestamp": stamp, **more}


def accepted(*suggestions: str, card: str | None = None, **more: Any) -> Json:
    taken = [{"id": suggestion} for suggestion in suggestions or (str(uuid.uuid4()),)]
    return {**overridden(card), "outcome": "accepted", "acceptedSuggestions": taken, **more}


def body(*items: Json) -> Json:
    return {"feedback": list(items)}


# Any text that JSON at our edge lets in: no NUL, no half of a surrogate pair.
_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
_ids = st.one_of(st.uuids().map(str), _text)
_offsets = st.one_of(
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-12:00", "+14:00"]),
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59)),
)
times = st.builds(
    "{}{}{:02}:{:02}:{:02}{}{}".format,
    st.dates(min_value=date(1, 1, 3), max_value=date(9999, 12, 29)),
    st.sampled_from("Tt"),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 60),
    st.one_of(st.just(""), st.integers(0, 10**12).map(lambda digits: f".{digits}")),
    _offsets,
)
_more = st.dictionaries(_text.map(lambda name: f"x-{name}"), st.one_of(st.none(), st.integers(), _text), max_size=2)
_suggestions = st.lists(st.builds(lambda id, more: {**more, "id": id}, _ids, _more), min_size=1, max_size=4)
_reasons = st.fixed_dictionaries({"code": _text, "system": _text}, optional={"display": _text})
_why = st.fixed_dictionaries({}, optional={"reason": _reasons, "userComment": st.one_of(_text, st.just(""))})
_always = {"card": _ids, "outcomeTimestamp": times}
items = st.one_of(
    st.fixed_dictionaries(
        {**_always, "outcome": st.just("accepted"), "acceptedSuggestions": _suggestions},
        optional={"overrideReason": _why},
    ),
    st.fixed_dictionaries(
        {**_always, "outcome": st.just("overridden")},
        optional={
            "overrideReason": st.one_of(_why, st.none()),
            "acceptedSuggestions": st.one_of(_suggestions, st.none(), st.just([])),
        },
    ),
)
bodies = st.lists(items, min_size=1, max_size=5).map(lambda some: {"feedback": some})


def _set(path: str, value: Any) -> Callable[[Json], None]:
    def change(item: Json) -> None:
        *above, last = path.split(".")
        for name in above:
            item = item[name]
        item[last] = value

    return change


def _without(path: str) -> Callable[[Json], None]:
    def change(item: Json) -> None:
        *above, last = path.split(".")
        for name in above:
            item = item[name]
        del item[last]

    return change


CANARY = "canary-4e0c"

# What is wrong, how a legal item becomes that, and the place that the answer names.
ILLEGAL: dict[str, tuple[Callable[[Json], None], str]] = {
    "no card": (_without("card"), "card is missing"),
    "card is null": (_set("card", None), "card is not text"),
    "card is empty": (_set("card", ""), "card is empty"),
    "card is a number": (_set("card", 7), "card is not text"),
    "card is endless": (_set("card", CANARY * 100), "card is too long"),
    "no outcome": (_without("outcome"), "outcome is missing"),
    "unknown outcome": (_set("outcome", f"ignored {CANARY}"), "outcome has the wrong value"),
    "outcome in capitals": (_set("outcome", "ACCEPTED"), "outcome has the wrong value"),
    "outcome is a list": (_set("outcome", ["accepted"]), "outcome has the wrong value"),
    "no time": (_without("outcomeTimestamp"), "outcomeTimestamp is missing"),
    "time is a number": (_set("outcomeTimestamp", 1764000000), "outcomeTimestamp is not text"),
    "time without offset": (_set("outcomeTimestamp", "2026-11-22T09:30:00"), "outcomeTimestamp is not a time"),
    "time without seconds": (_set("outcomeTimestamp", "2026-11-22T09:30Z"), "outcomeTimestamp is not a time"),
    "time with a space": (_set("outcomeTimestamp", "2026-11-22 09:30:00Z"), "outcomeTimestamp is not a time"),
    "time with an end": (_set("outcomeTimestamp", f"2026-11-22T09:30:00Z {CANARY}"), "outcomeTimestamp is not a time"),
    "only a date": (_set("outcomeTimestamp", "2026-11-22"), "outcomeTimestamp is not a time"),
    "no such day": (_set("outcomeTimestamp", "2026-02-30T09:30:00Z"), "outcomeTimestamp is not a day"),
    "no such hour": (_set("outcomeTimestamp", "2026-11-22T24:30:00Z"), "outcomeTimestamp is not a day"),
    "year zero": (_set("outcomeTimestamp", "0000-11-22T09:30:00Z"), "outcomeTimestamp is not a day"),
    "before year one": (_set("outcomeTimestamp", "0001-01-01T00:00:00+23:59"), "outcomeTimestamp is not a day"),
    "after the last year": (_set("outcomeTimestamp", "9999-12-31T23:59:60Z"), "outcomeTimestamp is not a day"),
    "other digits": (_set("outcomeTimestamp", "２０２６-11-22T09:30:00Z"), "outcomeTimestamp is not a time"),
    "accepted nothing": (_without("acceptedSuggestions"), "is accepted without acceptedSuggestions"),
    "accepted null": (_set("acceptedSuggestions", None), "is accepted without acceptedSuggestions"),
    "accepted an empty list": (_set("acceptedSuggestions", []), "is accepted without acceptedSuggestions"),
    "accepted bare ids": (_set("acceptedSuggestions", [CANARY]), "acceptedSuggestions.0 is not an object"),
    "accepted an object": (_set("acceptedSuggestions", {CANARY: CANARY}), "acceptedSuggestions is not an array"),
    "suggestion without id": (_set("acceptedSuggestions", [{CANARY: "x"}]), "acceptedSuggestions.0.id is missing"),
    "suggestion id empty": (_set("acceptedSuggestions", [{"id": ""}]), "acceptedSuggestions.0.id is empty"),
    "reason is text": (_set("overrideReason", CANARY), "overrideReason is not an object"),
    "reason without code": (_without("overrideReason.reason.code"), "overrideReason.reason.code is missing"),
    "reason without system": (_without("overrideReason.reason.system"), "overrideReason.reason.system is missing"),
    "reason code empty": (_set("overrideReason.reason.code", ""), "overrideReason.reason.code is empty"),
    "reason as list": (_set("overrideReason.reason", [CANARY]), "overrideReason.reason is not an object"),
    "comment is an object": (_set("overrideReason.userComment", {CANARY: 1}), "overrideReason.userComment is not text"),
    "comment is a book": (_set("overrideReason.userComment", CANARY * 1000), "overrideReason.userComment is too long"),
}


def broken(name: str) -> Json:
    """A legal item made illegal in one way."""
    item = copy.deepcopy(accepted("one", overrideReason={"reason": dict(REASON), "userComment": CANARY}))
    ILLEGAL[name][0](item)
    return item
