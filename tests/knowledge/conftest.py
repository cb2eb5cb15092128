"""A fresh small rules folder for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.knowledge.small_rules import Rules, small_rules


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """A folder of two rules without a problem."""
    return small_rules(tmp_path)
