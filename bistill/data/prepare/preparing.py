"""``bistill prepare``: from any accepted form to train.csv, valid.csv and test.csv, duplicates and leaks resolved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from bistill import artifacts, cache_folder
from bistill.console import counted, say
from bistill.data.prepare import merging
from bistill.data.prepare.duplicates import Duplicates, find_duplicates, normalised_text
from bistill.data.prepare.loading import (
    CORPUS,
    LOG,
    Chain,
    FurtherFiles,
    LoadedSource,
    Loader,
    open_prepared_source,
)
from bistill.data.prepare.python_docs import SOURCE_NAME, python_docs
from bistill.data.prepare.record import MAX_PAIRS, RECORD_VERSION, made_from, own_record
from bistill.data.prepare.target import check_target, is_done
from bistill.data.prepare.unlabelled import Origin, Unlabelled, resolve
from bistill.data.prepare.writing import show, whole, write_logs, write_record, write_rejected_rows, write_splits
from bistill.data.queries.copies import Copies
from bistill.data.read.sources import UNSPLIT
from bistill.data.settings import BadRows, RowReading, Splitting
from bistill.data.store.version import Version
from bistill.errors import DataError, Told
from bistill.progress import progress
from bistill.settings import Within, checked


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


def prepare(
    source: Any,
    version: Version,
    *,
    reading: RowReading = RowReading(),
    splitting: Splitting = Splitting(),
    on_bad_rows: BadRows = "stop",
    numbers_are_texts: bool = False,
    max_pairs: int = MAX_PAIRS,
    overwrite: bool = False,
    further: FurtherFiles = FurtherFiles(),
) -> PreparedData:
    """Write the folder of a data version: train.csv, valid.csv, test.csv and what belongs to them.

    The rows have the columns query, passage, label (1, 0 or graded between). corpus.csv (passage) holds documents
    that no written row names, queries.csv and valid_queries.csv (query, count, source, taken_out) queries without
    labels, rejected.csv the rows set aside, prepare.json settings, fingerprints and counts. A second run with the same
    source and settings, and the files intact, changes nothing.

    Args:
        source: file, folder, Hugging Face data set id, rows that a program holds (``open_rows``), or "python-docs";
            None: there are no labels.
        version: what is written.
        reading: how columns and labels are understood.
        splitting: what becomes of which split, and which texts count as one.
        on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside.
        numbers_are_texts: whether queries and documents that are all whole numbers are texts, not ids of texts.
        max_pairs: of python-docs, at least 100.
        overwrite: a data version of that name that was made otherwise is replaced, once the new one is whole; else it
            stays.
        further: documents and queries without labels.

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: the source cannot be read, nothing is left, or no query of a source has a positive.
        OptionError: the data version is no plain folder name, its folder is the source, holds files that prepare did
            not write or a data version that was made otherwise, or a value is of another type or out of range.
    """
    folder = version.folder
    on_bad_rows = checked(on_bad_rows, BadRows, "`on_bad_rows`")
    numbers_are_texts = checked(numbers_are_texts, bool, "`numbers_are_texts`")
    overwrite = checked(overwrite, bool, "`overwrite`")
    max_pairs = checked(max_pairs, Annotated[int, Within(100)], "`max_pairs`")
    check_target(source, version)
    record = own_record(folder)
    opened = open_prepared_source(source, reading, further)
    chosen = made_from(
        None if source is None else opened.name,
        version,
        reading,
        splitting,
        on_bad_rows=on_bad_rows,
        numbers_are_texts=numbers_are_texts,
        max_pairs=max_pairs,
        further=further,
    )
    identity = {"version": RECORD_VERSION, "options": chosen, "source": opened.fingerprint}
    if is_done(folder, record, identity, overwrite, opened.readers.values()):
        return PreparedData(folder, record["queries"], record["report"], reused=True)
    with cache_folder.scratch(folder.parent) as scratch:
        readers = python_docs(splitting, max_pairs) if opened.name == SOURCE_NAME else opened.readers
        loader = Loader(scratch, reading, on_bad_rows, numbers_are_texts)
        loaded = loader.load(opened, readers, further)
        return _resolve_and_write(opened.name, loaded, splitting, folder, identity)


def _resolve_and_write(
    source: str, loaded: LoadedSource, splitting: Splitting, folder: Path, identity: dict[str, Any]
) -> PreparedData:
    order = sorted(loaded.splits, key=merging.KEPT_FIRST.index)
    queries = Chain({split: loaded.splits[split].queries for split in order})
    parts: dict[str, Sequence[str]] = {split: loaded.splits[split].documents for split in order}
    if loaded.corpus is not None:
        parts[CORPUS] = loaded.corpus
    if loaded.log is not None and identity["options"]["documents"] is None:
        parts[LOG] = loaded.log.sources  # where no other documents are named, what queries were made from are some
    documents = Chain(parts)
    same_queries = _compare("queries", queries, splitting.near_duplicates)
    same_documents = _compare("documents", documents, splitting.near_duplicates)
    merged = merging.merge(loaded.splits, queries.offsets, documents.offsets, same_queries, same_documents)
    splits = _split(merged.splits, queries, same_queries, source, splitting) if loaded.splits else {}
    if not splits.get("train") and loaded.splits.keys() & {UNSPLIT, "train"}:
        raise DataError("no query is left for training", where=source, todo="give more rows or smaller shares")
    if splits and not any(judged.positives for own in splits.values() for judged in own):
        raise DataError(
            "no query has a relevant document",
            where=source,
            found=Told(counted(sum(map(len, splits.values())), "query")),
            todo="see whether `Columns.label`, `label_maximum` and `positive_from` are what the labels mean",
        )
    unjudged = _unjudged(splits, same_documents)
    unlabelled = _unlabelled(loaded, splits, queries, documents, same_documents, splitting)
    if not (splits or unjudged or any(unlabelled.rows.values())):
        raise DataError("no query is left", where=source, found=unlabelled.report, todo="see what was dropped, and why")
    repeated = _repeated_texts(same_documents, documents)
    alone = sum(not judged.positives for own in splits.values() for judged in own)
    counts: dict[str, int] = {split: len(splits[split]) for split in artifacts.SPLITS if split in splits}
    with whole(folder) as unfinished:
        write_splits(unfinished, splits, unjudged, queries, documents)
        write_logs(unfinished, unlabelled.rows)
        rejected = write_rejected_rows(unfinished, loaded.rejected, folder)
        report = _report(merged, repeated, same_documents.near_count, alone, len(unjudged), rejected)
        report |= unlabelled.report
        record = identity | {"queries": counts, "report": report, "notes": loaded.notes}
        write_record(unfinished, record)
    show(folder, splits, report)
    return PreparedData(folder, counts, report, reused=False)


def _unlabelled(
    loaded: LoadedSource,
    splits: Mapping[str, list[merging.JudgedQuery]],
    queries: Chain,
    documents: Chain,
    same: Duplicates,
    splitting: Splitting,
) -> Unlabelled:
    """What of the queries without labels is kept; nothing where there are none."""
    if loaded.log is None:
        return Unlabelled({}, {})
    known = Copies(documents)

    def source_of(text: str) -> Origin:
        text = loaded.ids.get(text, text)
        (place,) = known.find([text])
        document = documents[int(same.near[place])] if place >= 0 else ""
        return Origin(document, document == text)

    labelled = {split: [queries[judged.query] for judged in own] for split, own in splits.items()}
    return resolve(
        loaded.log,
        loaded.dropped,
        labelled,
        source_of,
        splitting,
        lambda texts: _compare("queries without labels", texts, splitting.near_duplicates),
    )


def _report(
    merged: merging.MergedSplits, equal: int, near: int, without_positive: int, unjudged: int, rejected: int
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
    with progress(f"comparing {what}" if len(texts) else "", len(texts), what) as advance:
        return find_duplicates(texts, threshold, advance)


def _split(
    splits: dict[str, list[merging.JudgedQuery]], queries: Chain, same: Duplicates, source: str, splitting: Splitting
) -> dict[str, list[merging.JudgedQuery]]:
    """Splits that the source lacks are taken from train, or from all where there are none.

    Without train nothing is taken from what is there: it is prepared as it is, for evaluation and search.
    """
    rest = UNSPLIT if UNSPLIT in splits else "train"
    splits = {split: found for split, found in splits.items() if found or split == rest}
    if rest not in splits:
        say(
            f"{source}: no training split; only {' and '.join(sorted(splits))} "
            f"{'is' if len(splits) == 1 else 'are'} prepared, for evaluation and search"
        )
        return splits
    shares = {"test": splitting.test, "valid": splitting.valid}
    missing = {split: share for split, share in shares.items() if split not in splits}
    if not missing or source == SOURCE_NAME:  # python-docs is split by module
        return splits
    groups: dict[int, list[str]] = defaultdict(list)
    for judged in splits[rest]:
        groups[int(same.near[judged.query])].append(normalised_text(queries[judged.query]))
    # Lists and rankings need a positive: each split gets its share of either kind of query.
    answered = {int(same.near[judged.query]) for judged in splits[rest] if judged.positives}
    split_of: dict[int, str] = {}
    for kind in (answered, groups.keys() - answered):
        own = {group: texts for group, texts in groups.items() if group in kind}
        split_of |= merging.split_shares(own, missing, "train", splitting.seed)
    taken = merging.regroup(splits[rest], same.near, split_of)
    for split, share in missing.items():
        if share > 0 and split not in taken:
            todo = ", and training needs some: give more rows" if split == "valid" else ""
            say(f"no query for {split}: the source has too few queries that are not nearly equal{todo}")
    return {split: found for split, found in splits.items() if split != rest} | taken


def _unjudged(splits: Mapping[str, list[merging.JudgedQuery]], same: Duplicates) -> list[int]:
    used = np.zeros(len(same.near), dtype=bool)
    for queries in splits.values():
        for judged in queries:
            used[list(judged.positives)] = True
            used[list(judged.negatives)] = True
    first = same.near == np.arange(len(same.near))
    return [int(number) for number in np.flatnonzero(first & ~used)]
