"""Teacher scores that outlive a run: one lmdb environment for each teacher.

A score is the teacher's relevance logit of a (query, document) pair, found by a digest of both texts, so that it serves
every data set and every run with the same teacher. An entry is a key of 16 bytes and, as its value, the logit as a
little-endian float32 and the xxh32 of key and float: a flipped bit is an error or no score, never a wrong score.

**Durability.** ``put`` is one transaction, fsynced. A process that is killed loses the transaction in flight and no
other. Any number of processes may read and write the same cache at once: lmdb lets one write at a time.

**Damage.** Before lmdb follows a file, its structure is checked (``lmdb_pages``), once whenever it is opened: a damaged
file is an ``ArtifactError`` that names it. What stays beyond this: damage that happens while the file is open, for
instance another program that cuts it, can still end the process (SIGBUS), as with every memory-mapped file.

**Memory.** The map reserves 64 GiB of addresses, not of memory and not of disk: the file is as long as its content, and
only the pages that are read are in memory. A limit of the address space (``ulimit -v``) below this is an error.

**Fork.** A cache must not be used across a fork, which ``get`` and ``put`` assert; the child opens it anew, and a
process must not fork while another of its threads writes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from xxhash import xxh32_intdigest

from bistill import artifacts
from bistill.candidates.scores.environment import ScoreEnvironment
from bistill.candidates.scores.repair import Listing, listing, rebuild
from bistill.data.store.texts import digest
from bistill.errors import ArtifactError

__all__ = ["Listing", "ScoreCache", "digest", "folder_of", "listing", "rebuild"]

DIGEST_BYTES: Final = 16
VALUE: Final = np.dtype([("logit", "<f4"), ("checksum", "<u4")])


class ScoreCache:
    """Logits of one teacher by pair. Open with ``open``; close it or use it as a context manager.

    Attributes:
        identity: whose scores these are: what the caller counts as the same teacher.
        folder: where they lie.
    """

    def __init__(self, identity: Mapping[str, Any], environment: ScoreEnvironment, *, read_only: bool) -> None:
        self.identity = dict(identity)
        self.folder = environment.folder
        self._prefix = hashlib.blake2b(bytes.fromhex(artifacts.fingerprint(identity)), digest_size=DIGEST_BYTES)
        self._environment: ScoreEnvironment | None = environment
        self._read_only = read_only

    @classmethod
    def open(cls, identity: Mapping[str, Any], *, read_only: bool = False) -> ScoreCache:
        """The cache of a teacher, made where there is none; opened twice in one process, it is shared.

        Args:
            identity: JSON-able values that make the teacher what it is.
            read_only: nothing will be put, and nothing is made.

        Raises:
            ArtifactError: the file is damaged, cannot be opened or written, or with ``read_only`` does not exist.
        """
        folder = folder_of(identity)
        if read_only and not (folder / artifacts.SCORES_FILE).exists():
            raise ArtifactError("no scores of this teacher are stored", where=str(folder), found=dict(identity))
        if not read_only:
            _make_folder(folder, identity)
        return cls(identity, ScoreEnvironment.acquire(folder), read_only=read_only)

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

    def get(self, keys: Sequence[bytes]) -> np.ndarray:
        """Logits of keys: float32 of shape (n,), nan where there is none.

        Raises:
            ArtifactError: a stored value is not the one that was written.
        """
        environment = self._opened()
        # In the order of the keys, neighbours lie on the same page.
        with environment.errors_named(), environment.lmdb.begin() as reading, reading.cursor() as cursor:
            found = dict(cursor.getmulti(sorted(set(keys))))
        if not found:
            return np.full(len(keys), np.nan, dtype=np.float32)
        if any(len(value) != VALUE.itemsize for value in found.values()):
            raise environment.damaged("a score has another size than all that were written")
        values = np.frombuffer(b"".join(found.values()), dtype=VALUE)
        expected = [xxh32_intdigest(key + value[:4]) for key, value in found.items()]
        if not np.array_equal(values["checksum"], np.array(expected, dtype=np.uint32)):
            raise environment.damaged("a score does not have its checksum")
        place = dict(zip(found, values["logit"].tolist(), strict=True))
        return np.array([place.get(key, np.nan) for key in keys], dtype=np.float32)

    def put(self, keys: Sequence[bytes], logits: np.ndarray) -> None:
        """Store logits durably, all or none; of a key that occurs twice, the last.

        Args:
            keys: n keys of ``keys``.
            logits: their logits, shape (n,), finite.

        Raises:
            ArtifactError: the disk or the map is full; what was stored before stays whole.
        """
        environment = self._opened()
        values = np.asarray(logits)
        assert not self._read_only and values.shape == (len(keys),)
        assert (np.abs(values) <= np.finfo(np.float32).max).all()  # so none is nan
        blob = values.astype("<f4").tobytes()
        items = []
        for place, key in enumerate(keys):
            assert len(key) == DIGEST_BYTES
            value = blob[4 * place : 4 * place + 4]
            items.append((key, value + xxh32_intdigest(key + value).to_bytes(4, "little")))
        items.sort(key=itemgetter(0))
        with (
            environment.errors_named(entries=len(items)),
            environment.lmdb.begin(write=True) as writing,
            writing.cursor() as cursor,
        ):
            cursor.putmulti(items)

    def __len__(self) -> int:
        return self._opened().entries()

    def size(self) -> int:
        """Bytes of the file on disk."""
        return (self.folder / artifacts.SCORES_FILE).stat().st_size

    def close(self) -> None:
        """Let go of the environment; the last of its users closes it. Closing twice does nothing."""
        if self._environment is not None:
            self._environment.release()
            self._environment = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> ScoreEnvironment:
        assert self._environment is not None, "the cache is closed"
        assert self._environment.process == os.getpid(), "the cache was opened before a fork"
        return self._environment


def folder_of(identity: Mapping[str, Any]) -> Path:
    """Folder of a teacher's scores."""
    return artifacts.cache_dir() / artifacts.SCORES_FOLDER / artifacts.fingerprint(identity)[:32]


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
