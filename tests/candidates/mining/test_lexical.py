"""BM25 against its formula, and the tokens it is given."""

from __future__ import annotations

import importlib.util
import math

import bm25s
import numpy as np
import pytest

from bistill.candidates.mining import bm25, tokens
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.tokens import runs
from bistill.errors import OptionError

POOL = [
    "How to read a file",
    "Sort a list, sort a list again",
    "read the map of the file tree",
    "a red list",
    "",
    "How to read a file",
    "Write: open, write, close.",
]
KOREAN = ["서울의 날씨가 매우 추웠다", "부산에서 먹은 음식", "서울에서 Python을 공부했다", "the weather in Seoul"]


def by_formula(query: list[str], documents: list[list[str]]) -> list[float]:
    """Robertson and Zaragoza (2009), with the idf of Lucene that is never negative; k1 = 1.5, b = 0.75."""
    average = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for token in query:
            holding = sum(token in other for other in documents)
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            count = document.count(token)
            score += idf * count / (count + 1.5 * (0.25 + 0.75 * len(document) / average))
        scores.append(score)
    return scores


def words_of(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("query", ["read file", "a LIST a list sort", "the red map", "close unheard words", "to write"])
def test_order_is_that_of_the_formula(query: str, depth: int) -> None:
    scores = by_formula(words_of(query), [words_of(text) for text in POOL])
    order = sorted((place for place in range(len(POOL)) if scores[place]), key=lambda place: (-scores[place], place))
    expected = (order + [-1] * depth)[:depth]
    miner = LexicalMiner([query], POOL)
    (found,) = miner.mine(np.array([0]), depth)
    assert found.tolist() == expected
    documents, values = miner.search(np.array([0]), depth)
    assert documents.tolist() == [expected]
    assert values[0] == pytest.approx([scores[place] if place >= 0 else 0.0 for place in expected], rel=1e-5)


def test_scores_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "BLOCK", 3)
    index = bm25.Bm25(words_of(text) for text in POOL)
    ids = [index.vocabulary[word] for word in ("read", "list", "list")]
    expected = by_formula(["read", "list", "list"], [words_of(text) for text in POOL])
    scores = np.concatenate([block.get_scores_from_ids(ids) for block in index.blocks])
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def random_texts(count: int) -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(f"w{word}" for word in random.zipf(1.3, random.integers(2, 30)) % 500) for _ in range(count)]


def test_blocks_change_nothing_and_the_score_equals_that_of_plain_bm25s(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, queries = random_texts(300), random_texts(40)
    whole = LexicalMiner(queries, pool).mine(np.arange(40), 20)
    monkeypatch.setattr(tokens, "WINDOW", 7)
    for size in (1, 7, 299):
        monkeypatch.setattr(bm25, "BLOCK", size)
        assert np.array_equal(LexicalMiner(queries, pool).mine(np.arange(40), 20), whole)
    plain = bm25s.BM25()
    plain.index([text.split() for text in pool], show_progress=False)
    for query, row in zip(queries, whole, strict=True):
        scores = plain.get_scores(query.split())
        expected = np.sort(scores)[::-1][:20]
        np.testing.assert_allclose(scores[row[row >= 0]], expected[expected > 0], rtol=1e-5)
        assert len(set(row[row >= 0].tolist())) == (row >= 0).sum()


def test_rows_follow_the_query_ids() -> None:
    miner = LexicalMiner(["red", "map", "nothing here"], POOL)
    assert miner.mine(np.array([2, 1, 0, 1]), 2).tolist() == [[-1, -1], [2, -1], [3, -1], [2, -1]]
    assert miner.mine(np.array([], dtype=np.int64), 2).shape == (0, 2)


@pytest.mark.parametrize("pool", [[], ["", "?!"]])
def test_a_pool_without_a_token_answers_nothing(pool: list[str]) -> None:
    assert LexicalMiner(["red"], pool).mine(np.array([0]), 2).tolist() == [[-1, -1]]


def test_runs_by_hand() -> None:
    text = tokens.normalized("Python으로 만든 ＡＢＣ 東京タワーと水")
    assert runs("words", text) == ["python으로", "만든", "abc", "東京", "京タ", "タワ", "ワー", "ーと", "と水"]
    assert runs("bigrams", text)[:4] == ["python", "으로", "만든", "abc"]
    assert runs("morphemes", text)[:3] == ["python", "abc", "東京"]
    assert runs("bigrams", "기상청이 水 a_b-c") == ["기상", "상청", "청이", "水", "a_b", "c"]


def test_decomposed_hangul_is_composed() -> None:
    assert runs("bigrams", tokens.normalized("\u1109\u1165\u110b\u116e\u11af")) == ["서울"]


def test_bigrams_find_words_behind_their_particles() -> None:
    miner = LexicalMiner(["서울 날씨는", "python"], KOREAN, tokens="bigrams")
    assert miner.mine(np.array([0, 1]), 3).tolist() == [[0, 2, -1], [2, -1, -1]]


def test_words_of_hangul_stay_whole_where_asked() -> None:
    assert LexicalMiner(["서울", "서울에서"], KOREAN, tokens="words").mine(np.arange(2), 1).tolist() == [[-1], [2]]


@pytest.mark.slow
def test_morphemes_leave_endings_and_particles() -> None:
    pytest.importorskip("kiwipiepy")
    cut = tokens.tokenizer("morphemes")
    assert list(cut([KOREAN[0], "no Hangul", KOREAN[2]])) == [
        ["서울", "날씨", "춥"],
        ["no", "hangul"],
        ["python", "서울", "공부"],
    ]
    miner = LexicalMiner(["추운 날", "공부하는 사람", "먹다"], KOREAN)
    assert miner.tokens == "morphemes"
    assert miner.mine(np.arange(3), 1).tolist() == [[0], [2], [1]]


def test_auto_goes_by_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {name: tokens.kind_for("auto", pool) for name, pool in (("english", POOL), ("none", []))}
    assert kinds == {"english": "words", "none": "words"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert tokens.kind_for("auto", KOREAN) == "bigrams"
    with pytest.raises(OptionError, match="pip install kiwipiepy"):
        LexicalMiner(["a"], KOREAN, tokens="morphemes")


def test_the_sample_is_spread_over_the_pool() -> None:
    texts = ["plain"] * 5_000
    assert tokens.kind_for("auto", [*texts, "날씨"]) != "words"


def test_fingerprint_tells_tokens_apart() -> None:
    marks = {LexicalMiner([], KOREAN, tokens=kind).fingerprint() for kind in ("words", "bigrams")}
    assert len(marks) == 2
    assert LexicalMiner(["x"], POOL).fingerprint() == LexicalMiner([], KOREAN, tokens="words").fingerprint()
