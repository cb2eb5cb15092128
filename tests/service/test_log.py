"""What may stand in a log, and that everything else falls out."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from cds.service.log import ServerLog, fault, make_logger

CANARY = "canary-7d1f"
ROOT = Path(__file__).resolve().parents[2]


def test_a_field_that_is_not_on_the_list_never_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    make_logger("info").info("request", status=200, patient=CANARY, body={"a": CANARY}, exc_info=CANARY)
    (line,) = capsys.readouterr().err.splitlines()
    assert set(json.loads(line)) == {"event", "level", "timestamp", "status"}
    assert CANARY not in line


def test_lines_below_the_chosen_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    log = make_logger("warning")
    log.info("request")
    log.error("request")
    assert [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()] == ["error"]


def test_a_fault_is_named_by_class_and_line_without_its_text() -> None:
    with pytest.raises(ValueError, match=CANARY) as caught:
        raise ValueError(CANARY)
    named = fault(caught.value)
    assert named["error"] == "ValueError"
    assert named["at"].startswith("test_log.py:")
    assert CANARY not in str(named)


def test_messages_of_the_server_lose_arguments_and_tracebacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = logging.Logger("uvicorn.error")
    server.addHandler(ServerLog("info"))
    try:
        raise ValueError(CANARY)
    except ValueError:
        server.exception(f"Task exception was never retrieved\nfuture: {CANARY}")
        server.warning("Request from %s", CANARY)
    output = capsys.readouterr().err
    assert CANARY not in output
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines] == ["Task exception was never retrieved", "Request from %s"]
    assert {line["logger"] for line in lines} == {"uvicorn.error"}


def test_a_closed_error_stream_does_not_fail_the_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    closed = (tmp_path_factory.mktemp("log") / "stderr").open("w")
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    make_logger("info").error("request")


_CARELESS = f"""
import logging, sys, threading, warnings
from cds.service.log import capture_server_log
capture_server_log("info")
logging.getLogger("some.library").error("patient {CANARY} %s", 1)
warnings.warn("patient {CANARY}")
class Bad:
    def __del__(self): raise ValueError("{CANARY}")
Bad()
thread = threading.Thread(target=lambda: int("{CANARY}"))
thread.start()
thread.join()
raise ValueError("{CANARY}")
"""


def test_what_libraries_and_python_print_by_themselves_is_one_line_without_values() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CARELESS], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert CANARY not in ended.stdout + ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["library message", "library warning", *["not caught"] * 3]
    assert [line.get("error") for line in lines] == [None, "UserWarning", *["ValueError"] * 3]
    assert lines[0]["logger"] == "some.library"
    assert all(line["at"] for line in lines)
