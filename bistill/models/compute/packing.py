"""Texts without padding: the real tokens of a batch in one row, each attending to its own text alone.

Padding costs what real tokens cost. So a padded batch (n, length) is gathered into one row of its real tokens at the
door of a transformer, all layers run on that row, and behind the last one the token vectors are laid out again as
(n, length, dim); heads and poolings see what they always saw. Attention is the one layer that must know where texts
end: on CUDA ``torch.nn.attention.varlen`` (FlashAttention: Dao et al. 2022), on a CPU one product for each run of texts
of equal length. The same idea in BERT pre-training: Krell et al. 2021, "Efficient Sequence Packing without
Cross-contamination"; positions begin anew in each text. Which models can be run this way: ``packable.py``.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bistill.arrays import Ints
from bistill.models.compute import varlen
from bistill.models.files.loading import OFFSET_FAMILIES

IMPLEMENTATION: Final = "bistill_packed"
# Arguments of attention functions that change nothing of what is computed here: dropout of attention probabilities is
# left out by decision (``docs/decisions/0010``), the others are for kernels or caches that are not used.
HARMLESS: Final = {"dropout", "position_ids", "deterministic", "use_cache", "output_attentions"}
# Sizes of rows between a power of two and the next: a row gets 1.1 % longer on average, 3.1 % at most.
SIZES_OF_AN_OCTAVE: Final = 32


class PackedLayout:
    """Where the tokens of each text lie in the packed row.

    Args:
        lengths: tokens of each text, integers of shape (n,), all positive.
        device: where the token tensors are.

    Attributes:
        tokens: of all texts.
        size: of the row: on a CPU it is filled up to one of few sizes (``row_size``).
        longest: tokens of the longest text.
        runs: (number of texts, their length) of neighbours of equal length, in order, what fills up included.
        attended: whether a layer has asked for attention by this layout.
    """

    def __init__(self, lengths: Ints, device: torch.device) -> None:
        self.lengths, self.device = np.asarray(lengths, dtype=np.int64), device
        self.tokens, self.longest = int(self.lengths.sum()), int(self.lengths.max())
        self.size = row_size(self.tokens) if device.type == "cpu" else self.tokens
        whole, rest = divmod(self.size - self.tokens, self.longest)
        # What fills up begins like the longest text, so that no position is beyond the model's last.
        filling = [self.longest] * whole + [rest] * (rest > 0)
        self._pieces = np.concatenate([self.lengths, np.array(filling, dtype=np.int64)])
        self._sources = np.append(np.arange(len(self.lengths)), [self.lengths.argmax()] * len(filling)).astype(np.int64)
        starts = np.flatnonzero(np.diff(self._pieces, prepend=-1))
        counts = np.diff(starts, append=len(self._pieces))
        self.runs = [(int(n), int(self._pieces[start])) for n, start in zip(counts, starts, strict=True)]
        self.attended = False

    @cached_property
    def texts(self) -> Tensor:
        """Text of each token, int64 of shape (size,)."""
        return self._moved(np.repeat(self._sources, self._pieces))

    @cached_property
    def positions(self) -> Tensor:
        """Place of each token in its text from 0 on, int64 of shape (size,)."""
        return self._moved(np.concatenate([np.arange(length) for length in self._pieces]))

    @cached_property
    def ends(self) -> Tensor:
        """0 and the end of each text in the row, int32 of shape (n + 1,), or more where the row is filled up."""
        return self._moved(np.concatenate([[0], self._pieces.cumsum()]).astype(np.int32))

    @cached_property
    def _cells(self) -> Tensor:
        return self.texts * self.longest + self.positions

    def pack(self, padded: Tensor) -> Tensor:
        """Right-padded (n, longest, ...) to the row of real tokens (1, size, ...)."""
        return padded.flatten(0, 1).index_select(0, self._cells).unsqueeze(0)

    def unpack(self, row: Tensor) -> Tensor:
        """(1, size, dim) to (n, longest, dim), zeros behind each text's end."""
        count, real = len(self.lengths), row[0, : self.tokens]
        if count * self.longest == self.tokens:
            return real.view(count, self.longest, -1)
        cells = row.new_zeros(count * self.longest, row.shape[-1])
        return cells.index_copy(0, self._cells[: self.tokens], real).view(count, self.longest, -1)

    def _moved(self, values: Ints) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)


