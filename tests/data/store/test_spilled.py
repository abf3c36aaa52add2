"""Arrays in a file without a name: the same values, not this process's memory, nothing left behind."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import psutil
import pytest

from bistill import cache_folder
from bistill.data.store.spilled import Spilled
from bistill.errors import ArtifactError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_arrays_come_back_as_they_were_whatever_their_kinds_and_sizes() -> None:
    given = (
        np.arange(5, dtype=np.uint8),  # 5 bytes: what follows must not begin at byte 5
        np.array([-1.5, np.nan, 3.0], dtype=np.float32),
        np.empty(0, dtype=np.int64),
        np.arange(12, dtype=np.int64).reshape(3, 4)[:, ::2],
        np.array([True, False]),
    )
    found = Spilled(given).arrays
    assert len(found) == len(given)
    for one, other in zip(found, given, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and one.flags.aligned
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 7


def test_nothing_lies_in_the_cache_folder_by_name_and_nothing_to_keep_needs_no_file(cache: Path) -> None:
    held = Spilled([np.arange(1000)])
    assert cache_folder.cache_dir() == cache and list(cache.iterdir()) == []
    assert held.arrays[0].sum() == 499500
    empty = Spilled([np.empty(0, dtype=np.float32), np.empty((0, 3), dtype=np.int64)])
    assert [array.shape for array in empty.arrays] == [(0,), (0, 3)]
    assert not any(array.flags.writeable for array in empty.arrays)
    empty.release()


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(cache: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(ArtifactError, match="8000 bytes of candidates cannot be written") as raised:
            Spilled([np.arange(1000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(cache) in str(raised.value) and "BISTILL_CACHE" in str(raised.value)


def test_a_view_outlives_what_made_it() -> None:
    view = Spilled([np.arange(100)]).arrays[0][10:13]
    assert view.tolist() == [10, 11, 12]


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="resident pages are let go of on Linux alone")
def test_what_was_read_is_given_back() -> None:
    size = 64 << 20
    held = Spilled([np.ones(size, dtype=np.uint8)])
    before = psutil.Process().memory_info().rss
    assert int(held.arrays[0].sum(dtype=np.int64)) == size
    assert psutil.Process().memory_info().rss - before > size * 3 // 4
    held.release()
    assert psutil.Process().memory_info().rss - before < size // 4
    assert int(held.arrays[0].sum(dtype=np.int64)) == size
