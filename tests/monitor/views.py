"""Runs as the monitor sees them, made from journal records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bistill.monitor.care import Care
from bistill.monitor.processes import ProcessFacts
from bistill.monitor.runs import RunView
from bistill.monitor.states import RunState
from bistill.monitor.status import RunStatus

TERMS = ("loss", "listwise_kl", "contrastive_hinge", "negative_penalty")


def records(steps: int, *, stage: str = "distillation", terms: tuple[str, ...] = TERMS) -> list[dict[str, Any]]:
    """A run's journal: start, candidates, updates with a validation and a checkpoint every ten."""
    made: list[dict[str, Any]] = [
        {"time": 1000.0, "event": "start", "stage": stage, "pid": 4242, "process_started": 999.0},
        {"time": 1001.0, "event": "candidates", "queries": 32, "pairs": 200, "scored": 50},
    ]
    for step in range(1, steps + 1):
        line = {
            "time": 1001.0 + 2 * step,
            "event": "step",
            "step": step,
            "total_steps": 200,
            "epoch": 0,
            "lr": 2e-5 * (1 - step / 200),
            "terms": {name: (place + 1) / step for place, name in enumerate(terms)},
            "grad_norm": 1.0,
            "seconds": 2.0,
            "tokens": 2400,
            "tokens_per_second": 1200 + step % 7,
            "micro_batches": 1,
            "memory_mib": 900,
        }
        made.append(line)
        if step % 10 == 0:
            made.append(
                {
                    "time": 1001.5 + 2 * step,
                    "event": "evaluation",
                    "step": step,
                    "epoch": 0,
                    "figures": {"ndcg_at_10": 0.8 - abs(step - 20) / 1000, "auc": 0.9, "margin": step / 1000},
                    "histograms": {
                        "positive": [0] * 12 + [1, 2, 4, 8, 4, 2, 1, 0],
                        "labelled_negative": [0] * 8 + [1, 3, 1] + [0] * 9,
                        "random_negative": [0, 4, 9, 4] + [0] * 16,
                    },
                }
            )
            made.append(
                {"time": 1001.8 + 2 * step, "event": "checkpoint", "step": step, "bytes": 2**24, "seconds": 0.2}
            )
    return made


def view(
    made: list[dict[str, Any]],
    state: RunState = RunState.RUNNING,
    *,
    folder: str = "models/student",
    process: ProcessFacts = ProcessFacts(alive=True, resident_mib=1536.0),  # frozen
    reading: float = 1.0,
    acts: Iterable[dict[str, Any]] = (),
) -> RunView:
    """The run of a folder after some records of its own and some acts of its monitors."""
    status = RunStatus(Path(folder))
    for record in made:
        status.feed(record)
    care = Care()
    for act in acts:
        care.feed(act)
    return RunView(status, state, process, reading, care)
