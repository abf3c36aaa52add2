"""The contract's flags, help without torch, messages and exit codes, in real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bistill.app import cli
from bistill.app.config import DistillationOptions, PipelineOptions, PrepareOptions

ROOT = Path(__file__).parents[2]
CONTRACT = {
    "train_teacher_model.py": "data_version output_dir epochs batch_size lr use_lora lora_r lora_alpha lora_dropout "
    "max_samples model_name max_len negatives_per_positive seed precision",
    "train_distillation_pipeline.py": "teacher_path output_dir student_name data_version epochs batch_size lr K tau "
    "contrastive_weight negative_penalty_weight use_lora lora_r lora_alpha lora_dropout max_len max_samples precision "
    "seed query_prompt document_prompt miners mining_depth miner_model choice redraw max_negative_ratio "
    "max_negative_score more_teachers teacher_weights teacher_max_len own_documents in_batch "
    "allow_weak_teacher weak_teacher weak_student",
    "evaluate_final_model.py": "model_path test_data output_dir batch_size compare_with forgetting_data no_bm25",
    "realtime_monitor.py": "",
}


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize("script", CONTRACT)
def test_root_scripts_have_the_contract_flags(script: str) -> None:
    result = run(str(ROOT / script), "--help-all")
    assert result.returncode == 0
    words = set(result.stdout.split())
    missing = [flag for flag in CONTRACT[script].split() if f"--{flag}" not in words]
    assert not missing


@pytest.mark.parametrize("script", CONTRACT)
def test_root_scripts_are_at_most_ten_lines(script: str) -> None:
    assert len((ROOT / script).read_text().splitlines()) <= 10


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_every_command_loads_no_torch(command: str) -> None:
    code = (
        "import sys; sys.argv = ['bistill', *sys.argv[1:]]\n"
        "from bistill.app.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules and 'pyarrow' not in sys.modules"
    )
    result = run("-c", code, command, "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: bistill {command}")


def test_quick_test_line_of_the_contract_is_understood() -> None:
    line = (
        "--teacher_path models/teacher --output_dir models/student --data_version supervised_only --epochs 1 "
        "--batch_size 16 --lr 2e-5 --K 4 --tau 0.2 --contrastive_weight 0.3 --negative_penalty_weight 0.4 "
        "--use_lora --lora_r 16 --lora_alpha 32 --lora_dropout 0.1 --max_len 128 --max_samples 2000"
    )
    options = cli.parse("distill", line.split(), "x")
    assert isinstance(options, DistillationOptions)
    assert (options.K, options.lr, options.use_lora, options.max_samples) == (4, 2e-5, True, 2000)


def test_prepare_takes_its_source_by_position() -> None:
    options = cli.parse("prepare", ["data.csv", "--data_version", "v"], "x")
    assert isinstance(options, PrepareOptions)
    assert (options.source, options.data_version) == ("data.csv", "v")


def test_pipeline_flags_go_before_the_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data_version: one\nteacher:\n  epochs: 2\n  lr: 1e-5\n")
    options = cli.parse("pipeline", ["--config", str(path), "--teacher.epochs", "5"], "x")
    assert isinstance(options, PipelineOptions)
    assert (options.data_version, options.teacher.epochs, options.teacher.lr) == ("one", 5, 1e-5)


def test_an_unknown_command_is_named(tmp_path: Path) -> None:
    result = run("-c", "import sys; sys.argv[1:] = ['distil']; from bistill.app.cli import main; main()")
    assert result.returncode == 2
    assert "unknown command 'distil'; did you mean distill?" in result.stderr


@pytest.mark.slow
def test_missing_data_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    result = run(str(ROOT / "train_teacher_model.py"), "--data_version", "nowhere", cwd=tmp_path)
    assert result.returncode == 2
    assert "preprocessed/nowhere/train.csv: the file does not exist" in result.stderr
    assert "do: bistill prepare SOURCE --data_version nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_or_wrong_yaml_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    for text, message in ((None, "cannot be read"), ("a: [", "is not YAML"), ("- a", "a mapping of option names")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(cli.OptionError, match=message):
            cli.parse("pipeline", ["--config", str(path)], "x")


def test_a_name_that_the_locale_of_files_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(_: object) -> None:
        "data/\N{CIRCUS TENT}".encode("euc_kr")

    monkeypatch.setattr("bistill.app.commands.prepare.prepare", lost)
    arguments = ["source", "--data_version", "v"]
    with pytest.raises(UnicodeEncodeError):  # of a text, where files are named in UTF-8
        cli.run_command("prepare", arguments)
    monkeypatch.setattr(cli.sys, "getfilesystemencoding", lambda: "euc-kr")
    with pytest.raises(SystemExit) as raised:
        cli.run_command("prepare", arguments)
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert "names of files are written in euc_kr here" in said and "PYTHONUTF8=1" in said


def test_the_monitor_starts_what_stands_behind_two_dashes() -> None:
    assert cli.split_command("monitor", ["--once", "--", "python", "x.py", "--", "y"]) == [
        ["--once"],
        ["python", "x.py", "--", "y"],
    ]
    assert cli.split_command("monitor", ["--once"]) == [["--once"]]
    assert cli.split_command("search", ["--", "x"]) == [["--", "x"]]
    with pytest.raises(cli.OptionError, match="no command stands behind it"):
        cli.split_command("monitor", ["--once", "--"])
