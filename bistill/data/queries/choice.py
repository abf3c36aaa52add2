"""Which queries of a data set a command uses, chosen by its seed, and how that is said."""

from __future__ import annotations

import numpy as np

from bistill.arrays import Ints
from bistill.console import counted
from bistill.data.sampling import subset
from bistill.data.store.dataset import Dataset
from bistill.errors import DataError, OptionError, Told


def answered(dataset: Dataset) -> Ints:
    """Rising ids of the queries with a positive, int64.

    Raises:
        DataError: there is none.
    """
    if not len(dataset.with_positive):
        raise DataError(
            "no query has a relevant document",
            where=str(dataset.path),
            found=Told(f"{counted(dataset.labelled, 'query')}, and all documents labelled irrelevant"),
            todo="add rows with relevant documents, or see with which `positive_from` the labels were read",
        )
    return dataset.with_positive


def queries(dataset: Dataset, seed: int, name: str, count: int | None) -> Ints:
    """Rising ids of ``count`` queries, with a positive or without, all where ``count`` is None or larger; int64.

    Args:
        dataset: the queries.
        seed: of the run.
        name: what the queries are chosen for, as in ``sampling.subset``.
        count: queries wanted.

    Raises:
        DataError: no query has a positive.
        OptionError: none of those chosen has one.
    """
    known = answered(dataset)
    ids = subset(seed, name, dataset.labelled, count)
    if not np.isin(ids, known, assume_unique=True).any():
        raise OptionError(
            "none of the queries chosen has a relevant document",
            where="`max_samples`",
            found=count,
            todo=f"give more: {len(known):,} of {counted(dataset.labelled, 'query has', 'queries have')} one",
        )
    return ids


def with_positive(dataset: Dataset, seed: int, name: str, count: int | None) -> Ints:
    """Rising ids of ``count`` queries with a positive, all of them where ``count`` is None or larger; int64.

    Arguments as of ``queries``.

    Raises:
        DataError: no query has a positive.
    """
    ids = answered(dataset)
    return ids[subset(seed, name, len(ids), count)]


def without_positive(dataset: Dataset, seed: int, name: str, count: int | None) -> Ints:
    """Rising ids of queries without a positive: as large a part of them as ``count`` is of the queries with one; int64.

    Args:
        dataset: the queries, some of which have a positive.
        seed: of the run.
        name: what the queries are chosen for.
        count: queries with a positive that are wanted; None: all.
    """
    ids, others = dataset.without_positive, len(dataset.with_positive)
    share = None if count is None or count >= others else round(len(ids) * count / others)
    return ids[subset(seed, f"{name}, without a positive", len(ids), share)]


def for_lists(dataset: Dataset, seed: int, count: int | None, unlabelled: int | None) -> Ints:
    """Rising ids of the training queries that lists are made of, int64: ``with_positive``, and behind these queries
    without labels.

    Args:
        dataset: the queries.
        seed: of the run.
        count: queries with a positive that are wanted; None: all. Where none has labels, queries at all.
        unlabelled: queries without labels that are wanted; None: all.

    Raises:
        DataError: there are labels, but no query has a positive.
    """
    if not dataset.labelled:
        unlabelled = min((number for number in (count, unlabelled) if number is not None), default=None)
    chosen = without_labels(dataset, seed, "train", unlabelled)
    return np.concatenate([with_positive(dataset, seed, "train", count), chosen]) if dataset.labelled else chosen


def without_labels(dataset: Dataset, seed: int, name: str, count: int | None) -> Ints:
    """Rising ids of ``count`` queries without labels, all of them where ``count`` is None or larger; int64."""
    ids = dataset.unlabelled
    return ids[subset(seed, f"{name}, without labels", len(ids), count)]


def chosen_for_lists(dataset: Dataset, query_ids: Ints) -> str:
    """As ``chosen`` of the queries with labels, what becomes of those without a positive, and how many have no labels;
    where there are any."""
    labelled = query_ids[query_ids < dataset.labelled]
    said = [chosen(dataset, labelled)] if dataset.labelled else []
    if len(dataset.unlabelled):
        number = len(query_ids) - len(labelled)
        said.append(f"{number:,} of {counted(len(dataset.unlabelled), 'query')} without labels")
    if without := dataset.labelled - len(dataset.with_positive):
        said.append(
            f"no lists are made for the {counted(without, 'query')} without a positive, but their documents stay among "
            "those that lists are drawn from"
        )
    return "; ".join(said)


def chosen(dataset: Dataset, query_ids: Ints) -> str:
    """How many of the queries and of the rows of a file are used: "2,000 of 9,120 queries, 3,153 of 14,379 rows"."""
    rows = dataset.rows()
    used, there = int(rows[query_ids].sum()), int(rows.sum())
    return f"{len(query_ids):,} of {counted(dataset.labelled, 'query')}, {used:,} of {counted(there, 'row')}"


def all_made(dataset: Dataset) -> bool:
    """Whether all queries without labels, one at least, were made from documents, as far as the data version tells."""
    return bool(len(dataset.sources)) and bool((dataset.sources >= 0).all())
