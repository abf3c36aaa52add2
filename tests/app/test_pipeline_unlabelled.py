"""The pipeline from documents and queries alone to a student: no label is read, and what is there is not made again."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistill import journal
from bistill.app import cli, label_free, pipeline
from bistill.app.commands.prepare import prepare
from bistill.app.config import PipelineOptions, PrepareOptions
from bistill.errors import DataError, OptionError

WORDS = """
    file list sort set map tree graph query key value red blue green json network socket thread string number parse
""".split()  # noqa: SIM905
STUDENT = Path("models/student")
VERSION = Path("preprocessed/unlabelled")
Write = Callable[[Path, list[list[str]]], Path]
# The tiny teacher is random and finds nearly everything half relevant: its first document alone is a positive.
FLAGS = """
    --distillation.epochs 1 --distillation.batch_size 8 --distillation.K 4 --distillation.max_len 32
    --distillation.unlabelled_reads 6 --distillation.lexical_tokens words --distillation.max_negative_ratio None
    --distillation.weak_student trained
""".split()  # noqa: SIM905


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 40 documents and a log of 40 queries, one of which was asked twice."""
    monkeypatch.chdir(tmp_path)
    documents = [{"text": f"{start} {word}"} for word in WORDS for start in ("returns the", "error in the")]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    asked = [f"{start} {word}" for word in WORDS for start in ("how to", "what is the")]
    (tmp_path / "log.csv").write_text("\n".join(["query", *asked, asked[0]]))
    return tmp_path


@pytest.fixture
def options(folder: Path, tiny_encoder: Path, tiny_teacher: Path) -> PipelineOptions:
    return parsed("--teacher_path", str(tiny_teacher), "--student_name", str(tiny_encoder))


def parsed(*more: str) -> PipelineOptions:
    found = cli.parse("pipeline", ["--documents", "corpus.jsonl", "--queries", "log.csv", *FLAGS, *more], "x")
    assert isinstance(found, PipelineOptions)
    return found


def trainings() -> int:
    return sum(record["event"] == "start" for record in journal.read(STUDENT / "journal.jsonl"))


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STUDENT / "bistill.json").read_text())
    return found


def queries_of(name: str) -> dict[str, int]:
    with (VERSION / name).open(encoding="utf-8", newline="") as file:
        return {row["query"]: int(row["count"]) for row in csv.DictReader(file)}


def test_documents_and_queries_become_a_student(
    options: PipelineOptions, tiny_encoder: Path, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.run(dataclasses.replace(options, searches=("how to parse",)))
    learned, held = queries_of("queries.csv"), queries_of("valid_queries.csv")
    assert len(learned) + len(held) == 40 and held and not learned.keys() & held.keys()
    assert (learned | held)["how to file"] == 2 and sum((learned | held).values()) == 41
    made = record()
    assert (made["judge"], made["learned_from"], made["teacher_path"]) == ("teacher", "teacher", str(tiny_teacher))
    assert not Path("models/teacher").exists()
    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if line.startswith("evaluation: the")] == [
        "evaluation: the teacher is the judge of the queries in valid_queries.csv, since "
        f"{VERSION} has no test.csv; --evaluation.test_data FILE names another, and "
        f"`bistill judge --data_version unlabelled --models {STUDENT} {tiny_encoder} {tiny_teacher} bm25` makes one "
        "that you judge by hand"
    ]
    result = json.loads(Path("evaluation_results/bi_encoder_evaluation_results.json").read_text())
    judge = result["data"]["judge"]
    assert (judge["path"], judge["queries"] + judge["queries_left_out"]) == (str(tiny_teacher), len(held))
    assert result["ranking"]["student"]["ndcg_at_10"] > 0 and result["ranking"]["teacher"] is None
    assert f"teacher:  {tiny_teacher}\nstudent:  {STUDENT}\n" in said.out
    assert "how to parse" in said.out and "figures:  evaluation_results/" in said.out
    assert said.err.splitlines()[-1] == (
        f"next: bistill search --model_path {STUDENT} --documents {VERSION}/corpus.csv --query 'your question'"
    )


