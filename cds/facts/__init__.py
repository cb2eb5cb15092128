"""FHIR -> typed clinical facts: tolerant reading, one reader per kind, units, the census, prefetch templates."""

from cds.facts.census import take_census
from cds.facts.model import Census, Fact, absent, known, unknown, variable
from cds.facts.prefetch import prefetch_templates
from cds.facts.record import PARTS, Record

__all__ = [
    "PARTS",
    "Census",
    "Fact",
    "Record",
    "absent",
    "known",
    "prefetch_templates",
    "take_census",
    "unknown",
    "variable",
]
