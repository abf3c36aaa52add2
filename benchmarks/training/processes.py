"""Updates on all processes of a run, in turn with the same updates of the leader alone: how much faster they are.

    python -m torch.distributed.run --standalone --nproc_per_node 2 benchmarks/training/processes.py

Each process has one thread. While the leader is alone the others wait and use no processor, so that the ratio is that
of two processes of one thread against one of one thread, measured in one run. Texts are random tokens, as many in each,
the model has its own dropout, and an update is a whole one: forward, loss, backward, gradients added up, AdamW, and
the new weights in each process at the next update.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from bistill import distributed
from bistill.distributed import Desk
from bistill.losses import listwise_kl
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.products import fast_products
from bistill.models.settings import PACKAGED_MODEL
from bistill.training.loop.gradients import Batch
from bistill.training.loop.optimizer import Rates, adamw, parameter_groups
from bistill.training.loop.shared import SharedGradients
from bistill.training.loop.shortage import Held
from bistill.training.loop.update import Update
from bistill.training.settings import Loop


def batch_of(encoder: BiEncoder, queries: int, documents: int, tokens: int) -> Batch:
    """Lists of so many documents each, of random tokens and random relevance."""
    random = np.random.default_rng(0)
    count = queries * (1 + documents)
    ids = random.integers(1000, len(encoder.tokenizer), size=(count, tokens), dtype=np.int32)
    encodings = [{"input_ids": row, "token_type_ids": np.zeros_like(row)} for row in ids]
    relevance = torch.from_numpy(random.random((queries, documents), dtype=np.float32))
    mask = torch.ones(relevance.shape, dtype=torch.bool)

    def terms(vectors: Tensor, _places: Any) -> dict[str, Tensor]:
        own = vectors[queries:].view(queries, documents, -1)
        cosine = torch.einsum("qd,qkd->qk", vectors[:queries], own)
        return {"loss": listwise_kl(relevance, (cosine + 1) / 2, mask, tau=0.05)}

    return Batch(
        lengths=np.full(count, tokens),
        forward=lambda places: encoder.forward([encodings[place] for place in places]),
        terms=terms,
        separable=False,
        packed=encoder.packs,
        describe=str,
        encodings=encodings,
    )


def threads(_desk: Desk, count: int) -> int:
    """Have a process use so many threads; how many it uses."""
    torch.set_num_threads(count)
    return torch.get_num_threads()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=PACKAGED_MODEL, help="Bi-Encoder, trained whole in float32")
    parser.add_argument("--queries", type=int, default=16)
    parser.add_argument("--documents", type=int, default=8, help="of each query")
    parser.add_argument("--tokens", type=int, default=128, help="of each text")
    parser.add_argument("--rounds", type=int, default=5, help="updates of each kind, in turns")
    given = parser.parse_args()
    team = distributed.here()
    assert team is not None, "start it by torchrun, on two processes or more"
    assert team.everywhere(threads, 1) == [1] * team.size
    encoder = BiEncoder.load(given.model, precision="fp32")
    batch = batch_of(encoder, given.queries, given.documents, given.tokens)
    optimizer = adamw(parameter_groups(encoder.model, Rates(1e-5), weight_decay=0.01))
    loop = Loop(micro_batch_tokens=int(batch.lengths.sum()))  # so that nobody has to run texts twice
    own = (encoder.model, optimizer, Accelerator(cpu=True), loop, lambda *_, **__: None, Held())
    ways = {"alone": Update(*own), "together": Update(*own, gradients=partial(SharedGradients, team, encoder))}
    encoder.model.train()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with fast_products(encoder.device):
        for step in range(given.rounds + 1):
            for name, update in ways.items():
                started = time.perf_counter()
                assert update.run(lambda: batch, np.arange(given.queries), step, step) is not None
                if step:  # the first of each loads and measures
                    seconds[name].append(time.perf_counter() - started)
    report(seconds, encoder, team.size, f"{given.queries} queries x {given.documents} documents, {given.tokens} tokens")


def report(seconds: dict[str, list[float]], encoder: BiEncoder, processes: int, what: str) -> None:
    """Print medians, ratios of the turns, and what travels."""
    trained = sum(value.numel() * value.element_size() for value in encoder.model.parameters() if value.requires_grad)
    ratios = sorted(alone / together for alone, together in zip(*seconds.values(), strict=True))
    print(f"{encoder.source}, all weights, float32, {what}; {processes} processes of one thread")
    for name, found in seconds.items():
        print(f"{name}: {statistics.median(found):.2f} s an update")
    print(f"updates a second, together / alone: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(f"an update: {trained / 2**20:.1f} MiB of gradients to the leader, as much of weights from it")


if __name__ == "__main__":
    with distributed.session():
        main()
