"""What the command says beside the evaluation itself."""

from __future__ import annotations

from pathlib import Path

from bistill.app.commands.evaluate import few_documents


def test_a_split_that_is_ranked_alone_is_said(tmp_path: Path) -> None:
    test = tmp_path / "mine" / "test.csv"
    test.parent.mkdir()
    assert few_documents(test) == ""  # a file of the user's own
    (test.parent / "prepare.json").write_text("{}")
    assert few_documents(test) == (
        f"ranked are the documents of {test} alone; "
        "for all documents of your data give the file that they came from as --corpus_data"
    )
