"""The same faults against sentence-transformers' trainer and against bistill's, side by side, as a Markdown table.

python benchmarks/faults/compare.py [--only FAULT ...] [--sides peer ours] [--repetitions 3]

Every run is a process of its own on the CPU. Every cell is put into words from what was measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from laboratory import Laboratory, Run, compared, difference, equal, moved, said, spread
from sides import OURS, PEER, SAVE_STEPS
from tiny_models import write_data, write_student, write_teacher

SIDES: Final = {"peer": PEER, "ours": OURS}
KILLS: Final = 3
FAULT_AT: Final = 10
KILL_AT: Final = 18  # two checkpoints lie behind it


class Row(NamedTuple):
    """A row of the table: number on the scoreboard, name for --only, label, and what measures a side's cell."""

    number: str
    name: str
    label: str
    cell: Callable[[Laboratory], str]


def main() -> None:
    """Measure what was asked for and print the table."""
    options = arguments()
    os.environ["HF_HUB_OFFLINE"] = "1"
    work = Path(options.folder or tempfile.mkdtemp(prefix="bistill-faults-"))
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "data").exists():
        write_student(work / "student")
        write_teacher(work / "teacher")
        write_data(work / "data", "tiny")
    try:
        laboratories = [Laboratory(SIDES[name], work, options.repetitions, options.seed) for name in options.sides]
        rows = [row for row in ROWS if row.name in options.only]
        cells = [[f"{row.number} {row.label}", *(row.cell(lab) for lab in laboratories)] for row in rows]
        print_table(["fault", *(lab.side.name for lab in laboratories)], cells)
        print()
        for lab in laboratories:
            largest = spread(moved(work, reference) for reference in lab.references.values())
            print(f"{lab.side.name}: the undisturbed training moves a weight by up to {largest}.")
    finally:
        if not options.folder:
            shutil.rmtree(work, ignore_errors=True)


def control(lab: Laboratory) -> str:
    """No fault: the same command a second time."""
    cells = []
    for negatives in ("fixed", "redrawn"):
        reference = lab.reference(negatives)  # first: it fills bistill's cache of teacher scores
        again = lab.run(lab.folder(f"again-{negatives}"), negatives=negatives)
        cells.append(f"negatives {negatives}: {finished(again, reference)}")
    return "; ".join(cells)


def killed_redrawn(lab: Laboratory) -> str:
    """SIGKILL at random updates, negatives redrawn."""
    return killed(lab, "redrawn")


def killed_fixed(lab: Laboratory) -> str:
    """The same with negatives that stay."""
    return killed(lab, "fixed")


def killed(lab: Laboratory, negatives: str) -> str:
    """Some runs, each killed at random updates after its first checkpoint and resumed each time."""
    reference = lab.reference(negatives)
    ended = []
    for number in range(lab.repetitions):
        output = lab.folder(f"killed-{negatives}-{number}")
        total = reference.updates[-1]["step"]
        moments = sorted(lab.random.sample(range(SAVE_STEPS + 1, total - 1), KILLS))
        for done, at in enumerate(moments):
            run = lab.run_until_killed(output, at, negatives=negatives, resume=done > 0)
            if run.code >= 0:  # it ended before it could be killed
                break
        else:
            run = lab.run(output, negatives=negatives, resume=True)
        ended.append(run)
    whole = [run for run in ended if run.code == 0]
    same = sum(equal(run, reference) for run in whole)
    parts = [f"{same} of {lab.repetitions} equal"]
    if same < len(whole):
        parts.append(
            f"largest difference {spread(difference(run, reference) for run in whole if not equal(run, reference))}"
        )
    parts += [f"one crashes when resumed: {run.error}" for run in ended if run.code != 0]
    if whole:
        done = [len(run.earlier) + len(run.updates) for run in whole]
        parts.append(f"{', '.join(map(str, done))} updates done for {len(reference.updates)} planned")
    return ", ".join(parts)


