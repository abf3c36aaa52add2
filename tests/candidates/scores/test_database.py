"""One file for many who use it: in one process, after a fork or a kill, side by side, and where there is no room."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import sqlite3
import time

import numpy as np
import pytest

from bistill.candidates.scores import database
from bistill.candidates.scores.cache import ScoreCache, folder_of, rebuild
from bistill.errors import ArtifactError
from tests.candidates.scores.caches import TEACHER, child, data_file, fill, keys, logits, output_of, refusal_of_opening


def test_opened_twice_in_a_process_it_is_one_cache() -> None:
    first = ScoreCache.open(TEACHER)
    with ScoreCache.open(TEACHER) as second:
        second.put(keys(second, range(5)), logits(range(5)))
    assert len(first) == 5
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_many_processes_make_one_cache_at_once() -> None:
    code = (
        "with ScoreCache.open(TEACHER) as cache:\n"
        "    cache.put(keys(cache, range({0}, {0} + 10)), logits(range({0}, {0} + 10)))\n"
    )
    for maker in [child(code.format(10 * number)) for number in range(4)]:
        output_of(maker)
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(40))), logits(range(40)))


def test_what_a_killed_process_left_in_its_log_is_read() -> None:
    writer = child(
        "cache = ScoreCache.open(TEACHER)\n"
        "cache.put(keys(cache, range(50)), logits(range(50)))\n"
        "print('put', flush=True)\n"
        "import sys; sys.stdin.read()\n"
    )
    assert writer.stdout is not None and writer.stdout.readline() == "put\n"
    writer.kill()
    writer.communicate()
    assert data_file().with_name("scores.sqlite-wal").stat().st_size > 0
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(50))), logits(range(50)))
    assert sorted(file.name for file in folder_of(TEACHER).iterdir()) == ["identity.json", "scores.sqlite"]


def test_a_process_that_holds_the_file_for_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(7)
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    holder = sqlite3.connect(data_file(), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with ScoreCache.open(TEACHER) as cache:
        assert len(cache) == 7  # readers wait for nobody
        with pytest.raises(ArtifactError, match=r"database is locked(.|\n)*waited for 0.05 seconds"):
            cache.put(keys(cache, range(7, 9)), logits(range(7, 9)))
        holder.execute("ROLLBACK")
        cache.put(keys(cache, range(7, 9)), logits(range(7, 9)))
        assert len(cache) == 9
    holder.close()


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache as a read-only mount gives it: root may write anywhere, so the system's answer is feigned."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))


def test_a_folder_that_cannot_be_written_is_read_and_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(70)
    content = data_file().read_bytes()
    read_only(monkeypatch)
    with ScoreCache.open(TEACHER, read_only=True) as reader, ScoreCache.open(TEACHER) as cache:
        for opened in (reader, cache):
            np.testing.assert_array_equal(opened.get(keys(opened, range(70))), logits(range(70)))
        assert sorted(file.name for file in folder_of(TEACHER).iterdir()) == ["identity.json", "scores.sqlite"]
        with pytest.raises(ArtifactError, match=r"readonly database(.|\n)*check the permissions") as caught:
            cache.put(keys(cache, range(80)), logits(range(80)))
        assert caught.value.where == str(data_file())
    assert data_file().read_bytes() == content
    (folder_of(TEACHER) / "scores.sqlite").unlink()
    assert refusal_of_opening().what.startswith("the scores cannot be used")


def test_a_folder_that_cannot_be_written_is_read_beside_one_who_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(70)
    with ScoreCache.open(TEACHER) as writer:
        writer.put(keys(writer, range(70, 90)), logits(range(70, 90)))  # lies in the log
        read_only(monkeypatch)
        with ScoreCache.open(TEACHER, read_only=True) as reader:
            np.testing.assert_array_equal(reader.get(keys(reader, range(90))), logits(range(90)))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_said_and_used(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(70)

    def refused(handle: int, mode: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refused)
        with ScoreCache.open(TEACHER) as first, ScoreCache.open(TEACHER) as second:
            assert f"{folder_of(TEACHER)}: this file system cannot lock files" in capsys.readouterr().err
            first.put(keys(first, range(70, 80)), logits(range(70, 80)))
            second.put(keys(second, range(80, 90)), logits(range(80, 90)))
            np.testing.assert_array_equal(first.get(keys(first, range(90))), logits(range(90)))
        assert rebuild(folder_of(TEACHER)) == (90, 0)
        assert sorted(file.name for file in folder_of(TEACHER).iterdir()) == ["identity.json", "scores.sqlite"]
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(90))), logits(range(90)))


def test_another_reason_why_the_folder_is_not_locked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(7)

    def refused(handle: int, mode: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(ArtifactError, match="cannot be locked"):
        ScoreCache.open(TEACHER)


def test_the_file_has_the_permissions_that_the_umask_leaves() -> None:
    before = os.umask(0o002)
    try:
        fill(7)
        rebuild(folder_of(TEACHER))
    finally:
        os.umask(before)
    assert data_file().stat().st_mode & 0o777 == 0o664
