"""Arrays that grow with the data, kept in a file without a name instead of in memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bistill import cache_folder
from bistill.data.store.texts import release
from bistill.errors import ArtifactError

# Every array begins at a multiple of so many bytes, which aligns numbers of every kind.
ALIGNMENT: Final = 16


class Spilled:
    """Copies of arrays in one file of the cache folder, which nobody else sees and which ends with the process.

    Args:
        arrays: of numbers or truth values, in any shapes: each of a kind of its own.

    Attributes:
        arrays: the same, read-only.

    Raises:
        ArtifactError: the cache folder cannot be written, as when its disk is full.
    """

    def __init__(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        places = _places(arrays)
        self._map = _mapped(arrays, places) if any(array.size for array in arrays) else None
        content = b"" if self._map is None else self._map
        self.arrays = tuple(_view(content, array, place) for array, place in zip(arrays, places, strict=True))

    def release(self) -> None:
        """Let go of the pages read so far: they stay in the system's file cache, not in this process's memory."""
        if self._map is not None:
            release(self._map)


def _places(arrays: Sequence[npt.NDArray[Any]]) -> list[int]:
    """Where each array begins, in bytes."""
    sizes = [-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in arrays]
    return [sum(sizes[:number]) for number in range(len(sizes))]


def _mapped(arrays: Sequence[npt.NDArray[Any]], places: Sequence[int]) -> mmap.mmap:
    """A map of a new file with the arrays at these places."""
    folder = cache_folder.cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            for array, place in zip(arrays, places, strict=True):
                file.seek(place)
                file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())  # some file systems say only now that they are full
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ArtifactError(
            f"{sum(array.nbytes for array in arrays)} bytes of candidates cannot be written there ({error.strerror})",
            where=str(folder),
            todo=f"free space, or set {cache_folder.CACHE_VARIABLE} to a folder that has some",
        ) from error


def _view(content: mmap.mmap | bytes, array: npt.NDArray[Any], place: int) -> npt.NDArray[Any]:
    if not array.size:
        empty = np.empty(array.shape, dtype=array.dtype)
        empty.flags.writeable = False
        return empty
    return np.frombuffer(content, dtype=array.dtype, count=array.size, offset=place).reshape(array.shape)
