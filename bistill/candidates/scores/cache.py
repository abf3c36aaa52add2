"""Teacher scores that outlive a run: one SQLite file for each teacher.

A score is the teacher's relevance logit of a (query, document) pair, found by a digest of both texts, so that it serves
every data set and every run with the same teacher. An entry is a key of 16 bytes and, as its value, the logit as a
little-endian float32 and the xxh32 of key and float: a flipped bit is an error or no score, never a wrong score.

**Durability.** ``put`` is one transaction, fsynced. A process that is killed loses the transaction in flight and no
other; what it had committed lies in the file or in the log beside it (``scores.sqlite-wal``), which the next one that
opens it brings in. Any number of processes of one machine may read and write the same cache at once: one writes at a
time, readers wait for nobody.

**Damage.** All pages are walked through whenever the file is opened, and SQLite takes no page at its word later: a
damaged file is an ``ArtifactError`` that names it.

**Fork.** A cache must not be used across a fork, which ``get`` and ``put`` assert; the child opens it anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from xxhash import xxh32_intdigest

from bistill import artifacts, cache_folder
from bistill.arrays import Floats, Ints
from bistill.candidates.scores.database import ENTRY_BYTES, KEY_BYTES, VALUE_BYTES, ScoreDatabase, beside
from bistill.candidates.scores.repair import Listing, listing, rebuild
from bistill.data.store.texts import digest
from bistill.errors import ArtifactError

__all__ = ["Listing", "ScoreCache", "digest", "folder_of", "listing", "rebuild"]


VALUE: Final = np.dtype([("logit", "<f4"), ("checksum", "<u4")])
ENTRY: Final = np.dtype([("key", f"V{KEY_BYTES}"), *((name, VALUE[name]) for name in ("logit", "checksum"))])
HASHED_BYTES: Final = ENTRY_BYTES - 4
# One statement cuts the joined keys, or entries, into pieces: a third of the time that one statement a row takes.
PLACES: Final = "WITH RECURSIVE at(i) AS (SELECT 1 UNION ALL SELECT i + {0} FROM at WHERE i + {0} < ?2)"
SELECT: Final = (
    f"{PLACES.format(KEY_BYTES)} SELECT (i - 1) / {KEY_BYTES}, value FROM at CROSS JOIN score "
    f"ON pair = substr(?1, i, {KEY_BYTES})"
)
INSERT: Final = (
    f"INSERT OR REPLACE INTO score {PLACES.format(ENTRY_BYTES)} SELECT substr(?1, i, {KEY_BYTES}), "
    f"substr(?1, i + {KEY_BYTES}, {VALUE_BYTES}) FROM at"
)


class ScoreCache:
    """Logits of one teacher by pair. Open with ``open``; close it or use it as a context manager.

    Attributes:
        identity: whose scores these are: what the caller counts as the same teacher.
        folder: where they lie.
    """

    def __init__(self, identity: Mapping[str, Any], database: ScoreDatabase, *, read_only: bool) -> None:
        self.identity = dict(identity)
        self.folder = database.folder
        self._prefix = hashlib.blake2b(bytes.fromhex(artifacts.fingerprint(identity)), digest_size=KEY_BYTES)
        self._database: ScoreDatabase | None = database
        self._read_only = read_only

    @classmethod
    def open(cls, identity: Mapping[str, Any], *, read_only: bool = False) -> ScoreCache:
        """The cache of a teacher, made where there is none; it may be open several times at once.

        Args:
            identity: JSON-able values that make the teacher what it is.
            read_only: nothing will be put, and nothing is made.

        Raises:
            ArtifactError: the file is damaged, of an earlier release, cannot be opened or written, or with
                ``read_only`` does not exist.
        """
        folder = folder_of(identity)
        if read_only and not any((folder / name).exists() for name in artifacts.SCORES_FILES):
            raise ArtifactError("no scores of this teacher are stored", where=str(folder), found=dict(identity))
        if not read_only:
            _make_folder(folder, identity)
        return cls(identity, ScoreDatabase(folder), read_only=read_only)

    def keys(self, queries: Sequence[bytes], documents: Sequence[bytes]) -> list[bytes]:
        """The keys of pairs, one for each query and the document at the same place.

        Args:
            queries: digests of the queries, n of them.
            documents: digests of the documents, n of them.

        Returns:
            n keys of 16 bytes: BLAKE2b of the teacher's fingerprint and both digests.
        """
        prefix, keys = self._prefix, []
        for query, document in zip(queries, documents, strict=True):
            hashed = prefix.copy()
            hashed.update(query + document)
            keys.append(hashed.digest())
        return keys

    def get(self, keys: Sequence[bytes]) -> Floats:
        """Logits of keys: float32 of shape (n,), nan where there is none.

        Raises:
            ArtifactError: a stored value is not the one that was written.
        """
        database = self._opened()
        order, asked = _in_order(keys)
        logits = np.full(len(keys), np.nan, dtype=np.float32)
        with database.errors_named():
            rows = database.sqlite.execute(SELECT, (asked, len(asked))).fetchall() if asked else []
        if not rows:
            return logits
        places, values = zip(*rows, strict=True)
        if set(map(type, values)) != {bytes} or set(map(len, values)) != {VALUE_BYTES}:
            raise database.damaged("a score has another size than all that were written")
        found = np.frombuffer(b"".join(values), dtype=VALUE)
        at = order[list(places)]
        expected = [xxh32_intdigest(keys[place] + value[:4]) for place, value in zip(at.tolist(), values, strict=True)]
        if not np.array_equal(found["checksum"], np.array(expected, dtype=np.uint32)):
            raise database.damaged("a score does not have its checksum")
        logits[at] = found["logit"]
        return logits

    def put(self, keys: Sequence[bytes], logits: Floats) -> None:
        """Store logits durably, all or none; of a key that occurs twice, the last.

        Args:
            keys: n keys of ``keys``.
            logits: their logits, shape (n,), finite.

        Raises:
            ArtifactError: the disk is full; what was stored before stays whole.
        """
        database = self._opened()
        values = np.asarray(logits)
        assert not self._read_only and values.shape == (len(keys),)
        assert (np.abs(values) <= np.finfo(np.float32).max).all()  # so none is nan
        if not keys:
            return
        order, ordered = _in_order(keys)
        entries = np.empty(len(keys), dtype=ENTRY)
        entries["key"] = np.frombuffer(ordered, dtype=ENTRY["key"])
        entries["logit"] = values[order]
        blob = entries.tobytes()
        hashed = [xxh32_intdigest(blob[start : start + HASHED_BYTES]) for start in range(0, len(blob), ENTRY_BYTES)]
        entries["checksum"] = hashed
        blob = entries.tobytes()
        with database.errors_named(entries=len(keys)):
            database.sqlite.execute(INSERT, (blob, len(blob)))

    def __len__(self) -> int:
        return self._opened().entries()

    def size(self) -> int:
        """Bytes on disk, of the file and of the log beside it."""
        file, total = self.folder / artifacts.SCORES_FILE, 0
        for part in (file, *beside(file)):
            with suppress(FileNotFoundError):  # who closes the file last removes the log
                total += part.stat().st_size
        return total

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> ScoreDatabase:
        assert self._database is not None, "the cache is closed"
        assert self._database.process == os.getpid(), "the cache was opened before a fork"
        return self._database


def folder_of(identity: Mapping[str, Any]) -> Path:
    """Folder of a teacher's scores."""
    return cache_folder.cache_dir() / artifacts.SCORES_FOLDER / artifacts.fingerprint(identity)[:32]


