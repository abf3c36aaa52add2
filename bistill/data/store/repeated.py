"""A text that a query's rows judge more than once, in several spellings, and a query that is judged itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bistill.arrays import Keys
from bistill.console import counted

NEGATIVES: Final = ("labelled negative", "labelled negatives")


@dataclass
class LeftOut:
    """Judgements that are none, since two documents of a query are the same text or one is the query's own.

    Attributes:
        copies: documents that are the same text as another of their query that is judged alike: the best label counts.
        negatives_like_a_positive: labelled negatives that are the same text as a positive of their query.
        negatives_like_the_query: labelled negatives that are the query's own text.
    """

    copies: int = 0
    negatives_like_a_positive: int = 0
    negatives_like_the_query: int = 0

    def notes(self) -> list[str]:
        """A sentence for each kind that there is."""
        texts = "the same text as another one of their query: each text counts once"
        said = (
            (self.copies, "judged document is", "judged documents are", texts),
            (self.negatives_like_a_positive, *NEGATIVES, "left out: the same text as a positive of their query"),
            (self.negatives_like_the_query, *NEGATIVES, "left out: the text of their own query"),
        )
        return [f"{counted(count, one, many)} {what}" for count, one, many, what in said if count]


def judged_once(
    query: int, positives: dict[int, float], negatives: dict[int, float], keys: Keys, left_out: LeftOut
) -> dict[int, float]:
    """The negatives of a query without those that are the text of a positive, of an earlier one or of the query.

    Of positives that are the same text the first stays, with the best label.

    Args:
        query: key of its text.
        positives: label of each by document id; changed in place.
        negatives: likewise, unchanged.
        keys: of all documents.
        left_out: what is left out is added.
    """
    relevant: dict[int, int] = {}
    for document in list(positives):
        first = relevant.setdefault(int(keys[document]), document)
        if first != document:
            positives[first] = max(positives[first], positives.pop(document))
            left_out.copies += 1
    kept: dict[int, int] = {}
    labels: dict[int, float] = {}
    for document, label in negatives.items():
        key = int(keys[document])
        if key in relevant:
            left_out.negatives_like_a_positive += 1
        elif key == query:
            left_out.negatives_like_the_query += 1
        else:
            first = kept.setdefault(key, document)
            left_out.copies += first != document
            labels[first] = max(label, labels.get(first, 0.0))
    return labels
