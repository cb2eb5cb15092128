"""Where the real records are, and a service at the time of each record.

The records are other people's files and stay where they are: beside the checkout, never in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from cds.service import create_app, load_settings
from tests.real.clinic import Clinic
from tests.service.conftest import running

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real records; without it every test here is skipped."""
    if not REAL.is_dir():
        pytest.skip("the real records are not on this machine (folder shared/data/real beside the checkout)")
    return REAL


@pytest.fixture(scope="session")
def clinic_at() -> Iterator[Callable[[datetime], Clinic]]:
    """A real server whose clock stands at the given time; one per time, all stopped at the end."""
    with ExitStack() as open_servers:
        clinics: dict[datetime, Clinic] = {}

        def at(now: datetime) -> Clinic:
            if now not in clinics:
                app = create_app(load_settings({"fixed_now": now.isoformat(), "log_level": "error"}))
                base = open_servers.enter_context(running(app))
                http = open_servers.enter_context(httpx.Client(base_url=base, timeout=20, trust_env=False))
                clinics[now] = Clinic(http, app.state.rules.adviser, now)
            return clinics[now]

        yield at
