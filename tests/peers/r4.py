"""Three independent validators of FHIR R4 for what we emit, and what each of them leaves unchecked.

- fhirkit (Rust, generated from the specification): elements, cardinality, types, formats of primitives, choice types,
  empty values. Not: codes of value sets, targets of references, invariants, the form of ids.
- @medplum/core (TypeScript, reads HL7's StructureDefinitions): elements, cardinality, types, FHIRPath invariants. Not:
  codes of value sets, targets of references, empty values, two forms of one choice.
- fhir.resources R4B (Python): elements, types, choice types, ids; its lists of codes and of reference targets are
  enforced here, but for some long ones that it does not give in full. Not: invariants.

No one of them knows whether a code is in LOINC or SNOMED CT: tests/rules/test_codes_are_verified.py is for that.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import fhirkit
from pydantic import BaseModel, ValidationError

from cds.facts.reading import model_class
from tests.peers.installed import HERE, node

Json = dict[str, Any]


def by_fhirkit(resource: Json) -> list[str]:
    return [f"{issue.path} {issue.message}" for issue in fhirkit.validate(resource)]


def by_medplum(resources: Iterable[Json]) -> list[list[str]]:
    """The problems of each resource, in order; skips the test where Node is missing."""
    lines = [json.dumps(resource) for resource in resources]
    done = subprocess.run(
        [node(), str(HERE / "validate_fhir.mjs")], input="\n".join(lines), capture_output=True, text=True, timeout=90
    )
    answers: list[list[str]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines), done.stderr
    return answers


def by_fhir_resources(resource: Json) -> list[str]:
    try:
        model = model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        return [f"{row['loc']} {row['msg']}" for row in error.errors(include_input=False)]
    return list(_against_lists(model, resource["resourceType"]))


def _against_lists(model: BaseModel, place: str) -> Iterator[str]:
    """Codes and reference targets that are not among those the model names."""
    for name, field in type(model).model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        value = getattr(model, name)
        for row in value if isinstance(value, list) else [value]:
            codes, targets = extra.get("enum_values"), extra.get("enum_reference_types")
            # A "+" ends a list that the model does not give in full.
            if isinstance(codes, list) and "+" not in codes and isinstance(row, str) and row not in codes:
                yield f"{place}.{name} is not one of the codes"
            reference = getattr(row, "reference", None)
            if isinstance(targets, list) and isinstance(reference, str) and reference.split("/")[-2:][0] not in targets:
                yield f"{place}.{name} refers to another type"
            if isinstance(row, BaseModel):
                yield from _against_lists(row, f"{place}.{name}")
