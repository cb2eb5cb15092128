"""`prenatal-cds settings`: what is set, and where."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cds.service.settings_page import markdown
from tests.cli.conftest import Cli


def test_what_is_set_is_printed_with_where_it_was_made(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cds.toml"
    file.write_text("workers = 2\n", "utf-8")
    monkeypatch.setenv("PRENATAL_CDS_PORT", "8123")
    ended = cli("settings", "--config", file)
    assert ended.code == 0
    assert "port = 8123  # PRENATAL_CDS_PORT\n" in ended.out
    assert f"workers = 2  # {file}\n" in ended.out
    assert 'host = "127.0.0.1"  # default\n' in ended.out
    assert tomllib.loads(ended.out)["workers"] == 2


def test_the_page_is_printed_or_written(cli: Cli, tmp_path: Path) -> None:
    assert cli("settings", "--markdown").out.rstrip() == markdown().rstrip()
    assert cli("settings", "--markdown", "--output", tmp_path / "settings.md").out == ""
    assert (tmp_path / "settings.md").read_text("utf-8") == markdown()


def test_a_wrong_file_is_one_line_and_exit_code_2(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "cds.toml"
    file.write_text("prot = 8000\n", "utf-8")
    for verb in ("settings", "serve"):
        ended = cli(verb, "--config", file)
        assert ended.code == 2
        assert ended.complaint == f"{file}: prot: no such setting; did you mean port?"
    assert cli("settings", "--config", tmp_path / "none.toml").code == 2
