"""Batches made ahead: which, in which thread, what becomes of errors and jumps, and that nothing but time changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bistill.data.store.collection import Collection
from bistill.training.loop import updates
from bistill.training.loop.engine import Engine
from bistill.training.loop.gradients import Batch
from bistill.training.loop.hook import Hook, Progress
from bistill.training.loop.updates import Prefetch
from bistill.training.run.signals import Stopped
from tests.assembled import built, list_task, opened
from tests.training.loop.test_engine import LOOP, Regression, weights

PATIENCE_SECONDS = 30.0


def named(step: int) -> Batch:
    """A batch that can be told from others: of ``step`` texts."""

    def nothing(*_: object) -> Any:
        raise NotImplementedError

    return Batch(np.ones(step, dtype=np.int64), nothing, nothing, True, False, nothing)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


class Making:
    """Makes batches, notes which and where, and raises what it is told to; ``begun`` tells that a step was reached."""

    def __init__(self, **errors: list[Exception]) -> None:
        self.steps: list[int] = []
        self.threads: set[str] = set()
        self._errors = {int(name.removeprefix("at_")): list(found) for name, found in errors.items()}
        self._begun: dict[int, threading.Event] = {}

    def __call__(self, step: int) -> Batch:
        self.steps.append(step)
        self.threads.add(threading.current_thread().name)
        self.begun(step).set()
        if self._errors.get(step):
            raise self._errors[step].pop(0)
        return named(step)

    def begun(self, step: int) -> threading.Event:
        return self._begun.setdefault(step, threading.Event())


def test_the_next_batch_is_made_while_the_current_one_is_at_work() -> None:
    making = Making()
    with Prefetch(making, 3) as batches:
        assert making.steps == []
        for step in range(3):
            assert len(batches.batch(step).lengths) == step
            assert step == 2 or making.begun(step + 1).wait(PATIENCE_SECONDS)
    assert making.steps == [0, 1, 2]  # each once, and nothing behind the last
    assert making.threads == {"prefetch_0"}


def test_what_was_made_for_another_update_is_thrown_away() -> None:
    making = Making()
    with Prefetch(making, 9) as batches:
        found = [len(batches.batch(step).lengths) for step in (4, 5, 2, 3, 7)]
    assert found == [4, 5, 2, 3, 7]
    assert [step for step in making.steps if step in (2, 7)] == [2, 7]


def test_an_error_is_raised_at_the_update_that_needs_the_batch() -> None:
    error = KeyError("a bad row")
    making = Making(at_1=[error])
    with Prefetch(making, 4) as batches:
        batches.batch(0)
        assert making.begun(1).wait(PATIENCE_SECONDS)
        with pytest.raises(KeyError) as caught:
            batches.batch(1)
        assert caught.value is error
        assert len(batches.batch(2).lengths) == 2


def test_an_error_made_ahead_for_another_update_is_never_raised() -> None:
    making = Making(at_1=[KeyError("never needed")])
    with Prefetch(making, 4) as batches:
        batches.batch(0)
        assert making.begun(1).wait(PATIENCE_SECONDS)
        assert len(batches.batch(2).lengths) == 2


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_memory_that_ran_out_ahead_is_tried_again_when_nothing_else_holds_it(kind: type[Exception]) -> None:
    last = kind("out of memory")
    making = Making(at_1=[kind("out of memory")], at_2=[kind("out of memory"), last])
    with Prefetch(making, 4) as batches:
        batches.batch(0)
        assert len(batches.batch(1).lengths) == 1
        with pytest.raises(kind) as caught:
            batches.batch(2)
    assert caught.value is last
    assert making.steps == [0, 1, 1, 2, 2]


def test_the_thread_ends_with_the_context_and_what_waits_is_not_made() -> None:
    begun, released, done = threading.Event(), threading.Event(), list[int]()

    def make(step: int) -> Batch:
        if step == 1:
            begun.set()
            assert released.wait(PATIENCE_SECONDS)
        done.append(step)
        return named(step)

    with pytest.raises(Stopped), Prefetch(make, 9) as batches:
        batches.batch(0)
        assert begun.wait(PATIENCE_SECONDS)
        assert threads() == ["prefetch_0"]
        batches.thread.submit(make, 7)
        threading.Timer(0.05, released.set).start()
        raise Stopped(signal.SIGTERM)
    assert threads() == []
    assert done == [0, 1]


def test_seconds_waited_by_a_clock_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 3.5, 10.0, 10.25, 20.0, 28.0])
    monkeypatch.setattr(updates.time, "perf_counter", lambda: next(clock))
    with Prefetch(Making(at_5=[KeyError("a bad row")]), 9) as batches:
        assert batches.waited == 0.0
        batches.batch(3)
        assert batches.waited == 2.5
        batches.batch(4)
        assert batches.waited == 0.25
        with pytest.raises(KeyError):
            batches.batch(5)
        assert batches.waited == 8.0


FORKED = """
import os, sys, threading
import numpy as np
from bistill.training.loop.gradients import Batch
from bistill.training.loop.updates import Prefetch

