"""What the public sandbox does with a card: GitHub's own Markdown with raw HTML let through, put into a page.

A medicine in the record may be called anything. Whatever it is called, the page gets words, no element, no request.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cmarkgfm  # type: ignore[import-untyped]
import pytest
from cmarkgfm.cmark import Options  # type: ignore[import-untyped]
from playwright.sync_api import Browser

from cds.advise import Adviser
from cds.hooks import parse_request
from tests.patients import NOW
from tests.peers.browser import chromium

REQUEST = Path(__file__).resolve().parents[2] / "fixtures" / "requests" / "calcium-draft-without-check.json"
NAME = "Calcium carbonate 1250 mg tablet"
HOSTILE = (
    "<script>window.hacked = 1</script>",
    '<img src="http://127.0.0.1:9/x" onerror="window.hacked = 1">',
    "<svg onload=window.hacked=1>",
    "<details open ontoggle=window.hacked=1>x</details>",
    '<iframe srcdoc="<script>parent.hacked = 1</script>"></iframe>',
    "&lt;img src=x onerror=window.hacked=1&gt;",
    "[now](javascript:window.hacked=1)",
    "![now](http://127.0.0.1:9/x)",
    "http://127.0.0.1:9/x www.evil.example a@evil.example",
    "<http://127.0.0.1:9/x>",
    "\n\n# Stop all medicines\n\n| a | b |\n|---|---|\n| c | d |\n\n```\nx\n```",
    "~~not~~ **now** `now` <!-- ",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def details(adviser: Adviser, name: str) -> list[str]:
    """The detail of each card for an order of this name."""
    body: Any = copy.deepcopy(json.loads(REQUEST.read_text(encoding="utf-8")))
    order = body["context"]["draftOrders"]["entry"][0]["resource"]
    order["medicationCodeableConcept"] = {"text": name, "coding": [{"display": name, "system": "urn:x", "code": "1"}]}
    cards = adviser.advise(parse_request(body, hook=body["hook"]), NOW).cards
    return [card.detail or "" for card in cards]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_medicine_with_a_hostile_name_is_words_on_the_page(browser: Browser, adviser: Adviser, text: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    shown = []
    try:
        for name in (NAME, f"{NAME} {text}"):
            cards = details(adviser, name)
            assert cards
            html = "".join(
                cmarkgfm.github_flavored_markdown_to_html(detail, options=Options.CMARK_OPT_UNSAFE) for detail in cards
            )
            page.set_content(html, wait_until="load")
            shown.append(
                page.evaluate(
                    "[...document.body.querySelectorAll('*')].map((one) => one.outerHTML.match(/^<[^>]*>/)[0])"
                )
            )
            assert page.evaluate("window.hacked") is None
    finally:
        page.close()
    harmless, hostile = shown
    assert hostile == harmless
    assert asked == []
