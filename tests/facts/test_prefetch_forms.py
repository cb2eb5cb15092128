"""Prefetch in every form that clients send it, over the golden requests: equal meanings give equal cards, and what was
withheld or is somebody else's is never advised on.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.advise import Advice, Adviser, DataUnavailable, PatientMismatch
from cds.cards import PROOF
from cds.facts import PARTS
from cds.facts.record import COVERAGE, PART_TITLES
from cds.hooks import parse_request, to_json
from cds.service.json_input import dump_json, parse_json

Json = dict[str, Any]
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NOW = datetime.fromisoformat((FIXTURES / "now.txt").read_text(encoding="utf-8").strip())
GOLDEN = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))
SERVER = "https://ehr.example.org/fhir"
FRESH = ("uuid", "evaluatedAt")
# Said only where the part was supplied in full.
NONE_THERE = (
    "in the data supplied",
    "none among the active medicines supplied",
    "not in the diagnoses supplied",
    "not in the allergies supplied",
    "none in the procedures supplied",
)


def golden(name: str) -> Json:
    body: Json = parse_json((FIXTURES / "requests" / f"{name}.json").read_bytes())
    return body


def share(forms: Iterable[str], form: str, parts: int) -> list[str]:
    """Every so many-th golden request, beginning elsewhere for each form: together the forms meet them all."""
    return GOLDEN[list(forms).index(form) % parts :: parts]


def ask(adviser: Adviser, body: Json) -> Advice:
    return adviser.advise(parse_request(body, hook=body["hook"]), NOW)


def told(advice: Advice) -> Json:
    """The answer without what is fresh on each call."""
    answer: Json = json.loads(dump_json(to_json(advice.response())))
    for card in answer["cards"]:
        for action in (action for suggestion in card.get("suggestions", []) for action in suggestion["actions"]):
            if action["type"] == "update":  # it repeats the request as it came, however that names her
                del action["resource"]["subject"]
    return dict(_lasting(answer))


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(inner) for name, inner in value.items() if name not in FRESH}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


def answer(adviser: Adviser, body: Json) -> Json:
    """The answer, or that none could be given."""
    try:
        return told(ask(adviser, body))
    except DataUnavailable as refused:
        return {"refused": str(refused)}


def bundles(body: Json) -> Iterator[Json]:
    for value in (body.get("prefetch") or {}).values():
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            yield value


def entries(body: Json) -> Iterator[Json]:
    for bundle in bundles(body):
        yield from bundle.get("entry") or ()


def subjects(body: Json) -> Iterator[Json]:
    for entry in entries(body):
        resource = entry.get("resource") or {}
        yield from (resource[name] for name in ("subject", "patient") if isinstance(resource.get(name), dict))


def her(body: Json) -> str:
    id: str = body["context"]["patientId"]
    return id


# -- forms that mean the same -----------------------------------------------------------------------------------------


def empty_as(value: Any) -> Callable[[Json], None]:
    def change(body: Json) -> None:
        for key, bundle in list((body.get("prefetch") or {}).items()):
            if isinstance(bundle, dict) and bundle.get("resourceType") == "Bundle" and not bundle.get("entry"):
                body["prefetch"][key] = copy.deepcopy(value)

    return change


def reversed_order(body: Json) -> None:
    for bundle in bundles(body):
        (bundle.get("entry") or []).reverse()
    body["prefetch"] = dict(reversed(list((body.get("prefetch") or {}).items())))


def every_entry_twice(body: Json) -> None:
    for bundle in bundles(body):
        bundle["entry"] = [*copy.deepcopy(bundle.get("entry") or []), *(bundle.get("entry") or [])]


def every_part_under_every_key_of_its_type(body: Json) -> None:
    whole = body.get("prefetch") or {}
    for key, bundle in list(whole.items()):
        rows = bundle.get("entry") or [] if isinstance(bundle, dict) else []
        for other, value in whole.items():
            if key != other and PARTS.get(key) == PARTS.get(other) and isinstance(value, dict) and "entry" in value:
                value["entry"] = [*value["entry"], *copy.deepcopy(rows)]
                value.pop("total", None)


def split_over_keys(body: Json) -> None:
    for key, bundle in list((body.get("prefetch") or {}).items()):
        rows = bundle.get("entry") or [] if isinstance(bundle, dict) else []
        if rows:
            half = len(rows) // 2
            bundle["entry"] = rows[:half]
            bundle.pop("total", None)
            body["prefetch"][f"{key} (2)"] = {"resourceType": "Bundle", "type": "searchset", "entry": rows[half:]}


def references(form: str, server: str | None = None) -> Callable[[Json], None]:
    def change(body: Json) -> None:
        for subject in subjects(body):
            if subject.get("reference") == f"Patient/{her(body)}":
                subject["reference"] = form.format(id=her(body), server=SERVER)
        if server:
            body["fhirServer"] = server

    return change


def her_patient_by_urn(body: Json) -> None:
    references("urn:uuid:6f0d7c1e-5a7b-4b7e-9a53-0f1f6a8e2d11")(body)
    patient = (body.get("prefetch") or {}).get("patient")
    if isinstance(patient, dict) and patient.get("id") == her(body):
        row = {"fullUrl": "urn:uuid:6f0d7c1e-5a7b-4b7e-9a53-0f1f6a8e2d11", "resource": patient}
        body["prefetch"]["everything"] = {"resourceType": "Bundle", "type": "collection", "entry": [row]}


def oversupplied(body: Json) -> None:
    about = {"reference": f"Patient/{her(body)}"}
    weather = {"coding": [{"system": "http://loinc.org", "code": "8310-5", "display": "Body temperature"}]}
    for key, bundle in (body.get("prefetch") or {}).items():
        if isinstance(bundle, dict) and bundle.get("entry"):
            bundle["entry"] += [
                {"resource": {"resourceType": "Encounter", "id": "e", "subject": about}, "search": {"mode": "include"}},
                {"resource": {"resourceType": "Provenance", "id": "p", "target": [about]}},
                {"resource": {"resourceType": "Practitioner", "id": "dr"}},
            ]
            if PARTS.get(key) == "Observation":
                more = {"resourceType": "Observation", "id": "t", "status": "final", "code": weather, "subject": about}
                bundle["entry"].append({"resource": more})


def with_words_of_the_server(body: Json) -> None:
    """What some servers put into nearly every searchset, and the rest of what a complete page holds."""
    said = [
        {"severity": "warning", "code": "processing", "details": {"text": "Resource request returns no results."}},
        {"severity": "warning", "code": "informational", "diagnostics": "May not be the entire record."},
        {"severity": "information", "code": "not-supported", "diagnostics": "Unknown parameter"},
    ]
    for bundle in bundles(body):
        rows = bundle.get("entry") or []
        bundle["total"] = len({(row["resource"]["resourceType"], row["resource"].get("id")) for row in rows})
        bundle["link"] = [{"relation": "self", "url": f"{SERVER}/x"}, {"relation": "first", "url": f"{SERVER}/x"}]
        for row in rows:
            row["search"] = {"mode": "match"}
            row["fullUrl"] = f"{SERVER}/{row['resource']['resourceType']}/{row['resource'].get('id')}"
        outcome = {"resourceType": "OperationOutcome", "issue": said}
        bundle["entry"] = [{"resource": outcome, "search": {"mode": "outcome"}}, *rows]


EQUAL: dict[str, Callable[[Json], None]] = {
    "empty parts as null": empty_as(None),
    "empty parts without entry": empty_as({"resourceType": "Bundle", "type": "searchset"}),
    "empty parts with total 0": empty_as({"resourceType": "Bundle", "type": "searchset", "total": 0}),
    "empty parts with an empty entry": empty_as({"resourceType": "Bundle", "type": "searchset", "entry": []}),
    "empty parts with entry null": empty_as({"resourceType": "Bundle", "type": "searchset", "entry": None}),
    "reversed": reversed_order,
    "every entry twice": every_entry_twice,
    "every part under every key of its type": every_part_under_every_key_of_its_type,
    "split over keys": split_over_keys,
    "absolute references": references("{server}/Patient/{id}"),
    "absolute references of the known server": references("{server}/Patient/{id}", SERVER),
    "versioned references": references("Patient/{id}/_history/7"),
    "absolute versioned references": references("{server}/Patient/{id}/_history/7", f"{SERVER}/"),
    "urn references": references("urn:uuid:{id}"),
    "references by the urn of her entry": her_patient_by_urn,
    "over-supplied": oversupplied,
    "words of the server": with_words_of_the_server,
}


@pytest.mark.parametrize("form", EQUAL)
def test_equal_meanings_give_equal_answers(adviser: Adviser, form: str) -> None:
    for name in share(EQUAL, form, 5):
        body = golden(name)
        plain = answer(adviser, body)
        EQUAL[form](body)
        assert answer(adviser, body) == plain, name


# -- forms that withhold ----------------------------------------------------------------------------------------------


def issue(severity: Any, code: str = "processing") -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def page(value: Json, **more: Any) -> Json:
    return {**value, **more}


def and_entry(value: Json, entry: Any) -> Json:
    return {**{name: row for name, row in value.items() if name != "total"}, "entry": [*value["entry"], entry]}


def labelled(value: Json, place: str, code: str) -> Json:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": code}
    cut = copy.deepcopy(value)
    for entry in cut["entry"]:
        entry["resource"]["meta"] = {place: [label]}
    return cut


NOT_SUPPLIED = "not supplied"
WITHHELD: dict[str, tuple[Callable[[Json], Any], str]] = {
    "absent": (lambda value: ..., NOT_SUPPLIED),
    "OperationOutcome": (lambda value: issue("error"), "could not be fetched by the client"),
    "OperationOutcome of information only": (lambda value: issue("information"), "could not be fetched by the client"),
    "template sent unfilled": (lambda value: "Observation?patient={{context.patientId}}", "no FHIR resource"),
    "empty text": (lambda value: "", "no FHIR resource"),
    "list of resources": (lambda value: [row["resource"] for row in value["entry"]], "no FHIR resource"),
    "JSON in a text": (lambda value: json.dumps(value, default=str), "no FHIR resource"),
    "number": (lambda value: 0, "no FHIR resource"),
    "false": (lambda value: False, "no FHIR resource"),
    "Binary": (lambda value: {"resourceType": "Binary", "contentType": "text/html"}, "came as Binary"),
    "Parameters": (lambda value: {"resourceType": "Parameters", "parameter": []}, "came as Parameters"),
    "type in lower case": (lambda value: page(value, resourceType="bundle"), "came as an unknown resource"),
    "next page": (lambda value: page(value, link=[{"relation": "next", "url": "x"}]), "came in part only"),
    "next page without url": (lambda value: page(value, link=[{"relation": "next"}]), "came in part only"),
    "next page, capitals": (lambda value: page(value, link=[{"relation": "NEXT"}]), "came in part only"),
    "next page, no list": (lambda value: page(value, link={"relation": "next"}), "came in part only"),
    "larger total": (lambda value: page(value, total=len(value["entry"]) + 1), "came in part only"),
    "total as text": (lambda value: page(value, total="many"), "came in part only"),
    "total below zero": (lambda value: page(value, total=-1), "came in part only"),
    "total that counts a match which is an outcome": (
        lambda value: page(and_entry(value, {"resource": issue("warning")}), total=len(value["entry"]) + 1),
        "came in part only",
    ),
    "total that counts a match which was included": (
        lambda value: page(
            and_entry(value, {"resource": {"resourceType": "Encounter"}, "search": {"mode": "include"}}),
            total=len(value["entry"]) + 1,
        ),
        "came in part only",
    ),
    "total that counts a match which came twice": (
        lambda value: page(and_entry(value, (value["entry"] or [{}])[0]), total=len(value["entry"]) + 2),
        "came in part only|no resource",
    ),
    "count without entries": (
        lambda value: page(value, entry=[], total=1, meta={"tag": [{"code": "SUBSETTED"}]}),
        "came in part only",
    ),
    "cut Bundle": (lambda value: page(value, meta={"tag": [{"code": "SUBSETTED"}]}), "elements were left out"),
    "collection": (lambda value: page(value, type="collection"), "no search result"),
    "batch-response": (
        lambda value: {
            "resourceType": "Bundle",
            "type": "batch-response",
            "entry": [{"response": {"status": "404 Not Found"}}],
        },
        "no resource|no search result",
    ),
    "history": (
        lambda value: page(value, type="history", entry=[*value["entry"], {"request": {"method": "DELETE"}}]),
        "no search result",
    ),
    "type of a Bundle that is no text": (lambda value: page(value, type=3), "no search result"),
    "entry null": (lambda value: and_entry(value, None), "no resource"),
    "entry without resource": (lambda value: and_entry(value, {"fullUrl": "x"}), "no resource"),
    "resource as text": (lambda value: and_entry(value, {"resource": '{"resourceType": "Patient"}'}), "no resource"),
    "resource in lower case": (
        lambda value: and_entry(value, {"resource": {"resourceType": "condition"}}),
        "no resource",
    ),
    "Bundle in the Bundle": (lambda value: and_entry(value, {"resource": copy.deepcopy(value)}), "no resource"),
    "error of the server": (lambda value: and_entry(value, {"resource": issue("error")}), "error report"),
    "fatal error": (lambda value: and_entry(value, {"resource": issue("fatal")}), "error report"),
    "outcome that says nothing": (
        lambda value: and_entry(value, {"resource": {"resourceType": "OperationOutcome"}}),
        "error report",
    ),
    "outcome of no severity": (lambda value: and_entry(value, {"resource": issue(None)}), "error report"),
    "suppressed": (lambda value: and_entry(value, {"resource": issue("warning", "suppressed")}), "error report"),
    "incomplete": (lambda value: and_entry(value, {"resource": issue("information", "incomplete")}), "error report"),
}
PARTS_THAT_PROVE = [part for part in PARTS if part not in ("patient", "questionnaireResponses")]


@pytest.mark.parametrize("form", WITHHELD)
def test_a_part_that_was_withheld_is_never_said_to_be_empty(adviser: Adviser, form: str) -> None:
    change, reason = WITHHELD[form]
    asked = 0
    # Each golden request by another of its parts, so that all parts and all requests are met.
    for number, name in enumerate(share(WITHHELD, form, 8), list(WITHHELD).index(form)):
        body = golden(name)
        given = [
            part
            for part in PARTS_THAT_PROVE
            if isinstance(value := (body.get("prefetch") or {}).get(part), dict) and "entry" in value
        ]
        if not given:
            continue
        part = given[number % len(given)]
        changed = change(body["prefetch"][part])
        body["prefetch"] = {
            key: changed if key == part else value
            for key, value in body["prefetch"].items()
            if key != part or changed is not ...
        }
        asked += is_said(adviser, body, part, reason)
    assert asked > 2


def is_said(adviser: Adviser, body: Json, part: str, reason: str) -> bool:
    """Whether an answer came; it must say of the part that it was withheld, and never that it is empty."""
    try:
        advice = ask(adviser, body)
    except DataUnavailable:
        return False
    covered = {kind for kind, parts in COVERAGE.items() if part in parts}
    absent = {key for key, fact in advice.census.facts.items() if fact.state == "absent" and key[0] in covered}
    # An end of pregnancy, or a male sex, says "not pregnant", and a result with albumin that it was adjusted.
    assert not {key for key in absent if key[0] != "gestation"} - {("lab", "unadjusted-calcium")}
    answer = told(advice)
    titles = {fact.title for (kind, _), fact in advice.census.facts.items() if kind in covered - {"gestation"}}
    titles -= {fact.title for (kind, _), fact in advice.census.facts.items() if kind not in covered}
    asks = any(kind in covered for kind, _ in advice.census.facts)
    said = next((row for row in advice.remarks if row.startswith(PART_TITLES[part])), "")
    assert any(word in said for word in reason.split("|")) == asks
    remarks = answer["extension"]["org.prenatal-cds.response"].get("remarks", [])
    assert (said in remarks) == asks
    for card in answer["cards"]:
        for line in card["detail"].replace("\\", "").splitlines():
            assert not (
                line.startswith("- ") and any(none in line for none in NONE_THERE) and line[2:].split(":")[0] in titles
            )
        if asks:
            assert said in card["detail"].replace("\\", ""), "each card says what was not available"
        for fact in facts_of(card):
            proven = fact["kind"] not in covered - {"gestation"} or fact["concept"] == "unadjusted-calcium"
            assert proven or fact["state"] in ("known", "unknown")
            assert fact["state"] == "known" or fact["reason"]
    return True


def test_the_three_states_of_one_part_are_three_texts(adviser: Adviser) -> None:
    """Calcium before a supplement: measured, looked for and not there, and not given to us."""
    body = golden("calcium-draft-without-check")
    looked = answer(adviser, body)
    assert "calcium-check-before-supplement" in rules_on(looked)
    assert "calcium-history-not-supplied" not in rules_on(looked)
    (missing,) = [row for row in proofs(looked) if row["concept"] == "adjusted-calcium"][:1]
    assert (missing["state"], "in the data supplied" in missing["reason"]) == ("absent", True)
    body["prefetch"]["laboratory"] = issue("error", "timeout")
    withheld = answer(adviser, body)
    assert "calcium-check-before-supplement" not in rules_on(withheld)
    assert "calcium-history-not-supplied" in rules_on(withheld)
    (missing,) = [row for row in proofs(withheld) if row["concept"] == "adjusted-calcium"][:1]
    assert (missing["state"], missing["reason"]) == (
        "unknown",
        "laboratory results could not be fetched by the client",
    )
    assert "laboratory results could not be fetched by the client" in str(withheld["extension"])
    assert "laboratory results could not be fetched by the client" not in str(looked)


def facts_of(card: Json) -> list[Json]:
    """The facts of a card's proof, those that were missing too."""
    return [fact for name in ("facts", "missing") for fact in proof(card).get(name, [])]


