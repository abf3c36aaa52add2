"""Losses that leap (12 on the scoreboard of faults) are undone, met with half the rate, and then borne."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.hook import Progress
from bistill.training.run.hooks import WatchLeaps
from bistill.training.teacher.pairs import PairTask
from tests.faults.updates.bench import Bench, Outcome, check_equal

LONG = {"epochs": 5, "eval_steps": 10}  # 30 updates of the teacher: a leap shows from the 21st on


def watch_weights(bench: Bench, at: int, times: int) -> None:
    """Multiply the head's weights and more by -1000 after an update, as a bad update would."""
    plain = WatchLeaps.after_step

    def after_step(own: WatchLeaps, progress: Progress) -> None:
        plain(own, progress)
        if progress.step == at and bench.fired < times:
            bench.fired += 1
            with torch.no_grad():
                for value in bench.head.values():
                    value.mul_(-1000)

    bench.patch.setattr(WatchLeaps, "after_step", after_step)


def catch_head(bench: Bench) -> None:
    """Know the head of the model that is trained."""
    plain = PairTask.__init__

    def init(own: PairTask, encoder: CrossEncoder, *rest: Any, **settings: Any) -> None:
        plain(own, encoder, *rest, **settings)
        bench.head = dict(encoder.model.classifier.named_parameters())

    bench.patch.setattr(PairTask, "__init__", init)


