"""The last linear layer of a Cross-Encoder whose head is new, fitted to what it reads before anything is trained.

Linear probing, then fine-tuning (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", https://arxiv.org/abs/2202.10054): a head that starts at random sends gradients of chance through
the whole encoder, and at a small learning rate with adapters most of a training goes by before it says anything. Here
the layer that gives the logit is the logistic regression on its own inputs; what lies below it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from bistill.arrays import Doubles, Floats
from bistill.models import logistic
from bistill.models.compute import batching, scoring
from bistill.models.compute.dropout import text_dropout
from bistill.models.cross_encoder import CrossEncoder
from bistill.progress import progress

# Of the weights of standardised inputs, added to the mean loss (``docs/experiments.md``, "A head that is fitted").
PENALTY: Final = 0.1
# Standard deviation of what enters the activation below the last layer: tanh is still nearly linear there.
SPREAD: Final = 0.5
# Of the intercept: nothing where both kinds of pairs are there, and a finite one where they are not.
INTERCEPT_PENALTY: Final = 1e-6


def last_layer(encoder: CrossEncoder) -> nn.Linear | None:
    """The linear layer that gives the logit and is trained, adapters or not; None where a head ends in another way."""
    found = [module for module in _new_linear(encoder) if module.out_features == 1]
    return found[0] if len(found) == 1 else None


def settle(encoder: CrossEncoder, layer: nn.Linear, pairs: Sequence[scoring.Pair], *, seed: int) -> None:
    """Give what the linear layer below the last one makes of pairs the mean 0 and the standard deviation ``SPREAD``:
    each output is shifted, all are scaled alike (after Mishkin and Matas 2015, "All you need is a good init",
    https://arxiv.org/abs/1511.06422).

    Texts differ little in what an encoder says of their first token. Behind a layer that is left as it is the last one
    needs large weights then, and the first updates of the layers below change the logits out of all proportion. Heads
    without such a layer stay as they are.

    Args:
        encoder: the Cross-Encoder.
        layer: its last one.
        pairs: (query, document) texts.
        seed: of the dropout.
    """
    below = [module for module in _new_linear(encoder) if module.out_features == layer.in_features]
    if len(below) != 1:
        return
    found: list[Tensor] = []
    _read(encoder, pairs, below[0], lambda _layer, _inputs, output: found.append(output.double()), seed=seed)
    outputs = torch.cat(found)
    mean = outputs.mean(dim=0) if below[0].bias is not None else torch.zeros_like(outputs[0])
    deviation = (outputs - mean).square().mean().sqrt()
    if not torch.isfinite(deviation) or deviation == 0:
        return
    factor = SPREAD / deviation
    with torch.no_grad():
        below[0].weight.mul_(factor)
        if below[0].bias is not None:
            below[0].bias.copy_((below[0].bias - mean) * factor)


def inputs_of(encoder: CrossEncoder, layer: nn.Linear, pairs: Sequence[scoring.Pair], *, seed: int) -> Floats:
    """What a layer reads where the model reads pairs as the training does, dropout included: what differs less between
    pairs than dropout makes it differ is no ground to stand on.

    The layer is passed through for a moment, so that the model's own head chooses the token, whatever its family does.

    Args:
        encoder: the Cross-Encoder.
        layer: its last one.
        pairs: (query, document) texts.
        seed: of the dropout, whose masks are a function of it and of the place of a pair.

    Returns:
        float32 of shape (n, ``layer.in_features``), in the order given.
    """
    told = "reading for the new head"
    return _read(encoder, pairs, layer, lambda _layer, inputs, _output: inputs[0], seed=seed, description=told)


def fit(layer: nn.Linear, inputs: Floats, targets: Doubles) -> float:
    """Make a layer the logistic regression of targets on its inputs, by ridge in standard units.

    Inputs that do not vary get the weight 0. A layer without a bias has no intercept.

    Args:
        layer: of one output; its weights are replaced.
        inputs: finite, shape (n, ``layer.in_features``).
        targets: relevance in 0..1, shape (n,).

    Returns:
        Mean cross-entropy of the targets after the fit.
    """
    wide = inputs.astype(np.float64)
    mean = wide.mean(axis=0) if layer.bias is not None else np.zeros(wide.shape[1])
    scale = np.sqrt(((wide - mean) ** 2).mean(axis=0))
    scale = np.where(scale > 0, scale, np.inf)
    parts = [((wide - mean) / scale).T, *([np.ones((1, len(wide)))] if layer.bias is not None else [])]
    rows = np.concatenate(parts)
    penalty = np.full(len(rows), PENALTY)
    penalty[wide.shape[1] :] = INTERCEPT_PENALTY
    found = logistic.minimum(rows, targets, np.zeros(len(rows)), penalty)
    weights = found[: wide.shape[1]] / scale
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights).view(1, -1))
        if layer.bias is not None:
            layer.bias.fill_(float(found[-1] - weights @ mean))
    return logistic.cross_entropy(found @ rows, targets)


def _new_linear(encoder: CrossEncoder) -> list[nn.Linear]:
    """Linear layers of a new head, the pooler below it included, that are trained."""
    new = encoder.new_head()
    return [
        module
        for name, module in encoder.model.named_modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad and f"{name}.weight" in new
    ]


def _read(
    encoder: CrossEncoder,
    pairs: Sequence[scoring.Pair],
    layer: nn.Linear,
    hook: Callable[..., Any],
    *,
    seed: int,
    description: str = "",
) -> Floats:
    """What the model gives for pairs in training mode, without gradients: float32, one row a pair; the model is left
    in the mode it was in.

    Args:
        encoder: the Cross-Encoder.
        pairs: (query, document) texts.
        layer: one of its layers.
        hook: called after each forward of the layer, as torch's forward hooks are.
        seed: of the dropout.
        description: shown with the progress; "" for none.
    """
    encodings, was_training = encoder.tokenize(pairs), encoder.model.training
    most = batching.most_tokens(encoder.device, training=False)
    groups = batching.buckets(batching.lengths(encodings), max_items=64, max_tokens=most, packed=encoder.packs)
    rows: list[Floats] = []
    encoder.model.train()
    handle = layer.register_forward_hook(hook)  # not before it was tried whether the model packs, which runs it, too
    with torch.inference_mode(), progress(description, len(pairs), "pairs") as advance:
        for group in groups:
            with text_dropout(seed, group):
                rows.append(encoder.forward([encodings[row] for row in group]).cpu().numpy())
            advance(len(group))
    handle.remove()
    encoder.model.train(was_training)
    return np.concatenate(rows)[np.argsort(np.concatenate(groups))]
