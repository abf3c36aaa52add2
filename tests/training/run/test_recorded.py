"""What a run records is what the command's options say, under the names of the flags."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app import assembling
from bistill.app.assembling import checkpointing
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.app.options import altering
from bistill.candidates.mining import registry
from bistill.errors import OptionError
from bistill.losses import ContrastiveHinge, ListScores, ListwiseKL
from bistill.own_classes import UNKNOWN, described
from bistill.training.run.given import as_json
from bistill.training.student import recorded as of_student
from bistill.training.student.settings import Candidates
from bistill.training.teacher import recorded as of_teacher

DISTILLATION = {"teacher_path": "models/teacher", "output_dir": "models/student"}


class Mine(ListwiseKL):
    """A loss of a user's own."""

    def __call__(self, scores: ListScores) -> Any:
        """Twice."""
        return 2 * super().__call__(scores)


def recorded_teacher(options: TeacherOptions) -> Any:
    training, place = assembling.teacher_training(options), assembling.place(options)
    return of_teacher.given(assembling.training_data(options), training, place, checkpointing(options))


def recorded_student(options: DistillationOptions, **changes: Any) -> Any:
    training = assembling.student_training(options)
    training = dataclasses.replace(training, **changes)
    taught, data, place = assembling.taught_by(options), assembling.training_data(options), assembling.place(options)
    return of_student.given(taught, data, training, place, checkpointing(options))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_lora": True, "lora_r": 32, "lora_alpha": 64, "lora_dropout": 0.0, "lr": 3e-4, "trackers": ("wandb",)},
        {"model_name": "m", "max_len": 64, "head_lr_factor": 2.0, "negatives_per_positive": 2, "max_samples": 7},
        {"eval_steps": 3, "valid_samples": 9, "patience": 2, "save_steps": 5, "save_minutes": 1.0, "keep": 3},
        {"lexical_tokens": "words", "on_bad_rows": "skip", "data_version": "v", "data_root": "r", "precision": "fp32"},
        {"data_version": ("v", "w"), "balance": "versions"},
        {"restart": True, "overwrite": True, "resume_lr_factor": 0.5, "micro_batch_tokens": 64, "spike_rollbacks": 0},
    ],
)
def test_a_teacher_is_recorded_as_its_options(changes: dict[str, Any]) -> None:
    options = TeacherOptions(**changes)
    assert recorded_teacher(options).values == dataclasses.asdict(options)
    assert recorded_teacher(options).decisive == altering(options).keys()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"K": 8, "own_documents": 4, "choice": "random", "redraw": "never", "tau": 0.2, "listwise_weight": 0.5},
        {"contrastive_weight": 0.3, "negative_penalty_weight": 0.4, "info_nce_weight": 2.0, "info_nce_tau": 0.1},
        {
            "more_teachers": ("a", "b"),
            "teacher_weights": (1.0, 2.0, 3.0),
            "teacher_max_len": 64,
            "weak_teacher": "stop",
        },
        {
            "miners": ("labelled", "lexical:30", "dense:4", "cross_encoder"),
            "miner_model": "m",
            "cross_encoder_reads": 9,
        },
        {"max_negative_ratio": None, "max_negative_score": 0.5, "irrelevant_below": 0.2, "score_batch_size": 4},
        {"student_name": "s", "student_layers": 3, "query_prompt": "q ", "document_prompt": "", "pooling": "cls"},
        {"score": "calibrated", "in_batch": "never", "matryoshka": (128, 64), "merge_with_start": (0.5,)},
        {"weak_student": "trained", "teacher_instruction": "Find", "trust_remote_code": True},
        {"embedding_teacher": ("b",), "embedding_weight": 0.5, "embedding_tau": 0.02, "embedding_teacher_tau": 0.03},
        {"embedding_teacher": ("b",), "embedding_weight": 0.0, "vector_weight": 5.0},
    ],
)
def test_a_distillation_is_recorded_as_its_options(changes: dict[str, Any]) -> None:
    options = DistillationOptions(**DISTILLATION, **changes)
    expected = dataclasses.asdict(options)
    del expected["allow_weak_teacher"]  # the former name of a default
    found = recorded_student(options)
    assert found.values == expected
    assert found.decisive == altering(options).keys()
    assert as_json(found.defaults)["K"] == 16


def test_a_depth_for_all_miners_is_recorded_with_each() -> None:
    options = DistillationOptions(**DISTILLATION, mining_depth=50, miners=("labelled", "lexical", "random"))
    assert recorded_student(options).values["miners"] == ("labelled", "lexical:50", "random")
    assert recorded_student(options).values["mining_depth"] is None


def test_a_loss_of_another_class_or_setting_is_recorded_by_what_it_is() -> None:
    plain = assembling.student_training(DistillationOptions(**DISTILLATION))
    objective = dataclasses.replace(plain.objective, losses=(Mine(0.1), ContrastiveHinge(margin=0.5)))
    values = recorded_student(DistillationOptions(**DISTILLATION), objective=objective).values
    assert (values["listwise_weight"], values["info_nce_weight"], values["contrastive_weight"]) == (0.0, 0.0, 0.0)
    mine, hinge = values["losses"]
    assert mine.startswith(f"{__name__}.Mine(tau=0.1, weight=1.0), sha256 ")
    assert hinge.startswith("bistill.losses.hinge.ContrastiveHinge(margin=0.5, weight=1.0), sha256 ")


class Holding:
    """A miner that holds an object whose ``repr`` is its address."""

    name = "holding"

    def __init__(self, step: int) -> None:
        self.step, self.model = step, object()

    def fingerprint(self) -> str:
        return f"step {self.step}"

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        return query_ids[:, None] + self.step * np.arange(1, depth + 1)


def test_a_miner_of_a_users_own_is_recorded_by_its_identity_whatever_it_holds() -> None:
    def recorded(*miners: Any) -> Any:
        return recorded_student(DistillationOptions(**DISTILLATION), candidates=Candidates(miners)).values["miners"]

    held = [Holding(1), Holding(1), Holding(2)]  # at three addresses
    (one,), (same,), (other,) = (recorded(miner) for miner in held)
    assert one == same != other
    known = registry.identity(held[0])
    assert one == f"{known['kind']}(name='holding', fingerprint='step 1'), sha256 {known['source']}"
    with pytest.raises(OptionError, match="`miners`: two miners have one name\n  found: 'holding'"):
        recorded(*held)


def test_the_source_of_a_class_is_part_of_what_is_known_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for factor in ("2", "3"):
        (tmp_path / f"own{factor}.py").write_text(
            f"class Own:\n    def __call__(self, s):\n        return {factor} * s\n"
        )
        module = __import__(f"own{factor}")
        found.append(described(module.Own()).replace(f"own{factor}", "own"))
        sys.modules.pop(f"own{factor}")
    assert found[0] != found[1]
    space: dict[str, Any] = {"__name__": "typed_in"}
    exec("class Own: pass", space)
    assert described(space["Own"]()) == f"typed_in.Own(), {UNKNOWN}"
