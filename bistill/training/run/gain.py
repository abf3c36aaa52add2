"""What a training gained on the validation queries, in one line."""

from __future__ import annotations

from bistill.arrays import Doubles
from bistill.evaluation.measures.bootstrap import FEWEST
from bistill.training.run.hooks import Validate
from bistill.training.validation import JUDGED, difference

CHOSEN = "these queries also chose the weights"


def gained(validation: Validate, *, seed: int) -> str:
    """``nDCG@10 0.820 -> 0.858 on validation (+0.038, 95 % +0.010 to +0.060; these queries also chose the weights)``.

    Without the start where it was not measured, as of a head that begins at random; without an interval where a
    checkpoint brought the figures alone, or where the queries are fewer than ``FEWEST``, which is said. Behind it the
    same of queries without labels, where they were measured beside these.

    Args:
        validation: of a run that has ended.
        seed: of the interval's draws.
    """
    name = validation.criteria[0]
    after, before = validation.figures[name], validation.first.get(name)
    if before is None:
        return f"nDCG@10 {after:.3f} on validation ({CHOSEN})"
    first, best = validation.measured_first, validation.measured_best
    said = f"{after - before:+.3f}"
    if first is not None and best is not None:
        said += _interval(best.by_query, first.by_query, seed)
    end = f"nDCG@10 {before:.3f} -> {after:.3f} on validation ({said}; {CHOSEN})"
    return f"{end}; {judged}" if (judged := _judged(validation, seed)) else end


def _judged(validation: Validate, seed: int) -> str:
    """The same of queries without labels, which chose nothing; "" where none were measured."""
    after, before = validation.figures.get(JUDGED), validation.first.get(JUDGED)
    if after is None or before is None:
        return ""
    first, best = validation.measured_first, validation.measured_best
    said = f"{after - before:+.3f}"
    if first is not None and best is not None:
        said += _interval(best.judged_by_query, first.judged_by_query, seed)
    return f"{before:.3f} -> {after:.3f} on queries without labels, judged by the teacher ({said})"


def _interval(after: Doubles, before: Doubles, seed: int) -> str:
    if len(before) < FEWEST:
        return ", too few queries to tell"
    found = difference(after, before, seed=seed)
    return f", 95 % {found.low:+.3f} to {found.high:+.3f}"
