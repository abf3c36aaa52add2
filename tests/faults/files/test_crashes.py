"""Crashes beside the training cost none of it (17 on the scoreboard of faults)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistill import artifacts
from bistill.app import pipeline
from bistill.app.commands import teacher
from bistill.app.config import EvaluationOptions, PipelineOptions, TeacherOptions
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import folder as model_folder
from bistill.training.run import saving
from bistill.training.teacher import train as stage
from bistill.training.validation import Measured
from tests.faults.files.runs import BrokenOffError, fail, hashes, journal, names, steps, student_options, whole

pytestmark = pytest.mark.slow


def test_a_crash_of_the_evaluation_costs_no_training(
    options: TeacherOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """17: by the pipeline, whose second run only evaluates."""
    shared = {"data_version": "supervised_only", "data_root": "preprocessed"}
    student = student_options(options, tmp_path / "teacher", tmp_path / "student")
    made = PipelineOptions(
        data_version=options.data_version,
        data_root=options.data_root,
        searches=(),
        teacher=dataclasses.replace(options, output_dir=str(tmp_path / "teacher"), **shared),
        distillation=dataclasses.replace(student, teacher_path=PipelineOptions().distillation.teacher_path, **shared),
        evaluation=EvaluationOptions(
            model_path="models/student", test_data="", output_dir=str(tmp_path / "evaluation")
        ),
    )
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "evaluate", lambda _: fail())
        with pytest.raises(BrokenOffError):
            pipeline.run(made)
    models = {name: hashes(getattr(made, name)) for name in ("teacher", "distillation")}
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert len(written) == 2 and not (tmp_path / "evaluation").exists()
    capsys.readouterr()
    monkeypatch.setattr(pipeline, "train_teacher", lambda _: fail())
    monkeypatch.setattr(pipeline, "train_student", lambda _: fail())
    pipeline.run(made)
    said = capsys.readouterr().err
    for name in ("teacher", "distillation"):
        assert f"{name}: inputs unchanged, {getattr(made, name).output_dir} is reused" in said
        assert hashes(getattr(made, name)) == models[name]
    assert "evaluation: started" in said
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert json.loads((tmp_path / "evaluation" / artifacts.EVALUATION_JSON).read_text())["counts"]["queries"] == 8


@pytest.mark.parametrize("moment", ["before", "while", "after the move", "after the record"])
def test_a_crash_between_the_last_update_and_the_model_costs_no_update(
    options: TeacherOptions,
    uninterrupted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
) -> None:
    """17: the next run only writes the model."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    save, move = CrossEncoder.save, model_folder.move_model

    def after(act: Callable[..., object]) -> Callable[..., None]:
        def acting(*given: Any) -> None:
            act(*given)
            fail()

        return acting

    with monkeypatch.context() as patch:
        if moment == "before":
            patch.setattr(CrossEncoder, "save", lambda *_: fail())
        elif moment == "while":
            patch.setattr(CrossEncoder, "save", after(save))
        elif moment == "after the move":
            patch.setattr(model_folder, "move_model", after(move))
        else:
            patch.setattr(saving.Saving, "finish", lambda _: fail())
        with pytest.raises(BrokenOffError):
            teacher.train(made)
    assert journal(made, "end")[0]["status"] == "failed"
    assert (tmp_path / "run" / "bistill.json").exists() is (moment == "after the record")
    assert whole(made) == [10, 12]
    capsys.readouterr()
    teacher.train(made)
    assert "going on from the checkpoint of step 12 " in capsys.readouterr().err
    assert steps(made) == [] and journal(made, "evaluation") == []
    assert hashes(made) == uninterrupted
    assert not {"checkpoints", "unfinished-model"} & set(names(tmp_path / "run"))


def test_an_evaluation_that_crashes_within_the_training_costs_at_most_the_updates_since_the_last_checkpoint(
    options: TeacherOptions, uninterrupted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """17: the measurement on the validation queries crashes at update 9."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    measure = stage.measure_teacher
    calls: list[int] = []

    def fourth(*given: Any) -> Measured:
        calls.append(1)
        if len(calls) == 4:  # before the first update, then after 3, 6 and 9
            fail()
        return measure(*given)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "measure_teacher", fourth)
        with pytest.raises(BrokenOffError):
            teacher.train(made)
    assert whole(made) == [6, 8]
    teacher.train(made)
    assert steps(made) == [9, 10, 11, 12]
    assert hashes(made) == uninterrupted
