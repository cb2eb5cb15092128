"""New rules without a restart: copied, proven, loaded beside the old ones, then put in their place as a whole.

signal HUP, or the files changed and rest -> copy -> proof in a process of its own -> load -> app.state.rules

Whatever fails on the way, the old rules serve on; /ready, the metrics and the log say so. A call that has begun ends
with the rules it began with, which are freed after the last such call.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess  # nosec B404
import sys
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette

import cds
from cds.knowledge import KnowledgeError
from cds.service.log import fault
from cds.service.process.snapshot import (
    Snapshot,
    UnfitFolder,
    current,
    fingerprint,
    locked,
    make_current,
    take_snapshot,
)
from cds.service.ruleset import RuleSet, load_ruleset
from cds.service.settings import ENV_PREFIX, Settings

_PROVER: Final = "cds.assurance.prove"  # stands after the service in the order of imports: a process, not an import
_TURN_SECONDS: Final = 0.2
_LONGEST_PROBLEM: Final = 2_000


class Refused(Exception):
    """The new rules may not serve; the text speaks about rule files only."""


@dataclass(frozen=True)
class LastReload:
    """`result`: `none` before the first attempt, else `ok` or `failed`; `at`: when that began to be so."""

    result: str
    at: datetime | None = None


class Reloader:
    """Watches for new rules in one process; `last` is the end of the latest attempt."""

    def __init__(self, app: Starlette, folder: Path | None, start: Snapshot | None, seen: str | None) -> None:
        """`folder` is shared with other processes, `start` the copy that `app` serves, if it serves one, and `seen`
        the fingerprint of the files it was loaded from."""
        self.last = LastReload("none")
        self._app = app
        self._settings: Settings = app.state.settings
        self._log: Any = app.state.log
        self._folder = folder
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._digest = start.digest if start else None
        self._seen = seen
        self._asked = asyncio.Event()
        self._prover: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def ask(self) -> None:
        """Look for new rules now, as after signal HUP."""
        self._asked.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer signal HUP and watch the files until the end of the block."""
        loop = asyncio.get_running_loop()
        main = threading.current_thread() is threading.main_thread()  # elsewhere no signal can be received
        if main:
            loop.add_signal_handler(signal.SIGHUP, self.ask)
        if self._folder is not None and self._digest is not None:
            serving = current(self._settings.rules_dir, self._settings.site_file, self._folder)
            if serving is not None and serving.digest != self._digest:
                self.ask()  # replaced while this process started, which no signal told it
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            if main:
                loop.remove_signal_handler(signal.SIGHUP)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes now must not kill what is being finished
            self._stopping = True
            task.cancel()
            if self._prover is not None:
                self._prover.kill()
            with suppress(asyncio.CancelledError):
                await task
            if self._own is not None:
                self._own.cleanup()

    async def _run(self) -> None:
        wait = self._settings.reload_seconds or None
        before: str | None = None
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), wait)
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                now = await asyncio.to_thread(fingerprint, self._settings.rules_dir, self._settings.site_file)
            except UnfitFolder:
                now = "unfit"
            # Files that changed since the last look may still be being written.
            if asked or (now != self._seen and now == before):
                self._seen = now
                await self._attempt()
            before = now

    async def _attempt(self) -> None:
        try:
            changed = await self._reload()
        except (KnowledgeError, UnfitFolder, Refused) as error:
            self._failed("rules refused", error=type(error).__name__, problem=str(error)[:_LONGEST_PROBLEM])
        except Exception as error:
            self._failed("rules not reloaded", **fault(error))
        else:
            if changed or self.last.result != "ok":
                self.last = LastReload("ok", datetime.now(UTC))
            self._app.state.metrics.reloaded("success")
            knowledge = self._app.state.rules.knowledge
            event = "rules replaced" if changed else "rules unchanged"
            self._log.info(event, profile=knowledge.profile, rules_hash=knowledge.hash)

    def _failed(self, event: str, **about: str) -> None:
        if self._stopping:
            return
        if self.last.result != "failed":
            self.last = LastReload("failed", datetime.now(UTC))
        self._app.state.metrics.reloaded("failure")
        self._log.error(event, rules_hash=self._app.state.rules.knowledge.hash, **about)

    async def _reload(self) -> bool:
        """Put the rules on disk in the place of those that serve; False when they are the same."""
        folder = self._place()
        while True:
            with locked(folder) as mine:
                if mine:
                    return await self._reload_alone(folder)
            await asyncio.sleep(_TURN_SECONDS)

    async def _reload_alone(self, folder: Path) -> bool:
        settings = self._settings
        snapshot = await asyncio.to_thread(take_snapshot, settings.rules_dir, settings.site_file, folder)
        if snapshot.digest == self._digest:
            return False
        proven = await asyncio.to_thread(self._prove, snapshot)
        # Beside the event loop: it takes a second, of which the answers of that time see little.
        rules = close_when_unused(await asyncio.to_thread(load_ruleset, copied(settings, snapshot)))
        if rules.knowledge.hash != proven:
            raise Refused("the rules that were loaded are not those that were proven")
        # First, because it may fail, on a full disk: then nothing has changed.
        await asyncio.to_thread(make_current, snapshot, folder)
        old: RuleSet = self._app.state.rules
        same = rules.knowledge.hash == old.knowledge.hash
        self._app.state.rules = rules
        self._app.state.loaded_at = datetime.now(UTC)
        replaced = None if same else old.knowledge.hash
        self._app.state.metrics.rules_in_use(rules.knowledge.hash, settings.profile, replaced)
        self._digest = snapshot.digest
        return True

    def _prove(self, snapshot: Snapshot) -> str:
        """The hash of the knowledge that passed its cases. Raises Refused. One process of several does the work."""
        if not snapshot.verdict.exists():
            # Whole or not at all: half a verdict, of a full disk or a killed worker, would be read for ever.
            part = snapshot.verdict.with_suffix(".part")
            part.write_bytes(self._run_prover(snapshot))
            part.replace(snapshot.verdict)
        verdict = json.loads(snapshot.verdict.read_bytes())
        if verdict["problems"]:
            raise Refused("\n".join(verdict["problems"]))
        return str(verdict["hash"])

    def _run_prover(self, snapshot: Snapshot) -> bytes:
        site = ["--site", str(snapshot.site)] if snapshot.site else []
        with subprocess.Popen(  # noqa: S603 - our own interpreter, module and paths # nosec B603
            [sys.executable, "-P", "-m", _PROVER, str(snapshot.rules), *site, "--profile", self._settings.profile],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as process:
            self._prover = process
            if self._stopping:  # while it was being started
                process.kill()
            try:
                printed, _ = process.communicate(timeout=self._settings.reload_timeout_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Refused("the proof took longer than reload_timeout_seconds") from None
            finally:
                self._prover = None
        if process.returncode not in (0, 1) or not printed:
            raise Refused(f"the proof ended without a verdict, exit code {process.returncode}")
        return printed

    def _place(self) -> Path:
        # Many systems tidy old temporary folders away, also below a service that runs for weeks.
        if self._own is not None and not Path(self._own.name).exists():
            self._own.cleanup()
            self._folder = None
        if self._folder is None:
            self._own = tempfile.TemporaryDirectory(prefix="prenatal-cds-", ignore_cleanup_errors=True)
            self._folder = Path(self._own.name)
        return self._folder


def start_with(settings: Settings, folder: Path | None) -> tuple[RuleSet, Snapshot | None, str | None]:
    """The first rules of a process: those that serve in the others, if `folder` has them, else those on disk.

    Also the copy they come from and the fingerprint of what is on disk, None where unknown. Raises KnowledgeError and
    SettingsError.
    """
    serving = current(settings.rules_dir, settings.site_file, folder) if folder else None
    while folder is not None and serving is not None:
        try:
            return close_when_unused(load_ruleset(copied(settings, serving))), serving, None
        except KnowledgeError:
            # Another process may have replaced the set, and with it this copy, while it was read.
            before, serving = serving, current(settings.rules_dir, settings.site_file, folder)
            if serving == before:
                raise
    try:
        seen = fingerprint(settings.rules_dir, settings.site_file)
    except UnfitFolder:
        seen = None  # the loader says what is wrong with it
    return close_when_unused(load_ruleset(settings)), None, seen


def _environment() -> dict[str, str]:
    """For the proof: this very code, and none of our settings."""
    other = {name: value for name, value in os.environ.items() if not name.upper().startswith(ENV_PREFIX)}
    return other | {"PYTHONPATH": str(Path(cds.__file__).parents[1])}


def publish(settings: Settings, folder: Path) -> None:
    """Make the rules on disk those with which the processes that share `folder` start. Raises UnfitFolder."""
    make_current(take_snapshot(settings.rules_dir, settings.site_file, folder), folder)


def copied(settings: Settings, snapshot: Snapshot) -> Settings:
    """The same settings with the rules of a copy."""
    return settings.model_copy(update={"rules_dir": snapshot.rules, "site_file": snapshot.site})


def close_when_unused(rules: RuleSet) -> RuleSet:
    """Free the engines of a set when nobody holds it any more: no call of it can be under way then."""
    weakref.finalize(rules, rules.adviser.close).atexit = False
    return rules