def rules_on(answer: Json) -> set[str]:
    return {rule["id"] for card in answer["cards"] for rule in card["extension"][PROOF]["rules"]}


def proofs(answer: Json) -> list[Json]:
    return [fact for card in answer["cards"] for fact in facts_of(card)]


@pytest.mark.parametrize("place", ["tag", "security"])
@pytest.mark.parametrize("code", ["SUBSETTED", "REDACTED", "MASKED"])
def test_a_resource_that_was_cut_down_is_not_advised_on_and_proves_nothing(
    adviser: Adviser, place: str, code: str
) -> None:
    body = golden("low-adjusted-calcium-with-cramps")
    whole = answer(adviser, body)
    assert "Observation/calcium-1" in str(whole)
    body["prefetch"]["laboratory"] = labelled(body["prefetch"]["laboratory"], place, code)
    is_said(adviser, body, "laboratory", "elements were left out")
    cut = ask(adviser, body)
    assert "Observation/calcium-1" not in str([card["facts"] for card in map(proof, told(cut)["cards"])])
    assert "Observation/calcium-1: came with elements left out and was not used" in cut.remarks
    body["prefetch"]["patient"] = {**body["prefetch"]["patient"], "meta": {place: [{"code": code}]}}
    assert ask(adviser, body).cards, "who she is may be said in part"


