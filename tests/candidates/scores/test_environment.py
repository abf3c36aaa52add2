"""One file for many who use it: in one process, after a fork or a kill, side by side, and where there is no room."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import pytest

from bistill.candidates.scores import environment as score_environment
from bistill.candidates.scores.cache import ScoreCache
from bistill.errors import ArtifactError
from tests.candidates.scores.caches import TEACHER, child, data_file, fill, keys, logits, output_of


def test_opened_twice_in_a_process_it_is_one_cache() -> None:
    first = ScoreCache.open(TEACHER)
    with ScoreCache.open(TEACHER) as second:
        second.put(keys(second, range(5)), logits(range(5)))
    assert len(first) == 5  # the environment of the first is still open
    first.close()
    first.close()
    with pytest.raises(AssertionError, match="closed"):
        len(first)
    for _ in range(50):
        with ScoreCache.open(TEACHER) as again, ScoreCache.open(TEACHER, read_only=True) as reader:
            assert len(again) == len(reader) == 5
            with pytest.raises(AssertionError):
                reader.put(keys(reader, range(1)), np.zeros(1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_opens_it_anew() -> None:
    with ScoreCache.open(TEACHER) as cache:
        cache.put(keys(cache, range(5)), logits(range(5)))
        if (process := os.fork()) == 0:
            status = 1
            try:
                with pytest.raises(AssertionError, match="fork"):
                    len(cache)
                with ScoreCache.open(TEACHER) as own:
                    own.put(keys(own, range(9)), logits(range(9)))
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(process, 0)[1] == 0
        np.testing.assert_array_equal(cache.get(keys(cache, range(9))), logits(range(9)))


def test_a_killed_process_loses_at_most_the_transaction_in_flight() -> None:
    random.seed(0)
    ScoreCache.open(TEACHER).close()
    told = 0
    for attempt in range(6):
        writer = child(
            f"with ScoreCache.open(TEACHER) as cache:\n"
            f"    for batch in range({attempt * 1000}, {attempt * 1000 + 1000}):\n"
            f"        numbers = range(batch * 50, batch * 50 + 50)\n"
            f"        cache.put(keys(cache, numbers), logits(numbers))\n"
            f"        print(batch, flush=True)\n"
        )
        assert writer.stdout is not None and writer.stdout.readline()
        time.sleep(random.random() / 10)
        writer.send_signal(signal.SIGKILL)
        done = [attempt * 1000, *map(int, writer.stdout.read().split())]  # what readline has read ahead included
        writer.wait()
        told += len(done)
        with ScoreCache.open(TEACHER) as cache:
            assert told * 50 <= len(cache) <= (told + attempt + 1) * 50 and len(cache) % 50 == 0
            written = range(attempt * 50_000, (done[-1] + 1) * 50)
            np.testing.assert_array_equal(cache.get(keys(cache, written)), logits(written))
            maybe = range(written.stop, written.stop + 50)
            found = cache.get(keys(cache, maybe))
            assert np.isnan(found).all() or (found == logits(maybe)).all()


def test_two_processes_write_overlapping_scores_at_once() -> None:
    code = (
        "with ScoreCache.open(TEACHER) as cache:\n"
        "    for start in range({0}, {0} + 4000, 100):\n"
        "        numbers = range(start, start + 200)\n"
        "        cache.put(keys(cache, numbers), logits(numbers))\n"
        "        found = cache.get(keys(cache, range(6000)))\n"
        "        assert ((found == logits(range(6000))) | np.isnan(found)).all()\n"
    )
    writers = [child(code.format(start)) for start in (0, 1000)]
    for writer in writers:
        output_of(writer)
    with ScoreCache.open(TEACHER) as cache:
        assert len(cache) == 5100
        np.testing.assert_array_equal(cache.get(keys(cache, range(5100))), logits(range(5100)))


def test_a_full_map_is_named_and_old_scores_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_environment, "MAP_BYTES", 2**19)
    fill(3000)
    with ScoreCache.open(TEACHER) as cache:
        with pytest.raises(ArtifactError, match="20,000 scores cannot be stored") as caught:
            cache.put(keys(cache, range(3000, 23_000)), logits(range(3000, 23_000)))
        assert caught.value.where == str(data_file()) and "524,288 bytes" in caught.value.what
        np.testing.assert_array_equal(cache.get(keys(cache, range(3000))), logits(range(3000)))
        assert len(cache) == 3000


def test_a_full_disk_is_named_and_old_scores_stay() -> None:
    fill(3000)
    code = (
        "import resource\n"
        "with ScoreCache.open(TEACHER) as cache:\n"
        "    limit = cache.size() + 65536\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "    try:\n"
        "        cache.put(keys(cache, range(3000, 23000)), logits(range(3000, 23000)))\n"
        "    except ArtifactError as error:\n"
        "        print(error)\n"
        "    assert (cache.get(keys(cache, range(3000))) == logits(range(3000))).all() and len(cache) == 3000\n"
        "    cache.put(keys(cache, range(3000, 3005)), logits(range(3000, 3005)))\n"
    )
    said = output_of(child(code))
    assert (
        "20,000 scores cannot be stored, the disk is full, at its limit for this file, or fails: up to" in said
        and str(data_file()) in said
    )
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(3005))), logits(range(3005)))
        assert len(cache) == 3005


def test_too_little_address_space_is_named() -> None:
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**35, 2**35))\n"
        "try:\n"
        "    ScoreCache.open(TEACHER)\n"
        "except ArtifactError as error:\n"
        "    print(error)\n"
    )
    assert "ulimit -v" in output_of(child(code))
