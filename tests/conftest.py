"""What every test folder shares: the bundled knowledge and one adviser over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cds.advise import Adviser
from cds.knowledge import KnowledgeBase, load_knowledge


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


@pytest.fixture(scope="session")
def adviser(knowledge: KnowledgeBase) -> Iterator[Adviser]:
    with Adviser(knowledge) as ready:
        yield ready