def proof(card: Json) -> Json:
    found: Json = card["extension"][PROOF]
    return found


# -- somebody else's --------------------------------------------------------------------------------------------------

STRANGERS: list[Any] = [
    {"reference": "Patient/another"},
    {"reference": "Patient/{id}0"},
    {"reference": "Patient/0{id}"},
    {"reference": "patient/{id}"},
    {"reference": "PATIENT/{id}"},
    {"reference": "Patient/{ID}"},
    {"reference": "Patient/{id} "},
    {"reference": "Group/{id}"},
    {"reference": "RelatedPerson/{id}"},
    {"reference": "Practitioner/{id}"},
    {"reference": "Device/{id}"},
    {"reference": "Patient/newborn", "display": "Newborn of {id}"},
    {"reference": "https://ehr.example.org/fhir/Patient/another"},
    {"reference": "https://ehr.example.org/fhir/Group/{id}"},
    {"reference": "urn:uuid:0e3a6c1e-0000-4000-8000-000000000000"},
    {"reference": "evil/Patient/{id}"},
    {"reference": "#{id}"},
    {"reference": "Patient/{id}", "type": "Group"},
    {"reference": "Patient/another", "type": "Patient", "identifier": {"value": "{id}"}},
]


@dataclass(frozen=True)
class Alarming:
    """Findings of another chart that would raise cards if they were taken for hers."""

    rows: tuple[Json, ...]


