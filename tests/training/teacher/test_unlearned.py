"""A run that has learned nothing after a tenth of its updates says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bistill.journal import Journal, read
from bistill.training.loop.hook import Progress
from bistill.training.teacher.unlearned import WatchUnlearned

ENTROPY = 0.5004024235381879  # of one relevant pair in five
TASK: Any = SimpleNamespace(drawn=lambda _: ([], np.array([1.0, 0, 0, 0, 0])))


def told(folder: Path, losses: list[float], total: int, *, lora: bool = True, resumed_at: int = 0) -> list[Any]:
    path = folder / "journal.jsonl"
    hook = WatchUnlearned(TASK, lr=2e-5, lora=lora, journal=Journal(path))
    for step, loss in enumerate(losses, start=1):
        if step == resumed_at:
            state = hook.state()
            hook = WatchUnlearned(TASK, lr=2e-5, lora=lora, journal=Journal(path))
            hook.restore(state, {})
        hook.after_step(Progress(total_steps=total, step=step, terms={"loss": loss}))
    return list(read(path))


def test_a_loss_of_the_labels_entropy_is_said_with_what_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = told(tmp_path, [0.69] * 4 + [0.51, 0.5, 0.49] * 2 + [0.5] * 20, 100)
    assert (record["event"], record["step"]) == ("unlearned", 10)
    assert record["loss"] == pytest.approx(0.498)  # updates 6 to 10: 0.5, 0.49, 0.51, 0.5, 0.49
    assert record["entropy"] == pytest.approx(ENTROPY) and record["share"] == 0.2
    assert capsys.readouterr().err == record["message"] + "\n"
    assert record["message"] == (
        "after 10 of 100 updates the loss is 0.498, and giving every pair the share of relevant ones, 0.20, has 0.500: "
        "nothing is learned yet. If it stays so: a higher `Loop.lr` than 2e-05, no `lora`, or more `Loop.epochs`"
    )


def test_a_loss_below_it_says_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, [0.69] * 5 + [0.48] * 50, 100) == []


def test_without_adapters_they_are_not_named(tmp_path: Path) -> None:
    (record,) = told(tmp_path, [0.69] * 10, 100, lora=False)
    assert record["message"].endswith("a higher `Loop.lr` than 2e-05, or more `Loop.epochs`")


def test_a_run_that_goes_on_counts_what_was_before(tmp_path: Path) -> None:
    (record,) = told(tmp_path, [0.69] * 5 + [0.6, 0.5, 0.5, 0.4, 0.5], 100, resumed_at=9)
    assert record["loss"] == pytest.approx(0.5)


def test_the_state_of_an_update_stays_that_of_this_update(tmp_path: Path) -> None:
    hook = WatchUnlearned(TASK, lr=2e-5, lora=True, journal=Journal(tmp_path / "journal.jsonl"))
    hook.after_step(Progress(total_steps=100, step=6, terms={"loss": 0.6}))
    state = hook.state()
    hook.after_step(Progress(total_steps=100, step=7, terms={"loss": 0.5}))
    assert state == {"losses": [0.6]} and hook.state() == {"losses": [0.6, 0.5]}


@pytest.mark.parametrize(("total", "step"), [(20, 5), (50, 5), (60, 6), (320, 32)])
def test_a_tenth_of_the_updates_and_five_at_least(tmp_path: Path, total: int, step: int) -> None:
    (record,) = told(tmp_path, [0.7] * total, total)
    assert record["step"] == step


def test_a_run_of_five_updates_is_not_judged(tmp_path: Path) -> None:
    assert told(tmp_path, [0.7] * 5, 5) == []
