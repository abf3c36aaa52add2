"""A distillation step as a person writes it who needs no trainer; one side of the comparison.

python benchmarks/speed/naive.py WORKLOAD

All queries of a batch are padded to the longest of them and encoded in one forward, all documents in another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup
from turn import Turns, attention, workload


def main() -> None:
    """Train step by step."""
    given, turns = workload(), Turns()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(given["model"])
    model = AutoModel.from_pretrained(given["model"], dtype=torch.float32, **attention()).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=given["lr"], weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, given["planned_steps"])
    reduced = given["precision"] == "bf16"
    query_prompt, document_prompt = given["prompts"]

    def encode(texts: list[str]) -> Tensor:
        batch = tokenizer(texts, padding=True, truncation=True, max_length=given["max_len"], return_tensors="pt")
        batch = batch.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced):
            hidden = model(**batch).last_hidden_state
        return functional.normalize(pooled(hidden.float(), batch["attention_mask"], given["pooling"]), dim=-1)

    turns.ready()
    for batch in given["batches"]:
        turns.begin()
        queries = encode([query_prompt + text for text in batch["queries"]])
        documents = encode([document_prompt + text for row in batch["documents"] for text in row])
        scores = (queries.unsqueeze(1) * documents.view(len(queries), -1, documents.shape[-1])).sum(-1)
        target = (torch.tensor(batch["scores"], device=device) / given["tau"]).softmax(-1)
        loss = functional.kl_div((scores / (2 * given["tau"])).log_softmax(-1), target, reduction="batchmean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        turns.done(loss.detach())
    turns.wait()


def pooled(hidden: Tensor, mask: Tensor, mode: str) -> Any:
    """Mean over tokens, or the first token."""
    if mode == "pooling_mode_cls_token":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1)


if __name__ == "__main__":
    main()