def alarming() -> tuple[Json, ...]:
    names = (
        "one-leg-swelling-with-cramps",
        "high-calcium-while-taking-calcium",
        "seizure-without-a-calcium-result",
        "calcium-order-with-earlier-kidney-stone",
        "tetany-with-low-calcium-and-cramps",
        "low-vitamin-d-in-two-parts",
        "short-calcium-intake-with-milk-allergy",
    )
    rows = [entry["resource"] for name in names for entry in entries(golden(name))]
    return tuple({row["resourceType"] + row["id"]: row for row in rows}.values())


def spelled(value: Any, id: str) -> Any:
    text = json.dumps(value).replace("{id}", id).replace("{ID}", id.upper())
    return json.loads(text)


def of_another(body: Json, subject: Any, *, under: str | None = None) -> int:
    """Plant the findings of another person in every part of the request, or under one key; how many they are."""
    count = 0
    for number, row in enumerate(alarming()):
        holder = "patient" if "patient" in row else "subject"
        strange = {**copy.deepcopy(row), "id": f"strange-{number}", holder: spelled(subject, her(body))}
        keys = [under] if under is not None else [key for key, kind in PARTS.items() if kind == row["resourceType"]]
        placed = False
        for key in keys:
            part = (
                body["prefetch"].setdefault(key, {"resourceType": "Bundle", "type": "searchset"})
                if under is not None
                else None
            )
            part = part or body["prefetch"].get(key)
            if isinstance(part, dict) and part.get("resourceType") == "Bundle":
                part["entry"] = [*(part.get("entry") or []), {"resource": strange}]
                part.pop("total", None)
                placed = True
        count += placed
    return count


