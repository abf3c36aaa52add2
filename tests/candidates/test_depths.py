"""How many pairs a teacher reads of a query, by hand: a small multiple of what its lists take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.candidates.building import build
from bistill.candidates.depths import Depths
from bistill.candidates.pools import ScoredPools
from bistill.candidates.scores.cache import digest
from bistill.candidates.scores.scoring import Scored
from bistill.candidates.settings import Labelled, Lexical, Limits, Lists, MinerSettings, Random
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.models.settings import EncoderStart


@pytest.mark.parametrize(
    ("own", "known", "expected"),
    [
        # own candidates of a list, labelled ones: labelled, random, of a retrieval miner
        (15, 0, (45, 15, 20)),  # K 16, the default
        (15, 1, (45, 14, 19)),
        (7, 0, (21, 7, 10)),
        (3, 0, (9, 3, 4)),  # K 4
        (3, 1, (9, 2, 3)),
        (3, 3, (9, 1, 0)),  # labelled ones fill the list
        (3, 900, (9, 1, 0)),
        (1, 0, (3, 1, 2)),
        (0, 0, (0, 0, 0)),  # all documents are those of other queries
    ],
)
def test_depths_follow_the_places_of_a_list(own: int, known: int, expected: tuple[int, int, int]) -> None:
    depths = Depths(own, epochs=3, mined=True)
    assert tuple(depths.of_miner(name, known) for name in ("labelled", "random", "dense")) == expected
    alone = Depths(own, epochs=3, mined=False)
    assert alone.of_miner("random", known) == 3 * expected[1]  # others in each epoch


class Counting:
    """A teacher that finds everything irrelevant but what is called right, and counts."""

    members = ()

    def __init__(self) -> None:
        self.pairs: set[tuple[int, int]] = set()

    def logits(self, _queries: object, documents: Corpus, pairs: np.ndarray, _description: str = "") -> Scored:
        self.pairs |= {(int(query), int(document)) for query, document in pairs}
        texts = documents.take(pairs[:, 1])
        random = [int.from_bytes(digest(text)[:2]) / 2**16 for text in texts]
        logits = np.array([9.0 if "right" in text else -9.0 + extra for text, extra in zip(texts, random, strict=True)])
        return Scored(logits.astype(np.float32), len(pairs), len(pairs))


def built(collection: Collection, teacher: Any, *miners: MinerSettings, size: int, epochs: int) -> ScoredPools:
    return build(
        collection,
        np.arange(len(collection.dataset)),
        teacher,
        miners=miners,
        lists=Lists(size),
        limits=Limits(),
        epochs=epochs,
        start=EncoderStart("none"),
        seed=42,
    )


@pytest.mark.parametrize(
    ("size", "negatives", "epochs", "most"),
    [
        (4, 0, 1, 1 + 4 + 3),
        (4, 1, 1, 1 + 1 + 3 + 2),
        (4, 30, 1, 1 + 3 + 1),
        (4, 30, 3, 1 + 9 + 1),
        (8, 0, 1, 1 + 10 + 7),
        (16, 0, 3, 1 + 20 + 15),
    ],
)
def test_a_teacher_reads_a_small_multiple_of_k(
    tmp_path: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    size: int,
    negatives: int,
    epochs: int,
    most: int,
) -> None:
    rows = [["query", "passage", "label"]]
    for query in range(6):
        rows.append([f"word{query} of all", f"right word{query}", "1"])
        rows += [[f"word{query} of all", f"word{query} all wrong {query} {place}", "0"] for place in range(negatives)]
    dataset = load_split(write_csv(tmp_path / "train.csv", rows))
    corpus = Corpus(dataset.documents, [f"all of another {place}" for place in range(80)])
    teacher = Counting()
    pools = built(
        Collection(dataset, corpus), teacher, Labelled(), Lexical(None, "words"), Random(), size=size, epochs=epochs
    )
    read = [sum(query == own for query, _ in teacher.pairs) for own in range(6)]
    assert max(read) <= most and min(read) > size - 1
    assert (pools.counts.pairs, pools.counts.short, pools.counts.topped_up) == (sum(read), 0, 0)
    labelled = [int(pool.labelled.sum()) for pool in pools]
    assert labelled == [min(negatives, (size - 1) * epochs)] * 6


def test_a_depth_that_is_named_is_read_whatever_k_is(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "positive", "negative"], *[[f"word{n} all", f"right word{n}", f"wrong {n}"] for n in range(3)]]
    dataset = load_split(write_csv(tmp_path / "train.csv", rows))
    corpus = Corpus(dataset.documents, [f"all of another {place}" for place in range(80)])
    pools = built(Collection(dataset, corpus), Counting(), Labelled(), Lexical(30, "words"), size=2, epochs=3)
    # the word "all" is in 80 documents, the positive among the first 30
    assert [len(pool.candidates.documents) for pool in pools] == [30, 30, 30]
