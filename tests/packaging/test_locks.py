"""The lists under requirements/ pin every file by hash, agree with each other and with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LISTS = ("build", "dev", "lock", "runtime")


@dataclass(frozen=True)
class Pin:
    """One line of a list: the exact version, when it applies, and its sha256 values."""

    version: Version
    marker: str
    hashes: tuple[str, ...]


def text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, Pin]:
    """Return the pins of requirements/NAME.txt by canonical name; any other line is a failure."""
    found: dict[str, Pin] = {}
    for line in re.sub(r" \\\n\s*", " ", text(name)).splitlines():
        if line.lstrip().startswith("#"):
            continue
        before, *hashes = line.split(" --hash=sha256:")
        requirement = Requirement(before)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        key = canonicalize_name(requirement.name)
        assert key not in found, f"{key} is pinned twice, so one of the Pythons gets another version"
        found[key] = Pin(Version(specifier.version), str(requirement.marker or ""), tuple(hashes))
    return found


def declared(*groups: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = project["project"]["dependencies"] if "runtime" in groups else []
    lines = [*lines, *(line for group in groups for line in project["dependency-groups"].get(group, []))]
    return [Requirement(line) for line in lines if isinstance(line, str)]


@pytest.mark.parametrize("name", LISTS)
def test_every_library_is_pinned_by_sha256(name: str) -> None:
    found = pins(name)
    assert found
    unpinned = [key for key, pin in found.items() if not pin.hashes]
    assert not unpinned
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for pin in found.values() for digest in pin.hashes)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_names_no_index_and_no_machine(name: str) -> None:
    assert "://" not in text(name)
    assert not re.search(r"^\s*--(?!hash=)|^-", text(name), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("runtime", ("runtime",)),
        ("dev", ("runtime", "dev", "build")),
        ("build", ("build",)),
        ("lock", ("lock",)),
    ],
)
def test_a_list_holds_everything_that_pyproject_declares(name: str, groups: tuple[str, ...]) -> None:
    found = pins(name)
    for requirement in declared(*groups):
        pin = found.get(canonicalize_name(requirement.name))
        assert pin, f"requirements/{name}.txt lacks {requirement}; run: make lock"
        assert requirement.specifier.contains(pin.version), f"{requirement}; run: make lock"


@pytest.mark.parametrize("name", ["build", "runtime"])
def test_two_lists_never_pin_different_files_of_one_library(name: str) -> None:
    everything = pins("dev")
    for key, pin in pins(name).items():
        assert everything[key].version == pin.version, key
        assert everything[key].hashes == pin.hashes, key


def test_no_pin_depends_on_which_supported_python_it_is() -> None:
    markers = {key: pin.marker for key, pin in pins("dev").items() if "python_" in pin.marker}
    assert all("python_implementation" in marker and "python_version" not in marker for marker in markers.values())


def test_the_rule_engine_is_pinned_to_its_one_source_file() -> None:
    engine = pins("runtime")["durable-rules"]
    assert str(engine.version) == "2.0.28"
    assert len(engine.hashes) == 1
