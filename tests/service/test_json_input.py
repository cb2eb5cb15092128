"""What JSON comes in, and that it goes out as it came."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.service import InvalidJson, dump_json, parse_json

CANARY = "canary-7d1f"

# Our own texts: no lone surrogates and no NUL, which come in only as an attack and are refused.
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**90), max_value=10**90)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6)
    | texts,
    lambda children: st.lists(children, max_size=5) | st.dictionaries(texts, children, max_size=5),
    max_leaves=30,
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "syntax"),
        (b"{", "syntax"),
        (b'{"a": 1,}', "syntax"),
        (b"{'a': 1}", "syntax"),
        (b'{"a": 1} {"a": 1}', "syntax"),
        (b'{"a": /* no comments */ 1}', "syntax"),
        (b'{"a": "\x01"}', "syntax"),
        (b'{"a": 01}', "syntax"),
        (b'{"patientId": "canary-7d1f", "patientId": "b"}', "same name"),
        (b'{"a": [{"canary-7d1f": 1, "canary-7d1f": 1}]}', "same name"),
        (b'{"a": 1, "\\u0061": 2}', "same name"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "NaN"),
        (b'{"a": -Infinity}', "NaN"),
        (b'{"a": 1e400}', "out of range"),
        (b'{"a": -1e-400}', "out of range"),
        (b'{"a": 0e99999999999999999999}', "out of range"),
        (b'{"a": 1e' + b"9" * 90 + b"}", "out of range"),
        (b'{"a": ' + b"7" * 101 + b"}", "longer than"),
        (b'{"a": ' + b"7" * 10_000 + b"}", "longer than"),
        (b'{"a": 0.' + b"7" * 10_000 + b"}", "longer than"),
        (b'{"a": "\xff canary-7d1f"}', "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"a": "\xc0\xaf"}', "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b'{"a": "canary-7d1f \\ud800"}', "surrogate"),
        (b'{"a": ["\\udc00\\ud800"]}', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b'{"a": "canary-7d1f \\u0000"}', "NUL"),
        (b"[" * 100_000, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
        (b'{"a": "\\"", "b": ' + b"[" * 65 + b"]" * 65 + b"}", "nested"),
        (b"[" * 65 + b"]" * 65, "nested"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else value,
)
def test_json_that_two_readers_could_understand_differently_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidJson, match=problem) as caught:
        parse_json(data)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
        (b'{"a": "' + b"[" * 1000 + b'"}', {"a": "[" * 1000}),
        (b'{"a": "\\"' + b"{" * 1000 + b'\\\\"}', {"a": '"' + "{" * 1000 + "\\"}),
        (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a": "\\ud83e\\udd30"}', {"a": "\U0001f930"}),
        (b'{"a": ' + b"7" * 100 + b"}", {"a": int("7" * 100)}),
        (b"[" + b"{}," * 5000 + b"{}]", [{}] * 5001),
        (b'{"a": 1e99}', {"a": Decimal("1e99")}),
    ],
)
def test_unusual_but_sound_json_is_read(data: bytes, value: Any) -> None:
    assert parse_json(data) == value


def test_fractions_keep_every_digit() -> None:
    value = parse_json(b'{"calcium": 2.050, "tiny": 0.1, "whole": 3}')
    assert value == {"calcium": Decimal("2.050"), "tiny": Decimal("0.1"), "whole": 3}
    assert str(value["calcium"]) == "2.050"
    assert dump_json(value) == b'{"calcium":2.050,"tiny":0.1,"whole":3}'


def test_text_of_every_language_goes_out_unescaped() -> None:
    assert dump_json({"a": "孕妇 — \U0001f930"}) == '{"a":"孕妇 — \U0001f930"}'.encode()


def test_a_lone_surrogate_of_our_own_making_does_not_break_the_answer() -> None:
    assert json.loads(dump_json({"a": "x\ud800y"})) == {"a": "x?y"}


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf")])
def test_a_number_that_json_has_no_form_for_is_never_written(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump_json({"a": value})


@pytest.mark.parametrize("value", [{1: "a"}, {"a": object()}, {"a": {1, 2}}, b"bytes"])
def test_what_is_not_json_is_never_written(value: Any) -> None:
    with pytest.raises(TypeError, match="not JSON"):
        dump_json(value)


@given(json_values)
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    assert parse_json(dump_json(value)) == value


@given(json_values)
def test_what_is_written_is_what_the_standard_library_reads(value: Any) -> None:
    assert json.loads(dump_json(value), parse_float=Decimal) == value


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\u0d8 1eN-', max_size=200).map(str.encode))
def test_no_bytes_raise_anything_but_the_named_refusal(data: bytes) -> None:
    with suppress(InvalidJson):
        parse_json(data)


def test_a_body_of_two_megabytes_is_scanned_in_a_fraction_of_a_second() -> None:
    attack = b'{"a": "' + b'\\"[{' * 490_000 + b'"}'
    started = time.perf_counter()
    parse_json(attack)
    assert time.perf_counter() - started < 2
