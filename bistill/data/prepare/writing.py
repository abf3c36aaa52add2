"""The last part of ``bistill prepare``: the files of a data version, and the table of what was found."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bistill import artifacts
from bistill.console import say, table
from bistill.data.prepare.loading import Chain
from bistill.data.prepare.merging import JudgedQuery
from bistill.data.prepare.unlabelled import Asked
from bistill.data.queries.taken_out import written
from bistill.data.read.rejections import read_rejections, set_aside, write_rejected


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder inside for the files of a data version, which take their places once the block has ended well.

    Until then what the folder holds is untouched. Files of an earlier version that have no successor are removed; while
    the files move, the record says that they may not belong together.
    """
    unfinished = folder / artifacts.UNFINISHED_DATA
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        artifacts.write_json(folder / artifacts.PREPARE_RECORD, {"complete": False})
        for file in artifacts.DATA_FILES:
            if (unfinished / file).exists():
                (unfinished / file).replace(folder / file)
            else:
                (folder / file).unlink(missing_ok=True)
        artifacts.flush(folder)
        (unfinished / artifacts.PREPARE_RECORD).replace(folder / artifacts.PREPARE_RECORD)
        artifacts.flush(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_splits(
    folder: Path,
    splits: Mapping[str, list[JudgedQuery]],
    unjudged: Sequence[int],
    queries: Chain,
    documents: Chain,
) -> None:
    """Write the files of all splits and the corpus."""
    for split, name in artifacts.SPLIT_FILES.items():
        if split not in splits:
            continue
        rows = (
            (queries[judged.query], documents[document], f"{label:.17g}")
            for judged in splits[split]
            for document, label in [*judged.positives.items(), *judged.negatives.items()]
        )
        write_csv(folder / name, ("query", "passage", "label"), rows)
    if unjudged:
        write_csv(folder / artifacts.CORPUS_FILE, ("passage",), ((documents[number],) for number in unjudged))


def write_logs(folder: Path, logs: Mapping[str, list[Asked]]) -> None:
    """Write the queries without labels of each split that has such; what was taken out where there is anything."""
    for split, rows in logs.items():
        if rows:
            names = ("query", "count", "source", "taken_out")[: None if any(row.taken_out for row in rows) else 3]
            cells = ((row.query, str(row.times), row.source, written(row.taken_out))[: len(names)] for row in rows)
            write_csv(folder / artifacts.LOG_FILES[split], names, cells)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a data version, with the SHA-256 of each of its files."""
    files = {path.name: artifacts.sha256_of_file(path) for path in sorted(folder.iterdir())}
    artifacts.write_json(folder / artifacts.PREPARE_RECORD, {**record, "files": files})


def write_csv(path: Path, header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Write rows below a header, the whole file or none of it."""
    with artifacts.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        plain = csv.writer(out, lineterminator="\n")
        # With "\n" as line end the csv module would leave a lone "\r" bare, which every reader takes for a line end.
        quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(header)
        for row in rows:
            (quoted if any("\r" in cell for cell in row) else plain).writerow(row)


def write_rejected_rows(folder: Path, collections: Sequence[Path], place: Path) -> int:
    """Write rejected.csv from JSONL collections of rejections, where there are any, and say so; returns their number.

    Args:
        folder: where it is written.
        collections: what ``Rejections`` wrote.
        place: folder in which it will be found.
    """
    entries = [entry for file in collections for entry in read_rejections(file)]
    if entries:
        write_rejected(folder / artifacts.REJECTED_FILE, entries, files=[])
        say(f"{set_aside(len(entries), *entries[0])}; see {place / artifacts.REJECTED_FILE}")
    return len(entries)


def show(folder: Path, splits: Mapping[str, list[JudgedQuery]], report: Mapping[str, int]) -> None:
    """Print the sizes of the splits, and what was found and resolved where there was anything."""
    rows = []
    for split in artifacts.SPLITS:
        if queries := splits.get(split):
            alone = sum(not judged.positives for judged in queries)
            positives = sum(len(judged.positives) for judged in queries)
            negatives = sum(len(judged.negatives) for judged in queries)
            rows.append([split, *map(str, (len(queries), alone, positives, negatives))])
    if rows:
        table(("split", "queries", "without a positive", "positives", "negatives"), rows, title=str(folder))
    if found := [[name, str(count)] for name, count in report.items() if count]:
        table(("found and resolved", "count"), found, title="" if rows else str(folder))
