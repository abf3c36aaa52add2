"""Runs that were interrupted, of one data version and of several, which are balanced."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app import assembling
from bistill.models.bi_encoder import BiEncoder
from bistill.training.student.making import task_of
from tests.assembled import opened
from tests.training.conftest import distillation_options as options
from tests.training.student.runs import event, going_on_gives_the_same


@pytest.fixture
def several(data_root: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> tuple[str, ...]:
    """The names of tiny, with 12 training queries, and of a version few with 5."""
    own = [[f"what is {word}", f"the {word} is", "error in few"] for word in ("ox", "elk", "yak", "gnu", "cow")]
    for split, rows in (("train", own), ("valid", [["what is ant", "the ant is", "error in few"]])):
        write_csv(data_root / "few" / f"{split}.csv", [["query", "positive", "negative"], *rows])
    (data_root / "tiny" / "test.csv").unlink()  # it holds training queries again
    return ("tiny", "few")


def test_a_balanced_epoch_has_as_many_lists_of_each_version(
    several: tuple[str, ...], data_root: Path, tiny_encoder: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, data_version=several, in_batch="floor")
    version, training = assembling.version(made), assembling.student_training(made)
    dataset, _ = version.training(rejected_to=tmp_path / "out")
    collection, encoder = version.collection(dataset), BiEncoder.load(str(tiny_encoder), max_len=32)
    with opened(made.teacher_path, made) as teachers:
        plain, fewer = task_of(training, encoder, collection, np.arange(17), teachers)
        task, counts = task_of(training, encoder, collection, np.arange(17), teachers, balance="versions")
    assert (plain.samples, task.samples) == (17, 24)
    # Of the 4 negatives of a list one is labelled, the others are random: for 2 epochs, and for up to 3 turns in each.
    assert (fewer["candidates"]["random"], counts["candidates"]["random"]) == (17 * 3 * 2, 17 * 3 * 2 * 3)
    epoch = task.order(42, 0)
    lists = [task.lists(epoch[start : start + 4], 0) for start in range(0, 24, 4)]
    asked = Counter(item.query_id for batch in lists for item in batch)
    assert [asked[query] for query in range(12)] == [1] * 12
    assert sorted(asked[query] for query in range(12, 17)) == [2, 2, 2, 3, 3]
    for batch in lists:
        for item in batch:
            assert not set(dataset[item.query_id].positives) & set(item.documents[1:].tolist())
    often = max(range(12, 17), key=lambda query: asked[query])
    own = [tuple(item.documents[:5]) for batch in lists for item in batch if item.query_id == often]
    assert len(set(own)) == 3  # another list each time


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"own_documents": 2, "in_batch": "floor"},
        {"score": "calibrated"},
        {"lr": None, "in_batch": "floor"},
        {"data_version": ("tiny", "few"), "balance": "versions", "own_documents": 2},
    ],
)
@pytest.mark.usefixtures("several")
def test_a_run_goes_on_to_the_same_weights(
    changes: dict[str, Any], data_root: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (
        options(data_root, tiny_teacher, tiny_encoder, **changes, save_steps=2, output_dir=str(data_root / name))
        for name in ("whole", "cut")
    )
    going_on_gives_the_same(whole, cut, monkeypatch)
    assert event(cut, "inputs")["candidates"] == event(whole, "inputs")["candidates"]
    lines = [json.loads((Path(made.output_dir) / "calibration.json").read_text()) for made in (whole, cut)]
    assert lines[0] == lines[1]
