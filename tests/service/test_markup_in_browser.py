"""Cards about hostile records, shown by Chromium as a careless client would: nothing runs, nothing is fetched."""

from __future__ import annotations

import json
from typing import Any

import httpx
from playwright.sync_api import Browser

from tests.cards.hostile import HOSTILE, LANGUAGES, ON_HOLD, TELLING, TEMPLATE_TAGS, Json, planted, rendered
from tests.cards.test_markup import plain_texts
from tests.peers.browser import chromium

# A client that takes every text for HTML, as the public sandbox does with the detail.
PAGE = """<!DOCTYPE html><meta charset="utf-8"><body><script>
window.ran = 0;
window.show = (place, html) => {
  const box = document.createElement("section");
  box.dataset.place = place;
  document.body.append(box);
  box.innerHTML = html;
};
window.elements = () => [...document.querySelectorAll("section *")].map(found => ({
  place: found.closest("section").dataset.place,
  tag: found.tagName.toLowerCase(),
  attributes: [...found.attributes].map(row => row.name),
}));
</script>"""


def shown(browser: Browser, rows: list[tuple[str, str]]) -> tuple[list[Any], int, list[str]]:
    """The elements that the texts became, how many scripts ran, and what the page tried to fetch."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(PAGE)
    page.evaluate("rows => rows.forEach(([place, html]) => show(place, html))", rows)
    page.wait_for_timeout(300)
    found: list[Any] = page.evaluate("() => elements()")
    ran: int = page.evaluate("() => window.ran")
    page.close()
    return found, ran, asked


def test_no_card_about_a_hostile_record_brings_an_element_a_script_or_a_request(client: httpx.Client) -> None:
    services = {row["hook"]: row["id"] for row in client.get("/cds-services").json()["services"]}
    details: list[tuple[str, str]] = []
    labels: list[tuple[str, str]] = []
    reached = 0
    for number, text in enumerate(HOSTILE):
        for name in (TELLING[number % len(TELLING)], ON_HOLD):
            # The parser refuses NUL.
            body = planted(name, "text", f"zzq {text[:400]}".replace("\x00", ""))
            for card in answered(client, services, body, LANGUAGES[number % 3]):
                reached += "zzq" in card["detail"]
                details += [(f"detail by {renderer}", html) for renderer, html in rendered(card["detail"]).items()]
                labels += [("plain text", line) for line in plain_texts(card)]
    assert reached > len(HOSTILE)
    with chromium() as browser:
        elements, ran, asked = shown(browser, details)
        assert {row["tag"] for row in elements} == TEMPLATE_TAGS
        assert not [row for row in elements if row["attributes"]]
        assert (ran, asked) == (0, [])
        assert shown(browser, labels) == ([], 0, [])
        # The same texts as they came do all of it: this page would show it.
        raw = [("raw", html) for text in HOSTILE for html in (text, *rendered(text).values())]
        elements, ran, asked = shown(browser, raw)
        assert {"img", "a", "svg", "iframe", "h1", "table"} <= {row["tag"] for row in elements}
        assert ran == 1
        assert any("evil.example" in url for url in asked)


def answered(client: httpx.Client, services: dict[str, str], body: Json, language: str) -> list[Json]:
    sent = json.dumps(body, default=float)
    headers = {"Content-Type": "application/json", "Accept-Language": language}
    answer = client.post(f"/cds-services/{services[body['hook']]}", content=sent, headers=headers)
    assert answer.status_code in (200, 412), answer.text
    found: list[Json] = answer.json().get("cards", [])
    return found
