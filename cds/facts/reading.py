"""Tolerant reading: one raw JSON resource -> a validated fhir.resources R4B model, with what had to be dropped named.

Real clients send invalid FHIR. An element that does not validate is dropped and the resource is read again; a time
without a zone keeps its date; a required element that no rule reads gets a stand-in. What is still unreadable is
reported, never guessed. Remarks name places, not contents.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError

RESOURCES = (
    "Patient", "Observation", "Condition", "MedicationRequest", "MedicationStatement", "ServiceRequest",
    "AllergyIntolerance", "Procedure",
)  # fmt: skip

# Required by R4, read by no rule: a stand-in lets the rest of the resource validate. Never Observation.status or a
# medication: what rules read must come from the record.
_STAND_INS: dict[tuple[str, str], Any] = {
    ("MedicationRequest", "intent"): "proposal",
    ("ServiceRequest", "intent"): "proposal",
}
_MAX_ROUNDS = 20
_DATE_PART = re.compile(r"\d{4}-\d{2}-\d{2}(?=[T ])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


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


def read_resource(raw: dict[str, Any], resource_type: str, name: str) -> Read:
    """Validate ``raw``; ``name`` is how remarks call it (`Observation/abc`)."""
    remarks: list[str] = []
    working: dict[str, Any] | None = None
    for _ in range(_MAX_ROUNDS):
        try:
            return Read(model_class(resource_type).model_validate(working or raw), tuple(remarks))
        except ValidationError as error:
            if working is None:
                working = copy.deepcopy(raw)
            if not _mend(working, resource_type, error, remarks, name):
                break
        except Exception:
            # fhir.resources raises KeyError, RecursionError and others on hostile input (reference/engine.md, 5).
            break
    return Read(None, (*remarks, f"{name}: cannot be read as FHIR R4 and was left out"))


def _mend(
    working: dict[str, Any], resource_type: str, error: ValidationError, remarks: list[str], name: str
) -> bool:
    """Drop or repair every element that the error names; False when nothing could be done."""
    changed = False
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        path = [step for step in item["loc"] if step != "__root__"]
        if not path:
            continue
        stand_in = _STAND_INS.get((resource_type, str(path[0]))) if len(path) == 1 else None
        if stand_in is not None and path[0] not in working:
            working[str(path[0])] = stand_in
            remarks.append(f"{name}: '{path[0]}' is missing; the rest was used")
            changed = True
        elif _repair_or_drop(working, path, name, remarks):
            changed = True
    return changed


def _repair_or_drop(working: dict[str, Any], path: list[Any], name: str, remarks: list[str]) -> bool:
    """Shorten a zoneless time to its date, else drop the innermost element on the path that exists."""
    parent: Any = working
    trail: list[tuple[Any, Any]] = []
    for step in path:
        step = step.removesuffix("__ext") if isinstance(step, str) else step
        exists = (isinstance(parent, dict) and step in parent) or (
            isinstance(parent, list) and isinstance(step, int) and step < len(parent)
        )
        if not exists:
            break
        trail.append((parent, step))
        parent = parent[step]
    if not trail:
        return False
    holder, step = trail[-1]
    where = _path_text([s for _, s in trail])
    value = holder[step]
    match = _DATE_PART.match(value) if isinstance(value, str) and len(trail) == len(path) else None
    if match:
        holder[step] = match[0]
        remarks.append(f"{name}: '{where}' has no valid time zone; only its date was used")
        return True
    if len(trail) < len(path) and len(trail) == 1 and not isinstance(step, int):
        remarks.append(f"{name}: '{where}' is incomplete and was dropped")
    else:
        remarks.append(f"{name}: '{where}' is not valid FHIR R4 and was dropped")
    del holder[step]
    return True


def _path_text(steps: list[Any]) -> str:
    """The path of an element; names that are no FHIR names are not repeated."""
    words = []
    for step in steps:
        if isinstance(step, int):
            words.append(f"[{step}]")
        else:
            words.append("." + (step if _NAME.fullmatch(str(step)) else "(unknown element)"))
    return "".join(words).lstrip(".")


def refuse_text_numbers(raw: dict[str, Any], name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Drop quantity values given as text: fhir.resources reads "24" as the number 24, and nothing is guessed here."""
    remarks: list[str] = []
    if not any(_has_text_number(raw, key) for key in ("valueQuantity",)) and "component" not in raw:
        return raw, ()
    mended = copy.deepcopy(raw)
    holders = [mended, *(c for c in _as_list(mended.get("component")) if isinstance(c, dict))]
    for holder in holders:
        if _has_text_number(holder, "valueQuantity"):
            del holder["valueQuantity"]
            remarks.append(f"{name}: 'valueQuantity.value' is text, not a number, and was dropped")
    return (mended, tuple(remarks)) if remarks else (raw, ())


def _has_text_number(holder: dict[str, Any], key: str) -> bool:
    quantity = holder.get(key)
    return isinstance(quantity, dict) and isinstance(quantity.get("value"), str)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