def without_remark(answer: Json, count: int) -> Json:
    """The answer as it is without the one remark that counts strangers, which must be there."""
    remark = f"{count} resource(s) of another patient were ignored"
    if "refused" in answer:
        return answer
    about = answer["extension"]["org.prenatal-cds.response"]
    assert remark in about["remarks"]
    for holder in (about, *map(proof, answer["cards"])):
        holder["remarks"].remove(remark)
        if not holder["remarks"]:
            del holder["remarks"]
    return detail_without_notes(answer)


def detail_without_notes(answer: Json) -> Json:
    """A card shows its remarks up to a number and counts the rest: they are compared in the proof, not in the text."""
    for card in answer.get("cards", []):
        head, _, rest = card["detail"].partition("**Please note**")
        card["detail"] = head + rest.partition("\n\n")[2].partition("\n\n")[2] if rest else card["detail"]
    return answer


@pytest.mark.parametrize("subject", STRANGERS, ids=[json.dumps(row) for row in STRANGERS])
def test_what_is_another_persons_changes_no_card_and_is_counted(adviser: Adviser, subject: Any) -> None:
    for name in share([json.dumps(row) for row in STRANGERS], json.dumps(subject), 15):
        body = golden(name)
        plain = detail_without_notes(answer(adviser, body))
        count = of_another(body, subject)
        assert count
        assert without_remark(answer(adviser, body), count) == plain, name


