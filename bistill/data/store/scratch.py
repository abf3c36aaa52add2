"""The temporary database in which texts get their ids and judgements wait, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from bistill.arrays import Keys
from bistill.data.queries.same_text import text_key
from bistill.data.store.texts import ArrowWriter, digest, keys_file

PAGE_CACHE_KIB: Final = 16_384
TABLES: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    CREATE TABLE query (digest BLOB PRIMARY KEY, id INTEGER) WITHOUT ROWID;
    CREATE TABLE document (digest BLOB PRIMARY KEY, id INTEGER) WITHOUT ROWID;
    CREATE TABLE judgement (
        query INTEGER, document INTEGER, label REAL, positive INTEGER, row INTEGER, name INTEGER);
"""


@contextmanager
def scratch(folder: Path) -> Iterator[sqlite3.Connection]:
    """An empty database with ``TABLES`` in a file of a folder, which is removed at the end."""
    file = folder / "scratch.sqlite"
    database = sqlite3.connect(file, isolation_level=None)
    try:
        database.executescript(f"PRAGMA cache_size = -{PAGE_CACHE_KIB};{TABLES}")
        database.execute("BEGIN")
        yield database
    finally:
        database.close()
        file.unlink(missing_ok=True)


class Ids:
    """Ids of unique texts in order of appearance; new texts go to an Arrow file, what they are the same as to
    ``keys``.

    Args:
        database: of ``scratch``.
        table: ``query`` or ``document``.
        writer: of the file.
    """

    def __init__(self, database: sqlite3.Connection, table: str, writer: ArrowWriter) -> None:
        self.database = database
        self.writer = writer
        self._keys = bytearray()
        self.insert = f"INSERT OR IGNORE INTO {table} VALUES (?, ?)"
        self.select = f"SELECT id FROM {table} WHERE digest = ?"

    def of(self, text: str) -> int:
        """The id of a text, a new one where the text is new."""
        own, new = digest(text), self.writer.rows
        if self.database.execute(self.insert, (own, new)).rowcount == 1:
            self.writer.append(text)
            self._keys += text_key(text)
            return new
        return int(self.database.execute(self.select, (own,)).fetchone()[0])

    @property
    def keys(self) -> Keys:
        """The ``text_key`` of each text so far, uint64."""
        return np.frombuffer(bytes(self._keys), dtype=np.uint64)


def write_keys(texts: Path, keys: Keys) -> None:
    """Write the ``text_key`` of each text beside the file of the texts."""
    np.save(keys_file(texts), keys, allow_pickle=False)
