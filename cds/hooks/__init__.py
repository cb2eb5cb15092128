"""CDS Hooks 2.0 on the wire: what a client sends, what we answer, what discovery says.

Pure data; imports nothing of this project. A requirement id such as ``cds-hooks_2.0@93`` is the number that
the HL7 Da Vinci CRD test kit gives to that sentence of https://cds-hooks.hl7.org/2.0/.
"""

from __future__ import annotations

from cds.hooks.discovery import HOOK_VERSIONS, SPECIFICATION, Discovery, ServiceEntry
from cds.hooks.feedback import FeedbackItem, parse_feedback
from cds.hooks.outcome import operation_outcome
from cds.hooks.request import (
    CONTEXTS,
    Context,
    FhirAuthorization,
    HookRequest,
    InvalidRequest,
    OrderSelectContext,
    OrderSignContext,
    PatientViewContext,
    parse_request,
)
from cds.hooks.response import Action, Card, CdsResponse, Coding, Link, Source, Suggestion
from cds.hooks.wire import to_json

__all__ = [
    "CONTEXTS",
    "HOOK_VERSIONS",
    "SPECIFICATION",
    "Action",
    "Card",
    "CdsResponse",
    "Coding",
    "Context",
    "Discovery",
    "FeedbackItem",
    "FhirAuthorization",
    "HookRequest",
    "InvalidRequest",
    "Link",
    "OrderSelectContext",
    "OrderSignContext",
    "PatientViewContext",
    "ServiceEntry",
    "Source",
    "Suggestion",
    "operation_outcome",
    "parse_feedback",
    "parse_request",
    "to_json",
]
