"""BEIR folders: corpus.jsonl, queries.jsonl (each also .gz) and qrels/{train,dev,test}.tsv."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bistill.data.read.column_names import normalised_name
from bistill.data.read.encoding import detect_encoding, open_text
from bistill.data.read.jsonl import objects
from bistill.data.read.validation import EDIT, checked_label, refuse_bad_characters, titled_text
from bistill.data.records import Judgement, Row
from bistill.data.settings import RowReading
from bistill.errors import DataError, EmptyFileError, RowError

QREL_COLUMNS: Final = ("query_id", "corpus_id", "score")
PAGE_CACHE_KIB: Final = 16_384


class BeirTexts:
    """Queries and documents of a folder by their ids, in a temporary database: read once, any number of times asked."""

    def __init__(self, folder: Path) -> None:
        self.corpus_file = _plain_or_gzipped(folder, "corpus.jsonl")
        self.queries_file = _plain_or_gzipped(folder, "queries.jsonl")
        self.errors: list[RowError] = []
        self.told_by: BeirReader | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._database: sqlite3.Connection | None = None

    def document(self, key: str) -> str | None:
        """Title and text of a document, joined by a space; None where the id is unknown."""
        return self._text("document", key)

    def query(self, key: str) -> str | None:
        """Text of a query; None where the id is unknown."""
        return self._text("query", key)

    def documents(self) -> Iterator[str]:
        """All documents in the order of the corpus."""
        for (text,) in self.database().execute("SELECT text FROM document ORDER BY rowid"):
            yield str(text)

    def database(self) -> sqlite3.Connection:
        """The database, filled when it is first needed."""
        if self._database is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="bistill-beir-")
            self._database = sqlite3.connect(Path(self._scratch.name) / "texts.sqlite", isolation_level=None)
            self._database.executescript(
                f"PRAGMA cache_size = -{PAGE_CACHE_KIB}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "CREATE TABLE document (id TEXT PRIMARY KEY, text TEXT); CREATE TABLE query (id TEXT PRIMARY KEY, "
                "text TEXT); BEGIN"
            )
            self._fill(self._database, "document", self.corpus_file)
            self._fill(self._database, "query", self.queries_file)
        return self._database

    def _fill(self, database: sqlite3.Connection, table: str, file: Path) -> None:
        for outcome in objects(file):
            if isinstance(outcome, RowError):
                self.errors.append(outcome)
                continue
            number, cells = outcome
            try:
                key, text = _id_and_text(cells, file, number)
                if database.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", (key, text)).rowcount != 1:
                    raise RowError("the id occurs twice", file=file, row=number, column="_id", found=key, todo=EDIT)
            except RowError as error:
                self.errors.append(error)

    def _text(self, table: str, key: str) -> str | None:
        found = self.database().execute(f"SELECT text FROM {table} WHERE id = ?", (key,)).fetchone()
        return None if found is None else str(found[0])


class BeirReader:
    """Rows of one qrels file: a judgement per line, the header is row 1.

    Args:
        file: the qrels file.
        texts: queries and documents of the folder.
        reading: how labels are understood.
    """

    def __init__(self, file: Path, texts: BeirTexts, reading: RowReading) -> None:
        self.file, self.texts, self.reading = file, texts, reading
        self.notes: list[str] = []

    def rows(self) -> Iterator[Row | RowError]:
        """Every judgement, or what is wrong with it.

        Bad lines of the corpus and of the queries come before the first judgement; of the readers of a folder, only
        the first one that has judgements yields them.

        Raises:
            DataError: a file is missing, empty or damaged, or the header does not name the three columns.
        """
        self.notes.clear()
        self.texts.database()
        told = False
        encoding = detect_encoding(self.file)
        if encoding.note:
            self.notes.append(encoding.note)
        with open_text(self.file, encoding, newline="\n") as lines:
            places = self._places(next(lines, ""))
            for number, line in enumerate(lines, start=2):
                if line.strip():
                    if not told:
                        yield from self._errors_of_texts()
                        told = True
                    yield self._row(line.rstrip("\r\n").split("\t"), places, number)

    def _errors_of_texts(self) -> list[RowError]:
        self.texts.told_by = self.texts.told_by or self
        return self.texts.errors if self.texts.told_by is self else []

    def _places(self, header: str) -> tuple[int, int, int]:
        if not header.strip():
            raise EmptyFileError("an empty file", where=str(self.file), todo="write the header and judgements")
        names = [normalised_name(name) for name in header.rstrip("\r\n").split("\t")]
        if sorted(names) != sorted(QREL_COLUMNS):
            raise DataError(
                "the columns of a qrels file are query-id, corpus-id and score, separated by tabs",
                where=f"{self.file}, row 1",
                found=header.rstrip("\r\n"),
                todo="write this header in the first row",
            )
        query, document, score = (names.index(name) for name in QREL_COLUMNS)
        return query, document, score

    def _row(self, fields: list[str], places: tuple[int, int, int], number: int) -> Row | RowError:
        try:
            if len(fields) != len(places):
                what = "an extra field" if len(fields) > len(places) else "a short row"
                raise RowError(f"{what}: {len(fields)} of 3", file=self.file, row=number, found=fields, todo=EDIT)
            query_id, document_id, score = (fields[place] for place in places)
            for name, value in zip(("query-id", "corpus-id", "score"), (query_id, document_id, score), strict=True):
                refuse_bad_characters(value, file=self.file, row=number, column=name)
            label = checked_label(score, file=self.file, row=number, column="score", maximum=self.reading.label_maximum)
            query, document = self.texts.query(query_id), self.texts.document(document_id)
            if query is None:
                raise self._unknown("query-id", query_id, number, self.texts.queries_file)
            if document is None:
                raise self._unknown("corpus-id", document_id, number, self.texts.corpus_file)
        except RowError as error:
            return error
        return Row(number, query, (Judgement(document, label, None, "score"),))

    def _unknown(self, column: str, key: str, number: int, file: Path) -> RowError:
        what = f"an id that {file.name} does not have"
        return RowError(what, file=self.file, row=number, column=column, found=key, todo=EDIT)


def is_beir(folder: Path) -> bool:
    """Whether a folder has a corpus and qrels."""
    return (folder / "qrels").is_dir() and any((folder / name).exists() for name in ("corpus.jsonl", "corpus.jsonl.gz"))


def _plain_or_gzipped(folder: Path, name: str) -> Path:
    plain, gzipped = folder / name, folder / f"{name}.gz"
    if not plain.exists() and not gzipped.exists():
        raise DataError(f"a BEIR folder needs {name} or {name}.gz", where=str(folder), todo="add the file")
    return plain if plain.exists() else gzipped


def _id_and_text(cells: dict[str, Any], file: Path, number: int) -> tuple[str, str]:
    for name in ("_id", "text"):
        if name not in cells:
            raise RowError("missing column", file=file, row=number, column=name, found=list(cells), todo=EDIT)
    key = cells["_id"]
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
        raise RowError("the id is not text", file=file, row=number, column="_id", found=key, todo=EDIT)
    return str(key), titled_text(cells.get("title"), cells["text"], file=file, row=number)
