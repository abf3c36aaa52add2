"""The teacher gate: distillation helps where the teacher ranks better than the student's start (arXiv 2507.08336).

Before distilling, the teacher and the base model rank the same hard lists of validation queries, which hold what
BM25, which is neither of the two, ranks highest. Queries are read in turn, and after each look the paired bootstrap
interval of nDCG@10, teacher minus start, is asked: wholly above 0 the teacher leads, wholly below it is weak, and else
more queries are read, as many as the price allows. Each further look is a further chance to be wrong, so they share
the 5 % (Bonferroni); ``docs/experiments.md`` ("What to do with a weak teacher") has what that comes to.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from bistill import console
from bistill.arrays import Floats
from bistill.candidates.lists import CandidateList
from bistill.candidates.scores.teachers import Teachers
from bistill.data.sampling import generator
from bistill.data.store.collection import Collection
from bistill.errors import ModelError
from bistill.evaluation.measures import bootstrap
from bistill.evaluation.measures.bootstrap import CONFIDENCE, FEWEST, Interval
from bistill.models.bi_encoder import BiEncoder
from bistill.training.settings import WeakTeacher
from bistill.training.validation import LIST_SIZE, Measured, ValidationLists, list_figures

WHAT_WOULD_HELP: Final = (
    "train the teacher with more labelled queries and hard negatives, longer, or with all weights instead of LoRA; "
    "or give a re-ranker that was trained before as `model_name` or `teacher_path`"
)
# Queries of the first look at least, unless there are fewer.
FIRST_LOOK: Final = 20

Verdict = Literal["leads", "undecided", "weak"]


class Found(NamedTuple):
    """What was measured over the lists read so far.

    Attributes:
        verdict: of the teacher.
        difference: mean over queries of the teacher's nDCG@10 minus that of the base model, with its interval.
        confidence: of that interval.
        teacher: figures over the lists.
        student: the same of the base model.
    """

    verdict: Verdict
    difference: Interval
    confidence: float
    teacher: Measured
    student: Measured


def looks(most: int) -> list[int]:
    """Rising numbers of queries after which the interval is asked: half as many each time, counted from the most down
    to ``FIRST_LOOK``."""
    sizes = [most]
    while sizes[0] // 2 >= FIRST_LOOK:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def measure(
    teachers: Teachers,
    student: BiEncoder,
    collection: Collection,
    lists: list[CandidateList],
    *,
    most: int,
    seed: int,
) -> dict[str, Any] | None:
    """nDCG@10 and AUC of teacher and base model over the same lists, and what their difference says.

    Args:
        teachers: whose scores shall be learned.
        student: the base model.
        collection: validation queries and documents of the lists.
        lists: what both rank, in the order in which they are read.
        most: lists read at most.
        seed: of the interval's draws.

    Returns:
        ``queries`` and ``pairs`` read, ``documents`` (of a list at most), ``teacher`` and ``student`` with their
        figures, ``difference`` of nDCG@10 with its interval and that one's ``confidence``, ``verdict``, and ``leads``,
        which only a weak teacher does not; None where imported scores lack these pairs.
    """
    asked = _covered(teachers, ValidationLists(collection.dataset.queries, collection.corpus, lists))
    if not asked.lists:
        console.say("the teacher gate is left out: the imported scores lack the pairs of the validation queries")
        return None
    sizes = looks(min(most, len(asked.lists)))
    confidence = 1 - (1 - CONFIDENCE) / len(sizes)
    cosines = _Cosines(student)
    scores: tuple[list[Floats], list[Floats]] = ([], [])
    for size in sizes:
        unread = dataclasses.replace(asked, lists=asked.lists[len(scores[0]) : size])
        logits = teachers.logits(unread.queries, unread.documents, unread.pairs(), "teacher gate").logits
        scores[0].extend(unread.by_list(logits))
        scores[1].extend(cosines.of(unread))
        read = dataclasses.replace(asked, lists=asked.lists[:size])
        found = judged(read, *scores, confidence, seed)
        if found.verdict != "undecided":
            break
    return {
        "queries": len(read.lists),
        "documents": LIST_SIZE,
        "pairs": len(read.pairs()),
        "teacher": found.teacher.figures,
        "student": found.student.figures,
        "difference": dataclasses.asdict(found.difference),
        "confidence": found.confidence,
        "verdict": found.verdict,
        "leads": found.verdict != "weak",
    }


def judged(asked: ValidationLists, teacher: list[Floats], student: list[Floats], confidence: float, seed: int) -> Found:
    """The verdict over some lists, from the scores of their documents."""
    sides = [list_figures(asked, scores) for scores in (teacher, student)]
    draws = generator(seed, "gate", len(asked.lists))
    first, second = (side.by_query[:, None] for side in sides)
    difference = bootstrap.paired(first, second, draws, confidence=confidence)[0]
    verdict: Verdict = "undecided"
    if len(asked.lists) >= FEWEST and difference.low > 0:
        verdict = "leads"
    elif len(asked.lists) >= FEWEST and difference.high < 0:
        verdict = "weak"
    return Found(verdict, difference, confidence, *sides)


def teaches(figures: dict[str, Any], weak_teacher: WeakTeacher, *, who: str = "teacher", others: bool = False) -> bool:
    """Say the figures, and what follows from them.

    Args:
        figures: of ``measure``.
        weak_teacher: what happens where the teacher is weak.
        who: was measured: "teacher", or "embedding teacher" with its name beside one.
        others: whether embedding teachers beside it are still to be measured.

    Returns:
        Whether the teacher is learned from; else the labels teach, and what other teachers there are.

    Raises:
        ModelError: the teacher is weak, and the run is to stop then.
    """
    said = f"{who} gate, {figures['queries']} validation queries: {_said(figures)}"
    if figures["verdict"] == "leads":
        console.say(f"{said}: the {who} leads")
    elif figures["verdict"] == "undecided":
        console.say(f"{said}: undecided; the {who} counts as leading")
    if figures["verdict"] != "weak":
        return True
    if weak_teacher == "stop":
        raise ModelError(
            f"the {who} ranks lower than the base model: {_said(figures)}",
            where=f"{who} gate",
            todo=f"{WHAT_WOULD_HELP}; or go on with the labels alone: leave out `weak_teacher` stop",
        )
    console.say(f"{said}: the {who} ranks lower")
    if weak_teacher == "teacher":
        console.say("the student learns from it all the same, and may end up worse than it starts")
        return True
    if who != "teacher":
        console.say("so its cosines are left out of the loss. For one that helps, give a larger Bi-Encoder")
        return False
    alone = "" if others else "the labels alone teach: "
    console.say(
        f"so {alone}the teacher's scores are left out of the loss and remove no candidate. "
        f"For a teacher that helps, {WHAT_WOULD_HELP}"
    )
    return False


def _said(figures: dict[str, Any]) -> str:
    shown = {
        role: f"nDCG@10 {figures[role]['rerank_ndcg_at_10']:.4f}, AUC {figures[role]['auc']:.4f}"
        for role in ("teacher", "student")
    }
    value, low, high = figures["difference"].values()
    interval = f"{figures['confidence']:.1%}: {low:+.4f} to {high:+.4f}"
    return (
        f"teacher {shown['teacher']}; base model {shown['student']}; difference of nDCG@10 "
        f"{value:+.4f} ({interval if figures['queries'] >= FEWEST else 'too few queries to tell'})"
    )


def _covered(teachers: Teachers, asked: ValidationLists) -> ValidationLists:
    """The lists whose every pair has a score of each teacher whose scores were imported; looking costs no reading."""
    for member in teachers.members:
        if member.imported:
            found = asked.by_list(member.logits(asked.queries, asked.documents, asked.pairs(), "").logits)
            there = [item for item, own in zip(asked.lists, found, strict=True) if not np.isnan(own).any()]
            asked = dataclasses.replace(asked, lists=there)
            if not there:
                break
    return asked


class _Cosines:
    """Cosines of a base model over lists that are read in turn; a document is encoded once."""

    def __init__(self, student: BiEncoder) -> None:
        self._student = student
        self._vectors: dict[int, Floats] = {}

    def of(self, asked: ValidationLists) -> list[Floats]:
        """Of each list, shape (documents,)."""
        queries = self._student.encode_queries([asked.queries[item.query_id] for item in asked.lists])
        new = sorted({document for item in asked.lists for document in item.documents} - self._vectors.keys())
        texts = [asked.documents[document] for document in new]
        made = self._student.encode_documents(texts, description="teacher gate, base model")
        self._vectors |= dict(zip(new, made, strict=True))
        return [
            np.stack([self._vectors[document] for document in item.documents]) @ query
            for item, query in zip(asked.lists, queries, strict=True)
        ]
