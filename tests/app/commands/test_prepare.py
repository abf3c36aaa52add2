"""``bistill prepare``: every option reaches the library, and the record holds it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from bistill.app import cli
from bistill.app.commands.prepare import prepare
from bistill.app.config import PrepareOptions
from bistill.app.options import altering


def source(folder: Path) -> str:
    rows = "".join(f"what is alpha{n} good for,alpha{n} is good,{n % 2 + 1}\n" for n in range(40))
    file = folder / "rows.csv"
    file.write_text("frage,text,wert\n" + rows, encoding="utf-8")
    return str(file)


def test_the_record_holds_every_option_that_decides(tmp_path: Path) -> None:
    options = PrepareOptions(
        source=source(tmp_path),
        data_version="v",
        data_root=str(tmp_path / "out"),
        query_column="frage",
        passage_column="text",
        label_column="wert",
        label_maximum=2.0,
        positive_from=0.75,
        numbers_are_texts=True,
        valid_share=0.2,
        test_share=0.25,
        near_duplicates=1.0,
        max_pairs=200,
        on_bad_rows="skip",
        seed=7,
    )
    unlike = {field.name for field in fields(options) if getattr(options, field.name) != field.default}
    assert unlike == {field.name for field in fields(options)} - {"positive_column", "negative_columns", "overwrite"}
    made = prepare(options)
    record = json.loads((made.folder / "prepare.json").read_text(encoding="utf-8"))
    expected = altering(options) | {"data_version": "v", "data_root": str(tmp_path / "out"), "negative_columns": []}
    assert record["options"] == expected
    assert made.queries == {"train": 22, "valid": 8, "test": 10}


def test_messages_name_the_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, root = source(tmp_path), str(tmp_path / "out")
    columns = ["--passage_column", "text", "--label_column", "wert"]
    given = [file, "--data_version", "v", "--data_root", root, *columns]
    for further, said in (
        (["--query_column", "q"], "missing column 'q', which --query_column names"),
        (["--query_column", "frage", "--valid_share", "0.5", "--test_share", "0.5"], "--valid_share, --test_share"),
        (["--query_column", "frage", "--label_maximum", "0"], "--label_maximum"),
        (["--query_column", "frage", "--data_version", ".."], "--data_version"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.run_command("prepare", [*given, *further])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert said in error and "`" not in error
    cli.run_command("prepare", [*given, "--query_column", "frage"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.run_command("prepare", [*given, "--query_column", "frage", "--test_share", "0.3"])
    error = capsys.readouterr().err
    assert "the data version was made otherwise: --test_share was 0.1, is 0.3" in error
    assert "give --overwrite to replace it" in error
