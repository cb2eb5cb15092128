"""Settings from a file, printed and documented."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cds.service import Settings, SettingsError, load_settings
from cds.service.settings import sources
from cds.service.settings_page import effective, markdown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PRENATAL_CDS_{name.upper()}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cds.toml"


def refused(file: Path, text: str) -> list[str]:
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings({"config": file})
    return str(caught.value).splitlines()


def test_the_environment_wins_over_the_file_and_an_argument_over_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('port = 8001\nworkers = 2\ncors_origins = ["https://a.example"]\ntime_zone = "Asia/Shanghai"\n')
    assert load_settings({"config": file}).port == 8001
    assert load_settings({"config": file}).cors_origins == ("https://a.example",)
    monkeypatch.setenv("PRENATAL_CDS_CONFIG", str(file))
    monkeypatch.setenv("PRENATAL_CDS_PORT", "8002")
    settings = load_settings({"workers": 3})
    assert (settings.port, settings.workers, settings.time_zone) == (8002, 3, "Asia/Shanghai")
    made_by = sources(settings, ("workers",))
    assert (made_by["port"], made_by["workers"]) == ("PRENATAL_CDS_PORT", "option")
    assert (made_by["time_zone"], made_by["host"]) == (str(file), "default")


def test_a_wrong_value_of_the_environment_is_not_blamed_on_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRENATAL_CDS_PORT", "eight")
    (line,) = refused(file, "port = 8001\n")
    assert line.startswith("PRENATAL_CDS_PORT: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 8000\n", "prot: no such setting; did you mean port?"),
        ('config = "other.toml"\n', "config: no such setting"),
        ("[service]\nport = 8000\n", "service: no such setting"),
        ("port = 70000\n", "port: "),
        ('port = "eight"\n', "port: "),
        ('time_zone = "Mars/Olympus"\n', "time_zone: no such time zone"),
        ("rules_dir = true\n", "rules_dir: "),
        ("port = true\n", "port: true and false are no value"),
        ("fixed_now = 20261122\n", "fixed_now: not ISO 8601"),
        ("fixed_now = 2026-11-22\n", "fixed_now: not ISO 8601"),
        ("port 8000\n", "not TOML: "),
        ("port = 1\nport = 2\n", "not TOML: "),
    ],
)
def test_a_wrong_line_of_the_file_is_told_with_file_and_key(file: Path, text: str, told: str) -> None:
    (line,) = refused(file, text)
    assert line.startswith(f"{file}: {told}")


def test_each_wrong_line_is_told(file: Path) -> None:
    assert len(refused(file, 'prot = 1\nhots = "::"\n')) == 2
    assert len(refused(file, 'port = 0\nhost = "a b"\n')) == 2


def test_a_file_that_is_not_there_or_no_text_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_CONFIG", str(file))
    with pytest.raises(SettingsError, match=r"cds\.toml: no such file or directory"):
        load_settings()
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"cds\.toml: not UTF-8 text"):
        load_settings()


def test_the_settings_in_effect_are_printed_as_a_file_that_makes_the_same_settings(file: Path) -> None:
    first = load_settings({"port": 8123, "time_zone": "Asia/Shanghai", "fixed_now": "2026-11-22T09:00:00"})
    printed = effective(first, sources(first, ("port",)))
    assert "port = 8123  # option\n" in printed
    assert "# public_url is not set\n" in printed
    assert tomllib.loads(printed)["port"] == 8123
    file.write_text(printed, "utf-8")
    assert load_settings({"config": file}).model_dump(exclude={"config"}) == first.model_dump(exclude={"config"})


def test_the_page_of_settings_is_as_the_fields_are() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == markdown(), "run: prenatal-cds settings --markdown --output docs/settings.md"


def test_the_page_tells_each_setting_with_variable_type_default_and_meaning() -> None:
    rows = {line.split("`")[1]: line for line in markdown().splitlines() if line.startswith("| `")}
    assert list(rows) == list(Settings.model_fields)
    assert "| `PRENATAL_CDS_PORT` | whole number, 1 to 65535 | `8000` | TCP port to listen on. |" in rows["port"]
    assert '| `debug`, `info`, `warning`, `error` | `"info"` |' in rows["log_level"]
    assert '| list of text | `["*"]` |' in rows["cors_origins"]
    assert all(
        str(field.description) in rows[name].replace("\\|", "|") for name, field in Settings.model_fields.items()
    )
