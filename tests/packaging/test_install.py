"""`make install` says in one line what is wrong with a machine, before it makes anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "ls", "make", "touch", "awk", "grep")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what `make install` reads, so that a failed test leaves the real checkout alone."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "requirements", copy / "requirements")
    return copy


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder that is a whole PATH: the shell's tools and make, no Python, no compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    return folder


def stand_in(machine: Path, name: str, pretend: str = "pass") -> None:
    """Put a Python called `name` on the machine: this one, after running the statement `pretend`."""
    path = machine / name
    code = f"import sys; {pretend}; exec(sys.argv[2])"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def version(major: int, minor: int) -> str:
    return f"sys.version_info = ({major}, {minor}, 0, 'final', 0)"


def shim(machine: Path, name: str) -> None:
    """Put a pyenv-like shim on the machine: it exists and can be found, and fails when run."""
    path = machine / name
    path.write_text(f"#!/bin/sh\necho 'pyenv: {name}: command not found' >&2\nexit 127\n", encoding="utf-8")
    path.chmod(0o755)


def make(checkout: Path, machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    hidden = {"CC", "PYTHON", "VENV", "ARGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"PATH": str(machine)}
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


def only_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that the project prints; make's own closing line is make's."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1, result.stderr
    assert not result.stdout.strip()
    return lines[0]


def test_a_machine_without_a_compiler_is_told_so_in_one_line(checkout: Path, machine: Path) -> None:
    stand_in(machine, "python3")
    line = only_line(make(checkout, machine, "install"))
    assert "no C compiler" in line
    assert "install one" in line
    assert not (checkout / ".venv").exists()


def test_a_compiler_that_cannot_compile_is_told_from_a_missing_one(checkout: Path, machine: Path) -> None:
    stand_in(machine, "python3")
    shim(machine, "mycc")
    line = only_line(make(checkout, machine, "install", "CC=mycc"))
    assert "the C compiler (mycc) cannot compile" in line


@pytest.mark.parametrize("minor", [10, 14])
def test_a_named_python_out_of_range_is_refused_in_one_line(checkout: Path, machine: Path, minor: int) -> None:
    name = f"python3.{minor}"
    stand_in(machine, name, version(3, minor))
    line = only_line(make(checkout, machine, f"PYTHON={name}", "install"))
    assert f"PYTHON={name} is Python 3.{minor}; name Python 3.11, 3.12 or 3.13" in line
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("present", [True, False])
def test_a_named_python_that_does_not_run_is_refused_in_one_line(checkout: Path, machine: Path, present: bool) -> None:
    stand_in(machine, "python3")
    if present:
        shim(machine, "python3.12")
    line = only_line(make(checkout, machine, "PYTHON=python3.12", "install"))
    assert "PYTHON=python3.12 does not run" in line


def test_a_machine_with_only_an_old_python_is_told_which_ones_do(checkout: Path, machine: Path) -> None:
    stand_in(machine, "python3", version(3, 10))
    line = only_line(make(checkout, machine, "install"))
    assert "no Python 3.11, 3.12 or 3.13 found" in line


def test_a_shim_that_fails_when_run_is_passed_over(checkout: Path, machine: Path) -> None:
    shim(machine, "python3.13")
    shim(machine, "python3.12")
    stand_in(machine, "python3")
    assert "no C compiler" in only_line(make(checkout, machine, "install"))


def test_a_python_without_venv_names_the_package_to_install(checkout: Path, machine: Path) -> None:
    stand_in(machine, "python3", f"sys.modules['ensurepip'] = None; {version(3, 12)}")
    line = only_line(make(checkout, machine, "install"))
    assert "cannot make virtual environments" in line
    assert "python3.12-venv" in line


def test_a_python_without_c_headers_names_the_package_to_install(checkout: Path, machine: Path) -> None:
    shim(machine, "mycc")
    stand_in(machine, "python3", f"import sysconfig; sysconfig.get_path = str; {version(3, 12)}")
    line = only_line(make(checkout, machine, "install", "CC=mycc"))
    assert "no C headers for python3" in line
    assert "python3.12-dev" in line


def test_a_folder_that_is_no_environment_is_never_emptied(checkout: Path, machine: Path) -> None:
    for tool in ("gcc", "cc", "as", "ld"):
        found = shutil.which(tool)
        if found:
            (machine / tool).symlink_to(found)
    stand_in(machine, "python3")
    precious = checkout / "notes"
    precious.mkdir()
    (precious / "draft.txt").write_text("keep me", encoding="utf-8")
    line = only_line(make(checkout, machine, "VENV=notes", "install"))
    assert "notes exists and is no virtual environment" in line
    assert (precious / "draft.txt").read_text(encoding="utf-8") == "keep me"


def test_an_installed_environment_is_left_alone_until_a_list_changes(checkout: Path, machine: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".installed").touch()
    assert make(checkout, machine, "-q", "install").returncode == 0
    later = (checkout / ".venv" / ".installed").stat().st_mtime + 60
    os.utime(checkout / "requirements" / "dev.txt", (later, later))
    assert make(checkout, machine, "-q", "install").returncode == 1


def test_bare_make_lists_the_targets_and_does_nothing(checkout: Path, machine: Path) -> None:
    result = make(checkout, machine)
    assert result.returncode == 0
    targets = [line.split()[1] for line in result.stdout.splitlines()]
    assert targets[:5] == ["help", "install", "peers", "serve", "test"]
    assert set(targets[5:]) == {"lint", "format", "check", "audit", "golden", "lock", "floors", "clean"}
    assert not (checkout / ".venv").exists()
