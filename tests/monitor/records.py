"""Journal records as training writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil


def start(time: float = 100.0, **fields: Any) -> dict[str, Any]:
    """The first record of a run: by default of this very process."""
    own = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
    return {"time": time, "event": "start", "stage": "distillation", **own, **fields}


def step(number: int, *, total: int = 100, **fields: Any) -> dict[str, Any]:
    """An update that took one second; its time is 100 seconds and one for each update before."""
    record = {"time": 100.0 + number, "event": "step", "step": number, "total_steps": total, "epoch": 0, "lr": 1e-4}
    terms = {"loss": 1 / number, "listwise_kl": 0.5 / number}
    return {**record, "terms": terms, "grad_norm": 1.0, "seconds": 1.0, "tokens_per_second": 50, **fields}


def evaluation(number: int, ndcg: float, **fields: Any) -> dict[str, Any]:
    """A validation, half a second after an update."""
    figures = {"ndcg_at_10": ndcg, "auc": 0.5}
    return {"time": 100.5 + number, "event": "evaluation", "step": number, "epoch": 0, "figures": figures, **fields}


def lines(*records: dict[str, Any]) -> bytes:
    """As they stand in a journal."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def write(path: Path, *records: dict[str, Any]) -> Path:
    """Append records to a journal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(lines(*records))
    return path
