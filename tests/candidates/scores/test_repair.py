"""A damaged cache is named, and made whole again with all that its damage did not hit."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.candidates.scores.cache import ScoreCache, folder_of, listing, rebuild
from bistill.errors import ArtifactError
from tests.candidates.scores.caches import TEACHER, child, data_file, fill, flip, keys, logits, refusal_of_opening


def test_a_flipped_bit_of_a_value_is_an_error_and_costs_this_score() -> None:
    fill(500)
    with ScoreCache.open(TEACHER) as cache:
        (wanted,) = keys(cache, range(123, 124))
    flip(data_file().read_bytes().rindex(wanted) + 18, bit=3)
    with ScoreCache.open(TEACHER) as cache:
        with pytest.raises(ArtifactError, match=r"checksum(.|\n)*bistill scores rebuild") as caught:
            cache.get(keys(cache, range(500)))
        assert caught.value.where == str(data_file())
        assert not np.isnan(cache.get(keys(cache, range(100)))).any()
    assert rebuild(folder_of(TEACHER)) == (499, 1)
    with ScoreCache.open(TEACHER) as cache:
        found = cache.get(keys(cache, range(500)))
    assert np.flatnonzero(np.isnan(found)).tolist() == [123]
    np.testing.assert_array_equal(np.delete(found, 123), np.delete(logits(range(500)), 123))


@pytest.mark.parametrize("left", [1, 100, 4096, 8191, 8192, 50_000])
def test_a_cut_file_is_named_and_what_is_left_is_kept(left: int) -> None:
    fill()
    data_file().write_bytes(data_file().read_bytes()[:left])
    refusal_of_opening()
    (entry,) = listing()
    assert entry.identity == TEACHER and entry.bytes == left and entry.pairs == 0 and entry.damage
    kept, dropped = rebuild(folder_of(TEACHER))
    assert kept > 1000 if left == 50_000 else kept == 0
    assert kept + dropped == (3000 if left > 8191 else 0)
    with ScoreCache.open(TEACHER) as cache:
        assert len(cache) == kept
        found = cache.get(keys(cache, range(3000)))
        assert np.isnan(found).sum() == 3000 - kept
        assert (np.isnan(found) | (found == logits(range(3000)))).all()


@pytest.mark.parametrize("content", [b"not lmdb", b"\0" * 20_000, b"PK\x03\x04" * 5000])
def test_a_file_that_is_not_lmdb_is_named(content: bytes) -> None:
    fill(7)
    data_file().write_bytes(content)
    assert "lmdb" in refusal_of_opening().what
    assert rebuild(folder_of(TEACHER)) == (0, 0)
    with ScoreCache.open(TEACHER) as cache:
        assert len(cache) == 0


def test_rebuilding_an_intact_cache_keeps_the_newest_values_and_frees_the_disk() -> None:
    fill(3000, batches=30)
    with ScoreCache.open(TEACHER) as cache:
        cache.put(keys(cache, range(10)), np.arange(10) + 100)
        before = cache.size()
    assert rebuild(folder_of(TEACHER)) == (3000, 0)
    with ScoreCache.open(TEACHER) as cache:
        assert cache.size() < before
        assert cache.get(keys(cache, range(10))).tolist() == list(range(100, 110))
        np.testing.assert_array_equal(cache.get(keys(cache, range(10, 3000))), logits(range(10, 3000)))


def test_of_a_damaged_file_a_pair_with_two_values_is_dropped() -> None:
    fill(500)
    with ScoreCache.open(TEACHER) as cache:
        cache.put(keys(cache, range(10)), np.arange(10) + 100)
    flip(16)  # the page of the old values is still there, and nobody can tell any more which one is the newer
    assert rebuild(folder_of(TEACHER)) == (490, 10)
    with ScoreCache.open(TEACHER) as cache:
        assert np.isnan(cache.get(keys(cache, range(10)))).all()


def test_what_is_in_use_is_not_rebuilt() -> None:
    fill(7)
    with ScoreCache.open(TEACHER), pytest.raises(ArtifactError, match="in use"):
        rebuild(folder_of(TEACHER))
    holder = child("ScoreCache.open(TEACHER)\nprint('open', flush=True)\nimport sys; sys.stdin.read()")
    assert holder.stdout is not None and holder.stdout.readline() == "open\n"
    with pytest.raises(ArtifactError, match="in use"):
        rebuild(folder_of(TEACHER))
    holder.kill()
    holder.communicate()
    assert rebuild(folder_of(TEACHER)) == (7, 0)


def test_the_listing_shows_every_cache() -> None:
    fill(21)
    other = {"model": "other"}
    ScoreCache.open(other).close()
    by_model = {entry.identity["model"]: entry for entry in listing()}
    assert (by_model["teacher"].pairs, by_model["other"].pairs) == (21, 0)
    assert by_model["teacher"].bytes == data_file().stat().st_size
    assert {entry.damage for entry in listing()} == {""}
