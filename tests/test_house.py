"""The house rules that a reader can hold against the source: imports, clock, README, paths."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.cli import app

ROOT = Path(__file__).resolve().parents[1]
CDS = ROOT / "cds"
SOURCES = sorted(CDS.rglob("*.py"))
README = ROOT / "README.md"

# Each may import only what stands before it.
ORDER = (
    "hooks",
    "knowledge",
    "facts",
    "engine",
    "cards",
    "advise",
    "feedback",
    "service",
    "assurance",
    "cli",
)
IMPORT_NOTHING_OF_OURS = ("hooks", "knowledge")
ENTRY = ("__main__", "__init__")  # the version, and `python -m cds`
MAY_READ_THE_CLOCK = ("service", "cli")

_CLOCK = re.compile(
    r"(datetime\.)?(datetime\.(now|utcnow|today)|date\.today)|time\.(time|time_ns|localtime|gmtime|ctime)"
)
_STOPWATCH = re.compile(r"time\.(monotonic|perf_counter)(_ns)?")
_MACHINE_PATH = re.compile(r"(?<![\w.])/(work|tmp|root|home)\b")


def package_of(path: Path) -> str:
    return path.relative_to(CDS).parts[0].removesuffix(".py")


def imports(source: str) -> Iterator[str]:
    """Which parts of this project a module imports, by the name under cds; "cds" for the package itself."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            inner = node.module == "cds"
            names = [f"cds.{alias.name}" for alias in node.names] if inner else [node.module or ""]
        for name in names:
            head, _, rest = name.partition(".")
            if head == "cds":
                yield rest.partition(".")[0] or "cds"


def wrong_imports(package: str, source: str) -> list[str]:
    """The imports of a module in ``package`` that do not point upwards."""
    allowed = {package, "cds", "__version__"}
    if package not in IMPORT_NOTHING_OF_OURS:
        allowed |= set(ORDER[: ORDER.index(package)])
    return [name for name in imports(source) if name not in allowed]


def clock_reads(package: str, source: str) -> list[str]:
    """Every place of a module that reads the time of the machine where it may not."""
    if package in MAY_READ_THE_CLOCK:
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if _CLOCK.fullmatch(text) or _STOPWATCH.fullmatch(text):
                found.append(f"{node.lineno}: {text}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found.append(f"{node.lineno}: from time import")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(CDS).as_posix())
def test_imports_point_only_upwards(path: Path) -> None:
    package = package_of(path)
    if package not in ENTRY:
        assert wrong_imports(package, path.read_text(encoding="utf-8")) == []


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package_of(path) for path in SOURCES} - set(ENTRY) <= set(ORDER)


@pytest.mark.parametrize(
    ("package", "line", "wrong"),
    [
        ("engine", "from cds.facts.model import variable", []),
        ("facts", "from cds.engine import Truth", ["engine"]),
        ("knowledge", "import cds.hooks.request", ["hooks"]),
        ("advise", "from cds import service", ["service"]),
        ("cli", "from cds.service import serve\nimport cds", []),
    ],
)
def test_an_import_that_points_down_is_seen(package: str, line: str, wrong: list[str]) -> None:
    assert wrong_imports(package, line) == wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(CDS).as_posix())
def test_the_clock_is_read_only_by_the_service_and_the_command_line(path: Path) -> None:
    assert clock_reads(package_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("datetime.now(UTC)", True),
        ("today = date.today()", True),
        ("import datetime\ndatetime.datetime.now()", True),
        ("time.time()", True),
        ("from time import time", True),
        ("time.monotonic()", True),
        ("now.date()", False),
        ("datetime.combine(day, noon, UTC)", False),
    ],
)
def test_a_look_at_the_clock_is_seen(line: str, seen: bool) -> None:
    assert bool(clock_reads("facts", line)) is seen


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(CDS).as_posix())
def test_no_source_names_a_path_of_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [match[0] for match in _MACHINE_PATH.finditer(text)] == []


def test_a_path_of_one_machine_is_seen() -> None:
    assert _MACHINE_PATH.search('open("/' + 'tmp/x")')
    assert not _MACHINE_PATH.search("framework/work, cds/tmp, https://example.org/homepage")


@pytest.mark.parametrize("verb", [command.name for command in app.registered_commands])
def test_every_verb_stands_in_the_readme(verb: str) -> None:
    assert f"prenatal-cds {verb}" in README.read_text(encoding="utf-8")
