"""Prefetch templates, generated from the facts that a hook's rules ask about.

Only the recommended subset of CDS Hooks 2.0 is used: reads, type searches, reference and token parameters by equality.
"""

from __future__ import annotations

from cds.facts.laboratory import LOOK_ALIKES
from cds.facts.record import COVERAGE, PARTS
from cds.knowledge.model import FactKey, KnowledgeBase

_PATIENT = "patient={{context.patientId}}"
_PREGNANCY_CONCEPTS = (
    "pregnancy-status",
    "pregnancy-end",
    "expected-delivery-date-by-ovulation",
    "expected-delivery-date-by-last-period",
    "expected-delivery-date-unspecified",
    "gestational-age",
    "last-menstrual-period",
)
_OBSERVATION_PARTS = {
    "pregnancy": ("gestation",),
    "laboratory": ("lab",),
    "vitals": ("vital",),
    "nutrition": ("diet", "exposure"),
    "symptoms": ("symptom",),
}
_STATUS = {"medicationRequests": "active", "medicationStatements": "active", "serviceRequests": "active"}


def prefetch_templates(base: KnowledgeBase, hook: str) -> dict[str, str]:
    """Prefetch key -> template for this hook, in a fixed order. The patient is always asked for."""
    facts = base.facts_for(hook)
    parts = {part for kind, _ in facts for part in COVERAGE[kind]} | {"patient"}
    parts |= {concept for kind, concept in facts if kind == "data"}
    templates: dict[str, str] = {}
    for part, resource in PARTS.items():
        if part not in parts:
            continue
        if part == "patient":
            templates[part] = "Patient/{{context.patientId}}"
        elif part in _OBSERVATION_PARTS:
            templates[part] = f"{resource}?{_PATIENT}&code={','.join(_codes(base, facts, part))}"
        elif part in _STATUS:
            templates[part] = f"{resource}?{_PATIENT}&status={_STATUS[part]}"
        else:
            templates[part] = f"{resource}?{_PATIENT}"
    return templates


def _codes(base: KnowledgeBase, facts: tuple[FactKey, ...], part: str) -> list[str]:
    """system|code of every code that the facts of this part are read from; diagnoses codes are no observations."""
    kinds = _OBSERVATION_PARTS[part]
    concepts: dict[str, None] = {}
    for kind, concept in facts:
        if kind not in kinds:
            continue
        names = _PREGNANCY_CONCEPTS if kind == "gestation" else (concept, *LOOK_ALIKES.get(concept, ()))
        concepts.update(dict.fromkeys(names))
    codes: dict[str, None] = {}
    for name in concepts:
        for code in base.concepts[name].codes if name in base.concepts else ():
            if "icd-10" not in code.system:
                codes[f"{code.system}|{code.code}"] = None
    return list(codes)
