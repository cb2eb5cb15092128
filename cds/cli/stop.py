"""How a verb ends other than well.

Exception
  Stop     one line for the user, and the exit code
"""

from __future__ import annotations

from typing import Final

ISSUES: Final = 1
WRONG_USE: Final = 2


class Stop(Exception):
    """Ends a verb: ``text`` goes to stderr as it is, ``code`` is the exit code. It holds no patient value."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
