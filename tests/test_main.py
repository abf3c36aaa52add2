"""``python -m bistill`` beside the installed command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bistill
from bistill.app import cli


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(bistill.__file__).parents[1]
    return subprocess.run([sys.executable, "-m", "bistill", *arguments], capture_output=True, text=True, cwd=root)


def test_the_module_is_the_command() -> None:
    result = run("--help")
    assert (result.returncode, result.stdout) == (0, cli.overview() + "\n")


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"bistill {bistill.__version__}\n"


def test_a_command_gets_its_options_and_its_exit_code(tmp_path: Path) -> None:
    result = run("monitor", "--runs", str(tmp_path / "nowhere"), "--once")
    assert result.returncode == cli.EXIT_USER_ERROR
    assert result.stderr.startswith(f"error: --runs {tmp_path}/nowhere: no such folder\n")
