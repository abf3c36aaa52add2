"""Which models stand beside the student: those that are named, else those of the student's own record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bistill import artifacts
from bistill.candidates.scores.teachers import IMPORTED
from bistill.candidates.settings import TeacherReading
from bistill.console import say
from bistill.errors import ModelError, OptionError
from bistill.evaluation.settings import Beside
from bistill.models.files import loading
from bistill.models.settings import Inference

T = TypeVar("T")
ONLY_IMPORTED: Final = "its scores were imported: it cannot read other pairs"


@dataclass(frozen=True)
class Companion:
    """A model to compare with, or why there is none.

    Attributes:
        role: "base", "cut", "teacher" or "compared".
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


def companions(student: str, beside: Beside) -> tuple[Companion, Companion, Companion, Companion]:
    """Base model, its untaught cut, teacher and second student of an evaluation.

    Args:
        student: folder or hub name.
        beside: what is named; what is not comes from the student's own record.

    Raises:
        ModelError: the student's folder does not exist, or a model that is named does not.
        OptionError: imported scores are named as the teacher.
    """
    if (beside.teacher or "").startswith(IMPORTED):
        raise OptionError(
            ONLY_IMPORTED,
            where="`Beside.teacher`",
            found=beside.teacher,
            todo="give the folder or hub name of a re-ranker, or leave it out",
        )
    record = _record(student)
    base = (
        _companion("base", beside.base, record.get("base_model"), student)
        if beside.with_base
        else Companion("base", beside.base, reason="the options leave it out")
    )
    teacher = (
        _companion("teacher", beside.teacher, record.get("teacher_path"), student)
        if beside.rerank_depth
        else Companion("teacher", beside.teacher, reason="the options leave it out: rerank_depth is 0")
    )
    compared = (
        Companion("compared", reason="the options name no second student")
        if beside.compared is None
        else Companion("compared", beside.compared, demanded=True)
    )
    cut = _cut(record) if beside.with_base else Companion("cut", reason=base.reason)
    for companion in (base, teacher, compared):
        if companion.demanded:
            assert companion.name is not None
            loading.resolve(companion.name)  # a wrong name fails before anything is encoded
    return base, cut, teacher, compared


def teacher_settings(companion: Companion, student: str, inference: Inference) -> TeacherReading:
    """How the teacher reads: as the student's own record says where the teacher comes from there, so that scores of
    training are found in the cache; else as it was made to."""
    trained = {} if companion.demanded else _record(student).get("options", {})
    return TeacherReading(
        max_len=trained.get("teacher_max_len"),
        instruction=trained.get("teacher_instruction"),
        precision=inference.precision,
        batch_size=inference.batch_size,
        trust_remote_code=inference.trust_remote_code,
    )


def layers(student: str) -> list[int]:
    """Numbers of the layers of its base model that a student was made of; none where these are all."""
    return list(_record(student).get("start_layers") or ())


def base_reading(companion: Companion, student: str) -> dict[str, Any]:
    """Prompts and pooling of the base model: those that the student's training was told to read its start with, so that
    only the training differs; of a model that is named, its own."""
    trained = {} if companion.demanded else _record(student).get("options", {})
    given = {"query_prompt": "query_prompt", "document_prompt": "document_prompt", "pooling_name": "pooling"}
    return {name: trained.get(option) for name, option in given.items()}


def before(student: str) -> dict[str, Any]:
    """What the student's record says of the validation queries: ``teacher_gate``, its teacher and the base model
    before distilling, and ``beside_start``, the trained student and the base model; None where it says nothing."""
    record = _record(student)
    return {
        name: found if isinstance(found := record.get(name), dict) else None
        for name in ("teacher_gate", "beside_start")
    }


def matryoshka(student: str) -> tuple[int, ...]:
    """Lengths of the prefixes that the student's record names; none for a model without a record or without them."""
    return tuple(_record(student).get("matryoshka") or ())


def load(companion: Companion, loader: Callable[[str], T]) -> tuple[T | None, Companion]:
    """Load a model; one that only the student's record names may be missing, which is said.

    Returns:
        The model, or None and the companion with the reason.

    Raises:
        ModelError: the user named the model and it cannot be loaded.
    """
    reason = companion.reason
    if companion.name is not None and not reason:
        try:
            return loader(companion.name), companion
        except ModelError as error:
            if companion.demanded:
                raise
            reason = error.what
    say(f"no {companion.role} to compare with: {reason}" + (f" ({companion.name})" if companion.name else ""))
    return None, Companion(companion.role, companion.name, companion.demanded, reason)


def is_there(companion: Companion) -> bool:
    """Whether a model is at hand, one that only the student's record names.

    Raises:
        ModelError: the user named it, and it is not.
    """
    try:
        loading.local_folder(str(companion.name))
    except ModelError:
        if companion.demanded:
            raise
        return False
    return True


def _record(model_path: str) -> dict[str, Any]:
    path = Path(loading.resolve(model_path)) / artifacts.MODEL_RECORD
    return artifacts.read_json(path) if path.exists() else {}


def _cut(record: dict[str, Any]) -> Companion:
    """The base model with the student's layers alone: it stands beside a student that has less than all of them."""
    if not record.get("start_layers"):
        return Companion("cut", reason=f"{artifacts.MODEL_RECORD} of the student names no layers that it was cut to")
    return Companion("cut", record.get("base_model"))


def _companion(role: str, given: str | None, recorded: Any, model_path: str) -> Companion:
    if given is not None:
        return Companion(role, given, demanded=True)
    if isinstance(recorded, str) and recorded.startswith(IMPORTED):
        return Companion(role, recorded, reason=ONLY_IMPORTED)
    if isinstance(recorded, str) and recorded:
        return Companion(role, recorded)
    return Companion(role, reason=f"neither the options nor {artifacts.MODEL_RECORD} of {model_path} name one")
