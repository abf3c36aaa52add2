"""A sheet of pairs to judge: drawn, pooled, shuffled, and written as a file that is a test set once it is filled in."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bistill import artifacts
from bistill.arrays import Ints
from bistill.console import counted, say
from bistill.data.queries.copies import Selection
from bistill.data.sampling import in_turn
from bistill.data.store.corpus import Corpus
from bistill.data.store.texts import Texts
from bistill.errors import OptionError
from bistill.evaluation.by_hand.pools import fitting, pools, shuffled
from bistill.evaluation.by_hand.rankings import Rankers, opened, reranked, searched
from bistill.evaluation.settings import Judging
from bistill.models.settings import Inference

COLUMNS: Final = ("query", "document", "label")
# Characters of a cell that Excel keeps (https://support.microsoft.com, "Excel specifications and limits").
LONGEST_CELL: Final = 32_767


@dataclass(frozen=True)
class Sheet:
    """What was put before a person.

    Attributes:
        path: the file: columns query, document and label, which is empty.
        queries: how many have a pool.
        pairs: its rows.
    """

    path: Path
    queries: int
    pairs: int


def make(
    queries: Texts | Selection,
    documents: Corpus,
    models: Sequence[str],
    output: str | Path,
    judging: Judging = Judging(),
    *,
    inference: Inference = Inference(),
    overwrite: bool = False,
) -> Sheet:
    """Pool what several models rank first and write it as a sheet, without their names; a function of texts, models and
    settings, whatever the order of the models.

    The rows of a query stand together, its documents in an order by chance: who judges reads a query once, and nothing
    tells which model found a document. Queries come in the order in which they were drawn.

    Args:
        queries: what may be asked; the seed draws from it.
        documents: what is ranked; of documents that are the same text the first. A query's own text is left out.
        models: folders or hub names of Bi-Encoders and re-rankers, and "bm25". A re-ranker re-ranks what the others
            found.
        output: the CSV file, UTF-8 with the mark by which spreadsheets know it.
        judging: how many pairs, and which.
        inference: how the models compute.
        overwrite: whether a file that is there, with the labels in it, may be replaced.

    Raises:
        OptionError: the file is there, or the models cannot be used together.
        ModelError: a model cannot be loaded, or gives NaN or infinite values.
        ArtifactError: the file cannot be written.
    """
    path = Path(output)
    if path.exists() and not overwrite:
        what = "the file is there already, and somebody's labels may be in it"
        raise OptionError(what, where="`output`", found=str(path), todo="give another name, or `overwrite`")
    corpus = documents.different()
    # No query can have a smaller pool where a Bi-Encoder is among the models, so that more could not fit.
    count = -(-judging.number // min(judging.depth, len(corpus)))
    drawn = in_turn(judging.seed, "judged queries", len(queries), count)
    with artifacts.probe(path.parent), ExitStack() as opening:
        found = _pools(
            opened(models, queries, corpus, inference, opening),
            queries,
            corpus,
            drawn,
            _own(queries, documents, drawn),
            judging,
        )
        rows = list(_rows(queries, corpus, drawn, found, judging.seed))
        with artifacts.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows([COLUMNS, *rows])
    sheet = Sheet(path, sum(len(pool) > 0 for pool in found), len(rows))
    found_pairs = f"{counted(sheet.pairs, 'pair')} of {counted(sheet.queries, 'query')}"
    say(f"{path}: {found_pairs}, to be judged in the column {COLUMNS[2]}")
    if long := sum(len(document) > LONGEST_CELL for _, document, _ in rows):
        say(
            f"{counted(long, 'document is', 'documents are')} longer than {LONGEST_CELL:,} characters: Excel would cut "
            "them when it saves the file"
        )
    return sheet


def _own(queries: Texts | Selection, documents: Corpus, drawn: Ints) -> Ints:
    """The number in ``different()`` of the document that is the text of each drawn query, int64; -1 where none is."""
    found = documents.copies.find(queries.take(drawn))
    return np.where(found >= 0, documents.copies.numbers(np.maximum(found, 0)), -1)


def _pools(
    models: Rankers, queries: Texts | Selection, corpus: Corpus | Selection, drawn: Ints, own: Ints, judging: Judging
) -> list[Ints]:
    """The pools of as many of the drawn queries as fit."""
    depth = max(judging.depth, judging.rerank_depth) if models.rerankers else judging.depth
    rankings = searched(models.searching, drawn, own, depth)
    # A re-ranker only adds documents: it need not read for queries whose pools are too many without it.
    most = fitting(pools(rankings, judging.depth), judging.number)
    read = pools([ranking[:most] for ranking in rankings], judging.rerank_depth)
    rankings = [ranking[:most] for ranking in rankings]
    rankings += [reranked(model, queries, corpus, drawn[:most], read) for model in models.rerankers]
    found = pools(rankings, judging.depth)
    return found[: fitting(found, judging.number)]


def _rows(
    queries: Texts | Selection, corpus: Corpus | Selection, drawn: Ints, found: Sequence[Ints], seed: int
) -> Iterator[tuple[str, str, str]]:
    for query, pool in zip(drawn.tolist(), found, strict=False):
        for document in shuffled(pool, seed, query).tolist():
            yield queries[query], corpus[document], ""
