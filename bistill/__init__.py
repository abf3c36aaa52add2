"""bistill: labelled text in, a Cross-Encoder teacher, a distilled Bi-Encoder student and its evaluation out.

``bistill.load(path)`` is a ``Student``: it encodes, scores and searches. ``bistill.load_teacher(path)`` is a
``Teacher``: it scores pairs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bistill.serving.student import Student as Student
    from bistill.serving.student import Student as load  # noqa: N813
    from bistill.serving.teacher import Teacher as Teacher
    from bistill.serving.teacher import Teacher as load_teacher  # noqa: N813

__version__ = "0.2.0"
__all__ = ["Student", "Teacher", "__version__", "load", "load_teacher"]

# What is offered, and where it lies: to import the package alone must not load torch.
OFFERED: Final = {
    "Student": "bistill.serving.student:Student",
    "Teacher": "bistill.serving.teacher:Teacher",
    "load": "bistill.serving.student:Student",
    "load_teacher": "bistill.serving.teacher:Teacher",
}


def __getattr__(name: str) -> Any:
    """What is offered, loaded on first use."""
    if name in OFFERED:
        module, attribute = OFFERED[name].split(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *OFFERED})
