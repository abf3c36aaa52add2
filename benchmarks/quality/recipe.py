"""One recipe on one data version under one seed: train, measure, write the result.

python benchmarks/quality/recipe.py JOB

JOB is a file that ``compare.py`` wrote. The result is written at once and last; a run that was killed before has none.
Training of ours goes on from its checkpoint then, that of a peer begins anew. A lock, which the training's process
holds, too, keeps a second process of the same run waiting: either may have outlived the command that started it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
import recipes

from bistill import artifacts, journal

HERE = Path(__file__).parent
COMMAND = "from bistill.app import cli; cli.main()"


def main() -> None:
    """Do what the job says, unless its result is there."""
    path = Path(sys.argv[1])
    lock = os.open(path.with_name("lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        do(json.loads(path.read_text(encoding="utf-8")), path, lock)
    finally:
        os.close(lock)


def do(job: dict[str, Any], path: Path, lock: int) -> None:
    """Train where no model of the job was kept, measure where there is no result."""
    result = path.with_name("result.json")
    if recipes.of_job(result, recipes.identity(job)):
        return
    facts = recipes.of_job(path.with_name("trained.json"), recipes.training_identity(job)) or trained(job, path, lock)
    started = time.monotonic()
    figures = measured(job)
    seconds = round(time.monotonic() - started, 1)
    record = {**facts, "job": recipes.identity(job), **figures, "evaluation_seconds": seconds}
    artifacts.write_json(result, journal.finite(record))
    if not job["keep_models"]:
        path.with_name("trained.json").unlink(missing_ok=True)
        shutil.rmtree(job["output"], ignore_errors=True)


def trained(job: dict[str, Any], path: Path, lock: int) -> dict[str, Any]:
    """Have the model trained and write that it is; returns wall seconds, updates, and what is to be noted.

    Raises:
        SystemExit: the training failed; what it said stands above in the log.
    """
    identity = recipes.training_identity(job)
    if job["kind"] in recipes.UNTRAINED:
        return {"job": identity, "seconds": 0.0, "updates": 0, "notes": []}
    output, begun = Path(job["output"]), path.with_name("begun.json")
    path.with_name("trained.json").unlink(missing_ok=True)
    if job["kind"] != recipes.BISTILL or not recipes.of_job(begun, identity):
        shutil.rmtree(output, ignore_errors=True)
    resumed = output.is_dir()
    artifacts.write_json(begun, {"job": identity})
    started = time.monotonic()
    code = subprocess.run(training_command(job, path), check=False, pass_fds=(lock,)).returncode
    if code:
        sys.exit(code)
    seconds = round(time.monotonic() - started, 1)
    facts = of_ours(job) if job["kind"] == recipes.BISTILL else artifacts.read_json(output / "facts.json")
    if resumed:
        facts["notes"].append("resumed: its wall time is that of the last process")
    facts = {"job": identity, "seconds": seconds, **facts}
    artifacts.write_json(path.with_name("trained.json"), facts)
    return facts


def training_command(job: dict[str, Any], path: Path) -> list[str]:
    """Command line of the training's process."""
    if job["kind"] == recipes.BISTILL:
        own = {"student_name": job["start"], "output_dir": job["output"]}
        return [sys.executable, "-c", COMMAND, "distill", *recipes.command_line(job["common"], job["options"], own)]
    python = job["flagembedding_python"] if job["kind"] == recipes.FLAG_EMBEDDING else sys.executable
    return [python, str(HERE / f"train_{job['kind']}.py"), str(path)]


def of_ours(job: dict[str, Any]) -> dict[str, Any]:
    """Updates of a run of ours; as notes the update of its best weights, and if its candidates are not the peers'."""
    events: dict[str, dict[str, Any]] = {}
    for record in journal.read(Path(job["output"]) / artifacts.JOURNAL):
        events[record["event"]] = record  # the last one of each kind
    notes = [f"weights of update {events['saved']['step']}"]
    prepared = artifacts.read_json(Path(job["prepared"]) / "prepared.json")
    if events["inputs"]["candidates"]["pools"] != prepared["pools"]:
        notes.append("candidates of its own")
    return {"updates": events["step"]["step"], "notes": notes}


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """Figures on the test queries, and nDCG@10 of every data version that shall not be forgotten."""

    common = job["common"]
    asking = measure.Asking(common["data_root"], common["precision"], job["test_queries"])

    def of(data: str, sizes: Sequence[int] = ()) -> dict[str, Any]:
        if job["kind"] == recipes.TEACHER:
            reading = {"depth": job["options"]["depth"], "max_len": common["teacher_max_len"]}
            return measure.teacher(common["teacher_path"], job["start"], data, asking, **reading)
        return measure.student(job["start"] if job["kind"] == recipes.START else job["output"], data, asking, sizes)

    other = {} if job["kind"] == recipes.TEACHER else {name: of(name)["ndcg_at_10"] for name in job["forgetting"]}
    return {"figures": of(common["data_version"], job["dimensions"]), "forgetting": other}


if __name__ == "__main__":
    main()
