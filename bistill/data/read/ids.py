"""Ids where texts are expected, such as MS MARCO's triples of numbers: judged from the values of the first rows.

A model learns nothing from ids, and nothing fails: the loss falls, since the ids are learned by heart. But short
numbers can be texts, too (years, quantities, codes of products): only what is sure is refused, and can be allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bistill.data.records import Row
from bistill.errors import DataError, RowError, shown

FIRST_ROWS: Final = 100
FEWEST_TEXTS: Final = 3
# 7187158; D301595, msmarco_passage_02_12, doc-7, 3f2a9c. A word with a digit and without a blank, in ASCII.
NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)
CODE: Final = re.compile(r"(?=.*\d)[A-Za-z0-9][\w.:/-]{0,39}", re.ASCII)
JOIN: Final = (
    "put the text of each id in its place, or give a BEIR folder: corpus.jsonl and queries.jsonl (_id, text), "
    "qrels/train.tsv (query-id, corpus-id, score)"
)


class _Kind:
    """What the texts of one kind look like so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: set[str] = set()

    @property
    def numbers(self) -> bool:
        return bool(self.texts) and all(NUMBER.fullmatch(text) for text in self.texts)

    @property
    def codes(self) -> bool:
        return bool(self.texts) and all(CODE.fullmatch(text) for text in self.texts)


def watched(
    outcomes: Iterator[Row | RowError], file: str | Path, notes: list[str], *, allowed: bool
) -> Iterator[Row | RowError]:
    """The rows, and a look at whether the first of them hold ids.

    Queries and documents that are all whole numbers are ids; only numbers on one side, or names with digits on both,
    may be.

    Args:
        outcomes: rows and bad rows, as a reader yields them.
        file: the source as the user named it.
        notes: where it is noted that they may be ids.
        allowed: whether what is surely ids is noted, too, instead of refused.

    Raises:
        DataError: they are ids and not allowed.
    """
    queries, documents = _Kind("queries"), _Kind("documents")
    seen = 0
    for outcome in outcomes:
        yield outcome
        if isinstance(outcome, RowError) or seen == FIRST_ROWS:
            continue
        queries.texts |= {outcome.query} - {""}
        documents.texts |= {judgement.document for judgement in outcome.judgements}
        seen += 1
        if seen == FIRST_ROWS:
            _judge(queries, documents, seen, file, notes, allowed)
    if 0 < seen < FIRST_ROWS:
        _judge(queries, documents, seen, file, notes, allowed)


def _judge(queries: _Kind, documents: _Kind, seen: int, file: str | Path, notes: list[str], allowed: bool) -> None:
    if len(documents.texts) < FEWEST_TEXTS:
        return
    sure = queries.numbers and documents.numbers
    codes = documents.codes and (queries.codes or not queries.texts)
    kinds = [queries, documents] if sure or codes else [kind for kind in (queries, documents) if kind.numbers]
    kinds = [kind for kind in kinds if kind.texts]
    if not kinds:
        return
    rows = f"all {seen} rows" if seen < FIRST_ROWS else f"the first {seen} rows"
    found = ", ".join(shown(min(kind.texts)) for kind in kinds)
    names = " and ".join(kind.name for kind in kinds)
    if sure and not allowed:
        raise DataError(
            f"the {names} of {rows} are whole numbers: ids, not texts",
            where=str(file),
            found=found,
            todo=f"{JOIN}; if the numbers are the texts, `numbers_are_texts`",
        )
    notes.append(f"the {names} of {rows} look like ids ({found}); if they are, {JOIN}")
