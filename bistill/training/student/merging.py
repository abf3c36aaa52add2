"""The student brought back towards its start, as far as that costs next to nothing on the validation queries; all the
way where training gained nothing there.

What fine-tuning forgets of other data, weights between the start and the trained ones remember: start + share *
(trained - start) often does as well on the new data and better on all else. WiSE-FT: Wortsman et al. 2022, arXiv
2109.01903; for vectors of texts LM-Cocktail: Xiao et al. 2023, arXiv 2311.13534.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from bistill import console
from bistill.evaluation.measures.bootstrap import FEWEST
from bistill.journal import Journal, finite
from bistill.models import lora
from bistill.models.bi_encoder import BiEncoder
from bistill.progress import progress
from bistill.training.validation import STUDENT_CRITERIA, Measured, difference

# nDCG@10 that a smaller share may cost: less than what the choice of some hundred validation queries decides by chance.
TOLERANCE: Final = 0.002
# Share of its training that a student keeps at most where all validation queries are made from documents: those like
# the whole of it best, which people's queries rank below the start (``docs/experiments.md``, "Made queries alone").
MADE_MOST: Final = 0.25
WHAT_WOULD_HELP: Final = (
    "more training queries, a better teacher or a lower `lr` may help; `weak_student` trained writes the trained "
    "weights all the same"
)

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Merged:
    """What a student became.

    Attributes:
        share: of its training that it has now; 0 where it is the base model.
        measured: of the weights that it has now, on the validation queries.
        start: of the base model.
        beside_start: how the chosen share of the training stands beside the start: ``queries``, ``share``,
            ``ndcg_at_10`` of both, their ``difference`` with its interval, and ``kept``, "trained" or "start".
    """

    share: float
    measured: Measured
    start: Measured
    beside_start: dict[str, Any]


def merge(
    encoder: BiEncoder,
    start: Callable[[], BiEncoder],
    shares: Sequence[float],
    measure: Callable[[], Measured],
    trained: Measured | None,
    of_base: Measured | None,
    journal: Journal,
    *,
    keep_start: bool,
    seed: int,
    most: float = 1.0,
) -> Merged:
    """Give a trained student the smallest share of its training that is as good as the best, or its start where that
    share ranks no better, and tell the journal.

    Args:
        encoder: the student, trained; its weights are changed.
        start: gives what it began as; asked only where all weights were trained and a share below 1 is tried or kept.
        shares: of the difference between trained weights and start, each between 0 and 1; 1 is always among them.
        measure: measures the student on the validation queries.
        trained: what that finds for its weights as they are; None: measured here, as in a run that went on.
        of_base: what it found for the base model; None likewise.
        journal: of the run.
        keep_start: whether the start comes back where the chosen share ranks no better; without, it is only said.
        seed: of the interval's draws.
        most: share that is kept at most, where shares are tried.
    """
    tried = sorted({min(share, most) for share in shares}, reverse=True)
    between = cache(lambda: Between(encoder.model, _start_weights(encoder.model, start)))

    def at(share: float) -> Measured:
        between().go_to(share)
        return measure()

    measured = {1.0: trained or measure()}
    with progress("validation of shares of the training" if tried else "", len(tried), "shares") as advance:
        for share in tried:
            measured[share] = at(share)
            advance(1)
    if tried:
        said = ", ".join(f"{share:g}: {found.figures[STUDENT_CRITERIA[0]]:.4f}" for share, found in measured.items())
        limit = "" if most == 1 else f"; these are made queries, so that {most:g} is kept at most"
        console.say(f"nDCG@10 on validation by the share of the training that is kept: {said}{limit}")
    allowed = {share: found.figures for share, found in measured.items() if share <= most}
    chosen = smallest_share(allowed or {1.0: measured[1.0].figures})
    measured[0.0] = of_base or at(0)
    beside = _beside(measured[chosen], measured[0.0], chosen, keep_start=keep_start, seed=seed)
    kept = chosen if beside["kept"] == "trained" else 0.0
    if kept < 1 or between.cache_info().currsize:
        between().go_to(kept)
    found = [{"share": share, **value.figures} for share, value in measured.items()]
    journal.write("merge", measured=found, share=kept, beside_start=beside)
    return Merged(kept, measured[kept], measured[0.0], beside)


def smallest_share(figures: Mapping[float, Figures]) -> float:
    """The smallest share whose first criterion is at most ``TOLERANCE`` below the best."""
    values = {share: found[STUDENT_CRITERIA[0]] for share, found in figures.items()}
    best = max((value for value in values.values() if not math.isnan(value)), default=math.nan)
    return min((share for share, value in values.items() if value >= best - TOLERANCE), default=1.0)


def better(trained: Figures, start: Figures) -> bool:
    """Whether trained weights rank above the base model, however little; where nothing could be measured of the
    start, they count as better.

    That they rank lower beyond chance, the paired interval wholly below 0, is contained: the mean lies in it.
    """
    after, before = trained[STUDENT_CRITERIA[0]], start[STUDENT_CRITERIA[0]]
    return math.isnan(before) or after > before


def _beside(trained: Measured, start: Measured, share: float, *, keep_start: bool, seed: int) -> dict[str, Any]:
    """What ``Merged.beside_start`` holds; it is said, too."""
    found = difference(trained.by_query, start.by_query, seed=seed)
    after, before = (measured.figures[STUDENT_CRITERIA[0]] for measured in (trained, start))
    gained = better(trained.figures, start.figures)
    interval = f"95 %: {found.low:+.4f} to {found.high:+.4f}"
    said = (
        f"nDCG@10 on {len(start.by_query)} validation queries: trained {after:.4f}, base model {before:.4f}, "
        f"difference {found.value:+.4f} ({interval if len(start.by_query) >= FEWEST else 'too few queries to tell'})"
    )
    if gained:
        console.say(f"the student keeps {share:g} of what the training changed; {said}")
    elif keep_start:
        console.say(f"the training gained nothing: the student is the base model; {said}; {WHAT_WOULD_HELP}")
    else:
        console.say(f"the student ranks no better than the base model and is written all the same; {said}")
    record: dict[str, Any] = finite(
        {
            "queries": len(start.by_query),
            "share": share,
            "ndcg_at_10": {"trained": after, "start": before},
            "difference": dataclasses.asdict(found),
            "kept": "trained" if gained or not keep_start else "start",
        }
    )
    return record


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