@pytest.mark.parametrize("key", ["patients", "draftOrders", "Patient", "", "laboratory ", "__proto__"])
def test_what_is_another_persons_under_any_key_changes_no_card(adviser: Adviser, key: str) -> None:
    for name in GOLDEN[::20]:
        body = golden(name)
        plain = detail_without_notes(answer(adviser, body))
        count = of_another(body, {"reference": "Patient/another"}, under=key)
        body["prefetch"][key]["entry"].append({"resource": {"resourceType": "Patient", "id": "another"}})
        assert without_remark(answer(adviser, body), count + 1) == plain, name


def test_a_contained_patient_or_a_second_holder_makes_nobody_her(adviser: Adviser) -> None:
    body = golden("little-sunlight")
    plain = detail_without_notes(answer(adviser, body))
    inside = {"contained": [{"resourceType": "Patient", "id": "p"}], "subject": {"reference": "#p"}}
    both = {"subject": {"reference": f"Patient/{her(body)}"}, "patient": {"reference": "Patient/another"}}
    rows = [row for row in alarming() if row["resourceType"] != "AllergyIntolerance"]
    strange = [{**row, "id": f"s{n}", **more} for n, row in enumerate(rows) for more in (inside, both)]
    body["prefetch"]["more"] = {"resourceType": "Bundle", "entry": [{"resource": row} for row in strange]}
    assert without_remark(answer(adviser, body), len(strange)) == plain


