"""Runs of a student: what their journals hold, and one that is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.journal import read
from bistill.training.loop.gradients import Batch
from bistill.training.student.list_task import ListTask


def event(made: DistillationOptions, name: str) -> dict[str, Any]:
    """The last event of a name in the journal."""
    return [item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == name][-1]


def interrupt_at_fourth_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth batch that is asked for is not given, as where somebody presses the keys; later ones are."""
    batch, calls = ListTask.batch, iter([False, False, False, True])

    def interrupted(self: ListTask, samples: np.ndarray, epoch: int) -> Batch:
        if next(calls, False):
            raise KeyboardInterrupt
        return batch(self, samples, epoch)

    monkeypatch.setattr(ListTask, "batch", interrupted)


def going_on_gives_the_same(
    whole: DistillationOptions, cut: DistillationOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assert that a run that is interrupted goes on from update 2 to the weights of one that is not, byte by byte."""
    train(whole)
    interrupt_at_fourth_update(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    train(cut)
    assert event(cut, "resume")["step"] == 2
    first, second = ((Path(made.output_dir) / "model.safetensors").read_bytes() for made in (whole, cut))
    assert first == second
