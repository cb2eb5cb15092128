"""The forms that we ship: valid FHIR, verified codes, each item with a meaning; and a site's own form."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire as FhirQuestionnaire

from cds.facts.coding import by_text
from cds.knowledge import KnowledgeBase, KnowledgeError, load_knowledge
from cds.knowledge.load import bundled_rules
from tests.knowledge.small_rules import Rules

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT.parent / "shared" / "clinical" / "codes.csv"
FORM = "nutrition-and-leg-check"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"

Json = dict[str, Any]
MAP = """\
items:
  swollen: {symptom: leg-swelling}
  which: {side_of: swollen, answers: {l: left, r: right}}
  dairy: {exposure: dairy-frequency, answers: {few: low, dunno: unknown}}
medicines: {group: pills, product: name, kind: sort, kinds: {ca: [calcium-supplement]}}
not_read: [remarks]
"""
SMALL: Json = {
    "resourceType": "Questionnaire",
    "id": "small",
    "url": "http://example.org/Questionnaire/small",
    "title": "Small",
    "item": [
        {"linkId": "swollen", "type": "boolean"},
        {"linkId": "which", "type": "choice", "answerOption": [{"valueCoding": {"code": c}} for c in ("l", "r")]},
        {"linkId": "dairy", "type": "choice", "answerOption": [{"valueCoding": {"code": c}} for c in ("few", "dunno")]},
        {
            "linkId": "pills",
            "type": "group",
            "item": [
                {"linkId": "name", "type": "string"},
                {"linkId": "sort", "type": "choice", "answerOption": [{"valueCoding": {"code": "ca"}}]},
            ],
        },
        {"linkId": "remarks", "type": "text"},
    ],
}


@pytest.fixture(scope="module")
def form() -> Json:
    loaded: Json = json.loads((bundled_rules() / "questionnaires" / f"{FORM}.json").read_text(encoding="utf-8"))
    return loaded


def items(node: Json) -> Iterator[Json]:
    for row in node.get("item", []):
        yield row
        yield from items(row)


def spoken(node: Any) -> Iterator[tuple[str, str, Json]]:
    """(element, text, its translations) of everything that a woman reads."""
    if isinstance(node, dict):
        for name in ("text", "display", "title"):
            if isinstance(node.get(name), str) and ("linkId" in node or "code" in node or name == "title"):
                yield name, node[name], node.get(f"_{name}", {})
        for name, value in node.items():
            if name != "code":  # item.code is for machines
                yield from spoken(value)
    elif isinstance(node, list):
        for value in node:
            yield from spoken(value)


def test_the_form_is_valid_fhir(form: Json) -> None:
    read = FhirQuestionnaire.model_validate(form)
    assert (read.status, read.subjectType, read.url) == ("draft", ["Patient"], form["url"])
    links = [row["linkId"] for row in items(form)]
    assert len(links) == len(set(links))


def test_a_follow_up_is_shown_only_after_a_question_of_the_form(form: Json) -> None:
    asked = {row["linkId"]: row["type"] for row in items(form)}
    for row in items(form):
        for rule in row.get("enableWhen", []):
            assert asked[rule["question"]] == "boolean"
            assert rule["answerBoolean"] is True
    assert all(row.get("enableWhen") for row in items(form) if row["linkId"].endswith("-side"))


@pytest.mark.parametrize("language", ["es", "zh-Hans"])
def test_everything_that_a_woman_reads_is_translated(form: Json, language: str) -> None:
    missing = []
    for name, text, more in spoken(form):
        parts = [{p["url"]: p for p in e["extension"]} for e in more.get("extension", []) if e["url"] == TRANSLATION]
        found = [p["content"]["valueString"] for p in parts if p["lang"]["valueCode"] == language]
        if text != "mg/d" and (len(found) != 1 or not found[0] or found[0] == text):
            missing.append(f"{name}: {text}")
    assert missing == []
    assert len(list(spoken(form))) > 80


def test_the_form_asks_for_no_name_and_makes_no_item_compulsory(form: Json) -> None:
    assert not any(row.get("required") for row in items(form))


def test_its_codes_are_verified_under_the_same_display(form: Json) -> None:
    if not CATALOGUE.is_file():
        pytest.skip("no catalogue of checked codes (../shared/clinical/codes.csv) beside this checkout")
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        rows = {(row["system"], row["code"]): row for row in csv.DictReader(file)}
    codings = [coding for row in items(form) for coding in row.get("code", [])]
    codings += [option["valueCoding"] for row in items(form) for option in row.get("answerOption", [])]
    checked = [c for c in codings if not c["system"].startswith("https://prenatal-cds.example/")]
    assert len(checked) > 10
    for coding in checked:
        row = rows[(coding["system"], coding["code"])]
        assert (row["status"], row["display"]) == ("VERIFIED", coding["display"])


def test_a_code_of_an_item_is_a_code_of_what_its_answer_means(form: Json, knowledge: KnowledgeBase) -> None:
    shipped = knowledge.form(FORM)
    assert shipped is not None
    for row in items(form):
        for coding in row.get("code", []):
            owners = {concept for concept, _ in knowledge.concepts_of(coding["system"], coding["code"])}
            assert shipped.items[row["linkId"]].target in owners, row["linkId"]


def test_the_name_of_each_medicine_kind_is_one_that_the_reader_of_medicines_knows(knowledge: KnowledgeBase) -> None:
    shipped = knowledge.form(FORM)
    assert shipped is not None
    assert shipped.medicines is not None
    by_title = {c.title: c for c in knowledge.concepts.values() if c.family == "medications"}
    for name in (name for names in shipped.medicines.kinds.values() for name in names):
        if name in by_title:
            assert by_text([by_title[name]], [name]), name


# -- what the loader refuses ------------------------------------------------------------------------------------------


@pytest.fixture
def asked(rules: Rules) -> Rules:
    """The small rules with a small form."""
    rules.write("questionnaires/small.yaml", MAP)
    rules.write("questionnaires/small.json", json.dumps(SMALL))
    return rules


def test_a_form_and_its_meanings_load_under_its_url(asked: Rules) -> None:
    base = asked.load()
    assert list(base.questionnaires) == ["http://example.org/Questionnaire/small"]
    found = base.form("small")
    assert found is not None
    assert found.items["dairy"].answers == {"few": "low", "dunno": "unknown"}
    assert base.form("other") is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("symptom: leg-swelling", "symptom: leg-sweling", "no concept 'leg-sweling'; did you mean 'leg-swelling'"),
        ("symptom: leg-swelling", "exposure: leg-swelling", "exposure: no concept 'leg-swelling'"),
        ("side_of: swollen", "side_of: dairy", "side_of: 'dairy' is no symptom among these items"),
        ("{l: left,", "{l: up,", "'up' is not one of left, right, both, unknown"),
        ("{few: low,", "{few: yes,", "'yes' is not one of low, moderate, high, unknown"),
        ("{few: low,", "{fwe: low,", "item 'dairy' of the form has no answer 'fwe'; did you mean 'few'"),
        ("  dairy:", "  dary:", "the form has no item 'dary'; did you mean 'dairy'"),
        ("not_read: [remarks]\n", "", "item 'remarks' of the form has no meaning"),
        ("{symptom: leg-swelling}", "{symptom: leg-swelling, diet: dietary-calcium}", "an item has one meaning out of"),
        ("[calcium-supplement]", "[calcium-suplement]", "no medicine 'calcium-suplement'"),
        ("product: name", "product: nmae", "the form has no item 'nmae'"),
        ("not_read", "unread", "unknown key"),
    ],
)  # fmt: skip
def test_a_fault_of_the_meanings_is_told(asked: Rules, old: str, new: str, problem: str) -> None:
    asked.edit("questionnaires/small.yaml", old, new)
    assert any(row.startswith("questionnaires/small.yaml:") and problem in row for row in asked.problems())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not readable as JSON"),
        ("[]", "is no FHIR Questionnaire with a url"),
        (json.dumps({**SMALL, "url": ""}), "is no FHIR Questionnaire with a url"),
        (json.dumps({**SMALL, "id": "other"}), "are one name"),
    ],
)
def test_a_fault_of_the_form_is_told(asked: Rules, text: str, problem: str) -> None:
    asked.write("questionnaires/small.json", text)
    assert any(problem in row for row in asked.problems())


def test_a_form_without_meanings_and_meanings_without_a_form_are_told(asked: Rules) -> None:
    (asked.root / "questionnaires" / "small.yaml").rename(asked.root / "questionnaires" / "moved.yaml")
    problems = asked.problems()
    assert any("moved.json is missing" in row for row in problems)
    assert any("add small.yaml beside it" in row for row in problems)


def test_a_card_links_only_to_a_form_that_is_shipped(asked: Rules) -> None:
    asked.edit("advice/low-calcium.yaml", "  override_reasons", "  links: [{questionnaire: smal}]\n  override_reasons")
    assert any("links: no questionnaire 'smal'; did you mean 'small'" in row for row in asked.problems())


@pytest.mark.parametrize(("name", "old", "new"), [("yaml", "few: low", "few: high"), ("json", "Small", "Other")])
def test_the_hash_changes_with_the_form_and_with_its_meanings(asked: Rules, name: str, old: str, new: str) -> None:
    before = asked.load().hash
    asked.edit(f"questionnaires/small.{name}", old, new)
    assert asked.load().hash != before


# -- a site's own form ------------------------------------------------------------------------------------------------

SITE = """\
title: A site with a form of its own
questionnaires:
  - url: http://hospital.example/Questionnaire/booking
    items:
      "7": {symptom: leg-cramps, answers: {"1": yes, "0": no}}
      "8": {exposure: dairy-frequency, answers: {A: low}}
"""


def test_a_site_maps_a_form_of_its_own(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE, encoding="utf-8")
    base = load_knowledge(site_file=site)
    found = base.questionnaires["http://hospital.example/Questionnaire/booking"]
    assert found.items["7"].answers == {"1": "yes", "0": "no"}
    assert base.form(FORM) is not None


def test_a_site_cannot_map_our_form_anew(tmp_path: Path, knowledge: KnowledgeBase) -> None:
    shipped = knowledge.form(FORM)
    assert shipped is not None
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("http://hospital.example/Questionnaire/booking", shipped.url), encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"stands also in questionnaires/nutrition-and-leg-check\.yaml"):
        load_knowledge(site_file=site)
