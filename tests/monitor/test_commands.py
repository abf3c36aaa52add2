from __future__ import annotations

from pathlib import Path
from typing import Any

from bistill.app import cli
from bistill.app.config import DistillationOptions, EvaluationOptions
from bistill.monitor import commands
from bistill.monitor.status import RunStatus

PIPELINE = ["/venv/bin/python", "/venv/bin/bistill", "pipeline", "--config", "demo.yaml"]
DISTILL = ["python", "distil.py", "--teacher_path", "t", "--output_dir", "o", "--trackers", "tensorboard"]


def run(command: list[str], **fields: Any) -> RunStatus:
    place = {"folder": Path("models/run"), "working_folder": "/home/user", "stage": "distillation"}
    return RunStatus(**{**place, "command": command, "arguments": command[2:], **fields})


def test_the_same_command_again() -> None:
    assert commands.again(run(DISTILL), {}) == DISTILL
    assert commands.again(run([*DISTILL, "--restart", "--lr", "1e-5"]), {}) == [*DISTILL, "--lr", "1e-5"]


def test_flags_take_the_place_of_the_ones_before() -> None:
    flags = {"micro_batch_tokens": 512, "resume_lr_factor": 0.125}
    added = ["--micro_batch_tokens", "512", "--resume_lr_factor", "0.125"]
    assert commands.again(run(DISTILL), flags) == DISTILL + added
    for old in (["--micro_batch_tokens", "1024"], ["--micro-batch-tokens=1024"], ["--micro_batch_tokens=7"]):
        assert commands.again(run([*DISTILL[:2], *old, *DISTILL[2:]]), flags) == DISTILL + added
    options = cli.parse("distill", commands.again(run(DISTILL), flags)[2:], "x")
    assert isinstance(options, DistillationOptions)
    assert (options.micro_batch_tokens, options.resume_lr_factor, options.trackers) == (512, 0.125, ("tensorboard",))
    large = commands.again(run(DISTILL), {"micro_batch_tokens": 2**30 + 1})
    assert cli.parse("distill", large[2:], "x").micro_batch_tokens == 2**30 + 1


def test_a_pipeline_is_given_the_flags_of_the_section() -> None:
    status = run([*PIPELINE, "--force", "--distillation.restart"], arguments=["pipeline"])
    assert commands.is_pipeline(status) and not commands.is_pipeline(run(DISTILL))
    assert commands.again(status, {"micro_batch_tokens": 64}) == [
        *PIPELINE,
        "--distillation.micro_batch_tokens",
        "64",
    ]
    teacher = run(PIPELINE, arguments=["pipeline"], stage="teacher")
    assert commands.again(teacher, {"micro_batch_tokens": 64})[-2:] == ["--teacher.micro_batch_tokens", "64"]
    found = cli.parse("pipeline", commands.again(teacher, {"micro_batch_tokens": 64})[5:], "x")
    assert found.teacher.micro_batch_tokens == 64


def test_the_evaluation_of_a_student(tmp_path: Path) -> None:
    options = {"data_root": "preprocessed", "data_version": "mine", "trust_remote_code": False}
    status = run(DISTILL, folder=tmp_path / "student", options=options)
    command = commands.evaluation(status)
    assert command[:4] == ["python", "-c", "from bistill.app.cli import main; main()", "evaluate"]
    assert cli.parse("evaluate", command[4:], "x") == EvaluationOptions(
        model_path=str(tmp_path / "student"),
        test_data="/home/user/preprocessed/mine/test.csv",
        output_dir="/home/user/evaluation_results/student",
    )
    trusting = run(DISTILL, options={**options, "trust_remote_code": True})
    assert cli.parse("evaluate", commands.evaluation(trusting)[4:], "x").trust_remote_code
    elsewhere = run(DISTILL, options={**options, "data_root": "/data"})
    assert commands.test_data(elsewhere) == Path("/data/mine/test.csv")
    several = run(DISTILL, options={**options, "data_version": ["mine", "yours"]})
    assert commands.test_data(several) == Path("/home/user/preprocessed/mine/test.csv")


def test_a_program_of_a_users_own_is_started_as_it_was() -> None:
    status = RunStatus(Path("models/student"), stage="distillation", command=["python", "mine.py"], takes_flags=False)
    assert commands.again(status, {"resume_lr_factor": 0.5}) == ["python", "mine.py"]
