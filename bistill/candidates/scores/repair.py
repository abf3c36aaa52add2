"""The score caches on disk: which there are, and how a damaged one is made whole again."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
from xxhash import xxh32_intdigest

from bistill import artifacts
from bistill.candidates.scores import lmdb_pages
from bistill.candidates.scores.environment import MAP_BYTES, ScoreEnvironment, locked
from bistill.candidates.scores.lmdb_pages import DamageError, Pages
from bistill.errors import ArtifactError


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
    root = artifacts.cache_dir() / artifacts.SCORES_FOLDER
    folders = sorted(folder for folder in root.glob("[!.]*") if folder.is_dir()) if root.is_dir() else []
    return [_listed(folder) for folder in folders]


def rebuild(folder: Path) -> tuple[int, int]:
    """Copy every score whose checksum holds into a new file that takes the place of the old one.

    Of a file whose structure holds, the stored scores are kept. Of any other, everything is searched that looks like an
    entry and has its checksum, so that damage costs what it hit. Such a search also finds what was overwritten: a pair
    that is found with two values is dropped, since it cannot be told which one is the newer.

    Refuses while the cache is open, in this or another process: that process would go on reading and writing the old
    file, and its scores would be lost. Whoever opens the cache meanwhile waits.

    Returns:
        Number of scores kept, and of those dropped; the latter as well as it can be told.

    Raises:
        ArtifactError: the cache is open, or the new file cannot be written.
    """
    if not folder.is_dir():
        raise ArtifactError("the folder does not exist", where=str(folder), todo="check the path")
    with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        aside = folder.parent / f".{folder.name}.rebuild"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            kept, dropped = _copy(folder / artifacts.SCORES_FILE, aside)
            (aside / artifacts.SCORES_FILE).replace(folder / artifacts.SCORES_FILE)
            (folder / artifacts.SCORES_LOCK).unlink(missing_ok=True)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return kept, dropped


def _copy(source: Path, target: Path) -> tuple[int, int]:
    blocks, claimed = _salvaged(source)
    broken = 0
    doubtful: set[bytes] = set()
    environment = ScoreEnvironment(target)
    try:
        with environment.errors_named():
            for nodes in blocks:
                broken += _copy_block(nodes, environment.lmdb, doubtful)
            with environment.lmdb.begin(write=True) as writing:
                for key in doubtful:
                    writing.delete(key)
        kept = environment.entries()
    finally:
        environment.shut()
    return kept, max(claimed - kept, 0) if claimed is not None else broken + len(doubtful)


def _copy_block(nodes: np.ndarray, target: lmdb.Environment, doubtful: set[bytes]) -> int:
    """Copy the entries that have their checksum, note those found with two values, and count the others."""
    blob = nodes.tobytes()
    entries = []
    for start in range(0, len(blob), lmdb_pages.NODE_BYTES):
        node = blob[start : start + lmdb_pages.NODE_BYTES]
        if xxh32_intdigest(node[8:28]).to_bytes(4, "little") == node[28:]:
            entries.append((node[8:24], node[24:]))
    entries.sort()
    with target.begin(write=True) as writing, writing.cursor() as cursor:
        for key, value in entries:
            if not cursor.put(key, value, overwrite=False) and cursor.value() != value:
                doubtful.add(key)
    return len(nodes) - len(entries)


def _salvaged(source: Path) -> tuple[Iterator[np.ndarray], int | None]:
    """Entries of a file, and how many it counts itself where that can be believed."""
    if not source.exists() or source.stat().st_size == 0:
        return iter(()), 0
    try:
        pages = Pages(source)
    except DamageError:
        return lmdb_pages.loose_nodes(source), None
    newest = pages.newest()
    claimed = int(newest["main"]["entries"])
    try:
        if pages.check(int(newest["transaction"])):
            return pages.live_nodes(newest), claimed
    except DamageError:
        pass
    believable = claimed <= int(newest["last"]) * pages.page_size // lmdb_pages.NODE_BYTES <= MAP_BYTES
    return lmdb_pages.loose_nodes(source), claimed if believable else None


def _listed(folder: Path) -> Listing:
    identity: dict[str, Any] = {}
    pairs, size, damage = 0, 0, ""
    try:
        if (folder / artifacts.SCORES_FILE).exists():
            size = (folder / artifacts.SCORES_FILE).stat().st_size
            environment = ScoreEnvironment.acquire(folder)
            try:
                pairs = environment.entries()
            finally:
                environment.release()
        identity = artifacts.read_json(folder / artifacts.SCORES_IDENTITY)
    except ArtifactError as error:
        damage = error.what
        with suppress(ArtifactError):
            identity = artifacts.read_json(folder / artifacts.SCORES_IDENTITY)
    return Listing(identity, folder, pairs, size, damage)
