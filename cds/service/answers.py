"""Answers: JSON, and an OperationOutcome for everything that is not a success.

    Exception
      Refusal     answered with its status and an OperationOutcome; its text holds nothing of the request

A failure is never a 200 with no cards: a clinician reads an empty answer as "nothing to worry about".
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from cds.advise import DataUnavailable, PatientMismatch
from cds.engine import EngineError, EngineMismatch
from cds.hooks import InvalidRequest, operation_outcome
from cds.hooks.outcome import IssueCode
from cds.service.json_input import InvalidJson, dump_json
from cds.service.log import fault
from cds.service.metrics import metrics_of

Endpoint = Callable[[Request], Awaitable[Response]]


class Refusal(Exception):
    """A request that is answered with an OperationOutcome; the text holds nothing of the request."""

    def __init__(self, status: int, code: IssueCode, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code: IssueCode = code
        self.text = text
        self.headers = headers

    def answer(self) -> Response:
        return outcome(self.status, self.code, self.text, self.headers)


def guarded(endpoint: Endpoint) -> Endpoint:
    """Turn every exception of an endpoint into its answer here, inside CORS, so that browsers can read it."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refusal as refusal:
            return refusal.answer()
        except InvalidJson as error:
            return outcome(400, "structure", f"The body cannot be read: {error.problem}.")
        except InvalidRequest as error:
            return outcome(400, "invalid", f"{error}.")
        except PatientMismatch:
            return outcome(
                400,
                "conflict",
                "The prefetch holds another patient than context.patientId; send data of one patient only.",
            )
        except DataUnavailable as error:
            for key in error.keys:
                metrics_of(request.scope).count_unavailable(key)
            return outcome(412, "incomplete", str(error))
        except ClientDisconnect:
            # Nobody is left to read it; it only gives the log line its status.
            return outcome(400, "incomplete", "The client closed the connection before the end of the body.")
        except EngineError as error:
            kind = "mismatch" if isinstance(error, EngineMismatch) else "fault"
            metrics_of(request.scope).count_engine_error(kind)
            note(request.scope, **fault(error))
            return internal_error(request.scope)
        except Exception as error:
            note(request.scope, **fault(error))
            return internal_error(request.scope)

    return answer


async def http_error(request: Request, error: Exception) -> Response:
    """The router's own refusals: no such path (404), no such method (405)."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    if status == 404:
        return outcome(404, "not-found", "There is nothing at this address; GET /cds-services lists the services.")
    if status == 405:
        allowed = (headers or {}).get("Allow", "another method")
        return outcome(405, "not-supported", f"This method is not supported here; use {allowed}.", headers)
    return internal_error(request.scope)


def json_answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dump_json(body), status, dict(headers or {}), media_type="application/json")


def outcome(status: int, code: IssueCode, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_answer(operation_outcome("error", code, text), status, headers)


def internal_error(scope: Scope) -> Response:
    request_id = scope["prenatal_cds"]["request_id"]
    text = f"Internal error; no advice could be given. Report request {request_id} to the operator."
    return json_answer(operation_outcome("fatal", "exception", text), 500)


def note(scope: Scope, **fields: Any) -> None:
    """Add fields to the log line of this request; only those that `cds.service.log` lists are written."""
    scope["prenatal_cds"]["notes"].update(fields)
