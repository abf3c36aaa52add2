"""Figures of one work: some updates that are timed, after one that is not, and before one that is profiled."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from bistill.app.profile import arithmetic
from bistill.app.profile.arithmetic import Weights
from bistill.app.profile.meters import Read, TimeByCategory, TokenMeter
from bistill.app.profile.rate import Rate
from bistill.training.loop.hook import Hook, Progress

# One update that does not count, and one that is profiled.
UNTIMED = 2


class Timing(NamedTuple):
    """One timed update: its wall time, the seconds of it for which the batch was waited, tokens of its texts, and how
    many items it had."""

    seconds: float
    waited: float
    tokens: int
    items: int


@dataclass(frozen=True)
class MeasuredWork:
    """What was seen of a work.

    Attributes:
        samples: of the timed updates, at least one.
        read: by the model in the profiled update.
        seconds: wall time of the profiled update.
        by_category: seconds of the profiled update.
        micro_batches: pieces of the profiled update; None where nothing is trained.
    """

    samples: list[Timing]
    read: Read
    seconds: float
    by_category: dict[str, float]
    micro_batches: int | None = None


@dataclass(frozen=True)
class Outcome:
    """A work's end: what was seen, the weights that every token passes, and the most memory held in MiB."""

    measured: MeasuredWork
    weights: Weights
    peak_mib: int


class Watch(Hook):
    """Sees the updates of an engine, and ends the run once there are enough.

    Args:
        meter: of the model in training.
        steps: updates timed.
        device: of the model.
        items: of a 1-based update.
    """

    def __init__(self, meter: TokenMeter, steps: int, device: torch.device, items: Callable[[int], int]) -> None:
        self._meter, self._steps, self._items = meter, steps, items
        self._times = TimeByCategory(device)
        self._samples: list[Timing] = []
        self.measured: MeasuredWork | None = None

    def after_step(self, progress: Progress) -> None:
        """Keep the figures of the update; the profiler starts and ends between two updates, outside their time."""
        step, read = progress.step, self._meter.take()
        if 1 < step <= self._steps + 1:
            sample = Timing(progress.seconds, progress.waited, progress.tokens, self._items(step))
            self._samples.append(sample)
        if step == self._steps + 1:
            self._times.start()
        elif step == self._steps + UNTIMED:
            found = self._times.stop()
            self.measured = MeasuredWork(self._samples, read, progress.seconds, found, progress.micro_batches)
            progress.stop = "measured"

    def close(self) -> None:
        """End the profiler also where the run failed."""
        self._times.stop()


def repeated(run: Callable[[int], int], body: nn.Module, *, steps: int, device: torch.device) -> MeasuredWork:
    """Figures of a work without updates.

    Args:
        run: does the work of a 0-based time and gives the number of its items; its results are on the CPU at its end.
        body: module that is called with ``input_ids`` and ``attention_mask`` by name.
        steps: times that count.
        device: of the model.
    """
    samples: list[Timing] = []
    times = TimeByCategory(device)
    with TokenMeter(body) as meter:
        for number in range(steps + UNTIMED):
            profiled = number == steps + UNTIMED - 1
            if profiled:
                times.start()
            started = time.perf_counter()
            try:
                items = run(number)
                seconds = time.perf_counter() - started
            finally:
                found = times.stop()
            read = meter.take()
            samples.append(Timing(seconds, 0.0, read.tokens, items))
    return MeasuredWork(samples[1:-1], read, seconds, found)


def figures(outcome: Outcome, rate: Rate) -> dict[str, Any]:
    """What is said of a work, as JSON.

    Rates are medians over the timed updates; shares of the time are those of the profiled update, whose operators take
    a little longer than unobserved ones.
    """
    measured, weights, trains = outcome.measured, outcome.weights, outcome.measured.micro_batches is not None
    samples, read = measured.samples, measured.read
    flops = arithmetic.training_flops if trains else arithmetic.inference_flops
    tokens_per_second = statistics.median(sample.tokens / sample.seconds for sample in samples)
    waiting = statistics.median(sample.waited / sample.seconds for sample in samples)
    parts = arithmetic.shares(measured.by_category, measured.seconds)
    with_gradient = read.padded - read.padded_without_gradient
    done = flops(weights, with_gradient) + arithmetic.inference_flops(weights, read.padded_without_gradient)
    products = measured.by_category.get(arithmetic.PRODUCTS)
    products_rate = arithmetic.utilization(done, products, rate.flops) if products else None
    return {
        "seconds": statistics.median(sample.seconds for sample in samples),
        "samples": [sample._asdict() for sample in samples],
        "tokens_per_second": tokens_per_second,
        "items_per_second": statistics.median(sample.items / sample.seconds for sample in samples),
        "mfu": arithmetic.utilization(flops(weights, 1) * tokens_per_second, 1.0, rate.flops),
        "weights": weights._asdict(),
        "peak_mib": outcome.peak_mib,
        "padding": arithmetic.padding_share(read.tokens, read.padded),
        "waiting": waiting,
        "micro_batches": measured.micro_batches,
        "profiled_seconds": measured.seconds,
        "shares": parts,
        "products_rate": products_rate,
        "limit": arithmetic.limit(parts, waiting=waiting, products_rate=products_rate),
    }
