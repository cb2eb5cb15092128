"""What every test folder shares: the bundled knowledge and one adviser over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.advise import Adviser
from cds.knowledge import KnowledgeBase, load_knowledge


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What servers of the tests keep goes to a folder of this run, never to the home of whoever runs them."""
    home = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@pytest.fixture(scope="session")
def adviser(knowledge: KnowledgeBase) -> Iterator[Adviser]:
    with Adviser(knowledge) as ready:
        yield ready