def _in_order(keys: Sequence[bytes]) -> tuple[Ints, bytes]:
    """Places of keys in rising order of their first half, int64 of shape (n,), and the keys so ordered, joined.

    Neighbours lie on the same page of the file. Equal keys keep their order: the last that is written stands.
    """
    blob = b"".join(keys)
    assert len(blob) == len(keys) * KEY_BYTES
    order = np.argsort(np.frombuffer(blob, dtype=">u8")[::2].astype(np.uint64), kind="stable")
    return order, np.frombuffer(blob, dtype=f"V{KEY_BYTES}")[order].tobytes()


def _make_folder(folder: Path, identity: Mapping[str, Any]) -> None:
    """The folder with its identity.json: for people and listings only, so it is written again where it is damaged."""
    file = folder / artifacts.SCORES_IDENTITY
    try:
        with suppress(ArtifactError):
            if file.exists() and artifacts.fingerprint(artifacts.read_json(file)) == artifacts.fingerprint(identity):
                return
        if os.access(folder, os.W_OK) or not folder.exists():
            artifacts.write_json(file, dict(identity))
    except OSError as error:
        raise ArtifactError(
            f"the folder of the scores cannot be made ({error.strerror})",
            where=str(folder),
            todo="free some space, or name another folder in $BISTILL_CACHE",
        ) from None
