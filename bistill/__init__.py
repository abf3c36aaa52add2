"""bistill: labelled text in, a Cross-Encoder teacher, a distilled Bi-Encoder student and its evaluation out.

``Dataset`` holds labelled rows, ``train_teacher`` and ``distill`` make models of them, ``evaluate`` measures one.
``bistill.load(path)`` is a ``Student``: it encodes, scores and searches. ``bistill.load_teacher(path)`` is a
``Teacher``: it scores pairs. See ``docs/api.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bistill import losses as losses
    from bistill import miners as miners
    from bistill.api.dataset import Dataset as Dataset
    from bistill.api.evaluation import evaluate as evaluate
    from bistill.api.training import distill as distill
    from bistill.api.training import train_teacher as train_teacher
    from bistill.candidates.settings import Limits as Limits
    from bistill.candidates.settings import Lists as Lists
    from bistill.candidates.settings import Promotion as Promotion
    from bistill.candidates.settings import TeacherReading as TeacherReading
    from bistill.models.settings import EncoderStart as EncoderStart
    from bistill.models.settings import Lora as Lora
    from bistill.models.settings import RerankerStart as RerankerStart
    from bistill.serving.student import Student as Student
    from bistill.serving.student import Student as load  # noqa: N813
    from bistill.serving.teacher import Teacher as Teacher
    from bistill.serving.teacher import Teacher as load_teacher  # noqa: N813
    from bistill.training.settings import Checkpointing as Checkpointing
    from bistill.training.settings import Merging as Merging
    from bistill.training.settings import Validation as Validation

__version__ = "0.2.0"
# What is offered, and where it lies: to import the package alone must not load torch.
OFFERED: Final = {
    "Checkpointing": "bistill.training.settings:Checkpointing",
    "Dataset": "bistill.api.dataset:Dataset",
    "EncoderStart": "bistill.models.settings:EncoderStart",
    "Limits": "bistill.candidates.settings:Limits",
    "Lists": "bistill.candidates.settings:Lists",
    "Lora": "bistill.models.settings:Lora",
    "Merging": "bistill.training.settings:Merging",
    "Promotion": "bistill.candidates.settings:Promotion",
    "RerankerStart": "bistill.models.settings:RerankerStart",
    "Student": "bistill.serving.student:Student",
    "Teacher": "bistill.serving.teacher:Teacher",
    "TeacherReading": "bistill.candidates.settings:TeacherReading",
    "Validation": "bistill.training.settings:Validation",
    "distill": "bistill.api.training:distill",
    "evaluate": "bistill.api.evaluation:evaluate",
    "load": "bistill.serving.student:Student",
    "load_teacher": "bistill.serving.teacher:Teacher",
    "train_teacher": "bistill.api.training:train_teacher",
}
MODULES: Final = ("losses", "miners")
__all__ = [
    "Checkpointing",
    "Dataset",
    "EncoderStart",
    "Limits",
    "Lists",
    "Lora",
    "Merging",
    "Promotion",
    "RerankerStart",
    "Student",
    "Teacher",
    "TeacherReading",
    "Validation",
    "__version__",
    "distill",
    "evaluate",
    "load",
    "load_teacher",
    "losses",
    "miners",
    "train_teacher",
]


def __getattr__(name: str) -> Any:
    """What is offered, loaded on first use."""
    if name in OFFERED:
        module, attribute = OFFERED[name].split(":")
        return getattr(import_module(module), attribute)
    if name in MODULES:
        return import_module(f"bistill.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *OFFERED, *MODULES})
