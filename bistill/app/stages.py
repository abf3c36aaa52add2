"""A stage of the pipeline: run, unless it is unchanged.

A stage is skipped when its inputs are those of its last run (options, data files, models, the stage before) and its
outputs are still the files that run wrote, by SHA-256. Both stand in ``stage.json`` in the stage's folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bistill import __version__, artifacts, console
from bistill.app.config import EvaluationOptions, PrepareOptions, TrainingOptions
from bistill.app.options import Options, altering
from bistill.errors import ArtifactError
from bistill.evaluation.report.summary import print_summary
from bistill.models.files import folder as model_folder
from bistill.models.files import loading
from bistill.training.run.folder import has_checkpoints


@dataclass(frozen=True)
class Stage:
    """One stage as the pipeline sees it.

    Attributes:
        name: shown to the user.
        options: its options, joined with those of the other stages.
        output_dir: where it writes.
        action: runs it.
        needs: names of the data files and earlier stages that it reads.
        model: model it starts from; "" for none.
        outputs: names of the files in a folder that must be whole for the stage to be skipped; those that make up a
            model, where nothing else is said.
    """

    name: str
    options: Options
    output_dir: str
    action: Callable[[Any], object]
    needs: tuple[str, ...]
    model: str = ""
    outputs: Callable[[Path], Sequence[str]] = model_folder.model_files


def done(stage: Stage, inputs: dict[str, str], *, force: bool) -> str:
    """Run a stage unless it is unchanged; the fingerprint of its outputs, by which later stages know it."""
    model = loading.model_fingerprint(loading.resolve(stage.model)) if stage.model else ""
    wanted = artifacts.fingerprint(
        {"bistill": __version__, "options": altering(stage.options), "inputs": inputs, "model": model}
    )
    folder = Path(stage.output_dir)
    if not force and _unchanged(folder, wanted):
        console.say(f"{stage.name}: inputs unchanged, {folder} is reused")
        if isinstance(stage.options, EvaluationOptions):  # what it prints when it runs
            print_summary(artifacts.read_json(folder / artifacts.EVALUATION_JSON), stage.options.language)
        return artifacts.fingerprint(artifacts.read_json(folder / artifacts.STAGE_RECORD)["outputs"])
    console.say(f"{stage.name}: started")
    stage.action(replacing(stage, folder, wanted, force=force))
    hashes = {file: artifacts.sha256_of_file(folder / file) for file in stage.outputs(folder)}
    artifacts.write_json(folder / artifacts.STAGE_RECORD, {"inputs": wanted, "outputs": hashes})
    return artifacts.fingerprint(hashes)


def replacing(stage: Stage, folder: Path, wanted: str, *, force: bool) -> Options:
    """The options with which a stage replaces what its own last run made: of other inputs, or with files changed since.

    What somebody else made there is none of the pipeline's: the stage itself keeps or refuses it.
    """
    options, recorded = stage.options, _recorded(folder)
    if isinstance(options, PrepareOptions):  # what it replaces it says itself
        return dataclasses.replace(options, overwrite=recorded is not None and _as_written(folder, recorded))
    if not isinstance(options, TrainingOptions):
        return options
    if recorded is None and not force:
        return options
    same = recorded is not None and recorded.get("inputs") == wanted
    reason = "its files have changed" if same else "its inputs have changed"
    console.say(
        f"{stage.name}: {'--force' if force else reason}; "
        f"a finished model in {folder} is replaced once the new one is whole (--overwrite)"
    )
    # The same once more, unless that was begun already and broken off.
    anew = (same or force) and not (has_checkpoints(folder) or has_checkpoints(folder / artifacts.REPLACEMENT_FOLDER))
    return dataclasses.replace(options, overwrite=True, restart=options.restart or anew)


def _recorded(folder: Path) -> dict[str, Any] | None:
    """What the pipeline's last run of a stage left about it."""
    try:
        return artifacts.read_json(folder / artifacts.STAGE_RECORD)
    except ArtifactError:
        return None


def _unchanged(folder: Path, wanted: str) -> bool:
    """Whether the stage's last run had the same inputs, and what it wrote is all there as it wrote it."""
    record = _recorded(folder) or {}
    return record.get("inputs") == wanted and _as_written(folder, record)


def _as_written(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether all that a stage's last run wrote is there as it wrote it."""
    written = record.get("outputs")
    return isinstance(written, dict) and all(
        (folder / file).is_file() and artifacts.sha256_of_file(folder / file) == hashed
        for file, hashed in written.items()
    )
