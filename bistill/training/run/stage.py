"""What both stages do around the engine: data, journal, and the record beside the model."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from bistill import artifacts, console
from bistill.config import DataOptions, DistillationOptions, TeacherOptions, assembling
from bistill.data.store.dataset import Dataset
from bistill.errors import ArtifactError, OptionError
from bistill.journal import Journal, finite, versions
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from bistill.options import altering
from bistill.training.loop.engine import Engine, Task
from bistill.training.loop.schedule import Rates
from bistill.training.run import saving
from bistill.training.run.folder import check_space, folder_of_work, leave, owned, take_place
from bistill.training.run.hooks import ShowProgress, Validate, WatchLeaps, WriteJournal
from bistill.training.run.signals import Stopped, ending_on_sigterm
from bistill.training.run.tracking import Track, check_trackers
from bistill.training.run.watched import failure, stacks_on_request, this_process


def load_data(options: DataOptions, journal: Journal) -> tuple[Dataset, Dataset]:
    """Training and validation data of a data version; rejected rows go beside the journal, fingerprints into it.

    Raises:
        DataError: the folder or a file is missing, a row is bad, or a file has no query with a positive.
    """
    splits = assembling.version(options).training(on_bad_rows=options.on_bad_rows, rejected_to=journal.folder)
    journal.write("data", train=splits[0].fingerprint, valid=splits[1].fingerprint)
    return splits


def refuse_overwriting(output_dir: str, models: Sequence[str], what: str) -> None:
    """Raise where a run would write its model over one that it reads: what the record names would not be there any
    more, and an interrupted run could not go on.

    Args:
        output_dir: folder of the run.
        models: folders or hub names.
        what: would happen.

    Raises:
        OptionError: one of the models lies in the folder of the run.
        ModelError: a folder that is named does not exist.
    """
    if Path(output_dir).resolve() in {Path(loading.resolve(name)).resolve() for name in models}:
        raise OptionError(what, where="--output_dir", found=output_dir, todo="give another folder")


def _folder_of_work(output_dir: Path, options: TeacherOptions | DistillationOptions) -> Path:
    """Where this run is at work; what an interrupted run of other options left there is refused.

    Raises:
        OptionError: it is there.
    """
    if options.restart:  # before it is asked where to be at work: of a run that was broken off nothing stays
        for folder in (output_dir, output_dir / artifacts.REPLACEMENT_FOLDER):
            saving.prepare(folder, options, altering(options))
    folder = folder_of_work(output_dir)
    saving.prepare(folder, options, altering(options))
    return folder


@contextmanager
def recorded(stage: str, options: TeacherOptions | DistillationOptions) -> Iterator[Journal]:
    """The folder of a run, for it alone, and its journal: a ``start`` line with process, versions, command line and
    options, an ``end`` line whatever happens. SIGUSR1 has the stacks written.

    Where a model is in the folder, the run is at work in one inside until its own is whole: ``journal.folder``.

    Raises:
        ArtifactError: the folder cannot be written, or another run is at work in it.
        OptionError: an interrupted run of other options is in it, or a tracker is not there.
    """
    check_trackers(options.trackers)
    output_dir = Path(options.output_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_on_sigterm())
        stack.enter_context(owned(output_dir, " ".join(sys.argv)))
        folder = _folder_of_work(output_dir, options)
        if folder != output_dir:
            stack.enter_context(owned(folder, " ".join(sys.argv)))
        stack.enter_context(stacks_on_request(folder))
        journal = Journal(folder / artifacts.JOURNAL)
        journal.write(
            "start",
            stage=stage,
            **this_process(),
            argv=sys.argv,
            options=dataclasses.asdict(options),
            versions=versions(),
        )
        started = time.monotonic()
        status, said = "finished", {}
        try:
            yield journal
        except (Stopped, KeyboardInterrupt):
            status = "stopped"
            raise
        except BaseException as error:
            status, said = "failed", failure(error)
            raise
        finally:
            journal.write("end", status=status, **said, seconds=round(time.monotonic() - started, 1))
            journal.close()


def fit(
    stage: str,
    task: Task,
    encoder: CrossEncoder | BiEncoder,
    options: TeacherOptions | DistillationOptions,
    validation: Validate,
    journal: Journal,
    *,
    run: dict[str, Any],
    rates: Rates,
    settle: Callable[[], dict[str, Any]] = dict,
    beside: Callable[[Path], dict[str, Any]] = lambda _: {},
    **facts: Any,
) -> dict[str, Any]:
    """Train to the end, save the best weights, and write ``bistill.json``: what the model was made from and reached.

    Args:
        stage: teacher or student, for messages and the record.
        task: what the engine trains on.
        encoder: the model around the task's module; saved at the end.
        options: of the command.
        validation: decides which weights are the best.
        journal: of the run.
        run: fingerprints of data, models and task; an interrupted run goes on only with the same.
        rates: peak learning rates.
        settle: may change the best weights before they are saved, and gives its part of the record.
        beside: writes what belongs into the model's folder beside the weights, and gives its part of the record.
        facts: further fields of the record.

    Returns:
        The record.

    Raises:
        BistillError: see ``Engine.run`` and ``Saving``.
    """
    output_dir, folder = Path(options.output_dir), journal.folder
    journal.write("inputs", **run)
    checkpoints = saving.Saving(folder, options, {"options": altering(options), **run, "versions": versions()}, journal)
    engine = Engine(
        task,
        options,
        precision=encoder.precision,
        hooks=[
            ShowProgress(f"training {stage}"),
            WriteJournal(journal),
            WatchLeaps(options.spike_rollbacks),
            validation,
            Track(options.trackers, output_dir, dataclasses.asdict(options)),
        ],
        saving=checkpoints,
        rates=rates,
    )
    # One checkpoint more than are kept, while the newest is written; then the model, twice for a moment.
    whole = sum(value.numel() * value.element_size() for value in encoder.model.parameters())
    missing = max(options.keep + 1 - checkpoints.count(), 0)
    check_space(output_dir, missing * engine.state_bytes() + 3 * whole, "the run with its checkpoints and model")
    progress = engine.run()
    facts |= settle()
    record: dict[str, Any] = finite(
        {
            "schema": "bistill.model/1",
            "stage": stage,
            **facts,
            "data": run["data"],
            "updates": progress.step,
            "best_step": validation.best_step,
            "peak_lr": rates.body,
            "validation": validation.figures,
            "validation_untouched": validation.first or None,
            "options": dataclasses.asdict(options),
            "versions": versions(),
        }
    )
    _publish(encoder, options, record, beside, journal)
    weights = f"of step {validation.best_step}" if validation.best_step else "as it started"
    console.say(f"{stage} {weights} written to {output_dir}")
    checkpoints.finish()
    leave(folder, output_dir)
    return record


def _publish(
    encoder: CrossEncoder | BiEncoder,
    options: TeacherOptions | DistillationOptions,
    record: dict[str, Any],
    beside: Callable[[Path], dict[str, Any]],
    journal: Journal,
) -> None:
    """Write the model beside, whole, and then move its files in; the record, completed by ``beside``, comes last, and
    with it the journal.

    Raises:
        ArtifactError: the disk is full; the checkpoint of the last update is whole.
    """
    output_dir, folder = Path(options.output_dir), journal.folder
    unfinished = folder / artifacts.UNFINISHED_MODEL
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        encoder.save(unfinished, assembling.lora(options))
        record |= beside(unfinished)
        record |= {"weights": artifacts.weights_fingerprint(unfinished), "files": artifacts.model_files(unfinished)}
        artifacts.move_model(unfinished, output_dir)
        artifacts.write_json(output_dir / artifacts.MODEL_RECORD, record)
        journal.write("saved", path=str(output_dir), step=record["best_step"])
        take_place(folder, output_dir, journal)
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
