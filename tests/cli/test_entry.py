"""The command line as a whole: examples, exit codes, and failures of one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cds
from cds.__main__ import main as entry
from cds.cli import app
from tests.cli.conftest import ROOT, Cli
from tests.knowledge.small_rules import Rules

VERBS = ["serve", "check", "test", "run", "explain", "table", "matrix", "questionnaire", "settings"]


def test_the_bare_command_prints_one_example_for_each_verb(process: Cli) -> None:
    ended = process()
    assert ended.code == 0
    assert [line.split()[:2] for line in ended.out.splitlines()] == [["prenatal-cds", verb] for verb in VERBS]
    assert ended.err == ""


def test_every_verb_has_an_example() -> None:
    assert [command.name for command in app.registered_commands] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_options(cli: Cli, verb: str) -> None:
    ended = cli(verb, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: prenatal-cds {verb} ")


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version").out == f"prenatal-cds {cds.__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["expalin"], "No such command 'expalin'"),
        (["run"], "Missing argument"),
        (["check", "--sign-off"], "--sign-offs"),
        (["serve", "--port", "many"], "Invalid value for '--port'"),
        (["serve", "--port", "70000"], "--port: "),
        (["check", "--rules", "no/such/folder"], "--rules: "),
        (["run", "no-such-file.json"], "no-such-file.json: no such file or directory"),
        (["run", "."], ".: is a directory"),
        (
            ["run", "x.json", "--now", "yesterday"],
            "--now: not ISO 8601; give a time such as 2026-11-22T09:00",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(cli: Cli, words: list[str], told: str) -> None:
    ended = cli(*words)
    assert ended.code == 2
    assert told in ended.complaint


def test_wrong_use_in_a_shell_is_one_line_and_exit_code_2(process: Cli) -> None:
    ended = process("explain", "--jsn")
    assert ended.code == 2
    assert "prenatal-cds explain --help" in ended.complaint


def test_a_misspelt_setting_of_the_environment_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRENATAL_CDS_PROFIL", "who")
    ended = cli("check")
    assert ended.code == 2
    assert ended.complaint == "PRENATAL_CDS_PROFIL: no such setting; did you mean PRENATAL_CDS_PROFILE?"


def test_rules_that_do_not_load_are_one_line_for_each_problem(cli: Cli, rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "strength: policy", "strength: strang")
    ended = cli("test", "--rules", rules.root)
    assert ended.code == 1
    assert ended.complaint == (
        "advice/low-calcium.yaml:10: strength: 'strang' is not one of strong, moderate, conditional, weak, "
        "consensus, policy; did you mean 'strong'?"
    )


def test_an_unexpected_error_names_its_type_and_place_only(
    cli: Cli, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("Jane Doe, born 1996")

    monkeypatch.setattr("cds.cli.test.run_cases", broken)
    ended = cli("test", "--rules", rules.root)
    assert ended.code == 1
    assert ended.complaint.startswith("prenatal-cds: internal error ZeroDivisionError at test_entry.py:")
    assert "Jane" not in ended.err


def test_an_interrupt_ends_without_a_traceback(cli: Cli, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cds.cli.test.run_cases", interrupted)
    ended = cli("test", "--rules", rules.root)
    assert ended.code == 130
    assert "Traceback" not in ended.err


def test_a_reader_that_closes_early_is_no_failure_to_talk_about(rules: Rules) -> None:
    command = [sys.executable, "-m", "cds", "check", "--sign-offs", "--rules", str(rules.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == b""
        assert started.wait(timeout=60) == 1


def test_a_terminal_without_the_signs_of_a_card_shows_escapes(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    rules.edit("advice/low-calcium.cases.yaml", "expect: fires\n    indicator: info", "expect: silent")
    rules.edit("advice/low-calcium.cases.yaml", "just below the limit but long ago", "below, 2 µmol")
    command = [sys.executable, "-m", "cds", "test", "--rules", str(rules.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"below, 2 \\xb5mol" in done.stdout


def test_the_console_script_is_this_entry_point() -> None:
    project = (Path(ROOT) / "pyproject.toml").read_text(encoding="utf-8")
    assert f'prenatal-cds = "{entry.__module__}:{entry.__name__}"' in project
