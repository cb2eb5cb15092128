"""JSON at the edge: strict in, exact out.

    ValueError
      InvalidJson     the bytes are not JSON that we accept: answer 400

The standard parser is lenient where a clinical service must not be: the last of two `patientId` wins, NaN is
a number, a lone surrogate fails only when the answer is written, deep nesting and long integers end in
exceptions of their own.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import accumulate
from json.encoder import encode_basestring
from typing import Any, Final

DEFAULT_DEPTH: Final = 64
MAX_NUMBER_LENGTH: Final = 100

_BOM: Final = b"\xef\xbb\xbf"
_ESCAPED: Final = re.compile(rb"\\[\s\S]")
_STRING: Final = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_STEP: Final = tuple(1 if byte in b"[{" else -1 for byte in range(256))
# Only an escape can put these into text that is valid UTF-8 and valid JSON, so most bodies skip the walk.
_SUSPECT_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class InvalidJson(ValueError):
    """Why the bytes were refused, without any part of them; `problem` is a full clause."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def parse_json(data: bytes, max_depth: int = DEFAULT_DEPTH) -> Any:
    """Read UTF-8 JSON (a byte order mark is tolerated, RFC 8259 section 8.1); fractions become Decimal,
    exactly.

    Raises InvalidJson for: invalid UTF-8, broken syntax, a member named twice in one object, NaN and
    Infinity, a number longer than 100 characters or beyond 1e100, nesting deeper than `max_depth` levels (at most some
    hundreds: recursion is bounded), a lone surrogate or NUL in text.
    """
    data = data.removeprefix(_BOM)
    if _depth(data) > max_depth:
        raise InvalidJson(f"arrays and objects are nested deeper than {max_depth}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJson("the body is not UTF-8") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise InvalidJson(f"syntax error at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InvalidJson(f"arrays and objects are nested deeper than {max_depth}") from None
    if _SUSPECT_ESCAPE.search(text):
        _refuse_unwritable(value)
    return value


def dump_json(value: Any) -> bytes:
    """Write dict, list, tuple, text, numbers, booleans and None as UTF-8 JSON.

    Decimal is written with exactly its digits (2.05 stays 2.05), which the standard encoder cannot do. A lone
    surrogate becomes "?" instead of an error. Raises ValueError for a number that JSON has no form for,
    TypeError for other types.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode("utf-8", errors="replace")


def _depth(data: bytes) -> int:
    """How deep brackets nest outside strings, found without recursion and before any parser sees the data."""
    if b"\\" in data:
        data = _ESCAPED.sub(b"", data)
    # Two quotes side by side hold no bracket; without them a bracket in a string is still in a string.
    structure = data.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' in structure:
        # A quote that never closes stays; the parser refuses it, only the brackets may be counted here.
        structure = _STRING.sub(b"", structure).replace(b'"', b"")
    return max(accumulate(map(_STEP.__getitem__, structure)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJson("an object has two members of the same name")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER_LENGTH:
        raise InvalidJson(f"a number is longer than {MAX_NUMBER_LENGTH} characters")
    return int(text)


def _fraction(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise InvalidJson(f"a number is longer than {MAX_NUMBER_LENGTH} characters")
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise InvalidJson("a number is out of range") from None
    if not number.is_finite() or abs(number.adjusted()) > MAX_NUMBER_LENGTH:
        raise InvalidJson("a number is out of range")
    return number


def _refuse_constant(_: str) -> None:
    raise InvalidJson("NaN and Infinity are not JSON numbers")


def _refuse_unwritable(value: Any) -> None:
    """Text that no UTF-8 answer or data base can hold must not come in; depth is bounded by the parser's."""
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidJson("text holds a NUL character")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidJson("text holds half of a surrogate pair")
    elif isinstance(value, dict):
        for name, member in value.items():
            _refuse_unwritable(name)
            _refuse_unwritable(member)
    elif isinstance(value, list):
        for member in value:
            _refuse_unwritable(member)


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, dict):
        separator = "{"
        for name, member in value.items():
            if not isinstance(name, str):
                raise TypeError(f"a member name of type {type(name).__name__} is not JSON")
            parts.append(separator + encode_basestring(name) + ":")
            _write(member, parts)
            separator = ","
        parts.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        separator = "["
        for member in value:
            parts.append(separator)
            _write(member, parts)
            separator = ","
        parts.append("]" if value else "[]")
    else:
        parts.append(_scalar(value))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("NaN and Infinity are not JSON numbers")
        return str(value)
    if isinstance(value, float):
        return json.dumps(value, allow_nan=False)
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")
