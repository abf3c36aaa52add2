"""The student brought back towards its start, as far as that costs next to nothing on the validation queries.

What fine-tuning forgets of other data, weights between the start and the trained ones remember: start + share *
(trained - start) often does as well on the new data and better on all else. WiSE-FT: Wortsman et al. 2022, arXiv
2109.01903; for vectors of texts LM-Cocktail: Xiao et al. 2023, arXiv 2311.13534.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from bistill import console
from bistill.encoders import lora
from bistill.encoders.bi_encoder import BiEncoder
from bistill.journal import Journal
from bistill.training.validation import STUDENT_CRITERIA

# nDCG@10 that a smaller share may cost: less than what the choice of some hundred validation queries decides by chance.
TOLERANCE: Final = 0.002

Figures = dict[str, float]


def merge(
    encoder: BiEncoder,
    start: Callable[[], BiEncoder],
    shares: Sequence[float],
    measure: Callable[[], Figures],
    trained: Figures,
    journal: Journal,
) -> tuple[float, Figures]:
    """Give a trained student the smallest share of its training that is as good as the best, and tell the journal.

    Args:
        encoder: the student, trained; its weights are changed.
        start: gives what it began as; asked only where all weights were trained.
        shares: of the difference between trained weights and start, each between 0 and 1; 1 is always among them.
        measure: figures of the student on the validation queries.
        trained: those of its weights as they are.
        journal: of the run.

    Returns:
        The share, and the figures of the weights that the student now has.
    """
    between = Between(encoder.model, _start_weights(encoder.model, start))
    figures = {1.0: trained}
    for share in sorted(shares, reverse=True):
        between.go_to(share)
        figures[share] = measure()
        said = ", ".join(f"{name} {value:.4f}" for name, value in figures[share].items())
        console.say(f"share {share:g} of the training: {said}")
    chosen = smallest_share(figures)
    between.go_to(chosen)
    journal.write("merge", measured=[{"share": share, **found} for share, found in figures.items()], share=chosen)
    console.say(f"the student keeps {chosen:g} of what the training changed")
    return chosen, figures[chosen]


def smallest_share(figures: Mapping[float, Figures]) -> float:
    """The smallest share whose first criterion is at most ``TOLERANCE`` below the best."""
    values = {share: found[STUDENT_CRITERIA[0]] for share, found in figures.items()}
    return min(share for share, value in values.items() if value >= max(values.values()) - TOLERANCE)


class Between:
    """A model whose weights lie between a start and those that it has now.

    Args:
        model: trained.
        start: by name the start of the parameters that are to change; others stay.
    """

    def __init__(self, model: nn.Module, start: Mapping[str, Tensor]) -> None:
        own = dict(model.named_parameters())
        self._ends = [
            (own[name], value.detach().to("cpu"), own[name].detach().to("cpu", copy=True))
            for name, value in start.items()
        ]

    def go_to(self, share: float) -> None:
        """Make the weights start + share * (trained - start); with 1 they are the trained ones to the bit."""
        with torch.no_grad():
            for parameter, start, trained in self._ends:
                parameter.copy_(torch.lerp(start, trained, share))


def _start_weights(model: Any, start: Callable[[], BiEncoder]) -> dict[str, Tensor]:
    """Start of the parameters on which the trained weights depend linearly.

    Adapters add B A to a weight, and B begins as zero: a share of B is that share of what was added.
    """
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    if lora.is_lora(model):
        return {name: torch.zeros_like(value, device="cpu") for name, value in trained if ".lora_B." in name}
    first = dict(start().model.named_parameters())
    return {name: first[name] for name, _ in trained}