def row_size(tokens: int) -> int:
    """The number of tokens that a row of so many is filled up to: the next multiple of a 32nd of the power of two
    below, so that sizes come again: oneDNN keeps code for each (``products.py``)."""
    step = max((1 << tokens.bit_length() - 1) // SIZES_OF_AN_OCTAVE, 1)
    return -(-tokens // step) * step


class _Active(threading.local):
    layout: PackedLayout | None = None
    config: Any = None


active = _Active()


def resumption() -> AbstractContextManager[None]:
    """Context in which what runs later on this thread meets the row that is being worked on now."""
    return nullcontext() if active.layout is None else _resumed(active.layout, active.config)


@contextmanager
def _resumed(layout: PackedLayout, config: Any) -> Iterator[None]:
    before, config._attn_implementation = config._attn_implementation, IMPLEMENTATION
    active.layout, active.config = layout, config
    try:
        yield
    finally:
        config._attn_implementation, active.layout = before, None


def current() -> PackedLayout | None:
    """The layout of the row that this thread's transformer is working on; None outside of one."""
    return active.layout


@contextmanager
def packed(model: nn.Module, lengths: Ints) -> Iterator[None]:
    """Context in which a transformer, called with a right-padded batch, runs on the row of its real tokens.

    Args:
        model: a transformers model, with a head or without, or the ``PeftModel`` around it.
        lengths: tokens of each text of the batch, integers of shape (n,).
    """
    base, config = transformer(model), transformer(model).config
    layout = PackedLayout(lengths, next(base.parameters()).device)
    _register()

    def enter(
        module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        inputs = _row(module, layout, {**dict(zip(("input_ids", "attention_mask"), given, strict=False)), **named})
        active.layout, active.config = layout, config
        return (), inputs

    def leave(_module: nn.Module, _given: Any, _named: Any, output: Any) -> Any:
        active.layout = None
        if not layout.attended:
            raise ValueError("the model has an attention of its own, in which texts of a row would see each other")
        output.last_hidden_state = layout.unpack(output.last_hidden_state)
        return output

    def pool(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """A pooler inside the transformer takes each text's first token: it must see texts again, not the row."""
        active.layout = None
        return (layout.unpack(given[0]), *given[1:])

    handles = [
        base.register_forward_pre_hook(enter, with_kwargs=True),
        base.register_forward_hook(leave, with_kwargs=True),
    ]
    if isinstance(pooler := getattr(base, "pooler", None), nn.Module):
        handles.append(pooler.register_forward_pre_hook(pool))
    before, config._attn_implementation = config._attn_implementation, IMPLEMENTATION
    try:
        yield
    finally:
        config._attn_implementation = before
        active.layout = None
        for handle in handles:
            handle.remove()


def transformer(model: Any) -> Any:
    """The transformer below a head and below adapters, which makes token vectors; another module as it is."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(plain, "base_model", plain)


def _row(module: nn.Module, layout: PackedLayout, inputs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a transformer's forward for the row instead of the padded batch."""
    parameters = inspect.signature(module.forward).parameters
    config: Any = module.config
    row = {
        name: layout.pack(value) if isinstance(value, Tensor) else value
        for name, value in inputs.items()
        if name != "attention_mask"
    }
    # Families that count positions from behind the padding index number them so themselves, from ids they cannot see.
    offset = config.pad_token_id + 1 if config.model_type in OFFSET_FAMILIES else 0
    row["position_ids"] = layout.positions.unsqueeze(0) + offset
    if "token_type_ids" in parameters and row.get("token_type_ids") is None:
        row["token_type_ids"] = torch.zeros_like(row["input_ids"])
    if "use_cache" in parameters:
        row["use_cache"] = False
    return row


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers' registry for a packed row.

    Args:
        module: the calling attention layer; its ``is_causal`` counts where the argument is not given.
        query: shape (1, heads, tokens, dim of a head).
        key: likewise; its heads may be fewer, each for several of the query's.
        value: as ``key``.
        attention_mask: None; what a token sees follows from the layout.
        scaling: factor of the scores; None: 1 / root of the dimension.
        is_causal: whether tokens see only those before them.
        sliding_window: a token sees those less than so many places away; None: all.
        others: nothing that changes the result.

    Returns:
        Shape (1, tokens, heads, dim of a head), and no probabilities.

    Raises:
        ValueError: the model asks for an attention that is not built here.
    """
    layout = active.layout
    if layout is not None:
        layout.attended = True
    unknown = {name for name, given in others.items() if given is not None} - HARMLESS
    if unknown or attention_mask is not None or layout is None:
        raise ValueError(f"packed attention has no {sorted(unknown) or 'mask'}")
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    rows = [item.squeeze(0).transpose(0, 1) for item in (query, key, value)]
    within = varlen.attention if query.is_cuda else by_runs
    return within(layout, rows, causal, sliding_window, scaling).unsqueeze(0), None


def by_runs(
    layout: PackedLayout, rows: Sequence[Tensor], causal: bool, sliding_window: int | None, scaling: float | None
) -> Tensor:
    """(tokens, heads, dim), one fused attention for each run of texts of equal length; nothing is padded or masked.

    In bfloat16 its gradient is three times slower on a CPU than in float32, so that it is computed in the latter.
    """
    kind, sizes = rows[0].dtype, [count * length for count, length in layout.runs]
    wider = [item.float() if kind == torch.bfloat16 else item for item in rows]
    pieces = []
    with torch.autocast("cpu", enabled=False):
        for (count, length), *parts in zip(layout.runs, *(item.split(sizes) for item in wider), strict=True):
            query, key, value = (part.unflatten(0, (count, length)).transpose(1, 2) for part in parts)
            narrow = sliding_window is not None and sliding_window < length
            found = functional.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=window_mask(length, int(sliding_window or 0), causal, query.device) if narrow else None,
                is_causal=causal and not narrow,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
            pieces.append(found.transpose(1, 2).flatten(0, 1))
    return torch.cat(pieces).to(kind)


def window_mask(length: int, window: int, causal: bool, device: torch.device) -> Tensor:
    """Booleans (length, length): True where a token sees another, less than ``window`` places away."""
    places = torch.arange(length, device=device)
    away = places.unsqueeze(1) - places
    return (away.abs() < window) & (away >= 0) if causal else away.abs() < window


def _register() -> None:
    """Make the attention known to transformers; a name without a mask function gets no mask."""
    from transformers import AttentionInterface

    if IMPLEMENTATION not in AttentionInterface().valid_keys():
        AttentionInterface.register(IMPLEMENTATION, attention)
