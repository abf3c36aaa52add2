"""Text files with a document or a query on each line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bistill.data.queries.same_text import is_blank
from bistill.data.read.encoding import detect_encoding, open_text
from bistill.data.read.reader import FileReader
from bistill.data.read.validation import EDIT, checked_text, refuse_bad_characters
from bistill.data.records import Judgement, Row
from bistill.errors import EmptyFileError, RowError

TEXT_ENDING: Final = ".txt"


class LineReader(FileReader):
    """Rows of a text file: each line is one, the first is row 1, and blank ones at the end are none."""

    def rows(self) -> Iterator[Row | RowError]:
        """Every line, or what is wrong with it.

        Raises:
            DataError: the file is missing or empty.
        """
        self.notes.clear()
        encoding = detect_encoding(self.file)
        if encoding.note:
            self.notes.append(encoding.note)
        blank: list[int] = []
        number = 0
        with open_text(self.file, encoding, newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if is_blank(line):
                    blank.append(number)
                    continue
                yield from map(self._blank, blank)
                blank.clear()
                try:
                    refuse_bad_characters(line, file=self.file, row=number, column="line", encoding=encoding)
                    yield self._row(number, checked_text(line.strip(), file=self.file, row=number, column="line"))
                except RowError as error:
                    yield error
        if number == len(blank):
            raise EmptyFileError("an empty file", where=str(self.file), todo="write a text on each line")

    def _blank(self, number: int) -> Row | RowError:
        """A blank line between others: a query that is none, or a bad row."""
        if self.only == "log":
            return self._row(number, "")
        return RowError("the row is empty", file=self.file, row=number, found="", todo=EDIT)

    def _row(self, number: int, text: str) -> Row:
        if self.only == "log":
            return Row(number, text, (Judgement("", 1.0, None, "line"),))
        return Row(number, "", (Judgement(text, None, True, "line"),))
