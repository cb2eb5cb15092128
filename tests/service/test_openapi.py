"""The OpenAPI document says what the service does: compared with the routes, and tried by schemathesis."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from cds.service import create_app, load_settings
from cds.service.openapi import OPERATIONS

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def described(server: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server}/openapi.json", trust_env=False).json()
    return found


def test_each_route_is_described_and_nothing_else() -> None:
    app = create_app(load_settings())
    app.state.rules.adviser.close()
    served = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(operation.method, operation.path) for operation in OPERATIONS} == served


def test_each_service_has_a_path_with_its_own_body(described: dict[str, Any]) -> None:
    for hook in ("patient-view", "order-select", "order-sign"):
        operation = described["paths"][f"/cds-services/prenatal-{hook}"]["post"]
        (media,) = operation["requestBody"]["content"].values()
        name = media["schema"]["$ref"].rsplit("/", 1)[1]
        body = described["components"]["schemas"][name]
        assert body["properties"]["hook"] == {"const": hook}
        assert {"hook", "hookInstance", "context"} <= set(body["required"])


def test_each_reference_leads_to_a_schema_of_the_document(described: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/([^'\"]+)", repr(described)))
    assert names
    assert names <= set(described["components"]["schemas"])


def test_the_example_of_each_service_is_answered_by_cards(described: dict[str, Any], client: httpx.Client) -> None:
    tried = 0
    for path, methods in described["paths"].items():
        for content in methods.get("post", {}).get("requestBody", {}).get("content", {}).values():
            for example in content.get("examples", {}).values():
                answer = client.post(path, json=example["value"])
                assert answer.status_code == 200, answer.text
                assert answer.json()["cards"]
                tried += 1
    assert tried >= 3


def test_the_document_names_the_limits_and_the_address_of_this_site() -> None:
    app = create_app(load_settings({"max_entries": 77, "public_url": "https://cds.example.org/p/"}))
    app.state.rules.adviser.close()
    text = app.state.rules.openapi.decode()
    assert "77 resources" in text
    assert '"servers":[{"url":"https://cds.example.org/p"}]' in text


def test_schemathesis_finds_no_answer_that_the_document_does_not_promise(server: str, tmp_path: Path) -> None:
    """All checks: no 5xx; status, content type, headers and body as described; wrong bodies and methods refused."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{server}/openapi.json", "--checks", "all", "--max-examples", "20", "--max-time", "12"),
            *("--continue-on-failure", "--no-color", "--generation-database", "none", "--request-timeout", "10"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert int(generated[1]) > 100  # as many as a busy machine makes in that time
