"""What a language model is told to write queries for a document, and the queries in what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bistill.data.made.found import Source, within

LONGEST_DOCUMENT: Final = 6_000
TASK: Final = (
    "You write search queries. Given a document, write {count} that a person who does not know the document would type "
    "into a search field and that it answers: some in a few words, some as questions, no two alike. Write them in the "
    "language of the document, without copying its sentences. Answer with one query on each line and nothing else."
)


class Example(NamedTuple):
    """A query that somebody asked, and a document that is relevant to it."""

    query: str
    document: str


def messages(source: Source, count: int, examples: Sequence[Example] = ()) -> list[dict[str, str]]:
    """The conversation whose next message is the answer.

    Args:
        source: the document; of a long one its beginning is shown.
        count: of queries that are wanted.
        examples: labelled queries, each shown as a document that was answered with it.
    """
    said = [{"role": "system", "content": TASK.format(count=count)}]
    for example in examples:
        said.append({"role": "user", "content": example.document[:LONGEST_DOCUMENT]})
        said.append({"role": "assistant", "content": example.query})
    return [*said, {"role": "user", "content": source.text[:LONGEST_DOCUMENT]}]


def queries_in(answer: str) -> list[str]:
    """The queries of an answer: its lines without numbers, marks and quotation marks; no line that leads to others."""
    lines = (line.strip() for line in answer.splitlines())
    found = (within(line, 0, len(line)) for line in lines if line and not line.endswith((":", "：")))
    return [one.query for one in found if one is not None and any(map(str.isalpha, one.query))]
