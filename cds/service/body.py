"""The body of a request: JSON in UTF-8, whole, within its limits, strictly parsed."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request

from cds.service.answers import Refusal
from cds.service.json_input import parse_json
from cds.service.settings import Settings

# How much of a body that is too large is still read, so that the client gets to see the 413.
_DRAINED_BODIES: Final = 4

_CHARSET: Final = re.compile(r'(?:^|;)\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)


async def read_json(request: Request, settings: Settings) -> Any:
    """The JSON value of the body. Raises Refusal (408, 413, 415) and InvalidJson."""
    return parse_json(await read_body(request, settings), settings.max_depth)


def _check_content_type(headers: Headers) -> None:
    """JSON in UTF-8, not compressed; text/plain would let any web page call us without a preflight."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    kind, _, subtype = media_type.strip().lower().partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise Refusal(415, "not-supported", "The content type is not JSON; send Content-Type: application/json.")
    if any(found.lower() not in ("utf-8", "utf8") for found in _CHARSET.findall(parameters)):
        raise Refusal(415, "not-supported", "The character set is not UTF-8; send UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "not-supported", "The body is compressed; send it without Content-Encoding.")


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body, by the bytes that really arrive: Content-Length is only used to refuse early.

    Raises Refusal (408, 413, 415).
    """
    _check_content_type(request.headers)
    limit = settings.max_body_bytes
    too_large = Refusal(
        413,
        "too-long",
        f"The body is larger than {limit} bytes; send only what the prefetch templates ask for.",
        {"Connection": "close"},
    )
    announced = request.headers.get("content-length", "")
    # A client that waits for 100 Continue has sent nothing yet and needs no draining.
    if announced.isdecimal() and int(announced[:20]) > limit and "expect" in request.headers:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= limit:
                    chunks.append(chunk)
                elif size > _DRAINED_BODIES * limit:
                    break
    except TimeoutError:
        if size <= limit:
            raise Refusal(
                408,
                "timeout",
                "The body did not arrive in time; send it without pauses.",
                {"Connection": "close"},
            ) from None
    if size > limit:
        raise too_large
    return b"".join(chunks)
