"""False negatives: candidates that are probably relevant although nobody labelled them so.

Between 53 % and 93 % of the negatives taken from other rows can be somebody's positive. Labels and equal texts are
looked at first, then the teacher: a candidate of more than ``max_ratio`` times the relevance of the query's best
positive goes (TopK-PercPos of NV-Retriever, arXiv 2407.15831), and one above an absolute limit. What a person labelled
irrelevant stays, and so does what the teacher itself calls irrelevant: where it misses the positive, a share of next to
nothing says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum

import numpy as np

from bistill.data.same_text import text_key


class Verdict(IntEnum):
    """What became of a candidate; the values are those of the file of lists."""

    KEPT = 0
    RATIO = 1
    ABSOLUTE = 2


def equal_texts(candidates: Iterable[bytes], positives: Iterable[bytes]) -> np.ndarray:
    """True for each candidate whose ``text_key`` is that of a positive: bool of shape (candidates,)."""
    known = set(positives)
    return np.fromiter((form in known for form in candidates), dtype=bool)


def like(positives: Sequence[int], corpus: Sequence[str]) -> Callable[[int], bool]:
    """Says of a document whether it is one of the positives, or is the same text as one.

    Args:
        positives: ids in the corpus.
        corpus: texts by id.
    """
    known = set(positives)
    forms: set[bytes] = set()  # filled when first asked: most queries need no document by chance

    def alike(document: int) -> bool:
        if document in known:
            return True
        if not forms:
            forms.update(text_key(corpus[positive]) for positive in positives)
        return text_key(corpus[document]) in forms

    return alike


def judge(
    relevance: np.ndarray,
    labelled: np.ndarray,
    positive: float,
    *,
    max_ratio: float | None,
    max_score: float | None,
    irrelevant_below: float,
) -> np.ndarray:
    """Verdict on each candidate of one query.

    Args:
        relevance: teacher's relevance in 0..1, shape (n,).
        labelled: True where a person called it irrelevant, shape (n,); such a candidate is always kept.
        positive: relevance of the query's best positive.
        max_ratio: highest share of ``positive``; None for no such limit.
        max_score: highest relevance; None for no such limit.
        irrelevant_below: a candidate of less relevance passes ``max_ratio`` whatever the positive's.

    Returns:
        Values of ``Verdict``, uint8 of shape (n,).
    """
    verdicts = np.full(len(relevance), Verdict.KEPT, dtype=np.uint8)
    if max_score is not None:
        verdicts[(relevance > max_score) & ~labelled] = Verdict.ABSOLUTE
    if max_ratio is not None:
        limit = max(max_ratio * positive, irrelevant_below)
        verdicts[(relevance > limit) & ~labelled] = Verdict.RATIO
    return verdicts
