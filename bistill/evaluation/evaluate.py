"""An evaluation: one student, its base model whole and cut, its teacher, BM25, a second student, on one test file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bistill import console
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.evaluation import judged, models, questions, scores
from bistill.evaluation.models import Companion
from bistill.evaluation.questions import Questions
from bistill.evaluation.ranked import MoreDocuments, TestData
from bistill.evaluation.report import composing, examples
from bistill.evaluation.report.examples import Example
from bistill.evaluation.report.report import Report
from bistill.evaluation.scores import Answers, EncoderScores, RerankedScores
from bistill.evaluation.settings import Asking, Beside
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Inference

Entry = dict[str, Any]
IS_THE_JUDGE: Final = "it is the judge: its own ranking says nothing"


def evaluate(
    student: str,
    test: TestData,
    *,
    documents: MoreDocuments = None,
    forgetting: Sequence[TestData] = (),
    beside: Beside = Beside(),
    asking: Asking = Asking(),
    inference: Inference = Inference(),
    given: Mapping[str, Any] | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Report:
    """Measure the models, one in memory at a time; the result is a function of models, data and settings.

    Args:
        student: folder or hub name.
        test: a file of labelled rows, or one that is open already; or of queries without labels, of which the teacher
            is the judge (``judged.is_meant``).
        documents: more to rank among, see ``ranked.further``; None: all of the data version that the file lies in, if
            it lies in one.
        forgetting: data that the student was not trained on, each with queries and documents of its own.
        beside: what is measured beside the student.
        asking: which queries are asked.
        inference: how the models compute.
        given: what the command was given, as the record holds it.
        begin: called when models and data have been found and no model is loaded yet; what it raises ends the
            evaluation.

    Raises:
        DataError: a test file cannot be used; RowError names the row. Or the teacher finds nothing relevant.
        OptionError: the teacher is the judge, and there is none.
        ModelError: the student, or a model that is named, cannot be loaded or gives NaN or infinite values.
        ArtifactError: the calibration beside a model is no rising line.
    """
    named = models.companions(student, beside)
    if by_teacher := judged.is_meant(test, asking):
        elsewhere = tuple(questions.build(data, asking=asking) for data in forgetting)
        found = judged.build(test, documents, named, student, asking=asking, inference=inference, begin=begin)
        asked = questions.of_judged(test, found, asking=asking)
        of_base, cut, teacher, compared = named
        named = (of_base, cut, replace(teacher, reason=IS_THE_JUDGE), compared)
    else:
        asked = questions.build(test, documents, asking=asking)
        elsewhere = tuple(questions.build(data, asking=asking) for data in forgetting)
        begin()
    console.say(
        f"evaluating {console.counted(asked.ranked, 'query')} over {console.counted(len(asked.corpus), 'document')}"
    )
    if without := len(asked.records) - asked.ranked:
        console.say(
            f"{console.counted(without, 'query has', 'queries have')} no positive: their labelled pairs count, they "
            "are not ranked"
        )
    for sentence in asked.left_out():
        console.say(sentence)
    run = _Run(student, asked, elsewhere, beside, inference, cached=by_teacher)
    answers, entries, chosen = run.answers(named)
    result = composing.compose(
        asked, elsewhere, entries, answers, chosen, before=models.before(student), given=given or {}, seed=asking.seed
    )
    return Report(result, asked, answers)


class _Run:
    """Has one model after the other answer the questions."""

    def __init__(
        self,
        student: str,
        asked: Questions,
        elsewhere: Sequence[Questions],
        beside: Beside,
        inference: Inference,
        *,
        cached: bool,
    ) -> None:
        self.student, self.asked, self.elsewhere = student, asked, elsewhere
        self.beside, self.inference, self.cached = beside, inference, cached
        self.sizes = models.matryoshka(student)

    def answers(
        self, named: tuple[Companion, Companion, Companion, Companion]
    ) -> tuple[Answers, dict[str, Entry], tuple[list[Example], list[Example]]]:
        """What every model answers, its entry in the report, and the student's best and worst queries."""
        of_base, of_cut, of_teacher, of_compared = named
        student, student_entry = self._encoder(Companion("student", self.student, demanded=True), self.elsewhere)
        assert student is not None
        # The base model reads texts as the student does, and as much of them, so that only the training differs.
        reads = models.base_reading(of_base, self.student) | {"max_len": student.description["max_len"]}
        base, base_entry = self._encoder(of_base, self.elsewhere, **reads)
        cut, cut_entry = self._cut(of_cut, max_len=student.description["max_len"])
        compared, compared_entry = None, of_compared.left_out
        if of_compared.demanded:
            compared, compared_entry = self._encoder(of_compared)
        bm25 = scores.of_lexical(self.asked) if self.beside.bm25 else None
        bm25_entry = bm25.description if bm25 else Companion("bm25", reason="the options leave it out").left_out
        chosen = examples.extremes(self.asked, student)
        teacher, teacher_entry = self._teacher(of_teacher, student, base, chosen)
        entries = {
            "student": student_entry,
            "base": base_entry,
            "cut": cut_entry,
            "bm25": bm25_entry,
            "teacher": teacher_entry,
            "compared": compared_entry,
        }
        return Answers(student, base, bm25, teacher, compared, cut), entries, chosen

    def _encoder(
        self, companion: Companion, elsewhere: Sequence[Questions] = (), **reads: Any
    ) -> tuple[EncoderScores | None, Entry]:
        """Answers of an encoder, read as ``BiEncoder.load`` is told, and its entry in the report; None and the reason
        where it is left out."""
        how = {"precision": self.inference.precision, "trust_remote_code": self.inference.trust_remote_code, **reads}
        encoder, companion = models.load(companion, lambda name: BiEncoder.load(name, **how))
        if encoder is None:
            return None, companion.left_out
        found = scores.of_encoder(
            encoder,
            self.asked,
            role=companion.role,
            name=str(companion.name),
            batch_size=self.inference.batch_size,
            elsewhere=elsewhere,
            sizes=self.sizes,
            # Those that stand beside many students; a student is measured once, and its vectors would stay for ever,
            # unless they are there already since it searched for what the teacher judges. Vectors of a cut model are
            # none of the folder that it was loaded from.
            cached=companion.role in ("base", "compared") or (self.cached and companion.role == "student"),
        )
        return found, found.description

    def _cut(self, companion: Companion, **reads: Any) -> tuple[EncoderScores | None, Entry]:
        """Answers of the base model with the student's layers alone, before any training; a student of all layers has
        none."""
        layers = models.layers(self.student)
        if companion.reason or not layers:
            return None, companion.left_out
        reads |= models.base_reading(companion, self.student) | {"layer_count": len(layers)}
        found, entry = self._encoder(companion, **reads)
        return found, {**entry, "layers": layers}

    def _teacher(
        self,
        companion: Companion,
        student: EncoderScores,
        base: EncoderScores | None,
        chosen: tuple[list[Example], list[Example]],
    ) -> tuple[RerankedScores | None, Entry]:
        """The teacher re-ranks the base model's ranking, which is the same for every student; else the student's."""
        settings = models.teacher_settings(companion, self.student, self.inference)
        extra = [pair for group in chosen for example in group for pair in example.pairs(self.asked)]

        def reranked(name: str) -> RerankedScores:
            with CachedTeacher.open(name, settings) as teacher:
                ranked = (base or student).ids
                return scores.of_teacher(teacher, self.asked, ranked, depth=self.beside.rerank_depth, extra=extra)

        found, companion = models.load(companion, reranked)
        if found is None:
            return None, companion.left_out
        return found, {**found.description, "reranks": "base" if base else "student"}
