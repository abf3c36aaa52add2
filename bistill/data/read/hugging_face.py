"""Data sets of the Hugging Face hub, or of a local folder that the ``datasets`` library understands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bistill import artifacts, cache_folder, hub
from bistill.data.read.jsonl import ObjectRows
from bistill.data.read.structured import example_of
from bistill.data.records import Row
from bistill.data.settings import RowReading
from bistill.errors import DataError, RowError


class HuggingFaceReader:
    """Rows of one split of a data set. The first row is row 1."""

    def __init__(self, name: str, split: Any, reading: RowReading) -> None:
        self.file = Path(name)
        self.split = split
        self.reading = reading
        self.notes: list[str] = []

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: the columns are not recognised.
        """
        self.notes.clear()
        example = [(field.name, example_of(field.type)) for field in self.split.features.arrow_schema]
        rows = ObjectRows(self.file, self.reading, self.notes, example=example)
        for number, cells in enumerate(self.split, start=1):
            yield rows.row(number, cells)
        rows.note_empty()


def load(source: str, reading: RowReading) -> tuple[dict[str, HuggingFaceReader], str]:
    """Readers by the data set's own split names, and a fingerprint of its content.

    Args:
        source: "owner/name", "owner/name:configuration", or a folder.
        reading: how columns and labels are understood.

    Raises:
        DataError: the data set does not exist, or neither lies in the cache nor can be had from the hub.
        ArtifactError: the cache cannot be written.
    """
    import datasets

    cache = cache_folder.cache_dir() / "datasets"
    cache_folder.check_cache(cache)
    name, _, configuration = (source, "", "") if Path(source).exists() else source.partition(":")
    folder = Path(source)
    try:
        if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
            loaded = datasets.load_from_disk(source)
        else:
            with hub.offline() if not folder.exists() and hub.silence() else nullcontext():
                loaded = datasets.load_dataset(name, configuration or None, cache_dir=str(cache))
    except Exception as error:  # the library raises its own, the hub's, requests' and the system's errors
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if not folder.exists() and (silence := hub.silence()):
            reason = silence
        raise DataError(
            f"the data set cannot be loaded ({reason})",
            where=source,
            todo="check the name and the network; or give a local source instead: a CSV, TSV, JSONL or Parquet file, a "
            "folder with train, valid and test files, a BEIR folder, or a folder of the `datasets` library",
        ) from None
    splits = dict(loaded) if isinstance(loaded, dict) else {"all": loaded}
    if not splits:
        raise DataError("the data set has no splits", where=source)
    readers = {split: HuggingFaceReader(f"{source}[{split}]", rows, reading) for split, rows in splits.items()}
    return readers, artifacts.fingerprint({split: rows._fingerprint for split, rows in sorted(splits.items())})
