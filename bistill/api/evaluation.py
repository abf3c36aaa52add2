"""Evaluation as a call of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from bistill.api.dataset import Dataset
from bistill.errors import OptionError
from bistill.evaluation.evaluate import evaluate as measure
from bistill.evaluation.ranked import MoreDocuments, TestData
from bistill.evaluation.report.report import Report
from bistill.evaluation.settings import Asking, Beside, Judge
from bistill.models.settings import Inference, Precision
from bistill.serving.student import Student
from bistill.serving.teacher import Teacher
from bistill.settings import Within, checked

ROLES: Final = ("base", "teacher", "bm25")


def evaluate(
    student: Student | str,
    test: TestData | Dataset,
    *,
    beside: Sequence[str] = ROLES,
    documents: MoreDocuments = None,
    base: str | None = None,
    teacher: Teacher | str | None = None,
    compare_with: Student | str | None = None,
    forgetting: Sequence[TestData] = (),
    rerank_depth: int = 20,
    max_queries: int | None = None,
    partly_judged: bool = False,
    judge: Judge | None = None,
    batch_size: int = 64,
    precision: Precision = "auto",
    trust_remote_code: bool = False,
    seed: int = 42,
) -> Report:
    """Measure a student on labelled queries, beside other models on the same queries.

    Args:
        student: or its folder or hub name.
        test: ``data.test``, labelled rows (``Dataset.from_rows``), or a file of them.
        beside: any of "base" (the base model), "teacher" and "bm25".
        documents: more to rank among, texts or a file; "version": all of the data version that ``test`` is of; "test":
            those of ``test`` alone; None: the first where ``test`` is of a data version, as ``data.test`` is.
        base: the base model; None: the one of the student's own record.
        teacher: likewise, the re-ranker that re-ranks the best documents.
        compare_with: a second student.
        forgetting: data that the student was not trained on: what did it lose there?
        rerank_depth: documents of each query that the teacher re-ranks.
        max_queries: at most so many, chosen by the seed.
        partly_judged: whether documents of ``test``, a file, may lack a label, as those that nobody judged do; then
            there are figures that leave them out.
        judge: "labels", or "teacher" where ``test`` is a file of queries without labels: its relevance is the truth.
            None: the teacher for those of a data version, else the labels.
        batch_size: texts at once.
        precision: arithmetic.
        trust_remote_code: whether code that the models bring along may run.
        seed: chooses queries and random pairs.

    Raises:
        OptionError: a value is of another type or out of range.
        DataError: the data cannot be used.
        ModelError: a model cannot be loaded or gives NaN or infinite values.
    """
    roles = checked(beside, tuple[str, ...], "`beside`")
    if unknown := [role for role in roles if role not in ROLES]:
        raise OptionError("no such model", where="`beside`", found=unknown[0], todo=f"give any of {', '.join(ROLES)}")
    depth = checked(rerank_depth, Annotated[int, Within(1)], "`rerank_depth`") if "teacher" in roles else 0
    settings = Beside(
        base=_name(base),
        with_base="base" in roles,
        teacher=_name(teacher),
        compared=_name(compare_with),
        bm25="bm25" in roles,
        rerank_depth=depth,
    )
    test = test.whole if isinstance(test, Dataset) else test
    return measure(
        str(_name(student)),
        test,
        documents=documents,
        forgetting=forgetting,
        beside=settings,
        asking=Asking(max_queries, seed, partly_judged=partly_judged, judge=judge),
        inference=Inference(precision=precision, batch_size=batch_size, trust_remote_code=trust_remote_code),
    )


def _name(model: Any) -> str | None:
    return model.name if isinstance(model, Student | Teacher) else model
