"""What cds/ imports, what pyproject.toml declares and what is installed are one and the same list."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

# Declared, yet imported nowhere, each with its reason.
NOT_IMPORTED = {
    "tzdata": "zoneinfo reads it where the machine has no time zone files of its own (slim images, Windows)",
}


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared() -> list[Requirement]:
    return [Requirement(line) for line in project()["project"]["dependencies"]]


def declared_for_developers() -> list[Requirement]:
    groups = project()["dependency-groups"]
    return [Requirement(line) for name in ("dev", "build") for line in groups[name] if isinstance(line, str)]


def imported_modules(source: str) -> Iterator[str]:
    """Yield the dotted names that `source` imports, also those of a literal `import_module`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
                args=[
                    ast.Constant(value=str(name)) | ast.JoinedStr(values=[ast.Constant(value=str(name)), *_]),
                    *_,
                ],
            ):
                yield name


def distributions_of(folder: Path) -> dict[str, Path]:
    """Return the distributions that the Python files under `folder` import, each with one file that does."""
    owners = metadata.packages_distributions()
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.py")):
        for module in imported_modules(path.read_text(encoding="utf-8")):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top in ("cds", "tests"):
                continue
            assert top in owners, f"{path.relative_to(ROOT)} imports {module}, which no installed distribution has"
            for owner in owners[top]:
                found.setdefault(canonicalize_name(owner), path.relative_to(ROOT))
    return found


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import yaml\nimport a.b as c, d", ["yaml", "a.b", "d"]),
        ("from fhir.resources.R4B import patient", ["fhir.resources.R4B"]),
        ("from . import near\nfrom .near import thing", []),
        ("def late():\n    import httpx", ["httpx"]),
        ("import_module('fhir.resources')", ["fhir.resources"]),
        ("importlib.import_module(f'fhir.resources.R4B.{name}')", ["importlib", "fhir.resources.R4B."]),
    ],
)
def test_an_import_is_seen_in_every_form_it_is_written_in(source: str, modules: list[str]) -> None:
    if "importlib.import_module" in source:
        source = f"import importlib\n{source}"
    assert list(imported_modules(source)) == modules


def test_nothing_is_imported_that_is_not_declared() -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    strangers = {name: str(path) for name, path in distributions_of(ROOT / "cds").items() if name not in names}
    assert not strangers, f"declare these in pyproject.toml, or do not import them: {strangers}"


def test_nothing_is_declared_that_is_not_imported() -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    idle = names - distributions_of(ROOT / "cds").keys() - NOT_IMPORTED.keys()
    assert not idle, f"cds/ imports none of these; remove them from pyproject.toml: {sorted(idle)}"


def test_every_exception_is_still_declared_and_still_not_imported() -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    assert names >= NOT_IMPORTED.keys()
    assert not NOT_IMPORTED.keys() & distributions_of(ROOT / "cds").keys()


def test_the_tests_import_nothing_that_is_not_declared() -> None:
    names = {canonicalize_name(requirement.name) for requirement in [*declared(), *declared_for_developers()]}
    strangers = {name: str(path) for name, path in distributions_of(ROOT / "tests").items() if name not in names}
    assert not strangers, f"declare these in pyproject.toml's dev group: {strangers}"


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_the_installed_version_satisfies_the_declared_one(requirement: Requirement) -> None:
    assert requirement.specifier, f"{requirement.name} states no lowest version"
    assert requirement.specifier.contains(metadata.version(requirement.name))
