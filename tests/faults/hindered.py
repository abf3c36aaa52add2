"""What workers do in place of ``crewed.encoded``: texts of a block say what goes wrong there."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bistill.arrays import Floats
from bistill.models.compute import crewed

encode = crewed.encoded


def encoded(encoder: Any, texts: Sequence[str], prompt: str, batch_size: int) -> tuple[Floats, int]:
    """Vectors of texts, unless one says "poison FILE" and there is such a file; "wait FILE" writes the process's number
    into the file and waits while it is there."""
    for text in texts:
        what, _, file = text.partition(" ")
        if what == "poison" and Path(file).exists():
            raise KeyError(what)
        if what == "wait" and Path(file).exists():
            Path(file).write_text(str(os.getpid()), encoding="utf-8")
            while Path(file).exists():
                time.sleep(0.1)
    return encode(encoder, texts, prompt, batch_size)
