"""A re-ranker's cross-entropy over lists: each positive against the negatives of its own query."""

from __future__ import annotations

import torch
from torch import Tensor

from bistill.losses.scores import masked_mean


def localized_contrast(logits: Tensor, positive: Tensor, queries: Tensor) -> Tensor:
    """Mean over positives of -log(exp(s+) / (exp(s+) + sum of exp(s-) over the negatives of the same query)), in nats.

    The localized contrastive estimation of Gao, Dai and Callan 2021, "Rethink Training of BERT Rerankers in Multi-Stage
    Retrieval Pipeline" (arXiv 2101.08751). Positives whose query has no negative here do not count; without
    any that counts the loss is 0.

    Args:
        logits: relevance of pairs, shape (pairs,).
        positive: bool, shape (pairs,); the others are negatives.
        queries: number of the query of each pair, int64 of shape (pairs,).

    Returns:
        Scalar, at least 0.
    """
    negative = (queries[:, None] == queries[None, :]) & ~positive[None, :]
    floor = torch.finfo(logits.dtype).min / 4
    against = torch.logsumexp(logits[None, :].masked_fill(~negative, floor), dim=1)
    return masked_mean(torch.nn.functional.softplus(against - logits), positive & negative.any(dim=1))
