"""YAML with places: a safe reader that refuses duplicate and unknown keys and knows each value's line.

Only plain text, numbers, booleans, lists and mappings exist; tags, anchors and merge keys do not, so that a rule
file says the same to a clinician and to the loader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from cds.knowledge.errors import Problem, did_you_mean

_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
}


class _PlainLoader(yaml.SafeLoader):
    """Refuses anchors and aliases while composing, with their line."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            problem = "no anchors (&) and aliases (*); write the value again"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


def _compose(text: str) -> Any:
    """The root node. libyaml reads ten times faster; where it finds fault, or an anchor may be, Python says which."""
    fast = getattr(yaml, "CSafeLoader", None)
    if fast is not None and "&" not in text and "*" not in text:
        try:
            return yaml.compose(text, Loader=fast)
        except yaml.YAMLError:
            pass
    return yaml.compose(text, Loader=_PlainLoader)


@dataclass(frozen=True)
class Place:
    """Where in rules/ something stands: path relative to the rules folder, and a path inside the file."""

    file: str
    line: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Reader:
    """Collects problems while the tree is walked, so that an author sees all of them at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def report(self, place: Place, message: str) -> None:
        prefix = f"{place.path}: " if place.path else ""
        self.problems.append(Problem(place.file, place.line, prefix + message))

    def file(self, path: Path, root: Path) -> Item:
        """The file's root item. A file that is not YAML is one problem and reads as empty."""
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        try:
            node = _compose(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            reason = getattr(error, "problem", None) or "not UTF-8 text"
            self.report(Place(name, line), f"not readable as YAML: {reason}")
            node = None
        except OSError as error:
            self.report(Place(name, 1), f"cannot be read: {error.strerror}")
            node = None
        return Item(self, node, Place(name, 1))


class Item:
    """A YAML value with its place. Wrong types are reported once and read as an empty value."""

    def __init__(self, reader: Reader, node: yaml.Node | None, place: Place) -> None:
        self.reader = reader
        self.node = node
        line = node.start_mark.line + 1 if node is not None else place.line
        self.place = Place(place.file, line, place.path)
        if node is not None and node.tag not in _PLAIN_TAGS:
            self.problem(f"tag {node.tag} is not allowed; use plain text, numbers, lists and mappings")

    def problem(self, message: str) -> None:
        self.reader.report(self.place, message)

    def _child(self, node: yaml.Node, step: str) -> Item:
        path = f"{self.place.path}.{step}" if self.place.path and not step.startswith("[") else self.place.path + step
        return Item(self.reader, node, Place(self.place.file, node.start_mark.line + 1, path))

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def items(self) -> Iterator[tuple[str, Item]]:
        """Key and value of each entry of a mapping; duplicates are reported."""
        if self.node is None:
            return
        if not isinstance(self.node, yaml.MappingNode):
            self.problem("a mapping (key: value) is needed here")
            return
        seen: set[str] = set()
        for key, value in self.node.value:
            name = str(key.value)
            if name in seen:
                self._child(key, name).problem("this key stands twice; keep one")
                continue
            seen.add(name)
            yield name, self._child(value, name)

    def mapping(self, allowed: Sequence[str], required: Sequence[str] = ()) -> dict[str, Item]:
        """The entries of a mapping; unknown and missing keys are reported."""
        found: dict[str, Item] = {}
        for name, item in self.items():
            if name not in allowed:
                item.problem(f"unknown key{did_you_mean(name, allowed)} (known: {', '.join(allowed)})")
                continue
            found[name] = item
        for name in required:
            if name not in found:
                self.problem(f"'{name}' is missing")
        return found

    def list(self) -> list[Item]:
        if self.node is None:
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            self.problem("a list is needed here")
            return []
        return [self._child(node, f"[{i}]") for i, node in enumerate(self.node.value)]

    def text(self) -> str:
        if self.node is None:
            return ""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag.endswith(":null"):
            self.problem("text is needed here")
            return ""
        return str(self.node.value).strip()

    def quoted(self) -> str:
        """Text that must stand in quotes: codes, which a spreadsheet or YAML would turn into numbers."""
        bare = isinstance(self.node, yaml.ScalarNode) and self.node.style not in ("'", '"')
        if bare and self.node is not None and self.node.tag != "tag:yaml.org,2002:str":
            self.problem("a code must stand in quotes")
        return self.text()

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.list())

    def boolean(self) -> bool:
        word = self.text().lower()
        if word not in ("true", "false"):
            self.problem("true or false is needed here")
        return word == "true"

    def number(self) -> Decimal:
        try:
            number = Decimal(self.text())
        except InvalidOperation:
            self.problem("a number is needed here")
            return Decimal(0)
        if not number.is_finite():
            self.problem("a finite number is needed here")
            return Decimal(0)
        return number

    def day(self) -> date:
        try:
            return date.fromisoformat(self.text())
        except ValueError:
            self.problem("a date like 2026-11-22 is needed here")
            return date(1970, 1, 1)

    def choice(self, known: Sequence[str]) -> str:
        word = self.text()
        if word and word not in known:
            self.problem(f"'{word}' is not one of {', '.join(known)}{did_you_mean(word, known)}")
        return word

    def plain(self) -> Any:
        """The value as plain Python (text only for scalars); for hashing."""
        if isinstance(self.node, yaml.MappingNode):
            return {str(k.value): self._child(v, "").plain() for k, v in self.node.value}
        if isinstance(self.node, yaml.SequenceNode):
            return [self._child(v, "").plain() for v in self.node.value]
        return self.text()
