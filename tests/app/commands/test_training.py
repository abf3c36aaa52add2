"""What both training commands say at their start and at their end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.app import recipes
from bistill.app.commands import distill, teacher
from bistill.app.config import DistillationOptions, TeacherOptions

TOPICS = "file list sort set map tree graph query key value red blue green json network socket".split()  # noqa: SIM905


@pytest.mark.slow
def test_start_and_end_are_said(
    tmp_path: Path,
    tiny_encoder: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["bistill"])
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:]), ("test", TOPICS[8:])):
        rows = [["query", "positive"], *[[f"how to {word}", f"returns the {word}"] for word in words]]
        write_csv(tmp_path / "data" / "tiny" / f"{split}.csv", rows)
    shared = {"data_version": "tiny", "data_root": str(tmp_path / "data"), "epochs": 1, "batch_size": 4, "max_len": 32}
    taught, student = str(tmp_path / "teacher"), str(tmp_path / "student")

    teacher.run(TeacherOptions(model_name=str(tiny_encoder), output_dir=taught, **shared))
    said = capsys.readouterr().err
    assert "teacher: 12 of 12 queries, 12 of 12 rows\n" in said
    size = r"\d+ layers, \d+ dimensions, 0\.\d\d M weights"
    assert re.search(rf"^teacher: {re.escape(str(tiny_encoder))}, {size}, all trained$", said, re.MULTILINE)
    assert re.search(r"^running on cpu, \d+ threads?, (fp32|bf16)$", said, re.MULTILINE)
    # Its new head is fitted before the first update, so there is a start to compare with.
    gained, written, following = said.splitlines()[-3:]
    assert re.fullmatch(
        r"teacher: nDCG@10 \d\.\d{3} -> \d\.\d{3} on validation "
        r"\([+-]\d\.\d{3}, too few queries to tell; these queries also chose the weights\)",
        gained,
    )
    assert written.startswith("teacher of step ") and written.endswith(f" written to {taught}")
    assert following == (
        f"next: bistill distill --teacher_path {taught} --output_dir {student} --data_version tiny "
        f"--data_root {tmp_path / 'data'}"
    )

    options = DistillationOptions(
        teacher_path=taught, output_dir=student, student_name=str(tiny_encoder), K=4, weak_teacher="teacher", **shared
    )
    distill.run(recipes.applied(options, {"batch_size", "K", "max_len"}))
    said = capsys.readouterr().err
    assert said.count("recipe: best (--recipe contract is the other one)\n") == 1
    (shares,) = re.findall(r"^nDCG@10 on validation by the share of the training that is kept: (.*)$", said, re.M)
    assert re.fullmatch(r"1: 0\.\d{4}, 0\.8: 0\.\d{4}, 0\.6: 0\.\d{4}, 0\.4: 0\.\d{4}, 0\.2: 0\.\d{4}", shares)
    assert re.search(rf"^student: {re.escape(str(tiny_encoder))}, {size}, all trained; no prompts$", said, re.MULTILINE)
    assert said.count("validation: ") == 2 and said.count("validation of shares of the training: 4/4 shares") == 1
    assert re.search(rf"^teacher: {re.escape(taught)}, {size}$", said, re.MULTILINE)
    assert re.search(r"^running on cpu, ", said, re.MULTILINE)
    gained, written, following = said.splitlines()[-3:]
    assert re.fullmatch(
        r"student: nDCG@10 \d\.\d{3} -> \d\.\d{3} on validation "
        r"\([+-]\d\.\d{3}, too few queries to tell; these queries also chose the weights\)",  # 5 of them
        gained,
    )
    assert written.endswith(f" written to {student}")
    test_data = tmp_path / "data" / "tiny" / "test.csv"
    assert following == f"next: bistill evaluate --model_path {student} --test_data {test_data}"

    test_data.unlink()
    distill.run(recipes.applied(options, {"batch_size", "K", "max_len"}))
    said = capsys.readouterr().err.splitlines()
    assert "nothing to do" in said[0] and not any("recipe:" in line for line in said)
    assert said[-1] == (
        f"next: bistill search --model_path {student} --documents {test_data.with_name('train.csv')} "
        "--query 'your question'"
    )
