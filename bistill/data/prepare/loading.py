"""The first half of ``bistill prepare``: every split of a source parsed to Arrow files, labels on one scale."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, overload

import numpy as np

from bistill import artifacts
from bistill.console import say
from bistill.data.prepare.python_docs import SOURCE_NAME, fingerprint_of_installation
from bistill.data.prepare.unlabelled import queries_alone
from bistill.data.read import ids
from bistill.data.read.files import RowReader, open_file
from bistill.data.read.label_scale import LabelScale
from bistill.data.read.rejections import Rejections
from bistill.data.read.sources import OpenedSource, open_source
from bistill.data.records import Judgement, Row
from bistill.data.settings import BadRows, RowReading, TextKind
from bistill.data.store import building
from bistill.data.store.dataset import Dataset
from bistill.data.store.logs import Log, build_log
from bistill.data.store.texts import Texts
from bistill.errors import EmptyFileError, OptionError, RowError

CORPUS: Final = "corpus"
LOG: Final = "log"


@dataclass(frozen=True)
class FurtherFiles:
    """Files without labels, alone or beside a source of labelled text.

    Attributes:
        documents: file of documents, with ids and titles where it has them.
        queries: file of queries, with counts and sources where it has them.
    """

    documents: str | Path | None = None
    queries: str | Path | None = None


@dataclass(frozen=True)
class LoadedSource:
    """All splits of a source as Arrow files in a temporary folder.

    Attributes:
        splits: labelled queries.
        corpus: further documents.
        rejected: collections of rows set aside.
        notes: what was noticed.
        log: queries without labels; None where there is no file of them.
        dropped: texts among these that are no queries, by reason.
        ids: text of each document that a source names by its id.
    """

    splits: dict[str, Dataset]
    corpus: Texts | None
    rejected: list[Path]
    notes: list[str]
    log: Log | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)


class Chain(Sequence[str]):
    """Several sequences of texts, one after the other, without loading them."""

    def __init__(self, parts: Mapping[str, Sequence[str]]) -> None:
        self.parts = list(parts.values())
        ends = list(itertools.accumulate(len(part) for part in self.parts))
        self.offsets = dict(zip(parts, [0, *ends], strict=False))
        self.starts = np.array([0, *ends], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.parts[part][int(index - self.starts[part])]

    def __iter__(self) -> Iterator[str]:
        return itertools.chain.from_iterable(self.parts)


def open_prepared_source(source: Any, reading: RowReading, further: FurtherFiles = FurtherFiles()) -> OpenedSource:
    """Open a source of ``prepare``; python-docs has no readers yet, its fingerprint is known before it is read.

    Raises:
        DataError: the source, or a file beside it, does not exist or cannot be reached.
        OptionError: neither a source nor a file is given.
    """
    files: dict[TextKind, Path] = {}
    if further.documents is not None:
        files["document"] = Path(further.documents)
    if further.queries is not None:
        files["query"] = Path(further.queries)
    if source is None and not files:
        todo = "give a source of labelled text, `documents`, `queries`, or several of these"
        raise OptionError("nothing to prepare is given", where="`source`", todo=todo)
    for kind, file in files.items():  # one that is not there is said now
        open_file(file, RowReading(), only=kind)
    if source is None:
        opened = OpenedSource(str(next(iter(files.values()))), {}, "", lambda: iter(()))
    else:
        opened = _opened(source, reading)
    if not files:
        return opened
    content: dict[str, str] = {kind: artifacts.sha256_of_file(file) for kind, file in files.items()}

    def documents() -> Iterator[str | RowError]:
        yield from opened.documents()
        if "document" in files:
            for outcome in identified(files["document"]):
                if isinstance(outcome, RowError):
                    yield outcome
                else:
                    yield from (judgement.document for judgement in outcome.judgements)

    return replace(
        opened, fingerprint=artifacts.fingerprint({"source": opened.fingerprint, **content}), documents=documents
    )


def identified(file: Path) -> Iterator[Row | RowError]:
    """Rows of a file of documents: the id of each in the place of the query, "" where it has none."""
    return open_file(file, RowReading(), only="identified").rows()


def _opened(source: Any, reading: RowReading) -> OpenedSource:
    if not (isinstance(source, str) and source == SOURCE_NAME):
        return open_source(source, reading)
    return OpenedSource(source, {}, fingerprint_of_installation(), lambda: iter(()))


@dataclass(frozen=True)
class Loader:
    """Parses sources into a folder.

    Attributes:
        scratch: an existing, empty folder.
        reading: how rows are understood.
        on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside.
        numbers_are_texts: whether queries and documents that are all whole numbers are texts, not ids of texts.
    """

    scratch: Path
    reading: RowReading
    on_bad_rows: BadRows
    numbers_are_texts: bool

    def load(
        self, source: OpenedSource, readers: Mapping[str, RowReader], further: FurtherFiles = FurtherFiles()
    ) -> LoadedSource:
        """Parse every split that has rows; graded splits share one scale, the highest label of them all.

        Args:
            source: whose further documents are read, too.
            readers: of each split.
            further: files beside it.

        Raises:
            RowError: the first bad row, where the policy is "stop".
            DataError: no split has a row, or the labels of graded splits cannot share a scale.
        """
        built = self._build_all(readers)
        readers = {split: reader for split, reader in readers.items() if split in built}
        scale = LabelScale(self.reading.label_maximum)
        for item in built.values():
            if item.scale.graded:
                scale.join(item.scale)
        folders = {split: self.scratch / split for split in readers}
        for split, reader in readers.items():
            if built[split].scale.graded and built[split].scale.maximum != scale.maximum:
                folders[split] = self.scratch / f"{split}-wider"
                built[split] = self._build(reader, folders[split], replace(self.reading, label_maximum=scale.maximum))
        say_scales({readers[split].file.name: item.scale for split, item in built.items()}, self.reading)
        corpus, corpus_rejected = self._build_corpus(source)
        dropped: Counter[str] = Counter()
        log, log_rejected, log_notes = self._build_log(further.queries, dropped)
        for reader in readers.values():
            for note in reader.notes:
                say(f"{reader.file}: {note}")
        return LoadedSource(
            {
                split: Dataset(folder, path=readers[split].file, fingerprint="", rejected=0, notes=())
                for split, folder in folders.items()
            },
            corpus,
            [folder / artifacts.REJECTIONS_FILE for folder in folders.values()] + corpus_rejected + log_rejected,
            [f"{reader.file}: {note}" for reader in readers.values() for note in reader.notes] + log_notes,
            log,
            dropped,
            _texts_of_ids(log, further.documents),
        )

    def _build_all(self, readers: Mapping[str, RowReader]) -> dict[str, building.Built]:
        """What every split with rows was built to; an empty one is said, as long as another has rows."""
        built: dict[str, building.Built] = {}
        empty: dict[str, EmptyFileError] = {}
        for split, reader in readers.items():
            try:
                built[split] = self._build(reader, self.scratch / split, self.reading)
            except EmptyFileError as error:
                empty[split] = error
        if empty and not built:
            raise next(iter(empty.values()))
        for split in empty:
            say(f"{readers[split].file}: no rows; taken as if the file were not there")
        return built

    def _build(self, reader: RowReader, folder: Path, reading: RowReading) -> building.Built:
        folder.mkdir()
        rejections = Rejections(self.on_bad_rows, folder / artifacts.REJECTIONS_FILE)
        try:
            rows = ids.watched(reader.rows(), reader.file, reader.notes, allowed=self.numbers_are_texts)
            return building.build(rows, folder, file=reader.file, reading=reading, rejections=rejections)
        finally:
            rejections.close()

    def _build_log(self, file: str | Path | None, dropped: Counter[str]) -> tuple[Log | None, list[Path], list[str]]:
        """Queries without labels, what was set aside, and what was noticed, which is said."""
        if file is None:
            return None, [], []
        path, folder = Path(file), self.scratch / LOG
        folder.mkdir()
        reader = open_file(path, RowReading(), only="log")
        rejections = Rejections(self.on_bad_rows, folder / artifacts.REJECTIONS_FILE)
        try:
            build_log(queries_alone(reader.rows(), dropped), folder, rejections)
        finally:
            rejections.close()
        for note in reader.notes:
            say(f"{path}: {note}")
        return Log(folder, path=path), [rejections.file], [f"{path}: {note}" for note in reader.notes]

    def _build_corpus(self, source: OpenedSource) -> tuple[Texts | None, list[Path]]:
        documents = source.documents()
        first = next(documents, None)
        if first is None:
            return None, []
        folder = self.scratch / CORPUS
        folder.mkdir()
        rejections = Rejections(self.on_bad_rows, folder / artifacts.REJECTIONS_FILE)
        outcomes = (_as_row(item) for item in itertools.chain([first], documents))
        try:
            building.build_documents(outcomes, folder, file=source.name, rejections=rejections)
        finally:
            rejections.close()
        return Texts(folder / artifacts.DOCUMENTS_FILE), [rejections.file]


def _texts_of_ids(log: Log | None, documents: str | Path | None) -> dict[str, str]:
    """The text of each document of a file that a log names by its id."""
    if log is None or documents is None or not len(log.sources):
        return {}
    asked = set(log.sources)
    rows = (row for row in identified(Path(documents)) if not isinstance(row, RowError) and row.query in asked)
    return {row.query: row.judgements[0].document for row in rows}


def say_scales(scales: Mapping[str, LabelScale], reading: RowReading) -> None:
    """Say in one line what labels were taken for, where that is not plain: some are graded, or a highest was given."""
    if not any(scale.graded or scale.maximum != 1 for scale in scales.values()):
        return
    lost = [name for name, scale in scales.items() if scale.seen and scale.relevance < reading.positive_from]
    end = f"; no document is relevant in {', '.join(lost)}" if lost else ""
    say("labels: " + "; ".join(f"{name}: {scale}" for name, scale in scales.items()) + end)


def _as_row(item: str | RowError) -> Row | RowError:
    return item if isinstance(item, RowError) else Row(0, "", (Judgement(item, None, True, "passage"),))
