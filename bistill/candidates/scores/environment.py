"""One lmdb environment with scores: checked before it is followed, shared within a process, its errors named."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

import lmdb

from bistill import artifacts
from bistill.candidates.scores.lmdb_pages import NODE_BYTES, DamageError, Pages
from bistill.errors import ArtifactError

MAP_BYTES: Final = 64 * 2**30
# Where a write gives out in the middle, lmdb says EIO whatever the system's reason.
FULL_DISK: Final = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
# A check starts again when others have committed twice since it began to look; one of so many gets through.
CHECKS: Final = 100


class ScoreEnvironment:
    """An open environment. lmdb allows one per file in a process, so its users share it: ``acquire`` and ``release``.

    Attributes:
        folder: where data.mdb and lock.mdb lie.
        lmdb: the environment.
        process: id of the process that opened it; it is of no use in a fork of that.
    """

    _open: ClassVar[dict[Path, ScoreEnvironment]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, folder: Path) -> None:
        self.folder, self.process, self._users = folder, os.getpid(), 1
        self._lock = locked(folder, fcntl.LOCK_SH)
        self._lock.__enter__()
        try:
            self.lmdb = self._opened()
            try:
                self._check()
            except BaseException:
                self.lmdb.close()
                raise
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    @classmethod
    def acquire(cls, folder: Path) -> ScoreEnvironment:
        """The environment of a folder, opened where this process has not opened it yet.

        Raises:
            ArtifactError: the file is damaged or cannot be opened.
        """
        key = folder.resolve()
        with cls._guard:
            known = cls._open.pop(key, None)
            if known is not None and known.process != os.getpid():
                known.shut()  # this is a fork; the parent's handles, lock included, are not touched by closing ours
                known = None
            if known is not None:
                known._users += 1
                cls._open[key] = known
                return known
            cls._open[key] = opened = cls(folder)
            return opened

    def release(self) -> None:
        """One user less; the last one closes it."""
        if self.process != os.getpid():
            return
        with self._guard:
            self._users -= 1
            if self._users == 0:
                del self._open[self.folder.resolve()]
                self.shut()

    def shut(self) -> None:
        """Close an environment that nobody shares."""
        self.lmdb.close()
        self._lock.__exit__(None, None, None)

    def entries(self) -> int:
        """Number of scores."""
        with self.errors_named():
            return int(self.lmdb.stat()["entries"])

    @contextmanager
    def errors_named(self, *, entries: int = 0) -> Iterator[None]:
        """Turn the errors of lmdb into such as name the file and what to do.

        Args:
            entries: scores that are about to be written.

        Raises:
            ArtifactError: as described.
        """
        try:
            yield
        except lmdb.MapFullError:
            raise self._full(f"the file may not grow beyond {MAP_BYTES:,} bytes", entries) from None
        except lmdb.Error as error:
            code = getattr(error, "code", 0)
            if entries and (code in FULL_DISK or isinstance(error, lmdb.DiskError)):
                raise self._full("the disk is full, at its limit for this file, or fails", entries) from None
            # Below 0 are the codes of lmdb itself, above those of the system.
            if code < 0 and not isinstance(error, lmdb.ReadersFullError):
                raise self.damaged(f"lmdb cannot follow the file ({error})") from None
            raise self._unusable(error) from None

    def damaged(self, what: str) -> ArtifactError:
        """The error of a file that is not as it was written."""
        return ArtifactError(
            what,
            where=str(self.folder / artifacts.SCORES_FILE),
            todo=f"bistill scores rebuild --cache {self.folder}; it keeps every score that is whole",
        )

    def _opened(self) -> lmdb.Environment:
        file = self.folder / artifacts.SCORES_FILE
        writable = os.access(self.folder, os.W_OK) and (not file.exists() or os.access(file, os.W_OK))
        try:
            if file.exists() and file.stat().st_size:
                Pages(file)
            with self.errors_named():
                environment = lmdb.open(
                    str(self.folder),
                    map_size=MAP_BYTES,
                    readonly=not writable,
                    lock=writable,
                    readahead=False,
                    mode=0o666,
                    # The format that every release of lmdb reads, whatever the environment's default.
                    lib_version=0,
                )
        except DamageError as error:
            raise self.damaged(str(error)) from None
        except OSError as error:
            raise self._unusable(error) from None
        if writable:
            environment.reader_check()  # a killed reader would keep old pages from being used again
        return environment

    def _check(self) -> None:
        """Check the newest state, which a reader holds meanwhile."""
        try:
            for _ in range(CHECKS):
                with self.errors_named(), self.lmdb.begin() as reading:
                    if Pages(self.folder / artifacts.SCORES_FILE).check(reading.id()):
                        return
        except DamageError as error:
            raise self.damaged(str(error)) from None
        except OSError as error:
            raise self._unusable(error) from None
        raise ArtifactError(
            "other processes write too often for a check",
            where=str(self.folder / artifacts.SCORES_FILE),
            todo="run again later",
        )

    def _full(self, reason: str, entries: int) -> ArtifactError:
        """Every page on the way to an entry is written anew, so a small batch costs more than its entries."""
        statistics = self.lmdb.stat()
        pages = min(entries, statistics["leaf_pages"]) + min(entries, statistics["branch_pages"]) + statistics["depth"]
        needed = entries * 2 * NODE_BYTES + pages * statistics["psize"]
        free = shutil.disk_usage(self.folder).free
        return ArtifactError(
            f"{entries:,} scores cannot be stored, {reason}: up to {needed:,} bytes are needed, the disk has {free:,}; "
            "all scores stored before are whole",
            where=str(self.folder / artifacts.SCORES_FILE),
            todo="free some space, or name a folder on another disk in $BISTILL_CACHE",
        )

    def _unusable(self, error: Exception) -> ArtifactError:
        code = getattr(error, "code", 0) or getattr(error, "errno", 0)
        todo = "check the permissions and the free space of the folder, or name another one in $BISTILL_CACHE"
        if code == errno.ENOMEM:
            todo = f"allow {MAP_BYTES // 2**30} GiB of address space and more (`ulimit -v unlimited`)"
        return ArtifactError(
            f"the scores cannot be opened ({error})", where=str(self.folder / artifacts.SCORES_FILE), todo=todo
        )


@contextmanager
def locked(folder: Path, mode: int) -> Iterator[None]:
    """Hold a lock on a folder: shared by those who have it open, exclusive for who replaces the file.

    The lock is on the folder itself (``flock``), not on lock.mdb: lmdb's own locks there are the process's, and closing
    a second handle of that file would end them.

    Raises:
        ArtifactError: another one has it, and the mode says not to wait; or the folder cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ArtifactError(f"the folder cannot be opened ({error.strerror})", where=str(folder)) from None
    try:
        try:
            fcntl.flock(handle, mode)
        except BlockingIOError:
            raise ArtifactError(
                "the scores are in use", where=str(folder), todo="wait until every run that uses them has ended"
            ) from None
        yield
    finally:
        os.close(handle)


def _new_guard() -> None:
    """In a fork: a thread of the parent may have held the old one."""
    ScoreEnvironment._guard = threading.Lock()


os.register_at_fork(after_in_child=_new_guard)
