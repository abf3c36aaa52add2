"""What a run left in its journal, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bistill import artifacts, journal
from bistill.errors import ArtifactError

if TYPE_CHECKING:
    import pandas as pd

OF_A_STEP = ("epoch", "lr", "grad_norm", "seconds", "tokens", "tokens_per_second", "memory_mib")


def history(folder: str | Path) -> pd.DataFrame:
    """Steps and validations of the newest run in a model's folder.

    Args:
        folder: of a model that was trained here.

    Returns:
        A row for each update, by its number; row 0 is the validation before the first. Columns: the terms of the loss
        by name, ``lr``, ``grad_norm``, ``seconds`` and others of the journal, and ``validation_`` figures, NaN where
        nothing was validated. Of an update that was done again the last one stands there.

    Raises:
        ArtifactError: there is no journal.
    """
    import pandas as pd

    path = Path(folder) / artifacts.JOURNAL
    if not path.is_file():
        raise ArtifactError("there is no record of a training", where=str(path), todo="give the folder of a model")
    rows: dict[int, dict[str, Any]] = {}
    begun = False
    for line in journal.read(path):
        event = line["event"]
        if event == "start":
            begun = True
        elif event == "resume" or line.get("kind") == "rollback":
            kept = line["step"] if event == "resume" else line["to_step"]
            rows, begun = {step: row for step, row in rows.items() if step <= kept}, False
        elif event in ("step", "evaluation"):
            rows, begun = ({} if begun else rows), False
            rows.setdefault(line["step"], {}).update(_row(line))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step").sort_index()


def _row(line: dict[str, Any]) -> dict[str, Any]:
    if line["event"] == "step":
        return {**line["terms"], **{name: line[name] for name in OF_A_STEP if name in line}}
    return {f"validation_{name}": value for name, value in line["figures"].items()}
