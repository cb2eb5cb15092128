"""The command line: one module per verb, one line per failure.

Exit codes: 0 clean, 1 issues found (in rules, cases or data), 2 wrong use (options, files, requests).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final

import typer

import cds
from cds.cli.check import check_rules
from cds.cli.explain import explain_request
from cds.cli.matrix import print_matrix
from cds.cli.questionnaire import print_questionnaire
from cds.cli.run import run_request
from cds.cli.serve import serve_http
from cds.cli.settings import print_settings
from cds.cli.stop import ISSUES, WRONG_USE, Stop
from cds.cli.table import print_tables
from cds.cli.terminal import print_lines
from cds.cli.test import run_rule_cases
from cds.knowledge import KnowledgeError
from cds.service import SettingsError
from cds.service.log import fault

__all__ = ["app", "main"]

NAME: Final = "prenatal-cds"
# Typer carries its own copy of Click in newer versions, so the class is reached through Typer itself.
_UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
_INTERRUPTED: Final = 130

app = typer.Typer(name=NAME, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command("serve")(serve_http)
app.command("check")(check_rules)
app.command("test")(run_rule_cases)
app.command("run")(run_request)
app.command("explain")(explain_request)
app.command("table")(print_tables)
app.command("matrix")(print_matrix)
app.command("questionnaire")(print_questionnaire)
app.command("settings")(print_settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit code; nothing is raised."""
    _open_missing_streams()
    _write_whatever_the_terminal_cannot_show()
    try:
        code = app(arguments, prog_name=NAME, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ISSUES
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ISSUES
    except Exception as error:
        text, code = _failure(error)
        print(text, file=sys.stderr)
        return code


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Decision support about leg cramps, calcium and vitamin D in pregnancy; alone: an example for each verb."""
    if version:
        print_lines([f"{NAME} {cds.__version__}"])
        raise typer.Exit
    if context.invoked_subcommand is None:
        print_lines(examples())


def examples() -> list[str]:
    """One command line per verb, with a request of this checkout where there is one."""
    request = _some_request()
    rows = (
        ("serve --port 8000", "answer CDS Hooks calls over HTTP"),
        ("check", "check the rules, their codes, numbers and cases"),
        ("test", "run the cases that stand beside the rules"),
        (f"run {request}", "the cards for one request, without a server"),
        (f"explain {request}", "why each rule fired or kept silent"),
        ("table --format print", "the rules as decision tables, to print and to sign"),
        ("matrix", "the founding text: which rule carries which statement, and the cases that show it"),
        ("questionnaire", "the diet and leg form as a FHIR Questionnaire"),
        ("settings", "what is set, and where"),
    )
    width = max(len(command) for command, _ in rows)
    return [f"{NAME} {command:{width}}  # {meaning}" for command, meaning in rows]


def _some_request() -> str:
    """A request fixture of the checkout as seen from here, so that the examples can be pasted."""
    fixtures = Path(cds.__file__).resolve().parent.parent / "fixtures" / "requests"
    found = min(fixtures.glob("*.json"), default=None)
    if found is None:
        return "REQUEST.json"
    return os.path.relpath(found) if found.is_relative_to(Path.cwd()) else str(found)


def _failure(error: Exception) -> tuple[str, int]:
    """What to say about an exception and the exit code; never a value of the request."""
    if isinstance(error, Stop):
        return str(error), error.code
    if isinstance(error, KnowledgeError):
        return str(error), ISSUES
    if isinstance(error, SettingsError):
        return str(error), WRONG_USE
    if isinstance(error, _UsageError):
        command = getattr(getattr(error, "ctx", None), "command_path", NAME)
        message = getattr(error, "format_message", error.__str__)()
        return f"{command}: {' '.join(message.split()).rstrip('.')}; see {command} --help", WRONG_USE
    if isinstance(error, OSError):
        return f"{error.filename or NAME}: {(error.strerror or type(error).__name__).lower()}", ISSUES
    where = fault(error)
    return (
        f"{NAME}: internal error {where['error']} at {where['at']}; no advice was given, please report it",
        ISSUES,
    )


def _open_missing_streams() -> None:
    """Where the process was started without a stream, a null one: else the next file or socket gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


def _write_whatever_the_terminal_cannot_show() -> None:
    """A sign that the terminal's encoding lacks becomes an escape, not a failure half way through a card."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
