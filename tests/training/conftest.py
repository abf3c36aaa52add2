"""A small data version whose relevance can be learned: the positive repeats the query's word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

TOPICS = """
    file list sort set map tree graph query key value red blue green json network socket
""".split()  # noqa: SIM905


@pytest.fixture
def data_root(tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Path:
    root = tmp_path / "preprocessed"
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:]), ("test", TOPICS[8:])):
        rows = [["query", "positive", "negative"]]
        rows += [[f"how to {word}", f"returns the {word}", f"error in {TOPICS[n]}"] for n, word in enumerate(words)]
        write_csv(root / "tiny" / f"{split}.csv", rows)
    return root
