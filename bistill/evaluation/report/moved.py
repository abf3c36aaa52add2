"""How many queries find their relevant document higher or lower than with the base model, and an example of each."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bistill.arrays import Ints
from bistill.data.sampling import generator
from bistill.evaluation.questions import Questions
from bistill.evaluation.scores import EncoderScores

KINDS: Final = ("higher", "lower", "equal")


def first_ranks(asked: Questions, ids: Ints) -> Ints:
    """Rank, from 1 on, of each query's first relevant document: int64 of shape (queries,).

    Args:
        asked: the questions; the first ``asked.ranked`` records have positives.
        ids: ranked documents of each query, int64 of shape (queries, depth). A query whose relevant documents are all
            below the depth has rank depth + 1.
    """
    depth = ids.shape[1]
    ranks = np.full(asked.ranked, depth + 1, dtype=np.int64)
    for row in range(asked.ranked):
        places = np.flatnonzero(np.isin(ids[row], asked.records[row].positives))
        if len(places):
            ranks[row] = places[0] + 1
    return ranks


def moved(asked: Questions, student: EncoderScores, base: EncoderScores | None, seed: int) -> dict[str, Any] | None:
    """Queries by where the student ranks their first relevant document, compared with the base model.

    Args:
        asked: the questions.
        student: its ranking.
        base: that of the base model; None: nothing is compared.
        seed: chooses the example of each kind, none by hand.

    Returns:
        ``higher``, ``lower`` and ``equal``: queries; ``examples``: of each kind that there is one query by chance, with
        ``query``, ``expected`` (text of its most relevant document), ``rank_base`` and ``rank_student`` (None below the
        depth of the ranking). None without a base model.
    """
    if base is None:
        return None
    before, after = first_ranks(asked, base.ids), first_ranks(asked, student.ids)
    rows = {
        "higher": np.flatnonzero(after < before),
        "lower": np.flatnonzero(after > before),
        "equal": np.flatnonzero(after == before),
    }
    examples = {}
    for kind in KINDS:
        if len(rows[kind]):
            row = int(generator(seed, "example", kind).choice(rows[kind]))
            record = asked.records[row]
            examples[kind] = {
                "query": record.query,
                "expected": asked.corpus[record.positives[int(np.argmax(record.positive_labels))]],
                "rank_base": _rank(int(before[row]), base.ids.shape[1]),
                "rank_student": _rank(int(after[row]), student.ids.shape[1]),
            }
    return {**{kind: len(rows[kind]) for kind in KINDS}, "examples": examples}


def sentences(found: dict[str, Any] | None) -> list[str]:
    """The counts in one line, and each example in one."""
    if found is None:
        return []
    total = sum(found[kind] for kind in KINDS)
    lines = [
        f"Of {total} queries the student ranks the first relevant document higher than the base model in "
        f"{found['higher']}, lower in {found['lower']}, at the same rank in {found['equal']}. One of each by chance:"
    ]
    for kind, item in found["examples"].items():
        ranks = " -> ".join("below the ranking" if item[name] is None else str(item[name]) for name in RANKS)
        lines.append(f"  {kind}: {_short(item['query'])} | {_short(item['expected'])} | rank {ranks}")
    return lines


RANKS: Final = ("rank_base", "rank_student")


def _rank(rank: int, depth: int) -> int | None:
    return rank if rank <= depth else None


def _short(text: str, limit: int = 60) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
