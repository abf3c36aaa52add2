"""What both stages do around the engine: the run in its folder, its journal, and the record beside the model."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bistill import artifacts, console
from bistill.errors import OptionError
from bistill.journal import Journal, finite, versions
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from bistill.models.settings import Lora
from bistill.training.loop import shared
from bistill.training.loop.engine import Engine, Task
from bistill.training.loop.hook import Hook
from bistill.training.loop.optimizer import Rates
from bistill.training.loop.shortage import Held
from bistill.training.run import saving
from bistill.training.run.folder import check_space, folder_of_work, leave, owned
from bistill.training.run.gain import gained
from bistill.training.run.given import Given
from bistill.training.run.hooks import ShowProgress, Validate, WatchLeaps, WriteJournal
from bistill.training.run.publishing import publish
from bistill.training.run.signals import Stopped, ending_on_sigterm
from bistill.training.run.tracking import Track, check_trackers
from bistill.training.run.watched import failure, not_there, nothing_left_if_refused, stacks_on_request, this_process
from bistill.training.settings import Checkpointing, Loop, Place


@dataclass(frozen=True)
class Run:
    """A run at work in its folder.

    Attributes:
        stage: what it trains, as the journal calls it: ``teacher`` or ``distillation``.
        place: where.
        given: what it was given, for its records.
        checkpointing: when checkpoints are written.
        journal: its record; ``journal.folder`` is where it is at work, which is a folder inside ``place.output_dir``
            where a finished model is there.
    """

    stage: str
    place: Place
    given: Given
    checkpointing: Checkpointing
    journal: Journal


@dataclass(frozen=True)
class Training:
    """What a stage has the engine do.

    Attributes:
        name: of what comes out, for messages and the record: ``teacher`` or ``student``.
        task: what the engine trains on.
        encoder: the model around the task's module; saved at the end.
        loop: epochs, batch size, seed.
        lora: what of the model is trained; None: all weights.
        validation: decides which weights are the best.
        rates: peak learning rates.
        identity: fingerprints of data, models and task; an interrupted run goes on only with the same.
        held: what a user can change where memory does not suffice.
        settle: may change the best weights before they are saved, and gives its part of the record.
        beside: writes what belongs into the model's folder beside the weights, and gives its part of the record.
        facts: further fields of the record.
        hooks: act before the validation does.
    """

    name: str
    task: Task
    encoder: CrossEncoder | BiEncoder
    loop: Loop
    lora: Lora | None
    validation: Validate
    rates: Rates
    identity: dict[str, Any]
    held: Held = Held()
    settle: Callable[[], dict[str, Any]] = dict
    beside: Callable[[Path], dict[str, Any]] = lambda _: {}
    facts: dict[str, Any] = field(default_factory=dict)
    hooks: Sequence[Hook] = ()


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
        raise OptionError(what, where="`output_dir`", found=output_dir, todo="give another folder")


@contextmanager
def recorded(stage: str, place: Place, given: Given, checkpointing: Checkpointing) -> Iterator[Run]:
    """The folder of a run, for it alone, and its journal: a ``start`` line with process, versions, command line and
    what was given, an ``end`` line whatever happens. SIGUSR1 has the stacks written.

    Where a model is in the folder, the run is at work in one inside until its own is whole: ``journal.folder``. Of a
    run that is refused before any work, a folder that was not there before does not stay.

    Raises:
        ArtifactError: the folder cannot be written, or another run is at work in it.
        OptionError: an interrupted run that was started otherwise is in it, or a tracker is not there.
    """
    check_trackers(place.trackers)
    output_dir = Path(place.output_dir)
    made = not_there(output_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_on_sigterm())
        stack.enter_context(owned(output_dir, " ".join(sys.argv)))
        stack.enter_context(nothing_left_if_refused(made))
        folder = _folder_of_work(output_dir, place, given, checkpointing.keep)
        if folder != output_dir:
            stack.enter_context(owned(folder, " ".join(sys.argv)))
        stack.enter_context(stacks_on_request(folder))
        journal = Journal(folder / artifacts.JOURNAL)
        journal.write(
            "start",
            stage=stage,
            **this_process(),
            argv=sys.argv,
            takes_flags=place.takes_flags,
            options=dict(given.values),
            versions=versions(),
        )
        with _ended(journal):
            yield Run(stage, place, given, checkpointing, journal)


@contextmanager
def _ended(journal: Journal) -> Iterator[None]:
    """The ``end`` line, whatever happens."""
    started = time.monotonic()
    status, said = "finished", {}
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        status = "stopped"
        raise
    except BaseException as error:
        status, said = "failed", failure(error)
        raise
    finally:
        journal.write("end", status=status, **said, seconds=round(time.monotonic() - started, 1))
        journal.close()


def _folder_of_work(output_dir: Path, place: Place, given: Given, keep: int) -> Path:
    """Where this run is at work; what an interrupted run that was started otherwise left there is refused.

    Raises:
        OptionError: it is there.
    """
    if place.restart:  # before it is asked where to be at work: of a run that was broken off nothing stays
        for folder in (output_dir, output_dir / artifacts.REPLACEMENT_FOLDER):
            saving.prepare(folder, given, keep=keep, restart=True)
    folder = folder_of_work(output_dir)
    saving.prepare(folder, given, keep=keep, restart=place.restart)
    return folder


def fit(run: Run, training: Training) -> dict[str, Any]:
    """Train to the end, save the best weights, and write ``bistill.json``: what the model was made from and reached.

    Returns:
        The record.

    Raises:
        BistillError: see ``Engine.run`` and ``Saving``.
    """
    output_dir, folder, journal = Path(run.place.output_dir), run.journal.folder, run.journal
    journal.write("inputs", **training.identity)
    identity = {"options": run.given.deciding(), **training.identity, "versions": versions()}
    checkpoints = saving.Saving(folder, run.checkpointing, identity, journal)
    engine = _engine(run, training, checkpoints)
    # One checkpoint more than are kept, while the newest is written; then the model, twice for a moment.
    whole = sum(value.numel() * value.element_size() for value in training.encoder.model.parameters())
    missing = max(run.checkpointing.keep + 1 - checkpoints.count(), 0)
    check_space(output_dir, missing * engine.state_bytes() + 3 * whole, "the run with its checkpoints and model")
    updates = engine.run().step
    record = _record(run, training, updates, training.facts | training.settle())
    publish(training.encoder, training.lora, record, training.beside, output_dir, journal)
    console.say(f"{training.name}: {gained(training.validation, seed=training.loop.seed)}")
    best = training.validation.best_step
    console.say(f"{training.name} {f'of step {best}' if best else 'as it started'} written to {output_dir}")
    checkpoints.finish()
    leave(folder, output_dir)
    return record


def _engine(run: Run, training: Training, checkpoints: saving.Saving) -> Engine:
    trackers = run.place.trackers
    return Engine(
        training.task,
        training.loop,
        precision=training.encoder.precision,
        hooks=[
            ShowProgress(f"training {training.name}"),
            WriteJournal(run.journal),
            WatchLeaps(run.checkpointing.rollbacks),
            *training.hooks,
            training.validation,
            *([Track(trackers, Path(run.place.output_dir), run.given.values)] if trackers else []),
        ],
        saving=checkpoints,
        rates=training.rates,
        held=training.held,
        gradients=shared.gradients_of(training.encoder),
    )


def _record(run: Run, training: Training, updates: int, facts: dict[str, Any]) -> dict[str, Any]:
    validation = training.validation
    record: dict[str, Any] = finite(
        {
            "schema": "bistill.model/1",
            "stage": training.name,
            **facts,
            "data": training.identity["data"],
            "updates": updates,
            "best_step": validation.best_step,
            "peak_lr": training.rates.body,
            "validation": validation.figures,
            "validation_untouched": validation.first or None,
            "options": dict(run.given.values),
            "versions": versions(),
        }
    )
    return record
