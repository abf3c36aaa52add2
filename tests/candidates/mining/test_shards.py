"""How pool and queries are cut for a crew, and the best documents of all shards, whatever their order."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.candidates.mining import shards
from bistill.candidates.mining.shards import Best, keyed


def scores_with_ties(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    found = random.choice([-np.inf, -2.5, -1e-30, -0.0, 0.0, 1e-30, 0.1, 0.25, 3e38], shape)
    return np.where(random.random(shape) < 0.5, found, random.standard_normal(shape)).astype(np.float32)


def test_keys_are_ordered_by_falling_score_then_row() -> None:
    random = np.random.default_rng(0)
    scores, rows = scores_with_ties(random, (2_000,)), random.permutation(2_000)
    assert np.array_equal(np.argsort(keyed(rows, scores)), np.lexsort((rows, -scores)))
    assert keyed(np.array([2**32 - 2, -1]), np.array([-np.inf, 3.0], dtype=np.float32))[0] < shards.NONE


@pytest.mark.parametrize("depth", [1, 10, 600])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_all_shards_are_those_of_the_whole(depth: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = scores_with_ties(random, (300, 500))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    best = Best(300, depth)
    cut = shards.shards(500, 3, most=70)
    for place in random.permutation(len(cut)):
        rows = np.array(cut[place])
        columns = np.argsort(-scores[:, rows], axis=1, kind="stable")[:, :depth]
        found = rows[columns]
        best.add(
            keyed(
                np.pad(found, ((0, 0), (0, 2)), constant_values=-1),
                np.pad(np.take_along_axis(scores, found, 1), ((0, 0), (0, 2))),
            )
        )
    width = min(depth, 500)
    assert best.rows().dtype == np.int64 and best.scores().dtype == np.float32
    assert np.array_equal(best.rows()[:, :width], order)
    assert np.array_equal(best.scores()[:, :width], np.take_along_axis(scores, order, 1))
    assert (best.rows()[:, width:] == -1).all() and (best.scores()[:, width:] == 0).all()


@pytest.mark.parametrize(
    ("documents", "workers", "most", "step", "sizes"),
    [
        (0, 2, 10, 1, []),
        (5, 2, 10, 1, [1, 1, 1, 1, 1]),
        (100, 2, 40, 1, [13, 13, 13, 13, 13, 13, 13, 9]),
        (1_000, 2, 400, 1, [125] * 8),
        (10_000, 1, 400, 1, [400] * 25),
        (1_000, 1, 900, 128, [256, 256, 256, 232]),
        (1_000, 1, 200, 128, [128] * 7 + [104]),
        (1_000, 1, 5, 512, [512, 488]),
    ],
)
def test_shards_are_as_even_as_their_steps_and_memory_allow(
    documents: int, workers: int, most: int, step: int, sizes: list[int]
) -> None:
    found = shards.shards(documents, workers, most=most, step=step)
    assert [len(rows) for rows in found] == sizes
    assert [row for rows in found for row in rows] == list(range(documents))


def test_groups_of_queries_are_whole_blocks_of_the_exact_search() -> None:
    assert shards.groups(0, 10) == []
    assert shards.groups(300, 100) == [slice(0, 300)]
    assert shards.groups(70_000, 1) == [slice(0, 65_536), slice(65_536, 70_000)]
    assert shards.groups(600, 10**9) == [slice(0, 256), slice(256, 512), slice(512, 600)]
    first, second = shards.groups(50_000, 100)
    assert first.stop == second.start and first.stop % 256 == 0 and 41_000 < first.stop <= 2**22 / 100
