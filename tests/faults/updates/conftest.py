"""Benches of both stages, and the runs to which nothing happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.updates.bench import Bench, Outcome
from tests.training.conftest import TOPICS


@pytest.fixture(scope="package")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults")
    (root / "tiny").mkdir()
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:])):
        rows = [f"how to {word},returns the {word}{' map' * n},error in {TOPICS[n]}" for n, word in enumerate(words)]
        (root / "tiny" / f"{split}.csv").write_text("\n".join(["query,positive,negative", *rows]) + "\n")
    return root


@pytest.fixture(scope="package")
def undisturbed(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Outcome]:
    """The run that nothing happened to, by stage and options."""
    known: dict[tuple[Any, ...], Outcome] = {}

    def find(kind: str, **changes: Any) -> Outcome:
        key = (kind, *sorted(changes.items()))
        if key not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
                bench = Bench(kind, data_root, tiny_encoder, tiny_teacher, patch)
                known[key] = bench.run(tmp_path_factory.mktemp("undisturbed"), **changes)
        return known[key]

    return find


@pytest.fixture(params=["teacher", "student"])
def bench(request: pytest.FixtureRequest, data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        yield Bench(request.param, data_root, tiny_encoder, tiny_teacher, patch)


@pytest.fixture
def teacher_bench(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        yield Bench("teacher", data_root, tiny_encoder, tiny_teacher, patch)
