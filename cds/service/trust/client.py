"""Who calls: an EHR whose token was verified."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope


@dataclass(frozen=True)
class Client:
    """A verified client. `name` is ours, from the trust file, and may stand in logs and metrics.

    `fhir_servers` are the base URLs that its calls may name as fhirServer; None: those of the settings.
    """

    name: str
    issuer: str
    tenant: str | None = None
    fhir_servers: tuple[str, ...] | None = None


def client_of(scope: Scope) -> Client | None:
    """The verified client of a request; None where the service runs without client trust."""
    found: Client | None = scope["prenatal_cds"]["client"]
    return found
