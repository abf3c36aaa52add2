"""The states of all random generators of a process as tensors, so that they can be written without pickle."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor


def capture() -> dict[str, Tensor]:
    """States of Python's, NumPy's and torch's generators, by name."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # type: ignore[misc]
    assert (version, name) == (3, "MT19937")
    states = {
        "python": torch.tensor(words, dtype=torch.int64),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
        "numpy_position": torch.tensor([position, has_gauss], dtype=torch.int64),
        "numpy_gauss": torch.tensor([cached], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    for number in range(torch.cuda.device_count()):
        states[f"cuda_{number}"] = torch.cuda.get_rng_state(number)
    return states


def restore(states: dict[str, Tensor]) -> None:
    """Put states back that ``capture`` gave; of GPUs those that are here."""
    gauss = states["python_gauss"].tolist()
    random.setstate((3, tuple(states["python"].tolist()), gauss[0] if gauss else None))
    position, has_gauss = states["numpy_position"].tolist()
    keys = states["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, position, has_gauss, states["numpy_gauss"].item()))
    torch.set_rng_state(states["torch"])
    for number in range(torch.cuda.device_count()):
        if (state := states.get(f"cuda_{number}")) is not None:
            torch.cuda.set_rng_state(state, number)
