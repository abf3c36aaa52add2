"""``bistill queries``: from a command line to the file."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import pytest

from bistill.app import cli
from bistill.data.queries import taken_out
from bistill.data.queries.taken_out import left_without


def test_a_command_makes_the_kinds_that_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "{} is a city by the sea. Old ships bring green tea to the harbour of {} in every winter of the year."
    corpus, output = tmp_path / "corpus.csv", tmp_path / "made.csv"
    names = ["Busan", "Ulsan", "Mokpo", "Yeosu"]
    corpus.write_text(
        "제목,본문\n" + "".join(f"{name},{text.format(name, name)}\n" for name in names), encoding="utf-8"
    )
    given = [
        "--documents",
        str(corpus),
        "--output",
        str(output),
        "--kinds",
        "titles",
        "sentences",
        "--shares",
        "1",
        "0",
    ]
    cli.run_command("queries", [*given, "--typed", "0", "--taken_out", "1", "--number", "3"])
    with output.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    assert len(found) == 3 and {row["query"] for row in found} < {*names}
    left = [left_without(row["source"], taken_out.read(row["taken_out"]) or ()) for row in found]
    assert left == [text.format(row["query"], row["query"]) for row in found]
    assert {row["kind"] for row in found} == {"titles"}
    [following] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("next: ")]
    assert following == f"next: bistill prepare --documents {corpus} --queries {output} --data_version made"
    cli.run_command("prepare", [*shlex.split(following)[3:], "--data_root", str(tmp_path), "--valid_share", "0"])
    with (tmp_path / "made" / "queries.csv").open(encoding="utf-8", newline="") as lines:
        prepared = {(row["query"], row["source"], row["taken_out"]) for row in csv.DictReader(lines)}
    assert prepared == {(row["query"], row["source"], row["taken_out"]) for row in found}
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.run_command("queries", [*given, "--number", "4"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "error: --output: the queries were made of other inputs" in said
    assert "give --overwrite to replace it" in said


def test_a_share_out_of_range_is_said_with_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run_command("queries", ["--documents", "corpus.csv", "--typed", "1.5"])
    assert ended.value.code == 2 and "--typed: the value is out of range" in capsys.readouterr().err


def test_a_server_and_its_model_are_named_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run_command("queries", ["--documents", "corpus.csv", "--llm_url", "http://127.0.0.1:1/v1"])
    assert ended.value.code == 2 and "--llm_url, --llm_model: a server and its model" in capsys.readouterr().err
