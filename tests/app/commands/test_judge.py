"""``bistill judge``: from a command line to a test file that ``bistill evaluate`` reads."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

from bistill import artifacts
from bistill.app import cli
from bistill.data.store.version import Version

WORDS = ("red", "blue", "green", "fast", "slow", "tree", "graph", "list")


def source(folder: Path) -> tuple[Path, Path]:
    """16 documents and 8 queries, a query on each line."""
    corpus, log = folder / "corpus.csv", folder / "log.txt"
    texts = [f"{word} {other} file" for word in WORDS for other in ("map", "set")]
    corpus.write_text("\n".join(["document", *texts]) + "\n", encoding="utf-8")
    log.write_text("".join(f"how to read a {word} file\n" for word in WORDS), encoding="utf-8")
    return corpus, log


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_a_sheet_that_is_filled_in_part_is_a_test_file(
    tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, log = source(tmp_path)
    sheet, output = tmp_path / "judge.csv", tmp_path / "results"
    given = ["--documents", str(corpus), "--queries", str(log), "--output", str(sheet)]
    cli.run_command("judge", [*given, "--models", str(tiny_encoder), "bm25", "--number", "40", "--depth", "4"])
    said = capsys.readouterr()
    header, *found = rows(sheet)
    assert header == ["query", "document", "label"] and 20 <= len(found) <= 40
    following = next(line for line in (said.out + said.err).splitlines() if line.startswith("next: "))
    words = shlex.split(following)
    assert words[1:3] == ["bistill", "evaluate"]
    # Who judges calls relevant what names the query's word, and leaves every sixth pair out.
    judged = [
        [query, document, "" if row % 6 == 5 else str(int(query.split()[4] in document.split()))]
        for row, (query, document, _) in enumerate(found)
    ]
    with sheet.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, *judged])
    flags = [str(tiny_encoder) if word == "MODEL" else word for word in words[3:]]
    cli.run_command("evaluate", [*flags, "--output_dir", str(output), "--no_bm25"])
    result = json.loads((output / artifacts.EVALUATION_JSON).read_text(encoding="utf-8"))
    with_positive = {query for query, _, label in judged if label == "1"}
    assert result["counts"]["queries"] == len(with_positive) > 0
    assert result["counts"]["documents"] == 16
    assert result["counts"]["labelled_negatives"] == sum(label == "0" for _, _, label in judged)
    assert 0 < result["ranking"]["student"]["judged_at_10"] < 1


def test_documents_and_queries_of_a_data_version(tmp_path: Path, tiny_encoder: Path) -> None:
    corpus, log = source(tmp_path)
    root = str(tmp_path / "preprocessed")
    named = ["--data_version", "mine", "--data_root", root]
    cli.run_command("prepare", ["--documents", str(corpus), "--queries", str(log), "--valid_share", "0", *named])
    settings = ["--models", str(tiny_encoder), "bm25", "--number", "30", "--output"]
    cli.run_command("judge", [*settings, str(tmp_path / "version.csv"), *named])
    asked = Version(Path(root), "mine").unlabelled(rejected_to=tmp_path)
    found = rows(tmp_path / "version.csv")[1:]
    assert {query for query, _, _ in found} <= {*asked.queries} and len(found) >= 5
    assert {document for _, document, _ in found} <= {document for (document,) in rows(corpus)[1:]}


@pytest.mark.parametrize("given", [["--documents", "a.csv"], ["--data_version", "mine", "--queries", "q.txt"], []])
def test_one_source_is_needed(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run_command("judge", [*given, "--models", "bm25"])
    assert ended.value.code == 2
    assert "documents and queries come from two files, or from a data version" in capsys.readouterr().err
