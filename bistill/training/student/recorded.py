"""What the records of a distillation hold of what it was given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bistill.candidates.settings import CrossEncoderRanked, Dense
from bistill.data.store.version import Version
from bistill.losses import ContrastiveHinge, InfoNCE, ListwiseKL, Loss, NegativePenalty, hinge, penalty
from bistill.models.settings import EncoderStart
from bistill.own_classes import described
from bistill.training.run.data import TrainingData
from bistill.training.run.given import Given
from bistill.training.run.recorded import ASIDE, miner_named, of_loop, of_run
from bistill.training.settings import Checkpointing, Place
from bistill.training.student.settings import Candidates, StudentTraining, TaughtBy

# Losses whose settings have names of their own; every other one is described by what it is.
NAMED: Final = (ListwiseKL, ContrastiveHinge, NegativePenalty, InfoNCE)


def given(
    taught: TaughtBy, data: TrainingData, training: StudentTraining, place: Place, checkpointing: Checkpointing
) -> Given:
    """Names and values of a run."""
    values = _values(taught, data, training, place, checkpointing)
    nothing = TrainingData(Version(Path(), ""), unlabelled=None)
    plain = StudentTraining(EncoderStart("", max_len=256))
    defaults = _values(TaughtBy(("",)), nothing, plain, Place(""), Checkpointing())
    return Given(values, values.keys() - ASIDE, defaults)


def _values(
    taught: TaughtBy, data: TrainingData, training: StudentTraining, place: Place, checkpointing: Checkpointing
) -> dict[str, Any]:
    start = training.start
    return {
        **of_run(place, checkpointing, data),
        **of_loop(training.loop, training.validation, training.lora),
        "unlabelled": data.unlabelled,
        "student_name": start.name,
        "student_layers": start.layers,
        "max_len": start.max_len,
        "query_prompt": start.query_prompt,
        "document_prompt": start.document_prompt,
        "pooling": start.pooling,
        "precision": start.precision,
        "trust_remote_code": start.trust_remote_code,
        "teacher_path": taught.names[0],
        "more_teachers": taught.names[1:],
        "teacher_weights": taught.weights,
        "teacher_max_len": taught.reading.max_len,
        "teacher_instruction": taught.reading.instruction,
        "score_batch_size": taught.reading.batch_size,
        "weak_teacher": taught.weak,
        "embedding_teacher": taught.embedding,
        "embedding_weight": training.objective.embedding.weight,
        "embedding_tau": training.objective.embedding.tau,
        "embedding_teacher_tau": training.objective.embedding.teacher_tau,
        "vector_weight": training.objective.vectors.weight,
        **_candidates(training.candidates),
        **_losses(training.objective.losses),
        "score": training.objective.score,
        "in_batch": training.objective.in_batch,
        "matryoshka": training.objective.matryoshka,
        "merge_with_start": training.merging.shares,
        "weak_student": training.merging.weak_student,
        "recipe": training.recipe,
    }


def _candidates(candidates: Candidates) -> dict[str, Any]:
    lists, limits = candidates.lists, candidates.limits
    reads = [miner.reads for miner in candidates.miners if isinstance(miner, CrossEncoderRanked)]
    return {
        "K": lists.size,
        "own_documents": lists.own_documents,
        "choice": lists.choice,
        "redraw": lists.redraw,
        "max_negative_ratio": limits.max_ratio,
        "max_negative_score": limits.max_score,
        "irrelevant_below": limits.irrelevant_below,
        "unlabelled_reads": candidates.promotion.reads,
        "source_rank": candidates.promotion.source_rank,
        "promote_margin": candidates.promotion.labelled_margin,
        "lexical_tokens": candidates.lexical.tokens,
        "miners": tuple(map(miner_named, candidates.miners)),
        "mining_depth": None,
        "miner_model": next(iter(miner_models(candidates)), None),
        "cross_encoder_reads": reads[0] if reads else CrossEncoderRanked().reads,
    }


def miner_models(candidates: Candidates) -> tuple[str, ...]:
    """Names of the models that miners search with, but for the student itself."""
    miners = [*(getattr(miner, "dense", miner) for miner in candidates.miners), candidates.promotion.dense]
    models = (miner.model for miner in miners if isinstance(miner, Dense))
    return tuple(dict.fromkeys(model.name for model in models if model is not None))


def _losses(losses: Iterable[Loss]) -> dict[str, Any]:
    """Weights and temperatures by name; 0 for a term that does not exist."""
    values: dict[str, Any] = {
        "listwise_weight": 0.0,
        "tau": ListwiseKL().tau,
        "contrastive_weight": 0.0,
        "negative_penalty_weight": 0.0,
        "info_nce_weight": 0.0,
        "info_nce_tau": InfoNCE().tau,
    }
    others = []
    for loss in losses:
        match loss if type(loss) in NAMED else None:  # a subclass computes something else
            case ListwiseKL(tau=tau, weight=weight):
                values |= {"listwise_weight": weight, "tau": tau}
            case InfoNCE(tau=tau, weight=weight):
                values |= {"info_nce_weight": weight, "info_nce_tau": tau}
            case ContrastiveHinge(margin=hinge.MARGIN, weight=weight):
                values["contrastive_weight"] = weight
            case NegativePenalty(ceiling=penalty.CEILING, weight=weight):
                values["negative_penalty_weight"] = weight
            case _:
                others.append(described(loss))
    return values | ({"losses": others} if others else {})
