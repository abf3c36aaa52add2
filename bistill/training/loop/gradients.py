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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bistill.arrays import Ints
from bistill.models.compute import batching
from bistill.training.loop.passes import Passes

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
        encodings: tokens of each text, which another process needs to run it; (): only this one can.
    """

    lengths: Ints
    forward: Callable[[Ints], Tensor]
    terms: Callable[[Tensor, Ints], Terms]
    separable: bool
    packed: bool
    describe: Callable[[int], str]
    encodings: Sequence[batching.Encoding] = ()

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
        self._device = device
        self._passes: Passes | None = None
        self.groups = self._grouped(batch.lengths)

    def run(self) -> Terms:
        """Loss terms of the batch, detached."""
        total: Terms = {}
        for groups in self._rounds():
            places = np.concatenate(groups) if self._batch.separable else self._batch.places
            rows = self._rows(groups, places).requires_grad_()
            terms = self._batch.terms(rows, places)
            self._backward(terms["loss"])
            assert rows.grad is not None
            self._carry(rows.grad)
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach()
        return total

    def sizes(self) -> list[int]:
        """Tokens of each group."""
        return [self._size(group) for group in self.groups]

    @property
    def at(self) -> Ints | None:
        """Places in work, None between them; after an exception, those at which it was raised."""
        return None if self._passes is None else self._passes.at

    def _grouped(self, lengths: Ints) -> list[Ints]:
        return batching.buckets(
            lengths,
            max_items=len(lengths),
            max_tokens=min(self._budget, batching.most_tokens(self._device, training=True)),
            packed=self._batch.packed,
        )

    def _size(self, group: Ints) -> int:
        return batching.size(self._batch.lengths[group], packed=self._batch.packed)

    def _rounds(self) -> list[list[Ints]]:
        """Groups whose rows the loss is asked for together."""
        return [[group] for group in self.groups] if self._batch.separable else [self.groups]

    def _rows(self, groups: list[Ints], places: Ints) -> Tensor:
        """Rows of the texts at some places, detached."""
        sizes = [self._size(group) for group in groups]
        # What is held alone although it is longer than the budget keeps its graph: nothing is won by a second forward.
        budget = sum(sizes) if self._batch.separable else self._budget
        self._passes = Passes(self._batch.forward, groups, sizes, budget=budget, seed=self._seed)
        rows = self._passes.rows()
        self._order = torch.from_numpy(order_in(self._passes.places, places)).to(rows.device)
        return rows.index_select(0, self._order)

    def _carry(self, gradient: Tensor) -> None:
        """Add the gradient of the parameters by that of the rows that ``_rows`` gave."""
        assert self._passes is not None
        self._passes.carry(torch.empty_like(gradient).index_copy_(0, self._order, gradient))


def order_in(given: Ints, wanted: Ints) -> Ints:
    """Where in ``given`` each of ``wanted`` stands, which are the same places in another order."""
    return np.argsort(given)[np.argsort(np.argsort(wanted))]
