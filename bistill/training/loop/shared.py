"""The gradient of an update, computed by all processes of a run; the same as that of one process but for rounding.

The leader makes the batch and computes the loss over all of it. Each process computes the rows of its share of the
texts, takes the gradient of these rows from the leader, and carries it back. Their gradients are then added up in the
leader, once an update, which alone holds an optimizer; the others take its weights at the next update. So the losses
know nothing of processes: no mean is taken over parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bistill import distributed
from bistill.arrays import Ints
from bistill.distributed import Desk, Team
from bistill.models.compute import batching, recomputing, sharing
from bistill.models.compute.precision import float32_products
from bistill.models.compute.products import fast_products
from bistill.models.compute.sharing import Shareable
from bistill.training.loop import memory
from bistill.training.loop.gradients import Batch, Gradients, order_in
from bistill.training.loop.passes import Passes

PASSES: Final = "passes"
UPDATES: Final = "updates"

# Makes the gradients of a batch: as the class ``Gradients`` is called.
MakeGradients = Callable[..., Gradients]


def gradients_of(encoder: Shareable) -> MakeGradients:
    """How the gradients of a model in training are computed: on all processes where there are several."""
    team = distributed.here()
    if team is None:
        return Gradients
    assert encoder.made is not None

    def make(batch: Batch, **settings: Any) -> Gradients:
        return SharedGradients(team, encoder, batch, **settings)

    return make


@dataclass(frozen=True)
class Share:
    """What one process computes of a round.

    Attributes:
        model: number of the model in training.
        groups: places of the texts that are run together.
        encodings: their tokens, by place.
        sizes: tokens of each group.
        budget: tokens whose activations are held at once.
        seed: of the update's dropout.
        twice: whether layers compute twice instead of keeping their values.
        first: whether this is the first round of the update.
    """

    model: int
    groups: list[Ints]
    encodings: dict[int, batching.Encoding]
    sizes: list[int]
    budget: int
    seed: int
    twice: bool
    first: bool


class Short(NamedTuple):
    """Memory ran out in a process: what the library said, and the places in work."""

    said: str
    at: list[int]


class SharedGradients(Gradients):
    """``Gradients`` on all processes; the budget is that of each.

    Args:
        team: the processes.
        encoder: the model in training.
        batch: as of ``Gradients``, with ``encodings``.
        settings: as of ``Gradients``.
    """

    def __init__(self, team: Team, encoder: Shareable, batch: Batch, **settings: Any) -> None:
        assert len(batch.encodings) == len(batch.lengths)
        self._team, self._encoder = team, encoder
        self._at: Ints | None = None
        self._shares: list[list[Ints]] = []  # groups of each process
        self._places: list[Ints] = []  # of the round at work
        self._graded: set[int] = set()  # parameters that have a gradient somewhere
        super().__init__(batch, **settings)

    def run(self) -> dict[str, Tensor]:
        """Loss terms of the batch, detached."""
        self._number = sharing.present(self._team, self._encoder)
        self._first = True
        terms = super().run()
        which = sorted(self._graded)
        self._answers(_complete, [(self._number, which)] * self._team.size)
        self._team.collectively(_add_up, self._number, which)
        return terms

    def sizes(self) -> list[int]:
        """Tokens of each group of the process that has the most."""
        return max(([self._size(group) for group in share] for share in self._shares), key=sum)

    @property
    def at(self) -> Ints | None:
        """Places in work where memory ran out, in whichever process that was."""
        return self._at

    def _grouped(self, lengths: Ints) -> list[Ints]:
        places = batching.balanced(lengths, self._team.size)
        own = super()._grouped
        self._shares = [[share[group] for group in own(lengths[share])] if len(share) else [] for share in places]
        return [group for share in self._shares for group in share]

    def _rounds(self) -> list[list[Ints]]:
        if not self._batch.separable:
            self._in_rounds = [self._shares]
        else:
            by_process = [self._affordable(share) for share in self._shares]
            self._in_rounds = [list(parts) for parts in itertools.zip_longest(*by_process, fillvalue=[])]
        self._round = -1
        return [[group for share in shares for group in share] for shares in self._in_rounds]

    def _affordable(self, groups: Sequence[Ints]) -> list[list[Ints]]:
        """Groups of one process in parts of which each keeps its graph within the budget."""
        parts: list[list[Ints]] = []
        held = 0
        for group in groups:
            size = self._size(group)
            if not parts or held + size > self._budget:
                parts.append([])
                held = 0
            parts[-1].append(group)
            held += size
        return parts

    def _rows(self, groups: list[Ints], places: Ints) -> Tensor:
        self._round += 1
        shares = [self._share(own) for own in self._in_rounds[self._round]]
        self._first = False
        found = self._answers(_rows, [(share,) for share in shares])
        self._places = [np.concatenate(share.groups) if share.groups else np.empty(0, np.int64) for share in shares]
        rows = torch.cat([torch.as_tensor(piece).to(self._device) for piece in found if piece is not None])
        order = order_in(np.concatenate(self._places), places)
        self._wanted = places
        return rows.index_select(0, torch.from_numpy(order).to(self._device))

    def _carry(self, gradient: Tensor) -> None:
        row_of = np.empty(len(self._batch.lengths), dtype=np.int64)
        row_of[self._wanted] = np.arange(len(self._wanted))
        on_cpu = gradient.cpu()
        parts = [on_cpu[torch.from_numpy(row_of[places])] for places in self._places]
        shares = [(gradient[torch.from_numpy(row_of[self._places[0]]).to(gradient.device)],)]
        for graded in self._answers(_carry, [*shares, *((part.numpy(),) for part in parts[1:])]):
            self._graded.update(graded)

    def _share(self, groups: list[Ints]) -> Share:
        places = [int(place) for group in groups for place in group]
        sizes = [self._size(group) for group in groups]
        return Share(
            model=self._number,
            groups=groups,
            encodings={place: self._batch.encodings[place] for place in places},
            sizes=sizes,
            budget=sum(sizes) if self._batch.separable else self._budget,
            seed=self._seed,
            twice=recomputing.recomputes(self._encoder.model),
            first=self._first,
        )

    def _answers(self, function: Callable[..., Any], shares: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the processes give.

        Raises:
            MemoryError: memory ran out in one of them.
        """
        found = self._team.together(function, shares)
        short = next((item for item in found if isinstance(item, Short)), None)
        if short is not None:
            self._at = np.array(short.at, dtype=np.int64) if short.at else None
            raise MemoryError(short.said)
        return found


