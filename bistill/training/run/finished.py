"""Nothing finished is replaced silently: what a folder holds already is compared with what a command would make.

A model is known by what decides it: the options, and the content of what they name (data, start model, teachers,
miner). A name of the same content is the same, so a project may move; where the content differs, the option is named.
Options that only say where and how something is written or held, and versions of packages, do not count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from bistill import artifacts, console, journal
from bistill.candidates.scores.teachers import is_model
from bistill.errors import ArtifactError, OptionError
from bistill.models.files import folder as model_folder
from bistill.models.files import loading
from bistill.settings import differences
from bistill.training.run import folder as run_folder
from bistill.training.run.checkpoint import Checkpoints
from bistill.training.run.given import Given, as_json, without_source
from bistill.training.settings import Place

# The name of a data version stands for its content, and so does the folder that it lies in.
DATA: Final = ("data_version", "data_root")


def content_of(names: Collection[str]) -> str:
    """SHA-256 of the content of models, wherever they lie; other kinds of teacher are known by name.

    Raises:
        ModelError: a model is neither on this machine nor can it be fetched.
    """
    found = [loading.model_fingerprint(loading.resolve(name)) if is_model(name) else name for name in names]
    return artifacts.fingerprint({"models": found})


def model_of(stage: str, place: Place, given: Given, inputs: Callable[[], Mapping[str, str]]) -> dict[str, Any] | None:
    """The record of the finished model in ``output_dir``, where it is the one that a run would make; said.

    None where there is something to do: there is no finished model, or it is to be replaced. Nothing is written but
    the end of a record that a killed process left open.

    Args:
        stage: teacher or student.
        place: of the run.
        given: to the run.
        inputs: SHA-256 of the content of everything that ``given`` names, by name.

    Raises:
        OptionError: a model is there that would be replaced, and that is not wanted; what differs is named.
        ModelError: as ``content_of``.
    """
    folder = Path(place.output_dir)
    if run_folder.has_checkpoints(folder) and not place.restart:
        return None
    try:
        record = artifacts.read_json(folder / artifacts.MODEL_RECORD)
    except ArtifactError:
        record = None
    if record is None:
        _refuse_foreign(folder, place)
        return None
    found = _changes(record, stage, given, inputs)
    if not found and (lost := _lost(folder, record)):
        console.say(f"{folder}: the finished {stage} lacks {', '.join(lost)}: it is made anew")
        return None
    found = found or _changed_weights(folder, record)
    if found and not place.overwrite:
        raise OptionError(
            f"the folder holds a finished {record.get('stage', 'model')} that was made otherwise: {'; '.join(found)}",
            where="`output_dir`",
            found=str(folder),
            todo="give `overwrite` to replace it once the new one is whole, or another `output_dir`",
        )
    if found or (place.overwrite and place.restart) or _is_being_replaced(folder, place, given):
        console.say(f"{folder}: the finished {record.get('stage', 'model')} stays until the new one is whole")
        return None
    _close_journal(folder)
    console.say(
        f"{folder}: the {stage} of these options, data and models is finished; nothing to do "
        "(`overwrite` with `restart` trains it again)"
    )
    return record


def _changes(record: Mapping[str, Any], stage: str, given: Given, inputs: Callable[[], Mapping[str, str]]) -> list[str]:
    """What a finished model was made from otherwise, in words. A name that is newer than the record acted as its
    default does."""
    if record.get("stage") != stage:
        return [f"it is a {record.get('stage')}, wanted is a {stage}"]
    if (known := record.get("inputs")) is None:
        return ["an earlier version of bistill, which kept no record of the content of data and models, made it"]
    now, content = given.deciding(), inputs()
    before = as_json({name: value for name, value in given.defaults.items() if name in now})
    before |= {name: value for name, value in record["options"].items() if name in now}
    found = [*without_source(now), _named(before, now, now.keys() - content.keys() - set(DATA))]
    for name in content:
        if known.get(name) != content[name]:
            other = _named(before, now, DATA if name in DATA else (name,))
            found.append(other or f"what `{name}` {now[name]} names has changed since")
    return [item for item in found if item]


def _named(then: Mapping[str, Any], now: Mapping[str, Any], names: Collection[str]) -> str:
    before, after = ({name: values.get(name) for name in names} for values in (then, now))
    return differences(before, after, parameters=True)


def _lost(folder: Path, record: Mapping[str, Any]) -> list[str]:
    return [name for name in record.get("files", ()) if not (folder / name).exists()]


def _changed_weights(folder: Path, record: Mapping[str, Any]) -> list[str]:
    if (then := record.get("weights")) is None or then == model_folder.weights_fingerprint(folder):
        return []
    return ["its weights are not those that were trained here"]


def _refuse_foreign(folder: Path, place: Place) -> None:
    """Raise where weights lie in a folder that no run has finished or begun, so that a user may miss them."""
    begun = run_folder.folder_of_work(folder)
    weights = model_folder.weights(folder)
    if weights and not place.overwrite and not run_folder.has_checkpoints(begun):
        raise OptionError(
            "the folder holds a model that was not trained there",
            where="`output_dir`",
            found=", ".join(map(str, weights)),
            todo="give `overwrite` to replace it once the new one is whole, or another `output_dir`",
        )


def _is_being_replaced(folder: Path, place: Place, given: Given) -> bool:
    """Whether the run that made the model was killed before it had left its own folder, and is to go on there."""
    begun = folder / artifacts.REPLACEMENT_FOLDER
    newest = Checkpoints(begun / artifacts.CHECKPOINTS_FOLDER, keep=1).newest_run() if place.overwrite else None
    return newest is not None and newest[1].get("options") == given.deciding()


def _close_journal(folder: Path) -> None:
    """Let the record of a run end where its process was killed after the model was whole, so that it is not shown as
    crashed."""
    path = folder / artifacts.JOURNAL
    with contextlib.suppress(OSError, ArtifactError):
        last = journal.last(path)
        if (last.get("event"), last.get("status")) != ("end", "finished"):
            writer = journal.Journal(path)
            writer.write("end", status="finished", seconds=0.0)
            writer.close()