@pytest.mark.slow
def test_a_leap_of_the_loss_is_undone(
    teacher_bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """12: back to the last checkpoint, and with the cause gone to the same bits as without it."""
    expected = undisturbed("teacher", **LONG)
    catch_head(teacher_bench)
    watch_weights(teacher_bench, at=25, times=1)
    found = teacher_bench.run(tmp_path / "run", **LONG)
    check_equal(found, expected)
    (trouble,) = found.of("trouble")
    assert (trouble["kind"], trouble["step"], trouble["to_step"]) == ("rollback", 26, 24)
    assert "the loss leapt to " in trouble["message"] and "at step 26 (median before: " in trouble["message"]
    assert trouble["message"].endswith("the learning rate is 1 times that of the options; back at step 24")
    assert trouble["message"] in " ".join(capsys.readouterr().err.split())
    seen = expected.seen[-30:]
    assert found.seen[-32:] == [*seen[:26], *seen[24:]]


def test_a_leap_whose_cause_is_in_the_checkpoint_is_undone_from_the_one_before(
    teacher_bench: Bench, tmp_path: Path
) -> None:
    """12: an update spoils the weights, they are saved, and only the next loss shows it."""
    catch_head(teacher_bench)
    watch_weights(teacher_bench, at=24, times=1)
    found = teacher_bench.run(tmp_path / "run", **LONG)
    assert found.troubles() == ["rollback", "damaged_checkpoint", "rollback"]
    assert [item["to_step"] for item in found.of("trouble") if item["kind"] == "rollback"] == [24, 20]
    assert found.of("end")[-1]["status"] == "finished"
    assert max(item["terms"]["loss"] for item in found.of("step")[-10:]) < 2


@pytest.mark.parametrize(
    ("limit", "factors", "places"), [(2, [1, 0.5], [24, 20]), (3, [1, 0.5, 0.25], [24, 20, 24]), (0, [], [])]
)
def test_a_leap_that_comes_again_is_met_with_half_the_rate_and_then_borne(
    teacher_bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    limit: int,
    factors: list[float],
    places: list[int],
) -> None:
    """12: at most --spike_rollbacks times, the second time with half the learning rate, from the checkpoint before."""
    catch_head(teacher_bench)
    watch_weights(teacher_bench, at=25, times=10**6)
    found = teacher_bench.run(tmp_path / "run", spike_rollbacks=limit, **LONG)
    assert teacher_bench.fired == limit + 1
    rollbacks = [item for item in found.of("trouble") if item["kind"] == "rollback"]
    assert len(rollbacks) == limit
    said = [
        f"the learning rate is {factor:g} times that of the options; back at step {place}"
        for factor, place in zip(factors, places, strict=True)
    ]
    assert all(item["message"].endswith(text) for item, text in zip(rollbacks, said, strict=True))
    assert "; the run goes on" in " ".join(capsys.readouterr().err.split())
    rates = [item["lr"] for item in found.of("step") if item["step"] == 25]
    assert rates == pytest.approx([rates[0] * factor for factor in (1, *factors)])
    assert found.of("step")[-1]["step"] == 30 and found.of("end")[-1]["status"] == "finished"
    assert all(bool(torch.isfinite(value).all()) for value in found.weights.values())


def leaps(losses: Sequence[float], limit: int = 2) -> list[int]:
    """0-based places at which the watch asks for the last checkpoint."""
    watch, found = WatchLeaps(limit), []
    for place, loss in enumerate(losses):
        progress = Progress(total_steps=len(losses), step=place + 1, terms={"loss": loss})
        watch.after_step(progress)
        if progress.go_back:
            found.append(place)
    return found


def test_ordinary_noise_is_no_leap() -> None:
    """12: no false alarm in 200 falling and noisy series."""
    for seed in range(200):
        random = np.random.default_rng(seed)
        falling = 0.2 + np.exp(-np.arange(300) / 60)
        assert leaps((falling * random.lognormal(0, 0.3, 300)).tolist()) == []


def test_leaps_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """12: median 1, absolute deviations of 0.1, ninth decile 1.1: leaps above max(1 + 12 * 1.4826 * 0.1, 3.3) = 3.3."""
    steady = [0.9, 1.1] * 10
    assert leaps([*steady, 3.29]) == []
    assert leaps([*steady, 3.31]) == [20]
    assert leaps([*steady[1:], 100.0]) == []  # 19 losses before: too few to tell
    assert leaps([*[1.0] * 20, 2.99, 3.01]) == [21]  # no deviation at all: the factor alone decides
    wide = [0.5, 1.5] * 10  # 1 + 12 * 1.4826 * 0.5 = 9.9
    assert leaps([*wide, 9.8]) == [] and leaps([*wide, 10.0]) == [20]
    capsys.readouterr()
    assert leaps([*steady, 50.0], limit=0) == []
    assert "the loss leapt to 50 at step 21 (median before: 1); the run goes on" in capsys.readouterr().err


def test_hard_batches_of_a_model_that_finds_most_easy_are_no_leaps() -> None:
    """12: losses of a re-ranker that is trained further, each batch with or without a pair that it has wrong."""
    easy = [0.01, 0.0007, 0.0002, 0.02, 0.0005, 0.006, 0.001, 0.002, 0.0045, 0.0005, 0.0015, 0.0003]
    hard = [0.13, 0.17, 0.06, 0.05, 0.29, 0.34, 0.08, 0.34, 0.22, 0.47, 0.29, 0.49]
    losses = [value for pair in zip(easy, hard, strict=True) for value in pair]
    assert leaps(losses) == []
    decile = np.quantile(losses, 0.9)
    assert leaps([*losses, 2.99 * decile]) == [] and leaps([*losses, 3.01 * decile]) == [24]
    low = [value / 10 for value in losses]  # three times the decile is 0.1 here: less than ln 2, a guess between two
    assert leaps([*low, 0.69]) == [] and leaps([*low, 0.7]) == [24]


def test_the_window_holds_the_last_fifty_losses_and_travels_with_the_checkpoint() -> None:
    watch = WatchLeaps(2)
    for step in range(60):
        watch.after_step(Progress(total_steps=99, step=step + 1, terms={"loss": float(step)}))
    state = json.loads(json.dumps(watch.state()))
    assert state == {"losses": [float(step) for step in range(10, 60)]}
    other = WatchLeaps(2)
    other.restore(state, {})
    progress = Progress(total_steps=99, step=61, terms={"loss": 10**4})
    other.after_step(progress)
    assert progress.go_back == "the loss leapt to 1e+04 at step 61 (median before: 34.5)"
