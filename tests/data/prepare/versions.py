"""Data versions made from small sources, and what lies in them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bistill.data.prepare.preparing import PreparedData, prepare
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version

Write = Callable[[str, str | bytes], Path]


def run(source: Path | str, tmp_path: Path, *, name: str = "v", **settings: Any) -> PreparedData:
    return prepare(source, Version(tmp_path / "out", name), **settings)


def rows_of(file: Path) -> list[tuple[str, ...]]:
    with file.open(encoding="utf-8", newline="") as text:
        return [tuple(row) for row in csv.reader(text)]


def unsplit(count: int = 40) -> list[str]:
    names = [f"alpha{number}" for number in range(count)]
    return [f"what is {name} good for,{name} is good,{name} is bad\n" for name in names]


def queries_by_split(folder: Path) -> dict[str, set[str]]:
    return {split: set(load_split(folder / f"{split}.csv").queries) for split in ("train", "valid", "test")}
