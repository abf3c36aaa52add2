"""Trackers: a stand-in registered where accelerate looks its own up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from accelerate import tracking
from accelerate.tracking import GeneralTracker

from bistill.errors import OptionError
from bistill.training.loop.hook import Progress
from bistill.training.run import tracking as ours
from bistill.training.run.tracking import Track, check_trackers


class Noting(GeneralTracker):
    """A tracker that keeps what it is sent."""

    name = "tensorboard"
    requires_logging_directory = False
    main_process_only = False
    sent: ClassVar[list[tuple[dict[str, float], int]]] = []
    config: ClassVar[dict[str, Any]] = {}
    fails = False

    def __init__(self, run_name: str, **_: Any) -> None:
        super().__init__()

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        Noting.config = values

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        if self.fails:
            raise ConnectionError("no route to host")
        Noting.sent.append((values, step or 0))


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch) -> type[Noting]:
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Noting)
    monkeypatch.setattr(tracking, "_available_trackers", [tracking.LoggerType.TENSORBOARD])
    monkeypatch.setattr(Noting, "sent", [])
    monkeypatch.setattr(Noting, "fails", False)
    return Noting


def test_figures_of_every_update_reach_the_tracker(noting: type[Noting], tmp_path: Path) -> None:
    check_trackers(("tensorboard",))
    track = Track(("tensorboard",), tmp_path, {"lr": 1e-3, "more_teachers": ("a", "b"), "max_samples": None})
    progress = Progress(total_steps=2)
    track.at_start(progress)
    progress.step, progress.terms, progress.lr = 1, {"loss": 0.5}, 1e-3
    progress.grad_norm, progress.tokens, progress.seconds, progress.memory_mib = 2.0, 300, 0.5, 64
    track.after_step(progress)
    progress.step, progress.figures = 2, {"auc": 0.75}
    track.after_step(progress)
    track.close()
    assert noting.config == {"lr": 1e-3, "more_teachers": "('a', 'b')", "max_samples": "None"}
    (first, one), (second, two) = noting.sent
    assert (one, two) == (1, 2)
    assert first == {
        "train/loss": 0.5,
        "train/lr": 1e-3,
        "train/grad_norm": 2.0,
        "train/tokens_per_second": 600.0,
        "train/memory_mib": 64,
    }
    assert second == first | {"validation/auc": 0.75}


def test_a_failing_tracker_is_left_alone(
    noting: type[Noting], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    track, progress = Track(("tensorboard",), tmp_path, {}), Progress(total_steps=2, seconds=1.0)
    track.at_start(progress)
    monkeypatch.setattr(Noting, "fails", True)
    track.after_step(progress)
    track.after_step(progress)
    track.close()
    said = capsys.readouterr().err
    assert said.count("trackers tensorboard are left alone: ConnectionError: no route to host") == 1


def test_unknown_and_missing_trackers_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "get_available_trackers", list)
    with pytest.raises(OptionError, match=r"(?s)no such tracker.*'tensorbord'.*give .*tensorboard"):
        check_trackers(("tensorbord",))
    with pytest.raises(OptionError, match=r"(?s)package is not installed.*pip install wandb"):
        check_trackers(("wandb",))
    check_trackers(())
