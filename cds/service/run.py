"""Start the server: check the settings and the rules, take the port, say how to call it, run uvicorn."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
from collections.abc import Iterable
from datetime import date
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
from cds.service.log import capture_server_log
from cds.service.settings import ENV_PREFIX, Settings, load_settings

_FACTORY: Final = "cds.service.run:app_from_environment"
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only translated for the printed URL # nosec B104


def serve(settings: Settings) -> None:
    """Serve until stopped by a signal.

    Raises SystemExit after one line for each fault on stderr: 1 for faults in the rules, 2 for an address
    that cannot be used.
    """
    try:
        app = create_app(settings)
    except KnowledgeError as error:
        _stop(str(error), 1)
    if settings.workers > 1:
        # Each worker builds its own: an engine cannot be shared between processes.
        app.state.rules.adviser.close()
        _publish(settings)
    _check_address(settings)
    print("\n".join(greeting(settings, app.state.rules.services.values())), flush=True)
    capture_server_log(settings.log_level)
    uvicorn.run(_FACTORY if settings.workers > 1 else app, **uvicorn_options(settings))


def app_from_environment() -> Starlette:
    """What each of several workers runs; its settings come from the environment of the parent."""
    settings = load_settings()
    capture_server_log(settings.log_level)
    return create_app(settings)


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn is run here: no access log (a path may name a patient), no log set-up of its own."""
    return {
        "host": settings.host,
        "port": settings.port,
        "factory": settings.workers > 1,
        "workers": settings.workers,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "lifespan": "on",
        "ws": "none",
        "http": connection_class(settings),
        "timeout_keep_alive": settings.keep_alive_seconds,
        "timeout_graceful_shutdown": 10,
    }


def greeting(settings: Settings, services: Iterable[ServiceEntry]) -> list[str]:
    """What `serve` prints: where discovery is, and a call that can be pasted as it is."""
    base = _base_url(settings)
    entries = list(services)
    lines = [f"Discovery:  {base}/cds-services"]
    if entries:
        lines += ["Try:", f"  {example_call(base, entries, settings.now().date())}"]
    if settings.fixed_now is not None:
        stopped = settings.now().isoformat()
        lines.append(f"The clock is stopped at {stopped}: for demonstrations, never for patients.")
    elif (dated := _fixture_clock()) and "@" in lines[-1]:
        lines.append(f"(Its record is of {dated}; {ENV_PREFIX}FIXED_NOW={dated} stops the clock there.)")
    return lines


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


def _check_address(settings: Settings) -> None:
    """Try the address before uvicorn does, which reports a port in use by several lines."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or "not an address").lower()
        _stop(
            f"{settings.host}:{settings.port}: {reason}; stop what uses it, "
            f"or choose another by --host and --port ({ENV_PREFIX}HOST, {ENV_PREFIX}PORT)",
            2,
        )


def _publish(settings: Settings) -> None:
    """Hand the settings to the workers; variables of ours that these settings do not hold would win over
    defaults.
    """
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        del os.environ[name]
    os.environ.update(settings.to_environment())


def _stop(problem: str, code: int) -> NoReturn:
    print(problem, file=sys.stderr)
    raise SystemExit(code)
