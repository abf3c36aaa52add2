"""The two shapes of labelled text: a row as a file holds it, and a record as training and evaluation see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bistill.data.queries.taken_out import Spans


class Judgement(NamedTuple):
    """One document of a row and how relevant it is to the row's query.

    Attributes:
        document: the text.
        label: relevance as the file says it; None for "positive" or "negative" by column.
        positive: by column; None where the label decides, and where there is none either: nobody judged it.
        column: name of the column that holds the document.
        title: where the file has one in a column of its own: the document begins with it.
        taken_out: of a document that a query was made from, its characters that the query's own lists lack.
    """

    document: str
    label: float | None
    positive: bool | None
    column: str
    title: str = ""
    taken_out: Spans = ()

    @property
    def judged(self) -> bool:
        """Whether somebody said how relevant the document is."""
        return self.label is not None or self.positive is not None


class Row(NamedTuple):
    """One row of a source: its number as a spreadsheet shows it, its query and the documents judged for it."""

    number: int
    query: str
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One query with all its judged documents, rows of the same query merged.

    Attributes:
        query_id: index of the query in its data set.
        query: the text.
        positives: ids of relevant documents; may be empty: all that was judged is irrelevant.
        positive_labels: relevance in 0..1 of each positive.
        negatives: ids of documents labelled irrelevant; may be empty, too.
        negative_labels: relevance in 0..1 of each negative.
    """

    query_id: int
    query: str
    positives: tuple[int, ...]
    positive_labels: tuple[float, ...]
    negatives: tuple[int, ...]
    negative_labels: tuple[float, ...]
