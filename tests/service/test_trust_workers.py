"""Used tokens are remembered for all workers, and the service starts for others only when it knows who may call."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.service import create_app, load_settings
from cds.service.run import check_exposure, greeting
from cds.service.trust.replay import FILE_NAME, SeenTokens, StoreUnavailable
from tests.service.trusting import NORTH, PUBLIC_URL, bearer, claims, elliptic, token, write_trust_file

COMMAND = [sys.executable, "-c", "from cds.service import load_settings, serve; serve(load_settings())"]
ROOT = Path(__file__).resolve().parents[2]
PAIR = elliptic("north-1")


def _trust_file(folder: Path) -> Path:
    return write_trust_file(folder, {"name": "north", "issuer": NORTH, "jwks": {"keys": [PAIR.jwk()]}})


def _environment(**settings: Any) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRENATAL_CDS_")}
    return inherited | {f"PRENATAL_CDS_{name.upper()}": str(value) for name, value in settings.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _started(port: int, **settings: Any) -> Iterator[list[str]]:
    """The service in processes of its own; yields what it has printed when it answers."""
    process = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=_environment(port=port, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed: list[str] = []
        deadline = time.monotonic() + 60
        while not printed or not printed[-1].startswith("Clients:"):
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the server ended"
            printed.append(line.strip())
        while time.monotonic() < deadline:
            assert process.poll() is None, "the server ended"
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield printed
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _ended(**settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, cwd=ROOT, env=_environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )


def test_of_one_token_sent_many_times_at_once_to_two_workers_exactly_one_is_answered(tmp_path: Path) -> None:
    port = _free_port()
    trust = {"trust_file": _trust_file(tmp_path), "public_url": PUBLIC_URL, "state_dir": tmp_path / "state"}
    with _started(port, workers=2, log_level="error", **trust) as printed:
        assert printed[-1] == f"Clients:    north; each call with a token for {PUBLIC_URL}"
        assert not [line for line in printed if "curl" in line], "a call without a token would not work"

        def call(signed: str) -> int:
            # A connection of its own, so that the kernel hands it to either worker.
            url = f"http://127.0.0.1:{port}/cds-services"
            return httpx.get(url, headers=bearer(signed), trust_env=False, timeout=20, verify=False).status_code

        with ThreadPoolExecutor(8) as many:
            for _ in range(8):
                answers = list(many.map(call, [token(PAIR, claims())] * 8))
                assert sorted(answers) == [200] + [401] * 7


def test_two_processes_agree_on_every_one_of_many_tokens(tmp_path: Path) -> None:
    """The store alone, faster than HTTP can: each of 150 tokens is new to exactly one of two processes."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from cds.service.trust.replay import SeenTokens\n"
        "async def main():\n"
        "    seen = SeenTokens(Path(sys.argv[1]))\n"
        "    print([n for n in range(150) if await seen.is_first_use('a', str(n), 2000, 1000)])\n"
        "    seen.close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    SeenTokens(tmp_path).check()
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found: list[int] = []
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        found += [int(number) for number in output.strip("[]\n").split(", ") if number]
    assert sorted(found) == list(range(150))


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[SeenTokens]:
    store = SeenTokens(tmp_path / "state")
    yield store
    store.close()


def _use(store: SeenTokens, name: str, expires: int = 1300, now: int = 1000) -> bool:
    return asyncio.run(store.is_first_use(NORTH, name, expires, now))


def test_expired_tokens_are_forgotten_so_that_the_store_stays_small(seen: SeenTokens, tmp_path: Path) -> None:
    for number in range(100):
        assert _use(seen, f"early-{number}")
    for number in range(100):
        assert _use(seen, f"late-{number}", expires=2300, now=2000)
    with sqlite3.connect(tmp_path / "state" / FILE_NAME) as store:
        assert store.execute("SELECT count(*), min(expires) FROM seen").fetchone() == (100, 2300)
    store.close()


def test_what_was_used_outlives_the_process(tmp_path: Path) -> None:
    first = SeenTokens(tmp_path)
    assert _use(first, "one")
    first.close()
    second = SeenTokens(tmp_path)
    assert not _use(second, "one")
    second.close()