@pytest.mark.parametrize(
    ("server", "reference"),
    [
        (SERVER, "https://other.example.org/fhir/Patient/{id}"),
        (SERVER, "https://ehr.example.org.evil.example/fhir/Patient/{id}"),
        (SERVER, "https://ehr.example.org/other/fhir/Patient/{id}"),
        (SERVER, "https://user@ehr.example.org/fhir/Patient/{id}"),
        (SERVER, "http://[/Patient/{id}"),
    ],
)
def test_her_id_on_another_server_is_not_she_and_leaves_the_part_unproven(
    adviser: Adviser, server: str, reference: str
) -> None:
    body = golden("low-adjusted-calcium-with-cramps")
    body["fhirServer"] = server
    for entry in body["prefetch"]["laboratory"]["entry"]:
        entry["resource"]["subject"]["reference"] = reference.replace("{id}", her(body))
    is_said(adviser, body, "laboratory", "patient of another FHIR server")
    advice = ask(adviser, body)
    assert "Observation/calcium-1: names a patient of another FHIR server and was ignored" in advice.remarks
    assert "low-adjusted-calcium" not in str(rules_on(told(advice)))


def test_without_a_known_server_the_url_of_the_entry_tells_which_server_it_is(adviser: Adviser) -> None:
    body = golden("low-adjusted-calcium-with-cramps")
    plain = answer(adviser, body)
    references("{server}/Patient/{id}")(body)
    for entry in body["prefetch"]["laboratory"]["entry"]:
        entry["fullUrl"] = f"{SERVER}/Observation/{entry['resource']['id']}"
    assert answer(adviser, body) == plain
    for entry in body["prefetch"]["laboratory"]["entry"]:
        entry["fullUrl"] = f"https://other.example.org/Observation/{entry['resource']['id']}"
    is_said(adviser, body, "laboratory", "patient of another FHIR server")


@pytest.mark.parametrize("focus", ["Patient/newborn", "RelatedPerson/r", "Patient/{id}0", "urn:uuid:baby", "Group/g"])
def test_an_observation_in_her_record_about_another_person_changes_no_card(adviser: Adviser, focus: str) -> None:
    for name in ("little-sunlight", "cramps-in-late-pregnancy", "calcium-draft-without-check"):
        body = golden(name)
        plain = {card["summary"] for card in answer(adviser, body)["cards"]}
        rows = [row for row in alarming() if row["resourceType"] == "Observation"]
        for number, row in enumerate(rows):
            row = {**copy.deepcopy(row), "id": f"f{number}", "subject": {"reference": f"Patient/{her(body)}"}}
            row["focus"] = [spelled({"reference": focus}, her(body))]
            for key in ("laboratory", "symptoms", "nutrition", "vitals", "pregnancy"):
                if isinstance(body["prefetch"].get(key), dict):
                    body["prefetch"][key].setdefault("entry", []).append({"resource": row})
                    body["prefetch"][key].pop("total", None)
        assert {card["summary"] for card in answer(adviser, body)["cards"]} == plain, name


