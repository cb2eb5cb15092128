"""Record text on a card: shown, never obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cds.cards.text import LONGEST, escape, fill, plain, sentence, summary
from cds.knowledge.wording import SUMMARY_LIMIT

GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HARMLESS = {
    "text",
    "text_special",
    "inline",
    "paragraph_open",
    "paragraph_close",
    "softbreak",
    "bullet_list_open",
    "bullet_list_close",
    "list_item_open",
    "list_item_close",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=y>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "https://evil.example",
    "HTTP://evil.example",
    "www.evil.example",
    "WWW.evil.example",
    "me@evil.example",
    "<https://evil.example>",
    "**bold**",
    "__bold__",
    "*i*",
    "_i_",
    "~~gone~~",
    "`code`",
    "# heading",
    "> quote",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "12) item",
    "---",
    "===",
    "***",
    "| a | b |",
    "|-|-|",
    "&lt;b&gt;",
    "&#60;",
    "\\",
    "\\[x](y)",
    "line\n\n# heading",
    "a\nb\n---",
    "[ref]: https://evil.example",
    "[^1]: note",
    "$x$",
    "\u202eevil",
    "\u2028- x",
    "\x00<b>",
    "~~~",
    "```",
    "    code",
    "- - -",
    "- [ ] task",
    ":::note",
    "<!-- x -->",
    "\u00a0- x",
    "{name}",
]


def tokens(markdown: str) -> list[Token]:
    return [inner for token in GFM.parse(markdown) for inner in (token, *(token.children or ()))]


def kinds(markdown: str) -> set[str]:
    return {token.type for token in tokens(markdown)}


def seen(markdown: str) -> str:
    """What a reader sees."""
    return "".join(token.content for token in tokens(markdown) if token.type in ("text", "text_special"))


MARKS = st.text(alphabet=st.sampled_from("ab1 .)-+*_~`<>[]()!#|&\\=:;/@\n\t\"'{}$^www"), max_size=60)
TEXT = st.one_of(st.text(max_size=80), MARKS, st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text: str) -> None:
    for markdown in (escape(text), f"Based on {escape(text)} today", f"- {escape(text)}"):
        assert kinds(markdown) <= HARMLESS, markdown
        assert kinds(markdown) & {"list_item_open"} == ({"list_item_open"} if markdown.startswith("- ") else set())


@given(TEXT)
@example("- ---")
@example("1. 1. x")
def test_no_text_becomes_markup(text: str) -> None:
    markdown = f"**Based on**\n\n- {escape(text)}\n- next"
    found = [token.type for token in tokens(markdown)]
    assert set(found) - {"strong_open", "strong_close"} <= HARMLESS
    assert found.count("list_item_open") == 2
    assert found.count("strong_open") == 1


@given(TEXT)
def test_no_text_becomes_an_address_that_a_reader_could_follow(text: str) -> None:
    shown = escape(text).lower()
    assert "://" not in shown
    assert "@" not in shown
    assert "www." not in shown


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="@:"), max_size=80)
)
def test_text_shows_as_it_was_written(text: str) -> None:
    if "www" not in text.lower():
        assert seen(escape(text)) == plain(text)


@given(TEXT, st.integers(1, 40))
def test_plain_text_is_one_short_line_without_invisible_characters(text: str, limit: int) -> None:
    line = plain(text, limit)
    assert len(line) <= limit
    assert line == line.strip()
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in line)


def test_a_text_is_cut_with_a_sign_that_it_was() -> None:
    assert plain("x" * 400) == "x" * (LONGEST - 1) + "…"
    assert plain("x" * LONGEST) == "x" * LONGEST
    assert plain("a\n\n b\t c") == "a b c"


@given(TEXT)
def test_a_summary_is_short_and_holds_no_tag(text: str) -> None:
    line = summary(text)
    assert len(line) <= SUMMARY_LIMIT < 140
    assert not set(line) & set("<>\n")


def test_placeholders_are_filled_once() -> None:
    assert fill("Check {a} before {b}", {"a": "{b}", "b": "x"}) == "Check {b} before x"
    assert fill("{unknown}!", {}) == "!"


def test_a_heading_ends_with_the_full_stop_of_its_script() -> None:
    assert sentence("Low calcium.") == "Low calcium."
    assert sentence("Calcio bajo") == "Calcio bajo."
    assert sentence("血钙偏低") == "血钙偏低。"


def test_a_bound_stays_a_bound_in_a_summary() -> None:
    assert summary("25-OH vitamin D <25 nmol/L is low") == "25-OH vitamin D ＜25 nmol/L is low"
    assert summary("calcium >3.5") == "calcium ＞3.5"
