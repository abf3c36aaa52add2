"""What the page is told of each run: plain values, taken over from the monitor once a look and never changed again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bistill.languages import LANGUAGES
from bistill.monitor import failures, model_folder, words
from bistill.monitor.runs import RunView
from bistill.monitor.status import StepPoint

# Fields of a run's status that the page shows as they are.
SHOWN: Final = (
    *("stage", "pid", "started", "updated", "step", "total_steps", "epoch", "lr", "terms", "seconds_per_step"),
    *("tokens_per_second", "memory_mib", "micro_batch_tokens", "figures", "best", "gate", "embedding_gates"),
    *("checkpoint_step", "error", "traceback", "progress", "seconds_left", "cache_hit_rate"),
)
# Numbers of an update, each a curve; the loss terms are further ones.
CURVES: Final = ("step", "time", "lr", "grad_norm", "tokens_per_second", "memory_mib")
# A further state, which the page has other words for: recovering from memory that ran out.
LACKS_MEMORY: Final = "lacks_memory"
ID_LETTERS: Final = 16


class Snapshot(NamedTuple):
    """One run at one moment.

    Attributes:
        summary: what the list of runs shows.
        options: of the run's command, by name.
        steps: at most 2,000 updates, evenly chosen.
        evaluations: journal records.
        events: the last journal records that are no steps, without the counts of histograms.
        report: page of the evaluation of the run's student; None where there is none.
    """

    summary: dict[str, Any]
    options: Mapping[str, Any]
    steps: Sequence[StepPoint]
    evaluations: Sequence[dict[str, Any]]
    events: Sequence[dict[str, Any]]
    report: Path | None = None


Board = Mapping[str, Snapshot]


def snapshots(views: Iterable[RunView], root: Path) -> dict[str, Snapshot]:
    """The runs by their ids, in the order given.

    Args:
        views: what the monitor sees now.
        root: folder below which the runs lie; they are named relative to it.
    """
    return {run_id(view.status.folder): _snapshot(view, root) for view in views}


def run_id(folder: Path) -> str:
    """A name of a folder that is safe in an address, whatever letters the folder's own name has."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:ID_LETTERS]


def columns(points: Sequence[StepPoint]) -> dict[str, Any]:
    """Updates as one list for each curve; a loss term that an update lacks is None there.

    Returns:
        The names of ``CURVES``, each with a list as long as ``points``, and ``terms`` with such a list for each term.
    """
    terms = dict.fromkeys(name for point in points for name in point.terms)
    curves: dict[str, Any] = {name: [getattr(point, name) for point in points] for name in CURVES}
    return curves | {"terms": {name: [point.terms.get(name) for point in points] for name in terms}}


def _snapshot(view: RunView, root: Path) -> Snapshot:
    status, process = view.status, view.process
    report = model_folder.report(status) if status.ended == "finished" else None
    summary = {name: _taken(getattr(status, name)) for name in SHOWN} | {
        "name": _relative(status.folder, root),
        "state": LACKS_MEMORY if words.lacks_memory(view) else view.state.value,
        "reading": view.reading,
        "failure": _failure(view),
        "has_report": report is not None,
        "resident_mib": process.resident_mib,
        "gpu_mib": process.gpu_mib,
    }
    history = status.history
    events = tuple(map(_without_histograms, view.events))
    return Snapshot(summary, status.options, tuple(history.steps), tuple(history.evaluations), events, report)


def _failure(view: RunView) -> dict[str, Any] | None:
    """Why the run is not going on, by language."""
    found = {language: failures.failure(view, language) for language in LANGUAGES}
    said: dict[str, Any] = {language: failure._asdict() for language, failure in found.items() if failure}
    return said or None


def _without_histograms(record: dict[str, Any]) -> dict[str, Any]:
    """The record itself where it has none, so that comparing it with itself later costs nothing."""
    if "histograms" not in record:
        return record
    return {name: value for name, value in record.items() if name != "histograms"}


def _taken(value: Any) -> Any:
    """The value, which nobody changes any more."""
    return dict(value) if isinstance(value, Mapping) else value


def _relative(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root)) if folder.is_relative_to(root) and folder != root else str(folder)
