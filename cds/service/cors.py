"""Browsers of other origins (CORS); a preflight that is refused is answered like every other refusal."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from cds.service.answers import outcome


class Cors(CORSMiddleware):
    """Starlette's, with an OperationOutcome where it says "Disallowed" in plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        text = "A page may not make this call: its origin, the method or a header is not allowed here."
        return outcome(answer.status_code, "not-supported", text, kept)
