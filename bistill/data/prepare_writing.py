"""The last part of ``bistill prepare``: the files of a data version, and the table of what was found."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bistill import artifacts
from bistill.console import say, table
from bistill.data.merging import Judged
from bistill.data.prepare_loading import Chain
from bistill.data.rejections import read_rejections, set_aside, write_rejected


def write_splits(
    folder: Path,
    splits: Mapping[str, list[Judged]],
    unjudged: Sequence[int],
    queries: Chain,
    documents: Chain,
) -> list[str]:
    """Write the files of all splits and the corpus; files of an earlier run that have no successor are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(folder / artifacts.PREPARE_RECORD, {"complete": False})  # nothing claims to be whole yet
    written = []
    for split, name in artifacts.SPLIT_FILES.items():
        if split not in splits:
            (folder / name).unlink(missing_ok=True)
            continue
        written.append(name)
        rows = (
            (queries[judged.query], documents[document], f"{label:.17g}")
            for judged in splits[split]
            for document, label in [*judged.positives.items(), *judged.negatives.items()]
        )
        _write_csv(folder / name, ("query", "passage", "label"), rows)
    (folder / artifacts.CORPUS_FILE).unlink(missing_ok=True)
    if unjudged:
        written.append(artifacts.CORPUS_FILE)
        _write_csv(folder / artifacts.CORPUS_FILE, ("passage",), ((documents[number],) for number in unjudged))
    return written


def _write_csv(path: Path, header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    with artifacts.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        plain = csv.writer(out, lineterminator="\n")
        # With "\n" as line end the csv module would leave a lone "\r" bare, which every reader takes for a line end.
        quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(header)
        for row in rows:
            (quoted if any("\r" in cell for cell in row) else plain).writerow(row)


def write_rejected_rows(folder: Path, collections: Sequence[Path]) -> int:
    """Write rejected.csv from JSONL collections of rejections, where there are any; returns their number."""
    path = folder / artifacts.REJECTED_FILE
    path.unlink(missing_ok=True)
    entries = [entry for file in collections for entry in read_rejections(file)]
    if entries:
        write_rejected(path, entries, files=[])
        say(f"{set_aside(len(entries), *entries[0])}; see {path}")
    return len(entries)


def show(folder: Path, splits: Mapping[str, list[Judged]], report: Mapping[str, int]) -> None:
    """Print the sizes of the splits and what was found and resolved."""
    rows = []
    for split in artifacts.SPLITS:
        if queries := splits.get(split):
            alone = sum(not judged.positives for judged in queries)
            positives = sum(len(judged.positives) for judged in queries)
            negatives = sum(len(judged.negatives) for judged in queries)
            rows.append([split, *map(str, (len(queries), alone, positives, negatives))])
    table(("split", "queries", "without a positive", "positives", "negatives"), rows, title=str(folder))
    table(("found and resolved", "count"), [[name, str(count)] for name, count in report.items()])
