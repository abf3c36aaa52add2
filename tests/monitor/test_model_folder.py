"""What the files of a run's folder tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bistill import artifacts
from bistill.models.files.folder import weights_fingerprint
from bistill.monitor import model_folder
from bistill.monitor.runs import Runs
from bistill.monitor.settings import Notifying, Recovery
from bistill.monitor.status import RunStatus
from bistill.monitor.supervisor import Supervisor
from tests.monitor.records import start, step, write


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield made
    made.kill()
    made.communicate()


def test_a_journal_elsewhere_than_its_run_writes_is_a_copy(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    def is_copy(folder: str, **fields: object) -> bool:
        status = RunStatus(tmp_path / folder)
        status.feed(start(cwd=str(tmp_path), **fields))
        return model_folder.is_copy(status)

    assert not is_copy("run", options={"output_dir": "run"})
    assert not is_copy("run", options={"output_dir": str(tmp_path / "link" / "run")})
    assert is_copy("copy", options={"output_dir": "run"})
    assert not is_copy("run/replacement", options={"output_dir": "run"})  # at work beside a finished model
    assert is_copy("copy/replacement", options={"output_dir": "run"})
    assert not is_copy("run") and not is_copy("run", options={"output_dir": None})


def test_the_process_of_a_copied_journal_is_left_alone(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    began = {"pid": process.pid, "process_started": psutil.Process(process.pid).create_time()}
    said = [start(**began, cwd=str(tmp_path), options={"output_dir": "run"}), step(1)]
    for name in ("run", "copy"):
        write(tmp_path / name / "journal.jsonl", *said)
    supervisor = Supervisor(Recovery(), Notifying(), lambda _: None)
    supervisor.act(Runs(tmp_path).look(10))
    supervisor.close()
    assert (tmp_path / "run" / "monitor.jsonl").exists()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["journal.jsonl"]
    assert process.poll() is None


def test_results_are_of_the_weights_and_the_test_data_as_they_are_now(tmp_path: Path) -> None:
    student, test = tmp_path / "models" / "s", tmp_path / "preprocessed" / "v" / "test.csv"
    results = tmp_path / "evaluation_results" / "s" / "bi_encoder_evaluation_results.json"
    for folder in (student, test.parent, results.parent):
        folder.mkdir(parents=True)
    status = RunStatus(student)
    status.feed(start(cwd=str(tmp_path), options={"data_root": "preprocessed", "data_version": "v"}))

    def put(path: Path, text: str, *, time: float = 1000.0) -> None:
        path.write_text(text)
        os.utime(path, (time, time))  # as archives and synchronised folders keep times

    def evaluated(path: str = "models/s") -> bool:
        named = {"path": path, "weights": weights_fingerprint(student)}
        data = {"test": {"path": str(test), "sha256": artifacts.sha256_of_file(test)}}
        put(results, json.dumps({"models": {"student": named}, "data": data}), time=2000.0)
        return model_folder.is_evaluated(status)

    put(student / "bistill.json", "{}")
    put(student / "model.safetensors", "one")
    put(test, "query,positive\na,b\n")
    assert not model_folder.is_evaluated(status)
    assert evaluated()
    put(student / "model.safetensors", "two")  # other weights of the same size and time
    assert not model_folder.is_evaluated(status)
    assert evaluated()
    put(test, "query,positive\na,c\n")
    assert not model_folder.is_evaluated(status)
    assert evaluated() and not evaluated("models/other")
    # A report of an earlier version names no weights.
    put(results, json.dumps({"models": {"student": {"path": "models/s"}}, "data": {"test": {}}}), time=999.0)
    assert not model_folder.is_evaluated(status)
    os.utime(results, (1001, 1001))
    assert model_folder.is_evaluated(status)


def test_the_report_of_a_student_is_found_and_no_other(tmp_path: Path) -> None:
    status = RunStatus(tmp_path / "models" / "s")
    status.feed(start(cwd=str(tmp_path)))
    own = tmp_path / "evaluation_results" / "s"

    def put(folder: Path, student: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"models": {"student": {"path": student}}})
        (folder / artifacts.EVALUATION_JSON).write_text(text)
        (folder / artifacts.EVALUATION_PAGE).write_text("page")
        return folder / artifacts.EVALUATION_PAGE

    assert model_folder.report(status) is None
    put(own.parent, "models/of-another")
    assert model_folder.report(status) is None
    by_pipeline = put(own.parent, "models/s")
    assert model_folder.report(status) == by_pipeline
    page = put(own, str(status.folder))
    assert model_folder.report(status) == page
    page.unlink()
    assert model_folder.report(status) == by_pipeline
    put(own, "models/of-another")
    (own.parent / artifacts.EVALUATION_JSON).write_text("[]")
    assert model_folder.report(status) is None
