"""`make audit` tells a vulnerable library from a clean one, and says so when nobody could be asked."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def _advisories(found: list[dict[str, Any]]) -> Iterator[str]:
    """A service that speaks as https://api.osv.dev does and knows these advisories about every library."""

    class Osv(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join(10)


def _audit(folder: Path, url: str) -> tuple[int, str]:
    lock = folder / "lock.txt"
    lock.write_text(f"certifi==2026.10.18 --hash=sha256:{'0' * 64}\n", "utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "requirements/audit.py", str(lock), "--vulnerability-service", "osv", "--osv-url", url),
            *("--cache-dir", str(folder / "cache"), "--timeout", "5"),
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_known_vulnerability_fails_and_names_the_version_to_take(tmp_path: Path) -> None:
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2027.1.1"}]}
    package = {"name": "certifi", "ecosystem": "PyPI"}
    advisory = {
        "id": "PYSEC-2026-1",
        "summary": "x",
        "details": "x",
        "affected": [{"package": package, "ranges": [fixed]}],
    }
    with _advisories([advisory]) as url:
        code, said = _audit(tmp_path, url)
    assert code == 1, said
    assert "VULNERABLE: certifi 2026.10.18: PYSEC-2026-1; mended in 2027.1.1" in said


def test_libraries_without_a_known_vulnerability_pass(tmp_path: Path) -> None:
    with _advisories([]) as url:
        assert _audit(tmp_path, url) == (0, "No known vulnerability in 1 libraries.\n")


def test_a_service_that_cannot_be_asked_is_never_shown_as_clean(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        code, said = _audit(tmp_path, f"http://127.0.0.1:{unused.getsockname()[1]}/v1/query")
    assert code == 0
    assert said.startswith("NOT AUDITED")
    assert "No known" not in said
