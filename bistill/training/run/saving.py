"""How checkpoints are written and where a run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bistill import artifacts, console
from bistill.errors import ArtifactError
from bistill.journal import Journal
from bistill.settings import differences
from bistill.training.run.checkpoint import Checkpoints, State
from bistill.training.run.given import Given, as_json, refuse_changes
from bistill.training.settings import Checkpointing

# A copy of the state may take this share of the free memory, and is then written while training goes on.
BACKGROUND_SHARE = 0.5


class Saving:
    """The checkpoints of one run.

    Args:
        output_dir: folder of the run.
        settings: how often, how many are kept, and how a run goes on.
        run: what the run is, by part: ``options``, ``data``, ``models``, ``candidates``, ``validation`` must be the
            same for it to go on; ``versions`` may differ.
        journal: of the run.
    """

    def __init__(self, output_dir: Path, settings: Checkpointing, run: dict[str, Any], journal: Journal) -> None:
        self.run: dict[str, Any] = as_json(run)
        self.settings, self._journal = settings, journal
        self._checkpoints = Checkpoints(
            output_dir / artifacts.CHECKPOINTS_FOLDER, keep=settings.keep, on_damage=self._damaged
        )
        self._saved_step = -1
        self._writer: threading.Thread | None = None
        self._failure: BaseException | None = None

    def resume(self) -> State | None:
        """State of the newest whole checkpoint, None where there is none.

        Raises:
            OptionError: it belongs to a run of other options, data or models.
        """
        self._checkpoints.remove_unfinished()
        there = self.count()
        state = self._checkpoints.read_newest()
        if state is None:
            if there:
                self.trouble("begun_anew", "no checkpoint is whole: the run begins anew, from its first update")
            return None
        refuse_changes(state.run, self.run)
        if (then := state.run.get("versions")) != (now := self.run.get("versions")):
            console.say(f"the checkpoint was written with other versions: {differences(then or {}, now or {})}")
        self._saved_step = state.step
        self._journal.write("resume", step=state.step)
        console.say(f"going on from the checkpoint of step {state.step} (`restart` begins anew)")
        return state

    def read(self, doubted: int = -1) -> State:
        """State of the newest whole checkpoint of this run.

        Args:
            doubted: step of a checkpoint that did not help the last time; it is put aside if it is not the only one.

        Raises:
            ArtifactError: none is whole any more.
        """
        self.close()
        self._checkpoints.doubt(doubted, "the loss leapt again after going back to it")
        state = self._checkpoints.read_newest()
        if state is None:
            raise ArtifactError(
                "no checkpoint is whole", where=str(self._checkpoints.folder), todo="run with `restart`"
            )
        self._saved_step = state.step
        return state

    def count(self) -> int:
        """Checkpoints that are there."""
        return len(self._checkpoints.steps())

    def save(self, step: int, size: int, state: Callable[[bool], State]) -> None:
        """Write a checkpoint unless the newest is of this step; in the background where memory allows a copy.

        A checkpoint that cannot be written is said, and the run goes on: the ones before it are whole, and the next
        may succeed. Only the first one must succeed.

        Args:
            step: updates done.
            size: bytes of the state, about.
            state: gives the state, given True as copies that later updates do not touch.

        Raises:
            ArtifactError: the first one cannot be written.
            TrainingError: the weights are NaN or infinite.
        """
        self.close()
        if step == self._saved_step:
            return
        first = self._saved_step < 0
        if not first and size < BACKGROUND_SHARE * psutil.virtual_memory().available:
            self._writer = threading.Thread(target=self._in_background, args=(state(True),), name="checkpoint")
            self._writer.start()
        else:
            self._write(state(False))

    def trouble(self, kind: str, message: str, **facts: Any) -> None:
        """Say what went wrong and how the run answered, on the console and in the journal."""
        console.say(message)
        self._journal.write("trouble", kind=kind, message=message, **facts)

    def close(self) -> None:
        """Wait for the writer.

        Raises:
            ArtifactError: the first checkpoint could not be written.
            TrainingError: the weights are NaN or infinite.
        """
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def finish(self) -> None:
        """Delete the checkpoints: the run's model is written."""
        self.close()
        _remove_all(self._checkpoints)

    def _in_background(self, state: State) -> None:
        try:
            self._write(state)
        except BaseException as failure:  # told to the training thread, which waits for this one
            self._failure = failure

    def _write(self, state: State) -> None:
        started = time.monotonic()
        try:
            size = self._checkpoints.write(state)
        except ArtifactError as error:
            if not self._checkpoints.steps():
                raise
            self.trouble("not_saved", f"step {state.step}: {error}\nthe run goes on", step=state.step)
            return
        self._saved_step = state.step
        self._journal.write("checkpoint", step=state.step, bytes=size, seconds=round(time.monotonic() - started, 3))

    def _damaged(self, folder: Path, reason: str) -> None:
        message = f"the checkpoint {folder.name} is damaged and is not used: {reason}"
        self.trouble("damaged_checkpoint", message, path=str(folder))


def prepare(output_dir: Path, given: Given, *, keep: int, restart: bool) -> None:
    """Find out before any work whether an interrupted run can go on in a folder; where it is to begin anew, delete it.

    Args:
        output_dir: folder of the run.
        given: to the run.
        keep: checkpoints kept.
        restart: whether it is to begin anew.

    Raises:
        OptionError: an interrupted run that was started otherwise is in the folder.
    """
    checkpoints = Checkpoints(output_dir / artifacts.CHECKPOINTS_FOLDER, keep=keep)
    if restart:
        if steps := checkpoints.steps():  # also those that cannot be read: of another version, damaged
            console.say(f"`restart`: the checkpoints up to step {steps[-1]} in {checkpoints.folder} are deleted")
        _remove_all(checkpoints)
    elif (newest := checkpoints.newest_run()) is not None:
        refuse_changes({"options": newest[1].get("options", {})}, {"options": given.deciding()})
    elif not checkpoints.steps():  # a run that was broken off before its first checkpoint
        (checkpoints.folder / artifacts.SHARED_SCORES).unlink(missing_ok=True)


def _remove_all(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / artifacts.SHARED_SCORES).unlink(missing_ok=True)
    checkpoints.remove_all()
