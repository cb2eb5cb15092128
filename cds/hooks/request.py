"""The body of a service call, and the contexts of the three hooks that we serve.

    ValueError
      InvalidRequest     the client sent a body that breaks the specification: answer 400

FHIR inside a request stays raw JSON: real clients send drafts that no FHIR library reads, and which of their
elements matter is for the fact layer to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictInt,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from cds.hooks.wire import WireModel

_ID: Final = r"[A-Za-z0-9\-.]{1,64}"
FhirId = Annotated[str, StringConstraints(pattern=rf"^{_ID}$")]
TypedId = Annotated[str, StringConstraints(pattern=rf"^[A-Z][A-Za-z]{{0,63}}/{_ID}$")]
_ORDER: Final = re.compile(r"(?!OperationOutcome$)[A-Z][A-Za-z]{1,39}")  # the type of a resource that may be an order
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]


class InvalidRequest(ValueError):
    """Where a request breaks the specification, how, and what to send instead; never a value of it."""

    def __init__(self, place: str, problem: str, way_out: str) -> None:
        super().__init__(f"{place} {problem}; {way_out}")
        self.place = place
        self.problem = problem
        self.way_out = way_out


def _bundle(value: dict[str, Any]) -> dict[str, Any]:
    """Accept what real clients send (no resourceType, no Bundle.type), refuse what cannot hold orders."""
    entries_are_a_list = isinstance(value.get("entry"), list)
    if value.get("resourceType", "Bundle" if entries_are_a_list else None) != "Bundle":
        raise ValueError("is not a Bundle")
    if "entry" in value and not entries_are_a_list:
        raise ValueError("has an entry that is not an array")
    # None can be read: an answer without cards would look like advice on orders that nobody saw.
    if value.get("entry") and not any(map(_holds_an_order, value["entry"])):
        raise ValueError("has entries, and in none of them a resource with its resourceType")
    return value


def _holds_an_order(entry: Any) -> bool:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return isinstance(kind, str) and bool(_ORDER.fullmatch(kind))


_RESOURCE: Final = {
    "type": "object",
    "properties": {"resourceType": {"type": "string", "pattern": f"^{_ORDER.pattern}$"}},
    "required": ["resourceType"],
}
_ENTRY: Final = {"type": "object", "properties": {"resource": _RESOURCE}, "required": ["resource"]}
RawBundle = Annotated[
    dict[str, Any],
    AfterValidator(_bundle),
    WithJsonSchema(
        {
            "type": "object",
            "description": "FHIR Bundle whose entries hold the unsigned orders.",
            "properties": {
                "resourceType": {"const": "Bundle"},
                "entry": {"type": "array", "anyOf": [{"maxItems": 0}, {"contains": _ENTRY}]},
            },
            "anyOf": [{"required": ["resourceType"]}, {"required": ["entry"]}],
        }
    ),
]


class PatientViewContext(WireModel):
    """https://cds-hooks.org/hooks/patient-view: a clinician opened the patient's record."""

    user_id: TypedId
    patient_id: FhirId
    encounter_id: FhirId | None = None


class OrderSelectContext(WireModel):
    """https://cds-hooks.org/hooks/order-select: `selections` names the newest among the draft orders."""

    user_id: TypedId
    patient_id: FhirId
    encounter_id: FhirId | None = None
    selections: tuple[TypedId, ...]
    draft_orders: RawBundle


class OrderSignContext(WireModel):
    """https://cds-hooks.org/hooks/order-sign: the clinician is about to sign the draft orders."""

    user_id: TypedId
    patient_id: FhirId
    encounter_id: FhirId | None = None
    draft_orders: RawBundle


Context = PatientViewContext | OrderSelectContext | OrderSignContext

CONTEXTS: Final[Mapping[str, type[Context]]] = {
    "patient-view": PatientViewContext,
    "order-select": OrderSelectContext,
    "order-sign": OrderSignContext,
}


def _sendable(token: SecretStr) -> SecretStr:
    """RFC 6750 section 2.1 allows less; what matters is that no token can end a header or start another."""
    if not re.fullmatch(r"[\x21-\x7e]{1,16384}", token.get_secret_value()):
        raise ValueError("is empty, too long, or holds a space or a character that is not ASCII")
    return token


def _bearer(kind: str) -> str:
    if kind.lower() != "bearer":  # RFC 6749 section 7.1: in any case
        raise ValueError("is not Bearer")
    return kind


def _whole(number: object) -> object:
    """300.0 is a whole number in JSON, and so some clients write it."""
    return int(number) if isinstance(number, float | Decimal) and number == number // 1 else number


class FhirAuthorization(WireModel):
    """The access that the client lends for one call (cds-hooks_2.0@66 to @71); its names have no camelCase.

    ``expires_in`` is in seconds (None: not told), ``subject`` our id at the authorization server, ``patient`` the only
    one that the token is for. The token shows in no repr, dump or error. Real clients leave out the lifetime or the
    subject (the public sandbox does, when its server tells none): advice is not refused for what we can do without.
    """

    model_config = ConfigDict(alias_generator=None)

    access_token: Annotated[SecretStr, AfterValidator(_sendable)]
    token_type: Annotated[str, AfterValidator(_bearer)]
    expires_in: Annotated[StrictInt | None, BeforeValidator(_whole)] = None
    scope: str
    subject: str | None = None
    patient: FhirId | None = None