@pytest.mark.slow
def test_what_is_unchanged_is_reused_and_a_changed_log_trains_anew(
    options: PipelineOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.run(options)
    written = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    capsys.readouterr()
    pipeline.run(options)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    said = capsys.readouterr().err
    assert f"preparation: inputs unchanged, {VERSION} is reused" in said
    assert f"distillation: inputs unchanged, {STUDENT} is reused" in said
    before = record()["weights"]
    with Path("log.csv").open("a") as file:
        file.write("\nfast socket\nslow socket")
    pipeline.run(options)
    assert len(queries_of("queries.csv")) + len(queries_of("valid_queries.csv")) == 42
    assert trainings() == 2 and record()["weights"] != before
    # The same files of another name: prepared already, and the student stays.
    Path("log.csv").rename("same.csv")
    pipeline.run(dataclasses.replace(options, queries="same.csv"))
    assert trainings() == 2


@pytest.mark.slow
def test_only_the_held_out_queries_changing_trains_anew(options: PipelineOptions) -> None:
    pipeline.run(options)
    moved = dataclasses.replace(options, documents=None, queries=None, data_version="unlabelled")
    pipeline.run(moved)
    assert trainings() == 1  # the version by its name is the same
    with (VERSION / "valid_queries.csv").open("a") as file:
        file.write("fast graph,1,\n")
    pipeline.run(moved)
    assert trainings() == 2
    with pytest.raises(OptionError, match=r"valid_queries\.csv'\n  do: give another --data_version, or leave out"):
        pipeline.run(options)  # prepared files that somebody changed are nobody's to replace
    assert trainings() == 2


@pytest.mark.slow
def test_a_test_file_of_its_own_is_evaluated_on(options: PipelineOptions, write_csv: Write) -> None:
    rows = [["query", "positive"], *[[f"where is the {word}", f"returns the {word}"] for word in WORDS[:5]]]
    write_csv(Path("labelled.csv"), rows)
    evaluation = dataclasses.replace(options.evaluation, test_data="labelled.csv")
    pipeline.run(dataclasses.replace(options, evaluation=evaluation))
    result = json.loads(Path("evaluation_results/bi_encoder_evaluation_results.json").read_text())
    assert result["counts"]["queries"] == 5 and set(result["ranking"]) >= {"student", "base", "bm25"}
    Path("labelled.csv").unlink()
    with pytest.raises(DataError, match=r"labelled\.csv: the file does not exist\n  do: check the path"):
        pipeline.run(dataclasses.replace(options, evaluation=evaluation))


@pytest.mark.slow
def test_a_teacher_that_is_there_teaches_a_labelled_version_too(
    options: PipelineOptions, tiny_teacher: Path, write_csv: Write
) -> None:
    for split, words in (("train", WORDS[:12]), ("valid", WORDS[12:16]), ("test", WORDS[16:])):
        rows = [[f"how to {word}", f"returns the {word}", f"error in {word}"] for word in words]
        write_csv(Path("preprocessed") / "mine" / f"{split}.csv", [["query", "positive", "negative"], *rows])
    labelled = dataclasses.replace(options, documents=None, queries=None, data_version="mine")
    pipeline.run(labelled)
    assert not Path("models/teacher").exists() and record()["teacher_path"] == str(tiny_teacher)
    result = json.loads(Path("evaluation_results/bi_encoder_evaluation_results.json").read_text())
    assert result["models"]["teacher"]["path"] == str(tiny_teacher)


def test_flags_and_a_file_say_the_same(options: PipelineOptions) -> None:
    settings = {
        "documents": options.documents,
        "queries": options.queries,
        "teacher_path": options.teacher_path,
        "student_name": options.student_name,
    }
    Path("run.yaml").write_text(json.dumps(settings))
    found = cli.parse("pipeline", ["--config", "run.yaml", *FLAGS], "x")
    assert dataclasses.replace(found, config=None) == options
    assert pipeline.joined(found)[1].student_name == options.student_name


def test_the_data_version_is_named_or_has_a_default(options: PipelineOptions) -> None:
    assert label_free.version_of(options).name == "unlabelled"
    assert label_free.version_of(dataclasses.replace(options, data_version="mine")).name == "mine"
    assert label_free.version_of(PipelineOptions()).name == "supervised_only"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--documents", "corpus.jsonl"], r"--documents, --queries: documents and queries .* together\n"),
        (["--queries", "log.csv", "--teacher_path", "t"], r"--documents, --queries: .* together\n"),
        (["--documents", "corpus.jsonl", "--queries", "log.csv"], r"--teacher_path: a teacher is trained on labels"),
        (
            ["--documents", "corpus.jsonl", "--queries", "log.csv", "--teacher_path", "t", "--data_version", "a", "b"],
            r"--data_version: documents and queries become one data version\n  found: \('a', 'b'\)",
        ),
        (
            ["--teacher_path", "t", "--teacher.epochs", "1", "--teacher.lr", "1e-4"],
            r"teacher\.epochs, teacher\.lr: no teacher is trained where --teacher_path names one",
        ),
        (
            ["--student_name", "a", "--distillation.student_name", "b"],
            r"--student_name, distillation\.student_name: two models .*\n  found: \('a', 'b'\)",
        ),
    ],
)
def test_what_contradicts_is_refused(folder: Path, flags: list[str], expected: str) -> None:
    with pytest.raises(OptionError, match=expected):
        pipeline.run(cli.parse("pipeline", flags, "x"))
    assert not (folder / "preprocessed").exists()


def test_a_version_without_labels_trains_no_teacher(folder: Path) -> None:
    prepare(PrepareOptions(documents="corpus.jsonl", queries="log.csv", data_version="mine"))
    with pytest.raises(OptionError, match=r"the data version has none\n  found: preprocessed/mine/queries\.csv\n"):
        pipeline.run(PipelineOptions(data_version="mine"))


def test_a_data_version_that_somebody_else_prepared_stays(options: PipelineOptions) -> None:
    """Not even where the pipeline made one of that name before."""
    stage = label_free.preparation(options)
    (Path(stage.output_dir)).mkdir(parents=True)
    (VERSION / "stage.json").write_text(json.dumps({"inputs": "", "outputs": {"queries.csv": "0"}}))
    prepare(PrepareOptions(documents="corpus.jsonl", data_version="unlabelled"))
    before = (VERSION / "prepare.json").read_bytes()
    for force in (False, True):
        with pytest.raises(OptionError, match=r"made otherwise: .*\n.*\n  do: give another --data_version"):
            pipeline.run(dataclasses.replace(options, force=force))
    assert (VERSION / "prepare.json").read_bytes() == before and not STUDENT.exists()
