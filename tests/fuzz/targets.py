"""What is fuzzed, by hypothesis and atheris alike: a target takes what it is given and fails on anything unforeseen.

A target raises AssertionError, or whatever the service did not expect, when it finds a fault; else it returns.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cds.advise import Adviser, DataUnavailable, PatientMismatch
from cds.hooks import CONTEXTS, CdsResponse, InvalidRequest, parse_request, to_json
from cds.knowledge import load_knowledge
from cds.service import InvalidJson, dump_json, load_settings, parse_json
from cds.service.answers import Refusal
from cds.service.limits import check_size

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONGEST = 20.0
"""Seconds that no single input may take, on a machine that does other things as well."""
Pick = Callable[[int], int]
"""`pick(n)`: a number from 0 to n - 1."""

SEEDS = sorted((Path(__file__).parents[2] / "fixtures" / "requests").glob("*.json"))

_MARKUP = re.compile(r"(?<!\\)<script|(?<!\\)\]\(javascript")
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**99, 1.5, "", " ", "0", "NaN", "a" * 3000, "no, " * 500, "<script>", "](javascript:1)",
    "\u202e\u2066\ufeff", "0000-00-00", "9999-12-31", "2026", "2026-02-30", "2026-11-22T25:61:61Z", "-0001-01-01",
    "2026-11-22T23:59:60+14:00", "mmol/L", "mg/dL", "%", "5 mg", "final", "active", "entered-in-error", "unknown",
    "urn:uuid:x", "Patient/", "#", "http://", [], {}, [[]], [None], [{}], {"": {}}, {"coding": {}}, {"coding": [[]]},
    {"value": "1"}, {"value": 1e30, "code": "mg"}, {"value": -5, "unit": "d"}, {"start": "2027", "end": "2020"},
    {"reference": {}}, {"resourceType": "Bundle", "entry": [None, {}, {"resource": None}]},
    {"resourceType": "Observation"}, {"resourceType": "Patient", "id": 7}, {"resourceType": []},
    {"url": "x", "valueString": "y"}, {"repeat": {"frequency": 0, "period": 0, "periodUnit": "d"}},
    {"denominator": {"value": 0}, "numerator": {"value": 1}}, {"low": {"value": 9}, "high": {"value": 1}},
)  # fmt: skip


def parser(data: bytes) -> None:
    """The parser refuses by InvalidJson only, and what it takes goes out again as it came."""
    try:
        value = parse_json(data)
    except InvalidJson:
        return
    assert parse_json(dump_json(value)) == value


def request(data: bytes) -> None:
    """The body of a call is refused by InvalidJson and InvalidRequest only, and by nothing that quotes it."""
    try:
        value = parse_json(data)
    except InvalidJson:
        return
    for hook in CONTEXTS:
        said = ""
        try:
            parse_request(value, hook=hook)
        except InvalidRequest as error:
            said = str(error)
        assert len(said) < 300


def advice(pick: Pick) -> None:
    """A golden request with things changed in it is answered, or refused by a named refusal; within bounds of time."""
    body = copy.deepcopy(_seed(pick(len(SEEDS))))
    for _ in range(1 + pick(6)):
        _change(body, pick)
    started = time.monotonic()
    try:
        asked = parse_request(parse_json(json.dumps(body).encode()), hook=_hook(body))
        check_size(asked, _settings())
        given = _adviser().advise(asked, NOW, ("en", "es", "fr", "zh-Hans")[pick(4)])
    except (InvalidJson, InvalidRequest, DataUnavailable, PatientMismatch, Refusal):
        return
    answer = json.loads(dump_json(to_json(given.response())))
    CdsResponse.model_validate(answer)
    assert all(_is_harmless(card["summary"]) and _is_harmless(card["detail"]) for card in answer["cards"])
    assert time.monotonic() - started < LONGEST


def _is_harmless(text: str) -> bool:
    """No markup of the record is alive on a card, and nothing turns the direction of reading."""
    return _MARKUP.search(text) is None and "\u202e" not in text


def _hook(body: Any) -> str:
    hook = body.get("hook") if isinstance(body, dict) else None
    return hook if isinstance(hook, str) and hook in CONTEXTS else "patient-view"


def _change(body: Any, pick: Pick) -> None:
    """One change at one place of the body."""
    places = list(_places(body))
    if not places:
        return
    holder, step = places[pick(len(places))]
    kind = pick(7)
    if kind == 0:
        del holder[step]
    elif kind == 1:
        holder[step] = [copy.deepcopy(holder[step])]
    elif kind == 2 and isinstance(holder, list):
        holder.extend(copy.deepcopy(holder[step]) for _ in range(1 + pick(30)))
    elif kind == 3:
        other, from_there = places[pick(len(places))]
        if from_there in other if isinstance(other, dict) else from_there < len(other):
            holder[step] = copy.deepcopy(other[from_there])
    elif kind == 4 and isinstance(holder[step], str):
        text = holder[step]
        holder[step] = (text.upper(), text * 40, text[1:], f"{text} no", f"not {text}", text[::-1])[pick(6)]
    elif kind == 5 and isinstance(holder, dict):
        holder[("_" + step, step + "X", "modifierExtension", "valueQuantity", "extension")[pick(5)]] = _odd(pick)
    else:
        holder[step] = _odd(pick)


def _odd(pick: Pick) -> Any:
    return copy.deepcopy(_ODD[pick(len(_ODD))])


def _places(node: Any) -> Any:
    """(holder, step) of every member and item."""
    steps = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for step in steps:
        yield node, step
        yield from _places(node[step])


@cache
def _adviser() -> Adviser:
    return Adviser(load_knowledge())


@cache
def _settings() -> Any:
    return load_settings({})


@cache
def _seed(number: int) -> Any:
    return json.loads(SEEDS[number].read_bytes())
