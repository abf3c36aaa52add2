"""The calibration of a student, kept beside it as ``calibration.json``.

It is no module of the model: loaders of the ecosystem refuse what they do not know, and rankings do not need it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from bistill import artifacts, console
from bistill.errors import ArtifactError, Told
from bistill.models.calibration import Calibration
from bistill.models.files import folder as model_folder
from bistill.models.files import loading

SCHEMA: Final = "bistill.calibration/1"


def write(folder: Path, calibration: Calibration, **facts: Any) -> None:
    """Write the line that turns a cosine into a probability of relevance, with the fingerprint of its weights.

    Args:
        folder: of the student, whole.
        calibration: the line through its cosines.
        facts: on which data it was fitted, and what it reached there.
    """
    artifacts.write_json(
        folder / artifacts.CALIBRATION_FILE,
        {
            "schema": SCHEMA,
            "a": calibration.a,
            "b": calibration.b,
            "weights": model_folder.weights_fingerprint(folder),
            **facts,
        },
    )


def read(name: str) -> Calibration | None:
    """The calibration beside a model; None where there is none, and, with a word, where the weights have changed since.

    Args:
        name: folder or hub name of the model.

    Raises:
        ArtifactError: the file holds no rising line.
    """
    folder = Path(loading.resolve(name))
    file = folder / artifacts.CALIBRATION_FILE
    if not file.is_file():
        return None
    found = artifacts.read_json(file)
    line: tuple[Any, ...] = (found.get("a"), found.get("b"))
    if not all(isinstance(value, float | int) and math.isfinite(value) for value in line) or line[0] <= 0:
        raise ArtifactError(
            "the file holds no rising line",
            where=str(file),
            found=Told(f"a {line[0]!r}, b {line[1]!r}"),
            todo="delete it",
        )
    if found.get("weights") != model_folder.weights_fingerprint(folder):
        console.say(f"{file} is of other weights than those beside it, and is not used")
        return None
    return Calibration(a=float(line[0]), b=float(line[1]))
