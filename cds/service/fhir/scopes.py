"""What the scopes of an access token allow: SMART App Launch, version 1 (`patient/Observation.read`) and 2
(`patient/Observation.rs`).

Source: https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

Interaction = Literal["read", "search"]

# launch, openid, fhirUser and whatever else has no such form allows no data.
_SCOPE: Final = re.compile(
    r"(?P<context>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]{0,63})"
    r"\.(?P<may>read|write|\*|(?=[cruds])c?r?u?d?s?)(?P<filter>\?\S*)?"
)
_LETTER: Final[dict[Interaction, str]] = {"read": "r", "search": "s"}


class Reach(Enum):
    """How much of a type of resource a token shows: none of it, rows of one patient or filtered ones, all."""

    NONE = 0
    PART = 1
    FULL = 2


@dataclass(frozen=True)
class Grant:
    """One scope: for whom (`patient` means the one patient of the token), what type, what may be done."""

    context: str
    type: str
    may: str
    filtered: bool

    def allows(self, kind: str, interaction: Interaction) -> bool:
        if self.type not in ("*", kind):
            return False
        return self.may in ("read", "*") or (self.may != "write" and _LETTER[interaction] in self.may)


def read_scopes(scope: str) -> tuple[Grant, ...]:
    """The grants of a scope string; what is no scope for FHIR data is left out."""
    found = (_SCOPE.fullmatch(word) for word in scope.split())
    return tuple(Grant(m["context"], m["type"], m["may"], m["filter"] is not None) for m in found if m)


def reach(grants: tuple[Grant, ...], kind: str, interaction: Interaction, *, token_is_hers: bool) -> Reach:
    """How far the grants let us see one type of resource.

    A filter (`?category=...`) may hide rows of a search. So may a scope for the patient of the token, unless it is
    known that the token is for this patient. A read has no rows to hide: it finds the resource or fails.
    """
    able = [grant for grant in grants if grant.allows(kind, interaction)]
    if not able:
        return Reach.NONE
    whole = any(not grant.filtered and (token_is_hers or grant.context != "patient") for grant in able)
    return Reach.FULL if whole or interaction == "read" else Reach.PART
