"""The teacher gate: distillation helps where the teacher ranks better than the student's start (arXiv 2507.08336).

Before distilling, the teacher and the untouched student rank the same hard lists of the validation queries, which hold
what BM25, which is neither of the two, ranks highest.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bistill import console
from bistill.candidates.lists import CandidateList
from bistill.candidates.teacher_scores.teachers import Teachers
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.encoders.bi_encoder import BiEncoder
from bistill.errors import ModelError
from bistill.training.validation import LIST_SIZE, ValidationLists, list_figures

WHAT_TO_DO: Final = (
    "train the teacher with more labelled queries and hard negatives, longer, or with all weights instead of LoRA; "
    "or give a re-ranker that was trained before as --model_name or --teacher_path; "
    "or go on all the same with --allow_weak_teacher"
)


def measure(
    teachers: Teachers, student: BiEncoder, valid: Dataset, corpus: Corpus, lists: list[CandidateList]
) -> dict[str, Any] | None:
    """nDCG@10 and AUC of teacher and untouched student over the same lists.

    Args:
        teachers: whose scores shall be learned.
        student: untouched.
        valid: validation queries.
        corpus: documents of the lists.
        lists: what both rank.

    Returns:
        ``queries``, ``documents`` (of a list at most), ``teacher`` and ``student`` with their figures, and ``leads``;
        None where imported scores lack these pairs.
    """
    pairs = np.array([(item.query_id, document) for item in lists for document in item.documents], dtype=np.int64)
    logits = teachers.logits(valid.queries, corpus, pairs, "teacher gate").logits
    own = np.split(logits, np.cumsum([len(item.documents) for item in lists])[:-1])
    scored = [row for row, values in enumerate(own) if not np.isnan(values).any()]
    if not scored:
        console.say("the teacher gate is left out: the imported scores lack the pairs of the validation queries")
        return None
    lists, own = [lists[row] for row in scored], [own[row] for row in scored]
    asked = ValidationLists(valid.queries, corpus, lists)
    figures = {
        "teacher": list_figures(asked, own),
        "student": list_figures(asked, _cosines(student, valid, corpus, lists)),
    }
    teacher, start = (tuple(figures[role].values()) for role in ("teacher", "student"))
    return {"queries": len(lists), "documents": LIST_SIZE, **figures, "leads": teacher > start}


def check(figures: dict[str, Any], *, allow_weak_teacher: bool) -> None:
    """Say the figures; stop where the teacher does not lead.

    Raises:
        ModelError: it does not lead and the options do not allow that.
    """
    shown = {
        role: f"nDCG@10 {figures[role]['rerank_ndcg_at_10']:.4f}, AUC {figures[role]['auc']:.4f}"
        for role in ("teacher", "student")
    }
    said = f"teacher {shown['teacher']}; untouched student {shown['student']}"
    console.say(f"teacher gate, {figures['queries']} validation queries: {said}")
    if figures["leads"]:
        return
    if allow_weak_teacher:
        console.say("the teacher does not lead: its student may end up worse than it starts")
        return
    raise ModelError(
        f"the teacher ranks no better than the untouched student: {said}", where="teacher gate", todo=WHAT_TO_DO
    )


def _cosines(student: BiEncoder, valid: Dataset, corpus: Corpus, lists: list[CandidateList]) -> list[np.ndarray]:
    used = sorted({document for item in lists for document in item.documents})
    place = {document: row for row, document in enumerate(used)}
    queries = student.encode_queries([valid.queries[item.query_id] for item in lists])
    documents = student.encode_documents(corpus.take(used), description="teacher gate, untouched student")
    return [
        documents[[place[document] for document in item.documents]] @ query
        for item, query in zip(lists, queries, strict=True)
    ]
