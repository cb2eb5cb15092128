"""The language of an answer: what the client asks for, else what the site has set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from cds.service import SettingsError, create_app, load_settings
from cds.service.language import look_up, negotiate
from tests.service.conftest import NOON

LANGUAGES = ("en", "es", "zh-Hans")
VIEW = "/cds-services/prenatal-patient-view"
Serving = Callable[[Starlette], AbstractContextManager[str]]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("es", "es"),
        ("ES", "es"),
        ("es-MX", "es"),
        ("es-419,en;q=0.5", "es"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh-Hans-CN", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("zh-hans-hk", "zh-Hans"),
        ("cmn-Hans", "zh-Hans"),
        ("zh-TW", "en"),
        ("zh-HK", "en"),
        ("zh-Hant", "en"),
        ("zh-Hant-CN", "en"),
        ("zh-TW,zh;q=0.8,en;q=0.5", "zh-Hans"),
        ("en;q=0.5, es;q=0.9", "es"),
        ("fr, es;q=0.1", "es"),
        ("fr-CA", "en"),
        ("es , zh-CN", "es"),
        ("es;q=0.8, zh-CN;q=0.8", "es"),
        ("*", "en"),
        ("fr, *;q=0.1", "en"),
        ("*, es;q=0.1", "en"),
        ("en;q=0, *", "es"),
        ("es;q=0", "en"),
        ("es;q=0, es-MX", "en"),
        ("es;q=1.000", "es"),
        ("es ; q=0.5", "es"),
        ("es;q=2", "en"),
        ("es;q=-1", "en"),
        ("es;q=0.5555", "en"),
        ("no language, es", "es"),
        (",,;;q=,es", "es"),
        ("e" * 5000, "en"),
        ("fr," * 5000 + "es", "en"),
    ],
)
def test_the_header_decides(header: str | None, language: str) -> None:
    assert negotiate(header, LANGUAGES, "en") == language


@pytest.mark.parametrize(
    ("header", "language"), [(None, "zh-Hans"), ("fr", "zh-Hans"), ("*", "zh-Hans"), ("en", "en"), ("es-ES", "es")]
)
def test_the_language_of_the_site_serves_who_asks_for_none_of_ours(header: str | None, language: str) -> None:
    assert negotiate(header, LANGUAGES, "zh-Hans") == language


@given(st.text(max_size=200))
def test_no_header_breaks_the_negotiation(header: str) -> None:
    assert negotiate(header, LANGUAGES, "en") in LANGUAGES


@pytest.mark.parametrize(
    ("tag", "found"), [("zh_CN", "zh-Hans"), ("es", "es"), ("zh-TW", None), ("fr", None), ("", None)]
)
def test_a_tag_is_looked_up(tag: str, found: str | None) -> None:
    assert look_up(tag, LANGUAGES) == found


def test_a_card_comes_in_the_language_of_the_header(client: httpx.Client, body: dict[str, Any]) -> None:
    body["prefetch"]["conditions"] = None
    del body["prefetch"]["pregnancy"]
    english = client.post(VIEW, json=body)
    assert english.headers["content-language"] == "en"
    assert "Accept-Language" in english.headers["vary"]
    spanish = client.post(VIEW, json=body, headers={"Accept-Language": "fr, es-MX;q=0.8, en;q=0.5"})
    assert spanish.headers["content-language"] == "es"
    assert "Accept-Language" in spanish.headers["vary"]
    (own,), (card,) = english.json()["cards"], spanish.json()["cards"]
    assert own["source"]["topic"]["code"] == card["source"]["topic"]["code"]
    assert "**Se basa en**" not in own["detail"]
    assert "No disponible" in card["detail"]
    assert card["extension"]["org.prenatal-cds.proof"]["language"] == "es"


def test_without_cards_the_answer_still_says_which_language_was_chosen(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    body["prefetch"]["patient"]["gender"] = "male"
    answer = client.post(VIEW, json=body, headers={"Accept-Language": "zh-CN"})
    assert answer.json()["cards"] == []
    assert answer.headers["content-language"] == "zh-Hans"


def test_discovery_speaks_the_language_too(client: httpx.Client) -> None:
    english = client.get("/cds-services").json()["services"]
    answer = client.get("/cds-services", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert answer.headers["content-language"] == "zh-Hans"
    for own, other in zip(english, answer.json()["services"], strict=True):
        assert (own["id"], own["hook"], own["prefetch"]) == (other["id"], other["hook"], other["prefetch"])
        assert own["title"] != other["title"]
        assert own["description"] != other["description"]


def test_a_browser_may_send_the_header_and_caches_must_mind_it(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post(VIEW, json=body, headers={"Accept-Language": "es", "Origin": "https://ehr.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Accept-Language" in answer.headers["vary"]


def test_the_setting_is_the_language_of_clients_that_name_none(serving: Serving, body: dict[str, Any]) -> None:
    del body["prefetch"]["pregnancy"]
    app = create_app(load_settings({"language": "zh-CN", "log_level": "error"}))
    with serving(app) as base:
        plain = {"Accept-Language": ""}
        answer = httpx.post(f"{base}{VIEW}", json=body, headers=plain, trust_env=False)
        assert answer.headers["content-language"] == "zh-Hans"
        asked = httpx.post(f"{base}{VIEW}", json=body, headers={"Accept-Language": "en-GB"}, trust_env=False)
        assert asked.headers["content-language"] == "en"


def test_a_language_that_the_rules_do_not_have_stops_the_start() -> None:
    with pytest.raises(
        SettingsError, match=r"PRENATAL_CDS_LANGUAGE .*: the rules have no such language; known are en, es"
    ):
        create_app(load_settings({"language": "fr", "log_level": "error"}))


def test_an_error_is_told_in_english_whatever_was_asked(client: httpx.Client) -> None:
    answer = client.post(VIEW, content=json.dumps({}), headers={"Accept-Language": "es", "Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert "content-language" not in answer.headers


SUMMARIES = {
    "en": "Leg cramps in pregnancy: review diet and check calcium before any supplement",
    "es": "Calambres en las piernas en el embarazo: revise la dieta y el calcio antes de cualquier suplemento",
    "zh-Hans": "妊娠期腿部抽筋：补充任何制剂之前，请先评估饮食并检查血钙",
}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("es-ES", "es"),
        ("zh-CN", "zh-Hans"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-TW", "en"),
        ("zh-TW,en;q=0.7", "en"),
        ("zh-Hant-HK,es;q=0.3", "es"),
        ("fr-CA,de;q=0.9", "en"),
        ("*", "en"),
        ("es;q=0,*", "en"),
        ("en;q=0,zh-CN;q=0,*;q=0.1", "es"),
        ("es;q=0", "en"),
        ("es;q=0,zh;q=0,en;q=0", "en"),
        ("", "en"),
        (";;;,=,q=1,<script>", "en"),
        ("es;q=high", "en"),
        ("e" * 4000, "en"),
        ("ES-mx ; Q=0.9 , en ; q=0.2", "es"),
    ],
)
def test_a_client_is_answered_in_the_language_that_its_header_asks_for(
    client: httpx.Client, cramps_chart: dict[str, Any], header: str, language: str
) -> None:
    answer = client.post(VIEW, json=cramps_chart, headers={"Accept-Language": header})
    assert answer.status_code == 200
    assert answer.headers["content-language"] == language
    cards = answer.json()["cards"]
    assert {card["extension"]["org.prenatal-cds.proof"]["language"] for card in cards} == {language}
    assert SUMMARIES[language] in [card["summary"] for card in cards]


def test_a_header_in_several_lines_counts_as_one(client: httpx.Client, cramps_chart: dict[str, Any]) -> None:
    lines = [("Accept-Language", "fr"), ("Accept-Language", "es;q=0.5")]
    assert client.post(VIEW, json=cramps_chart, headers=lines).headers["content-language"] == "es"


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "es"), ("fr", "es"), ("*", "es"), ("zh-TW", "es"), ("es;q=0", "es"), ("en", "en"), ("zh-CN", "zh-Hans")],
)
def test_what_the_site_has_set_speaks_where_a_header_asks_for_none_of_ours(
    spanish_site: str, cramps_chart: dict[str, Any], header: str, language: str
) -> None:
    url, headers = f"{spanish_site}{VIEW}", {"Accept-Language": header}
    answer = httpx.post(url, json=cramps_chart, headers=headers, trust_env=False)
    assert answer.headers["content-language"] == language
    assert SUMMARIES[language] in [card["summary"] for card in answer.json()["cards"]]


@pytest.fixture(scope="module")
def spanish_site(serving: Serving) -> Iterator[str]:
    """A service whose environment says PRENATAL_CDS_LANGUAGE=es-MX."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PRENATAL_CDS_LANGUAGE", "es-MX")
        settings = load_settings({"log_level": "error", "fixed_now": NOON})
    with serving(create_app(settings)) as base:
        yield base
