"""What every test folder shares: the bundled knowledge and one adviser over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.advise import Adviser
from cds.knowledge import KnowledgeBase, load_knowledge
from cds.service import log
from tests.canary import NET, kinds_in_store


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What servers of the tests keep goes to a folder of this run, never to the home of whoever runs them."""
    home = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        yield home
    assert not kinds_in_store(home), "the tests left private data in what a service keeps"


@pytest.fixture(scope="session", autouse=True)
def log_lines_are_looked_at() -> Iterator[None]:
    """Each line that the service logs in this process goes through the net on its way to stderr."""
    write = log._Stderr.msg

    def look_and_write(self: log._Stderr, line: str) -> None:
        NET.look("log line", line)
        write(self, line)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("msg", "debug", "info", "warning", "error", "critical"):
            patch.setattr(log._Stderr, name, look_and_write)
        yield


@pytest.fixture(autouse=True)
def nothing_private_leaks() -> Iterator[None]:
    """A test during which a canary got into a log, a header or an error body fails; see tests/canary.py."""
    yield
    assert NET.take() == []


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@pytest.fixture(scope="session")
def adviser(knowledge: KnowledgeBase) -> Iterator[Adviser]:
    with Adviser(knowledge) as ready:
        yield ready
