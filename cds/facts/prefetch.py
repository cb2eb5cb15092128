"""Prefetch templates, generated from the facts that a hook's rules ask about.

Only the recommended subset of CDS Hooks 2.0 is used: reads, type searches, reference and token parameters by equality.
"""

from __future__ import annotations

from collections.abc import Iterator

from cds.facts.laboratory import LOOK_ALIKES
from cds.facts.record import COVERAGE, PARTS
from cds.knowledge.model import FactKey, KnowledgeBase

_PATIENT = "patient={{context.patientId}}"
_PREGNANCY_CONCEPTS = (
    "pregnancy-status",
    "pregnancy",
    "pregnancy-condition",
    "pregnancy-end",
    "multiple-pregnancy",
    "number-of-fetuses",
    "expected-delivery-date-by-ovulation",
    "expected-delivery-date-by-last-period",
    "expected-delivery-date-unspecified",
    "gestational-age",
    "last-menstrual-period",
)
_PARTS_BY_CODE = {
    "pregnancy": ("gestation",),
    "laboratory": ("lab",),
    "vitals": ("vital",),
    "nutrition": ("diet", "exposure"),
    "symptoms": ("symptom",),
    "diagnosticReports": ("imaging",),
}
# A search by code finds the Observation, not its components: these are asked for by the panel too.
_PANELS = {
    "systolic-blood-pressure": ("blood-pressure-panel",),
    "diastolic-blood-pressure": ("blood-pressure-panel",),
}
# What a woman or her clinician may have answered in a questionnaire.
_ANSWERED = frozenset({"diet", "intake", "exposure", "symptom", "medication"})
_ACTIVE_ONLY = ("medicationRequests", "medicationStatements", "serviceRequests")


def prefetch_templates(base: KnowledgeBase, hook: str) -> dict[str, str]:
    """Prefetch key -> template for this hook, in a fixed order. The patient is always asked for."""
    facts = base.facts_for(hook)
    parts = {part for kind, _ in facts for part in COVERAGE[kind]} | {"patient"}
    parts |= {concept for kind, concept in facts if kind == "data"}
    parts |= {"questionnaireResponses"} if any(kind in _ANSWERED for kind, _ in facts) else set()
    return {part: _template(base, facts, part) for part in PARTS if part in parts}


def _template(base: KnowledgeBase, facts: tuple[FactKey, ...], part: str) -> str:
    if part == "patient":
        return "Patient/{{context.patientId}}"
    search = f"{PARTS[part]}?{_PATIENT}"
    if part in _PARTS_BY_CODE:
        return f"{search}&code={','.join(dict.fromkeys(_codes(base, facts, part)))}"
    return f"{search}&status=active" if part in _ACTIVE_ONLY else search


def _codes(base: KnowledgeBase, facts: tuple[FactKey, ...], part: str) -> Iterator[str]:
    """system|code of every code that the facts of this part are read from; diagnosis codes are no observations."""
    for kind, concept in facts:
        if kind not in _PARTS_BY_CODE[part]:
            continue
        beside = (*LOOK_ALIKES.get(concept, ()), *_PANELS.get(concept, ()))
        names = _PREGNANCY_CONCEPTS if kind == "gestation" else (concept, *beside)
        for code in (code for name in names if name in base.concepts for code in base.concepts[name].codes):
            if "icd-10" not in code.system:
                yield f"{code.system}|{code.code}"
