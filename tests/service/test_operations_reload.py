"""New rules while serving: proven first, whole or not at all, and no call fails for it."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cds.assurance.prove import prove
from cds.service import create_app, load_settings
from cds.service.process.snapshot import UnfitFolder, current, fingerprint, locked, make_current, take_snapshot
from tests.knowledge.small_rules import Rules, small_rules
from tests.service.processes import Load, Served, serving_process

NOON = "2026-11-22T12:00:00Z"
CALL = "/cds-services/prenatal-patient-view"
Serving = Callable[[Starlette], AbstractContextManager[str]]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return small_rules(tmp_path)


def better(rules: Rules) -> None:
    """A change of words that its cases allow."""
    rules.edit("advice/low-calcium.yaml", "Consider albumin or ionised calcium.", "Consider albumin.")


def back(rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "Consider albumin.", "Consider albumin or ionised calcium.")


def unreadable(rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "version: 1.0.0", "version: one")


def readable(rules: Rules) -> None:
    rules.edit("advice/low-calcium.yaml", "version: one", "version: 1.0.0")


def ready(served: Served) -> dict[str, Any]:
    return dict(served.get("/ready").json())


def hang_up(served: Served) -> None:
    """Signal HUP, and wait until the log says what each worker made of it."""
    said = sum(served.events()[event] for event in _ENDS)
    served.signal(signal.SIGHUP)
    served.until(lambda: sum(served.events()[event] for event in _ENDS) > said)


_ENDS = ("rules replaced", "rules unchanged", "rules refused", "rules not reloaded")


# --- under load ---


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_call_fails_while_rules_are_replaced_refused_and_replaced_again(
    tmp_path: Path, rules: Rules, empty_chart: dict[str, Any], workers: int
) -> None:
    first = rules.load().hash
    with serving_process(tmp_path, workers=workers, fixed_now=NOON, rules_dir=rules.root) as served:
        served.until(lambda: served.events()["serving"] == workers)
        load = Load(served.port, CALL, json.dumps(empty_chart).encode(), pause=0.01)
        with load.clients(4):
            better(rules)
            second = rules.load().hash
            served.signal(signal.SIGHUP)
            served.until(lambda: served.events()["rules replaced"] == workers)
            unreadable(rules)
            served.signal(signal.SIGHUP)
            served.until(lambda: served.events()["rules refused"] == workers)
            assert ready(served)["rules"]["hash"] == second
            assert ready(served)["status"] == "degraded"
            readable(rules)
            back(rules)
            served.signal(signal.SIGHUP)
            served.until(lambda: served.events()["rules replaced"] == 2 * workers)
            time.sleep(0.2)
        assert ready(served)["rules"]["hash"] == first
        assert ready(served)["reload"]["result"] == "ok"
    assert load.broken == []
    assert load.refused == 0
    assert set(load.hashes) == {first, second}
    assert load.answers[200] > 50


# --- what is refused ---


def test_rules_that_do_not_load_or_fail_a_case_or_are_gone_are_refused_and_the_old_ones_serve(
    tmp_path: Path, rules: Rules, body: dict[str, Any]
) -> None:
    before = rules.load().hash
    with serving_process(tmp_path, rules_dir=rules.root) as served:
        unreadable(rules)
        hang_up(served)
        assert problem(served) == "advice/low-calcium.yaml:1: version 'one' must look like 1.0.0"
        told = ready(served)
        assert served.get("/ready").status_code == 200
        assert (told["status"], told["reload"]["result"]) == ("degraded", "failed")
        assert "prenatal_cds_rules_reload_failed 1.0" in served.get("/metrics").text
        readable(rules)
        rules.edit("advice/thresholds.yaml", "value: 2.10", "value: 2.00")
        hang_up(served)
        assert "low-calcium" in problem(served)
        assert "expected to fire, but it is silent" in problem(served)
        rules.root.rename(tmp_path / "elsewhere")
        hang_up(served)
        assert "no rules folder" in problem(served)
        assert ready(served)["rules"]["hash"] == before
        assert ready(served)["reload"] == told["reload"]
        assert httpx.post(served.base + CALL, json=body, trust_env=False, timeout=20).status_code == 200
        (tmp_path / "elsewhere").rename(rules.root)
        rules.edit("advice/thresholds.yaml", "value: 2.00", "value: 2.10")
        hang_up(served)
        assert ready(served)["status"] == "ready"
        assert "prenatal_cds_rules_reload_failed 0.0" in served.get("/metrics").text


def problem(served: Served) -> str:
    """What the log said about the latest refusal."""
    return str([line for line in served.log() if line["event"] == "rules refused"][-1]["problem"])


# --- watching ---


def test_a_change_is_seen_without_a_signal_and_only_once_it_rests(tmp_path: Path, rules: Rules) -> None:
    with serving_process(tmp_path, rules_dir=rules.root, reload_seconds=0.5) as served:
        before = ready(served)["rules"]["hash"]
        end = time.monotonic() + 2
        while time.monotonic() < end:  # an editor at work
            better(rules)
            back(rules)
            time.sleep(0.1)
        better(rules)
        served.until(lambda: ready(served)["rules"]["hash"] != before)
        assert ready(served)["rules"]["hash"] == rules.load().hash
        assert served.events()["rules replaced"] == 1


@pytest.mark.slow
def test_a_worker_that_replaces_a_dead_one_starts_with_the_rules_that_serve(tmp_path: Path, rules: Rules) -> None:
    with serving_process(tmp_path, workers=2, rules_dir=rules.root) as served:
        served.until(lambda: served.events()["serving"] == 2)
        better(rules)
        second = rules.load().hash
        served.signal(signal.SIGHUP)
        served.until(lambda: served.events()["rules replaced"] == 2)
        unreadable(rules)
        for pid in served.workers():
            os.kill(pid, signal.SIGKILL)
            seen = served.events()["serving"]
            served.until(lambda seen=seen: served.events()["serving"] > seen)
        assert {ready(served)["rules"]["hash"] for _ in range(8)} == {second}
        readable(rules)
        back(rules)
        first = rules.load().hash
        replaced = served.events()["worker replaced"]
        os.kill(served.workers()[0], signal.SIGKILL)
        served.until(lambda: served.events()["worker replaced"] > replaced)
        served.signal(signal.SIGHUP)  # one of the two is still starting
        served.until(lambda: served.events()["serving"] == 5)
        served.until(lambda: {ready(served)["rules"]["hash"] for _ in range(8)} == {first})


# --- a disk that fails ---


def test_half_a_verdict_of_a_full_disk_is_not_believed_when_there_is_room_again(
    tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(load_settings({"rules_dir": rules.root, "log_level": "error"}))
    reloader = app.state.reloader
    snapshot = take_snapshot(rules.root, None, tmp_path)
    verdict = json.dumps({"hash": "proven", "problems": []}).encode()
    monkeypatch.setattr(reloader, "_run_prover", lambda _: verdict)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            reloader._prove(snapshot)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert reloader._prove(snapshot) == "proven"


def test_a_tidied_temporary_folder_does_not_end_reloading(rules: Rules) -> None:
    app = create_app(load_settings({"rules_dir": rules.root, "log_level": "error"}))
    folder = app.state.reloader._place()
    folder.rmdir()
    again = app.state.reloader._place()
    assert again.is_dir()
    assert app.state.reloader._place() == again
    app.state.reloader._own.cleanup()


# --- in one process ---


def test_a_set_of_rules_is_freed_after_the_last_call_that_uses_it(rules: Rules) -> None:
    app = create_app(load_settings({"rules_dir": rules.root, "log_level": "error"}))
    in_use = app.state.rules
    adviser = in_use.adviser
    better(rules)
    app.state.rules = create_app(load_settings({"rules_dir": rules.root, "log_level": "error"})).state.rules
    engines = list(adviser._engines.values())
    assert not any(engine._closed for engine in engines)  # the call that holds it goes on
    del in_use, adviser
    assert all(engine._closed for engine in engines)


@pytest.mark.slow
def test_twenty_reloads_leave_no_memory_behind(tmp_path: Path, rules: Rules) -> None:
    with serving_process(tmp_path, rules_dir=rules.root) as served:
        sizes = []
        for number in range(24):
            (better if number % 2 == 0 else back)(rules)
            hang_up(served)
            sizes.append(served.resident_bytes())
        assert served.events()["rules replaced"] == 24
    assert sizes[-1] - sizes[3] < 20_000_000, sizes


# --- the proof ---


def test_the_proof_names_the_hash_of_what_it_proved(rules: Rules) -> None:
    assert prove(rules.root) == prove(rules.root, None, "seed")
    assert prove(rules.root).hash == rules.load().hash
    assert prove(rules.root).problems == ()
    assert prove(rules.root, None, "strict").hash == rules.load(profile="strict").hash


def test_the_proof_misses_a_rule_without_cases(rules: Rules) -> None:
    (rules.root / "advice" / "low-calcium.cases.yaml").unlink()
    assert any("low-calcium" in problem for problem in prove(rules.root).problems)


# --- copies ---


def test_a_copy_loads_as_the_same_knowledge(tmp_path: Path, rules: Rules) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    site = tmp_path / "hospital.yaml"
    site.write_text("title: Hospital\n", "utf-8")
    for chosen in (None, site, rules.root / "sites" / "example.yaml"):
        snapshot = take_snapshot(rules.root, chosen, folder)
        copy = Rules(snapshot.rules)
        assert copy.load(snapshot.site).hash == rules.load(chosen).hash


def test_copies_are_told_apart_by_every_file_and_only_the_current_one_is_kept(tmp_path: Path, rules: Rules) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    first = take_snapshot(rules.root, None, folder)
    assert take_snapshot(rules.root, None, folder) == first
    (rules.root / "advice" / ".low-calcium.yaml.swp").write_text("an editor's own", "utf-8")
    assert take_snapshot(rules.root, None, folder) == first
    rules.edit("advice/low-calcium.cases.yaml", "just below the limit\n", "below the limit\n")
    second = take_snapshot(rules.root, None, folder)
    assert second.digest != first.digest
    assert current(rules.root, None, folder) is None
    make_current(second, folder)
    assert current(rules.root, None, folder) == second
    assert not first.rules.exists()


def test_a_change_of_the_files_changes_their_fingerprint(rules: Rules) -> None:
    before = fingerprint(rules.root, None)
    assert fingerprint(rules.root, None) == before
    better(rules)
    assert fingerprint(rules.root, None) != before


def test_a_tool_that_keeps_the_date_and_size_of_a_file_does_not_hide_its_change(rules: Rules) -> None:
    file = rules.root / "advice" / "low-calcium.yaml"
    before, dates = fingerprint(rules.root, None), file.stat()
    content = file.read_text("utf-8")
    file.write_text(content.replace("1.0.0", "1.0.1"), "utf-8")
    os.utime(file, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert fingerprint(rules.root, None) != before


@pytest.fixture
def config_map(tmp_path: Path, rules: Rules) -> Path:
    """The rules as Kubernetes mounts them: every name is a link into a dated hidden folder, by way of `..data`."""
    mount = tmp_path / "mount"
    mount.mkdir()
    shutil.copytree(rules.root, mount / "..2026_11_22")
    (mount / "..data").symlink_to("..2026_11_22")
    for name in os.listdir(rules.root):
        (mount / name).symlink_to(Path("..data", name))
    return mount


def test_a_mounted_config_map_is_the_same_knowledge_also_copied_and_with_its_site_file(
    tmp_path: Path, rules: Rules, config_map: Path
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    site = config_map / "sites" / "example.yaml"
    snapshot = take_snapshot(config_map, site, folder)
    expected = rules.load(rules.root / "sites" / "example.yaml").hash
    assert Rules(config_map).load(site).hash == expected
    assert Rules(snapshot.rules).load(snapshot.site).hash == expected


def test_a_config_map_that_is_swapped_is_seen(config_map: Path) -> None:
    before = fingerprint(config_map, None)
    shutil.copytree(config_map / "..2026_11_22", config_map / "..2026_11_23")
    (config_map / "..data_tmp").symlink_to("..2026_11_23")
    (config_map / "..data_tmp").replace(config_map / "..data")
    shutil.rmtree(config_map / "..2026_11_22")
    assert fingerprint(config_map, None) != before


def test_a_dump_a_pipe_or_a_closed_folder_among_the_rules_is_refused_before_it_does_harm(
    tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = rules.root / "advice" / "dump.yaml"
    with dump.open("wb") as file:
        file.truncate(50 * 2**30)  # holds no block of the disk
    with pytest.raises(UnfitFolder, match="bytes"):
        take_snapshot(rules.root, None, tmp_path)
    dump.unlink()
    os.mkfifo(dump)
    with pytest.raises(UnfitFolder, match=r"dump\.yaml: not a file"):
        take_snapshot(rules.root, None, tmp_path)
    dump.unlink()

    scandir = os.scandir

    def closed(path: Any) -> Any:  # root may read every folder
        if Path(path).name == "advice":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UnfitFolder, match="advice: cannot be read"):
        fingerprint(rules.root, None)


def test_an_empty_folder_is_no_folder_of_rules(tmp_path: Path) -> None:
    with pytest.raises(UnfitFolder, match="empty"):
        fingerprint(tmp_path, None)


def test_the_lock_of_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with locked(tmp_path) as mine:
        assert mine
        with locked(tmp_path) as second:
            assert not second
    with locked(tmp_path) as again:
        assert again
