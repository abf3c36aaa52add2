"""Arrays that grow with the data, kept in a file without a name instead of in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Sequence

import numpy as np

from bistill import artifacts
from bistill.data.texts import release


class Spilled:
    """Copies of arrays in one file of the cache folder, which nobody else sees and which ends with the process.

    Args:
        arrays: of any shapes and kinds.

    Attributes:
        arrays: the same, read-only.

    Raises:
        OSError: the file system of the cache folder is full.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._map: mmap.mmap | None = None
        places = _places(arrays)
        if places[-1]:  # an empty file cannot be mapped
            artifacts.cache_dir().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=artifacts.cache_dir()) as file:
                for array, place in zip(arrays, places, strict=False):
                    file.seek(place)
                    file.write(np.ascontiguousarray(array).data)
                file.truncate(places[-1])
                file.flush()
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        content = self._map if self._map is not None else b""
        self.arrays = tuple(
            np.frombuffer(content, dtype=array.dtype, count=array.size, offset=place).reshape(array.shape)
            if array.size
            else array
            for array, place in zip(arrays, places, strict=False)
        )

    def release(self) -> None:
        """Let go of the pages read so far: they stay in the system's file cache, not in this process's memory."""
        if self._map is not None:
            release(self._map)


def _places(arrays: Sequence[np.ndarray]) -> list[int]:
    """Where each array begins, in bytes, none of them across a border of its kind; last, the size of all."""
    places = [0]
    for array in arrays:
        places.append(-(-(places[-1] + array.nbytes) // 16) * 16)
    return places
