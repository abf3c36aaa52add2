"""The figures of a model, by bistill's own evaluation over all documents of a data version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import recipes

from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.data.store.version import Version
from bistill.evaluation import questions, scores, separation, settings
from bistill.evaluation.measures.ranking import Rankings, figures_by_query, means
from bistill.evaluation.questions import Questions
from bistill.evaluation.scores import EncoderScores
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Precision

BATCH = 64
FIGURES = ("ndcg_at_10", "mrr_at_10", "recall_at_100")


class Asking(NamedTuple):
    """Folder of the data versions, arithmetic, test queries used of each (chosen by a seed that is always one), and
    whether all documents of the data version are ranked or those of its test file."""

    data_root: str
    precision: Precision
    queries: int | None
    documents: str = "version"


def question(data: str, asking: Asking) -> Questions:
    """The test queries of a data version, and what is ranked for them."""
    test = Version(Path(asking.data_root), data).path("test")
    return questions.build(test, asking.documents, asking=settings.Asking(max_queries=asking.queries))


def answers_of(
    model: str, asked: Questions, precision: Precision, sizes: Sequence[int] = (), max_len: int | None = None
) -> EncoderScores:
    """What a student answers."""
    encoder = BiEncoder.load(model, precision=precision, max_len=max_len)
    return scores.of_encoder(encoder, asked, role="student", name=model, batch_size=BATCH, sizes=sizes)


def student(
    model: str, data: str, asking: Asking, sizes: Sequence[int] = (), max_len: int | None = None
) -> dict[str, Any]:
    """Ranking figures, those of each query, and how far random documents lie below the positives.

    Args:
        model: the student.
        data: data version.
        asking: how all models are asked.
        sizes: how many first numbers of each vector shall rank alone, too.
        max_len: tokens of a text; None: the model's own limit.
    """
    asked = question(data, asking)
    answers = answers_of(model, asked, asking.precision, sizes, max_len)
    random = separation.linear(asked, answers)["random_negatives"]
    separate = {"random_negative": random["mean_negative"], "margin": random["margin"]}
    if (calibrated := separation.calibrated(asked, answers)) is not None:
        separate |= {
            "calibrated_random_negative": calibrated["random_negatives"]["mean_negative"],
            "calibrated_margin": calibrated["random_negatives"]["margin"],
            "calibration_error": calibrated["reliability"]["random_negatives"]["expected_calibration_error"],
        }
    cut = {
        recipes.figure_of_first(size): figures["ndcg_at_10"] for size, figures in (answers.by_dimension or {}).items()
    }
    return {**ranking(asked, answers.run(asked)), **separate, **cut}


def teacher(
    name: str,
    start: str,
    data: str,
    asking: Asking,
    *,
    depth: int,
    max_len: int | None,
    base_max_len: int | None = None,
) -> dict[str, Any]:
    """Ranking figures of the base model's ranking whose head the teacher re-orders; of a Bi-Encoder its own ranking of
    all documents.

    Args:
        name: of the teacher.
        start: the base model.
        data: data version.
        asking: how all models are asked.
        depth: documents of each query that it reads.
        max_len: tokens of a pair; None: its own limit.
        base_max_len: tokens of a text of the base model, likewise.
    """
    asked = question(data, asking)
    with CachedTeacher.open(name, TeacherReading(max_len=max_len, precision=asking.precision)) as opened:
        if opened.encoder is not None:
            return ranking(asked, answers_of(name, asked, asking.precision, max_len=max_len).run(asked))
        ranked = answers_of(start, asked, asking.precision, max_len=base_max_len).ids
        answers = scores.of_teacher(opened, asked, ranked, depth=depth, extra=[])
    return ranking(asked, answers.run(asked))


def ranking(asked: Questions, run: Rankings) -> dict[str, Any]:
    """Means of the ranking figures, and nDCG@10 by query."""
    qrels = asked.qrels()
    by_query = figures_by_query(qrels, run)
    mean_of = means(by_query)
    return {
        **{name: mean_of[name] for name in FIGURES},
        "queries": len(by_query),
        "documents": len(asked.corpus),
        "ndcg_by_query": {query: by_query[query]["ndcg_at_10"] for query in qrels},
    }
