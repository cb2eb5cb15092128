"""Thirteen Synthea records through the whole service, each at the last day of its own record."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.real.clinic import Clinic
from tests.real.ehr import Chart, Json, entries_of, latest_time, remarks_of, rules_of

# Read by hand from each record: diagnoses "Normal pregnancy" (SNOMED CT 72892002), sex and death.
PREGNANT = ("Alix_Reilly", "Juliette_Padberg", "Maple_Emmerich", "Nereida_Rogahn")
PAST = ("Addie_Tremblay", "Alica_Powlowski", "Angelique_Ritchie", "Beatris_Towne", "Bonnie_Marvin")
NEVER = ("Alexia_Senger", "Alfreda_Wyman")
DIED = "Almeda_Conn"
MALE = "Adalberto_Hartmann"
ALL = (*PREGNANT, *PAST, *NEVER, DIED, MALE)
WHOLE_BLOOD_CALCIUM = (MALE, "Alexia_Senger", "Alfreda_Wyman", DIED, "Maple_Emmerich")

HOOKS = ("patient-view", "order-select", "order-sign")
ORDER_HOOKS = HOOKS[1:]
NORMAL_PREGNANCY = "http://snomed.info/sct|72892002"
CHECK_FIRST = "calcium-check-before-supplement"
HISTORY_NOT_SUPPLIED = "calcium-history-not-supplied"
THREE_YEARS = timedelta(days=3 * 365)


@dataclass(frozen=True)
class Records:
    """Opens the charts by the name at the start of their file."""

    folder: Path
    clinic_at: Callable[[datetime], Clinic]

    def open(self, name: str, *, later: timedelta = timedelta(0)) -> tuple[Clinic, Chart]:
        """The chart, and the service at its last day (or ``later``)."""
        (path,) = self.folder.glob(f"{name}_*.json")
        entries = tuple(entries_of(json.loads(path.read_bytes())))
        (patient,) = (e.resource for e in entries if e.resource["resourceType"] == "Patient")
        now = latest_time(entries, otherwise=datetime(2021, 4, 1, 12, tzinfo=UTC))
        return self.clinic_at(now + later), Chart(patient["id"], entries)


@pytest.fixture(scope="module")
def records(real: Path, clinic_at: Callable[[datetime], Clinic]) -> Records:
    return Records(real / "synthea-2021", clinic_at)


def newest_active_pregnancy(chart: Chart) -> str:
    """`Condition/id` of the active diagnosis, of which each pregnant woman of the table has exactly one."""
    found = [
        e.name
        for e in chart.entries
        if e.resource["resourceType"] == "Condition"
        and _coded(e.resource["code"]) == NORMAL_PREGNANCY
        and e.resource["clinicalStatus"]["coding"][0]["code"] == "active"
    ]
    (only,) = found
    return only


def _coded(concept: Json) -> str:
    first = concept["coding"][0]
    return f"{first['system']}|{first['code']}"


def proof_fact(card: Json, kind: str, concept: str) -> Json:
    proof = card["extension"]["org.prenatal-cds.proof"]
    rows: list[Json] = [f for f in proof["facts"] if (f["kind"], f["concept"]) == (kind, concept)]
    (only,) = rows
    return only


# -- who is pregnant --------------------------------------------------------------------------------


def test_the_table_of_this_module_names_every_record(records: Records) -> None:
    files = {"_".join(path.stem.split("_")[:2]) for path in records.folder.glob("*.json")}
    assert files == set(ALL)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", ALL)
def test_every_record_is_answered_at_every_hook_with_nothing_unreadable(records: Records, name: str, hook: str) -> None:
    clinic, chart = records.open(name)
    remarks = remarks_of(clinic.ehr(chart).ask(hook))
    assert [r for r in remarks if "/" in r.split(":")[0]] == []


@pytest.mark.parametrize("name", PREGNANT)
def test_an_active_pregnancy_diagnosis_of_these_months_means_pregnant(records: Records, name: str) -> None:
    clinic, chart = records.open(name)
    fact = clinic.fact(chart, "gestation", "pregnant")
    assert fact.attributes == {"present": True}
    assert fact.sources == (newest_active_pregnancy(chart),)


@pytest.mark.parametrize("name", PAST)
def test_a_resolved_pregnancy_diagnosis_means_not_pregnant_any_more(records: Records, name: str) -> None:
    clinic, chart = records.open(name)
    fact = clinic.fact(chart, "gestation", "pregnant")
    assert fact.attributes == {"present": False}
    ends = {e.name for e in chart.entries if "abatementDateTime" in e.resource or _is_loss(e.resource)}
    assert set(fact.sources) <= ends
    assert fact.sources


def _is_loss(resource: Json) -> bool:
    return resource["resourceType"] == "Condition" and _coded(resource["code"]).endswith("|19169002")


@pytest.mark.parametrize("name", NEVER)
def test_a_record_silent_about_pregnancy_leaves_it_unknown(records: Records, name: str) -> None:
    clinic, chart = records.open(name)
    assert clinic.fact(chart, "gestation", "pregnant").state == "unknown"


@pytest.mark.parametrize(("name", "why"), [(DIED, "died"), (MALE, "male")])
def test_the_dead_and_men_are_known_not_to_be_pregnant(records: Records, name: str, why: str) -> None:
    clinic, chart = records.open(name)
    fact = clinic.fact(chart, "gestation", "pregnant")
    assert fact.attributes == {"present": False}
    assert why in fact.shown


# -- the calcium draft ------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ORDER_HOOKS)
@pytest.mark.parametrize("name", PREGNANT)
def test_a_therapeutic_calcium_draft_in_pregnancy_asks_for_calcium_first(
    records: Records, name: str, hook: str
) -> None:
    clinic, chart = records.open(name)
    (card,) = (c for c in clinic.ehr(chart).ask(hook)["cards"] if c["source"]["topic"]["code"] == CHECK_FIRST)
    assert card["indicator"] == "warning"
    assert proof_fact(card, "gestation", "pregnant")["sources"] == [newest_active_pregnancy(chart)]
    assert proof_fact(card, "order", "calcium-supplement")["values"]["dose"] == 1000
    assert proof_fact(card, "lab", "adjusted-calcium")["state"] == "absent"


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", [n for n in ALL if n not in PREGNANT])
def test_whoever_is_not_pregnant_gets_no_card_for_the_calcium_draft(records: Records, name: str, hook: str) -> None:
    clinic, chart = records.open(name)
    assert clinic.ehr(chart).ask(hook)["cards"] == []


@pytest.mark.parametrize("name", PREGNANT)
def test_three_years_later_the_open_diagnosis_is_stale_and_gives_no_card(records: Records, name: str) -> None:
    clinic, chart = records.open(name, later=THREE_YEARS)
    fact = clinic.fact(chart, "gestation", "pregnant")
    source = newest_active_pregnancy(chart)
    assert fact.attributes.get("present") is not True
    assert any("stale" in remark and source in remark for remark in fact.remarks)
    for hook in HOOKS:
        assert clinic.ehr(chart).ask(hook)["cards"] == []


@pytest.mark.parametrize("name", PREGNANT)
def test_a_pregnancy_that_nobody_closed_is_unknown_later_whatever_came_before_it(records: Records, name: str) -> None:
    """GA-01: an older active entry is stale: unknown. Earlier pregnancies do not say how this one ended."""
    clinic, chart = records.open(name, later=THREE_YEARS)
    assert clinic.fact(chart, "gestation", "pregnant").state == "unknown"


# -- the calcium of Synthea is one of whole blood ---------------------------------------------------


def newest_whole_blood_calcium(chart: Chart) -> str:
    observations = [e for e in chart.entries if e.resource["resourceType"] == "Observation"]
    rows = [e for e in observations if _coded(e.resource["code"]) == "http://loinc.org|49765-1"]
    return max(rows, key=lambda e: str(e.resource["effectiveDateTime"])).name


@pytest.mark.parametrize("name", WHOLE_BLOOD_CALCIUM)
def test_whole_blood_calcium_is_named_but_is_no_serum_calcium(records: Records, name: str) -> None:
    clinic, chart = records.open(name)
    for concept in ("serum-calcium", "ionised-calcium", "corrected-calcium", "adjusted-calcium"):
        assert clinic.fact(chart, "lab", concept).state == "absent"
    remarks = clinic.fact(chart, "lab", "serum-calcium").remarks
    assert any("not used" in row and newest_whole_blood_calcium(chart) in row for row in remarks)


@pytest.mark.parametrize("hook", ORDER_HOOKS)
def test_a_card_that_finds_no_serum_calcium_names_the_whole_blood_calcium_on_record(
    records: Records, hook: str
) -> None:
    clinic, chart = records.open("Maple_Emmerich")
    (card,) = clinic.ehr(chart).ask(hook)["cards"]
    assert newest_whole_blood_calcium(chart) in card["detail"]


# -- parts withheld ---------------------------------------------------------------------------------


def _page_one(part: Any) -> Json:
    """The answer as a server that has further pages gives it; a read has none, so it fails instead."""
    if not isinstance(part, dict) or part.get("resourceType") != "Bundle":
        return _failed(part)
    return part | {"link": [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]}


def _failed(_: Any) -> Json:
    issue = {"severity": "error", "code": "timeout"}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


WAYS_TO_WITHHOLD = {"error report": _failed, "first page only": _page_one}
WAYS_TO_CHANGE = (*WAYS_TO_WITHHOLD, "left out", "null")


def change(prefetch: Json, key: str, way: str) -> bool:
    """Change one part in place; True when the answer proves nothing any more."""
    if way == "left out":
        del prefetch[key]
    elif way == "null":
        # null says "looked, there is nothing", except for the patient, who must exist.
        prefetch[key] = None
        return key == "patient"
    else:
        prefetch[key] = WAYS_TO_WITHHOLD[way](prefetch[key])
    return True


@pytest.mark.parametrize("hook", ORDER_HOOKS)
@pytest.mark.parametrize("way", ["left out", "error report", "first page only"])
@pytest.mark.parametrize("name", PREGNANT)
def test_with_the_laboratory_withheld_no_card_says_that_calcium_was_not_measured(
    records: Records, name: str, way: str, hook: str
) -> None:
    clinic, chart = records.open(name)
    ehr = clinic.ehr(chart)
    request = ehr.request(hook)
    assert change(request["prefetch"], "laboratory", way)
    response = ehr.post(request)
    assert response.status_code == 200
    rules = rules_of(response.json())
    assert CHECK_FIRST not in rules
    assert HISTORY_NOT_SUPPLIED in rules


@pytest.mark.parametrize("name", ALL)
def test_parts_withheld_at_random_give_advice_or_412_and_never_a_false_absence(records: Records, name: str) -> None:
    """16 requests a record, 208 in all, from a seed."""
    clinic, chart = records.open(name)
    ehr = clinic.ehr(chart)
    chance = random.Random(f"withheld {name}")
    for _ in range(16):
        request = ehr.request(chance.choice(HOOKS))
        prefetch = request["prefetch"]
        keys = chance.sample(sorted(prefetch), k=chance.randint(1, 4))
        ways = {key: chance.choice(WAYS_TO_CHANGE) for key in keys}
        withheld = {key for key, way in ways.items() if change(prefetch, key, way)}
        response = ehr.post(request)
        told = f"{request['hook']} with {ways}"
        body = response.json()
        if response.status_code == 412:
            assert body["resourceType"] == "OperationOutcome", told
            assert "patient" in withheld or {"pregnancy", "conditions"} <= withheld, told
            continue
        assert response.status_code == 200, told
        assert "patient" not in withheld, told
        rules = rules_of(body)
        details = " ".join(card["detail"] for card in body["cards"])
        if "laboratory" in withheld:
            assert CHECK_FIRST not in rules, told
            assert "on record in the last" not in details, told
            assert "no final result in the data supplied" not in details, told
        if name not in PREGNANT:
            assert not rules & {CHECK_FIRST, HISTORY_NOT_SUPPLIED}, told
