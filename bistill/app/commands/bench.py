"""``bench``: what this machine reaches with the user's data and models, and what limits it."""

from __future__ import annotations

import dataclasses
import gc
import tempfile
from pathlib import Path
from typing import Any

import torch

from bistill import artifacts, console
from bistill.app import assembling
from bistill.app.config import BenchOptions
from bistill.app.profile import measuring, rate, works
from bistill.errors import OptionError
from bistill.journal import finite, versions
from bistill.models.compute.precision import default_device, resolve_precision

SCHEMA = "bistill.bench/1"


def bench(options: BenchOptions) -> dict[str, Any]:
    """Measure, print and write the figures.

    Real models learn from and read real texts; what they learn is thrown away. Nothing is written but the figures, and
    below the cache folder what other commands find there as well.

    Returns:
        The report also written to ``bench.json``.

    Raises:
        BistillError: data or a model cannot be used.
    """
    device = default_device()
    precision = resolve_precision(options.precision, device)
    chosen = [name for name in works.WORKS if name in options.work]
    if not chosen:
        raise OptionError("nothing is to be measured", where="--work", todo=f"give some of {', '.join(works.WORKS)}")
    with tempfile.TemporaryDirectory() as folder:  # for rows that are set aside
        dataset, _ = assembling.version(options).training(on_bad_rows=options.on_bad_rows, rejected_to=Path(folder))
    lists = works.draw_lists(dataset, options)
    console.say("matrix products ...")
    roof = rate.measure(device, precision)
    outcomes: dict[str, measuring.Outcome] = {}
    for name in chosen:
        console.say(f"{name}: {options.steps + measuring.UNTIMED} times ...")
        outcomes[name] = works.WORKS[name](dataset, lists, options)
        gc.collect()
        # What else runs on the machine only ever adds time: the best of all is the nearest to the truth.
        roof = max(roof, rate.measure(device, precision))
    found = {name: measuring.figures(outcome, roof) for name, outcome in outcomes.items()}
    if any(max(item["mfu"], item["products_rate"] or 0) > 1 for item in found.values()):
        console.say("a work was faster than the measured rate: something else ran meanwhile, measure again alone")
    report: dict[str, Any] = finite(
        {
            "schema": SCHEMA,
            "machine": {**_machine(device), "precision": precision, "products": roof._asdict()},
            "works": found,
            "data": {"train": dataset.fingerprint},
            "options": dataclasses.asdict(options),
            "versions": versions(),
        }
    )
    _show(report)
    target = Path(options.output_dir) / artifacts.BENCH_JSON
    artifacts.write_json(target, report)
    print(target)
    return report


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "threads": torch.get_num_threads()}


def _show(report: dict[str, Any]) -> None:
    machine, found = report["machine"], report["works"]
    products = machine["products"]
    shape = " x ".join(map(str, products["shape"]))
    print(
        f"{machine['device']}, {machine['threads']} threads: {products['flops'] / 1e9:.0f} GFLOP/s in matrix products "
        f"({machine['precision']}, {products['library']}, {shape})"
    )
    headers = ("work", "s/update", "tokens/s", "items/s", "MFU", "peak MiB", "padding", "waiting")
    console.table(headers, [_row(name, item) for name, item in found.items()])
    for name, item in found.items():
        print(f"{name}: {item['limit']}")
        largest = list(item["shares"].items())[:3]
        print("  " + ", ".join(f"{part} {share:.0%}" for part, share in largest))


def _row(name: str, item: dict[str, Any]) -> tuple[str, ...]:
    waiting = "-" if item["micro_batches"] is None else f"{item['waiting']:.1%}"
    return (
        name,
        f"{item['seconds']:.3f}",
        f"{item['tokens_per_second']:.0f}",
        f"{item['items_per_second']:.1f} {works.ITEMS[name]}",
        f"{item['mfu']:.1%}",
        str(item["peak_mib"]),
        f"{item['padding']:.1%}",
        waiting,
    )
