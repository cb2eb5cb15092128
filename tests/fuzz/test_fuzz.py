"""The fuzz targets under hypothesis on every run, and under atheris for a bounded time where it is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.advise import Adviser
from cds.service.answers import Refusal
from cds.service.limits import Deadline
from tests.fuzz import targets, worst

SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
ROOT = Path(__file__).parents[2]

_pieces = st.sampled_from(
    [b'{"', b'":', b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\\u", b"d800", b"\xff", b"\xef\xbb\xbf", b"1e", b"-",
     b"0", b"9" * 101, b"NaN", b"null", b"true", b" ", b"\x00", b"hook", b"context", b"prefetch", b"patientId"]
)  # fmt: skip
_bytes = st.binary(max_size=300) | st.lists(_pieces, max_size=60).map(b"".join)


@given(_bytes)
@settings(max_examples=300, deadline=None)
def test_the_parser_refuses_only_as_it_says(data: bytes) -> None:
    targets.parser(data)


@given(_bytes)
@settings(max_examples=200, deadline=None)
def test_the_request_is_refused_only_as_it_says(data: bytes) -> None:
    targets.request(data)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_record_that_is_broken_anywhere_gives_cards_or_a_named_refusal(data: Any) -> None:
    targets.advice(lambda most: data.draw(st.integers(0, most - 1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", worst.WORKLOADS)
def test_work_on_any_record_stops_soon_after_its_time(adviser: Adviser, name: str) -> None:
    """The clock is looked at within every loop that a record can make long."""
    asked = worst.call(name, 1500)
    deadline = Deadline(0.5)
    started = time.monotonic()
    with suppress(Refusal):
        adviser.advise(asked, worst.NOW, tick=deadline.tick)
    assert time.monotonic() - started < 3


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no build for this Python")
@pytest.mark.parametrize("name", ["parser", "request", "advice"])
def test_coverage_guided_fuzzing_finds_nothing_within_its_time(name: str, tmp_path: Path) -> None:
    """FUZZ_SECONDS sets the time of each target in seconds; docs/limits.md says how to fuzz on."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", name, str(tmp_path), str(SECONDS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS + 90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done" in done.stderr
