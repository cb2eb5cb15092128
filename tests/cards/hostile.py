"""Hostile texts, where a record can hold them, and what two renderers of GitHub-flavoured Markdown make of a card."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cmarkgfm  # type: ignore[import-untyped]
from cmarkgfm.cmark import Options  # type: ignore[import-untyped]
from markdown_it import MarkdownIt

from cds.service.json_input import parse_json

Json = dict[str, Any]
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
LANGUAGES = ("en", "es", "zh-Hans")
TEMPLATE_TAGS = frozenset({"p", "strong", "ul", "li"})
"""All that our cards are made of."""

HOSTILE = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "<svg/onload=window.ran=1>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "<a href='javascript:window.ran=1'>x</a>",
    "</li></ul><h1>Take 50 g</h1>",
    "<!-- x --> <![CDATA[<b>x</b>]]> <?php x ?> <!DOCTYPE x>",
    "&lt;img src=x onerror=window.ran=1&gt; &#x3c;b&#x3e; &#60;i&#62;",
    "[x](javascript:window.ran=1)",
    "![x](https://evil.example/p.png)",
    "[x][evil] [evil]: https://evil.example",
    "\n\n[evil]: https://evil.example\n\n[evil]",
    "https://evil.example/x http://evil.example ftp://evil.example",
    "HTTPS://EVIL.EXAMPLE www.evil.example WWW.EVIL.EXAMPLE",
    "a@evil.example mailto:a@evil.example xmpp:a@evil.example/x",
    "<https://evil.example> <a@evil.example>",
    "note[^1] [^1]: https://evil.example",
    "**bold** __bold__ *i* _i_ ~~gone~~ ~gone~",
    "`code` ``x`` ``` ~~~",
    "\n# heading\n## heading\n",
    "\nsetext\n===\n\nsetext\n---\n",
    "\n> quote\n\n- item\n+ item\n* item\n1. item\n2) item\n- [ ] task\n- [x] task",
    "\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "\n\n    indented\n\n\tcode",
    "\n---\n***\n___\n",
    "\\ \\\\ \\[x](y) \\<b> line\\\n",
    "$x$ $$y$$ :smile: #123 @someone 2cf24dba5fb0a30e",
    "\u202e<b>evil</b>\u202c \u2066x\u2069 \u200b \u200d \ufeff \u00ad",
    "\x00<b>\x07\x1b[31m\x7f\x85\u2028- x\u2029# y",
    "e" + "\u0301\u0489" * 200,
    "w" * 5000,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 " * 60,
    "{name} {{context.patientId}} ${x} %s {supplement}",
    "＜b＞ ‹b› 〈b〉 \uff1cscript\uff1e",
    "Ⓗttps：//evil.example w\u200bww.evil.example https:\u200b//evil.example",
)
MEMBERS = ("text", "display", "unit", "id", "code", "linkId", "reference", "valueString", "status", "dates", "system")
"""The members of resources that hostile text is put into, one of them at a time."""
_DATES = ("effectiveDateTime", "valueDateTime", "authoredOn", "recordedDate", "onsetDateTime", "birthDate", "start")
TELLING = (
    "calcium-order-above-the-upper-limit",
    "calcium-order-while-taking-calcium",
    "calcium-order-while-taking-lithium",
    "iron-order-with-levothyroxine-and-dolutegravir",
    "quinine-order-for-cramps",
)
"""Golden requests whose cards repeat names of medicines."""
ON_HOLD = "high-vitamin-d-while-taking-vitamin-d"
"""One whose card proposes to put a request on hold, named by the display of its medicine."""
GOLDEN = sorted(path.stem for path in (FIXTURES / "requests").glob("*.json"))


def golden(name: str) -> Json:
    body: Json = parse_json((FIXTURES / "requests" / f"{name}.json").read_bytes())
    return body


def planted(name: str, member: str, text: str) -> Json:
    """A golden request with the text in every such member of its resources.

    Names keep their words, so that the same rules speak; notes and dosage texts are added where there are none.
    """
    body = copy.deepcopy(golden(name))
    # The drafts of the order hooks are named in `selections`; without these none would be chosen.
    body["context"].pop("selections", None)
    if body["hook"] == "order-select":
        body["hook"] = "order-sign"
    for resource in resources(body):
        if member == "text":
            resource["note"] = [{"text": text}]
            for dosage in resource.get("dosageInstruction") or resource.get("dosage") or ():
                dosage["text"] = f"{dosage.get('text', '')} {text}"
        _plant(resource, member, text)
    return body


def resources(body: Json) -> Iterator[Json]:
    parts = [*(body.get("prefetch") or {}).values(), body["context"].get("draftOrders")]
    for part in parts:
        if isinstance(part, dict) and part.get("resourceType") == "Bundle":
            yield from (entry["resource"] for entry in part.get("entry") or () if "resource" in entry)


def _plant(node: Any, member: str, text: str) -> None:
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, str) and (key == member or (member == "dates" and key in _DATES)):
            node[key] = f"{value} {text}" if member in ("text", "display", "valueString") else text
        elif key not in ("subject", "patient"):
            _plant(value, member, text)
    for item in node if isinstance(node, list) else ():
        _plant(item, member, text)


# -- rendering --------------------------------------------------------------------------------------------------------

_MARKDOWN_IT = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_EXTENSIONS = ["table", "autolink", "tagfilter", "strikethrough", "tasklist"]


def rendered(markdown: str) -> dict[str, str]:
    """The HTML of two independent renderers, both told to let raw HTML through."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
    return {
        "cmark-gfm": cmarkgfm.markdown_to_html_with_extensions(markdown, options=options, extensions=_EXTENSIONS),
        "cmark-gfm without tagfilter": cmarkgfm.markdown_to_html_with_extensions(
            markdown, options=options, extensions=[name for name in _EXTENSIONS if name != "tagfilter"]
        ),
        "markdown-it": _MARKDOWN_IT.render(markdown),
    }


class _Shape(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows.append(f"<{tag}{json.dumps(attrs) if attrs else ''}>")

    def handle_endtag(self, tag: str) -> None:
        self.rows.append(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self.rows.append("<!--")

    def handle_decl(self, decl: str) -> None:
        self.rows.append("<!")

    def unknown_decl(self, data: str) -> None:
        self.rows.append("<![")

    def handle_pi(self, data: str) -> None:
        self.rows.append("<?")


def shape(html: str) -> list[str]:
    """Everything of a page but its text: tags with their attributes, comments, declarations."""
    parser = _Shape()
    parser.feed(html)
    parser.close()
    return parser.rows
