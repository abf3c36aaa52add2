"""One run in a monitor's charge: its situation, and what the monitor does to its processes and records about it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.errors import ArtifactError
from bistill.journal import Journal
from bistill.monitor import commands, launching, machine
from bistill.monitor.care import Care, CareFollower, is_same
from bistill.monitor.gathering import gather
from bistill.monitor.notifications import Notice
from bistill.monitor.processes import Identity, identity_of_child, named_in
from bistill.monitor.recovery import Action, Do, Situation, decide
from bistill.monitor.resumer import Resumer
from bistill.monitor.runs import RunView
from bistill.monitor.settings import Recovery
from bistill.monitor.states import RunState
from bistill.monitor.status import RunStatus

# Between the request for the stacks and the request to end: writing them takes a moment.
STACKS_SECONDS: Final = 1.0
FINAL: Final = frozenset({RunState.FINISHED, RunState.STOPPED, RunState.FAILED, RunState.DIVERGED})
# Why a run cannot be started again.
NO_COMMAND: Final = "its command cannot be started"
NOTEBOOK: Final = "it was started in a notebook"

Tell = Callable[[Notice], None]


class Charge:
    """A run that this monitor, alone, acts on.

    Args:
        folder: of the run.
        recovery: what is done about runs.
        tell: is told of everything that happened.
    """

    def __init__(self, folder: Path, recovery: Recovery, tell: Tell) -> None:
        self.folder, self._recovery, self._tell = folder, recovery, tell
        self._lock = machine.FileLock(folder / artifacts.MONITOR_LOCK)
        self._care = CareFollower(folder / artifacts.MONITOR_JOURNAL)
        self._child: tuple[Identity, subprocess.Popen[bytes]] | None = None
        self._evaluation: subprocess.Popen[bytes] | None = None
        self._resumer: Resumer | None = None
        self._asked: set[signal.Signals] = set()
        self._kills = machine.KillsForMemory()
        self._blind = False

    def adopt(self, process: Identity, child: subprocess.Popen[bytes]) -> None:
        """Know the return code of the run's process, which this monitor has started."""
        self._child = (process, child)

    def act(self, view: RunView, memory_kills: int) -> None:
        """Do what the run's situation asks for.

        Args:
            view: of the run at this moment.
            memory_kills: how many processes the system has killed for memory so far.

        Raises:
            ArtifactError: what is done cannot be recorded, so from now on nothing is.
            OSError: the system refuses something.
        """
        for child in (self._evaluation, self._child[1] if self._child else None):
            if child is not None:
                child.poll()  # one that has ended and is not asked for stays in the system's table
        if self._blind or not self._lock.acquire():
            return
        try:
            self._act(view, memory_kills)
        except ArtifactError:
            self._blind = True
            raise

    def _act(self, view: RunView, memory_kills: int) -> None:
        status, care = view.status, self._care.look()
        process = named_in(status)
        if view.process.alive:
            self._kills.alive(process, memory_kills)
            if view.process.ours and not care.looks_after(process):
                self._record("watching", "a monitor looks after the run", **_of(process))
                self._asked.clear()
                care = self._care.look()
        code, killed = self._code_of(care.process), self._kills.since_alive(memory_kills)
        situation = gather(view, care, self._recovery, return_code=code, memory_kill=killed)
        action = decide(situation)
        self._perform(action, view, care)
        if situation.ending:
            self._press(care)
        self._tell_outcome(view, situation, action)

    def close(self) -> None:
        """Let go of the run; a paused one goes on."""
        if self._resumer is not None:
            self._resumer.release()
            self._resumer = None
        self._lock.release()

    def _perform(self, action: Action, view: RunView, care: Care) -> None:
        match action.do:
            case Do.RESTART:
                self._restart(action, view, care)
            case Do.END:
                self._end(action, view)
            case Do.PAUSE:
                self._pause(action, view)
            case Do.CONTINUE:
                self._continue(action, view)
            case Do.EVALUATE:
                self._evaluate(action, view)
            case Do.GIVE_UP:
                self._give_up(action, view)

    def _restart(self, action: Action, view: RunView, care: Care) -> None:
        """Start the run again, once the pause is over and nobody else is at work in its folder."""
        if care.due is None:
            message = f"{action.reason}; it is started again" + (f" in {action.pause:g} s" if action.pause else "")
            self._record("planned", message, reason=action.reason, pause=action.pause, flags=dict(action.flags))
            if action.pause:
                self._notify("recovering", view, message)
                return
        if (care.due is not None and time.time() < care.due) or machine.is_locked(self.folder / artifacts.RUN_LOCK):
            return
        status = view.status
        command = commands.again(status, action.flags)
        child = self._start(command, status, artifacts.RUN_OUTPUT)
        if child is None:
            self._give_up(Action(Do.GIVE_UP, NO_COMMAND if command else NOTEBOOK), view)
            return
        process = identity_of_child(child.pid)
        self._child, self._asked = (process, child), set()
        changed = "".join(f", --{name} {value}" for name, value in action.flags.items())
        message = f"{action.reason}; started again as process {child.pid}{changed}"
        self._record(
            "restart",
            message,
            reason=action.reason,
            **_of(process),
            checkpoint_step=status.checkpoint_step,
            flags=dict(action.flags),
            hang=care.ending_since is not None,
            command=command,
        )
        self._notify("recovering", view, message)

    def _end(self, action: Action, view: RunView) -> None:
        """Begin to end a hanging process: it is asked for its stacks first."""
        silent = time.time() - view.status.updated
        message = (
            f"{action.reason}: no line in its journal for {silent:.0f} s; its stacks are asked for and it is ended"
        )
        process = named_in(view.status)
        self._record("ending", message, reason=action.reason, **_of(process))
        self._ask_for_stacks(process)
        if view.process.stopped:  # let go on, it would do more work first, and perhaps all
            self._terminate(process)
        self._notify("recovering", view, message)

    def _press(self, care: Care) -> None:
        """Go on with ending: SIGTERM once the stacks are written, SIGKILL once the time to save is over."""
        process = care.process
        if process is None or care.ending_since is None:
            return
        since = time.time() - care.ending_since
        if since >= STACKS_SECONDS and signal.SIGTERM not in self._asked:
            self._terminate(process)
        elif since >= STACKS_SECONDS + self._recovery.grace and signal.SIGKILL not in self._asked:
            self._asked.add(signal.SIGKILL)
            process.send(signal.SIGKILL)

    def _terminate(self, process: Identity) -> None:
        self._asked.add(signal.SIGTERM)
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)

    def _ask_for_stacks(self, process: Identity) -> None:
        if process.catches(signal.SIGUSR1):  # others would die of it
            # By the main thread, which stands still meanwhile: its frames change while another thread writes them.
            process.send(signal.SIGUSR1, to_main_thread=True)
            process.send(signal.SIGCONT)

    def _pause(self, action: Action, view: RunView) -> None:
        process = named_in(view.status)
        self._resumer = self._resumer or Resumer(process)
        free = (machine.free_bytes(self.folder) or 0) >> 20
        message = f"{action.reason} ({free} MiB are free in {self.folder}): it is paused until there is room"
        self._record("pause", message, reason=action.reason)
        process.send(signal.SIGSTOP)
        self._notify("recovering", view, message)

    def _continue(self, action: Action, view: RunView) -> None:
        message = f"{action.reason}: it goes on"
        self._record("continue", message, reason=action.reason)
        named_in(view.status).send(signal.SIGCONT)
        if self._resumer is not None:
            self._resumer.release()
            self._resumer = None
        self._notify("recovering", view, message)

    def _evaluate(self, action: Action, view: RunView) -> None:
        status = view.status
        self._evaluation = self._start(commands.evaluation(status), status, artifacts.EVALUATION_OUTPUT)
        process = identity_of_child(self._evaluation.pid if self._evaluation else 0)
        message = f"{action.reason}; its evaluation is started, results go to {commands.evaluation_folder(status)}"
        self._record("evaluation", message, reason=action.reason, **_of(process), trained=status.started)
        self._notify("evaluating", view, message)

    def _give_up(self, action: Action, view: RunView) -> None:
        status = view.status
        if view.process.alive:
            self._ask_for_stacks(named_in(status))
        said = status.traceback or status.error or self._last_output(status)
        message = f"{action.reason}: it is given up" + (f"\n{said.rstrip()}" if said else "")
        self._record("give_up", message, reason=action.reason)
        self._notify("given_up", view, message)

    def _tell_outcome(self, view: RunView, situation: Situation, action: Action) -> None:
        """Say once how a process ended, and once that the results are there."""
        care = self._care.look()
        if situation.evaluated and care.evaluations and not care.evaluated and not situation.evaluating:
            message = f"the evaluation is done, results are in {commands.evaluation_folder(view.status)}"
            self._record("evaluated", message)
            self._notify("evaluated", view, message)
        told = care.outcome or (care.given_up and view.state is not RunState.FINISHED)
        if view.state in FINAL and not told and action.do not in (Do.RESTART, Do.GIVE_UP):
            event = "failed" if view.state in (RunState.FAILED, RunState.DIVERGED) else str(view.state)
            error = f": {view.status.error}" if view.status.error else ""
            message = f"the run has {event}{error}" if event != "stopped" else "the run was stopped"
            self._record("outcome", message, state=str(view.state))
            self._notify(event, view, message)

    def _start(self, command: list[str], status: RunStatus, output: str) -> subprocess.Popen[bytes] | None:
        try:
            place, variables = status.working_folder, status.environment
            return launching.start(command, self.folder / output, folder=place, environment=variables)
        except (OSError, ValueError, IndexError):  # the program or the folder is gone, or there is no command
            return None

    def _code_of(self, process: Identity | None) -> int | None:
        if self._child is None or process is None or not is_same(process, self._child[0]):
            return None
        return self._child[1].poll()

    def _last_output(self, status: RunStatus) -> str:
        name = artifacts.EVALUATION_OUTPUT if status.ended == "finished" else artifacts.RUN_OUTPUT
        return launching.tail(self.folder / name)

    def _record(self, event: str, message: str, **fields: Any) -> None:
        """Write into the monitors' record, from which attempts are counted.

        Raises:
            ArtifactError: it was not written; without the count nothing more may be done about the run.
        """
        path = self.folder / artifacts.MONITOR_JOURNAL
        message = message.encode(errors="replace").decode()  # names of folders need not be text
        journal = Journal(path)
        journal.write(event, message=message, monitor=os.getpid(), **fields)
        journal.close()
        records = self._care.look().records
        if not records or (records[-1]["event"], records[-1].get("message")) != (event, message):
            raise ArtifactError("the monitors' record cannot be written", where=str(path), todo="make room for it")

    def _notify(self, event: str, view: RunView, message: str) -> None:
        status = view.status
        self._tell(
            Notice(
                event=event,
                run=str(status.folder),
                stage=status.stage,
                state=str(view.state),
                step=status.step,
                total_steps=status.total_steps,
                message=message,
                error=status.error,
            )
        )


def _of(process: Identity) -> dict[str, Any]:
    return {"pid": process.pid, "process_started": process.created}
