"""Scores of a teacher by pair: what is put is got, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts, cache_folder
from bistill.candidates.scores.cache import ScoreCache, digest, folder_of, listing
from bistill.errors import ArtifactError
from tests.candidates.scores.caches import TEACHER, data_file, fill, keys, logits


def test_digest_is_blake2b_of_utf8() -> None:
    assert digest("").hex() == "cae66941d9efbd404e4d88758ea67670"  # BLAKE2b-128 of nothing
    assert digest("서울").hex() == "cbab9dbf1d24694ee43c4a3a3408c03d"


def test_keys_tell_pairs_and_teachers_apart() -> None:
    with ScoreCache.open(TEACHER) as cache, ScoreCache.open({**TEACHER, "max_length": 32}) as other:
        a, b = digest("a"), digest("b")
        found = [*cache.keys([a, a, b], [a, b, a]), *other.keys([a, a, b], [a, b, a])]
        assert len(set(found)) == 6 and {len(key) for key in found} == {16}
        assert cache.keys([a], [b]) == [found[1]]


def test_what_is_put_is_got_in_any_order_and_the_rest_is_nan() -> None:
    with ScoreCache.open(TEACHER) as cache:
        assert np.isnan(cache.get(keys(cache, range(3)))).all() and len(cache) == 0
        assert cache.get([]).shape == (0,)
        cache.put([], np.zeros(0))
        cache.put(keys(cache, range(1000)), logits(range(1000)))
        asked = range(1200, -1, -3)
        found = cache.get([*keys(cache, asked), *keys(cache, asked)])
        expected = np.where(np.array(asked) < 1000, logits(asked), np.nan).astype(np.float32)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.tile(expected, 2))
        assert len(cache) == 1000 and cache.size() > 24_000
    assert 24_000 < cache.size() == data_file().stat().st_size < 50_000


def test_the_last_value_of_a_key_stands() -> None:
    with ScoreCache.open(TEACHER) as cache:
        key = keys(cache, range(1))
        cache.put(key, np.array([1.0]))
        cache.put(key * 3, np.array([2.0, 4.0, 3.0]))
        assert cache.get(key).tolist() == [3.0] and len(cache) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_a_logit_that_is_no_float32_is_refused(bad: float) -> None:
    with ScoreCache.open(TEACHER) as cache:
        with pytest.raises(AssertionError):
            cache.put(keys(cache, range(2)), np.array([0.0, bad]))
        assert len(cache) == 0


def test_the_folder_says_whose_scores_these_are() -> None:
    fill(7)
    folder = folder_of(TEACHER)
    assert folder == cache_folder.cache_dir() / "teacher_scores" / artifacts.fingerprint(TEACHER)[:32]
    assert sorted(file.name for file in folder.iterdir()) == ["identity.json", "scores.sqlite"]
    assert json.loads((folder / "identity.json").read_text()) == TEACHER
    (folder / "identity.json").write_text("{")
    ScoreCache.open(TEACHER).close()
    assert json.loads((folder / "identity.json").read_text()) == TEACHER


def test_reading_makes_nothing() -> None:
    with pytest.raises(ArtifactError, match="no scores of this teacher"):
        ScoreCache.open(TEACHER, read_only=True)
    assert not (cache_folder.cache_dir() / artifacts.SCORES_FOLDER).exists() and listing() == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match="cannot be made"):
        ScoreCache.open(TEACHER)
