"""Which models stand beside the student: those of the options, else those of the student's own record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bistill import artifacts
from bistill.candidates.scores.teachers import IMPORTED
from bistill.candidates.settings import TeacherReading
from bistill.config import EvaluationOptions
from bistill.console import say
from bistill.errors import ModelError, OptionError
from bistill.models.files import loading

T = TypeVar("T")
ONLY_IMPORTED: Final = "its scores were imported: it cannot read other pairs"


@dataclass(frozen=True)
class Choice:
    """A model to compare with, or why there is none.

    Attributes:
        role: "base", "teacher" or "compared".
        name: folder or hub name; None where there is none.
        demanded: whether the user named it: then it must load.
        reason: why it is left out.
    """

    role: str
    name: str | None = None
    demanded: bool = False
    reason: str = ""

    @property
    def left_out(self) -> dict[str, Any]:
        """The model's entry in the report where there are no figures of it."""
        return {"path": self.name, "left_out": self.reason}


def choose(options: EvaluationOptions) -> tuple[Choice, Choice, Choice]:
    """Base model, teacher and second student of an evaluation.

    Raises:
        ModelError: the student's folder does not exist, or a model that the options name does not.
        OptionError: imported scores are named as the teacher.
    """
    if (options.teacher_path or "").startswith(IMPORTED):
        raise OptionError(
            ONLY_IMPORTED,
            where="--teacher_path",
            found=options.teacher_path,
            todo="give the folder or hub name of a re-ranker, or leave the option out",
        )
    record = _record(options.model_path)
    base = _choice("base", options.base_model, record.get("base_model"), options.model_path)
    teacher = (
        _choice("teacher", options.teacher_path, record.get("teacher_path"), options.model_path)
        if options.rerank_depth
        else Choice("teacher", options.teacher_path, reason="the options leave it out: rerank_depth is 0")
    )
    compared = (
        Choice("compared", reason="the options name no second student")
        if options.compare_with is None
        else Choice("compared", options.compare_with, demanded=True)
    )
    for choice in (base, teacher, compared):
        if choice.demanded:
            assert choice.name is not None
            loading.resolve(choice.name)  # a wrong name fails before anything is encoded
    return base, teacher, compared


def teacher_settings(choice: Choice, options: EvaluationOptions) -> TeacherReading:
    """How the teacher reads: as the student's own record says where the teacher comes from there, so that scores of
    training are found in the cache; else as it was made to."""
    trained = {} if choice.demanded else _record(options.model_path).get("options", {})
    return TeacherReading(
        max_len=trained.get("teacher_max_len"),
        instruction=trained.get("teacher_instruction"),
        precision=options.precision,
        batch_size=options.batch_size,
        trust_remote_code=options.trust_remote_code,
    )


def base_reading(choice: Choice, options: EvaluationOptions) -> dict[str, Any]:
    """Prompts and pooling of the base model: those that the student's training was told to read its start with, so that
    only the training differs; of a model that the options name, its own."""
    trained = {} if choice.demanded else _record(options.model_path).get("options", {})
    given = {"query_prompt": "query_prompt", "document_prompt": "document_prompt", "pooling_name": "pooling"}
    return {name: trained.get(option) for name, option in given.items()}


def before(options: EvaluationOptions) -> dict[str, Any]:
    """What the student's record says of the validation queries: ``teacher_gate``, its teacher and the untouched student
    before distilling, and ``beside_start``, the trained student and the untouched one; None where it says nothing."""
    record = _record(options.model_path)
    return {
        name: found if isinstance(found := record.get(name), dict) else None
        for name in ("teacher_gate", "beside_start")
    }


def matryoshka(options: EvaluationOptions) -> tuple[int, ...]:
    """Lengths of the prefixes that the student's record names; none for a model without a record or without them."""
    return tuple(_record(options.model_path).get("matryoshka") or ())


def load(choice: Choice, loader: Callable[[str], T]) -> tuple[T | None, Choice]:
    """Load a model; one that only the student's record names may be missing, which is said.

    Returns:
        The model, or None and the choice with the reason.

    Raises:
        ModelError: the user named the model and it cannot be loaded.
    """
    reason = choice.reason
    if choice.name is not None and not reason:
        try:
            return loader(choice.name), choice
        except ModelError as error:
            if choice.demanded:
                raise
            reason = error.what
    say(f"no {choice.role} to compare with: {reason}" + (f" ({choice.name})" if choice.name else ""))
    return None, Choice(choice.role, choice.name, choice.demanded, reason)


def _record(model_path: str) -> dict[str, Any]:
    path = Path(loading.resolve(model_path)) / artifacts.MODEL_RECORD
    return artifacts.read_json(path) if path.exists() else {}


def _choice(role: str, given: str | None, recorded: Any, model_path: str) -> Choice:
    if given is not None:
        return Choice(role, given, demanded=True)
    if isinstance(recorded, str) and recorded.startswith(IMPORTED):
        return Choice(role, recorded, reason=ONLY_IMPORTED)
    if isinstance(recorded, str) and recorded:
        return Choice(role, recorded)
    return Choice(role, reason=f"neither the options nor {artifacts.MODEL_RECORD} of {model_path} name one")
