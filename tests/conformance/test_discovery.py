"""What discovery says, and that what it says is true."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

TOKEN = re.compile(r"\{\{(.*?)\}\}")
# Fields that the pages of our three hooks mark as prefetch tokens; all are primitives at the root of the context.
TOKENS = {"context.patientId", "context.userId", "context.encounterId"} | {
    "userPractitionerId",
    "userPractitionerRoleId",
    "userPatientId",
    "userRelatedPersonId",
}
SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
# Search parameters of our templates by their FHIR type, and what a 2.0 client is asked to support for each.
PARAMETERS = {
    "patient": re.compile(r"\{\{context\.patientId\}\}|Patient/\{\{context\.patientId\}\}"),
    "code": re.compile(r"[^&:]*(:[^&:]*)*"),
    "status": re.compile(r"[a-z-]+(,[a-z-]+)*"),
    "date": re.compile(r"(eq|lt|gt|ge|le)?\d{4}(-\d\d(-\d\d)?)?"),
    "_count": re.compile(r"[1-9]\d*"),
    "_sort": re.compile(r"-?[a-z-]+"),
}


def templates(entries: list[Any]) -> list[str]:
    found = [template for entry in entries for template in entry["prefetch"].values()]
    assert found
    return found


def test_discovery_stands_at_cds_services_under_the_base_url(service: httpx.Client) -> None:
    answer = service.get("/cds-services")
    assert answer.status_code == 200
    assert set(answer.json()) == {"services"}
    assert isinstance(answer.json()["services"], list)


def test_a_wrong_method_on_discovery_is_a_4xx(service: httpx.Client) -> None:
    assert service.post("/cds-services", json={}).status_code == 405


@pytest.mark.parametrize("member", ["hook", "id", "title", "description", "usageRequirements"])
@pytest.mark.parametrize("language", ["en", "es", "zh-Hans"])
def test_each_service_has_this_text(service: httpx.Client, member: str, language: str) -> None:
    services = service.get("/cds-services", headers={"Accept-Language": language}).json()["services"]
    assert all(isinstance(entry[member], str) and entry[member].strip() for entry in services)


def test_prefetch_maps_keys_to_query_texts(entries: list[Any]) -> None:
    for entry in entries:
        assert entry["prefetch"]
        for key, template in entry["prefetch"].items():
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", key)
            assert isinstance(template, str)
            assert template


def test_each_service_answers_at_the_address_of_its_id(service: httpx.Client, entries: list[Any]) -> None:
    for entry in entries:
        assert SEGMENT.fullmatch(entry["id"])
        answer = service.post(f"/cds-services/{entry['id']}", json={"hook": "another"})
        # It reads the body and finds the hook wrong: the address exists and belongs to this hook.
        assert answer.status_code == 400
        assert f"send {entry['hook']} here" in answer.json()["issue"][0]["diagnostics"]


def test_no_id_stands_twice_so_no_service_asks_to_replace_cards_of_another(entries: list[Any]) -> None:
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids)


def test_tokens_stand_in_double_braces_and_name_root_fields_of_the_context(entries: list[Any]) -> None:
    for template in templates(entries):
        tokens = TOKEN.findall(template)
        assert tokens
        assert set(tokens) <= TOKENS
        assert not set("{}") & set(TOKEN.sub("", template))


def test_the_tokens_that_we_use_are_always_there_to_be_filled(entries: list[Any]) -> None:
    """encounterId is optional and a user may be of any type; a query that needs them would often not be made."""
    assert {token for template in templates(entries) for token in TOKEN.findall(template)} == {"context.patientId"}


def test_queries_keep_to_the_recommended_subset(entries: list[Any]) -> None:
    for template in templates(entries):
        kind, _, query = template.partition("?")
        if not query:
            assert re.fullmatch(r"[A-Z][A-Za-z]+/\{\{context\.patientId\}\}", kind), template
            continue
        assert re.fullmatch(r"[A-Z][A-Za-z]+", kind), template
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            assert PARAMETERS[name.removesuffix(":in") if name == "code:in" else name].fullmatch(value), pair


def test_each_service_tells_the_versions_that_the_3_0_ballot_adds(entries: list[Any]) -> None:
    published = {"patient-view": "1.0", "order-select": "1.0", "order-sign": "1.0"}
    assert {entry["hook"]: entry["hookVersion"] for entry in entries} == published
    assert {entry["version"] for entry in entries} == {"2.0.1"}
