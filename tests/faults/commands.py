"""The commands of this repository as processes that can be watched, stopped and killed."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from bistill import artifacts, journal

ROOT = Path(__file__).parents[2]
TEACHER, STUDENT = ROOT / "train_teacher_model.py", ROOT / "train_distillation_pipeline.py"
PATIENCE_SECONDS = 120.0


class Child:
    """A process of a command: of its own interpreter, or forked from one that has imported torch and transformers.

    The first takes five seconds longer and shares nothing with other processes, not even the order of sets.
    """

    def __init__(self, script: Path, arguments: list[str], environment: dict[str, str], console: Path, *, fresh: bool):
        self._console = console
        self._process: Any
        if fresh:
            command, whole = [sys.executable, str(script), *arguments], {**os.environ, **environment}
            with console.open("wb") as file:
                self._process = subprocess.Popen(command, env=whole, cwd=ROOT, stdout=file, stderr=file)
        else:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["tests.faults.imported", "pytest"])
            entry = (str(script), arguments, environment, str(console))
            self._process = context.Process(target=_enter, args=entry)
            self._process.start()
        self.pid: int = self._process.pid

    def ended(self) -> int | None:
        """Exit code, -9 after SIGKILL; None while it runs."""
        return self._process.poll() if isinstance(self._process, subprocess.Popen) else self._process.exitcode

    def wait(self) -> int:
        """Exit code, once it has ended."""
        wait_until(lambda: self.ended() is not None, self)
        code = self.ended()
        assert code is not None
        return code

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still runs; after SIGSTOP, wait until it stands still."""
        if self.ended() is None:
            os.kill(self.pid, number)
            if number == signal.SIGSTOP:
                wait_until(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, self)

    def said(self) -> str:
        """What it wrote on the console, with all white space as single spaces."""
        return " ".join(self._console.read_text(encoding="utf-8").split()) if self._console.exists() else ""


@dataclass(frozen=True)
class Run:
    """A command with its options, given once or again and again until it is done."""

    script: Path
    options: dict[str, Any]  # True: a switch without a value
    output: Path
    environment: dict[str, str]
    children: list[Child]  # all that were started, so that none outlives the tests

    def into(self, output: Path, **changed: Any) -> Run:
        """The same command with another output folder, and other options."""
        return replace(self, output=output, options={**self.options, **changed})

    def arguments(self, **changed: Any) -> list[str]:
        options = {**self.options, **changed, "output_dir": self.output}
        return [
            part
            for name, value in options.items()
            for part in ((f"--{name}",) + (() if value is True else (str(value),)))
        ]

    def start(
        self, *, fresh: bool = False, driver: Path | None = None, before: tuple[str, ...] = (), **changed: Any
    ) -> Child:
        """Give the command.

        Args:
            fresh: start an interpreter of its own.
            driver: script to run in place of the command's own.
            before: arguments in front of the options.
            changed: options with other values.
        """
        console = self.output.with_name(f"{self.output.name}.{len(self.children)}.txt")
        arguments = [*before, *self.arguments(**changed)]
        child = Child(driver or self.script, arguments, self.environment, console, fresh=fresh)
        self.children.append(child)
        return child

    def finish(self, *, fresh: bool = False, **changed: Any) -> Child:
        """Give the command and wait until it is done."""
        child = self.start(fresh=fresh, **changed)
        assert child.wait() == 0, child.said()
        return child

    def signalled(self, number: signal.Signals, step: int, *, fresh: bool = False, **changed: Any) -> Child:
        """Give the command, and send a signal as soon as the journal has a step; wait until the process has ended."""
        child = self.start(fresh=fresh, **changed)
        self.reach(child, step)
        child.send(number)
        child.wait()
        return child

    def reach(self, child: Child, step: int) -> None:
        """Wait until a process has journalled a step that is not before this one."""

        def there() -> bool:
            assert child.ended() is None, f"ended before step {step}:\n{child.said()}"
            return any(line["event"] == "step" and line["step"] >= step for line in self.lines_of(child))

        wait_until(there, child)

    def lines(self) -> list[dict[str, Any]]:
        """Lines of the journal, in order."""
        path = self.output / artifacts.JOURNAL
        return list(journal.read(path)) if path.exists() else []

    def lines_of(self, child: Child) -> list[dict[str, Any]]:
        """Lines of the journal from the start line of a process on."""
        lines = self.lines()
        starts = (place for place, line in enumerate(lines) if line["event"] == "start" and line["pid"] == child.pid)
        return lines[next(starts, len(lines)) :]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of the journal with one event, in order."""
        return [line for line in self.lines() if line["event"] == name]

    def steps(self) -> list[int]:
        """Steps of the journal, in order, repeated ones too."""
        return [line["step"] for line in self.events("step")]

    def figures(self) -> dict[tuple[str, int], list[dict[str, float]]]:
        """By event and step, the loss terms of every update and the figures of every validation that was done."""
        found = defaultdict(list)
        for line in self.lines():
            if line["event"] in ("step", "evaluation"):
                found[line["event"], line["step"]].append(line["terms" if line["event"] == "step" else "figures"])
        return dict(found)

    def sha256(self) -> str:
        """Of the weights of the finished model."""
        return artifacts.sha256_of_file(self.output / artifacts.WEIGHTS_FILE)

    def checkpoints(self) -> list[int]:
        """Steps of the checkpoints, rising."""
        folders = (self.output / artifacts.CHECKPOINTS_FOLDER).glob(f"{artifacts.CHECKPOINT_PREFIX}*")
        return sorted(int(folder.name.removeprefix(artifacts.CHECKPOINT_PREFIX)) for folder in folders)

    def unfinished(self) -> list[Path]:
        """Folders of checkpoints or models that are half written or half removed."""
        return sorted(self.output.rglob(f"{artifacts.UNFINISHED_PREFIX}*"))

    def files(self) -> dict[str, str]:
        """SHA-256 of every file of the checkpoints by name."""
        folder = self.output / artifacts.CHECKPOINTS_FOLDER
        paths = sorted(folder.glob(f"{artifacts.CHECKPOINT_PREFIX}*/*"))
        return {str(path.relative_to(folder)): artifacts.sha256_of_file(path) for path in paths}


def wait_until(condition: Callable[[], bool], *children: Child) -> None:
    """Look again and again, and fail with what the children said if it takes far too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "\n".join(f"pid {child.pid}: {child.said()}" for child in children)
        time.sleep(0.002)


def _enter(script: str, arguments: list[str], environment: dict[str, str], console: str) -> None:
    """In a forked process: what a fresh one would have been started with."""
    handle = os.open(console, os.O_WRONLY | os.O_CREAT, 0o644)
    for standard in (1, 2):
        os.dup2(handle, standard)
    os.chdir(ROOT)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
    sys.argv = [script, *arguments]
    sys.orig_argv = [sys.executable, *sys.argv]
    runpy.run_path(script, run_name="__main__")
