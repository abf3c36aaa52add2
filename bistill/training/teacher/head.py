"""A new head, fitted before the first update of a run."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from torch import Tensor

from bistill import console
from bistill.journal import Journal
from bistill.models import logistic, new_head
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.hook import Hook, Progress
from bistill.training.teacher.pairs import PairTask

# Pairs by which the scale of the layer below the last one is set.
SETTLED_ON: Final = 256


class FitHead(Hook):
    """Fits the last layer of a head that is new, once a run; one that goes on from a checkpoint has it already.

    Args:
        encoder: the teacher in training.
        task: gives the pairs.
        pairs: how many are read; 0: the head starts at random.
        seed: of the dropout under which they are read.
        journal: receives a ``head`` line.
    """

    name = "head"

    def __init__(self, encoder: CrossEncoder, task: PairTask, *, pairs: int, seed: int, journal: Journal) -> None:
        self._encoder, self._task, self._pairs, self._journal = encoder, task, pairs, journal
        self._seed = seed
        self._layer = new_head.last_layer(encoder) if pairs else None
        self._found: dict[str, Any] = {}
        if pairs and encoder.new_keys and self._layer is None:
            console.say("the new head ends in no linear layer of its own: it starts at random")

    @property
    def applies(self) -> bool:
        """Whether there is a head to fit; else nothing is done."""
        return self._layer is not None

    def at_start(self, progress: Progress) -> None:
        """Read pairs and fit, unless updates were done or a checkpoint brought a fitted head."""
        layer, started = self._layer, time.monotonic()
        if layer is None or self._found or progress.step:
            return
        pairs, labels = self._task.drawn(self._pairs)
        new_head.settle(self._encoder, layer, pairs[:SETTLED_ON], seed=self._seed)
        inputs = new_head.inputs_of(self._encoder, layer, pairs, seed=self._seed)
        if not np.isfinite(inputs).all():  # the first update says which layer gives no numbers
            console.say("the new head is not fitted: what it reads is NaN or infinite")
            return
        loss = new_head.fit(layer, inputs, labels)
        share = float(labels.mean())
        self._found = {"pairs": len(pairs), "inputs": inputs.shape[1], "share": share, "loss": loss}
        seconds = time.monotonic() - started
        self._journal.write("head", **self._found, seconds=round(seconds, 3))
        console.say(
            f"the new head is fitted to {len(pairs):,} training pairs: loss {loss:.4f}, of their share of relevant "
            f"ones alone {logistic.entropy(share):.4f} ({seconds:.0f} s)"
        )

    def record(self) -> dict[str, Any]:
        """What the record of the model says: ``new_head`` with the pairs read, the inputs of the layer, the share of
        relevant pairs and the mean loss after the fit; nothing where the head was not fitted."""
        return {"new_head": self._found} if self._found else {}

    def state(self) -> dict[str, Any]:
        """What was found."""
        return self._found

    def restore(self, state: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Take it over: the weights of the checkpoint are fitted."""
        self._found = state
