"""Mining by the workers of a crew: the answers of one process, whatever the order of the shards and whoever dies."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, SupportsIndex

import numpy as np
import pytest

from bistill import artifacts, cache_folder, distributed
from bistill.candidates.mining import bm25, nearest, shards
from bistill.candidates.mining.kept import kept
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.data.store.corpus import Corpus
from bistill.distributed import Block, Crew, Done, Work
from bistill.errors import ProcessError
from bistill.evaluation.measures.exact import DOCUMENT_BLOCK, top_documents
from tests.candidates.conftest import Small
from tests.clusters import crew_here
from tests.distributed.parting import kill, working

KOREAN = [
    "서울의 날씨가 매우 추웠다",
    "부산에서 먹은 음식",
    "",
    "서울에서 Python을 공부했다",
    "the weather in Seoul",
    "부산의 날씨",
    "?!",
]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with crew_here() as found:
        yield found


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """Of 300 queries and of documents for three shards, memory-mapped as those of the cache."""
    folder, random = tmp_path_factory.mktemp("vectors"), np.random.default_rng(0)
    centres = unit(random.standard_normal((200, 16)))
    found = []
    for name, count in (("queries", 300), ("documents", 2 * DOCUMENT_BLOCK + 5_000)):
        around = centres[random.integers(len(centres), size=count)] + 0.2 * random.standard_normal((count, 16))
        np.save(folder / f"{name}.npy", unit(around))
        found.append(np.load(folder / f"{name}.npy", mmap_mode="r"))
    return found[0], found[1]


class Watched(np.ndarray):
    """Vectors of which the slice from a row on is not simply given, the first time it is read."""

    at: dict[int, Callable[[np.ndarray], np.ndarray]]

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, slice) and (change := self.at.get(key.start)):
            return change(found)
        return found


def watched(documents: np.ndarray, row: int, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    found = documents.view(Watched)
    Watched.at = {row: change}
    return found


def alone(
    monkeypatch: pytest.MonkeyPatch, miner: LexicalMiner, count: int, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a miner finds without the crew."""
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "helpers", lambda: None)
        return miner.search(np.arange(count), depth)


@pytest.mark.parametrize("depth", [1, 20])
def test_exact_search_gives_the_rows_of_one_process(
    crew: Crew, vectors: tuple[np.ndarray, np.ndarray], depth: int
) -> None:
    queries, documents = vectors
    found = nearest.nearest(queries, documents, depth)
    assert found.dtype == np.int64
    assert np.array_equal(found, top_documents(queries, documents, depth)[0])


