"""Trackers that a user asks for (tensorboard, wandb, mlflow and others), through accelerate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from bistill import console
from bistill.errors import OptionError
from bistill.training.loop.hook import Hook, Progress


class Track(Hook):
    """Sends every update's figures to trackers. A tracker that fails is left alone; the run goes on.

    Args:
        names: of trackers, as accelerate names them, at least one.
        folder: where those that write files write.
        config: what the run was given, shown by the trackers.
    """

    def __init__(self, names: tuple[str, ...], folder: Path, config: Mapping[str, Any]) -> None:
        self._names, self._folder = list(names), folder
        # Trackers take plain values only.
        self._config = {
            name: value if isinstance(value, int | float | str) else str(value) for name, value in config.items()
        }
        self._accelerator: Accelerator | None = None

    def at_start(self, progress: Progress) -> None:
        """Open the trackers."""
        self._safely(self._open)

    def after_step(self, progress: Progress) -> None:
        """Send loss terms, learning rate, gradient norm, speed, memory, and figures of a validation."""
        figures = {f"train/{name}": value for name, value in progress.terms.items()} | {
            "train/lr": progress.lr,
            "train/grad_norm": progress.grad_norm,
            "train/tokens_per_second": progress.tokens / progress.seconds,
            "train/memory_mib": progress.memory_mib,
            **{f"validation/{name}": value for name, value in progress.figures.items()},
        }
        self._send(figures, progress.step)

    def close(self) -> None:
        """Close the trackers."""
        if (accelerator := self._accelerator) is not None:
            self._safely(accelerator.end_training)

    def _open(self) -> None:
        accelerator = Accelerator(log_with=self._names, project_dir=str(self._folder))
        accelerator.init_trackers("bistill", config=self._config)
        self._accelerator = accelerator

    def _send(self, figures: dict[str, float], step: int) -> None:
        if (accelerator := self._accelerator) is not None:
            self._safely(lambda: accelerator.log(figures, step=step))

    def _safely(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # whatever a tracker raises, it is not worth a run
            console.say(f"trackers {', '.join(self._names)} are left alone: {type(error).__name__}: {error}")
            self._accelerator = None


def check_trackers(names: tuple[str, ...]) -> None:
    """Raise unless all trackers can be used.

    Raises:
        OptionError: one is unknown or its package is not installed.
    """
    installed = sorted(str(name) for name in get_available_trackers())
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise OptionError(
                "no such tracker",
                where="`trackers`",
                found=name,
                todo=f"give {', '.join(map(str, LOGGER_TYPE_TO_CLASS))}",
            )
        if name not in installed:
            raise OptionError(
                "the tracker's package is not installed", where="`trackers`", found=name, todo=f"pip install {name}"
            )
