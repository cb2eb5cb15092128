"""Questionnaires: the FHIR form that we ship or a site uses, and what an answer to each of its items means.

`rules/questionnaires/ID.json` is a FHIR R4 Questionnaire, `ID.yaml` beside it says what each linkId means. A site file
maps a questionnaire of its own by URL and linkIds in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cds.knowledge.errors import did_you_mean
from cds.knowledge.model import Concept, ItemMeaning, MedicineItems, Questionnaire
from cds.knowledge.source import Item, Place, Reader

FOLLOW_UPS = ("side_of", "severe_of", "persistent_of")
"""What belongs to the answer of another item; its value is the linkId of that item."""
ROLES = ("symptom", "exposure", "diet", "condition", "allergy", *FOLLOW_UPS)
_FAMILIES = {
    "symptom": "symptoms", "exposure": "nutrition", "diet": "nutrition",
    "condition": "conditions", "allergy": "conditions",
}  # fmt: skip
LEVELS = ("low", "moderate", "high")
_YES_NO = ("yes", "no")
_SIDES = ("left", "right", "both")
_MEANINGS = ("items", "medicines", "as_text", "not_read")
_TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"


def levels_of(concept: str, concepts: Mapping[str, Concept]) -> dict[str, str]:
    """Concept of an answer -> its level, for an exposure that is answered in steps; empty for one of yes and no."""
    return {f"{concept}-{level}": level for level in LEVELS if f"{concept}-{level}" in concepts}


def shipped_questionnaires(reader: Reader, root: Path, concepts: Mapping[str, Concept]) -> Iterator[Questionnaire]:
    """Every questionnaire of rules/questionnaires, in the order of their names."""
    folder = root / "questionnaires"
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        item = reader.file(path, root)
        form = _form(item, path.with_suffix(".json"))
        entry = item.mapping(_MEANINGS, ("items",))
        questionnaire = _questionnaire(entry, concepts, path.stem, str(form.get("url", "")), form, item.place)
        if form:
            for problem in _against_form(questionnaire):
                item.problem(problem)
        yield questionnaire
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        if not path.with_suffix(".yaml").is_file():
            name = path.relative_to(root).as_posix()
            reader.report(Place(name, 1), f"nothing says what its answers mean; add {path.stem}.yaml beside it")


def site_questionnaire(item: Item, concepts: Mapping[str, Concept]) -> Questionnaire:
    """A questionnaire of the site's own: its URL and what its linkIds mean."""
    entry = item.mapping(("url", *_MEANINGS), ("url", "items"))
    url = entry["url"].text().rstrip("/") if "url" in entry else ""
    return _questionnaire(entry, concepts, "", url, {}, item.place)


def _form(item: Item, path: Path) -> dict[str, Any]:
    try:
        form = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        item.problem(f"{path.name} is missing; the form and its meanings stand side by side")
        return {}
    except ValueError:
        item.problem(f"{path.name} is not readable as JSON")
        return {}
    if not isinstance(form, dict) or form.get("resourceType") != "Questionnaire" or not form.get("url"):
        item.problem(f"{path.name} is no FHIR Questionnaire with a url")
        return {}
    if form.get("id") != path.stem:
        item.problem(f"id '{form.get('id')}' of the form and file name '{path.stem}' are one name; make them the same")
    return form


def _questionnaire(
    entry: dict[str, Item], concepts: Mapping[str, Concept], id: str, url: str, form: dict[str, Any], place: Place
) -> Questionnaire:
    items = {name: _meaning(item, concepts) for name, item in entry["items"].items()} if "items" in entry else {}
    for name, item in entry["items"].items() if "items" in entry else ():
        meaning = items[name]
        if meaning.role in FOLLOW_UPS and getattr(items.get(meaning.target), "role", "") != "symptom":
            item.problem(f"{meaning.role}: '{meaning.target}' is no symptom among these items")
    return Questionnaire(
        id=id,
        url=url,
        titles=_titles(form),
        items=items,
        medicines=_medicines(entry["medicines"], concepts) if "medicines" in entry else None,
        as_text=frozenset(entry["as_text"].texts()) if "as_text" in entry else frozenset(),
        not_read=frozenset(entry["not_read"].texts()) if "not_read" in entry else frozenset(),
        form=form,
        place=place,
    )


