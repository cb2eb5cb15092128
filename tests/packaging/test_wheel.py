"""A wheel carries the rules: installed anywhere, with no checkout in sight, it checks and runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {
        key: value for key, value in os.environ.items() if key not in hidden and not key.startswith("PRENATAL_CDS_")
    }
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout with the back end that is installed here, without network."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh environment with the wheel in it, and the libraries (not the checkout) of this one."""
    place = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    # A folder named in a .pth is searched, but its own .pth files are not read: the checkout stays out.
    site = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=place).stdout.strip())
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", str(python))
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=place)
    return place


def test_every_file_of_the_rules_is_in_the_wheel_and_no_test_is(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "rules").rglob("[!.]*") if path.is_file()]
    rules = [path.relative_to(ROOT / "rules").as_posix() for path in files]
    assert rules
    assert {f"cds/_rules/{rule}" for rule in rules} <= names
    assert "cds/py.typed" in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cds"}


def test_the_installed_package_finds_the_rules_inside_itself(elsewhere: Path) -> None:
    code = "import cds, cds.knowledge as k; print(cds.__file__); print(k.bundled_rules())"
    package, rules = run(elsewhere / "bin" / "python", "-c", code, cwd=elsewhere).stdout.splitlines()
    assert Path(package).is_relative_to(elsewhere)
    assert Path(rules) == Path(package).parent / "_rules"


@pytest.mark.parametrize("command", [("prenatal-cds",), ("python", "-m", "cds")], ids=" ".join)
def test_the_installed_rules_check_clean_from_any_folder(elsewhere: Path, command: tuple[str, ...]) -> None:
    run(elsewhere / "bin" / command[0], *command[1:], "check", cwd=elsewhere.parent)


def test_the_version_is_the_one_in_the_wheel_name(wheel: Path, elsewhere: Path) -> None:
    shown = run(elsewhere / "bin" / "python", "-c", "import cds; print(cds.__version__)", cwd=elsewhere)
    assert wheel.name == f"prenatal_cds-{shown.stdout.strip()}-py3-none-any.whl"
