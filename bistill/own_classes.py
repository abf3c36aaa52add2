"""What is known of an object that is not ours, a user's own loss or miner: its class, its settings, its source."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any, Final

UNKNOWN: Final = "unknown source"


def described(value: object, settings: str | None = None) -> str:
    """Qualified name, settings and the SHA-256 of the source of an object's class, as one text.

    Args:
        value: the object.
        settings: what its settings are known by; None: its attributes, which have to have a ``repr`` of their own.

    Where there is no source (a class typed into an interpreter) ``UNKNOWN`` stands in its place: the run works, and one
    that is interrupted cannot go on, since nobody can tell whether the class is the same.
    """
    kind = type(value)
    source = source_digest(kind)
    told = _settings(value) if settings is None else settings
    return f"{kind.__module__}.{kind.__qualname__}({told}), {f'sha256 {source}' if source else UNKNOWN}"


def source_digest(kind: type) -> str | None:
    """SHA-256 of the source of a class and of those of its module that it is made of; None where there is none."""
    try:
        text = "\n".join(inspect.getsource(part) for part in kind.__mro__ if part.__module__ == kind.__module__)
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _settings(value: object) -> str:
    found: dict[str, Any] = dict(sorted(vars(value).items())) if hasattr(value, "__dict__") else {}
    return ", ".join(f"{name}={setting!r}" for name, setting in found.items())
