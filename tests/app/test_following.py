from __future__ import annotations

import sys

import pytest

from bistill.app import following
from bistill.app.config import TeacherOptions


def test_the_next_command_is_spelled_as_this_one_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/bistill", "teacher"])
    flags = {"teacher_path": "my models/teacher", "trust_remote_code": True, "force": False}
    assert following.command("distill", **flags) == (
        "bistill distill --teacher_path 'my models/teacher' --trust_remote_code"
    )
    monkeypatch.setattr(sys, "argv", ["/home/x/train_teacher_model.py"])
    assert following.command("distill", K="4") == "python train_distillation_pipeline.py --K 4"
    assert following.command("search", query="a?") == "bistill search --query 'a?'"
    assert following.command("search", data_version=("a", "b c"), K="4") == (
        "bistill search --data_version a 'b c' --K 4"
    )


def test_the_student_is_told_the_data_of_its_teacher() -> None:
    assert following.said_again(TeacherOptions()) == {"data_version": "supervised_only", "trust_remote_code": False}
    options = TeacherOptions(data_version="v", data_root="r", on_bad_rows="skip", trust_remote_code=True)
    assert following.said_again(options) == {
        "data_version": "v", "data_root": "r", "on_bad_rows": "skip", "trust_remote_code": True,
    }  # fmt: skip
    several = following.said_again(TeacherOptions(data_version=("a", "b"), balance="versions"))
    assert several == {"data_version": ("a", "b"), "balance": "versions", "trust_remote_code": False}
