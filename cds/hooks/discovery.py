"""What `GET {base}/cds-services` says: the services, and the FHIR data each would like to be given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from cds.hooks.wire import Extension, Text, WireModel

_TOKEN: Final = re.compile(r"\{\{(.*?)\}\}")
_ALLOWED: Final = re.compile(
    r"context\.[A-Za-z][A-Za-z0-9]*|userPractitionerId|userPractitionerRoleId|userPatientId|userRelatedPersonId"
)
_RELATIVE: Final = re.compile(r"[A-Z][A-Za-z]+[/?]|\{\{context\.userId\}\}$")
# What we implement, and the versions that the CDS Hooks library gives to the hooks (hookVersion of its pages).
SPECIFICATION: Final = "2.0.1"
HOOK_VERSIONS: Final[Mapping[str, str]] = {"patient-view": "1.0", "order-select": "1.0", "order-sign": "1.0"}

ServiceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~\-]*$")]


class ServiceEntry(WireModel):
    """One service (cds-hooks_2.0@7 to @12); `id` is one URL segment, `prefetch` maps keys to FHIR queries.

    `version` (of the specification) and `hookVersion` come with the 3.0 ballot; under 2.0 a client passes over them.
    """

    hook: Text
    id: ServiceId
    title: Text | None = None
    description: Text
    prefetch: dict[str, Text] = Field(default_factory=dict)
    usage_requirements: Text | None = None
    version: Text | None = None
    hook_version: Text | None = None
    extension: Extension | None = None

    @field_validator("prefetch")
    @classmethod
    def _templates_stay_within_2_0(cls, prefetch: dict[str, str]) -> dict[str, str]:
        """cds-hooks_2.0@55 to @59: relative queries; tokens are context fields or one of four user ids."""
        for key, template in prefetch.items():
            if not _RELATIVE.match(template):
                raise ValueError(f"prefetch.{key} is not a relative FHIR read or search")
            without_tokens = _TOKEN.sub("", template)
            allowed = all(_ALLOWED.fullmatch(token) for token in _TOKEN.findall(template))
            if not allowed or "{" in without_tokens or "}" in without_tokens:
                raise ValueError(f"prefetch.{key} has a token that CDS Hooks 2.0 does not know")
        return prefetch


class Discovery(WireModel):
    """The answer of the discovery endpoint (cds-hooks_2.0@6)."""

    services: tuple[ServiceEntry, ...] = ()

    @model_validator(mode="after")
    def _hook_and_id_once(self) -> Self:
        """cds-hooks_2.0@211: one id may serve several hooks, but a hook and an id name one service."""
        pairs = [(service.hook, service.id) for service in self.services]
        if len(set(pairs)) != len(pairs):
            raise ValueError("two services share hook and id; give each its own id")
        return self
