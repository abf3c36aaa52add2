"""What the readers of files have in common."""

from __future__ import annotations

from pathlib import Path

from bistill.data.settings import ReadAlone, RowReading


class FileReader:
    """A file, how it is understood, and what was noticed on the way.

    Args:
        file: the file, as messages name it.
        reading: how columns and labels are understood.
        only: the kind of texts that is read alone; None: whole rows.
    """

    def __init__(self, file: Path, reading: RowReading, *, only: ReadAlone | None = None) -> None:
        self.file, self.reading, self.only = file, reading, only
        self.notes: list[str] = []
