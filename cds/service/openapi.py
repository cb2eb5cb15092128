"""`GET /openapi.json`: this service as an OpenAPI 3.1 document, built from the wire models and the services served.

FHIR is described as open objects with a resourceType: its own definitions say the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import cds
from cds.hooks import CONTEXTS, CdsResponse, Discovery, ServiceEntry
from cds.hooks.feedback import Feedback
from cds.hooks.request import HookRequest
from cds.service.example import example_body
from cds.service.settings import Settings
from cds.service.trust.tokens import PROTECTED

_REF: Final = "#/components/schemas/{model}"
_OUTCOME: Final = {"$ref": "#/components/schemas/OperationOutcome"}
_FHIR: Final[Mapping[str, Any]] = {
    "OperationOutcome": {
        "type": "object",
        "description": "FHIR R4 OperationOutcome: why there is no answer. Holds nothing of the request.",
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "severity": {"enum": ["fatal", "error", "warning", "information"]},
                        "code": {"type": "string"},
                        "details": {"type": "object", "properties": {"text": {"type": "string"}}},
                        "diagnostics": {"type": "string"},
                    },
                    "required": ["severity", "code", "diagnostics"],
                },
            },
        },
        "required": ["resourceType", "issue"],
    },
    "Resource": {
        "type": "object",
        "description": "A FHIR R4 resource.",
        "properties": {"resourceType": {"type": "string", "minLength": 1}},
        "required": ["resourceType"],
    },
}
_WHY: Final[Mapping[int, str]] = {
    401: "No token, or one that is not accepted; which check failed is not told.",
    400: "The body is no sound JSON, breaks CDS Hooks, or holds another patient than context.patientId.",
    404: "There is nothing at this address.",
    405: "Another method is meant here; see the header Allow.",
    408: "The headers or the body did not arrive in time.",
    412: "Data that every rule needs was not supplied and could not be fetched.",
    413: "The body, or the number of resources or codings in it, is larger than the limit.",
    414: "The address is too long.",
    415: "The body is not application/json in UTF-8, or it is compressed.",
    431: "The headers are too large.",
    500: "No advice could be given for a reason of our own; the header X-Request-Id names the call.",
    503: "Busy, the call took too long, or what it needs is out of order; see the header Retry-After.",
}
_HOW_TO_SIGN: Final = "A fresh token for each call, signed by a listed client; aud is the address that is called."
_EVERYWHERE: Final = (405, 408, 414, 431, 500, 503)


@dataclass(frozen=True)
class Operation:
    """One method of one path. `path` is that of the route; `per_service` stands for as many paths as services."""

    method: str
    path: str
    id: str
    summary: str
    answer: str
    body: str | None = None
    refusals: tuple[int, ...] = ()
    media_type: str = "application/json"
    per_service: bool = False
    in_languages: bool = False


OPERATIONS: Final = (
    Operation("GET", "/", "home", "Name and addresses of the service", "Home"),
    Operation("GET", "/health", "health", "Version, rules in use and clock", "Health"),
    Operation("GET", "/ready", "ready", "Whether calls should be sent here", "Ready"),
    Operation(
        "GET", "/metrics", "metrics", "Counts for Prometheus", "Metrics", refusals=(404,), media_type="text/plain"
    ),
    Operation("GET", "/openapi.json", "openapi", "This document", "OpenApi"),
    Operation(
        "GET", "/cds-services", "discovery", "The services and their prefetch templates", "Discovery", in_languages=True
    ),
    Operation("GET", "/cds-services/", "discoverySlash", "As without the slash", "Discovery", in_languages=True),
    Operation(
        "POST",
        "/cds-services/{service_id}",
        "call",
        "Ask for advice",
        "CdsResponse",
        body="HookRequest",
        refusals=(400, 412, 413, 415),
        per_service=True,
        in_languages=True,
    ),
    Operation(
        "POST",
        "/cds-services/{service_id}/feedback",
        "feedback",
        "Report what became of cards",
        "Nothing",
        body="Feedback",
        refusals=(400, 413, 415),
        per_service=True,
    ),
    Operation(
        "GET",
        "/questionnaires/{questionnaire_id}",
        "questionnaire",
        "A form whose answers the services read",
        "Questionnaire",
        refusals=(404,),
        media_type="application/fhir+json",
    ),
)
"""Every route of the application: a test compares the two."""


def openapi_document(services: Iterable[ServiceEntry], forms: Iterable[str], settings: Settings) -> dict[str, Any]:
    """The OpenAPI 3.1 document; one path for each service, because the hook decides what its body holds.

    ``forms`` are the ids of the questionnaires. Raises nothing; examples are of the day of the settings' clock.
    """
    entries = list(services)
    known = {"questionnaire_id": sorted(forms)}
    today = settings.now().date()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        if operation.per_service:
            for entry in entries:
                path = operation.path.replace("{service_id}", entry.id)
                paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, known, entry, today)
        else:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, known)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "prenatal-cds",
            "version": cds.__version__,
            "description": "CDS Hooks 2.0 service about leg cramps, calcium and vitamin D in pregnancy. "
            "Limits of this site: "
            f"{settings.max_body_bytes} bytes, {settings.max_entries} resources and {settings.max_codings} codings "
            f"for each call, {settings.request_seconds:g} seconds.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": _schemas(entries)},
    }
    if settings.trust_file is not None:
        described["components"]["securitySchemes"] = {
            "client": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _HOW_TO_SIGN}
        }
        for path in paths:
            if path.startswith(PROTECTED):
                for operation_of_path in paths[path].values():
                    operation_of_path["security"] = [{"client": []}]
                    operation_of_path["responses"]["401"] = _refusal(401)
    if settings.public_url is not None:
        described["servers"] = [{"url": settings.public_url.rstrip("/")}]
    return described


def _operation(
    operation: Operation,
    known: Mapping[str, list[str]],
    entry: ServiceEntry | None = None,
    today: date | None = None,
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id if entry is None else f"{operation.id}-{entry.id}",
        "summary": operation.summary if entry is None else f"{operation.summary}: {entry.title or entry.id}",
        "parameters": list(_parameters(operation, known)),
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": _headers(operation),
                "content": {operation.media_type: {"schema": {"$ref": _REF.format(model=operation.answer)}}},
            },
            **{str(status): _refusal(status) for status in sorted({*operation.refusals, *_EVERYWHERE})},
        },
    }
    if operation.id == "call" and entry is not None:
        described["description"] = entry.description
    if operation.id == "ready":
        described["responses"]["503"]["content"]["application/json"]["schema"] = {
            "anyOf": [_OUTCOME, {"$ref": _REF.format(model=operation.answer)}]
        }
    if operation.body is not None:
        name = f"{operation.body}-{entry.hook}" if operation.id == "call" and entry is not None else operation.body
        content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=name)}}
        if operation.id == "call" and entry is not None and today is not None:
            content["examples"] = {"leg-cramps": {"value": example_body(entry.hook, today)}}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _parameters(operation: Operation, known: Mapping[str, list[str]]) -> Iterable[dict[str, Any]]:
    for name, values in known.items():
        if f"{{{name}}}" in operation.path:
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": values}}
    if operation.in_languages:
        text = "Language of the answer (BCP 47); one that is not known is no error."
        yield {"name": "Accept-Language", "in": "header", "description": text, "schema": {"type": "string"}}


def _headers(operation: Operation) -> dict[str, Any]:
    rows = {"X-Request-Id": "Names this answer in our log."}
    if operation.in_languages:
        rows["Content-Language"] = "Languages of the answer."
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in rows.items()}


def _refusal(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _WHY[status],
        "content": {"application/json": {"schema": _OUTCOME}},
    }
    if status == 503:
        described["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
    return described


def _schemas(entries: list[ServiceEntry]) -> dict[str, Any]:
    """The components: wire models as pydantic describes them, FHIR, and what has no model."""
    hooks = {entry.hook for entry in entries}
    asked: list[type[BaseModel]] = [HookRequest, Feedback, *(CONTEXTS[hook] for hook in sorted(hooks))]
    _, made = models_json_schema([(model, "validation") for model in asked], by_alias=True, ref_template=_REF)
    schemas: dict[str, Any] = {name: _without_null(schema) for name, schema in made["$defs"].items()}
    _, made = models_json_schema(
        [(model, "serialization") for model in (CdsResponse, Discovery)], by_alias=True, ref_template=_REF
    )
    schemas |= {name: _without_null(schema) for name, schema in made["$defs"].items()}
    # An answer always has its array; other empty members are left out.
    schemas["CdsResponse"]["required"] = ["cards"]
    schemas["Discovery"]["required"] = ["services"]
    schemas["FeedbackItem"]["anyOf"] = [
        {"properties": {"outcome": {"const": "overridden"}}},
        {
            "properties": {"outcome": {"const": "accepted"}, "acceptedSuggestions": {"minItems": 1}},
            "required": ["acceptedSuggestions"],
        },
    ]
    plain = schemas.pop("HookRequest")
    for entry in entries:
        schemas[f"HookRequest-{entry.hook}"] = _request(plain, entry)
    text, anything = {"type": "string"}, {"type": "object"}
    return (
        schemas
        | dict(_FHIR)
        | {
            "Home": _object(name=text, description=text, discovery=text, health=text),
            "Health": _object(status=text, version=text, rules=anything, clock={"enum": ["running", "fixed"]}),
            "Ready": _object(
                status={"enum": ["ready", "degraded", "draining", "not-ready"]},
                version=text,
                rules=anything,
                reload=anything,
                checks=anything,
            ),
            "Metrics": text,
            "Nothing": {**anything, "maxProperties": 0},
            "OpenApi": _object(openapi=text, info=anything, paths=anything),
            "Questionnaire": {
                "allOf": [{"$ref": _REF.format(model="Resource")}],
                "properties": {"resourceType": {"const": "Questionnaire"}},
            },
        }
    )


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _request(plain: dict[str, Any], entry: ServiceEntry) -> dict[str, Any]:
    """HookRequest of one hook: its context, and the prefetch keys of discovery."""
    resource = {"$ref": _REF.format(model="Resource")}
    value = {"anyOf": [resource, {"type": "null"}, {"description": "Anything else is not used; the cards say so."}]}
    prefetch = {
        "type": "object",
        "description": "One member for each key of discovery. null: looked, there is nothing. Left out: not fetched.",
        "properties": {key: {"description": template, **value} for key, template in entry.prefetch.items()},
    }
    properties = {
        **plain["properties"],
        "hook": {"const": entry.hook},
        "context": {"$ref": _REF.format(model=CONTEXTS[entry.hook].__name__)},
        "prefetch": {"anyOf": [prefetch, {"type": "null"}]},
    }
    described = {**plain, "title": f"HookRequest {entry.hook}", "properties": properties}
    described["description"] = f"The body of a call of the hook {entry.hook}; unknown members are ignored."
    described["dependentRequired"] = {"fhirAuthorization": ["fhirServer"]}
    properties["fhirServer"] = {"type": "string", "minLength": 1, "description": "Base URL of the FHIR server."}
    return described


def _without_null(schema: Any) -> Any:
    """CDS Hooks has no null (cds-hooks_2.0@3) and no defaults: an element without a value is left out."""
    if isinstance(schema, dict):
        rows = schema.get("anyOf")
        if isinstance(rows, list):
            rows = [row for row in rows if row != {"type": "null"}]
            rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
            schema = {**rest, **(rows[0] if len(rows) == 1 else {"anyOf": rows})}
        return {name: _without_null(value) for name, value in schema.items() if name != "default"}
    return [_without_null(item) for item in schema] if isinstance(schema, list) else schema
