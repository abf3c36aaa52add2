"""Pickled code that makes a file when it is run, in each form in which a file can hold it."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

TEXTS = ["how to read a file", "서울 날씨", "sort a list"]
PICKLED = "pickled code, which is never run"
BOMBED = [
    "pickle",  # bare, as for files that are no weights
    "weights",  # as torch writes it
    "old weights",  # as torch wrote it before 1.6
]


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


def bomb(marker: Path, kind: str = "weights") -> bytes:
    if kind == "pickle":
        return pickle.dumps(Bomb(marker))
    file = io.BytesIO()
    torch.save({"weight": torch.ones(2), "bomb": Bomb(marker)}, file, _use_new_zipfile_serialization=kind == "weights")
    return file.getvalue()


def bombed_array(marker: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    return file.getvalue()
