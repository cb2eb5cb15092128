"""Private copies of the rules, so that what was proven is what is loaded, whoever edits the folder meanwhile.

    <folder>/lock              held by the one process that copies, proves or loads
    <folder>/current           the name of the set that serves
    <folder>/<digest>/rules    a copy of the rules; <digest>/site, of a site file from elsewhere
    <folder>/<digest>/verdict  what the proof said (JSON)

All processes of one service share the folder: each set is proven once, and a process that takes the place of a dead
one starts from the set that serves, not from a folder that may be broken just now.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from cds.knowledge import bundled_rules

_MOST_FILES: Final = 20_000
_MOST_BYTES: Final = 100_000_000


class UnfitFolder(Exception):
    """The folder of rules cannot be copied: too large, gone, or changing all the time."""


@dataclass(frozen=True)
class Snapshot:
    """One copied set: `digest` over all names and bytes, cases included; `rules` and `site` are its copies."""

    digest: str
    rules: Path
    site: Path | None

    @property
    def verdict(self) -> Path:
        return self.rules.parent / "verdict"


def fingerprint(rules: Path | None, site: Path | None) -> str:
    """Changes whenever a file comes, goes, grows, shrinks or is written to; cheap, nothing is read."""
    seen = hashlib.sha256()
    root = rules or bundled_rules()
    for path in [*_files(root), *([site] if site else [])]:
        try:
            found = path.stat()
        except OSError:
            continue
        # The change time too: a tool that keeps the date of a file it overwrites cannot keep that one.
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        seen.update(f"{path}\0{stamp}\n".encode())
    return seen.hexdigest()


def take_snapshot(rules: Path | None, site: Path | None, folder: Path) -> Snapshot:
    """Copy the rules and the site file below `folder`, or find that they are there already.

    Raises UnfitFolder, and OSError when the copy cannot be written.
    """
    root = rules or bundled_rules()
    before = fingerprint(rules, site)
    copied = Path(tempfile.mkdtemp(prefix="copying-", dir=folder))
    try:
        digest = _copy(root, site, copied)
        if fingerprint(rules, site) != before:
            raise UnfitFolder("the files changed while they were read; ask again when they rest")
        place = folder / digest
        if not place.exists():
            copied.rename(place)
    finally:
        shutil.rmtree(copied, ignore_errors=True)
    return _snapshot(folder, digest, root, site)


def current(rules: Path | None, site: Path | None, folder: Path) -> Snapshot | None:
    """The set that serves, or None before the first."""
    try:
        digest = (folder / "current").read_text("ascii")
    except FileNotFoundError:
        return None
    return _snapshot(folder, digest, rules or bundled_rules(), site)


def make_current(snapshot: Snapshot, folder: Path) -> None:
    """Name the set that serves, and remove the others."""
    new = folder / "current.new"
    new.write_text(snapshot.digest, "ascii")
    new.replace(folder / "current")
    for other in folder.iterdir():
        if other.is_dir() and other.name != snapshot.digest:
            shutil.rmtree(other, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether the lock of the folder could be had at once; held until the end of the block."""
    with (folder / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _snapshot(folder: Path, digest: str, root: Path, site: Path | None) -> Snapshot:
    copy = folder / digest / "rules"
    if site is None:
        return Snapshot(digest, copy, None)
    inside = _place_inside(site, root)
    return Snapshot(digest, copy, copy / inside if inside else folder / digest / "site" / site.name)


def _place_inside(site: Path, root: Path) -> Path | None:
    """Where below the root a site file stands, if it is copied with it."""
    # As it is named first: below a mounted ConfigMap each name leads into a hidden folder that is not copied.
    for file, folder in ((site.absolute(), root.absolute()), (site.resolve(), root.resolve())):
        if file.is_relative_to(folder):
            place = file.relative_to(folder)
            if not any(part.startswith(".") for part in place.parts):
                return place
    return None


def _copy(root: Path, site: Path | None, target: Path) -> str:
    """Copy what `_files` names, and the site file; SHA-256 over all names and bytes."""
    digest = hashlib.sha256()
    size = 0
    pairs = [(path, Path("rules") / path.relative_to(root)) for path in _files(root)]
    if site is not None:
        pairs.append((site, Path("site") / site.name))
    for path, name in pairs:
        content = _read(path, _MOST_BYTES - size)
        size += len(content)
        digest.update(f"{name.as_posix()}\0{len(content)}\0".encode() + content)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    return digest.hexdigest()


def _read(path: Path, most: int) -> bytes:
    """A file of at most so many bytes: a service that gives advice must not end because somebody put a dump there."""
    try:
        if not path.is_file():  # a pipe would be waited for, and the lock be held for ever
            raise UnfitFolder(f"{path.name}: not a file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError:
        raise UnfitFolder(f"{path.name}: cannot be read") from None
    if len(content) > most:
        raise UnfitFolder(f"more than {_MOST_BYTES} bytes; is this the folder of rules?")
    return content


def _unreadable(error: OSError) -> None:
    """Left out in silence, a folder would take its rules with it."""
    if not isinstance(error, FileNotFoundError):
        raise UnfitFolder(f"{PurePath(error.filename).name}: cannot be read") from None


def _files(root: Path) -> list[Path]:
    """The files of a folder in order, those of editors and mounts (`.name`) left out. Raises UnfitFolder."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        found += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        if len(found) > _MOST_FILES:
            raise UnfitFolder(f"more than {_MOST_FILES} files; is this the folder of rules?")
    if not found:
        raise UnfitFolder("there is no rules folder, or it is empty")
    return found
