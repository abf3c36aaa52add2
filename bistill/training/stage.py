"""What both stages do around the engine: data, journal, and the record beside the model."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bistill import artifacts, console
from bistill.config import DataOptions, Options
from bistill.data.dataset import Dataset
from bistill.data.store import load_split
from bistill.errors import ArtifactError, BistillError, DataError
from bistill.journal import Journal, finite, versions


def load_data(options: DataOptions, output_dir: Path, journal: Journal) -> tuple[Dataset, Dataset]:
    """Training and validation data of a data version; rejected rows go to ``output_dir``, fingerprints to the journal.

    Raises:
        DataError: the folder or a file is missing, or a row is bad.
    """
    folder = Path(options.data_root) / options.data_version
    splits = []
    for split in ("train", "valid"):
        path = folder / artifacts.SPLIT_FILES[split]
        if not path.is_file():
            known = sorted(file.parent.name for file in Path(options.data_root).glob(f"*/{path.name}"))
            raise DataError(
                "the file does not exist",
                where=str(path),
                found=f"data versions below {options.data_root}: {', '.join(known) or 'none'}",
                todo=f"bistill prepare SOURCE --data_version {options.data_version}",
            )
        rejected_to = output_dir / f"{split}_{artifacts.REJECTED_FILE}"
        splits.append(load_split(path, on_bad_rows=options.on_bad_rows, rejected_to=rejected_to))
        console.say(f"{path}: {len(splits[-1])} queries, {len(splits[-1].documents)} documents")
    journal.write("data", train=splits[0].fingerprint, valid=splits[1].fingerprint)
    return splits[0], splits[1]


@contextmanager
def recorded(output_dir: Path, stage: str, options: Options) -> Iterator[Journal]:
    """Journal of a run: a ``start`` line with versions, command line and options, an ``end`` line whatever happens.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        journal = Journal(output_dir / artifacts.JOURNAL)
    except OSError as error:
        raise ArtifactError(
            f"the output folder cannot be written ({error.strerror})",
            where=str(output_dir),
            todo="give another --output_dir, or make it writable",
        ) from None
    journal.write(
        "start",
        stage=stage,
        pid=os.getpid(),
        argv=sys.argv,
        options=dataclasses.asdict(options),
        versions=versions(),
    )
    started = time.monotonic()
    try:
        yield journal
    except BaseException as error:
        said = error.message() if isinstance(error, BistillError) else f"{type(error).__name__}: {error}"
        journal.write("end", status="failed", error=said, seconds=round(time.monotonic() - started, 1))
        raise
    else:
        journal.write("end", status="finished", seconds=round(time.monotonic() - started, 1))
    finally:
        journal.close()


def write_record(output_dir: Path, stage: str, options: Options, **facts: Any) -> dict[str, Any]:
    """Write ``bistill.json``: what the model was made from and what it reached."""
    record = {
        "schema": "bistill.model/1",
        "stage": stage,
        **facts,
        "options": dataclasses.asdict(options),
        "versions": versions(),
    }
    clean: dict[str, Any] = finite(record)
    artifacts.write_json(output_dir / artifacts.MODEL_RECORD, clean)
    return clean
