from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts
from bistill.candidates.teacher_scores import environment as score_environment
from bistill.candidates.teacher_scores.cache import ScoreCache, digest, folder_of, listing, rebuild
from bistill.candidates.teacher_scores.lmdb_pages import NODE_BYTES, Pages
from bistill.errors import ArtifactError

TEACHER = {"model": "teacher", "sha256": "ab", "max_length": 64}


def logits(numbers: range) -> np.ndarray:
    return np.array([(number * 2654435761) % 20011 / 1000 - 10 for number in numbers], dtype=np.float32)


def keys(cache: ScoreCache, numbers: range) -> list[bytes]:
    return cache.keys([digest(f"q{n // 7}") for n in numbers], [digest(f"d{n}") for n in numbers])


def fill(count: int = 3000, *, batches: int = 1) -> None:
    with ScoreCache.open(TEACHER) as cache:
        for start in range(0, count, count // batches):
            numbers = range(start, start + count // batches)
            cache.put(keys(cache, numbers), logits(numbers))


def data_file() -> Path:
    return folder_of(TEACHER) / "data.mdb"


def child(code: str) -> subprocess.Popen[str]:
    """A process that knows everything of this module."""
    start = f"from {__name__} import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def output_of(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out


def flip(place: int, bit: int = 0) -> None:
    content = bytearray(data_file().read_bytes())
    content[place] ^= 1 << bit
    data_file().write_bytes(content)


def refusal_of_opening() -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        ScoreCache.open(TEACHER)
    assert caught.value.where == str(data_file())
    return caught.value


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
        assert len(cache) == 1000 and cache.size() == data_file().stat().st_size


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
    assert folder == artifacts.cache_dir() / "teacher_scores" / artifacts.fingerprint(TEACHER)[:32]
    assert sorted(file.name for file in folder.iterdir()) == ["data.mdb", "identity.json", "lock.mdb"]
    assert json.loads((folder / "identity.json").read_text()) == TEACHER
    (folder / "identity.json").write_text("{")
    ScoreCache.open(TEACHER).close()
    assert json.loads((folder / "identity.json").read_text()) == TEACHER


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


def test_reading_makes_nothing() -> None:
    with pytest.raises(ArtifactError, match="no scores of this teacher"):
        ScoreCache.open(TEACHER, read_only=True)
    assert not (artifacts.cache_dir() / artifacts.SCORES_FOLDER).exists() and listing() == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match="cannot be made"):
        ScoreCache.open(TEACHER)


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


def test_structure_that_would_mislead_lmdb_is_found_at_opening() -> None:
    fill(6000, batches=3)
    intact = data_file().read_bytes()
    pages = Pages(data_file())
    root, size = int(pages.newest()["main"]["root"]), pages.page_size
    leaf = int(pages._descend(pages.newest()["main"], int(pages.newest()["last"]))[0][5])
    free = int(pages.newest()["free"]["root"])
    upper = size - NODE_BYTES
    places = {
        "page number of the root": (root * size, "kind"),
        "kind of a leaf": (leaf * size + 10, "header of leaf page"),
        "end of a leaf's offsets": (leaf * size + 12, "header of leaf page"),
        "an offset in a leaf": (leaf * size + 16, "overlap"),
        "size of an entry": (leaf * size + upper, "another size"),
        "first byte of a key": (leaf * size + upper + 8, "not in order"),
        "a child of the root": (
            root * size + pages._pointers(pages.pages[root], root, 1)[0][1],
            "two places|differs|kind|header|not in the file",
        ),
        "count of a list of free pages": (free * size + size - 8, "free"),
        "magic number": (16, "not an lmdb file"),
        "magic number of the second": (size + 16, "meta page 1"),
        "version": (20, "version"),
    }
    for name, (place, message) in places.items():
        data_file().write_bytes(intact)
        flip(place, bit=7 if name == "first byte of a key" else 0)
        try:
            error = refusal_of_opening()
        except pytest.fail.Exception:
            pytest.fail(f"not found: {name}")
        assert "bistill scores rebuild" in error.todo
        assert re.search(message, error.what), (name, error.what)
    data_file().write_bytes(intact)
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(6000))), logits(range(6000)))


def test_flips_anywhere_never_give_a_wrong_score_and_never_end_the_process() -> None:
    fill(3000, batches=10)
    code = (
        "import random\n"
        "random.seed(1)\n"
        "intact = data_file().read_bytes()\n"
        "for _ in range(60):\n"
        "    data_file().write_bytes(intact)\n"
        "    flip(random.randrange(len(intact)), random.randrange(8))\n"
        "    try:\n"
        "        with ScoreCache.open(TEACHER) as cache:\n"
        "            cache.put(keys(cache, range(0, 3000, 7)), logits(range(0, 3000, 7)))\n"
        "            found = cache.get(keys(cache, range(3000)))\n"
        "    except ArtifactError:\n"
        "        kept, dropped = rebuild(folder_of(TEACHER))\n"
        "        assert kept >= 2999, (kept, dropped)\n"
        "        with ScoreCache.open(TEACHER) as cache:\n"
        "            found = cache.get(keys(cache, range(3000)))\n"
        "    wrong = ~np.isnan(found) & (found != logits(range(3000)))\n"
        "    assert not wrong.any()\n"
    )
    output_of(child(code))


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
