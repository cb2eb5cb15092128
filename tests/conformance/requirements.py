"""The list of duties in requirements.yaml, read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("requirements.yaml")


@dataclass(frozen=True)
class Requirement:
    """One duty: `tests` (node ids below tests/) show it, or `reason` says why none does.

    `pending` names what is still to be built; no release has one.
    """

    id: int
    section: str
    strength: str
    duty: str
    tests: tuple[str, ...] = ()
    reason: str = ""
    pending: str = ""

    @property
    def binding(self) -> bool:
        """SHALL and SHALL NOT: a test is needed, a reason is not enough."""
        return self.strength.startswith("SHALL")


def load() -> list[Requirement]:
    """All duties, in the order of the file. Raises TypeError for an unknown or missing member."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [Requirement(id, **{**row, "tests": tuple(row.get("tests", ()))}) for id, row in rows.items()]
