"""Start the server: check the settings and the rules, take the port, say how to call it, run uvicorn."""

from __future__ import annotations

import errno
import json
import math
import os
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

import uvicorn
from starlette.applications import Starlette

import cds
from cds.hooks import ServiceEntry
from cds.knowledge import KnowledgeError
from cds.service.app import create_app
from cds.service.connection import connection_class
from cds.service.example import example_body
from cds.service.log import capture_server_log, fault, make_logger
from cds.service.metrics import FOLDER_VARIABLE, forget_process
from cds.service.process.reload import publish
from cds.service.process.server import Server
from cds.service.process.snapshot import UnfitFolder
from cds.service.process.workers import BEAT_SECONDS, Workers, beat
from cds.service.settings import ENV_PREFIX, Settings, SettingsError
from cds.service.trust.file import TrustError, is_loopback
from cds.service.trust.replay import FILE_NAME as STORE_FILE
from cds.service.trust.replay import StoreUnavailable
from cds.service.trust.tokens import Trust

_BACKLOG: Final = 2048
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only translated for the printed URL # nosec B104


def serve(settings: Settings) -> None:
    """Serve until stopped by a signal.

    Raises SystemExit after one line for each fault on stderr: 1 for faults in the rules, 2 for an address
    that cannot be used, or that others reach while nothing says who may call, and for faults in the trust file.
    """
    # A signal for new rules must not end a process that is not ready for it yet, nor be answered by the default.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    check_exposure(settings)
    try:
        # With several workers only to see that they can: each builds its own, an engine cannot be shared.
        app = create_app(settings)
        _check_token_store(settings, app.state.trust)
        listeners = _listen(settings)
        greet(greeting(settings, app.state.rules.services.values(), app.state.trust))
        capture_server_log(settings.log_level)
        if settings.workers > 1:
            app.state.rules.adviser.close()
            _serve_by_several(settings, listeners, app.state.log)
        else:
            _serve_alone(app, listeners)
    except KnowledgeError as error:
        _stop(str(error), 1)
    except TrustError as error:
        _stop(str(error), 2)
    except UnfitFolder as error:
        _stop(f"{settings.rules_dir}: {error}", 1)


def _serve_alone(app: Starlette, listeners: list[socket.socket]) -> None:
    config = uvicorn.Config(app, **uvicorn_options(app.state.settings))
    Server(config, app).run(sockets=listeners)


def _serve_by_several(settings: Settings, listeners: list[socket.socket], log: Any) -> None:
    """Until a signal ends them. They share a folder that lives as long as this process."""
    with tempfile.TemporaryDirectory(prefix="prenatal-cds-", ignore_cleanup_errors=True) as folder:
        rules, counts = _shared(folder)
        rules.mkdir()
        counts.mkdir()
        publish(settings, rules)
        os.environ[FOLDER_VARIABLE] = str(counts)  # read by the workers when they import prometheus_client
        workers = Workers(work, settings, listeners, folder, log, lambda pid: forget_process(pid, counts))
        if not workers.run():
            _stop("no worker could start; its log line says why", 1)


def work(settings: Settings, listeners: list[socket.socket], pipe: Connection, folder: str) -> None:
    """What each of several workers runs."""
    os.setpgrp()  # an interrupt at the terminal goes to the parent, which tells each worker once
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    rules, _ = _shared(folder)
    capture_server_log(settings.log_level)
    try:
        app = create_app(settings, rules)
    except SettingsError as error:
        # Files that were good when the service started may have been edited since: the text speaks about them only.
        make_logger(settings.log_level).error("worker not started", problem=str(error), **fault(error))
        raise SystemExit(1) from None
    except Exception as error:
        make_logger(settings.log_level).error("worker not started", **fault(error))
        raise SystemExit(1) from None
    config = uvicorn.Config(app, **uvicorn_options(settings))

    async def tell() -> None:
        beat(pipe)

    config.callback_notify, config.timeout_notify = tell, math.ceil(BEAT_SECONDS)
    Server(config, app).run(sockets=listeners)


