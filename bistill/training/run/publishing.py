"""A finished model moves into its folder: written beside, whole, its record last."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError

from bistill import artifacts
from bistill.errors import ArtifactError
from bistill.journal import Journal
from bistill.models.files import folder as model_folder
from bistill.models.settings import Lora
from bistill.training.run.folder import take_place


class Saved(Protocol):
    """A model that can write itself into a folder."""

    def save(self, folder: Path, adapters: Lora | None) -> None:
        """Write all its files."""


def publish(
    encoder: Saved,
    adapters: Lora | None,
    record: dict[str, Any],
    beside: Callable[[Path], dict[str, Any]],
    output_dir: Path,
    journal: Journal,
) -> None:
    """Write the model beside, whole, and then move its files in; the record, completed by ``beside``, comes last, and
    with it the journal.

    Args:
        encoder: the model.
        adapters: what of it was trained; None: all weights.
        record: of the model; completed.
        beside: writes what belongs into the folder beside the weights, and gives its part of the record.
        output_dir: folder of the model.
        journal: of the run, in the folder in which it is at work.

    Raises:
        ArtifactError: the disk is full; the checkpoint of the last update is whole.
    """
    unfinished = journal.folder / artifacts.UNFINISHED_MODEL
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        encoder.save(unfinished, adapters)
        record |= beside(unfinished)
        record |= {
            "weights": model_folder.weights_fingerprint(unfinished),
            "files": model_folder.model_files(unfinished),
        }
        model_folder.move_model(unfinished, output_dir)
        artifacts.write_json(output_dir / artifacts.MODEL_RECORD, record)
        journal.write("saved", path=str(output_dir), step=record["best_step"])
        take_place(unfinished.parent, output_dir, journal)
    except Exception as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if (reason := _refusal(error)) is None:
            raise
        raise ArtifactError(
            f"the model cannot be written ({reason})",
            where=str(output_dir),
            todo="free space and give the same command again: it goes on from the last checkpoint",
        ) from error


def _refusal(error: Exception) -> str | None:
    """Why the system refused to write, None for an error of another kind.

    Only Python says it by an ``OSError``: safetensors has a class of its own, tokenizers a bare ``Exception`` with the
    system's number, and torch another error on top, when it closes the archive that it could not write.
    """
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        return str(error.__context__)
    refused = isinstance(error, OSError | SafetensorError) or "(os error " in str(error)
    return str(error) if refused else None
