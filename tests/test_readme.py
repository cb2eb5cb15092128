"""What the README shows is what the program says: the transcripts are run again and compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REAL = ROOT.parent / "shared" / "data" / "real"
# The hash changes with every edit of a rule; what it looks like is all a transcript can promise.
HASH = re.compile(r"\b[0-9a-f]{12}\b")


def transcripts() -> list[tuple[str, str]]:
    """(command, expected text) of each console block that shows output; `...` stands for lines left out."""
    blocks = re.findall(r"```console\n\$ ([^\n]*prenatal-cds [^\n]+)\n(.*?)```", README, flags=re.DOTALL)
    return [(command, text) for command, text in blocks if text.strip()]


@pytest.mark.parametrize(("command", "expected"), transcripts(), ids=[c.split()[-3] for c, _ in transcripts()])
def test_the_transcript_is_what_the_program_prints(command: str, expected: str) -> None:
    if "tests.real" in command and not REAL.is_dir():
        pytest.skip("the real records are not on this machine (folder shared/data/real beside the checkout)")
    # The README's commands with this interpreter: `python` and `prenatal-cds` may be another's on the PATH.
    here = command.replace("prenatal-cds ", "python -m cds ").replace("python ", f"{shlex.quote(sys.executable)} ")
    done = subprocess.run(
        ["/bin/sh", "-c", here],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    printed = HASH.sub("HASH", done.stdout)
    position = 0
    for piece in HASH.sub("HASH", expected).split("...\n"):
        found = printed.find(piece.rstrip(), position)
        assert found >= 0, f"not in the output of {command}:\n{piece}"
        position = found + len(piece.rstrip())


def test_there_is_a_transcript_of_run_of_explain_and_of_a_real_record() -> None:
    shown = " ".join(command for command, _ in transcripts())
    assert "prenatal-cds run fixtures" in shown
    assert "prenatal-cds explain" in shown
    assert "tests.real" in shown


def test_the_rule_shown_is_the_rule_shipped() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    rule_id = re.search(r"^id: (\S+)$", shown, flags=re.MULTILINE)
    assert rule_id is not None
    (path,) = (ROOT / "rules").glob(f"*/{rule_id[1]}.yaml")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_local_link_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()