def _shared(folder: str) -> tuple[Path, Path]:
    """Of the folder that the workers share: that of the rules, and that of the metrics."""
    return Path(folder, "rules"), Path(folder, "metrics")


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn is run here: no access log (a path may name a patient), no log set-up of its own."""
    return {
        "timeout_keep_alive": settings.keep_alive_seconds,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "lifespan": "on",
        "ws": "none",
        "http": connection_class(settings),
        "timeout_graceful_shutdown": math.ceil(settings.shutdown_seconds),
    }


def greet(lines: list[str]) -> None:
    """Print them; a standard output that is full or closed is no reason not to serve."""
    try:
        print("\n".join(lines), flush=True)
    except (OSError, ValueError):
        # What could not be written would be tried again, and fail again, when the program ends.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays until the end


def greeting(settings: Settings, services: Iterable[ServiceEntry], trust: Trust | None = None) -> list[str]:
    """What `serve` prints: where discovery is, who may call, and a call that can be pasted as it is where no token
    is needed.
    """
    base = _base_url(settings)
    entries = list(services)
    lines = [f"Discovery:  {base}/cds-services"]
    if entries and trust is None:
        lines += ["Try:", f"  {example_call(base, entries, settings.now().date())}"]
    if settings.fixed_now is not None:
        stopped = settings.now().isoformat()
        lines.append(f"The clock is stopped at {stopped}: for demonstrations, never for patients.")
    elif (dated := _fixture_clock()) and "@" in lines[-1]:
        lines.append(f"(Its record is of {dated}; {ENV_PREFIX}FIXED_NOW={dated} stops the clock there.)")
    return [*lines, f"Clients:    {_who_may_call(settings, trust)}"]


def _who_may_call(settings: Settings, trust: Trust | None) -> str:
    if trust is not None:
        return f"{', '.join(trust.clients)}; each call with a token for {settings.public_url}"
    if _only_here(settings.host):
        return "everyone on this machine, without a token (no trust file)"
    return f"everyone who reaches this address, without a token ({ENV_PREFIX}ALLOW_ANONYMOUS)"


def example_call(base: str, services: list[ServiceEntry], today: date) -> str:
    """A curl command for the first request fixture of the checkout, or with a short inline body when
    installed alone.
    """
    by_hook = {service.hook: service for service in services}
    for fixture in _fixtures():
        hook = _hook_of(fixture)
        if hook in by_hook:
            return _curl(base, by_hook[hook], f"@{shlex.quote(_from_here(fixture))}")
    service = by_hook.get("patient-view", services[0])
    return _curl(base, service, shlex.quote(json.dumps(example_body(service.hook, today))))


def _curl(base: str, service: ServiceEntry, data: str) -> str:
    return f"curl -s {base}/cds-services/{service.id} -H 'Content-Type: application/json' -d {data}"


def _fixtures() -> list[Path]:
    return sorted((_fixtures_dir() / "requests").glob("*.json"))


def _fixture_clock() -> str | None:
    """The time at which the fixtures were written, or None without them."""
    try:
        return (_fixtures_dir() / "now.txt").read_text("utf-8").strip() or None
    except OSError:
        return None


def _fixtures_dir() -> Path:
    return Path(cds.__file__).resolve().parent.parent / "fixtures"


def _hook_of(fixture: Path) -> str | None:
    """The hook a fixture is for; an unreadable one is passed over, the tests report it."""
    try:
        body: Any = json.loads(fixture.read_bytes())
    except (OSError, ValueError):
        return None
    hook = body.get("hook") if isinstance(body, dict) else None
    return hook if isinstance(hook, str) else None


def _from_here(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _base_url(settings: Settings) -> str:
    host = _ANY_ADDRESS.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _listen(settings: Settings) -> list[socket.socket]:
    """A socket on each address that the host name means; one that cannot be had ends the program with one line."""
    listeners: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Again: the name may have had no address before, while a name server was down, or another one.
        _stop_if_exposed(settings, all(is_loopback(str(address[0])) for *_, address in found))
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listener.bind(address)
            except OSError as error:
                # `localhost` may mean ::1 on a machine that has no such address.
                if error.errno != errno.EADDRNOTAVAIL or address == found[-1][-1]:
                    raise
                listeners.pop().close()
                continue
            listener.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        for listener in listeners:
            listener.close()
        reason = (getattr(error, "strerror", None) or "not an address").lower()
        _stop(
            f"{settings.host}:{settings.port}: {reason}; stop what uses it, "
            f"or choose another by --host and --port ({ENV_PREFIX}HOST, {ENV_PREFIX}PORT)",
            2,
        )
    return listeners


def check_exposure(settings: Settings) -> None:
    """Without a trust file only this machine may call, unless the operator says that everyone may."""
    _stop_if_exposed(settings, _only_here(settings.host))


def _stop_if_exposed(settings: Settings, only_here: bool) -> None:
    if settings.trust_file is None and not settings.allow_anonymous and not only_here:
        _stop(
            f"{settings.host}: others can reach this address, and no trust file says who may call; set "
            f"{ENV_PREFIX}TRUST_FILE (docs/client-trust.md), listen on 127.0.0.1, or let everyone call by "
            f"{ENV_PREFIX}ALLOW_ANONYMOUS=true",
            2,
        )


def _only_here(host: str) -> bool:
    """Whether a name or address means this machine only. A name without an address is left to `_listen`."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    return all(is_loopback(str(address[0])) for *_, address in found)


def _check_token_store(settings: Settings, trust: Trust | None) -> None:
    """Better no start than a service that refuses each call."""
    try:
        if trust is not None:
            trust.check_store()
    except StoreUnavailable:
        _stop(
            f"{settings.state_dir}: used tokens cannot be kept here; choose a local folder that this user may write "
            f"to by {ENV_PREFIX}STATE_DIR, or remove a broken {STORE_FILE}",
            2,
        )


def _stop(problem: str, code: int) -> NoReturn:
    print(problem, file=sys.stderr)
    raise SystemExit(code)
