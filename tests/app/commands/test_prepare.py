"""``bistill prepare``: every option reaches the library, and the record holds it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from bistill.app import cli
from bistill.app.commands.prepare import few_queries, prepare
from bistill.app.config import PrepareOptions
from bistill.app.options import altering


def source(folder: Path) -> str:
    rows = "".join(f"what is alpha{n} good for,alpha{n} is good,{n % 2 + 1}\n" for n in range(40))
    file = folder / "rows.csv"
    file.write_text("frage,text,wert\n" + rows, encoding="utf-8")
    return str(file)


def test_the_record_holds_every_option_that_decides(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("anything else\n12\n", encoding="utf-8")
    (tmp_path / "more.txt").write_text("a further document\n", encoding="utf-8")
    options = PrepareOptions(
        source=source(tmp_path),
        documents=str(tmp_path / "more.txt"),
        queries=str(tmp_path / "log.txt"),
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
    assert record["files"].keys() == {"train.csv", "valid.csv", "test.csv", "corpus.csv", "queries.csv"}


def test_what_did_not_happen_is_left_out_of_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"what is alpha{n} good for,alpha{n} is good,1" for n in range(40)]
    for name, further in (("plain", []), ("repeated", [rows[0].upper(), rows[0]])):
        file = tmp_path / f"{name}.csv"
        file.write_text("\n".join(["query,passage,label", *rows, *further]), encoding="utf-8")
        made = prepare(PrepareOptions(source=str(file), data_version=name, data_root=str(tmp_path)))
        shown = capsys.readouterr().out
        assert len(made.report) == 9  # the record counts what did not happen, too
        assert json.loads((made.folder / "prepare.json").read_text(encoding="utf-8"))["report"] == made.report
        happened = [title for title, count in made.report.items() if count]
        assert [title for title in made.report if title in shown] == happened
        assert ("found and resolved" in shown) == bool(happened) == (name == "repeated")


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        ({"train": 400, "valid": 6, "test": 50}, ""),
        ({"train": 400, "valid": 50}, ""),  # a test share of 0 is a user's wish
        ({"valid": 3, "test": 3}, ""),  # nothing is trained on it
        (
            {"train": 8, "valid": 5, "test": 5},
            "few queries: valid has 5 (below 6 whether teacher and student rank better is chance), "
            "test has 5 (below 6 no difference can be told); "
            "give more rows, or a higher --valid_share and --test_share",
        ),
        (
            {"train": 392, "valid": 49, "test": 49},
            "few queries: test has 49 (below 50 a difference of 0.05 in nDCG@10 mostly cannot be told); "
            "give more rows, or a higher --valid_share and --test_share",
        ),
    ],
)
def test_few_queries_are_said_with_what_to_do(queries: dict[str, int], said: str) -> None:
    assert few_queries(queries) == said


def test_few_queries_are_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"query_column": "frage", "passage_column": "text", "label_column": "wert"}
    given = PrepareOptions(source=source(tmp_path), data_version="v", data_root=str(tmp_path / "out"), **columns)
    for _ in range(2):  # also where there is nothing to do
        made = prepare(given)
        assert capsys.readouterr().err.splitlines()[-1] == few_queries(made.queries) != ""


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
