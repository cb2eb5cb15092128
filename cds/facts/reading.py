"""Tolerant reading: one raw JSON resource -> a validated fhir.resources R4B model, with what had to be dropped named.

Real clients send invalid FHIR. An element that does not validate is dropped and the resource is read again; a time that
cannot be read keeps its date; a required element that no rule reads gets a stand-in. An element that decides what the
resource means (a status, a value, an end) is never dropped: without it the rest would say something else, so the whole
resource is left out. Remarks name places, not contents.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import Any

from fhir.resources.R4B import fhirtypes
from pydantic import BaseModel, ValidationError

RESOURCES = (
    "Patient", "Observation", "Condition", "MedicationRequest", "MedicationStatement", "ServiceRequest",
    "AllergyIntolerance", "Procedure", "DiagnosticReport", "QuestionnaireResponse",
)  # fmt: skip

# Required by R4, read by no rule: a stand-in lets the rest of the resource validate. Never Observation.status or a
# medication: what rules read must come from the record.
_STAND_INS: dict[tuple[str, str], Any] = {
    ("MedicationRequest", "intent"): "proposal",
    ("ServiceRequest", "intent"): "proposal",
}
# A draft belongs to the context it was sent in, and is a draft whether it says so or not.
_DRAFT_STAND_INS: dict[str, Any] = {"subject": {"display": "patient of the hook"}, "status": "draft"}

_UNREAD = frozenset({"text", "contained", "meta", "language"})
_MODIFIERS = ("modifierExtension", "implicitRules")
_DECISIVE = frozenset({"status", "clinicalStatus", "verificationStatus", "doNotPerform", "dataAbsentReason", "gender"})
_DECISIVE_STEMS = ("value", "abatement", "deceased", "conclusion")
_DOSAGES = ("dosageInstruction", "dosage")
_MAX_ROUNDS = 20
_DATE_PART = re.compile(r"\d{4}-\d{2}-\d{2}(?=[T ])")
_DATE_NAME = re.compile(r"(DateTime|Date|Instant)$|^(issued|authored|authoredOn|start|end)$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
MOST_NODES = 10_000
DEEPEST = 60


@dataclass(frozen=True)
class Read:
    """A validated resource, or None when it cannot be read, with a remark for each element that was dropped."""

    model: Any | None
    remarks: tuple[str, ...]


@cache
def model_class(resource_type: str) -> type[BaseModel]:
    """The R4B model; imported one by one because importing all of R4B takes seconds."""
    module = import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    cls: type[BaseModel] = getattr(module, resource_type)
    return cls


def is_known(resource_type: str) -> bool:
    """Whether FHIR R4 has a type of this name; DSTU2 and STU3 had others for the same orders."""
    return hasattr(fhirtypes, f"{resource_type}Type")


def is_oversized(raw: dict[str, Any]) -> bool:
    """Whether a resource has more members or levels than any real one: reading it would only cost time."""
    level: list[Any] = [raw]
    count = 0
    for _ in range(DEEPEST):
        below: list[Any] = []
        for node in level:
            below.extend(node.values() if isinstance(node, dict) else node)
        count += len(below)
        if count > MOST_NODES:
            return True
        level = [node for node in below if isinstance(node, (dict, list))]
        if not level:
            return False
    return True


def read_resource(raw: dict[str, Any], resource_type: str, name: str, *, draft: bool = False) -> Read:
    """Validate ``raw``, which must not be oversized; ``name`` is how remarks call it (`Observation/abc`)."""
    for modifier in _MODIFIERS:
        if raw.get(modifier):
            return Read(None, (f"{name}: its '{modifier}' may change its meaning, so it was left out",))
    mender = _Mender(copy.deepcopy({key: raw[key] for key in raw if key not in _UNREAD}), resource_type, name, draft)
    for _ in range(_MAX_ROUNDS):
        try:
            return Read(model_class(resource_type).model_validate(mender.working), mender.remarks)
        except ValidationError as error:
            if not mender.mend(error):
                break
        except Exception:
            # fhir.resources raises KeyError and others on hostile input (reference/engine.md, 5).
            break
    return Read(None, (*mender.remarks, f"{name}: cannot be read as FHIR R4 and was left out"))


class _Mender:
    """Repairs a working copy of one resource until it validates, and says what it did."""

    def __init__(self, working: dict[str, Any], resource_type: str, name: str, draft: bool) -> None:
        self.working = working
        self.name = name
        self._notes: dict[str, None] = {}
        self.stand_ins = {part: value for (kind, part), value in _STAND_INS.items() if kind == resource_type}
        if draft:
            self.stand_ins |= _DRAFT_STAND_INS
        self._refuse_text_numbers()
        self._tidy(self.working, [])

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def _refuse_text_numbers(self) -> None:
        """Drop quantities whose value is text: fhir.resources reads "24" as the number 24; nothing is guessed here."""
        components = self.working.get("component")
        answers = list(_answers(self.working))
        for holder in (self.working, *(components if isinstance(components, list) else ()), *answers):
            quantity = holder.get("valueQuantity") if isinstance(holder, dict) else None
            if isinstance(quantity, dict) and isinstance(quantity.get("value"), str):
                # The empty quantity keeps its place: a value was given, only not one that can be used.
                holder["valueQuantity"] = {}
                self._note(["valueQuantity", "value"], "is text, not a number, and was dropped")
        for answer in answers:
            for name in ("valueDecimal", "valueInteger"):
                if isinstance(answer.get(name), str):
                    del answer[name]
                    self._note(["answer", name], "is text, not a number, and was dropped")

    def _tidy(self, node: Any, where: list[Any]) -> None:
        """Drop holes in lists of elements, and make dates given as numbers invalid: pydantic reads 20261119 as 1970."""
        if isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and _DATE_NAME.search(key):
                    node[key] = "a number"
                else:
                    self._tidy(value, [*where, key])
        elif isinstance(node, list):
            if None in node and any(isinstance(item, dict) for item in node):
                node[:] = [item for item in node if item is not None]
                self._note(where, "has an empty item, which was dropped")
            for item in node:
                self._tidy(item, where)

    def mend(self, error: ValidationError) -> bool:
        """Repair or drop every element that the error names; False when the resource cannot be saved."""
        rows = error.errors(include_input=False, include_url=False, include_context=False)
        # From the end of lists to their beginning: dropping an item moves those behind it.
        kinds = {row["loc"]: row["type"] for row in rows if row["loc"]}
        paths = sorted(kinds, key=lambda path: [(isinstance(step, int), step) for step in path], reverse=True)
        mended = [self._mend_one(list(path), kinds[path]) for path in paths]
        return bool(mended) and all(mended)

    def _mend_one(self, path: list[Any], kind: str) -> bool:
        if len(path) == 1 and path[0] in self.stand_ins and path[0] not in self.working:
            self.working[path[0]] = copy.deepcopy(self.stand_ins[path[0]])
            if path[0] != "subject":
                self._note(path, "is missing; the rest was used")
            return True
        trail = self._trail(path)
        if not trail:
            return False
        holder, step = trail[-1]
        where = [s for _, s in trail]
        value = holder[step]
        if kind == "extra_forbidden":
            del holder[step]
            self._note(where, "is no element of FHIR R4 and was ignored")
        elif kind == "list_type" and isinstance(value, dict):
            holder[step] = [value]
            self._note(where, "is no list; it was read as the only item")
        elif isinstance(value, str) and _DATE_PART.match(value):
            holder[step] = value[:10]
            self._note(where, "has no valid time or zone; only its date was used")
        elif self._decides(where):
            self._note(where, "is not valid FHIR R4")
            return False
        elif where[0] in _DOSAGES and len(where) > 1:
            # Half an instruction would be another dose; an empty one is an unknown dose.
            self.working[where[0]][where[1]] = {}
            self._note(where, "is not valid FHIR R4; the dose is not known")
        else:
            del holder[step]
            self._note(where, "is not valid FHIR R4 and was dropped")
        return True

    def _trail(self, path: list[Any]) -> list[tuple[Any, Any]]:
        """(holder, step) along the part of the path that exists."""
        parent: Any = self.working
        trail: list[tuple[Any, Any]] = []
        for step in path:
            plain = f"_{step.removesuffix('__ext')}" if isinstance(step, str) and step.endswith("__ext") else step
            exists = (isinstance(parent, dict) and plain in parent) or (
                isinstance(parent, list) and isinstance(plain, int) and plain < len(parent)
            )
            if not exists:
                break
            trail.append((parent, plain))
            parent = parent[plain]
        return trail

    def _decides(self, where: list[Any]) -> bool:
        """Whether the resource would say something else without this element."""
        names = [step.lstrip("_") for step in where if isinstance(step, str)]
        if "code" in names[:2] and len(names) > 1 and names[-1] in ("code", "system"):
            return True  # without it the coding would be silent, and a result of interest would look like none
        first = names[1] if names[0] == "component" and len(names) > 1 else names[0]
        return first in _DECISIVE or first.startswith(_DECISIVE_STEMS)

    def _note(self, where: list[Any], what: str) -> None:
        self._notes[f"{self.name}: '{_path_text(where)}' {what}"] = None


def _answers(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every answer of a raw QuestionnaireResponse, those below items and answers included."""
    for name in ("item", "answer"):
        rows = node.get(name)
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                if name == "answer":
                    yield row
                yield from _answers(row)


def _path_text(steps: list[Any]) -> str:
    """The path of an element; names that are no FHIR names are not repeated."""
    words = []
    for step in steps:
        if isinstance(step, int):
            words.append(f"[{step}]")
        else:
            words.append("." + (step if _NAME.fullmatch(str(step)) else "(unknown element)"))
    return "".join(words).lstrip(".")
