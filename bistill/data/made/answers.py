"""Answers of language models by what was asked: no question is paid twice, and a killed run goes on behind the last."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bistill import artifacts, cache_folder
from bistill.data.settings import Endpoint

_TABLE = "CREATE TABLE IF NOT EXISTS answer (key TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID"


class Answers:
    """Usable answers, and nothing else, in a SQLite file of the cache.

    Raises:
        ArtifactError: the cache cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder.cache_dir() / artifacts.ANSWERS_FOLDER
        cache_folder.check_cache(self.folder)
        with closing(self._opened()) as database:
            database.execute(_TABLE)

    def get(self, key: str) -> str | None:
        """The text that was answered; None where nothing was."""
        with closing(self._opened()) as database:
            found = database.execute("SELECT text FROM answer WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def put(self, key: str, text: str) -> None:
        """Keep an answer, at once on the disk."""
        with closing(self._opened()) as database, cache_folder.writing_cache(self.folder):
            database.execute("INSERT OR REPLACE INTO answer VALUES (?, ?)", (key, text))

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / artifacts.ANSWERS_FILE, timeout=60, isolation_level=None)


def key_of(endpoint: Endpoint, body: dict[str, Any]) -> str:
    """The key of a question: the server, its model, and every word that is said."""
    return artifacts.fingerprint({"url": endpoint.url.rstrip("/"), "body": json.dumps(body, sort_keys=True)})
