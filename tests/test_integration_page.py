"""docs/integration.md is what happens: its service is started, its commands are run, its tables are tried out."""

from __future__ import annotations

import copy
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds.service.connection import _REFUSALS
from cds.service.settings import Settings
from tests.peers import installed
from tests.transcripts import ROOT, assert_printed, links, run, transcripts

Json = dict[str, Any]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PAGE = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")
FILES: dict[str, str] = dict(re.findall(r"```json (\S+\.json)\n(.*?)```", PAGE, flags=re.DOTALL))
SHOWN = transcripts(PAGE)
VIEW = "/cds-services/prenatal-patient-view"
CALCIUM: Json = json.loads((ROOT / "fixtures/requests/calcium-draft-without-check.json").read_text(encoding="utf-8"))


def table(header: str) -> list[list[str]]:
    """The cells of the table that begins with this header cell, without their code marks."""
    head = re.escape(f"| {header} |")
    (rows,) = re.findall(rf"^{head}[^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)", PAGE, flags=re.MULTILINE)
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the page has put its files."""
    folder = tmp_path_factory.mktemp("integration")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The service, started by the first command of the page, on a free port."""
    (command,) = re.findall(r"\$ (PRENATAL_CDS_\S+) prenatal-cds serve\n", PAGE)
    name, _, value = command.partition("=")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "cds", "serve", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, name: value},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None, "the service ended"
            assert time.monotonic() < deadline, "the service did not start within 30 seconds"
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.parametrize(("command", "expected"), SHOWN, ids=range(len(SHOWN)))
def test_the_command_prints_what_the_page_shows(base: str, folder: Path, command: str, expected: str) -> None:
    installed.command("curl")
    assert "127.0.0.1:8000" in command
    printed = run(command.replace("http://127.0.0.1:8000", base), folder)
    assert_printed(expected, printed, command)
    assert expected.count("\n") == printed.rstrip("\n").count("\n") + 1, "lines that the page does not show"


def fits(shown: Any, real: Any) -> bool:
    """Whether the shown JSON is a shortening of the real one: `...` stands for whatever was left out."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(key in real and fits(shown[key], real[key]) for key in shown)
    if isinstance(shown, list):
        open_end = shown[-1:] == ["..."]
        wanted = shown[:-1] if open_end else shown
        same_length = isinstance(real, list) and (len(real) > len(wanted) if open_end else len(real) == len(wanted))
        return same_length and all(map(fits, wanted, real))
    if isinstance(shown, str) and shown.endswith("..."):
        return isinstance(real, str) and real.startswith(shown.removesuffix("..."))
    return bool(shown == real)


def test_the_answer_shown_is_a_shortening_of_the_answer_given(base: str) -> None:
    (shown,) = re.findall(r"```json answer\n(.*?)```", PAGE, flags=re.DOTALL)
    answer = httpx.post(base + VIEW, json=json.loads(FILES["request.json"]), trust_env=False)
    assert fits(json.loads(shown), answer.json())
    assert not fits(json.loads(shown.replace("checked-elsewhere", "checked")), answer.json())


@pytest.mark.parametrize("row", table("`prefetch.laboratory`"), ids=lambda row: row[1])
def test_a_prefetch_key_means_what_the_table_says(base: str, row: list[str]) -> None:
    request = copy.deepcopy(CALCIUM)
    value, _, topic = row
    if value == "left out":
        del request["prefetch"]["laboratory"]
    else:
        request["prefetch"]["laboratory"] = json.loads(value)
    answer = httpx.post(f"{base}/cds-services/prenatal-order-select", json=request, trust_env=False)
    assert [card["source"]["topic"]["code"] for card in answer.json()["cards"]] == [topic]


def test_every_template_is_a_read_or_a_search_by_patient_code_and_status(base: str) -> None:
    """No token that a client may be unable to fill: Medplum's then sends null, which says that there is nothing."""
    services = httpx.get(f"{base}/cds-services", trust_env=False).json()["services"]
    templates = {template for service in services for template in service["prefetch"].values()}
    assert {token for template in templates for token in re.findall(r"\{\{.*?\}\}", template)} == {
        "{{context.patientId}}"
    }
    searches = [template.partition("?")[2] for template in templates if "?" in template]
    assert {part.partition("=")[0] for search in searches for part in search.split("&")} == {
        "patient",
        "code",
        "status",
    }


def test_every_status_that_the_service_can_answer_is_explained() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cds" / "service").glob("*.py"))
    answered = {int(status) for status in re.findall(r"\b(?:Refusal|outcome)\(\s*(\d{3}),", source)}
    answered |= set(_REFUSALS)
    assert answered >= {400, 404, 405, 408, 412, 413, 414, 415, 431, 503}
    assert answered <= {int(status) for status, *_ in table("status")}


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "kind"),
    [
        (400, "POST", VIEW, b"{", "application/json"),
        (404, "POST", f"{VIEW}/", b"{}", "application/json"),
        (405, "GET", VIEW, b"", ""),
        (412, "POST", VIEW, None, "application/json"),
        (413, "POST", VIEW, b" " * 2_000_001, "application/json"),
        (415, "POST", VIEW, b"{}", "text/plain"),
    ],
)
def test_a_status_of_the_table_happens_with_a_text_that_says_what_to_do(
    base: str, status: int, method: str, path: str, body: bytes | None, kind: str
) -> None:
    assert str(status) in {row[0] for row in table("status")}
    if body is None:
        body = json.dumps({**json.loads(FILES["request.json"]), "prefetch": {}}).encode()
    answer = httpx.request(method, base + path, content=body, headers={"Content-Type": kind}, trust_env=False)
    assert answer.status_code == status
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["details"]["text"]


def test_actions_are_of_the_kinds_that_the_table_lists() -> None:
    found = set()
    for path in (ROOT / "fixtures" / "responses").glob("*.json"):
        for card in json.loads(path.read_text(encoding="utf-8"))["cards"]:
            assert all(link["type"] == "absolute" for link in card.get("links", ()))
            for suggestion in card.get("suggestions", ()):
                assert "isRecommended" not in suggestion
                found |= {_kind(action) for action in suggestion["actions"]}
    assert found == {
        ("create", "ServiceRequest", "draft", "proposal"),
        ("delete", "resourceId"),
        ("update", "MedicationRequest", "on-hold"),
    }
    listed = {action: resource for action, resource, _ in table("action")}
    assert set(listed) == {kind[0] for kind in found}
    for action, *words in found:
        assert all(f"`{word}`" in f"`{listed[action]}`" for word in words)


def _kind(action: Json) -> tuple[str, ...]:
    resource = action.get("resource")
    if resource is None:
        assert action["resourceId"]
        return (action["type"], "resourceId")
    more = (resource["intent"],) if action["type"] == "create" else ()
    return (action["type"], resource["resourceType"], resource["status"], *more)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_every_page_leads_somewhere(page: Path) -> None:
    found = dict.fromkeys(links(page.read_text(encoding="utf-8")))
    local = [link for link in found if not link.startswith("https://")]
    assert [link for link in local if not (page.parent / link.partition("#")[0]).exists()] == []


def test_every_default_that_a_table_of_a_page_tells_is_that_of_the_settings() -> None:
    told = [
        (page.name, name.lower(), float(number.replace(",", "")))
        for page in PAGES
        for name, number in re.findall(
            r"^\| `(?:PRENATAL_CDS_)?(\w+)`[^|]*\| ([\d,.]+)(?= |;)",
            page.read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
    ]
    assert len(told) > 15
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert [row for row in told if row[1] in defaults and row[2] != defaults[row[1]]] == []