def make(step):
    return Batch(np.ones(step), None, None, True, False, None)

with Prefetch(make, 100) as batches:
    batches.batch(1)
    child = os.fork()
    if child == 0:
        with Prefetch(make, 100) as own:
            assert [len(own.batch(step).lengths) for step in (3, 4)] == [3, 4]
        sys.exit(7)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert len(batches.batch(2).lengths) == 2
left = Prefetch(make, 100)
left.batch(1)
if sys.argv[1] == "exec":
    os.execv(sys.executable, [sys.executable, "-c", "raise SystemExit(9)"])
sys.exit(9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["exit", "exec"])
def test_forked_replaced_and_ending_processes_do_not_hang(end: str) -> None:
    command = [sys.executable, "-c", FORKED, end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)
    assert done.returncode == 9, done.stderr


def directly(patch: pytest.MonkeyPatch) -> None:
    """Make every batch where it is needed."""
    patch.setattr(Prefetch, "batch", lambda own, step: own.make(step))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_weights_are_the_same_bits_as_without(dropout: float) -> None:
    ahead, needed = Regression(dropout), Regression(dropout)
    Engine(ahead, LOOP, precision="fp32").run()
    with pytest.MonkeyPatch.context() as patch:
        directly(patch)
        Engine(needed, LOOP, precision="fp32").run()
    assert weights(ahead) == weights(needed)
    assert ahead.seen == needed.seen


class Ending(Hook):
    """Ends a run after its second update, by whatever it is given."""

    def __init__(self, end: Callable[[Progress], None]) -> None:
        self._end = end

    def after_step(self, progress: Progress) -> None:
        if progress.step == 2:
            self._end(progress)


def fail(_: Progress) -> None:
    raise OSError("the disk is gone")


def stop(progress: Progress) -> None:
    progress.stop = "enough"


def terminate(_: Progress) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("end", "error"), [(fail, OSError), (stop, None), (terminate, Stopped)])
def test_no_thread_outlives_a_run(end: Callable[[Progress], None], error: type[BaseException] | None) -> None:
    engine = Engine(Regression(), LOOP, precision="fp32", hooks=[Ending(end)])
    if error is None:
        engine.run()
    else:
        with pytest.raises(error):
            engine.run()
    assert engine.progress.step == 2
    assert threads() == []


def test_a_bad_row_stops_the_run_at_its_own_update() -> None:
    class Bad(Regression):
        def batch(self, samples: np.ndarray, epoch: int) -> Batch:
            if len(self.seen) == 3:
                raise ValueError("train.csv, row 4")
            return super().batch(samples, epoch)

    task, done = Bad(), list[int]()
    note = Ending(lambda progress: done.append(progress.step))
    engine = Engine(task, LOOP, precision="fp32", hooks=[note])
    with pytest.raises(ValueError, match=r"train.csv, row 4"):
        engine.run()
    assert (engine.progress.step, done) == (3, [2])
    assert threads() == []


def test_batches_are_made_without_the_global_generator_of_torch(
    data_root: Any, tiny_encoder: Any, tiny_teacher: Any
) -> None:
    from bistill.app import assembling
    from bistill.data.store.opening import load_split
    from bistill.models.bi_encoder import BiEncoder
    from bistill.models.cross_encoder import CrossEncoder
    from bistill.training.teacher.pairs import PairTask
    from tests.training.conftest import distillation_options as options

    made = options(data_root, tiny_teacher, tiny_encoder)
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, np.arange(12), teachers)
    teacher = CrossEncoder.load(str(tiny_teacher))
    tasks = [
        list_task(made, BiEncoder.load(str(tiny_encoder)), Collection(dataset, corpus), pools),
        PairTask(teacher, dataset, np.arange(12), negatives_per_positive=4, seed=42),
    ]
    before = torch.get_rng_state()
    for task in tasks:
        found: Tensor = task.batch(np.arange(4), 0).lengths  # type: ignore[assignment]
        assert len(found)
    assert torch.equal(torch.get_rng_state(), before)
