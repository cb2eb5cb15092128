"""What can be wrong with the knowledge, told so that its author can mend it.

KnowledgeError            the folder cannot be used; carries every problem found, not only the first
  └─ Problem              one line: file:line, what is wrong, the way out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, order=True)
class Problem:
    """One finding about one place in rules/.

    ``open_sign_off`` marks what a clinician still has to confirm, ``gap`` a text that a language lacks: neither stops
    loading.
    """

    file: str
    line: int
    message: str
    open_sign_off: bool = False
    gap: bool = False

    @property
    def stops_loading(self) -> bool:
        return not self.open_sign_off and not self.gap

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class KnowledgeError(Exception):
    """The knowledge base cannot be built. ``problems`` lists every reason, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(p) for p in self.problems))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, or nothing."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
