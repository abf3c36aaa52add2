"""Models that all processes of a run have, so that each computes a part of the rows; the same rows as alone.

The leader's model is the one that counts. A worker makes its own by the same function and takes over the leader's
weights, and again whenever these have changed since. A group of texts is one forward wherever it is computed, so that
the rows do not depend on the number of processes.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from bistill import distributed
from bistill.distributed import Desk, Team
from bistill.models.compute import batching
from bistill.models.compute.products import fast_products
from bistill.models.settings import Precision

# Bytes of small weights or gradients that travel at once.
BYTES_AT_ONCE: Final = 64 * 2**20
BUFFER: Final = "buffer"


class Made(NamedTuple):
    """How a model was made: another process calls ``function(*arguments, **named)``."""

    function: Callable[..., Shareable]
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = {}  # noqa: RUF012  # never written to

    def again(self) -> Shareable:
        """Make it."""
        return self.function(*self.arguments, **self.named)


class Shareable(Protocol):
    """A model that other processes can make, too."""

    model: Any
    made: Made | None
    precision: Precision

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def packs(self) -> bool:
        """Whether texts of one forward share a row."""

    def forward(self, encodings: list[batching.Encoding]) -> Tensor:
        """One row a text."""


class Known(NamedTuple):
    """A model of the leader that the workers have: its number, and the state of its weights that they have."""

    number: int
    weights: list[tuple[int, int]]


_known: weakref.WeakKeyDictionary[Any, Known] = weakref.WeakKeyDictionary()
_forgotten: list[int] = []


def forwards(encoder: Shareable) -> batching.Shared | None:
    """Rows of groups of texts, without gradients, computed on all processes; None where this one does it alone: there
    are no others, gradients are wanted, or they cannot make the model."""
    team = distributed.here()
    if team is None or torch.is_grad_enabled() or encoder.made is None:
        return None

    def shared(groups: list[list[batching.Encoding]]) -> list[Tensor]:
        if len(groups) < 2:
            return [encoder.forward(group) for group in groups]
        number = present(team, encoder)
        sizes = [batching.size(batching.lengths(group), packed=encoder.packs) for group in groups]
        shares = batching.balanced(sizes, team.size)
        found = team.together(_rows, [(number, [groups[place] for place in share]) for share in shares])
        rows: list[Tensor] = [torch.empty(0)] * len(groups)
        for share, pieces in zip(shares, found, strict=True):
            for place, piece in zip(share, pieces, strict=True):
                rows[place] = torch.as_tensor(piece).to(encoder.device)
        return rows

    return shared


def present(team: Team, encoder: Shareable) -> int:
    """The number of a model, once all processes have it with the weights that it has now.

    Raises:
        BistillError: a worker cannot make it.
        ProcessError: a worker is gone.
    """
    known, state = _known.get(encoder), _state(encoder.model)
    if known is not None and known.weights == state:
        return known.number
    if known is None:
        assert encoder.made is not None
        number = team.new_number()
        forgotten, _forgotten[:] = list(_forgotten), []
        team.together(_make, [(number, encoder, forgotten), *[(number, encoder.made, forgotten)] * (team.size - 1)])
        weakref.finalize(encoder, _forgotten.append, number)
        changed = list(range(len(state)))
    else:
        number = known.number
        changed = [place for place, (old, new) in enumerate(zip(known.weights, state, strict=True)) if old != new]
    team.everywhere(have_buffer, number)
    team.collectively(_take_weights, number, changed)
    _known[encoder] = Known(number, _state(encoder.model))  # sending may count as writing
    return number


def have_buffer(desk: Desk, number: int) -> None:
    """Have room for what travels, so that no memory is asked for within a collective operation, where one process alone
    cannot fail."""
    device = desk.models[number].device
    if desk.work.get(BUFFER) is None or desk.work[BUFFER].device != device:
        desk.work[BUFFER] = torch.empty(BYTES_AT_ONCE, dtype=torch.uint8, device=device)


def exchange(desk: Desk, values: Sequence[Tensor], operation: Callable[[Tensor], object], *, take: bool) -> None:
    """Put tensors through a collective operation: large ones as they are, the others together in the buffer.

    Args:
        desk: of this process, with the buffer.
        values: in an order that is the same in each process; contiguous.
        operation: of a row of numbers, in place.
        take: whether this process takes over what it gives.
    """
    buffer: Tensor = desk.work[BUFFER]
    with torch.no_grad():
        for run in _runs(values):
            if len(run) == 1:
                operation(run[0].detach().view(-1))
                continue
            row = buffer[: sum(map(_bytes, run))].view(run[0].dtype)
            parts = row.split([value.numel() for value in run])
            for value, part in zip(run, parts, strict=True):
                part.copy_(value.detach().view(-1))
            operation(row)
            if take:
                for value, part in zip(run, parts, strict=True):
                    value.copy_(part.view_as(value))


def _runs(values: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type that fit into the buffer together; a larger one alone."""
    for _, same in itertools.groupby(sorted(values, key=lambda value: str(value.dtype)), lambda value: value.dtype):
        run: list[Tensor] = []
        for value in same:
            if run and sum(map(_bytes, run)) + _bytes(value) > BYTES_AT_ONCE:
                yield run
                run = []
            run.append(value)
        yield run


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


def _weights(model: nn.Module) -> list[Tensor]:
    """Parameters and the buffers that belong to the weights, in an order that is the same in each process."""
    kept = model.state_dict().keys()
    return [*model.parameters(), *(value for name, value in model.named_buffers() if name in kept)]


def _state(model: nn.Module) -> list[tuple[int, int]]:
    """Tells of each of the weights whether it was written to: where it is, and how often it was changed in place."""
    return [(value.data_ptr(), value._version) for value in _weights(model)]


def _make(desk: Desk, number: int, made: Made | Shareable, forgotten: Sequence[int]) -> None:
    """Have the model of a number: the leader its own, a worker one that it makes."""
    for gone in forgotten:
        desk.models.pop(gone, None)
    # The leader's desk must not keep alive what the leader itself has let go.
    desk.models[number] = made.again() if isinstance(made, Made) else weakref.proxy(made)


def _take_weights(desk: Desk, number: int, changed: Sequence[int]) -> None:
    """Take over those of the leader's weights that it has changed, byte by byte, whatever their type is."""
    from torch import distributed as processes

    weights = _weights(desk.models[number].model)

    def send(row: Tensor) -> None:
        processes.broadcast(row.view(torch.uint8), 0)

    exchange(desk, [weights[place] for place in changed], send, take=bool(desk.rank))


def _rows(desk: Desk, number: int, groups: list[list[batching.Encoding]]) -> list[Any]:
    """Rows of each group; of a worker as arrays, which travel."""
    encoder = desk.models[number]
    if not desk.rank:
        return [encoder.forward(group) for group in groups]
    encoder.model.eval()
    with torch.inference_mode(), fast_products(encoder.device):
        return [encoder.forward(group).cpu().numpy() for group in groups]
