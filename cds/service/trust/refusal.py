"""Why a token is refused, in the words of the log and the metrics; the caller is told none of them."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "no-token",
    "malformed",
    "header",
    "issuer",
    "algorithm",
    "key",
    "signature",
    "audience",
    "claims",
    "expired",
    "not-yet-valid",
    "lifetime",
    "tenant",
    "replay",
]
