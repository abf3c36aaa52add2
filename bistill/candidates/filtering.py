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
from typing import Final

import numpy as np

from bistill.arrays import Bytes, Flags, Floats
from bistill.candidates.settings import Limits
from bistill.data.queries.same_text import text_key
from bistill.data.records import Record

# What is said of what the limits remove, behind its number.
TOO_RELEVANT: Final = "too relevant by the teacher's scores to be negatives (unlabelled positives, probably)"


class Verdict(IntEnum):
    """What became of a candidate; the values are those of the file of lists."""

    KEPT = 0
    RATIO = 1
    ABSOLUTE = 2


def refusal(record: Record, corpus: Sequence[str], others: Iterable[int] = ()) -> Callable[[int], bool]:
    """Says of each document drawn for a query, one after the other, whether it cannot be a negative beside the others.

    Refused is what is the same text as a positive, as the query itself, as one of ``others`` or as a document that was
    not refused before.

    Args:
        record: the query and its positives.
        corpus: texts by id.
        others: ids of documents that are in the list already.
    """
    forms: set[bytes] = set()  # filled when first asked: most queries need no document by chance

    def refused(document: int) -> bool:
        if not forms:
            forms.add(text_key(record.query))
            forms.update(text_key(corpus[known]) for known in (*record.positives, *others))
        form = text_key(corpus[document])
        if form in forms:
            return True
        forms.add(form)
        return False

    return refused


def judge(
    relevance: Floats,
    labelled: Flags,
    positive: float,
    limits: Limits,
) -> Bytes:
    """Verdict on each candidate of one query.

    Args:
        relevance: teacher's relevance in 0..1, shape (n,).
        labelled: True where a person called it irrelevant, shape (n,); such a candidate is always kept.
        positive: relevance of the query's best positive.
        limits: above which relevance it is dropped.

    Returns:
        Values of ``Verdict``, uint8 of shape (n,).
    """
    verdicts = np.full(len(relevance), Verdict.KEPT, dtype=np.uint8)
    if limits.max_score is not None:
        verdicts[(relevance > limits.max_score) & ~labelled] = Verdict.ABSOLUTE
    if limits.max_ratio is not None:
        limit = max(limits.max_ratio * positive, limits.irrelevant_below)
        verdicts[(relevance > limit) & ~labelled] = Verdict.RATIO
    return verdicts
