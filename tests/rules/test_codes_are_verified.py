"""No code reaches a rule that was not read in a named source with its display.

The catalogue of checked codes lies beside the checkout, not in it; where it is absent the comparison is
skipped.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds.facts.units import ANALYTES

ROOT = Path(__file__).resolve().parents[2]
VALUESETS = ROOT / "rules" / "valuesets"
SITES = ROOT / "rules" / "sites"
CATALOGUE = ROOT.parent / "shared" / "clinical" / "codes.csv"

Entry = dict[str, Any]
Pair = tuple[str, str]


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


SYSTEMS: dict[str, str] = _load(VALUESETS / "systems.yaml")
FAMILIES: dict[str, dict[str, Entry]] = {
    path.stem: _load(path) for path in sorted(VALUESETS.glob("*.yaml")) if path.stem != "systems"
}
CONCEPTS = {concept: entry for family in FAMILIES.values() for concept, entry in family.items()}
TWINS_AND_MORE = {
    *(("sct", code) for code in ("16356006", "65147003", "64254006")),
    *(("icd10cm", code) for code in ("O30.001", "O30.002", "O30.003", "O30.042", "O30.103", "O30.203")),
}
# family, the concepts that share codes, the codes; each with its reason.
SHARED_CODES: dict[tuple[str, frozenset[str]], set[Pair]] = {
    # The name of the group says both.
    ("medications", frozenset({"calcium-supplement", "prenatal-multivitamin"})): {("atc", "A11AA02")},
    # SNOMED CT has one code for the answer and for the condition; the element of the record tells them apart.
    ("pregnancy", frozenset({"pregnant-value", "pregnancy"})): {("sct", "77386006")},
    # Who carries twins is pregnant.
    ("pregnancy", frozenset({"multiple-pregnancy", "pregnancy-condition"})): TWINS_AND_MORE,
    # Oedema without a place is general oedema; with a leg as body site it is also a leg sign.
    ("symptoms", frozenset({"leg-swelling", "generalised-oedema"})): {
        ("sct", "267038008"),
        ("icd10cm", "R60.9"),
    },
    # Tingling of any place; with the mouth or the digits as body site it is also one of these.
    ("symptoms", frozenset({"paraesthesia", "perioral-paraesthesia", "digital-paraesthesia"})): {
        ("sct", "91019004"),
        ("icd10cm", "R20.2"),
    },
    ("symptoms", frozenset({"paraesthesia", "digital-paraesthesia"})): {("sct", "309086004"), ("sct", "309087008")},
    # The metabolic disturbance of hyperemesis is that of a dried-out woman.
    ("symptoms", frozenset({"vomiting", "vomiting-with-dehydration"})): {("icd10cm", "O21.1")},
    # The code names both diseases.
    ("conditions", frozenset({"chronic-hypertension", "pre-eclampsia"})): {("icd10cm", "O11.9")},
    # One product holds both.
    ("medications", frozenset({"calcium-supplement", "vitamin-d"})): {("atc", "A12AX")},
    # The stages of a disease belong to the disease.
    ("conditions", frozenset({"kidney-disease", "severe-kidney-disease"})): {
        ("icd10cm", "N18.4"),
        ("icd10cm", "N18.5"),
    },
    # Single integrase inhibitors belong to their class; one tablet holds dolutegravir and rilpivirine.
    ("interactions", frozenset({"integrase-inhibitor", "dolutegravir"})): {
        *(("atc", code) for code in ("J05AJ03", "J05AR25")),
        *(("rxnorm", code) for code in ("1433879", "1796079", "1796083", "1546894", "2122526")),
    },
    ("interactions", frozenset({"integrase-inhibitor", "dolutegravir", "rilpivirine"})): {("rxnorm", "1989506")},
    ("interactions", frozenset({"integrase-inhibitor", "elvitegravir"})): {
        ("rxnorm", code) for code in ("1306298", "1551989", "1552035", "1721619")
    },
}


def _codes(family: str) -> Iterator[tuple[str, Entry]]:
    for concept, entry in FAMILIES[family].items():
        for code in entry.get("codes", ()):
            yield concept, code


@pytest.fixture(scope="module")
def catalogue() -> dict[Pair, dict[str, str]]:
    """(system URL, code) -> row of the catalogue of checked codes."""
    if not CATALOGUE.is_file():
        pytest.skip("no catalogue of checked codes (../shared/clinical/codes.csv) beside this checkout")
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        return {(row["system"], row["code"]): row for row in csv.DictReader(file) if row["code"]}


def test_the_value_sets_are_there_to_be_checked() -> None:
    assert {"pregnancy", "laboratory", "symptoms", "conditions", "medications", "salts"} <= set(FAMILIES)
    assert sum(len(list(_codes(family))) for family in FAMILIES) > 300


@pytest.mark.parametrize("family", FAMILIES)
def test_every_code_is_verified_under_the_same_display(family: str, catalogue: dict[Pair, dict[str, str]]) -> None:
    problems = []
    for concept, code in _codes(family):
        row = catalogue.get((SYSTEMS[code["system"]], code["code"]))
        place = f"{concept}: {code['system']} {code['code']}"
        if row is None:
            problems.append(f"{place} is not in the catalogue")
        elif row["status"] != "VERIFIED":
            problems.append(f"{place} is '{row['status']}'")
        elif (code["display"], code.get("unit", row["unit"])) != (row["display"], row["unit"]):
            problems.append(f"{place} should read '{row['display']}' '{row['unit']}'")
    assert problems == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_code_that_needs_a_body_site_says_so(family: str, catalogue: dict[Pair, dict[str, str]]) -> None:
    problems = [
        f"{concept}: {code['code']} counts without a leg"
        for concept, code in _codes(family)
        if re.search(r"needs a .*bodySite", catalogue[(SYSTEMS[code["system"]], code["code"])]["note"])
        and code.get("needs_site") != "leg"
    ]
    assert problems == []


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "body-sites"])
def test_the_side_of_a_code_is_the_one_that_its_display_names(family: str) -> None:
    for concept, code in _codes(family):
        named = re.findall(r"\b(left|right|bilateral)\b", code["display"].lower())
        expected = {"left": "left", "right": "right", "bilateral": "both"}[named[0]] if named else None
        assert code.get("side") == expected, f"{concept}: {code['code']}"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_code_means_two_concepts_of_one_family(family: str) -> None:
    owners: dict[Pair, set[str]] = defaultdict(set)
    for concept, entry in FAMILIES[family].items():
        seen: set[Pair] = set()
        for code in entry.get("codes", ()):
            pair = (code["system"], code["code"])
            assert pair not in seen, f"{concept} lists {pair} twice"
            seen.add(pair)
            owners[pair].add(concept)
    shared: dict[tuple[str, frozenset[str]], set[Pair]] = defaultdict(set)
    for pair, concepts in owners.items():
        if len(concepts) > 1:
            shared[(family, frozenset(concepts))].add(pair)
    assert shared == {key: pairs for key, pairs in SHARED_CODES.items() if key[0] == family}


def test_no_concept_stands_in_two_families() -> None:
    names = [concept for concepts in FAMILIES.values() for concept in concepts]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_look_alike_shares_no_code_with_a_used_concept(family: str) -> None:
    used, barred = set(), set()
    for entry in FAMILIES[family].values():
        pairs = {(code["system"], code["code"]) for code in entry.get("codes", ())}
        if "not_used" in entry:
            assert "text" not in entry
            barred |= pairs
        else:
            used |= pairs
    assert not used & barred


@pytest.mark.parametrize("concept", [name for name, entry in CONCEPTS.items() if "text" in entry])
def test_phrases_are_lower_case_and_named_once(concept: str) -> None:
    for key in ("text", "except", "ingredient", "not_as"):
        phrases = CONCEPTS[concept].get(key, [])
        assert all(isinstance(p, str) and p == p.lower().strip() and p for p in phrases)
        assert len(phrases) == len(set(phrases))


@pytest.mark.parametrize("concept", [name for name, entry in CONCEPTS.items() if "except" in entry])
def test_every_exception_is_a_longer_wording_of_a_phrase(concept: str) -> None:
    """An exception that holds no phrase of its concept would void nothing, or void the wrong thing."""
    entry = CONCEPTS[concept]
    phrases = [*entry.get("text", ()), *entry.get("ingredient", ())]
    for exception in entry["except"]:
        inside = [p for p in phrases if re.search(rf"(?<!\w){re.escape(p)}(?!\w)", exception)]
        assert inside, f"'{exception}' holds none of the phrases of {concept}"
        assert exception not in phrases


def test_every_unit_that_is_read_is_a_verified_ucum_unit(catalogue: dict[Pair, dict[str, str]]) -> None:
    verified = {c for (s, c), row in catalogue.items() if s == SYSTEMS["ucum"] and row["status"] == "VERIFIED"}
    # Arithmetic and quantities of the same kind that the catalogue does not list one by one.
    beyond = {"g/d", "kg/m2", "cm", "mm", "[in_i]"}
    assert {unit for units in ANALYTES.values() for unit in units} <= verified | beyond


@pytest.mark.parametrize("path", sorted(SITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_site_adds_only_codes_that_the_value_sets_lack(path: Path) -> None:
    shared = {(SYSTEMS[code["system"]], code["code"]) for e in CONCEPTS.values() for code in e.get("codes", ())}
    rows = _load(path)["codes"]
    pairs = [(row["system"], row["code"]) for row in rows]
    assert len(pairs) == len(set(pairs))
    assert not shared & set(pairs)
    assert {row["concept"] for row in rows} <= set(CONCEPTS)
    for row in rows:
        assert "anc-local" in row["system"] or row.get("note"), f"{row['code']}: why does this site trust it?"
