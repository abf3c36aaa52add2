"""Opening labelled files: parsed once into the cache, then memory-mapped; and what is said about bad rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.console import counted, say
from bistill.data.read import ids
from bistill.data.read.files import RowReader, ending_of, open_file
from bistill.data.read.folders import files_of
from bistill.data.read.in_memory import fingerprint_of_rows, open_rows
from bistill.data.read.rejections import Rejections, read_rejections, set_aside, write_rejected
from bistill.data.records import Row
from bistill.data.settings import BadRows, RowReading, TextKind
from bistill.data.store import building, cache
from bistill.data.store.dataset import Dataset
from bistill.data.store.logs import Log, build_log
from bistill.data.store.texts import Texts
from bistill.errors import ArtifactError, DataError, RowError

# Changes whenever the same file becomes other records than before.
PARSED_VERSION: Final = 3


def load_split(
    path: str | Path,
    *,
    on_bad_rows: BadRows = "stop",
    rejected_to: Path | None = None,
    reading: RowReading | None = None,
    partly_judged: bool = False,
) -> Dataset:
    """Open the labelled rows of one file; parsed once, then memory-mapped from the cache.

    Args:
        path: a CSV, TSV, JSONL or Parquet file.
        on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside and says how many.
        rejected_to: rejected.csv of "skip"; entries of other files in it are kept. None: beside the parsed data.
        reading: column names and label scale; None: recognised names, and for a file that ``bistill prepare`` wrote
            the threshold it was prepared with.
        partly_judged: whether a document without a label is one that nobody judged, whatever ``reading`` says.

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: the file is missing or empty, its columns are not recognised, its labels are of two scales, or no
            document has a label.
    """
    path = Path(path)
    prepared = _prepare_record(path)
    reading = reading or _reading_of_prepared(prepared)
    if partly_judged:
        reading = replace(reading, partly_judged=True)
    return _load(open_file(path, reading), _key(path, reading, "records"), reading, on_bad_rows, rejected_to)


def load_rows(
    rows: Any, *, on_bad_rows: BadRows = "stop", rejected_to: Path | None = None, reading: RowReading | None = None
) -> Dataset:
    """``load_split`` of labelled rows that a program holds; the same rows are parsed once.

    Args:
        rows: a DataFrame, a data set or dicts, see ``in_memory.open_rows``.
        on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside and says how many.
        rejected_to: rejected.csv of "skip". None: beside the parsed data.
        reading: column names and label scale; None: recognised names.

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: there is no row, the columns are not recognised, or the labels are of two scales.
        OptionError: something else is given than rows.
    """
    reading = reading or RowReading()
    reader = open_rows(rows, reading)
    facts = _facts(reading)
    key = {"version": PARSED_VERSION, "kind": "rows", "sha256": fingerprint_of_rows(reader), "reading": facts}
    return _load(reader, artifacts.fingerprint(key), reading, on_bad_rows, rejected_to)


def _load(reader: RowReader, key: str, reading: RowReading, on_bad_rows: BadRows, rejected_to: Path | None) -> Dataset:
    path = reader.file

    def fill(folder: Path) -> dict[str, Any]:
        return _fill(folder, reader, reading, on_bad_rows)

    # What "skip" left in the cache does not answer "stop": parsing again raises the bad row.
    folder, manifest = cache.obtain(key, fill, accept=lambda stored: on_bad_rows == "skip" or not stored["rejected"])
    notes = tuple(str(note) for note in manifest["notes"])
    for note in notes:
        say(f"{path}: {note}")
    _report_rejected(folder, path, int(manifest["rejected"]), rejected_to)
    return Dataset(folder, path=path, fingerprint=key, rejected=int(manifest["rejected"]), notes=notes)


def load_documents(path: str | Path | Sequence[str | Path], *, reading: RowReading | None = None) -> Texts:
    """Unique documents of labelled rows, or of a file with only a document column, memory-mapped from the cache.

    Of a folder or of several files, one behind the other (``folders.files_of``): each text once, where it is first.

    Raises:
        RowError: the first bad row.
        DataError: a file is missing, has no unique document column, or no file has a document.
    """
    return _load_texts(files_of(path), "document", reading or RowReading())


def load_queries(path: str | Path | Sequence[str | Path], *, reading: RowReading | None = None) -> Texts:
    """Unique queries of a file with a query column, memory-mapped from the cache; its other columns are not read.

    Of a folder or of several files as ``load_documents``.

    Raises:
        RowError: the first bad row.
        DataError: a file is missing, has no unique query column, or no file has a query.
    """
    return _load_texts(files_of(path), "query", reading or RowReading())


def load_log(path: Path, *, on_bad_rows: BadRows = "stop", rejected_to: Path | None = None) -> Log:
    """The queries of a file without labels, parsed once, then memory-mapped from the cache; blank ones are passed over.

    Args:
        path: a file with a query column, and with counts, sources and what was taken out of these
            where it has them; or with a query on each line.
        on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside and says how many.
        rejected_to: rejected.csv of "skip".

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: the file is missing or empty, or has no unique query column.
    """
    _prepare_record(path)
    reader = open_file(path, RowReading(), only="log")
    key = _key(path, RowReading(), "log with what was taken out")

    def fill(folder: Path) -> dict[str, Any]:
        rejections = Rejections(on_bad_rows, folder / artifacts.REJECTIONS_FILE)
        try:
            queries = build_log(reader.rows(), folder, rejections)
        finally:
            rejections.close()
        return {"queries": queries, "rejected": rejections.count, "notes": list(reader.notes)}

    folder, manifest = cache.obtain(key, fill, accept=lambda stored: on_bad_rows == "skip" or not stored["rejected"])
    for note in manifest["notes"]:
        say(f"{path}: {note}")
    _report_rejected(folder, path, int(manifest["rejected"]), rejected_to)
    return Log(folder, path=path, fingerprint=key)


def _load_texts(files: list[Path], kind: TextKind, reading: RowReading) -> Texts:
    for file in files:
        _prepare_record(file)
    readers = [open_file(file, reading, only=kind) for file in files]
    keys = [_key(file, reading, {"document": "titled documents", "query": "queries"}[kind]) for file in files]
    key = keys[0] if len(files) == 1 else artifacts.fingerprint({"kind": "texts of several files", "files": keys})
    said = str(files[0]) if len(files) == 1 else f"{files[0]} and {counted(len(files) - 1, 'other file')}"

    def fill(folder: Path) -> dict[str, Any]:
        rejections = Rejections("stop", folder / artifacts.REJECTIONS_FILE)
        try:
            count = building.build_documents(_watched(readers), folder, file=said, rejections=rejections)
        finally:
            rejections.close()
        notes = [(f"{reader.file.name}: " if readers[1:] else "") + note for reader in readers for note in reader.notes]
        return {"documents": count, "notes": notes}

    folder, manifest = cache.obtain(key, fill)
    for note in manifest["notes"]:
        say(f"{said}: {note}")
    return Texts(folder / artifacts.DOCUMENTS_FILE)


def _watched(readers: Sequence[RowReader]) -> Iterator[Row | RowError]:
    """The rows of one file after the other."""
    for reader in readers:
        yield from ids.watched(reader.rows(), reader.file, reader.notes, allowed=True)


def _fill(folder: Path, reader: RowReader, reading: RowReading, on_bad_rows: BadRows) -> dict[str, Any]:
    rejections = Rejections(on_bad_rows, folder / artifacts.REJECTIONS_FILE)
    try:
        rows = ids.watched(reader.rows(), reader.file, reader.notes, allowed=True)
        built = building.build(rows, folder, file=reader.file, reading=reading, rejections=rejections)
    finally:
        rejections.close()
    counts = {"records": built.records, "documents": built.documents, "rejected": built.rejected}
    notes = [*reader.notes, *built.left_out.notes()]
    if built.unjudged:
        notes.append(f"{counted(built.unjudged, 'pair')} without a label: nobody judged them, so they are no negatives")
    return {**counts, "label_maximum": built.scale.maximum, "notes": notes, "left_out": asdict(built.left_out)}


def _key(path: Path, reading: RowReading, kind: str) -> str:
    """Key of a file's content and of everything that decides how it is read, its name's ending included."""
    return artifacts.fingerprint(
        {
            "version": PARSED_VERSION,
            "kind": kind,
            "sha256": artifacts.sha256_of_file(path),
            "ending": ending_of(path),
            "reading": _facts(reading),
        }
    )


def _facts(reading: RowReading) -> dict[str, Any]:
    """How rows are read, as the key of the parsed data holds it; what was parsed before files could be judged in part
    keeps its key."""
    facts = asdict(reading)
    if not facts["partly_judged"]:
        del facts["partly_judged"]
    return facts


def left_out(dataset: Dataset) -> dict[str, int]:
    """How many judgements are none since texts are the same, by kind; see ``repeated.LeftOut``."""
    return dict(artifacts.read_json(dataset.folder / artifacts.MANIFEST)["left_out"])


def positive_from(path: Path) -> float:
    """The share of the highest label from which a label of a file is positive, unless ``load_split`` is told otherwise.

    Raises:
        DataError: the file belongs to a data version whose preparation was broken off.
    """
    return _reading_of_prepared(_prepare_record(path)).positive_from


def label_maximum(dataset: Dataset) -> float:
    """The label of the file that counts as 1.0."""
    return float(artifacts.read_json(dataset.folder / artifacts.MANIFEST)["label_maximum"])


def _prepare_record(path: Path) -> dict[str, Any]:
    """What ``bistill prepare`` says of a file of a data version; nothing of any other file.

    Raises:
        DataError: it did not write the data version to its end: the file may be another's.
    """
    if path.name not in artifacts.DATA_FILES:
        return {}
    try:
        record = artifacts.read_json(path.parent / artifacts.PREPARE_RECORD)
    except ArtifactError:
        return {}
    if record.get("complete") is False:
        raise DataError(
            "`bistill prepare` was broken off here: the files of this data version may not belong together",
            where=str(path),
            todo="run `bistill prepare` with the same options again",
        )
    return record


def _reading_of_prepared(record: Mapping[str, Any]) -> RowReading:
    """RowReading options of a file that ``bistill prepare`` wrote (its threshold), the defaults for any other."""
    options = record.get("options", {})
    threshold = options.get("positive_from") if isinstance(options, dict) else None
    return RowReading(positive_from=float(threshold)) if isinstance(threshold, int | float) else RowReading()


def _report_rejected(folder: Path, path: Path, count: int, rejected_to: Path | None) -> None:
    """Say how many rows of a file were set aside, and write them down; nothing where there are none."""
    if not count:
        if rejected_to is not None and rejected_to.exists():  # rows of this file that were mended since
            write_rejected(rejected_to, (), files=[str(path)])
        return
    target = rejected_to or folder.parent / f"{folder.name}.{artifacts.REJECTED_FILE}"
    stored = folder / artifacts.REJECTIONS_FILE
    # The same content may have been parsed under another path: the file is named as it is named now.
    entries = ((str(path), entry) for _, entry in read_rejections(stored))
    write_rejected(target, entries, files=[str(path)])
    _, first = next(read_rejections(stored))
    say(f"{set_aside(count, str(path), first)}; see {target}")
