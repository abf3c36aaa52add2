"""What became of the candidates of a run, in words."""

from __future__ import annotations

from collections.abc import Sequence

from bistill.candidates.filtering import TOO_RELEVANT
from bistill.candidates.pools import Counts
from bistill.candidates.settings import Promotion
from bistill.console import counted, say


def say_counts(counts: Counts, names: Sequence[str], wanted: int, asked: int, promotion: Promotion) -> None:
    """Say what was mined, removed, promoted and left out.

    Args:
        counts: of the run.
        names: of the miners by bit.
        wanted: candidates that a list takes.
        asked: queries that candidates were wanted for.
        promotion: how teachers make positives.
    """
    given = ", ".join(f"{name} {counts.candidates[name]}" for name in names if name in counts.candidates)
    say(
        f"candidates of {counted(counts.queries, 'query')}: {given}; removed: "
        f"{counts.labelled_positive} labelled relevant, {counts.equal_text} equal to a positive, "
        f"{counts.ratio + counts.absolute} {TOO_RELEVANT}"
    )
    if counts.copies:
        say(
            f"{counted(counts.copies, 'document is a copy', 'documents are copies')} of another one, the same text: "
            "of each text there is one candidate"
        )
    told = (
        (counts.own_text, "stand among the documents: their own text is no candidate"),
        (counts.topped_up, "had too few candidates and got random documents"),
        (counts.lowest_kept, "had no other candidates and keep the least relevant of these"),
        (counts.short, f"have fewer than {wanted} negatives: their lists are shorter"),
        (counts.left_out, "have no negative or no scored positive and are left out"),
    )
    for number, what in told:
        if number:
            say(f"{number:,} of {counted(asked, 'query')} {what}")
    missed, nothing = counts.source_missed, counts.nothing_relevant
    if counts.unlabelled or missed or nothing:
        rank = promotion.source_rank
        placed = "first" if rank == 1 else f"among the first {rank}"
        say(
            f"{counted(counts.unlabelled, 'query')} without labels: the teacher makes "
            f"{counted(counts.promoted, 'document')} their positives; left out: {missed} whose source it does not rank "
            f"{placed}, {nothing} for which it finds nothing relevant; {counts.tied} have several documents "
            "of the highest score"
            + (f"; {counts.taken_out} are taken out of their document" if counts.taken_out else "")
        )
    if promotion.labelled_margin is not None:
        say(
            f"{counted(counts.promoted_beside, 'document is a positive', 'documents are positives')} beside labelled "
            f"ones, more relevant than the best of these by {promotion.labelled_margin:g} or more; "
            f"{counted(counts.suspect, 'labelled positive is', 'labelled positives are')} irrelevant to the teacher"
        )
    if counts.unscored:
        say(
            counted(
                counts.unscored,
                "pair has no imported score and is left out",
                "pairs have no imported score and are left out",
            )
        )
