"""What a source given to ``bistill prepare`` is: a file, a folder of splits, a BEIR folder or a hub data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.console import say
from bistill.data.read import beir, hugging_face
from bistill.data.read.files import RowReader, ending_of, open_file
from bistill.data.read.in_memory import fingerprint_of_rows, open_rows
from bistill.data.read.jsonl import JsonlReader
from bistill.data.settings import RowReading
from bistill.errors import DataError, RowError

SPLIT_OF_NAME: Final = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
UNSPLIT: Final = "all"


@dataclass(frozen=True)
class OpenedSource:
    """What ``prepare`` reads, found out and opened.

    Attributes:
        name: as the user named it; of rows in memory what they are.
        readers: reader of each split by "train", "valid", "test"; only "all" where there are no splits.
        fingerprint: key of the content.
        documents: further documents, such as a corpus; may repeat judged ones.
    """

    name: str
    readers: dict[str, RowReader]
    fingerprint: str
    documents: Callable[[], Iterator[str | RowError]]


def open_source(source: Any, reading: RowReading) -> OpenedSource:
    """Find out what a source is and open its readers.

    Args:
        source: file, folder, Hugging Face data set id ("owner/name" or "owner/name:configuration"), or rows that a
            program holds, see ``open_rows``.
        reading: how columns and labels are understood.

    Raises:
        DataError: it is nothing of these, or cannot be reached.
        OptionError: no text and no path is given, and no rows either.
    """
    if not isinstance(source, str | Path):
        rows = open_rows(source, reading)
        return OpenedSource(str(rows.file), {UNSPLIT: rows}, fingerprint_of_rows(rows), _no_documents)
    path = Path(source)
    if path.is_file():
        reader = open_file(path, reading)
        return OpenedSource(str(source), {UNSPLIT: reader}, _fingerprint([path]), lambda: _documents_inside([reader]))
    if path.is_dir():
        return _folder(path, reading)
    if _looks_like_path(str(source)):
        raise DataError("neither a file nor a folder", where=str(source), todo="check the path")
    return _hugging_face(str(source), reading)


def _folder(folder: Path, reading: RowReading) -> OpenedSource:
    if beir.is_beir(folder):
        return _beir(folder, reading)
    if files := _split_files(folder):
        corpus = folder / artifacts.CORPUS_FILE
        _say_unread(folder, {*files.values(), corpus, folder / artifacts.REJECTED_FILE})
        readers = {split: open_file(file, reading) for split, file in files.items()}
        if corpus.exists():
            key = _fingerprint([*files.values(), corpus])
            return OpenedSource(str(folder), readers, key, lambda: _documents_of(corpus))
        key = _fingerprint(files.values())
        return OpenedSource(str(folder), readers, key, lambda: _documents_inside(readers.values()))
    if not any(folder.iterdir()):
        raise DataError("an empty folder", where=str(folder), todo="give a folder with train, valid and test files")
    return _hugging_face(str(folder), reading)


def _beir(folder: Path, reading: RowReading) -> OpenedSource:
    texts = beir.BeirTexts(folder)
    readers: dict[str, RowReader] = {}
    files = sorted((folder / "qrels").glob("*.tsv"))
    for file in files:
        split = SPLIT_OF_NAME.get(file.stem.casefold())
        if split is None or split in readers:
            raise DataError(
                "a qrels file is named train.tsv, dev.tsv or test.tsv",
                where=str(file),
                todo="rename or remove it",
            )
        readers[split] = beir.BeirReader(file, texts, reading)
    if not readers:
        raise DataError(
            "no .tsv file in the folder", where=str(folder / "qrels"), todo="add train.tsv, dev.tsv, test.tsv"
        )
    key = _fingerprint([texts.corpus_file, texts.queries_file, *files])
    return OpenedSource(str(folder), readers, key, texts.documents)


def _split_files(folder: Path) -> dict[str, Path]:
    """Files named train, valid (dev, val, validation) and test in a folder, by split."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        ending = ending_of(file)
        if not file.is_file() or ending is None:
            continue
        split = SPLIT_OF_NAME.get(file.name[: -len(ending)].casefold())
        if split is None:
            continue
        if split in found:
            raise DataError(
                f"two files for the split {split!r}: {found[split].name} and {file.name}",
                where=str(folder),
                todo="remove or rename one of them",
            )
        found[split] = file
    return found


def _say_unread(folder: Path, read: set[Path]) -> None:
    read = {*read, folder / artifacts.PREPARE_RECORD}
    others = [file.name for file in sorted(folder.iterdir()) if ending_of(file) is not None and file not in read]
    if others:
        say(f"{folder}: files not read, since they are not named train, valid or test: {', '.join(others)}")


def _hugging_face(source: str, reading: RowReading) -> OpenedSource:
    loaded, fingerprint = hugging_face.load(source, reading)
    known = {SPLIT_OF_NAME[name]: reader for name, reader in loaded.items() if name in SPLIT_OF_NAME}
    if len(loaded) == 1:
        return OpenedSource(source, {UNSPLIT: next(iter(loaded.values()))}, fingerprint, _no_documents)
    if len(known) < len(loaded):
        raise DataError(
            "the data set has splits other than train, validation and test",
            where=source,
            found=sorted(loaded),
            todo="save the splits you mean as files train, valid and test in a folder, and give that folder",
        )
    return OpenedSource(source, dict(known), fingerprint, _no_documents)


def _documents_of(file: Path) -> Iterator[str | RowError]:
    for outcome in open_file(file, RowReading(), only="document").rows():
        if isinstance(outcome, RowError):
            yield outcome
        else:
            yield from (judgement.document for judgement in outcome.judgements)


def _documents_inside(readers: Iterable[RowReader]) -> Iterator[str | RowError]:
    """Documents that files of judgements hold beside the judged ones."""
    for reader in readers:
        if isinstance(reader, JsonlReader):
            yield from reader.corpus()


def _no_documents() -> Iterator[str | RowError]:
    return iter(())


def _fingerprint(files: Iterable[Path]) -> str:
    return artifacts.fingerprint({file.name: artifacts.sha256_of_file(file) for file in files})


def _looks_like_path(source: str) -> bool:
    is_id = source.count("/") <= 1 and not source.startswith((".", "/", "~"))
    return not is_id or ending_of(Path(source)) is not None
