"""Programs of others that the tests run against the service: where they are, and what to do without them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REQUIRED = os.environ.get("REQUIRE_PEERS") == "1"


def _missing(what: str) -> None:
    reason = f"no {what} here; `make peers` installs it"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


def command(name: str) -> str:
    """The path of a command (node, chromium, nginx, curl); skips the test where there is none."""
    found = shutil.which(name)
    if found is None:
        _missing(name)
    return found or name


def node() -> str:
    """Node, with the packages of package.json beside this file; skips the test without them."""
    if not (HERE / "node_modules" / ".installed").exists():
        _missing("set of npm packages")
    return command("node")
