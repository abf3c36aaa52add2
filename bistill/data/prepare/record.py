"""``prepare.json``: what a data version was made from, so that the same is not made twice and no other is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.data.prepare.loading import FurtherFiles
from bistill.data.settings import BadRows, RowReading, Splitting
from bistill.data.store.version import Version
from bistill.errors import ArtifactError, OptionError
from bistill.settings import differences

RECORD_VERSION: Final = 2
MAX_PAIRS: Final = 10_000
# What says where something lies: what lies there is known by its content.
READ: Final = ("source", "documents", "queries")
PLACES: Final = (*READ, "data_version", "data_root")


def made_from(
    source: str | None,
    version: Version,
    reading: RowReading,
    splitting: Splitting,
    *,
    on_bad_rows: BadRows = "stop",
    numbers_are_texts: bool = False,
    max_pairs: int = MAX_PAIRS,
    further: FurtherFiles = FurtherFiles(),
) -> dict[str, Any]:
    """Everything that a data version is made from, by the names that the record has for it."""
    return {
        "source": source,
        "documents": None if further.documents is None else str(further.documents),
        "queries": None if further.queries is None else str(further.queries),
        "data_version": version.name,
        "data_root": str(version.root),
        "query_column": reading.columns.query,
        "positive_column": reading.columns.positive,
        "negative_columns": list(reading.columns.negatives),
        "passage_column": reading.columns.passage,
        "label_column": reading.columns.label,
        "label_maximum": reading.label_maximum,
        "positive_from": reading.positive_from,
        "numbers_are_texts": numbers_are_texts,
        "valid_share": splitting.valid,
        "test_share": splitting.test,
        "near_duplicates": splitting.near_duplicates,
        "max_pairs": max_pairs,
        "on_bad_rows": on_bad_rows,
        "seed": splitting.seed,
    }


def own_record(folder: Path) -> dict[str, Any]:
    """What an earlier run says of a folder whose files are all as it wrote them; nothing where there was none.

    Files that somebody put there or changed by hand are never overwritten. Where a run was broken off while it wrote,
    what lies there was its own when it began.

    Raises:
        OptionError: a file is another's, or was changed.
    """
    try:
        record = artifacts.read_json(folder / artifacts.PREPARE_RECORD)
    except ArtifactError:
        record = {}
    if record.get("complete") is False:
        return record
    written = record.get("files", {})
    for name in artifacts.DATA_FILES:
        file = folder / name
        if not file.exists() or written.get(name) == artifacts.sha256_of_file(file):
            continue
        raise OptionError(
            "the file was changed since `bistill prepare` wrote it"
            if name in written
            else "the folder holds files that `bistill prepare` did not write",
            where="`Version.name`",
            found=str(file),
            todo="give another name, or move the file away",
        )
    return record


def changes(record: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """What a data version was made from otherwise, in words. A source is known by its content, not by its path, and
    what is newer than the record acted as its default does."""
    plain = made_from("", Version(Path(), ""), RowReading(), Splitting())
    names = [name for name in identity["options"] if name not in PLACES]
    then = {f"`{name}`": record["options"].get(name, plain[name]) for name in names}
    now = {f"`{name}`": identity["options"][name] for name in names}
    found = [differences(then, now)]
    if record["source"] != identity["source"]:
        before, after = _named(record["options"]), _named(identity["options"])
        found.insert(0, f"the source was {before!r}, is {after!r}" if before != after else f"{after} has changed since")
    return [item for item in found if item]


def _named(options: Mapping[str, Any]) -> str:
    """The files that a data version was made from, as they were named."""
    return ", ".join(str(options[name]) for name in READ if options.get(name))


def of_earlier_version(record: Mapping[str, Any]) -> str:
    """What is said of a record that an earlier version of bistill wrote; "" of one of this version."""
    if record.get("version") == RECORD_VERSION:
        return ""
    return " (an earlier version of bistill made it; `overwrite` makes it anew)"
