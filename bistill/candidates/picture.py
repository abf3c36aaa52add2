"""The picture of scored candidates: how the teacher scores positives, mined and random documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bistill import artifacts
from bistill.arrays import Floats
from bistill.candidates import inspection
from bistill.candidates.filtering import Verdict
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.candidates.pools import ScoredPools

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = {
    "positives": "#2b6cb0",
    "mined, kept": "#dd6b20",
    "mined, removed": "#9b2c2c",
    "labelled negatives": "#6b46c1",
    "random": "#718096",
}
BINS: Final = 60


def draw(path: Path, pools: ScoredPools) -> None:
    """Write the PNG: distribution of the teacher's logits by kind of document, and relevance by rank.

    Logits instead of relevance on the left: nearly all of a sure teacher's relevances are 0 or 1.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _distributions(left, groups(pools))
    _ranks(right, inspection.by_rank(pools))
    with artifacts.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def groups(pools: ScoredPools) -> dict[str, Floats]:
    """Teacher's logits of each kind of document; kinds without any are left out."""
    logits, sources, kept = pools.logits, pools.sources, pools.verdicts == Verdict.KEPT
    labelled = (sources & LABELLED_BIT) > 0
    mined = (sources & ~np.uint8(LABELLED_BIT | RANDOM_BIT)) > 0
    found = {
        "positives": pools.positive_logits,
        "mined, kept": logits[mined & ~labelled & kept],
        "mined, removed": logits[mined & ~labelled & ~kept],
        "labelled negatives": logits[labelled],
        "random": logits[~mined & ~labelled],
    }
    return {name: values for name, values in found.items() if len(values)}


def _distributions(axes: Axes, found: dict[str, Floats]) -> None:
    every = np.concatenate(list(found.values()))
    edges = np.linspace(every.min(), every.max() + 1e-3, BINS + 1)
    for name, values in found.items():
        share = np.histogram(values, edges)[0] / len(values)
        label = f"{name} ({len(values):,})"
        axes.stairs(share, edges, label=label, color=COLOURS[name], linewidth=1.6, fill=name == "positives", alpha=0.75)
    axes.set(xlabel="teacher's logit", ylabel="share of the kind", title="Teacher's scores by kind of document")
    axes.legend(fontsize=9)


def _ranks(axes: Axes, table: list[dict[str, Any]]) -> None:
    ranks = [row for row in table if row["rank"]]
    places = np.arange(len(ranks))
    low, middle, high = np.array([row["quantiles"] for row in ranks]).reshape(-1, 3).T
    axes.fill_between(places, low, high, color=COLOURS["mined, kept"], alpha=0.25, label="10 % to 90 % of queries")
    axes.plot(places, middle, "o-", color=COLOURS["mined, kept"], label="median candidate")
    best = next(row for row in table if not row["rank"])["quantiles"]
    axes.axhline(best[1], color=COLOURS["positives"], label="median best positive")
    axes.axhspan(best[0], best[2], color=COLOURS["positives"], alpha=0.12, label="best positive, 10 % to 90 %")
    axes.set_xticks(places, [str(row["rank"]) for row in ranks])
    axes.set(
        xlabel="rank of the candidate by the teacher's score",
        ylabel="teacher's relevance",
        title="Relevance by rank",
        ylim=(-0.02, 1.02),
    )
    axes.legend(fontsize=9)
