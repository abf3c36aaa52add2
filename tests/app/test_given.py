"""Unknown, missing and wrong flags, each with what to do."""

from __future__ import annotations

import pytest

from bistill.app import cli, given
from bistill.app.config import (
    DistillationOptions,
    EvaluationOptions,
    MonitorOptions,
    PipelineOptions,
    PrepareOptions,
    TeacherOptions,
)
from bistill.app.options import Options
from bistill.errors import OptionError


def refused(kind: type[Options], *arguments: str, pairs: bool = False) -> str:
    with pytest.raises(OptionError) as error:
        given.refuse(kind, arguments, "prog", pairs=pairs)
    return str(error.value)


def test_a_misspelt_flag_names_the_nearest_one() -> None:
    assert refused(TeacherOptions, "--epochs", "3", "--batchsize=4") == (
        "--batchsize: unknown flag\n  do: did you mean --batch_size? prog --help-all lists all flags"
    )
    assert "did you mean --negative_penalty_weight?" in refused(DistillationOptions, "--negative_penality_weight", "1")
    assert "did you mean --no_recover?" in refused(MonitorOptions, "--recover")
    assert refused(PrepareOptions, "--zzzz").endswith("do: prog --help-all lists all flags")
    assert "--distillation.epochs or --teacher.epochs?" in refused(PipelineOptions, "--epochs", pairs=True)


def test_known_flags_are_let_through_however_they_are_written() -> None:
    given.refuse(TeacherOptions, ["--batch-size", "4", "--lr=-1", "-1", "--use_lora"], "prog", pairs=False)
    given.refuse(PipelineOptions, ["--no_force", "--teacher.no_use_lora", "--force"], "prog", pairs=True)
    given.refuse(PrepareOptions, ["--data_version", "v", "--", "--file"], "prog", pairs=False)


def test_flags_that_are_missing_are_named_with_their_values() -> None:
    assert refused(DistillationOptions, "--K", "4") == (
        "--teacher_path, --output_dir: these flags must be given\n"
        "  do: add --teacher_path TEXT --output_dir TEXT; prog --help says more"
    )
    assert refused(EvaluationOptions, "--model_path", "m").startswith("--test_data: this flag must be given\n")
    given.refuse(PipelineOptions, [], "prog", pairs=True)


def test_a_value_of_another_kind_is_said() -> None:
    assert refused(TeacherOptions, "--epochs", "x") == (
        "--epochs: a whole number is expected\n  found: 'x'\n  do: give a whole number"
    )
    assert refused(TeacherOptions, "--epochs=1.5").startswith("--epochs: a whole number is expected\n  found: '1.5'")
    assert refused(TeacherOptions, "--lr", "fast").startswith("--lr: a number or None is expected\n  found: 'fast'")
    assert "'auto' or 'fp32' or 'tf32' or 'bf16' or 'fp16' is expected" in refused(TeacherOptions, "--precision", "f")
    assert refused(TeacherOptions, "--lr", "--epochs", "3") == "--lr: a value is missing\n  do: give --lr FLOAT"
    required = ("--teacher_path", "t", "--output_dir", "s")
    assert "found: 'x'" in refused(DistillationOptions, *required, "--matryoshka", "64", "x")
    assert refused(PipelineOptions, "--teacher.epochs", "x", pairs=True).startswith("--teacher.epochs: a whole number")


def test_values_of_every_kind_are_let_through() -> None:
    words = ["--lr", "2e-5", "--max_samples", "None", "--precision", "fp32", "--trackers", "--use_lora", "--seed=7"]
    given.refuse(TeacherOptions, words, "prog", pairs=False)
    words = [
        "--teacher_path",
        "t",
        "--output_dir=s",
        "--matryoshka",
        "64",
        "32",
        "--merge_with_start",
        "--score",
        "linear",
    ]
    given.refuse(DistillationOptions, words, "prog", pairs=False)


def test_names_that_are_given() -> None:
    assert given.names_given(["source", "--data-version", "v", "--K=4", "-1", "--", "--tau"]) == {"data_version", "K"}


def test_a_flag_of_an_earlier_release_is_understood() -> None:
    typed = ["--corpus_data", "a.csv", "--corpus-data=b.csv", "--evaluation.corpus_data", "--corpus_dat", "corpus_data"]
    today = ["--documents", "a.csv", "--documents=b.csv", "--evaluation.documents", "--corpus_dat", "corpus_data"]
    assert given.renamed(typed) == today


def test_the_evaluation_takes_more_documents_under_their_former_flag() -> None:
    typed = ["--model_path", "m", "--test_data", "t.csv", "--corpus_data", "c.csv"]
    assert cli.parse("evaluate", typed, "bistill evaluate").documents == "c.csv"