class HookRequest(WireModel):
    """One service call. `prefetch` is None when the client gave nothing (absent, null or {}); its values are
    raw JSON: a resource, a searchset Bundle, an OperationOutcome (the client failed) or None (the client
    looked, nothing there).
    """

    hook: str
    hook_instance: Uuid
    context: Context
    prefetch: dict[str, Any] | None = None
    fhir_server: str | None = None
    fhir_authorization: FhirAuthorization | None = Field(default=None, repr=False)
    extension: dict[str, Any] | None = None

    @field_validator("prefetch")
    @classmethod
    def _nothing_given_is_none(cls, prefetch: dict[str, Any] | None) -> dict[str, Any] | None:
        return prefetch or None

    @model_validator(mode="after")
    def _token_needs_its_server(self) -> HookRequest:
        """cds-hooks_2.0@20: fhirServer is REQUIRED when fhirAuthorization is given."""
        if self.fhir_authorization is not None and not self.fhir_server:
            raise ValueError("is missing although fhirAuthorization is given")
        return self


def parse_request(body: object, *, hook: str) -> HookRequest:
    """Read the JSON body of a call to the service of `hook` (a key of CONTEXTS).

    Unknown fields are ignored. Raises InvalidRequest for the first fault found: body or context not an
    object, another hook, a required field that is missing or of the wrong form. No value of the body appears
    in the error.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("body", "is not a JSON object", "send one CDS Hooks request object")
    named = body.get("hook")
    if named is None:
        raise InvalidRequest("hook", "is missing", f"send {hook}")
    if named != hook:
        raise InvalidRequest(
            "hook",
            "is not the hook of this service",
            f"send {hook} here, or call the service that discovery lists",
        )
    # Checked here, not by the union of contexts: the hook decides which fields are required.
    raw_context = body.get("context")
    if not isinstance(raw_context, Mapping):
        problem = "is missing" if raw_context is None else "is not an object"
        raise InvalidRequest("context", problem, f"send the context fields of {hook}")
    try:
        context = CONTEXTS[hook].model_validate(dict(raw_context), by_alias=True, by_name=False)
    except ValidationError as error:
        raise _first_fault(error, "context") from None
    try:
        return HookRequest.model_validate({**body, "context": context}, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _first_fault(error) from None


_PROBLEMS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "is not text",
    "int_type": "is not a whole number",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "tuple_type": "is not an array",
    "string_pattern_mismatch": "has the wrong form",
}
_WAYS_OUT: Final[Mapping[str, str]] = {
    "hookInstance": "send a fresh UUID for each call",
    "context.userId": "send the user as Type/id, for example Practitioner/123",
    "context.patientId": "send a FHIR id: 1 to 64 letters, digits, '-' or '.', without 'Patient/'",
    "context.encounterId": "send a FHIR id: 1 to 64 letters, digits, '-' or '.', or leave it out",
    "context.selections": "send an array of Type/id, one for each newly selected draft order",
    "context.draftOrders": "send a FHIR Bundle whose entry array holds the unsigned orders",
    "prefetch": "send an object with one member for each prefetch key of discovery, or leave it out",
    "fhirServer": "send the base URL of the FHIR server, or leave out fhirServer and fhirAuthorization",
    "fhirAuthorization": "send the object of the specification, or leave it out",
    "fhirAuthorization.access_token": "send the OAuth 2.0 access token, or leave out all of it",  # nosec B105
    "fhirAuthorization.token_type": "send Bearer",
    "fhirAuthorization.expires_in": "send the lifetime of the token in seconds as a number",
    "fhirAuthorization.scope": "send the scopes of the token, separated by spaces",
    "fhirAuthorization.subject": "send the client id of this service at the authorization server",
    "fhirAuthorization.patient": "send a FHIR id: 1 to 64 letters, digits, '-' or '.', without 'Patient/'",
    "extension": "send an object, or leave it out",
}


def _first_fault(error: ValidationError, *prefix: str) -> InvalidRequest:
    """The first fault in our own words: pydantic's place, not its message, which could quote a value."""
    fault = error.errors(include_url=False, include_input=False)[0]
    # A fault of the whole object has no place; the only one there is concerns fhirServer.
    path = [*prefix, *fault["loc"]] or ["fhirServer"]
    # Only our own field names and array positions: below a raw member every key is the client's text.
    place = ".".join(str(part) for part in path[:3])
    named = ".".join(part for part in path[:3] if isinstance(part, str))
    problem = _PROBLEMS.get(fault["type"], "is not valid")
    if fault["type"] == "value_error":
        problem = str(fault["ctx"]["error"])
    return InvalidRequest(place, problem, _WAYS_OUT.get(named, "see https://cds-hooks.hl7.org/2.0/#http-request_1"))
