"""Settings of reading and preparing data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from bistill.errors import OptionError
from bistill.settings import Settings, Within

BadRows = Literal["stop", "skip"]
TextKind = Literal["document", "query"]
Balance = Literal["rows", "versions"]
# What is read of a file alone: its documents or queries; documents with their ids and titles; queries with how often
# they were asked and what they were made from.
ReadAlone = Literal["document", "query", "identified", "log"]
Share = Annotated[float, Within(0, 0.5)]
MadeKind = Literal["titles", "questions", "sentences", "spans", "keyphrases"]


@dataclass(frozen=True)
class Columns(Settings):
    """Names of columns given by the user; None or () where names are to be recognised.

    Attributes:
        query: column of queries.
        positive: column of relevant documents.
        negatives: columns of irrelevant documents.
        passage: column of documents of a labelled pair.
        label: column of labels of a labelled pair.
    """

    query: str | None = None
    positive: str | None = None
    negatives: tuple[str, ...] = ()
    passage: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class RowReading(Settings):
    """How rows are understood.

    Attributes:
        columns: names of columns given by the user.
        label_maximum: highest label of the scale; None: 1, or the highest found in the file (for whole numbers above
            1, the highest of all such files of the source).
        positive_from: labels of at least this share of the highest are positives.
        partly_judged: whether a document without a label is one that nobody judged, no bad row.
    """

    columns: Columns = Columns()
    label_maximum: float | None = None
    positive_from: Annotated[float, Within(0, 1)] = 0.5
    partly_judged: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        maximum = self.label_maximum
        if maximum is not None and not (math.isfinite(maximum) and maximum > 0):
            raise OptionError(
                "the value is out of range",
                where="`RowReading.label_maximum`",
                found=maximum,
                todo="give a number above 0",
            )


@dataclass(frozen=True)
class Splitting(Settings):
    """What becomes training, validation and test data, and which texts count as one.

    Attributes:
        valid: share of the queries for validation, where the source has no such split.
        test: likewise for the test.
        near_duplicates: texts of at least this Jaccard similarity are merged; 1: equal texts only.
        seed: another seed gives another split.
    """

    valid: Share = 0.1
    test: Share = 0.1
    near_duplicates: Annotated[float, Within(0.5, 1)] = 0.9
    seed: Annotated[int, Within(0)] = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.valid + self.test >= 1:
            raise OptionError(
                "the shares leave no query for training",
                where="`Splitting.valid`, `Splitting.test`",
                found=(self.valid, self.test),
                todo="give shares of together less than 1",
            )


@dataclass(frozen=True)
class Making(Settings):
    """Which queries are made from the documents of a corpus.

    Attributes:
        kinds: what of a document becomes a query.
        shares: how often each kind is taken beside the others, where a document has several; (): equally often.
        number: of queries, of all documents together; None: all that can be made.
        each: queries of one document at most.
        typed: share of the queries that are changed as people type.
        taken_out: share of the queries that are taken out of their document.
        seed: another seed makes other queries.
    """

    kinds: tuple[MadeKind, ...] = ("titles", "questions", "sentences", "spans", "keyphrases")
    shares: tuple[Annotated[float, Within(0)], ...] = ()
    number: Annotated[int, Within(1)] | None = None
    each: Annotated[int, Within(1, 100)] = 1
    typed: Annotated[float, Within(0, 1)] = 0.3
    taken_out: Annotated[float, Within(0, 1)] = 0.5
    seed: Annotated[int, Within(0)] = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds or len({*self.kinds}) < len(self.kinds):
            raise OptionError(
                "each kind of query is named once, and one at least",
                where="`Making.kinds`",
                found=self.kinds,
                todo="name some of titles, questions, sentences, spans, keyphrases",
            )
        if self.shares and (len(self.shares) != len(self.kinds) or not sum(self.shares)):
            raise OptionError(
                f"{len(self.kinds)} kinds of queries need as many shares, not all of them 0",
                where="`Making.shares`",
                found=self.shares,
                todo="give one number for each kind, or none",
            )


@dataclass(frozen=True)
class Endpoint(Settings):
    """A server with the chat completions of OpenAI's interface, and how it is asked.

    Attributes:
        url: up to and without ``/chat/completions``: ``http://127.0.0.1:8000/v1``.
        model: as the server names it.
        at_once: requests that wait for an answer at a time.
        per_minute: requests started in a minute at most; None: no limit.
        attempts: how often a document is asked for whose answer failed.
        seconds: that an answer may take.
    """

    url: str
    model: str
    at_once: Annotated[int, Within(1, 256)] = 4
    per_minute: Annotated[float, Within(0.01)] | None = None
    attempts: Annotated[int, Within(1, 20)] = 4
    seconds: Annotated[float, Within(0.01)] = 120.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.url.startswith(("http://", "https://")):
            raise OptionError(
                "an address of the web is expected",
                where="`Endpoint.url`",
                found=self.url,
                todo="give one such as http://127.0.0.1:8000/v1",
            )