def _titles(form: dict[str, Any]) -> dict[str, str]:
    """Language -> title, from the form's own language and its translations."""
    titles = {str(form.get("language", "en")): str(form.get("title", ""))} if form else {}
    for row in form.get("_title", {}).get("extension", []):
        if row.get("url") == _TRANSLATION:
            parts = {part.get("url"): part for part in row.get("extension", [])}
            titles[parts["lang"]["valueCode"]] = parts["content"]["valueString"]
    return titles


def _meaning(item: Item, concepts: Mapping[str, Concept]) -> ItemMeaning:
    entry = item.mapping((*ROLES, "answers", "unit", "persistent"))
    roles = [name for name in entry if name in ROLES]
    if len(roles) != 1:
        item.problem(f"an item has one meaning out of {', '.join(ROLES)}")
        return ItemMeaning("", "")
    role, target = roles[0], entry[roles[0]].text()
    allowed = (*_answers(role, target, concepts), "unknown")
    answers = {code: word.choice(allowed) for code, word in entry["answers"].items()} if "answers" in entry else {}
    if role in _FAMILIES:
        known = [name for name, concept in concepts.items() if concept.family == _FAMILIES[role]]
        if target not in known:
            item.problem(f"{role}: no concept '{target}'{did_you_mean(target, known)}")
    if "unit" in entry and role != "diet":
        item.problem("unit: only a diet item is a quantity")
    if "persistent" in entry and role != "symptom":
        item.problem("persistent: only a symptom persists")
    unit = entry["unit"].text() if "unit" in entry else None
    return ItemMeaning(role, target, answers, unit, "persistent" in entry and entry["persistent"].boolean())


def _answers(role: str, target: str, concepts: Mapping[str, Concept]) -> tuple[str, ...]:
    """The words that an answer of this item may stand for."""
    if role == "side_of":
        return _SIDES
    if role == "exposure" and levels_of(target, concepts):
        return tuple(levels_of(target, concepts).values())
    return () if role == "diet" else _YES_NO


def _medicines(item: Item, concepts: Mapping[str, Concept]) -> MedicineItems:
    links = ("asked", "group", "kind", "product", "units", "times")
    entry = item.mapping((*links, "kinds"), ("group", "product"))
    kinds: dict[str, tuple[str, ...]] = {}
    known = [name for name, concept in concepts.items() if concept.family == "medications"]
    for code, row in entry["kinds"].items() if "kinds" in entry else ():
        if not row.is_list:
            kinds[code] = (row.text(),)
            continue
        kinds[code] = tuple(concepts[name].title for name in row.texts() if name in known)
        for name in row.texts():
            if name not in known:
                row.problem(f"no medicine '{name}'{did_you_mean(name, known)}")
    return MedicineItems(**{name: entry[name].text() if name in entry else "" for name in links}, kinds=kinds)


def _against_form(questionnaire: Questionnaire) -> Iterator[str]:
    """Where the meanings and the form disagree."""
    asked = {row["linkId"]: row for row in _form_items(questionnaire.form) if row.get("type") != "display"}
    medicines = questionnaire.medicines
    named = [*questionnaire.items, *questionnaire.as_text, *questionnaire.not_read]
    named += [link for link in medicines.links if link] if medicines else []
    for link in named:
        if link not in asked:
            yield f"the form has no item '{link}'{did_you_mean(link, list(asked))}"
    for link, row in asked.items():
        if row["type"] != "group" and link not in named:
            yield f"item '{link}' of the form has no meaning; map it, or list it under as_text or not_read"
    given = [(link, list(meaning.answers)) for link, meaning in questionnaire.items.items()]
    given += [(medicines.kind, list(medicines.kinds))] if medicines else []
    for link, answers in given:
        options = [o["valueCoding"]["code"] for o in asked.get(link, {}).get("answerOption", []) if "valueCoding" in o]
        for code in answers:
            if link in asked and code not in options:
                yield f"item '{link}' of the form has no answer '{code}'{did_you_mean(code, options)}"


def _form_items(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in node.get("item", []):
        yield row
        yield from _form_items(row)
