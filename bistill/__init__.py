"""bistill: labelled text in, a Cross-Encoder teacher, a distilled Bi-Encoder student and its evaluation out.

``bistill.load(path).score(query, documents)`` is the student's relevance of documents, as cosine, normalised and
calibrated; see ``bistill.serving.score``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bistill.serving.score import load as load

__version__ = "0.2.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """``load`` on first use: to import the package alone must not load torch."""
    if name == "load":
        from bistill.serving.score import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
