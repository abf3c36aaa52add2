"""Several files read as one: without what comes again among those held out, on one scale of labels, each text once."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from bistill import console
from bistill.arrays import Ints
from bistill.data.queries import choice, held_out
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.joining import join
from bistill.data.store.opening import label_maximum
from bistill.data.store.texts import Texts
from bistill.errors import DataError, Told


def apart(name: str, parts: list[Dataset], others: list[Texts]) -> Dataset:
    """Data sets as one, without the queries that come again among others; said.

    Raises:
        DataError: no query is left with a positive.
    """
    kept = held_out.apart([part.queries for part in parts], others)
    found = join(parts, kept)
    said = f"{name}: {said_size(found)} of {len(parts)} data versions"
    console.say(f"{said}{said_left_out(parts, kept)}")
    choice.answered(found)
    return found


def said_left_out(parts: Sequence[Sized], kept: Sequence[Ints]) -> str:
    """What a line about joined queries ends with where some came again among those held out, else ""."""
    count = sum(map(len, parts)) - sum(map(len, kept))
    return f"; {count:,} left out: the same as, or nearly equal to, one held out" if count else ""


def one_behind_the_other(parts: Sequence[Sequence[str]]) -> Corpus:
    """Documents of several files, each text once, those of the first under their own ids."""
    corpus = Corpus(*parts[:2])
    for part in parts[2:]:
        corpus = Corpus(corpus, part)
    return corpus


def said_size(split: Dataset) -> str:
    """How many queries and documents a file has, and how many queries have no positive."""
    without = len(split) - len(split.with_positive)
    said = f" ({without:,} without a positive)" if without else ""
    return f"{console.counted(len(split), 'query')}{said}, {console.counted(len(split.documents), 'document')}"


def refuse_two_scales(*splits: Dataset) -> None:
    """Raise DataError where files are graded by whole numbers up to different ones: 2 of 2 and 2 of 3 differ."""
    graded = {str(split.path): highest for split in splits if (highest := label_maximum(split)) > 1}
    if len(set(graded.values())) > 1:
        raise DataError(
            "the highest labels differ, so that the same label would mean different relevance",
            where=", ".join(graded),
            found=Told(", ".join(f"{highest:g}" for highest in graded.values())),
            todo="bring the files in together with `bistill prepare` and `label_maximum`, or divide the labels by it",
        )
