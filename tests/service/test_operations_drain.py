"""Ending under load: no request that came in goes without its whole answer."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.knowledge.small_rules import small_rules
from tests.service.processes import Load, serving_process

NOON = "2026-11-22T12:00:00Z"


@pytest.mark.parametrize("workers", [1, 2])
def test_no_answer_is_broken_when_the_service_is_told_to_end_under_load(
    tmp_path: Path, empty_chart: dict[str, Any], workers: int
) -> None:
    content = json.dumps(empty_chart).encode()
    rules = small_rules(tmp_path).root
    with serving_process(tmp_path, rules_dir=rules, workers=workers, fixed_now=NOON, log_level="warning") as served:
        load = Load(served.port, "/cds-services/prenatal-patient-view", content)
        paused = Load(served.port, "/cds-services/prenatal-patient-view", content, pause=0.05)
        with load.clients(6), paused.clients(6):
            time.sleep(1)
            served.signal(signal.SIGTERM)
            assert served.process.wait(20) == 0
    assert load.broken + paused.broken == []
    assert load.answers[200] + paused.answers[200] > 30
    assert load.refused + paused.refused > 0
