"""Whether a model can be run on packed rows (``packing.py``): not read from its name but tried.

A packed and a padded forward of some made-up texts must agree.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from bistill import console
from bistill.arrays import Ints
from bistill.models.compute import packing
from bistill.models.compute.precision import autocast
from bistill.models.files.loading import longest_input
from bistill.models.settings import Precision

# What packed and padded token vectors may differ by, as a share of their norm: rounding, and no more.
TOLERANCES: Final[dict[Precision, float]] = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.01}
HALF: Final = ("bf16", "fp16")
WIDEST_TRIED: Final = 256

_packs: WeakKeyDictionary[nn.Module, dict[Precision, bool]] = WeakKeyDictionary()


def packs(model: nn.Module, precision: Precision) -> bool:
    """Whether a model can run on packed rows: tried once, on texts of several lengths, against the padded forward.

    False for models whose attention is their own (DeBERTa, MPNet), and on CUDA in 32 bits, which the kernel has not.
    """
    known = _packs.setdefault(packing.transformer(model), {})
    if precision not in known:
        known[precision] = tried(model, precision)
    return known[precision]


def tried(model: nn.Module, precision: Precision) -> bool:
    """Whether the packed forward of some made-up texts gives the token vectors of the padded one."""
    base = packing.transformer(model)
    device = next(base.parameters()).device
    if device.type == "cuda" and precision not in HALF:
        _say_padded(base, f"the variable-length kernel takes bf16 and fp16, not {precision}")
        return False
    lengths, batch = made_up_texts(base.config, device)
    was_training = base.training
    base.eval()
    try:
        with torch.inference_mode(), autocast(precision, device):
            expected = base(**batch).last_hidden_state
            with packing.packed(base, lengths):
                found = base(**batch).last_hidden_state
    # What a model that cannot do this raises is its own choice; it then runs padded, as everything did before.
    except Exception as error:
        _say_padded(base, error)
        return False
    finally:
        base.train(was_training)
    distance = (expected - found).float().norm(dim=-1)[batch["attention_mask"].bool()]
    norm = expected.float().norm(dim=-1)[batch["attention_mask"].bool()]
    if not (alike := bool((distance <= TOLERANCES[precision] * norm).all())):
        _say_padded(base, "without padding its vectors are others")
    return alike


def _say_padded(model: nn.Module, reason: object) -> None:
    if isinstance(reason, TypeError | ImportError):  # of the kernel, which is another in each torch
        reason = f"{type(reason).__name__} of torch {torch.__version__}: {reason}"
    name = type(model).__name__
    console.say(f"{name} runs padded, which can cost half of the speed where texts differ in length: {reason}")


def made_up_texts(config: Any, device: torch.device) -> tuple[Ints, dict[str, Tensor]]:
    """Lengths and padded batch of four texts, the longest beyond a sliding window that is not too wide."""
    window = getattr(config, "sliding_window", None) or 0
    longest = min(longest_input(config), 24 + (2 * window if window <= WIDEST_TRIED else 0))
    lengths = np.array([longest, longest, max(longest // 2, 1), 3])
    padding = config.pad_token_id or 0
    ids = torch.arange(len(lengths) * longest).mul(7919).remainder(config.vocab_size).view(len(lengths), longest)
    ids[ids == padding] = (padding + 1) % config.vocab_size
    mask = torch.arange(longest) < torch.from_numpy(lengths).unsqueeze(1)
    batch = {"input_ids": ids.masked_fill(~mask, padding), "attention_mask": mask.long()}
    return lengths, {name: value.to(device) for name, value in batch.items()}
