"""The help of every command: groups, length, the nearest flag, no names of classes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import bistill
from bistill.app import cli, help
from bistill.app.config import MonitorOptions, PipelineOptions, TeacherOptions
from bistill.app.options import GROUPS, Option
from bistill.errors import OptionError
from bistill.settings import Within

COMMON_OF_THE_CONTRACT = {
    "teacher": "data_version output_dir epochs batch_size lr use_lora lora_r lora_alpha lora_dropout max_samples",
    "distill": "teacher_path output_dir student_name data_version epochs batch_size lr K tau contrastive_weight "
    "negative_penalty_weight use_lora lora_r lora_alpha lora_dropout max_len max_samples",
    "evaluate": "model_path test_data output_dir batch_size",
}


def shown(command: str, *, width: int = 80, everything: bool = False) -> list[str]:
    kind = cli.COMMANDS[command].options
    return help.text(kind, f"bistill {command}", width=width, everything=everything).splitlines()


def headings(lines: list[str]) -> list[str]:
    return [line for line in lines if line in ("required", *GROUPS)]


@pytest.mark.parametrize("command", cli.COMMANDS)
@pytest.mark.parametrize("width", [80, 120])
def test_common_flags_fit_on_a_screen_of_sixty_lines(command: str, width: int) -> None:
    lines = shown(command, width=width)
    assert len(lines) <= 60
    assert max(map(len, lines)) <= width
    assert lines[0].startswith(f"usage: bistill {command}")


@pytest.mark.parametrize("command", COMMON_OF_THE_CONTRACT)
def test_the_flags_of_the_contract_are_common(command: str) -> None:
    words = set(" ".join(shown(command)).split())
    assert {f"--{flag}" for flag in COMMON_OF_THE_CONTRACT[command].split()} <= words


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_flag_stands_in_the_long_help_once_and_in_a_group(command: str) -> None:
    flags = help.flags_of(cli.COMMANDS[command].options)
    lines = shown(command, everything=True)
    for flag in flags:
        assert flag.group in GROUPS, flag.name
        written = flag.written()
        assert sum(line == f"  {written}" or line.startswith(f"  {written}  ") for line in lines) == 1, written


def test_required_flags_come_first_then_the_groups_in_order() -> None:
    lines = shown("distill", everything=True)
    assert headings(lines) == [
        "required", "data", "models", "candidates", "losses", "training", "checkpoints", "machine",
    ]  # fmt: skip
    assert lines[lines.index("required") + 1].startswith("  --teacher_path TEXT ")
    assert headings(shown("prepare"))[0] == "required" and "  SOURCE " in "\n".join(shown("prepare"))
    assert "required" not in headings(shown("teacher"))


def test_a_flag_has_its_text_default_and_in_the_long_help_its_range() -> None:
    flags = {flag.name: flag for flag in help.flags_of(TeacherOptions)}
    assert flags["epochs"].written() == "--epochs INT" and not flags["epochs"].required
    lines = shown("teacher", width=120)
    assert any(re.fullmatch(r"  --epochs INT +Passes over the training queries\. \[3\]", line) for line in lines)
    everything = shown("teacher", width=120, everything=True)
    assert any(line.endswith("Passes over the training queries. (at least 1) [3]") for line in everything)
    assert re.fullmatch(r"\d+ more: bistill teacher --help-all", lines[-1])
    monitor = {flag.name: flag.written() for flag in help.flags_of(MonitorOptions)}
    assert (monitor["once"], monitor["recover"], monitor["interval"]) == ("--once", "--no_recover", "--interval FLOAT")


def test_the_pipeline_names_the_flags_of_its_stages_but_none_that_it_decides() -> None:
    names = {flag.name for flag in help.flags_of(PipelineOptions)}
    assert {"data_version", "teacher.epochs", "distillation.tau", "evaluation.test_data"} <= names
    assert not {"teacher.data_version", "distillation.teacher_path", "evaluation.model_path"} & names
    assert "--teacher.FLAG, with FLAG most often one of: output_dir," in "\n".join(shown("pipeline"))


def test_which_help_is_asked_for() -> None:
    assert [help.wanted([word]) for word in ("-h", "--help", "--help-all", "--help_all", "--K")] == [
        "common", "common", "all", "all", "",
    ]  # fmt: skip


def test_no_name_of_a_class_of_ours_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    package = Path(bistill.__file__).parent
    classes = {
        node.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and re.search("[a-z][A-Z]", node.name)
    }
    assert "EvaluationOptions" in classes
    for command in cli.COMMANDS:
        assert not classes & set(re.findall(r"\w+", " ".join(shown(command, everything=True)))), command
    with pytest.raises(OptionError) as error:
        cli.parse("evaluate", ["--model_path", "m", "--test_data", "t", "--batch_size", "0"], "prog")
    assert str(error.value) == "--batch_size: the value is out of range\n  found: 0\n  do: give at least 1"
    with pytest.raises(OptionError, match=r"^--epochs: the value is out of range"):
        cli.parse("pipeline", ["--teacher.epochs", "0"], "prog")
    with pytest.raises(SystemExit):  # what the parser itself says is still said
        cli.parse("prepare", ["a.csv", "b.csv", "--data_version", "v"], "prog")
    assert "b.csv" in capsys.readouterr().err


def test_two_options_of_one_text_keep_their_own_notes() -> None:
    one, other = Option("Same."), Option("Same.", common=True)
    assert one != other and len({one, other}) == 2
    assert Option("Same.", within=Within(1)).text == "Same."
