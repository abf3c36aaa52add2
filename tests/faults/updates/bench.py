"""Runs of one stage with faults put into their updates, and what they leave."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bistill.app.commands import distill as distillation
from bistill.app.commands import teacher
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.journal import read
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import batching
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop import optimizer
from bistill.training.loop.gradients import Batch
from bistill.training.loop.hook import Progress
from bistill.training.loop.update import Update
from bistill.training.run.hooks import Validate

UPDATES = 12
SAVE_STEPS = 4
AT = 7  # the update that is disturbed: the one before its checkpoint is 4


@dataclass
class Outcome:
    """What a run left.

    Attributes:
        digest: sha256 of the model's weights, the best ones.
        weights: the last ones, "" where the run failed.
        seen: update and samples of each batch that was taken; one more is made ahead.
        events: of the journal.
    """

    digest: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict)
    seen: list[tuple[int, list[int]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.events if item["event"] == event]

    def troubles(self) -> list[str]:
        return [item["kind"] for item in self.of("trouble")]

    def losses(self) -> dict[int, float]:
        """By update; of one that was done again, the last."""
        return {item["step"]: item["terms"]["loss"] for item in self.of("step")}


class Bench:
    """Runs of one stage, with faults.

    Attributes:
        step: 1-based update that is at work.
        fired: how often a fault was raised.
    """

    def __init__(self, kind: str, root: Path, encoder: Path, teacher_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.kind, self.root, self.patch = kind, root, patch
        self.encoder: Any = CrossEncoder if kind == "teacher" else BiEncoder
        self.step, self.fired = 0, 0
        self.head: dict[str, Tensor] = {}
        self._encoder_path, self._teacher_path = encoder, teacher_path
        self._outcome = Outcome()
        self._watch()

    def options(self, **changes: Any) -> TeacherOptions | DistillationOptions:
        common = {
            "data_version": "tiny",
            "data_root": str(self.root),
            "lr": 1e-4,
            "max_len": 32,
            "save_steps": SAVE_STEPS,
            "save_minutes": 0.0,
        }
        if self.kind == "teacher":
            own: dict[str, Any] = {
                "model_name": str(self._encoder_path),
                "epochs": 2,
                "batch_size": 8,
                "negatives_per_positive": 3,
            }
            return TeacherOptions(**{**common, **own, **changes})
        own = {
            "teacher_path": str(self._teacher_path),
            "student_name": str(self._encoder_path),
            "epochs": 4,
            "batch_size": 4,
            "K": 5,
            "allow_weak_teacher": True,
            "weak_student": "trained",
            "max_negative_ratio": None,
        }
        return DistillationOptions(**{**common, **own, **changes})

    def run(self, folder: Path, **changes: Any) -> Outcome:
        """One run to its end; an exception passes, and ``last`` gives what it left."""
        self._outcome = Outcome()
        made = self.options(output_dir=str(folder), **changes)
        (teacher.train if self.kind == "teacher" else distillation.train)(made)  # type: ignore[operator]
        return self.last(folder)

    def last(self, folder: Path) -> Outcome:
        outcome = self._outcome
        outcome.events = list(read(folder / "journal.jsonl"))
        model = folder / "model.safetensors"
        outcome.digest = hashlib.sha256(model.read_bytes()).hexdigest() if model.exists() else ""
        return outcome

    def in_forward(self, fault: Callable[[Tensor, Sequence[batching.Encoding]], Tensor]) -> None:
        """Pass the rows of each training forward through a fault."""
        plain = self.encoder.forward

        def forward(encoder: Any, encodings: Sequence[batching.Encoding]) -> Tensor:
            rows = plain(encoder, encodings)
            return fault(rows, encodings) if encoder.model.training and self.step else rows

        self.patch.setattr(self.encoder, "forward", forward)

    def in_backward(self, fault: Callable[[Tensor], Tensor]) -> None:
        """Pass the gradient of the rows of each training forward through a fault."""

        def hooked(rows: Tensor, _encodings: Sequence[batching.Encoding]) -> Tensor:
            return Backward.apply(rows, fault) if rows.requires_grad else rows

        self.in_forward(hooked)

    def in_optimizer(self, fault: Callable[[torch.optim.Optimizer, Callable[..., Any]], Any]) -> None:
        """Replace the optimizer's step by ``fault(optimizer, step)``."""
        plain = optimizer.adamw

        def adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
            made = plain(groups)
            step = made.step
            made.step = lambda _closure=None: fault(made, step)  # type: ignore[method-assign]
            return made

        self.patch.setattr(optimizer, "adamw", adamw)

    def once(self, step: int = AT, times: int = 1) -> bool:
        """Whether a fault is to be raised now."""
        if self.step != step or self.fired >= times:
            return False
        self.fired += 1
        return True

    def words(self, ids: list[int]) -> list[str]:
        """Words of a tokenized text."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self._encoder_path)
        text: str = tokenizer.decode(ids, skip_special_tokens=True)
        return text.split()

    def heal(self) -> None:
        """Take all faults away."""
        self.patch.undo()
        self._watch()

    def _watch(self) -> None:
        update, at_end = Update.run, Validate.at_end

        def run(own: Update, make: Callable[[], Batch], samples: np.ndarray, seed: int, step: int) -> Any:
            def taken() -> Batch:
                self._outcome.seen.append((step, samples.tolist()))
                return make()

            self.step = step
            try:
                return update(own, taken, samples, seed, step)
            finally:
                self.step = 0

        def ended(own: Validate, progress: Progress) -> None:
            self._outcome.weights = {name: value.detach().clone() for name, value in own._trainable()}
            at_end(own, progress)

        self.patch.setattr(Update, "run", run)
        self.patch.setattr(Validate, "at_end", ended)


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor, fault: Callable[[Tensor], Tensor]) -> Tensor:
        context.fault = fault
        return value.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return context.fault(gradient), None


def check_equal(found: Outcome, expected: Outcome, limit: float = 0.0) -> None:
    """Same updates on same samples, same weights."""
    assert list(found.losses()) == list(expected.losses())
    assert list(found.losses().values()) == pytest.approx(list(expected.losses().values()), abs=max(10 * limit, 1e-9))
    assert found.of("end")[-1]["status"] == "finished"
    assert found.weights.keys() == expected.weights.keys()
    largest = max(float(value.abs().max()) for value in expected.weights.values())
    error = max(float((found.weights[name] - value).abs().max()) for name, value in expected.weights.items())
    assert error <= limit * largest
    if limit == 0.0:
        assert found.digest == expected.digest


def checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
