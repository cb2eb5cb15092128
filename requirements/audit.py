"""Ask whether locked libraries have known vulnerabilities: `python requirements/audit.py [FILE] [pip-audit options]`.

Exit 1 when one has; 0 when none has, or when the advisory service cannot be asked - which is said, and is not "clean".
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("runtime.txt")


def main(file: str = str(LOCK), *options: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", file, "--disable-pip", "--require-hashes"]
    asked = subprocess.run(  # noqa: S603 - a fixed command; the options are the caller's own
        [*command, "--format", "json", "--progress-spinner", "off", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        rows = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"NOT AUDITED: the advisory service could not be asked ({reason[:200]}). This says nothing good.")
        return 0
    skipped = [row["name"] for row in rows if "skip_reason" in row]
    found = [(row, fault) for row in rows for fault in row.get("vulns", ())]
    for row, fault in found:
        better = ", ".join(fault.get("fix_versions") or ()) or "no version yet"
        print(f"VULNERABLE: {row['name']} {row['version']}: {fault['id']}; mended in {better}")
    if skipped:
        print(f"NOT AUDITED: {len(skipped)} of {len(rows)} libraries are not known to the advisory service asked.")
    if not found and not skipped:
        print(f"No known vulnerability in {len(rows)} libraries.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