def test_issuer_and_token_id_are_not_run_together(seen: SeenTokens) -> None:
    assert asyncio.run(seen.is_first_use("ab", "c", 1300, 1000))
    assert asyncio.run(seen.is_first_use("a", "bc", 1300, 1000))


def test_only_this_user_may_read_the_store(seen: SeenTokens, tmp_path: Path) -> None:
    assert _use(seen, "one")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777 == 0o600


def _break_as_no_database(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b"no database" * 100)


def _break_as_a_folder(folder: Path) -> None:
    (folder / FILE_NAME).mkdir()


@pytest.mark.parametrize("damage", [_break_as_no_database, _break_as_a_folder])
def test_a_store_that_cannot_be_used_is_an_error_and_never_a_first_use(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(tmp_path)
    store = SeenTokens(tmp_path)
    with pytest.raises(StoreUnavailable):
        _use(store, "one")
    with pytest.raises(StoreUnavailable):
        store.check()
    store.close()


def test_a_full_store_is_an_error_until_tokens_expire(seen: SeenTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds.service.trust.replay._MOST_PAGES", 10)

    def fill() -> int:
        """How many tokens found room."""
        for number in range(5000):
            try:
                assert _use(seen, f"token-{number}")
            except StoreUnavailable:
                return number
        return 5000

    assert 100 < fill() < 5000
    assert not _use(seen, "token-0"), "what is remembered stays remembered"
    assert _use(seen, "later", expires=2300, now=2000)


def test_while_the_store_is_locked_calls_are_answered_503_and_the_token_stays_good(
    tmp_path: Path, serving: Callable[[Starlette], AbstractContextManager[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    given = {"trust_file": _trust_file(tmp_path), "public_url": PUBLIC_URL, "state_dir": state, "log_level": "info"}
    with (
        serving(create_app(load_settings(given))) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20) as http,
    ):
        assert http.get("/cds-services", headers=bearer(token(PAIR, claims()))).status_code == 200
        other = sqlite3.connect(state / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        signed = token(PAIR, claims())
        with ThreadPoolExecutor(1) as background:
            waiting = background.submit(http.get, "/cds-services", headers=bearer(signed))
            time.sleep(0.2)
            began = time.monotonic()
            assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
            assert time.monotonic() - began < 0.5, "the event loop does not wait for the lock"
            answer = waiting.result()
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.json()["issue"][0]["code"] == "transient"
        other.execute("ROLLBACK")
        other.close()
        assert http.get("/cds-services", headers=bearer(signed)).status_code == 200
    assert '"refused": "store-unavailable"' in capfd.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_service_does_not_start_for_others_without_knowing_who_may_call(host: str) -> None:
    ended = _ended(host=host, port=_free_port())
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{host}: ")
    assert "PRENATAL_CDS_TRUST_FILE" in line
    assert "PRENATAL_CDS_ALLOW_ANONYMOUS=true" in line
    assert ended.stdout == ""


def test_the_service_starts_for_others_when_told_that_everyone_may_call() -> None:
    port = _free_port()
    with _started(port, host="0.0.0.0", allow_anonymous="true", log_level="error") as printed:
        assert printed[-1] == (
            "Clients:    everyone who reaches this address, without a token (PRENATAL_CDS_ALLOW_ANONYMOUS)"
        )
        assert httpx.get(f"http://127.0.0.1:{port}/cds-services", trust_env=False).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost"])
def test_on_loopback_no_trust_is_needed_and_the_greeting_says_so(host: str) -> None:
    settings = load_settings({"host": host})
    check_exposure(settings)
    assert greeting(settings, [])[-1] == "Clients:    everyone on this machine, without a token (no trust file)"


def test_a_faulty_trust_file_stops_the_start_with_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    path.write_text("clients: []")
    ended = _ended(port=_free_port(), trust_file=path, public_url=PUBLIC_URL)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [f"{path}:1: clients: list at least one client; without any, nobody could call"]


def test_a_state_folder_that_cannot_hold_used_tokens_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = {"trust_file": _trust_file(tmp_path), "public_url": PUBLIC_URL, "state_dir": tmp_path / "file" / "state"}
    ended = _ended(port=_free_port(), **settings)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert "PRENATAL_CDS_STATE_DIR" in line
