"""``bistill prepare``: from any accepted form to train.csv, valid.csv and test.csv, duplicates and leaks resolved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from bistill import artifacts
from bistill.config import PrepareOptions
from bistill.console import progress, say
from bistill.data.prepare import merging
from bistill.data.prepare.duplicates import Duplicates, find_duplicates, normalised_text
from bistill.data.prepare.loading import CORPUS, Chain, LoadedSource, load_source, open_prepared_source
from bistill.data.prepare.python_docs import SOURCE_NAME
from bistill.data.prepare.writing import show, whole, write_record, write_rejected_rows, write_splits
from bistill.data.read.sources import UNSPLIT
from bistill.errors import ArtifactError, DataError, OptionError
from bistill.options import altering, differences

RECORD_VERSION: Final = 2
# Options that say where something lies: what lies there is known by its content.
PLACES: Final = ("source", "data_version", "data_root")


@dataclass(frozen=True)
class PreparedData:
    """What ``prepare`` made or found.

    Attributes:
        folder: the data version's folder.
        queries: number of queries of each split.
        report: what was found and resolved, by name.
        reused: whether everything was there already.
    """

    folder: Path
    queries: dict[str, int]
    report: dict[str, int]
    reused: bool


def prepare(options: PrepareOptions) -> PreparedData:
    """Write ``<data_root>/<data_version>/`` with train.csv, valid.csv, test.csv and what belongs to them.

    The rows have the columns query, passage, label (1, 0 or graded between). corpus.csv (passage) holds documents
    that no written row names, rejected.csv the rows set aside, prepare.json options, fingerprints and counts. A second
    run with the same source and options, and the files intact, changes nothing. A data version of that name that was
    made otherwise stays, unless ``overwrite`` is given; then it stays until the new one is whole.

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: the source cannot be read, nothing is left for training, or no query has a positive.
        OptionError: the data version is no plain folder name, its folder is the source, holds files that prepare did
            not write or a data version that was made otherwise, or the shares leave nothing for training.
    """
    folder = _target(options)
    record = _own_record(folder)
    source = open_prepared_source(options)
    chosen = altering(options) | {"data_version": options.data_version, "data_root": options.data_root}
    chosen["negative_columns"] = list(options.negative_columns)
    identity = {"version": RECORD_VERSION, "options": chosen, "source": source.fingerprint}
    if any((folder / name).exists() for name in record.get("files", ())):
        changed, older = _changes(record, identity), _other_version(record)
        done = None if changed or (older and options.overwrite) else _already_done(folder, record)
        if done is not None:
            say(f"{folder}: nothing to do, source, options and files are unchanged{older}")
            return done
        if changed:
            _refuse_replacing(folder, changed, options)
    with artifacts.scratch(folder.parent) as scratch:
        loaded = load_source(source, options, scratch)
        return _resolve_and_write(loaded, options, folder, identity)


def _target(options: PrepareOptions) -> Path:
    name = options.data_version
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise OptionError("not a plain folder name", where="--data_version", found=name, todo="give a name without /")
    if options.valid_share + options.test_share >= 1:
        raise OptionError(
            "the shares leave no query for training",
            where="--valid_share, --test_share",
            found=(options.valid_share, options.test_share),
            todo="give shares of together less than 1",
        )
    folder = Path(options.data_root) / name
    if Path(options.source).resolve() == folder.resolve():
        raise OptionError(
            "the source would be overwritten", where="--data_version", found=name, todo="give another name"
        )
    return folder


def _own_record(folder: Path) -> dict[str, Any]:
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
    for name in (*artifacts.SPLIT_FILES.values(), artifacts.CORPUS_FILE, artifacts.REJECTED_FILE):
        file = folder / name
        if not file.exists() or written.get(name) == artifacts.sha256_of_file(file):
            continue
        raise OptionError(
            "the file was changed since `bistill prepare` wrote it"
            if name in written
            else "the folder holds files that `bistill prepare` did not write",
            where="--data_version",
            found=str(file),
            todo="give another name, or move the file away",
        )
    return record


def _resolve_and_write(
    loaded: LoadedSource, options: PrepareOptions, folder: Path, identity: dict[str, Any]
) -> PreparedData:
    order = sorted(loaded.splits, key=merging.KEPT_FIRST.index)
    queries = Chain({split: loaded.splits[split].queries for split in order})
    parts: dict[str, Sequence[str]] = {split: loaded.splits[split].documents for split in order}
    documents = Chain(parts | ({CORPUS: loaded.corpus} if loaded.corpus is not None else {}))
    same_queries = _compare("queries", queries, options.near_duplicates)
    same_documents = _compare("documents", documents, options.near_duplicates)
    merged = merging.merge(loaded.splits, queries.offsets, documents.offsets, same_queries, same_documents)
    splits = _split(merged.splits, queries, same_queries, options)
    if not splits.get("train") and loaded.splits.keys() & {UNSPLIT, "train"}:
        raise DataError("no query is left for training", where=options.source, todo="give more rows or smaller shares")
    if not any(judged.positives for own in splits.values() for judged in own):
        raise DataError(
            "no query has a relevant document",
            where=options.source,
            found=f"{sum(map(len, splits.values()))} queries",
            todo="see whether --label_column, --label_maximum and --positive_from are what the labels mean",
        )
    unjudged = _unjudged(splits, same_documents)
    repeated = _repeated_texts(same_documents, documents)
    alone = sum(not judged.positives for own in splits.values() for judged in own)
    counts: dict[str, int] = {split: len(splits[split]) for split in artifacts.SPLITS if split in splits}
    with whole(folder) as unfinished:
        write_splits(unfinished, splits, unjudged, queries, documents)
        rejected = write_rejected_rows(unfinished, loaded.rejected, folder)
        report = _report(merged, repeated, same_documents.near_count, alone, len(unjudged), rejected)
        record = identity | {"queries": counts, "report": report, "notes": loaded.notes}
        write_record(unfinished, record)
    show(folder, splits, report)
    return PreparedData(folder, counts, report, reused=False)


def _report(
    merged: merging.Merged, equal: int, near: int, without_positive: int, unjudged: int, rejected: int
) -> dict[str, int]:
    return {
        "documents: equal to an earlier one, merged": equal,
        "documents: nearly equal to an earlier one, merged": near,
        "queries: equal in one split, merged": merged.equal_queries,
        "queries: equal in two splits, dropped from the later": merged.equal_across,
        "queries: nearly equal in two splits, dropped from the later": merged.near_across,
        "negatives that are positives of their query, dropped": merged.conflicts,
        "queries without a positive, kept": without_positive,
        "documents that no query judges, in corpus.csv": unjudged,
        "bad rows set aside, in rejected.csv": rejected,
    }


def _repeated_texts(found: Duplicates, texts: Sequence[str]) -> int:
    """Texts that differ from an earlier one but are equal to it after normalisation.

    The same text in several splits, or in a split and the corpus, is one document and no duplicate.
    """
    groups: dict[int, set[str]] = defaultdict(set)
    for number in np.flatnonzero(found.exact != np.arange(len(found.exact))):
        first = int(found.exact[number])
        groups[first] |= {texts[first], texts[int(number)]}
    return sum(len(group) - 1 for group in groups.values())


def _compare(what: str, texts: Sequence[str], threshold: float) -> Duplicates:
    with progress(f"comparing {what}", len(texts), what) as advance:
        return find_duplicates(texts, threshold, advance)


def _split(
    splits: dict[str, list[merging.Judged]], queries: Chain, same: Duplicates, options: PrepareOptions
) -> dict[str, list[merging.Judged]]:
    """Splits that the source lacks are taken from train, or from all where there are none.

    Without train nothing is taken from what is there: it is prepared as it is, for evaluation and search.
    """
    rest = UNSPLIT if UNSPLIT in splits else "train"
    splits = {split: found for split, found in splits.items() if found or split == rest}
    if rest not in splits:
        say(
            f"{options.source}: no training split; only {' and '.join(sorted(splits))} "
            f"{'is' if len(splits) == 1 else 'are'} prepared, for evaluation and search"
        )
        return splits
    shares = {"test": options.test_share, "valid": options.valid_share}
    missing = {split: share for split, share in shares.items() if split not in splits}
    if not missing or options.source == SOURCE_NAME:  # python-docs is split by module
        return splits
    groups: dict[int, list[str]] = defaultdict(list)
    for judged in splits[rest]:
        groups[int(same.near[judged.query])].append(normalised_text(queries[judged.query]))
    # Lists and rankings need a positive: each split gets its share of either kind of query.
    answered = {int(same.near[judged.query]) for judged in splits[rest] if judged.positives}
    split_of: dict[int, str] = {}
    for kind in (answered, groups.keys() - answered):
        own = {group: texts for group, texts in groups.items() if group in kind}
        split_of |= merging.split_shares(own, missing, "train", options.seed)
    taken = merging.regroup(splits[rest], same.near, split_of)
    for split, share in missing.items():
        if share > 0 and split not in taken:
            say(f"no query for {split}: the source has too few queries that are not nearly equal")
    return {split: found for split, found in splits.items() if split != rest} | taken


def _unjudged(splits: Mapping[str, list[merging.Judged]], same: Duplicates) -> list[int]:
    used = np.zeros(len(same.near), dtype=bool)
    for queries in splits.values():
        for judged in queries:
            used[list(judged.positives)] = True
            used[list(judged.negatives)] = True
    first = same.near == np.arange(len(same.near))
    return [int(number) for number in np.flatnonzero(first & ~used)]


def _already_done(folder: Path, record: Mapping[str, Any]) -> PreparedData | None:
    """The data version that an earlier run finished in a folder, None where one of its files is gone."""
    if not all((folder / name).exists() for name in record["files"]):
        return None
    return PreparedData(folder, record["queries"], record["report"], reused=True)


def _changes(record: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """What a data version was made from otherwise, in words. A source is known by its content, not by its path, and an
    option that is newer than the record acted as its default does."""
    plain = {field.name: field.default for field in fields(PrepareOptions)}
    now = {name: value for name, value in identity["options"].items() if name not in PLACES}
    then = {name: record["options"].get(name, plain[name]) for name in now}
    then["negative_columns"] = list(then["negative_columns"])
    found = [differences(then, now, mark="--")]
    if record["source"] != identity["source"]:
        before, after = record["options"]["source"], identity["options"]["source"]
        found.insert(0, f"the source was {before!r}, is {after!r}" if before != after else f"{after} has changed since")
    return [item for item in found if item]


def _other_version(record: Mapping[str, Any]) -> str:
    if record.get("version") == RECORD_VERSION:
        return ""
    return " (an earlier version of bistill made it; --overwrite makes it anew)"


def _refuse_replacing(folder: Path, changed: Sequence[str], options: PrepareOptions) -> None:
    """Raise unless the data version that lies in a folder may be replaced, which is said."""
    if not options.overwrite:
        raise OptionError(
            f"the data version was made otherwise: {'; '.join(changed)}",
            where="--data_version",
            found=str(folder),
            todo="give --overwrite to replace it once the new one is whole, or another name",
        )
    say(f"{folder}: {'; '.join(changed)}; the data version stays until the new one is whole")
