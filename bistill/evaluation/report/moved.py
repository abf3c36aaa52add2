"""How many queries find their relevant document higher or lower than with the base model, and an example of each."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from bistill.arrays import Ints
from bistill.data.sampling import generator
from bistill.evaluation.questions import Questions
from bistill.evaluation.report.words import said
from bistill.evaluation.scores import EncoderScores
from bistill.languages import Language

KINDS: Final = ("higher", "lower", "equal")
RANKS: Final = ("rank_base", "rank_student")
COUNTED: Final = (
    "Of {queries} queries the student ranks the first relevant document higher than the base model in {higher}, "
    "lower in {lower}, at the same rank in {equal}."
)
EXAMPLE: Final = "{kind}: {query} | {document} | rank {before} -> {after}"


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
            examples[kind] = {
                "query": asked.records[row].query,
                "expected": asked.corpus[asked.most_relevant(row)],
                "rank_base": _rank(int(before[row]), base.ids.shape[1]),
                "rank_student": _rank(int(after[row]), student.ids.shape[1]),
            }
    return {**{kind: len(rows[kind]) for kind in KINDS}, "examples": examples}


def counted(found: dict[str, Any], language: Language = "en") -> str:
    """How many queries moved where, in one sentence."""
    counts = {kind: f"{found[kind]:,}" for kind in KINDS}
    return said(language, COUNTED, queries=f"{sum(found[kind] for kind in KINDS):,}", **counts)


def sentences(found: dict[str, Any] | None, language: Language = "en") -> list[str]:
    """The counts in one line, and each example in one."""
    say = partial(said, language)
    if found is None:
        return []
    lines = [f"{counted(found, language)} {say('One of each by chance:')}"]
    for kind, item in found["examples"].items():
        ranks = [say("below the ranking") if item[name] is None else str(item[name]) for name in RANKS]
        texts = {"query": _short(item["query"]), "document": _short(item["expected"])}
        line = say(EXAMPLE, kind=say(kind), before=ranks[0], after=ranks[1], **texts)
        lines.append(f"  {line}")
    return lines


def _rank(rank: int, depth: int) -> int | None:
    return rank if rank <= depth else None


def _short(text: str, limit: int = 60) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