def truncated(lab: Laboratory) -> str:
    """The weights of the newest checkpoint cut to half."""

    def cut(checkpoint: Path) -> None:
        os.truncate(checkpoint / lab.side.weights_file, (checkpoint / lab.side.weights_file).stat().st_size // 2)

    return damaged(lab, {lab.side.weights_file: cut})


def missing(lab: Laboratory) -> str:
    """Each other file of the newest checkpoint gone."""
    return damaged(lab, {name: lambda folder, name=name: (folder / name).unlink() for name in lab.side.state_files})


def damaged(lab: Laboratory, damages: dict[str, Callable[[Path], None]]) -> str:
    """Kill a run, damage its newest checkpoint in each way, resume; beside a resume of the undamaged one."""
    output = lab.folder("damaged")
    lab.run_until_killed(output, KILL_AT, negatives="fixed")
    if not lab.side.checkpoints(output):
        return "no checkpoint was written that could be damaged"
    kept = output.with_name("damaged.kept")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(output, kept)
    intact = lab.run(output, negatives="fixed", resume=True)
    parts = [f"undamaged: {resumed(lab, intact, intact)}"]
    for name, damage in damages.items():
        shutil.rmtree(output)
        shutil.copytree(kept, output)
        damage(lab.side.checkpoints(output)[-1])
        parts.append(f"{name}: {resumed(lab, lab.run(output, negatives='fixed', resume=True), intact)}")
    return "; ".join(parts)


def resumed(lab: Laboratory, run: Run, intact: Run) -> str:
    """In words: how a resumed run went on and what it reached."""
    if run.code != 0:
        return f"crashes: {run.error}"
    newest = run.earlier[-1]["step"] // SAVE_STEPS * SAVE_STEPS
    how = "" if run is intact else f" {said(run, intact)}"
    return f"goes on from update {run.began_after} (newest checkpoint: {newest}){how}, {weights(lab, run)}"


def memory(fault: str) -> Callable[[Laboratory], str]:
    """Out of memory after some updates, in each mode of a side."""

    def cell(lab: Laboratory) -> str:
        reference = lab.reference("fixed")
        parts = []
        for number, (label, own) in enumerate(lab.side.modes):
            output = lab.folder(f"{fault}-{number}")
            run = lab.run(output, negatives="fixed", fault=fault, at=FAULT_AT, own=own)
            parts.append(f"{label}: {finished(run, reference)}")
        return "; ".join(parts)

    return cell


def not_a_number(lab: Laboratory) -> str:
    """One NaN."""
    run = lab.run(lab.folder("nan"), negatives="fixed", fault="nan", at=FAULT_AT)
    losses = lab.side.losses(run.output)[-KILLS:]
    logged = ", ".join("no number" if loss is None else f"{loss:.3g}" for loss in losses)
    return f"{finished(run, lab.reference('fixed'))}, last losses logged: {logged}"


def finished(run: Run, reference: Run) -> str:
    """In words: how a run that was not resumed went on and what it reached."""
    planned = len(reference.updates)
    if run.code != 0:
        return f"crashes after {len(run.updates)} of {planned} updates: {run.error}"
    parts = [f"goes on {said(run, reference)}", f"{len(run.updates)} updates done for {planned} planned"]
    if "samples" in run.updates[0]:
        seen, wanted = (sum(update["samples"] for update in item.updates) for item in (run, reference))
        sizes = sorted({update["samples"] for update in run.updates})
        parts.append(f"{seen} samples for {wanted} in batches of {', '.join(map(str, sizes))}")
    return ", ".join([*parts, compared(run, reference)])


def weights(lab: Laboratory, run: Run) -> str:
    """In words: the final weights of a resumed run."""
    return compared(run, lab.reference("fixed"))


ROWS: Final = (
    Row("", "control", "no fault, the same command again", control),
    Row("1", "kill", f"{KILLS} SIGKILLs at random updates, resumed; negatives redrawn each epoch", killed_redrawn),
    Row("1", "kill-fixed", f"{KILLS} SIGKILLs at random updates, resumed; negatives stay", killed_fixed),
    Row("4", "truncated", "weights of the newest checkpoint cut to half, resumed", truncated),
    Row("6", "missing", "a file of the newest checkpoint missing, resumed", missing),
    Row("9", "memory", "out of memory once, in a forward pass", memory("memory-forward")),
    Row("9", "memory", "out of memory once, in a backward pass", memory("memory-backward")),
    Row("9", "memory", "half the memory gone from an update on", memory("memory-half")),
    Row("11", "nan", "one NaN in the loss", not_a_number),
)


def print_table(headers: list[str], rows: list[list[str]]) -> None:
    """Markdown."""
    print("| " + " | ".join(headers) + " |\n|" + "---|" * len(headers))
    for row in rows:
        print("| " + " | ".join(cell.strip() for cell in row) + " |")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    names = list(dict.fromkeys(row.name for row in ROWS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="faults to run")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--repetitions", type=int, default=3, help="of what is random")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of kills")
    parser.add_argument("--folder", help="keep models, runs and their output here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
