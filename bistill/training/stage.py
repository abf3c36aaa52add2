"""What both stages do around the engine: data, journal, and the record beside the model."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bistill import artifacts, console
from bistill.config import DataOptions, DistillationOptions, TeacherOptions
from bistill.data.dataset import Dataset
from bistill.data.version import load_training
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.errors import ArtifactError, BistillError
from bistill.journal import Journal, finite, versions
from bistill.options import Options
from bistill.training.engine import Engine, Task
from bistill.training.hooks import ShowProgress, Validate, WriteJournal


def load_data(options: DataOptions, output_dir: Path, journal: Journal) -> tuple[Dataset, Dataset]:
    """Training and validation data of a data version; rejected rows go to ``output_dir``, fingerprints to the journal.

    Raises:
        DataError: the folder or a file is missing, or a row is bad.
    """
    splits = load_training(options, output_dir)
    journal.write("data", train=splits[0].fingerprint, valid=splits[1].fingerprint)
    return splits


@contextmanager
def recorded(output_dir: Path, stage: str, options: Options) -> Iterator[Journal]:
    """Journal of a run: a ``start`` line with versions, command line and options, an ``end`` line whatever happens.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        journal = Journal(output_dir / artifacts.JOURNAL)
    except OSError as error:
        raise ArtifactError(
            f"the output folder cannot be written ({error.strerror})",
            where=str(output_dir),
            todo="give another --output_dir, or make it writable",
        ) from None
    journal.write(
        "start",
        stage=stage,
        pid=os.getpid(),
        argv=sys.argv,
        options=dataclasses.asdict(options),
        versions=versions(),
    )
    started = time.monotonic()
    try:
        yield journal
    except BaseException as error:
        said = error.message() if isinstance(error, BistillError) else f"{type(error).__name__}: {error}"
        journal.write("end", status="failed", error=said, seconds=round(time.monotonic() - started, 1))
        raise
    else:
        journal.write("end", status="finished", seconds=round(time.monotonic() - started, 1))
    finally:
        journal.close()


def fit(
    stage: str,
    task: Task,
    encoder: CrossEncoder | BiEncoder,
    options: TeacherOptions | DistillationOptions,
    validation: Validate,
    journal: Journal,
    *,
    head: Collection[str] = (),
    head_lr_factor: float = 1.0,
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
        head: names of parameters that learn at ``head_lr_factor`` times the learning rate.
        head_lr_factor: see ``head``.
        facts: further fields of the record.

    Returns:
        The record.
    """
    engine = Engine(
        task,
        options,
        precision=encoder.precision,
        hooks=[ShowProgress(f"training {stage}"), WriteJournal(journal), validation],
        head=head,
        head_lr_factor=head_lr_factor,
    )
    progress = engine.run()
    output_dir = Path(options.output_dir)
    encoder.save(output_dir, options)
    journal.write("saved", path=str(output_dir), step=validation.best_step)
    console.say(f"{stage} of step {validation.best_step} written to {output_dir}")
    record: dict[str, Any] = finite(
        {
            "schema": "bistill.model/1",
            "stage": stage,
            **facts,
            "updates": progress.step,
            "best_step": validation.best_step,
            "validation": validation.best,
            "validation_untouched": validation.first or None,
            "options": dataclasses.asdict(options),
            "versions": versions(),
        }
    )
    artifacts.write_json(output_dir / artifacts.MODEL_RECORD, record)
    return record
