"""The prefetch templates: what is asked of the client, and nothing more."""

from __future__ import annotations

import re

import pytest

from cds.facts import PARTS, prefetch_templates
from cds.facts.laboratory import LOOK_ALIKES
from cds.facts.record import COVERAGE
from cds.knowledge.vocabulary import HOOKS
from tests.facts.charts import knowledge

# CDS Hooks 2.0, prefetch query restrictions: reads and searches by patient, code and status.
READ = re.compile(r"Patient/\{\{context\.patientId\}\}")
SEARCH = re.compile(
    r"(?P<type>[A-Za-z]+)\?patient=\{\{context\.patientId\}\}(&status=active)?(&code=(?P<codes>[^&\s]+))?"
)


def codes(hook: str, part: str) -> set[str]:
    match = SEARCH.fullmatch(prefetch_templates(knowledge(), hook)[part])
    assert match is not None
    assert match["codes"]
    return set(match["codes"].split(","))


@pytest.mark.parametrize("hook", HOOKS)
def test_only_reads_and_searches_of_the_recommended_subset_are_used(hook: str) -> None:
    for part, template in prefetch_templates(knowledge(), hook).items():
        assert set(re.findall(r"\{\{(.*?)\}\}", template)) == {"context.patientId"}
        match = SEARCH.fullmatch(template)
        assert READ.fullmatch(template) or (match is not None and match["type"] == PARTS[part]), template


@pytest.mark.parametrize("hook", HOOKS)
def test_observation_searches_name_each_code_once_with_its_system(hook: str) -> None:
    for part, template in prefetch_templates(knowledge(), hook).items():
        if not template.startswith("Observation"):
            continue
        named = template.split("&code=")[1].split(",")
        assert len(named) == len(set(named)), part
        assert all(re.fullmatch(r"https?://[^|,$\s]+\|[^|,$\s]+", code) for code in named), part


@pytest.mark.parametrize("hook", HOOKS)
def test_every_part_that_a_fact_rests_on_is_asked_for_and_no_other(hook: str) -> None:
    facts = knowledge().facts_for(hook)
    needed = {part for kind, _ in facts for part in COVERAGE[kind]} | {"patient"}
    needed |= {concept for kind, concept in facts if kind == "data"}
    # Proves no absence, so no fact rests on it; yet every hook reads medicines that were answered there.
    needed |= {"questionnaireResponses"}
    assert set(prefetch_templates(knowledge(), hook)) == needed


@pytest.mark.parametrize("hook", HOOKS)
def test_every_code_that_a_fact_is_read_from_is_asked_for(hook: str) -> None:
    base = knowledge()
    parts = {"lab": "laboratory", "diet": "nutrition", "exposure": "nutrition", "symptom": "symptoms"}
    for kind, concept in base.facts_for(hook):
        if kind in parts and concept in base.concepts:
            wanted = {
                f"{code.system}|{code.code}"
                for name in (concept, *LOOK_ALIKES.get(concept, ()))
                for code in base.concepts[name].codes
                if "icd-10" not in code.system
            }
            assert wanted <= codes(hook, parts[kind]), concept


def test_pregnancy_is_asked_for_by_status_findings_dates_and_its_end() -> None:
    base = knowledge()
    for name in (
        "pregnancy-status",
        "gestational-age",
        "last-menstrual-period",
        "pregnancy-end",
        "pregnancy",
        "pregnancy-condition",
    ):
        observable = {f"{c.system}|{c.code}" for c in base.concepts[name].codes if "icd-10" not in c.system}
        assert observable <= codes("patient-view", "pregnancy")
    assert {"http://loinc.org|11778-8", "http://loinc.org|11779-6", "http://loinc.org|11780-4"} <= codes(
        "order-sign", "pregnancy"
    )


def test_diagnosis_codes_are_never_asked_of_observations() -> None:
    assert not any("icd-10" in code for hook in HOOKS for code in codes(hook, "symptoms"))


def test_history_is_asked_for_whole_and_current_things_by_status() -> None:
    templates = prefetch_templates(knowledge(), "patient-view")
    assert "status" not in templates["conditions"]
    assert "status" not in templates["procedures"]
    for part in ("medicationRequests", "medicationStatements", "serviceRequests"):
        assert templates[part].endswith("&status=active")


def test_templates_stand_in_the_order_of_the_parts() -> None:
    listed = list(prefetch_templates(knowledge(), "patient-view"))
    assert listed == [part for part in PARTS if part in listed]