def _rows(desk: Desk, share: Share) -> Any:
    """Rows of a share's texts in the order of its groups: of a worker as an array; None where there are none."""
    encoder = desk.models[share.model]
    desk.work.pop(PASSES, None)
    if desk.rank:
        encoder.model.train()
        recomputing.have(encoder.model, share.twice)
        if share.first:
            encoder.model.zero_grad(set_to_none=True)
            torch.manual_seed(share.seed)
            desk.work[UPDATES] = desk.work.get(UPDATES, 0) + 1
            if desk.work[UPDATES] % memory.TRIM_EVERY == 0:  # as the engine does in the leader
                memory.trim_heap()
    if not share.groups:
        return None

    def forward(places: Ints) -> Tensor:
        rows: Tensor = encoder.forward([share.encodings[int(place)] for place in places])
        return rows

    passes = Passes(forward, share.groups, share.sizes, budget=share.budget, seed=share.seed)
    desk.work[PASSES] = (share.model, passes)
    rows = _with_memory(desk, encoder, passes, passes.rows)
    return rows.cpu().numpy() if desk.rank and isinstance(rows, Tensor) else rows


def _carry(desk: Desk, gradient: Any) -> Any:
    """Carry the gradient of the rows back; which of the trained parameters have a gradient now."""
    if PASSES not in desk.work:
        return []
    number, passes = desk.work.pop(PASSES)
    encoder = desk.models[number]
    given = torch.as_tensor(gradient).to(encoder.device)
    short = _with_memory(desk, encoder, passes, lambda: passes.carry(given))
    if short is not None:
        return short
    return [place for place, value in enumerate(trained(encoder.model)) if value.grad is not None]


def _with_memory(desk: Desk, encoder: Shareable, passes: Passes, work: Callable[[], Any]) -> Any:
    """What the work gives, in the arithmetic of the training; ``Short`` where memory ran out."""
    try:
        if not desk.rank:  # the engine has set it up
            return work()
        with float32_products(encoder.precision, encoder.device), fast_products(encoder.device):
            return work()
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
        said = str(error).strip().split("\n")[0] or type(error).__name__
    # Outside the handler, whose traceback holds every tensor of the failed attempt.
    desk.work.pop(PASSES, None)
    at = [] if passes.at is None else [int(place) for place in passes.at]
    if desk.rank:
        encoder.model.zero_grad(set_to_none=True)
        memory.release()
    return Short(said, at)


def _complete(desk: Desk, number: int, which: Sequence[int]) -> Short | None:
    """Have a gradient of each of these parameters, 0 where nothing here has one, and room for what travels; ``Short``
    where memory ran out."""
    try:
        sharing.have_buffer(desk, number)
        for value in _those(desk, number, which):
            value.grad = torch.zeros_like(value) if value.grad is None else value.grad.contiguous()
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
        return Short(str(error).strip().split("\n")[0], [])
    return None


def _add_up(desk: Desk, number: int, which: Sequence[int]) -> None:
    """Have the leader's gradients be the sums over all processes."""
    from torch import distributed as processes

    gradients = [value.grad for value in _those(desk, number, which) if value.grad is not None]
    sharing.exchange(desk, gradients, lambda row: processes.reduce(row, 0), take=not desk.rank)


def _those(desk: Desk, number: int, which: Sequence[int]) -> list[Tensor]:
    every = trained(desk.models[number].model)
    return [every[place] for place in which]


def trained(model: nn.Module) -> list[Tensor]:
    """What training changes of a model, in an order that is the same in each process."""
    return [value for value in model.parameters() if value.requires_grad]
