"""FHIR R4 OperationOutcome: the body of every answer that is not a success."""

from __future__ import annotations

from typing import Any, Literal

Severity = Literal["fatal", "error", "warning", "information"]
# The part of http://hl7.org/fhir/R4/valueset-issue-type.html that this service has reason to say.
IssueCode = Literal[
    "invalid",
    "structure",
    "not-found",
    "not-supported",
    "too-long",
    "timeout",
    "throttled",
    "incomplete",
    "conflict",
    "no-store",
    "exception",
    "login",
    "transient",
]


def operation_outcome(severity: Severity, code: IssueCode, text: str) -> dict[str, Any]:
    """The JSON of an OperationOutcome with one issue.

    `text` stands in details.text and in diagnostics, because clients differ in which of the two they show. It
    must not hold anything of the patient or of the request.
    """
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "details": {"text": text}, "diagnostics": text}],
    }
