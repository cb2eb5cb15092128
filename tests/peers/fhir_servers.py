"""Two FHIR servers that others wrote, each loaded with records and guarded by a bearer token.

sekmet-fhir (Python, SQLite) pages and names every page; Medplum's fhir-router (TypeScript, in memory) has no pages and
finds nothing by a bare patient id.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.peers.installed import HERE, command, node

Json = dict[str, Any]
_SECONDS = 60


@contextmanager
def sekmet(records: Sequence[Json], token: str, folder: Path) -> Iterator[str]:
    """Base URL of a sekmet server that holds the records."""
    program = command(str(Path(sys.executable).with_name("sekmet")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}/fhir"
    settings = {
        "base_url": base,
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(folder),
        "own_private_key_path": str(folder / "key.pem"),
        "server_auth": {"types": ["bearer"], "tokens": [token]},
        "validation": {"inbound": "off"},
        "simulator": {"enabled": False},
        "log_inbound": False,
    }
    (folder / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")
    arguments = [program, "serve", "--host", "127.0.0.1", "--config", "settings.yaml"]
    with (
        _running(arguments, folder, subprocess.DEVNULL) as process,
        httpx.Client(trust_env=False, timeout=_SECONDS) as http,
    ):
        _wait(lambda: _answers(http, base), process)
        rows = [
            {"resource": record, "request": {"method": "PUT", "url": f"{record['resourceType']}/{record['id']}"}}
            for record in records
        ]
        answer = http.post(
            base,
            json={"resourceType": "Bundle", "type": "transaction", "entry": rows},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text[:500]
        yield base


@contextmanager
def medplum(records: Sequence[Json], token: str, folder: Path) -> Iterator[str]:
    """Base URL of Medplum's router over a memory repository that holds the records."""
    program = node()
    file = folder / "records.json"
    file.write_text(json.dumps(records), encoding="utf-8")
    with _running([program, str(HERE / "fhir_router.mjs"), str(file), token], HERE) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdecimal(), "the router did not start"
        yield f"http://127.0.0.1:{port}/fhir"


Server = Callable[[Sequence[Json], str, Path], AbstractContextManager[str]]
SERVERS: dict[str, Server] = {"sekmet": sekmet, "medplum": medplum}


@contextmanager
def _running(arguments: list[str], folder: Path, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block. A pipe that nobody reads would stop one that logs much."""
    with subprocess.Popen(
        arguments, cwd=folder, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(http: httpx.Client, base: str) -> bool:
    try:
        return http.get(f"{base}/metadata", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _wait(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not ready():
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.1)
