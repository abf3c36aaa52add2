"""Settings of an evaluation: which queries are asked, and what stands beside the student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from bistill.data.settings import BadRows
from bistill.settings import Settings, Within

Judge = Literal["labels", "teacher"]


@dataclass(frozen=True)
class Asking(Settings):
    """Which queries of a file are asked.

    Attributes:
        max_queries: at most so many of those with a positive, and as many without; None: all.
        seed: chooses them, the random pairs and what stands in for a query where queries are shuffled.
        on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside.
        rejected_to: file of the rows set aside; None: beside the parsed data in the cache.
        partly_judged: whether documents of the file may lack a label: nobody judged these, and there are figures that
            leave out what nobody judged.
        judge: "labels" or "teacher", whose relevance is the truth of queries without labels; None: the teacher for the
            queries without labels of a data version, else the labels.
    """

    max_queries: Annotated[int, Within(1)] | None = None
    seed: Annotated[int, Within(0)] = 42
    on_bad_rows: BadRows = "stop"
    rejected_to: Path | None = None
    partly_judged: bool = False
    judge: Judge | None = None


@dataclass(frozen=True)
class Beside(Settings):
    """What is measured beside a student.

    Attributes:
        base: the base model; None: the one of the student's own record, if it can be loaded.
        teacher: a re-ranker; None: likewise.
        compared: a second student; None: none.
        bm25: whether BM25 ranks, too.
        rerank_depth: documents of each query that the teacher re-ranks; 0: no teacher.
        with_base: whether the base model is measured.
    """

    base: str | None = None
    teacher: str | None = None
    compared: str | None = None
    bm25: bool = True
    rerank_depth: Annotated[int, Within(0)] = 20
    with_base: bool = True


@dataclass(frozen=True)
class Judging(Settings):
    """Which pairs are put before a person who judges them.

    Attributes:
        number: pairs, at most; whole pools of as many queries as fit, and of one at least.
        depth: documents that each model gives to a query's pool.
        rerank_depth: documents that a re-ranker reads of each ranking that BM25 or a Bi-Encoder made.
        seed: chooses the queries, and the order of the documents of each.
    """

    number: Annotated[int, Within(1)] = 100
    depth: Annotated[int, Within(1)] = 5
    rerank_depth: Annotated[int, Within(1)] = 20
    seed: Annotated[int, Within(0)] = 42