def test_another_patient_in_the_place_of_the_patient_is_refused(adviser: Adviser) -> None:
    other = {"resourceType": "Patient", "id": "another"}
    for form in (other, {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": other}]}):
        body = golden("little-sunlight")
        body["prefetch"]["patient"] = form
        with pytest.raises(PatientMismatch):
            ask(adviser, body)


# -- drafts -----------------------------------------------------------------------------------------------------------


def test_a_draft_for_somebody_else_counts_as_no_draft(adviser: Adviser) -> None:
    for name in GOLDEN[::2]:
        body = golden(name)
        drafts = (body["context"].get("draftOrders") or {}).get("entry")
        if not drafts or body["hook"] != "order-sign":
            continue
        bare = copy.deepcopy(body)
        bare["context"]["draftOrders"]["entry"] = []
        plain = detail_without_notes(answer(adviser, bare))
        for row in drafts:
            row["resource"]["subject"] = {"reference": "Patient/another"}
        assert without_remark(answer(adviser, body), len(drafts)) == plain, name


def test_a_draft_without_a_subject_belongs_to_its_context(adviser: Adviser) -> None:
    body = golden("calcium-draft-without-check")
    plain = answer(adviser, body)
    for row in body["context"]["draftOrders"]["entry"]:
        row["resource"].pop("subject", None)
    assert answer(adviser, body) == plain


def test_a_prefetch_key_named_draft_orders_holds_no_drafts(adviser: Adviser) -> None:
    body = golden("calcium-draft-without-check")
    drafts = body["context"]["draftOrders"]
    body["context"]["draftOrders"] = {"resourceType": "Bundle", "entry": []}
    body["context"].pop("selections", None)
    body["hook"] = "order-sign"
    plain = answer(adviser, body)
    for row in drafts["entry"]:
        row["resource"].pop("subject", None)
    body["prefetch"]["draftOrders"] = drafts
    assert plain["cards"] == detail_without_notes(answer(adviser, body))["cards"] or not plain["cards"]
    assert "order" not in {fact["kind"] for fact in proofs(answer(adviser, body))}


# -- copies and versions ----------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.permutations([0, 1, 2, 3, 4]), st.lists(st.sampled_from(sorted(EQUAL)), max_size=3))
def test_copies_count_alike_in_every_order_and_form(adviser: Adviser, order: list[int], forms: list[str]) -> None:
    """Three contents, two of them of one version: the later version alone, whatever came first."""

    def build(order: list[int], forms: list[str]) -> Json:
        body = golden("low-adjusted-calcium-with-cramps")
        (calcium,) = [e["resource"] for e in entries(body) if e["resource"]["id"] == "calcium-1"]

        def copy_of(value: float, updated: str) -> Json:
            amount = {**calcium["valueQuantity"], "value": value}
            return {"resource": {**calcium, "valueQuantity": amount, "meta": {"lastUpdated": updated}}}

        copies = [
            copy_of(2.6, "2026-11-20T10:00:00Z"),
            copy_of(3.4, "2026-11-20T10:00:00Z"),
            copy_of(2.7, "2026-11-20T10:00:00.500Z"),
            copy_of(2.7, "2026-11-20T10:00:00.500Z"),
            copy_of(2.9, "2026-11-20T10:30:00+05:00"),
        ]
        laboratory = body["prefetch"]["laboratory"]
        rest = [entry for entry in laboratory["entry"] if entry["resource"]["id"] != "calcium-1"]
        laboratory["entry"] = [*rest, *(copies[n] for n in order)]
        laboratory.pop("total")
        for form in forms:
            EQUAL[form](body)
        return body

    changed = build(order, forms)
    assert answer(adviser, changed) == answer(adviser, build([0, 1, 2, 3, 4], []))


def test_two_medications_of_one_id_that_differ_are_no_known_medicine(adviser: Adviser) -> None:
    def body(order: int) -> Json:
        asked = golden("calcium-draft-without-check")
        draft = asked["context"]["draftOrders"]["entry"][0]["resource"]
        draft.pop("medicationCodeableConcept")
        draft["medicationReference"] = {"reference": "Medication/m"}
        rows = [
            {"resource": {"resourceType": "Medication", "id": "m", "code": {"text": text}}}
            for text in ("Calcium Carbonate 1250 MG Oral Tablet", "Digoxin 0.25 MG Oral Tablet")
        ][::order]
        asked["prefetch"]["medications"] = {"resourceType": "Bundle", "entry": rows}
        return asked

    told_once = answer(adviser, body(1))
    assert told_once == answer(adviser, body(-1))
    assert "Digoxin" not in str(told_once)
    assert "cannot be read" in str(told_once["extension"])


# -- generated charts -------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_any_form_of_every_part_at_once_never_makes_up_an_absence(adviser: Adviser, data: st.DataObject) -> None:
    body = golden(data.draw(st.sampled_from(GOLDEN)))
    for form in data.draw(st.lists(st.sampled_from(sorted(EQUAL)), max_size=2)):
        EQUAL[form](body)
    withheld: dict[str, str] = {}
    for part in PARTS_THAT_PROVE:
        value = (body.get("prefetch") or {}).get(part)
        if isinstance(value, dict) and isinstance(value.get("entry"), list):
            chosen = data.draw(st.sampled_from([None, *WITHHELD]))
            if chosen is not None:
                changed = WITHHELD[chosen][0](value)
                withheld[part] = WITHHELD[chosen][1]
                body["prefetch"] = {key: row for key, row in body["prefetch"].items() if key != part}
                if changed is not ...:
                    body["prefetch"][part] = changed
    for part, reason in withheld.items():
        is_said(adviser, body, part, f"{reason}|no resource|came in|came with|came without|error report")