def test_equal_products_are_ordered_by_row_over_all_shards(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ANSWERS", 1)  # 256 queries at once
    random = np.random.default_rng(1)
    queries, documents = (random.integers(-1, 2, (count, 4)).astype(np.float32) for count in (300, 40_000))
    found = nearest.nearest(queries, documents, 1_200)
    products = queries @ documents.T
    assert np.array_equal(found, np.argsort(-products, axis=1, kind="stable")[:, :1_200])
    assert (found[:, 0] < DOCUMENT_BLOCK).all() and (found >= DOCUMENT_BLOCK).any()


@pytest.mark.parametrize("documents", [0, 1, 30])
def test_rows_end_with_minus_one_where_there_is_no_more(crew: Crew, documents: int) -> None:
    random = np.random.default_rng(2)
    queries, pool = unit(random.standard_normal((3, 8))), unit(random.standard_normal((documents, 8)))
    found = nearest.nearest(queries, pool, 40)
    assert np.array_equal(found[:, :documents], np.argsort(-(queries @ pool.T), axis=1, kind="stable"))
    assert found.shape == (3, 40) and (found[:, documents:] == -1).all()
    assert nearest.nearest(queries[:0], pool, 40).shape == (0, 40)


@pytest.fixture
def by_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM", 1)
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM_QUERIES", 1)
    monkeypatch.setattr(nearest, "exact_by", None)
    monkeypatch.setattr(shards, "ANSWERS", 1)


def test_approximate_search_gives_the_rows_of_one_index(
    crew: Crew, vectors: tuple[np.ndarray, np.ndarray], by_faiss: None
) -> None:
    queries, documents = vectors
    expected = nearest.approximate(queries, documents, 10, nearest.quantised_index(documents))
    assert not np.array_equal(expected, top_documents(queries, documents, 10)[0])  # else the exact one would do
    assert np.array_equal(nearest.nearest(queries, documents, 10), expected)


def test_approximate_search_of_a_pool_that_is_smaller_than_the_depth(crew: Crew, by_faiss: None) -> None:
    random = np.random.default_rng(2)
    queries, pool = unit(random.standard_normal((3, 8))), unit(random.standard_normal((30, 8)))
    found = nearest.nearest(queries, pool, 40)
    assert np.array_equal(found[:, :30], np.argsort(-(queries @ pool.T), axis=1, kind="stable"))
    assert (found[:, 30:] == -1).all()


@pytest.mark.parametrize("approximate", [False, True])
def test_killed_workers_change_no_row(
    crew: Crew, vectors: tuple[np.ndarray, np.ndarray], approximate: bool, request: pytest.FixtureRequest
) -> None:
    queries, documents = vectors
    if approximate:
        request.getfixturevalue("by_faiss")
        expected = nearest.approximate(queries, documents, 10, nearest.quantised_index(documents))
    else:
        expected = top_documents(queries, documents, 10)[0]
    before, workers = crew.repeated, working(crew)

    def read(found: np.ndarray) -> np.ndarray:
        Watched.at = {}
        kill(workers)
        return found

    found = nearest.nearest(queries, watched(documents, 2 * DOCUMENT_BLOCK, read), 10)
    assert np.array_equal(found, expected)
    assert crew.repeated > before


def random_texts(count: int) -> list[str]:
    random = np.random.default_rng(3)
    texts = [" ".join(f"w{word}" for word in random.zipf(1.3, random.integers(0, 30)) % 500) for _ in range(count)]
    return [*texts[: count // 2], *texts[: count - count // 2]]  # each twice: equal scores in other blocks


@pytest.mark.parametrize("depth", [1, 20, 500])
def test_bm25_gives_the_documents_and_the_scores_of_one_process(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    pool = random_texts(400)
    queries = [*pool[:290], "", "unheard of", "w1 unheard w1 w2 w1", "w2 w1"]
    assert "" in pool
    expected = alone(monkeypatch, LexicalMiner(queries, pool), len(queries), depth)
    monkeypatch.setattr(bm25, "BLOCK", 37)
    monkeypatch.setattr(shards, "ANSWERS", 1)
    found = LexicalMiner(queries, pool).search(np.arange(len(queries)), depth)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    assert (found[0][290:292] == -1).all() and (found[0][292:, 0] >= 0).all()


def test_bm25_of_korean_bigrams_and_rows_in_the_order_of_the_query_ids(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ["서울 날씨는", "python", "부산 날씨", "제주"]
    miner = LexicalMiner(queries, KOREAN, tokens="bigrams")
    expected, scores = alone(monkeypatch, LexicalMiner(queries, KOREAN, tokens="bigrams"), 4, 3)
    found = miner.search(np.array([2, 0, 1, 3, 2]), 3)
    assert np.array_equal(found[0], expected[[2, 0, 1, 3, 2]])
    assert np.array_equal(found[1], scores[[2, 0, 1, 3, 2]])
    assert expected.tolist() == [[0, 5, 3], [3, -1, -1], [5, 1, 0], [-1, -1, -1]]


@pytest.mark.slow
def test_bm25_of_korean_morphemes(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kiwipiepy")
    queries = ["추운 날", "공부하는 사람", "먹다"]
    expected = alone(monkeypatch, LexicalMiner(queries, KOREAN, tokens="morphemes"), 3, 2)
    found = LexicalMiner(queries, KOREAN, tokens="morphemes").search(np.arange(3), 2)
    assert found[0].tolist() == [[0, -1], [3, -1], [1, -1]]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("pool", [[], ["", "?!"]])
def test_a_pool_without_a_token_answers_nothing(crew: Crew, pool: list[str]) -> None:
    assert LexicalMiner(["red"], pool).mine(np.array([0]), 2).tolist() == [[-1, -1]]
    assert LexicalMiner(["red"], pool).mine(np.array([], dtype=np.int64), 2).shape == (0, 2)


class Texts(list[str]):
    """A pool; when one of its texts is read for the first time, something happens."""

    row: int = -1
    happens: Callable[[], None]

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        if key == self.row:
            self.row = -1
            self.happens()
        return super().__getitem__(key)


def test_counts_that_are_lost_with_their_workers_are_made_again(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bm25, "BLOCK", 37)
    pool, queries = Texts(random_texts(400)), random_texts(30)
    expected = alone(monkeypatch, LexicalMiner(queries, list(pool)), 30, 10)
    workers = working(crew)
    # Of the last block: workers have made others by then.
    pool.row, pool.happens = 390, lambda: kill(workers)
    found = LexicalMiner(queries, pool, tokens="words").search(np.arange(30), 10)
    assert pool.row == -1
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert "documents are worked on again: what was made of them is lost" in capsys.readouterr().err


def test_shards_that_come_in_another_order_change_nothing(
    crew: Crew, vectors: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = crew.each

    def backwards(work: Work, blocks: Iterable[Block]) -> Generator[Done, None, None]:
        yield from sorted(each(work, blocks), key=lambda done: -done.place)

    monkeypatch.setattr(crew, "each", backwards)
    queries, documents = vectors
    assert np.array_equal(nearest.nearest(queries, documents, 10), top_documents(queries, documents, 10)[0])
    pool, asked = random_texts(400), random_texts(30)
    expected = alone(monkeypatch, LexicalMiner(asked, pool), 30, 10)
    monkeypatch.setattr(bm25, "BLOCK", 37)
    found = LexicalMiner(asked, pool).search(np.arange(30), 10)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_documents_that_workers_fail_at_end_the_mining_and_nothing_is_kept(
    crew: Crew, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = random_texts(60)
    broken: list[Any] = [*texts[:40], None, *texts[41:]]
    miner = LexicalMiner(texts, broken, tokens="words")

    def mined(miner: LexicalMiner) -> np.ndarray:
        return kept(miner, small.collection.dataset, Corpus(texts), np.arange(5), 3)

    with pytest.raises(ProcessError, match=r"documents 40 to 47: .*without them there is no result\n.*'NoneType'"):
        mined(miner)
    assert not [*cache_folder.cache_dir().rglob(artifacts.MINED_FILE)]
    whole = LexicalMiner(texts, texts, tokens="words")
    assert np.array_equal(mined(whole), alone(monkeypatch, whole, 5, 3)[0])
    assert [*cache_folder.cache_dir().rglob(artifacts.MINED_FILE)]


def test_vectors_that_workers_fail_at_end_the_search(crew: Crew, vectors: tuple[np.ndarray, np.ndarray]) -> None:
    queries, documents = vectors
    broken = watched(documents, DOCUMENT_BLOCK, lambda found: found[:, :-1])
    with pytest.raises(ProcessError, match=f"documents {DOCUMENT_BLOCK} to {2 * DOCUMENT_BLOCK - 1}: .*\n.*matmul"):
        nearest.nearest(queries, broken, 5)
