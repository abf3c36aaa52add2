"""Rows of the comparison from what was measured, as Markdown."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import numpy as np
from sides import Measured
from tables import markdown

# Floating-point operations a weight and token: one product and one addition forward, twice that backward.
OPERATIONS = {"distillation": 6, "teacher": 6, "scoring": 2, "encoding": 2}


def speed_rows(work: str, measured: dict[str, Measured], given: dict[str, Any], first: int, rate: float) -> list[str]:
    """One row a side: its median, its ratio to ours, and how far it is from the floor.

    Args:
        work: kind of work.
        measured: by name of the side, ours first.
        given: the workload, with tokens of each step and weights of the linear layers.
        first: steps that warmed up.
        rate: measured floating-point operations a second.
    """
    headers = ["side", "median s", "quartiles", "time / ours", "tokens", "tokens/s", "share of floor", "peak MiB"]
    rows = [headers]
    ours = statistics.median(next(iter(measured.values())).seconds)
    for name, side in measured.items():
        median = statistics.median(side.seconds)
        tokens = statistics.mean(side.tokens or _tokens(given, first, len(side.seconds)))
        floor = OPERATIONS[work] * given["weights"] * tokens / rate
        lower, upper = np.quantile(side.seconds, [0.25, 0.75])
        rows.append(
            [
                name,
                f"{median:.3f}",
                f"{lower:.3f}..{upper:.3f}",
                f"{median / ours:.2f}",
                f"{tokens:.0f}",
                f"{tokens / median:.0f}",
                f"{floor / median:.0%}",
                f"{side.memory_mib}",
            ]
        )
    return markdown(rows)


def loss_rows(measured: dict[str, Measured], comparable: dict[str, str]) -> list[str]:
    """One row a side: how its losses without dropout differ from ours, step by step."""
    ours = np.array(next(iter(measured.values())).losses, dtype=np.float64)
    rows = [["side", "first loss", "last loss", "difference, first step", "largest difference"]]
    for name, side in measured.items():
        losses = np.array(side.losses, dtype=np.float64)
        difference = np.abs(losses - ours)
        kind = comparable[name]
        rows.append(
            [
                name,
                f"{losses[0]:.6f}",
                f"{losses[-1]:.6f}",
                f"{difference[0]:.1e}" if kind != "none" else "other lists",
                f"{difference.max():.1e}" if kind == "all" else "other loss" if kind == "first" else "other lists",
            ]
        )
    return markdown(rows)


def disagreeing(measured: dict[str, Measured], comparable: dict[str, str], share: float, absolute: float) -> list[str]:
    """Sides with a comparable loss that differs from ours by more than ``share`` of ours and ``absolute`` together."""
    ours = np.array(next(iter(measured.values())).losses, dtype=np.float64)
    names = []
    for name, side in measured.items():
        steps = {"all": len(ours), "first": 1, "none": 0}[comparable[name]]
        losses = np.array(side.losses[:steps], dtype=np.float64)
        if not np.allclose(losses, ours[:steps], rtol=share, atol=absolute):
            names.append(name)
    return names


def result_rows(results: dict[str, np.ndarray]) -> list[str]:
    """One row a peer: the largest difference of its scores or vectors to ours."""
    ours = next(iter(results.values()))
    rows = [["side", "largest difference to ours"]]
    rows += [[name, f"{np.abs(found - ours).max():.1e}"] for name, found in itertools.islice(results.items(), 1, None)]
    return markdown(rows)


def _tokens(given: dict[str, Any], first: int, count: int) -> list[int]:
    """Tokens of the timed steps; a single number stands for every pass."""
    tokens: list[int] = given["tokens"]
    return tokens if len(tokens) == 1 else tokens[first : first + count]
