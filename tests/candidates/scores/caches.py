"""One teacher's cache: its scores by number, its file, and processes and damage that meet it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates.scores.cache import ScoreCache, digest, folder_of
from bistill.errors import ArtifactError

# What a child's code may name beside this module.
IMPORTS = """
import numpy as np
from bistill.candidates.scores.cache import ScoreCache, folder_of, rebuild
from bistill.errors import ArtifactError
"""
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
    return folder_of(TEACHER) / "scores.sqlite"


def child(code: str) -> subprocess.Popen[str]:
    """A process of Python code that knows this module, and what it uses of caches."""
    start = f"{IMPORTS}from {__name__} import *\n"
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
