"""Pages for people are held to what the program does: their console blocks are run again and compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(__file__).resolve().parents[1]
# The hash changes with every edit of a rule; what it looks like is all a transcript can promise.
HASH = re.compile(r"\b[0-9a-f]{12}\b")


def transcripts(page: str) -> list[tuple[str, str]]:
    """(command, expected text) of each console block that shows output; `...` stands for lines left out."""
    blocks = re.findall(r"```console\n\$ ([^\n]+)\n(.*?)```", page, flags=re.DOTALL)
    return [(command, text) for command, text in blocks if text.strip()]


def links(page: str) -> list[str]:
    return re.findall(r"\]\(([^)#]+)\)", page)


def run(command: str, cwd: Path = ROOT) -> str:
    """What the command prints, with this interpreter: `python` and `prenatal-cds` may be another's on the PATH."""
    here = command.replace("prenatal-cds ", "python -m cds ")
    here = re.sub(r"\bpython3? ", lambda _: f"{quote(sys.executable)} ", here)
    done = subprocess.run(
        ["/bin/sh", "-c", here],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
    )
    return done.stdout


def assert_printed(expected: str, printed: str, command: str) -> None:
    """The pieces of `expected` between `...` stand in `printed`, in this order."""
    printed = HASH.sub("HASH", printed)
    position = 0
    for piece in HASH.sub("HASH", expected).split("...\n"):
        found = printed.find(piece.rstrip(), position)
        assert found >= 0, f"not in the output of {command}:\n{piece}"
        position = found + len(piece.rstrip())
