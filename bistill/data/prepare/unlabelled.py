"""Queries without labels on their way into a data version: what is no query, what comes again, what is held out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from bistill.arrays import Ints
from bistill.data.prepare.duplicates import Duplicates, normalised_text
from bistill.data.prepare.merging import split_shares
from bistill.data.prepare.near_texts import Clusters
from bistill.data.queries.copies import Copies
from bistill.data.queries.same_text import is_blank
from bistill.data.queries.taken_out import Spans, fits
from bistill.data.records import Row
from bistill.data.settings import Splitting
from bistill.data.store.logs import Log
from bistill.errors import RowError

# Twice the longest query of eight English and Korean collections (34,000 queries, the longest a claim of 249
# characters): what is longer is a text that somebody pasted.
LONGEST_QUERY: Final = 512
ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.)\S+|[\w-]+(?:\.[\w-]+)+/\S*", re.IGNORECASE)
EMPTY: Final = "unlabelled: empty, dropped"
NO_LETTER: Final = "unlabelled: only digits and punctuation, dropped"
TOO_LONG: Final = f"unlabelled: longer than {LONGEST_QUERY} characters, dropped"
URL: Final = "unlabelled: a URL, dropped"
NO_QUERIES: Final = (EMPTY, NO_LETTER, TOO_LONG, URL)


def no_query(text: str) -> str:
    """Why a text is no query, as the report names it; "" where it is one."""
    if is_blank(text):
        return EMPTY
    if not any(character.isalpha() for character in text):
        return NO_LETTER
    if len(text) > LONGEST_QUERY:
        return TOO_LONG
    return URL if ADDRESS.fullmatch(text.strip()) else ""


def queries_alone(outcomes: Iterator[Row | RowError], dropped: Counter[str]) -> Iterator[Row | RowError]:
    """The rows that hold a query, and bad rows; the others are counted by why they do not."""
    for outcome in outcomes:
        reason = "" if isinstance(outcome, RowError) else no_query(outcome.query)
        if reason:
            dropped[reason] += 1
        else:
            yield outcome


class Asked(NamedTuple):
    """A query of a log that is kept.

    Attributes:
        query: the text.
        times: it was asked.
        source: the document that it was made from; "" where that is not known.
        taken_out: what the source lacks in the query's own lists.
    """

    query: str
    times: int
    source: str
    taken_out: Spans = ()


class Origin(NamedTuple):
    """A source as the data version has it.

    Attributes:
        document: the document; "" where there is none.
        is_same: whether it is that text to the letter, not another that stands for it.
    """

    document: str
    is_same: bool


@dataclass(frozen=True)
class Unlabelled:
    """The queries of a log that are kept.

    Attributes:
        rows: of each split: train to learn from, valid held out.
        report: what was found and resolved, by name.
    """

    rows: dict[str, list[Asked]]
    report: dict[str, int]


def resolve(
    log: Log,
    dropped: Mapping[str, int],
    labelled: Mapping[str, Sequence[str]],
    source_of: Callable[[str], Origin],
    splitting: Splitting,
    compare: Callable[[Sequence[str]], Duplicates],
) -> Unlabelled:
    """What of a log is learned from, and what is held out for validation.

    Copies of a query are one, with the sum of their counts. Left out is what is the same as, or nearly equal to, a
    labelled validation or test query, and what is a labelled training query. ``splitting.valid`` of the others are held
    out, by a hash of their text; queries that are nearly equal, or made from one document, stay together, and with a
    labelled training query that one of them is nearly equal to.

    Args:
        log: the queries.
        dropped: how many texts were none, by reason.
        labelled: labelled queries of each split.
        source_of: the document of the data version that is the text of a source.
        splitting: share of the validation, and seed.
        compare: finds the same and nearly equal texts.
    """
    copies = Copies(log.queries)
    counts = np.zeros(len(log), dtype=np.int64)
    np.add.at(counts, copies.first, log.counts)
    made_from = _sources(log, copies.first, source_of)
    sources = {place: found.source for place, found in made_from.items()}
    own = copies.different
    train = list(labelled.get("train", ()))
    held = [text for split in ("valid", "test") for text in labelled.get(split, ())]
    found = compare([*held, *train, *log.queries.take(own)])
    start = len(held) + len(train)
    known = ~np.isin(found.exact[start:], found.exact[len(held) : start])
    free = ~np.isin(found.near[start:], found.near[: len(held)])
    kept = np.flatnonzero(known & free)
    groups = _groups(found.near[start:][kept], [sources[int(place)] for place in own[kept]])
    trained = {int(group) for group in groups[np.isin(found.near[start:][kept], found.near[len(held) : start])]}
    split_of = _held_out(groups, trained, log.queries.take(own[kept]), splitting)
    rows: dict[str, list[Asked]] = {"train": [], "valid": []}
    for group, place in zip(groups, own[kept], strict=True):
        found_from = made_from[int(place)]
        asked = Asked(log.queries[int(place)], int(counts[place]), found_from.source, found_from.taken_out)
        rows[split_of[int(group)]].append(asked)
    report = {reason: dropped.get(reason, 0) for reason in NO_QUERIES} | {
        "unlabelled: equal to an earlier one, merged": copies.count,
        "unlabelled: equal or nearly equal to a validation or test query, dropped": int((~free).sum()),
        "unlabelled: labelled in train, dropped": int((free & ~known).sum()),
        "unlabelled: made from a document that is not there": _lost(log, sources, copies.first),
        "unlabelled: made from a document that another stands for, kept whole": sum(
            found.kept_whole for found in made_from.values()
        ),
        "unlabelled: to learn from, in queries.csv": len(rows["train"]),
        "unlabelled: held out for validation, in valid_queries.csv": len(rows["valid"]),
    }
    return Unlabelled(rows, report)


class _MadeFrom(NamedTuple):
    """Source of a query and what it lacks; ``kept_whole`` where it was to lack something, but is another text."""

    source: str = ""
    taken_out: Spans = ()
    kept_whole: bool = False


def _sources(log: Log, first: Ints, source_of: Callable[[str], Origin]) -> dict[int, _MadeFrom]:
    """What each query that stands for its copies was made from: of these the first source that is known."""
    found: dict[int, _MadeFrom] = {}
    for place in range(len(log)):
        own = _MadeFrom()
        if log.source[place] >= 0 and (origin := source_of(log.sources[int(log.source[place])])).document:
            spans = log.spans(place)
            fitting = origin.is_same and fits(origin.document, spans)
            own = _MadeFrom(origin.document, spans if fitting else (), not fitting and bool(spans))
        if not found.setdefault(int(first[place]), own).source:
            found[int(first[place])] = own
    return found


def _lost(log: Log, sources: Mapping[int, str], first: Ints) -> int:
    """Queries that name a source, of which no document is one."""
    named = {int(place) for place in first[log.source >= 0]}
    return sum(not sources[place] for place in named)


def _groups(near: Ints, sources: Sequence[str]) -> Ints:
    """Number of the group of each query: of the same cluster, or made from the same document; int64."""
    clusters = Clusters(len(near))
    firsts: dict[object, int] = {}
    for place, (cluster, source) in enumerate(zip(near, sources, strict=True)):
        for key in (int(cluster), source):
            if key != "":
                clusters.join(firsts.setdefault(key, place), place)
    return clusters.lowest()


def _held_out(groups: Ints, trained: set[int], texts: Sequence[str], splitting: Splitting) -> dict[int, str]:
    """The split of each group: train for those of training queries, and for what the share leaves."""
    members: dict[int, list[str]] = defaultdict(list)
    for group, text in zip(groups, texts, strict=True):
        if int(group) not in trained:
            members[int(group)].append(normalised_text(text))
    shares = split_shares(members, {"valid": splitting.valid}, "train", splitting.seed)
    return dict.fromkeys(trained, "train") | shares
