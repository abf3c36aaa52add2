"""What one update sees, and its gradient in micro-batches of a token budget; the same whatever the budget is.

A batch is texts, what a model makes of them, and the loss over it.

Where the loss of a batch is the sum of the losses of its parts, each micro-batch is run forward and backward by
itself. Where it is not (a student's documents meet all queries of a batch), the rows of the texts are computed first,
the loss and its gradient by the rows next, and the gradient is then carried through the texts piece by piece: the
chain rule, cut at the rows (GradCache: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup"). Pieces that fit into the budget together keep their graph; the others are run forward a second time,
which costs a third of their time. Dropout draws by (seed, text), so that a text meets the same masks each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bistill.arrays import Ints
from bistill.models.compute import batching
from bistill.models.compute.dropout import text_dropout

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Texts of one update, numbered by their places 0..n-1, and the loss over their rows.

    Attributes:
        lengths: tokens of each text, int64 of shape (n,).
        forward: rows of the texts at some places, places of shape (m,) -> (m, ...); with graph where gradients are on.
        terms: loss terms by name from the rows of some places: (m, ...), places -> scalars. ``loss`` is minimised.
        separable: whether the terms of parts of the texts add up to the terms of all. Where they do not, ``terms`` is
            only ever asked for all places, in their order.
        packed: whether the texts of one forward share a row without padding.
        describe: what a person calls the text at a place, with the id by which it is found again.
    """

    lengths: Ints
    forward: Callable[[Ints], Tensor]
    terms: Callable[[Tensor, Ints], Terms]
    separable: bool
    packed: bool
    describe: Callable[[int], str]

    @property
    def places(self) -> Ints:
        """All places, int64 of shape (n,)."""
        return np.arange(len(self.lengths))


class Gradients:
    """Adds the gradient of a batch to the parameters' ``grad``.

    Args:
        batch: texts and loss.
        budget: tokens (padding counts) whose activations are held at once; a single longer text is held alone.
        seed: of this update's dropout.
        device: where the model is.
        backward: starts the backward pass of a scalar loss; the place where a gradient scaler may act.

    Attributes:
        groups: places of the texts that are run together.
        at: places in work, None between them; after an exception, those at which it was raised.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        budget: int,
        seed: int,
        device: torch.device,
        backward: Callable[[Tensor], None] = torch.autograd.backward,
    ) -> None:
        self._batch, self._budget, self._seed, self._backward = batch, budget, seed, backward
        self.groups = batching.buckets(
            batch.lengths,
            max_items=len(batch.lengths),
            max_tokens=min(budget, batching.most_tokens(device, training=True)),
            packed=batch.packed,
        )
        self.at: Ints | None = None

    def run(self) -> Terms:
        """Loss terms of the batch, detached."""
        return self._separable() if self._batch.separable else self._coupled()

    def sizes(self) -> list[int]:
        """Tokens of each group."""
        return [batching.size(self._batch.lengths[group], packed=self._batch.packed) for group in self.groups]

    def _separable(self) -> Terms:
        total: Terms = {}
        for group in self.groups:
            with self._working(group):
                terms = self._batch.terms(self._forward(group), group)
                self._backward(terms["loss"])
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach()
        return total

    def _coupled(self) -> Terms:
        kept, replayed = self._split()
        pieces = []
        for number, group in enumerate(self.groups):
            with self._working(group), torch.set_grad_enabled(number < kept):
                pieces.append(self._forward(group))
        back = torch.from_numpy(np.argsort(np.concatenate(self.groups))).to(pieces[0].device)
        rows = torch.cat([piece.detach() for piece in pieces]).index_select(0, back).requires_grad_()
        terms = self._batch.terms(rows, self._batch.places)
        self._backward(terms["loss"])
        assert rows.grad is not None
        gradient = rows.grad
        for group, piece in zip(self.groups[:kept], pieces[:kept], strict=True):
            with self._working(group):
                piece.backward(gradient[group])
        pieces.clear()
        for group in replayed:
            with self._working(group):
                self._forward(group).backward(gradient[group])
        return {name: value.detach() for name, value in terms.items()}

    def _split(self) -> tuple[int, list[Ints]]:
        """How many groups keep their graph, and those that do not."""
        sizes = np.cumsum(self.sizes())
        kept = int(np.searchsorted(sizes, self._budget, side="right"))
        kept = kept if kept < len(self.groups) else len(self.groups)
        return kept, self.groups[kept:]

    def _forward(self, group: Ints) -> Tensor:
        with text_dropout(self._seed, group):
            return self._batch.forward(group)

    @contextmanager
    def _working(self, group: Ints) -> Iterator[None]:
        self.at = group
        yield
        self.at = None
