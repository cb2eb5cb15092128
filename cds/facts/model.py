"""Facts: a census of the record, never a guess about its silence.

known    the record says so: value, unit, day and the resources it was read from
absent   we were given the data and it holds none (only kinds whose silence means something, see vocabulary.KINDS)
unknown  we were not given it, nobody recorded it, or what came cannot be read - always with a reason
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from cds.knowledge.model import FactKey
from cds.knowledge.vocabulary import BOUNDED, BOUNDED_NUMBERS

Value = bool | Decimal | str
_OPEN_END = Decimal(10**9)  # the largest number that the engine takes
State = Literal["known", "absent", "unknown"]


@dataclass(frozen=True)
class Fact:
    """One typed clinical statement about one patient.

    ``attributes`` are what the engine may test (numbers in canonical units, ages in days, booleans, enumerated
    words). ``shown`` is the value as the card says it, ``brief`` a shorter form for a summary, ``day`` the day when
    the record gives one, ``sources`` are `Type/id` references, ``reason`` explains absence or ignorance, ``remarks``
    name what a reader of the value should know.
    """

    key: FactKey
    title: str
    state: State
    attributes: Mapping[str, Value] = field(default_factory=dict)
    shown: str = ""
    day: date | None = None
    sources: tuple[str, ...] = ()
    reason: str = ""
    remarks: tuple[str, ...] = ()
    brief: str = ""

    def __post_init__(self) -> None:
        if self.state == "unknown" and self.attributes:
            raise ValueError("an unknown fact has no attributes")

    @property
    def line(self) -> str:
        """The fact as a line of proof: title, value, day, sources; plain text, not yet escaped."""
        if self.state != "known":
            return f"{self.title}: {self.reason}"
        parts = [f"{self.title}: {self.shown}" if self.shown else self.title]
        if self.day is not None:
            parts.append(self.day.isoformat())
        parts.extend(self.sources)
        return ", ".join(parts)


def known(
    key: FactKey,
    title: str,
    shown: str,
    *,
    day: date | None = None,
    sources: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
    brief: str = "",
    **attributes: Value | None,
) -> Fact:
    """A known fact; attributes that are None are left out (the engine then treats tests on them as unknown)."""
    values: dict[str, Value] = {"present": True}
    values.update({name: value for name, value in attributes.items() if value is not None})
    return Fact(key, title, "known", values, shown, day, sources, "", remarks, brief)


def absent(key: FactKey, title: str, reason: str, remarks: tuple[str, ...] = ()) -> Fact:
    return Fact(key, title, "absent", {"present": False}, "", None, (), reason, remarks)


def unknown(key: FactKey, title: str, reason: str, remarks: tuple[str, ...] = ()) -> Fact:
    return Fact(key, title, "unknown", {}, "", None, (), reason, remarks)


def variable(key: FactKey, attribute: str) -> str:
    """The engine's name of one attribute: `lab.serum-calcium.value`."""
    return f"{key[0]}.{key[1]}.{attribute}"


@dataclass(frozen=True)
class Census:
    """All facts that the rules of one hook ask about, for one patient at one moment, and what could not be used."""

    patient_id: str
    hook: str
    facts: Mapping[FactKey, Fact]
    remarks: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Everything that was not supplied or could not be used as it came, each once."""
        spoken: dict[str, str] = {}
        for fact in self.facts.values():
            # An order or a result that came and could not be read is named even where no card asks for it.
            came = fact.key[0] in ("order", "lab") and fact.state == "unknown" and fact.reason not in self.gaps
            for remark in (*([fact.reason] if came else []), *fact.remarks):
                spoken.setdefault(remark, f"{fact.title}: {remark}")
        return (*self.gaps, *self.remarks, *spoken.values())

    def values(self) -> dict[str, Value]:
        """The flat variables for the engine."""
        return dict(self._pairs())

    def _pairs(self) -> Iterator[tuple[str, Value]]:
        for key, fact in self.facts.items():
            for name, value in fact.attributes.items():
                yield variable(key, name), value
            if key[0] in BOUNDED:
                for name in BOUNDED_NUMBERS:
                    yield from _ends(key, fact.attributes, name)


def _ends(key: FactKey, attributes: Mapping[str, Value], name: str) -> Iterator[tuple[str, Value]]:
    """The least and the most that a number may be: an exact value is both, and an open end is beyond every limit."""
    if name in attributes:
        yield variable(key, f"{name}_low"), attributes[name]
        yield variable(key, f"{name}_high"), attributes[name]
    elif f"{name}_low" in attributes and f"{name}_high" not in attributes:
        yield variable(key, f"{name}_high"), _OPEN_END
