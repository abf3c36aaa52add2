"""The whole chain on tiny encoders: what runs, what is skipped, and what a change runs again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill import journal
from bistill.app import pipeline, stages
from bistill.app.commands.teacher import train as train_teacher
from bistill.app.config import DistillationOptions, EvaluationOptions, PipelineOptions, TeacherOptions
from bistill.errors import DataError, ModelError, OptionError
from bistill.training.student import gate

WORDS = """
    file list sort set map tree graph query key value red blue green json network socket thread string number parse
""".split()  # noqa: SIM905


@pytest.fixture
def options(
    tmp_path: Path,
    tiny_encoder: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> PipelineOptions:
    monkeypatch.chdir(tmp_path)
    for split, words in (("train", WORDS[:12]), ("valid", WORDS[12:16]), ("test", WORDS[16:])):
        rows = [["query", "positive", "negative"]]
        rows += [[f"how to {word}", f"returns the {word}", f"error in {word}"] for word in words]
        write_csv(tmp_path / "preprocessed" / "tiny" / f"{split}.csv", rows)
    shared = {"epochs": 1, "batch_size": 4, "max_len": 32, "valid_samples": 4}
    return PipelineOptions(
        data_version="tiny",
        searches=("how to parse",),
        teacher=TeacherOptions(model_name=str(tiny_encoder), output_dir="models/teacher", **shared),
        distillation=DistillationOptions(
            teacher_path="models/teacher",
            student_name=str(tiny_encoder),
            output_dir="models/student",
            K=4,
            allow_weak_teacher=True,
            **shared,
        ),
        evaluation=EvaluationOptions(model_path="models/student", test_data="", output_dir="evaluation_results"),
    )


def runs() -> tuple[int, int]:
    """How often teacher and student were trained, by their journals."""
    counts = [
        sum(record["event"] == "start" for record in journal.read(Path("models") / name / "journal.jsonl"))
        for name in ("teacher", "student")
    ]
    return counts[0], counts[1]


def test_everything_is_written_and_shown(options: PipelineOptions, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.run(options)
    result = json.loads(Path("evaluation_results/bi_encoder_evaluation_results.json").read_text())
    assert result["models"]["teacher"]["path"].endswith("models/teacher")
    assert 0 <= result["ranking"]["student"]["ndcg_at_10"] <= 1
    assert Path("evaluation_results/bi_encoder_evaluation_analysis.png").read_bytes()[:4] == b"\x89PNG"
    assert "<!DOCTYPE html>" in Path("evaluation_results/bi_encoder_evaluation_report.html").read_text()
    output = capsys.readouterr().out
    for expected in ("nDCG@10", "how to parse", "teacher:  models/teacher", "student:  models/student"):
        assert expected in output


@pytest.mark.slow
def test_an_unchanged_second_run_trains_and_evaluates_nothing(
    options: PipelineOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.run(options)
    written = {
        path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file() and "cache" not in str(path)
    }
    capsys.readouterr()
    pipeline.run(options)
    assert runs() == (1, 1)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    captured = capsys.readouterr()
    for stage in ("teacher", "distillation", "evaluation"):
        assert f"{stage}: inputs unchanged" in captured.err
    assert captured.out.count("scores are (cosine + 1) / 2") == 1


@pytest.mark.slow
def test_a_changed_option_runs_its_stage_and_those_behind_it(options: PipelineOptions) -> None:
    pipeline.run(options)
    changed = dataclasses.replace(options.distillation, tau=0.1)
    pipeline.run(dataclasses.replace(options, distillation=changed))
    assert runs() == (1, 2)
    pipeline.run(
        dataclasses.replace(options, distillation=changed, teacher=dataclasses.replace(options.teacher, lr=1e-4))
    )
    assert runs() == (2, 3)


@pytest.mark.slow
def test_changed_data_force_and_a_damaged_output_run_again(options: PipelineOptions) -> None:
    pipeline.run(options)
    with Path("preprocessed/tiny/test.csv").open("a") as file:
        file.write("how to fast,returns the fast,error in slow\n")
    pipeline.run(options)
    assert runs() == (1, 1)
    results = json.loads(Path("evaluation_results/bi_encoder_evaluation_results.json").read_text())
    assert results["counts"]["queries"] == 5
    weights = bytearray(Path("models/student/model.safetensors").read_bytes())
    weights[-1] ^= 1
    Path("models/student/model.safetensors").write_bytes(weights)
    pipeline.run(options)
    assert runs() == (1, 2)
    with Path("preprocessed/tiny/train.csv").open("a") as file:
        file.write("how to fast,returns the fast,error in slow\n")
    pipeline.run(options)
    assert runs() == (2, 3)
    pipeline.run(dataclasses.replace(options, force=True))
    assert runs() == (3, 4)


@pytest.mark.slow
def test_a_model_that_lacks_any_of_its_files_is_made_again(options: PipelineOptions) -> None:
    pipeline.run(options)
    for place, expected in (
        ("models/student/tokenizer.json", (1, 2)),
        ("models/student/1_Pooling/config.json", (1, 3)),
        ("models/student/calibration.json", (1, 4)),
        ("models/teacher/config.json", (2, 4)),  # of the same bytes again: the student stays
    ):
        Path(place).unlink()
        pipeline.run(options)
        assert runs() == expected
        assert Path(place).is_file()
    Path("models/student/notes.md").write_text("mine")
    pipeline.run(options)
    assert runs() == (2, 4)


@pytest.mark.slow
def test_rows_that_the_evaluation_skips_do_not_end_the_closing_searches(
    options: PipelineOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("preprocessed/tiny/test.csv").open("a") as file:
        file.write("how to break,,error\n")
    skipping = dataclasses.replace(options.evaluation, on_bad_rows="skip")
    pipeline.run(dataclasses.replace(options, evaluation=skipping))
    assert "how to parse" in capsys.readouterr().out


@pytest.mark.slow
def test_what_only_the_candidates_come_from_runs_the_distillation_again(
    options: PipelineOptions, tiny_encoder: Path
) -> None:
    model = Path("miner").absolute()
    shutil.copytree(tiny_encoder, model)
    options = dataclasses.replace(
        options, distillation=dataclasses.replace(options.distillation, miners=("dense",), miner_model=str(model))
    )
    pipeline.run(options)
    Path("preprocessed/tiny/corpus.csv").write_text("document\nsomething else\n")
    pipeline.run(options)
    assert runs() == (2, 2)  # a teacher is measured on documents of it, too
    with (model / "config.json").open("a") as file:
        file.write("\n")
    pipeline.run(options)
    assert runs() == (2, 3)
    pipeline.run(options)
    assert runs() == (2, 3)


def test_what_an_evaluation_reads_beside_the_test_file_decides_whether_it_runs_again(
    options: PipelineOptions, tiny_encoder: Path
) -> None:
    plain = options.evaluation
    elsewhere = Path("elsewhere.csv")
    elsewhere.write_text("query,positive\na,b\n")
    forgetting = dataclasses.replace(plain, forgetting_data=(str(elsewhere),))
    found = [
        pipeline.evaluation_fingerprint(given)
        for given in (plain, forgetting, dataclasses.replace(plain, compare_with=str(tiny_encoder)))
    ]
    elsewhere.write_text("query,positive\na,c\n")
    found.append(pipeline.evaluation_fingerprint(forgetting))
    assert len(set(found)) == 4


def test_a_weak_teacher_stops_the_chain_where_asked(options: PipelineOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = gate.judged
    monkeypatch.setattr(gate, "judged", lambda *given: judged(*given)._replace(verdict="weak"))
    strict = dataclasses.replace(options.distillation, weak_teacher="stop", allow_weak_teacher=False)
    with pytest.raises(ModelError, match="ranks lower than the base model"):
        pipeline.run(dataclasses.replace(options, distillation=strict))
    assert not Path("evaluation_results").exists()


@pytest.mark.slow
def test_a_rebuilt_teacher_of_other_weights_reaches_the_student(options: PipelineOptions) -> None:
    pipeline.run(options)
    teacher = Path("models/teacher/bistill.json")
    record = json.loads(teacher.read_text())
    teacher.write_text(json.dumps(record | {"best_step": 99}))  # damaged: made again, with the same weights as before
    pipeline.run(options)
    assert runs() == (2, 1)


@pytest.mark.slow
def test_stages_of_different_precision_run_in_one_process(options: PipelineOptions) -> None:
    teacher = dataclasses.replace(options.teacher, precision="bf16")
    pipeline.run(dataclasses.replace(options, teacher=teacher))
    assert runs() == (1, 1)


def test_several_data_versions_reach_every_stage(options: PipelineOptions) -> None:
    for name in ("train", "valid", "test"):
        file = Path("preprocessed") / "more" / f"{name}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"query,positive\n{name} of more,text of {name}\n")
    several = dataclasses.replace(options, data_version=("tiny", "more"))
    teacher, distillation, evaluation = pipeline.joined(several)
    assert teacher.data_version == distillation.data_version == ("tiny", "more")
    assert evaluation.test_data == "preprocessed/tiny/test.csv"
    test = Path(evaluation.test_data)
    alone = pipeline.data_fingerprints(options, test)
    before = pipeline.data_fingerprints(several, test)
    assert before.keys() == alone.keys() and not set(before.values()) & {*alone.values()} - {""}
    changed = {}
    for name in ("train", "valid", "test", "corpus", "queries", "valid_queries"):
        with (Path("preprocessed") / "more" / f"{name}.csv").open("a") as file:
            alone_in_it = {"corpus": "document\none\n", "queries": "query\none\n", "valid_queries": "query\ntwo\n"}
            file.write(alone_in_it.get(name, f"further {name},further text\n"))
        after = pipeline.data_fingerprints(several, test)
        changed[name] = {item for item in after if after[item] != before[item]}
        before = after
    assert changed == {
        "train": {"train"},
        "valid": {"train", "valid"},
        "test": {"train"},
        "corpus": {"train", "corpus"},
        "queries": {"queries"},
        "valid_queries": {"queries"},
    }
    assert pipeline.data_fingerprints(options, test) == alone
    with pytest.raises(OptionError, match="--data_version: no data version is named"):
        pipeline.joined(dataclasses.replace(options, data_version=()))


def test_an_option_that_follows_from_others_is_refused(options: PipelineOptions) -> None:
    changed = dataclasses.replace(options.distillation, teacher_path="elsewhere")
    with pytest.raises(OptionError, match=r"distillation.teacher_path: the pipeline decides .*\n  found: 'elsewhere'"):
        pipeline.run(dataclasses.replace(options, distillation=changed))


@pytest.mark.parametrize(
    ("recorded", "force", "begun", "expected"),
    [
        (None, False, False, (False, False)),  # not the pipeline's: the stage itself refuses what was made otherwise
        ("before", False, False, (True, False)),
        ("wanted", False, False, (True, True)),  # a file of the model has changed: the same once more
        ("wanted", False, True, (True, False)),  # that was begun and broken off
        (None, True, False, (True, True)),
        ("before", True, True, (True, False)),
    ],
)
def test_a_stage_replaces_what_its_own_last_run_made(
    options: PipelineOptions,
    capsys: pytest.CaptureFixture[str],
    recorded: str | None,
    force: bool,
    begun: bool,
    expected: tuple[bool, bool],
) -> None:
    folder = Path("models/teacher")
    folder.mkdir(parents=True)
    if recorded:
        (folder / "stage.json").write_text(json.dumps({"inputs": recorded, "outputs": {}}))
    if begun:
        (folder / "replacement" / "checkpoints" / "step-00000001").mkdir(parents=True)
    stage = stages.Stage("teacher", options.teacher, str(folder), lambda _: None, needs=())
    found = stages.replacing(stage, folder, "wanted", force=force)
    assert isinstance(found, TeacherOptions)
    assert (found.overwrite, found.restart) == expected
    assert ("--overwrite" in capsys.readouterr().err) is expected[0]


def test_a_teacher_of_which_nothing_would_be_learned_is_refused_before_one_is_trained(options: PipelineOptions) -> None:
    silent = dataclasses.replace(options.distillation, embedding_teacher=("wide",), embedding_weight=0.0)
    with pytest.raises(OptionError, match="and weight 0 for what they say there"):
        pipeline.run(dataclasses.replace(options, distillation=silent))
    assert not Path("models").exists()


def test_a_model_that_the_pipeline_did_not_make_is_refused(options: PipelineOptions) -> None:
    own = dataclasses.replace(options.teacher, data_version="tiny", lr=3e-4)
    train_teacher(own)
    record = Path("models/teacher/bistill.json").read_bytes()
    with pytest.raises(OptionError, match=r"`lr` was 0\.0003, is None"):
        pipeline.run(options)
    assert Path("models/teacher/bistill.json").read_bytes() == record
    assert not Path("models/student").exists()


@pytest.mark.slow
def test_a_failed_attempt_leaves_what_the_pipeline_made(
    options: PipelineOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.run(options)
    with monkeypatch.context() as patch:
        patch.setattr("bistill.training.teacher.train.start", lambda _: 1 // 0)
        changed = dataclasses.replace(options, teacher=dataclasses.replace(options.teacher, lr=1e-4))
        with pytest.raises(ZeroDivisionError):
            pipeline.run(changed)
    assert "teacher: its inputs have changed; a finished model in models/teacher is" in capsys.readouterr().err
    pipeline.run(options)
    assert runs() == (1, 1)
    assert "teacher: inputs unchanged" in capsys.readouterr().err


def test_missing_data_is_an_error(options: PipelineOptions) -> None:
    Path("preprocessed/tiny/valid.csv").unlink()
    with pytest.raises(DataError, match=r"valid.csv: the file does not exist\n  do: bistill prepare SOURCE"):
        pipeline.run(options)
