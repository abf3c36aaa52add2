"""What a folder holds already: kept, refused by name, or replaced once the new model is whole."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bistill import artifacts
from bistill.app import assembling
from bistill.app.commands import distill as distillation
from bistill.app.commands import teacher
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.errors import OptionError
from bistill.journal import read
from bistill.models.cross_encoder import CrossEncoder
from bistill.monitor.runs import Runs
from bistill.training.loop.engine import Progress
from bistill.training.run import hooks, saving
from bistill.training.student.train import inputs
from bistill.training.teacher import train as stage
from tests.training.conftest import TOPICS, distillation_options

Made = tuple[Path, TeacherOptions]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Made:
    """A project folder with a data version and a finished teacher, both as relative paths, and its options."""
    project = tmp_path_factory.mktemp("project")
    (project / "preprocessed" / "tiny").mkdir(parents=True)
    shutil.copytree(tiny_encoder, project / "start")
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:])):
        rows = [f"how to {word},returns the {word},error in {TOPICS[n]}" for n, word in enumerate(words)]
        text = "\n".join(["query,positive,negative", *rows]) + "\n"
        (project / "preprocessed" / "tiny" / f"{split}.csv").write_text(text, encoding="utf-8")
    made = TeacherOptions(
        data_version="tiny",
        output_dir="models/teacher",
        model_name="start",
        max_samples=4,
        epochs=1,
        batch_size=4,
        max_len=16,
        lr=1e-3,
        negatives_per_positive=1,
        save_steps=1,
        precision="fp32",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(project)
        teacher.train(made)
    return project, made


@pytest.fixture
def made(trained: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TeacherOptions:
    """Its options, in a copy of the project."""
    shutil.copytree(trained[0], tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return trained[1]


def state(folder: Path = Path("models/teacher")) -> dict[str, tuple[bytes, int]]:
    """Bytes and times of all files of a model, those of an attempt to replace it left out."""
    files = {path: path for path in folder.rglob("*") if path.is_file() and "replacement" not in path.parts}
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files if path.name != "run.lock"}


def journal(folder: str = "models/teacher") -> list[dict[str, Any]]:
    return list(read(Path(folder) / artifacts.JOURNAL))


def states() -> dict[str, str]:
    """What the monitor says of each run."""
    return {str(view.status.folder): str(view.state) for view in Runs(Path("models")).look(10)}


class BrokenOffError(Exception):
    pass


def fail(*_: Any, **__: Any) -> None:
    raise BrokenOffError


def test_the_same_command_keeps_the_model_and_gives_its_record(
    made: TeacherOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state()
    monkeypatch.setattr(stage, "trained", fail)
    for again in (made, dataclasses.replace(made, overwrite=True), dataclasses.replace(made, restart=True)):
        assert teacher.train(again) == json.loads(Path("models/teacher/bistill.json").read_text(encoding="utf-8"))
        assert "models/teacher: the teacher of these options, data and models is finished" in capsys.readouterr().err
    assert state() == before
    with pytest.raises(BrokenOffError):
        teacher.train(dataclasses.replace(made, restart=True, overwrite=True))


def test_what_decides_nothing_does_not_count(made: TeacherOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "trained", fail)
    moved = Path("elsewhere")
    moved.mkdir()
    shutil.move("preprocessed", moved / "data")
    shutil.move("start", moved / "begin")
    (moved / "data" / "tiny" / "notes.txt").write_text("mine")
    for changes in (
        {"data_root": "elsewhere/data", "model_name": "elsewhere/begin"},
        {"data_root": str((moved / "data").absolute()), "model_name": str((moved / "begin").absolute())},
    ):
        here = dataclasses.replace(made, **changes)
        assert teacher.train(here)["stage"] == "teacher"
        aside = {"save_steps": 3, "save_minutes": 0.0, "keep": 1, "micro_batch_tokens": 99, "resume_lr_factor": 0.5}
        assert teacher.train(dataclasses.replace(here, **aside, trust_remote_code=True))["stage"] == "teacher"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": 2e-3, "epochs": 2}, "`epochs` was 1, is 2, `lr` was 0.001, is 0.002"),
        ({"lr": None}, "`lr` was 0.001, is None"),
        ({"precision": "bf16"}, "`precision` was 'fp32', is 'bf16'"),
        ({"data_version": "other"}, "`data_version` was 'tiny', is 'other'"),
        ({"data_root": "others"}, "`data_root` was 'preprocessed', is 'others'"),
        ({"model_name": "other"}, "`model_name` was 'start', is 'other'"),
    ],
)
def test_another_model_is_refused_and_what_differs_is_named(
    made: TeacherOptions, changes: dict[str, Any], said: str
) -> None:
    shutil.copytree("preprocessed/tiny", "preprocessed/other")
    shutil.copytree("preprocessed", "others")
    for root in ("preprocessed/other", "others/tiny"):
        Path(root, "corpus.csv").write_text("passage\nanother document\n")
    shutil.copytree("start", "other")
    with Path("other/config.json").open("a") as file:
        file.write("\n")
    before = state()
    with pytest.raises(OptionError, match=r"a finished teacher that was made otherwise") as raised:
        teacher.train(dataclasses.replace(made, **changes))
    assert f"otherwise: {said}\n" in str(raised.value) and "give `overwrite`" in str(raised.value)
    assert state() == before and states() == {"models/teacher": "finished"}


def test_other_content_of_the_same_name_is_refused(made: TeacherOptions) -> None:
    before = state()
    with Path("preprocessed/tiny/valid.csv").open("a") as file:
        file.write("how to fast,returns the fast,error in slow\n")
    with pytest.raises(OptionError, match="otherwise: what `data_version` tiny names has changed since"):
        teacher.train(made)
    with Path("start/tokenizer_config.json").open("a") as file:
        file.write("\n")
    with pytest.raises(OptionError, match=r"tiny names has changed since; what `model_name` start names has changed"):
        teacher.train(made)
    assert state() == before


def test_a_model_of_another_stage_is_refused(made: TeacherOptions, tiny_teacher: Path, tmp_path: Path) -> None:
    student = distillation_options(Path("preprocessed"), tiny_teacher, Path("start"), output_dir="models/teacher")
    with pytest.raises(OptionError, match="otherwise: it is a teacher, wanted is a student"):
        distillation.train(student)


def test_what_a_student_is_made_of(made: TeacherOptions, tiny_teacher: Path, tiny_encoder: Path) -> None:
    shutil.copytree(tiny_teacher, "second")
    options = DistillationOptions(
        teacher_path="models/teacher",
        output_dir="s",
        student_name="start",
        data_version="tiny",
        more_teachers=("second", "scores:mine"),
        miner_model=str(tiny_encoder),
        miners=("dense",),
    )

    def inputs_of(made: DistillationOptions) -> dict[str, str]:
        training = assembling.student_training(made)
        return inputs(assembling.taught_by(made), assembling.training_data(made), training)

    before = inputs_of(options)
    assert inputs_of(dataclasses.replace(options, teacher_path="./models/../models/teacher")) == before
    assert inputs_of(dataclasses.replace(options, miner_model="start")) == before  # the same content

    def changed(**changes: Any) -> set[str]:
        now = inputs_of(dataclasses.replace(options, **changes))
        return {name for name in before if now[name] != before[name]}

    assert changed(more_teachers=("second", "scores:other")) == {"more_teachers"}
    assert changed(miner_model=None) == {"miner_model"}
    with Path("models/teacher/config.json").open("a") as file:
        file.write("\n")
    assert changed() == {"teacher_path"}


def test_the_finished_model_stays_until_the_new_one_is_whole(
    made: TeacherOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = state(), []
    Path("models/teacher/calibration.json").write_text("{}")  # of a student that was there earlier
    Path("models/teacher/stage.json").write_text("{}")
    Path("models/teacher/train_rejected.csv").write_text("mine")
    after_step = hooks.WriteJournal.after_step

    def watching(self: hooks.WriteJournal, progress: Progress) -> None:
        after_step(self, progress)
        seen.append((before.items() <= state().items(), states()["models/teacher"], set(states())))

    monkeypatch.setattr(hooks.WriteJournal, "after_step", watching)
    record = teacher.train(dataclasses.replace(made, lr=2e-3, overwrite=True))
    assert seen == [(True, "finished", {"models/teacher", "models/teacher/replacement"})] * 2
    assert json.loads(Path("models/teacher/bistill.json").read_text()) == record
    assert record["options"]["lr"] == 2e-3
    assert state()["models/teacher/model.safetensors"] != before["models/teacher/model.safetensors"]
    gone = ("replacement", "checkpoints", "calibration.json", "stage.json", "train_rejected.csv", "run.json")
    assert not [name for name in gone if Path("models/teacher", name).exists()]
    assert [line["options"]["lr"] for line in journal() if line["event"] == "start"] == [1e-3, 2e-3]
    assert [line["event"] for line in journal()[-2:]] == ["saved", "end"]
    assert states() == {"models/teacher": "finished"}
    assert teacher.train(dataclasses.replace(made, lr=2e-3)) == record


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["in an update", "before the model", "after the record"])
def test_an_attempt_that_breaks_off_leaves_the_finished_model_and_is_gone_on_with(
    made: TeacherOptions, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, other = state(), dataclasses.replace(made, lr=2e-3, overwrite=True)
    where = {
        "in an update": (hooks.WriteJournal, "after_step"),
        "before the model": (CrossEncoder, "save"),
        "after the record": (saving.Saving, "finish"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*where[moment], fail)
        with pytest.raises(BrokenOffError):
            teacher.train(other)
    if moment != "after the record":
        assert state() == before
        assert states() == {"models/teacher": "finished", "models/teacher/replacement": "failed"}
        capsys.readouterr()
        assert teacher.train(made)["options"]["lr"] == 1e-3  # the finished one is still what it was
        with pytest.raises(OptionError, match="in this folder was started otherwise: `lr` was"):
            teacher.train(dataclasses.replace(other, lr=3e-3))
    capsys.readouterr()
    assert teacher.train(other)["options"]["lr"] == 2e-3
    assert "going on from the checkpoint" in capsys.readouterr().err
    teacher.train(dataclasses.replace(other, output_dir="models/plain"))
    for name in ("model.safetensors", "best_model.pt"):
        assert Path("models/teacher", name).read_bytes() == Path("models/plain", name).read_bytes()
    assert states() == {"models/teacher": "finished", "models/plain": "finished"}
    assert not Path("models/teacher/replacement").exists()


def test_an_attempt_that_fails_before_its_first_update_leaves_the_model(made: TeacherOptions) -> None:
    before = state()
    Path("preprocessed/tiny/train.csv").write_text("query,positive\nno positive,\n")
    with pytest.raises(ValueError, match="row 2"):
        teacher.train(dataclasses.replace(made, overwrite=True))
    assert state() == before
    assert states() == {"models/teacher": "finished", "models/teacher/replacement": "failed"}


def test_restart_throws_an_attempt_away_and_no_model(made: TeacherOptions, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrossEncoder, "save", fail)
        with pytest.raises(BrokenOffError):
            teacher.train(dataclasses.replace(made, lr=2e-3, overwrite=True))
    with pytest.raises(OptionError, match=r"`lr` was 0\.001, is 0\.003"):
        teacher.train(dataclasses.replace(made, lr=3e-3, restart=True))
    capsys.readouterr()
    assert teacher.train(dataclasses.replace(made, lr=3e-3, restart=True, overwrite=True))["options"]["lr"] == 3e-3
    said = capsys.readouterr().err
    assert "`restart`: the checkpoints up to step 2 in models/teacher/replacement/checkpoints are deleted" in said
    assert "going on" not in said


def test_weights_of_somebody_else_are_refused(made: TeacherOptions) -> None:
    folder = Path("models/mine")
    folder.mkdir()
    for name in ("pytorch_model.bin", "modules.json", "notes.txt"):
        (folder / name).write_text("mine")
    other = dataclasses.replace(made, output_dir=str(folder))
    with pytest.raises(OptionError, match="a model that was not trained there") as raised:
        teacher.train(other)
    assert "pytorch_model.bin" in str(raised.value)
    assert sorted(path.name for path in folder.iterdir()) == ["modules.json", "notes.txt", "pytorch_model.bin"]
    teacher.train(dataclasses.replace(other, overwrite=True))
    assert CrossEncoder.load(str(folder)).score([("how to file", "returns the file")]).shape == (1,)
    assert not (folder / "pytorch_model.bin").exists() and not (folder / "modules.json").exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_model_that_lost_a_file_is_made_anew_and_changed_weights_are_refused(
    made: TeacherOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state()
    weights = Path("models/teacher/model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(OptionError, match="its weights are not those that were trained here"):
        teacher.train(made)
    weights.unlink()
    teacher.train(made)
    assert "models/teacher: the finished teacher lacks model.safetensors: it is made anew" in capsys.readouterr().err
    assert weights.read_bytes() == whole == before[str(weights)][0]


def test_a_model_of_an_earlier_version_is_refused(made: TeacherOptions) -> None:
    path = Path("models/teacher/bistill.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in record.items() if name != "inputs"}))
    with pytest.raises(OptionError, match="an earlier version of bistill, which kept no record"):
        teacher.train(made)
    # An option that is newer than the record did what it does by default.
    record["options"] = {name: value for name, value in record["options"].items() if name != "warmup_ratio"}
    path.write_text(json.dumps(record))
    assert teacher.train(made) == record
    with pytest.raises(OptionError, match=r"`warmup_ratio` was 0\.1, is 0\.2"):
        teacher.train(dataclasses.replace(made, warmup_ratio=0.2))


def test_a_record_that_a_killed_process_left_open_is_closed(made: TeacherOptions) -> None:
    path = Path("models/teacher/journal.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert states() != {"models/teacher": "finished"}
    teacher.train(made)
    assert (journal()[-1]["event"], journal()[-1]["status"]) == ("end", "finished")
    assert states() == {"models/teacher": "finished"}


def test_a_finished_model_in_a_folder_that_cannot_be_written_is_kept(
    made: TeacherOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("probe", "atomic_path"):
        monkeypatch.setattr(artifacts, name, fail)
    assert teacher.train(made)["stage"] == "teacher"
