"""The score caches on disk: which there are, how a damaged one is made whole, and how one of lmdb is carried over."""

from __future__ import annotations

import fcntl
import mmap
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from xxhash import xxh32_intdigest

from bistill import artifacts, cache_folder
from bistill.candidates.scores.database import (
    APPLICATION,
    CACHE_KIB,
    ENTRY_BYTES,
    KEY_BYTES,
    TABLE,
    VALUE_BYTES,
    ScoreDatabase,
    beside,
    locked,
)
from bistill.errors import ArtifactError

# What stands before the 24 bytes of an entry. SQLite: length, length of the header, kinds of its two columns. LMDB 0.9:
# length of the value (4 bytes), flags, length of the key.
SQLITE_CELL: Final = bytes([ENTRY_BYTES + 3, 3, 12 + 2 * KEY_BYTES, 12 + 2 * VALUE_BYTES])
LMDB_NODE: Final = bytes([VALUE_BYTES, 0, 0, 0, 0, 0, KEY_BYTES, 0])
# A value of no bytes stands for two that contradict each other.
KEEP: Final = (
    "INSERT INTO score VALUES (?, ?) ON CONFLICT (pair) DO UPDATE SET value = x'' WHERE value <> excluded.value"
)


class Listing(NamedTuple):
    """One cache on disk.

    Attributes:
        identity: whose scores these are; empty where this cannot be read.
        folder: where they lie.
        pairs: number of scores; 0 where the file is damaged.
        bytes: on disk.
        damage: what is wrong with it, or "".
    """

    identity: dict[str, Any]
    folder: Path
    pairs: int
    bytes: int
    damage: str


def listing() -> list[Listing]:
    """All caches, by the name of their folder; a damaged one says so instead of raising."""
    root = cache_folder.cache_dir() / artifacts.SCORES_FOLDER
    folders = sorted(folder for folder in root.glob("[!.]*") if folder.is_dir()) if root.is_dir() else []
    return [_listed(folder) for folder in folders]


def rebuild(folder: Path) -> tuple[int, int]:
    """Copy every score whose checksum holds into a new file that takes the place of the old one, or of one of lmdb.

    Of a file that SQLite can follow, the stored scores are kept. Of any other, and of one of lmdb, everything is
    searched that looks like an entry and has its checksum, so that damage costs what it hit. Such a search also finds
    what was overwritten: a pair found with two values is dropped, since it cannot be told which one is the newer.

    Refuses while the cache is open, in this or another process: that process would go on reading and writing the old
    file, and its scores would be lost. Whoever opens the cache meanwhile waits.

    Returns:
        Number of scores kept, and of those dropped; the latter as well as it can be told.

    Raises:
        ArtifactError: the cache is open, or the new file cannot be written.
    """
    if not folder.is_dir():
        raise ArtifactError("the folder does not exist", where=str(folder), todo="check the path")
    with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as locks:
        aside = folder.parent / f".{folder.name}.rebuild"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir()
            made, file = aside / artifacts.SCORES_FILE, folder / artifacts.SCORES_FILE
            kept, dropped = _copy(_entries(folder, locks), made)
            artifacts.flush(made)
            for old in beside(file):  # SQLite would bring the old log into the new file
                old.unlink(missing_ok=True)
            made.replace(file)
            for name in (artifacts.LMDB_SCORES_FILE, artifacts.LMDB_SCORES_LOCK):
                (folder / name).unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            raise ArtifactError(
                f"the scores cannot be copied ({error})", where=str(aside), todo="free some space, then run it again"
            ) from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return kept, dropped


def _copy(entries: Iterator[bytes], target: Path) -> tuple[int, int]:
    target.touch()  # with the permissions that the umask leaves, which SQLite would narrow
    broken: set[bytes] = set()
    with closing(sqlite3.connect(target, isolation_level=None)) as new:
        new.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};"
            f"PRAGMA application_id = {APPLICATION}; {TABLE}; BEGIN"
        )
        new.executemany(KEEP, _whole(entries, broken))
        doubtful = new.execute("DELETE FROM score WHERE value = x''").rowcount
        present = sum(new.execute("SELECT count(*) FROM score WHERE pair = ?", (key,)).fetchone()[0] for key in broken)
        new.execute("COMMIT")
        kept = int(new.execute("SELECT count(*) FROM score").fetchone()[0])
    return kept, doubtful + len(broken) - present


def _whole(entries: Iterator[bytes], broken: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of the entries that have their checksum; the keys of the others go to ``broken``."""
    for entry in entries:
        if len(entry) == ENTRY_BYTES and xxh32_intdigest(entry[:-4]).to_bytes(4, "little") == entry[-4:]:
            yield entry[:KEY_BYTES], entry[KEY_BYTES:]
        else:
            broken.add(entry[:KEY_BYTES])


def _entries(folder: Path, locks: bool) -> Iterator[bytes]:
    """All entries of a folder whose lock is held, whole or not."""
    file = folder / artifacts.SCORES_FILE
    if not file.exists():
        return _searched(folder / artifacts.LMDB_SCORES_FILE, LMDB_NODE)
    try:
        database = ScoreDatabase(folder, locks=locks)
    except ArtifactError:
        return (entry for found in (file, *beside(file)) for entry in _searched(found, SQLITE_CELL))
    return _stored(database)


def _stored(database: ScoreDatabase) -> Iterator[bytes]:
    with closing(database), database.errors_named():
        for row in database.sqlite.execute("SELECT pair, value FROM score"):
            yield b"".join(cell for cell in row if isinstance(cell, bytes))  # damage can make a number of it


def _searched(file: Path, before: bytes) -> Iterator[bytes]:
    """What follows certain bytes, anywhere in a file."""
    if not file.exists() or not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        pattern = re.compile(re.escape(before) + rb"(?=(.{%d}))" % ENTRY_BYTES, re.DOTALL)
        for match in pattern.finditer(content):
            yield match[1]


def _listed(folder: Path) -> Listing:
    identity: dict[str, Any] = {}
    pairs, size, damage = 0, 0, ""
    try:
        if files := [folder / name for name in artifacts.SCORES_FILES if (folder / name).exists()]:
            size = files[0].stat().st_size
            with closing(ScoreDatabase(folder)) as database:
                pairs = database.entries()
        identity = artifacts.read_json(folder / artifacts.SCORES_IDENTITY)
    except ArtifactError as error:
        damage = error.what
        with suppress(ArtifactError):
            identity = artifacts.read_json(folder / artifacts.SCORES_IDENTITY)
    return Listing(identity, folder, pairs, size, damage)
