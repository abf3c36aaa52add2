"""One SQLite file of scores: opened as its folder allows, looked through for damage, its errors named."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bistill import artifacts, console
from bistill.errors import ArtifactError

KEY_BYTES: Final = 16
VALUE_BYTES: Final = 8
ENTRY_BYTES: Final = KEY_BYTES + VALUE_BYTES
PAGE_BYTES: Final = 4096
HEADER_BYTES: Final = 100  # of a SQLite file
# In the file's header: whose format this is ("bist").
APPLICATION: Final = 0x62697374
TABLE: Final = "CREATE TABLE IF NOT EXISTS score (pair BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
# A commit may wait for those of other processes, each a fraction of a second; one that is stopped holds up all.
WAIT_SECONDS: Final = 600
CACHE_KIB: Final = 65_536
# Pages of the log before they are copied into the file: a page that several transactions change is copied once.
LOG_PAGES: Final = 8192
# ERROR is what our own statements give where the file's table is not ours.
DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
FULL_DISK: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
IN_USE: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def beside(file: Path) -> list[Path]:
    """What SQLite may keep beside a file: transactions on their way into it, an index of them, pages to go back to."""
    return [file.with_name(file.name + end) for end in artifacts.SQLITE_ENDS]


class ScoreDatabase:
    """An open file of scores. It must not be used across a fork.

    Args:
        folder: where ``scores.sqlite`` lies, or will; of a folder that cannot be written the file must be there.
        locks: whether the file system has locks, from the one who holds the folder's; None: it is taken here.

    Attributes:
        folder: as given.
        sqlite: the connection, every statement a transaction.
        process: id of the process that opened it.

    Raises:
        ArtifactError: the file is damaged, of an earlier release, or cannot be opened.
    """

    def __init__(self, folder: Path, *, locks: bool | None = None) -> None:
        self.folder, self.process = folder, os.getpid()
        self._file = folder / artifacts.SCORES_FILE
        if not self._file.exists() and (folder / artifacts.LMDB_SCORES_FILE).exists():
            raise ArtifactError(
                "these scores were stored in lmdb by an earlier release; this one does not read them",
                where=str(folder / artifacts.LMDB_SCORES_FILE),
                todo=f"bistill scores rebuild --cache {folder}; it carries them over",
            )
        with ExitStack() as opened:
            if locks is None:
                locks = opened.enter_context(locked(folder, fcntl.LOCK_SH))
            self.sqlite = self._connected(locks)
            opened.callback(self.sqlite.close)
            with self.errors_named():
                self._prepare(locks)
                self._check()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file; in a fork of the process that opened it, leave it alone."""
        if self.process == os.getpid():
            with self.errors_named():
                self._opened.close()

    def entries(self) -> int:
        """Number of scores."""
        with self.errors_named():
            return int(self.sqlite.execute("SELECT count(*) FROM score").fetchone()[0])

    @contextmanager
    def errors_named(self, *, entries: int = 0) -> Iterator[None]:
        """Turn the errors of SQLite into such as name the file and what to do.

        Args:
            entries: scores that are about to be written.

        Raises:
            ArtifactError: as described.
        """
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
            if code == sqlite3.SQLITE_MISUSE:
                raise
            if code in DAMAGE:
                raise self.damaged(f"SQLite cannot follow the file ({error})") from None
            if entries and code in FULL_DISK:
                raise self._full(entries) from None
            raise self._unusable(error, in_use=code in IN_USE) from None

    def damaged(self, what: str) -> ArtifactError:
        """The error of a file that is not as it was written."""
        return ArtifactError(
            what,
            where=str(self._file),
            todo=f"bistill scores rebuild --cache {self.folder}; it keeps every score that is whole",
        )

    def _connected(self, locks: bool) -> sqlite3.Connection:
        self._writable = os.access(self.folder, os.W_OK) and (not self._file.exists() or os.access(self._file, os.W_OK))
        way = "mode=rw"
        if not self._writable:
            # Without a log beside it nobody writes, and SQLite need not make the files by which it would find out.
            way = "mode=ro" if any(file.exists() for file in beside(self._file)) else "immutable=1"
        elif not locks:
            way += "&vfs=unix-none"
        try:
            if self._writable:
                self._file.touch()  # with the permissions that the umask leaves, which SQLite would narrow
            if 0 < self._file.stat().st_size < HEADER_BYTES:
                raise self.damaged(f"the file was cut to {self._file.stat().st_size} bytes")
        except OSError as error:
            raise self._unusable(error) from None
        with self.errors_named():
            return sqlite3.connect(
                f"file:{quote(str(self._file.absolute()))}?{way}",
                uri=True,
                timeout=WAIT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )

    def _prepare(self, locks: bool) -> None:
        run = self.sqlite.execute
        self.sqlite.text_factory = bytes
        if self._writable and not locks:
            run("PRAGMA locking_mode = EXCLUSIVE")  # with a log of earlier, which several could not share without locks
            run("PRAGMA journal_mode = DELETE")
            run("PRAGMA locking_mode = NORMAL")
        elif self._writable:
            run(f"PRAGMA page_size = {PAGE_BYTES}")
            run("PRAGMA journal_mode = WAL")
            run(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA cache_size = -{CACHE_KIB}")
        run("PRAGMA cell_size_check = ON")
        if self._writable and not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self.sqlite.executescript(f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; {TABLE}; COMMIT")

    def _check(self) -> None:
        """Walk through all pages, a tenth of a second for a million scores: what is written into damage spreads it."""
        if self.sqlite.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise self.damaged("this is not a file of teacher scores")
        found = self.sqlite.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != b"ok":
            raise self.damaged(f"SQLite finds damage ({found.decode(errors='replace').splitlines()[-1]})")

    def _full(self, entries: int) -> ArtifactError:
        """A page on the way to an entry is written whole, so a small batch costs more than its entries."""
        pages = min(entries, self._file.stat().st_size // PAGE_BYTES) + 2 * entries * ENTRY_BYTES // PAGE_BYTES + 1
        free = shutil.disk_usage(self.folder).free
        return ArtifactError(
            f"{entries:,} scores cannot be stored, the disk is full, at its limit for this file, or fails: up to "
            f"{2 * pages * PAGE_BYTES:,} bytes are needed, the disk has {free:,}; all scores stored before are whole",
            where=str(self._file),
            todo="free some space, or name a folder on another disk in $BISTILL_CACHE",
        )

    def _unusable(self, error: Exception, *, in_use: bool = False) -> ArtifactError:
        todo = "check the permissions and the free space of the folder, or name another one in $BISTILL_CACHE"
        if in_use:
            todo = f"see whether a process that uses it is stopped; it was waited for {WAIT_SECONDS} seconds"
        return ArtifactError(f"the scores cannot be used ({error})", where=str(self._file), todo=todo)


@contextmanager
def locked(folder: Path, mode: int) -> Iterator[bool]:
    """Hold a lock on a folder: shared by those who have it open, exclusive for who replaces the file.

    The lock is on the folder itself (``flock``), not on the file: SQLite's own locks there are the process's, and
    closing a second handle of that file would end them.

    Yields:
        Whether the file system locks files; said where it does not.

    Raises:
        ArtifactError: another one has it, and the mode says not to wait; or the folder cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ArtifactError(f"the folder cannot be opened ({error.strerror})", where=str(folder)) from None
    locks = True
    try:
        try:
            fcntl.flock(handle, mode)
        except BlockingIOError:
            raise ArtifactError(
                "the scores are in use", where=str(folder), todo="wait until every run that uses them has ended"
            ) from None
        except OSError as error:
            if error.errno not in artifacts.WITHOUT_LOCKS:
                raise ArtifactError(f"the folder cannot be locked ({error.strerror})", where=str(folder)) from None
            locks = False
            console.say(f"{folder}: this file system cannot lock files; see to it that no other process uses it")
        yield locks
    finally:
        os.close(handle)
