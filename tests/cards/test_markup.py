"""Record text on a card cannot become markup: real requests, three languages, two renderers."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cds.advise import Adviser, DataUnavailable
from cds.cards.text import MOST_MARKS, escape, plain, said, summary
from cds.hooks import parse_request, to_json
from cds.service.json_input import dump_json
from tests.cards.hostile import (
    FIXTURES,
    GOLDEN,
    HOSTILE,
    LANGUAGES,
    MEMBERS,
    ON_HOLD,
    TELLING,
    TEMPLATE_TAGS,
    Json,
    planted,
    rendered,
    shape,
)

NOW = datetime.fromisoformat((FIXTURES / "now.txt").read_text(encoding="utf-8").strip())
HARMLESS = "zzq"
ALLOWED = {f"<{end}{tag}>" for tag in TEMPLATE_TAGS for end in ("", "/")}


def cards(adviser: Adviser, body: Json, language: str) -> list[Json]:
    try:
        advice = adviser.advise(parse_request(body, hook=body["hook"]), NOW, language)
    except DataUnavailable:
        return []
    found: Json = json.loads(dump_json(to_json(advice.response())))
    return list(found["cards"])


def check(card: Json) -> None:
    """No tag, attribute, comment or address in a card that its template has not."""
    for renderer, html in rendered(card["detail"]).items():
        assert set(shape(html)) <= ALLOWED, renderer
    for text in plain_texts(card):
        assert set(shape(text)) == set(), "no tag, even where a client takes plain text for HTML"
        assert not any(c in text for c in "<>\n\t")
        for renderer, html in rendered(text).items():
            assert not {row for row in shape(html) if row.startswith(("<a", "<img", "<script"))}, renderer
    line = card["summary"]
    assert 0 < len(line.encode("utf-16-le")) // 2 < 140
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in line)


def plain_texts(card: Json) -> list[str]:
    """Every text that a client shows beside the detail."""
    suggestions = card.get("suggestions", [])
    actions = [action["description"] for suggestion in suggestions for action in suggestion["actions"]]
    labels = [row["label"] for row in (*suggestions, *card.get("links", []), card["source"])]
    reasons = [row["display"] for row in (*card.get("overrideReasons", []), card["source"]["topic"])]
    return [card["summary"], *labels, *reasons, *actions]


def urls(card: Json) -> list[str]:
    return [row["url"] for row in (card["source"], *card.get("links", [])) if "url" in row]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_anywhere_in_the_record_is_text(adviser: Adviser, number: int) -> None:
    seen = 0
    for turn, member in enumerate(MEMBERS):
        # Another golden request for each text and member: together they meet all of them.
        language = LANGUAGES[(number + turn) % 3]
        name = GOLDEN[(number * len(MEMBERS) + turn * 7) % len(GOLDEN)]
        if member in ("text", "display"):
            name = TELLING[(number + turn) % len(TELLING)]
        hostile = cards(adviser, planted(name, member, HOSTILE[number]), language)
        for card in hostile:
            check(card)
        harmless = cards(adviser, planted(name, member, HARMLESS), language)
        if member in ("text", "display") and topics(hostile) == topics(harmless):
            seen += any(HARMLESS in card["detail"] for card in harmless)
            for one, other in zip(hostile, harmless, strict=True):
                assert urls(one) == urls(other), "a link never comes from the record"
                for renderer, html in rendered(one["detail"]).items():
                    assert kinds(html) == kinds(rendered(other["detail"])[renderer]), f"{name} {member} {renderer}"
    assert seen, "at least once the text reached cards that could be compared"


def topics(found: list[Json]) -> list[Any]:
    return [card["source"]["topic"]["code"] for card in found]


def kinds(html: str) -> list[str]:
    """The elements of a page in their order; how many remarks a list holds may differ, for remarks tell of contents."""
    rows = shape(html)
    return [row for at, row in enumerate(rows) if row not in ("<li>", "</li>") or rows[at - 1] == "<ul>"]


def test_the_check_finds_what_it_looks_for() -> None:
    card: Json = {"summary": "x", "source": {"label": "x", "topic": {"display": "x"}}, "detail": "x"}
    check(card)
    for detail in (
        "<b>x</b>",
        "[x](y)",
        "![x](y)",
        "https://evil.example",
        "www.evil.example",
        "a@evil.example",
        "# x",
    ):
        with pytest.raises(AssertionError):
            check({**card, "detail": detail})
    for line in ("<b>", "![x](https://evil.example)", "x" * 140, "", "\u202ex", "https://evil.example"):
        with pytest.raises(AssertionError):
            check({**card, "summary": line})


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_the_name_of_a_medicine_to_put_on_hold_is_text(adviser: Adviser, number: int) -> None:
    found = cards(adviser, planted(ON_HOLD, "text", HOSTILE[number]), LANGUAGES[number % 3])
    for card in found:
        check(card)
    harmless = cards(adviser, planted(ON_HOLD, "text", HARMLESS), "en")
    assert any(HARMLESS in text for card in harmless for text in plain_texts(card))


MARKS = st.text(alphabet=st.sampled_from("ab1 .)-+*_~`<>[]()!#|&\\=:;/@\n\t\"'{}$^w%\u0301\u200b"), max_size=60)
TEXTS = st.one_of(
    MARKS, st.text(max_size=60), st.lists(st.sampled_from([text[:200] for text in HOSTILE]), max_size=3).map("".join)
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("1. 1. x")
@example("- ---")
def test_any_text_is_text_in_every_place_of_a_list(text: str) -> None:
    markdown = f"**Based on**\n\n- {escape(text)}\n- before {escape(text)} after\n\n{escape(text)} says so."
    for renderer, html in rendered(markdown).items():
        rows = shape(html)
        assert set(rows) <= ALLOWED, renderer
        assert (rows.count("<li>"), rows.count("<p>"), rows.count("<ul>")) == (2, 2, 1), renderer


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(2, 90))
def test_any_text_in_a_plain_place_is_no_tag_and_no_link(text: str, limit: int) -> None:
    for line in (said(text, limit), summary(f"Check {said(text, limit)} first")):
        assert not set(line) & set("<>\n\t\r")
        for html in rendered(f"Check {line} first").values():
            assert not {row for row in shape(html) if row.startswith(("<a", "<img"))}


@settings(max_examples=20, deadline=None)
@given(TEXTS.filter(lambda text: text.strip()), st.sampled_from(LANGUAGES), st.sampled_from(MEMBERS), st.data())
def test_any_text_of_a_record_is_text(
    adviser: Adviser, text: str, language: str, member: str, data: st.DataObject
) -> None:
    for card in cards(adviser, planted(data.draw(st.sampled_from(GOLDEN)), member, text), language):
        check(card)


# -- cutting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        ("cafe\u0301s and more", 5, "caf…"),
        ("ab\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 6, "ab…"),
        ("ab\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 7, "ab\U0001f1e9\U0001f1ea…"),
        ("ok\U0001f44d\U0001f3fd!!", 5, "ok…"),
        ("ok\u2764\ufe0f!!", 4, "ok…"),
        ("血钙" * 80, 139, "血钙" * 69 + "…"),
    ],
)
def test_a_text_is_cut_between_characters_as_a_reader_sees_them(text: str, limit: int, line: str) -> None:
    assert plain(text, limit) == line


def test_a_summary_is_short_enough_as_browsers_count() -> None:
    assert len(summary("\U0001f930" * 200).encode("utf-16-le")) // 2 == 139


def test_marks_that_pile_up_on_a_letter_are_cut() -> None:
    assert plain("e" + "\u0301" * 500 + "f") == "e" + "\u0301" * MOST_MARKS + "f"
