"""``bistill scores``: shown, exported, filled in, imported, learned from, and made whole again."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bistill.app.commands.candidates import candidates
from bistill.app.commands.distill import train
from bistill.app.commands.scores import scores
from bistill.app.config import DistillationOptions, ScoresOptions
from bistill.candidates.scores.cache import ScoreCache, digest, folder_of, listing
from bistill.candidates.scores.teachers import imported_identity
from bistill.errors import ArtifactError, DataError, OptionError
from tests.candidates.conftest import Small, import_scores


def test_show_tells_what_is_cached(
    small: Small, tiny_teacher: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores(ScoresOptions())
    assert "no teacher scores below" in capsys.readouterr().err
    report = candidates(small.options(tiny_teacher, tiny_encoder))
    import_scores("bought", {("q", "d"): 1.0, ("q", "e"): 1.0})
    capsys.readouterr()
    scores(ScoresOptions())
    lines = capsys.readouterr().out.splitlines()
    (own,) = [line for line in lines if "sequence_classification" in line]
    assert "64 tokens, fp32" in own
    assert f" {report['counts']['pairs']} " in own
    (bought,) = [line for line in lines if "scores:bought" in line]
    assert " 2 " in bought


def test_a_damaged_cache_is_shown_and_rebuilt(capsys: pytest.CaptureFixture[str]) -> None:
    import_scores("bought", {("q", f"d{number}"): float(number) for number in range(50)})
    folder = folder_of(imported_identity("bought"))
    (folder / "identity.json").write_text("no JSON")
    scores(ScoresOptions())
    assert "unknown" in capsys.readouterr().out
    scores(ScoresOptions(action="rebuild", cache=str(folder)))
    assert f"{folder}: 50 scores kept, 0 dropped" in capsys.readouterr().err
    with ScoreCache.open(imported_identity("bought")) as cache:
        assert cache.get(cache.keys([digest("q")], [digest("d7")])).tolist() == [7.0]


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (ScoresOptions(action="export"), "--file"),
        (ScoresOptions(action="import", name="x"), "--file"),
        (ScoresOptions(action="import", file="x.csv"), "--name"),
        (ScoresOptions(action="rebuild"), "--cache"),
    ],
)
def test_a_missing_option_is_named(options: ScoresOptions, flag: str) -> None:
    with pytest.raises(OptionError, match=f"{flag}: the action needs this option\n  do: give {flag}"):
        scores(options)


def test_lists_are_exported_without_what_was_filtered(small: Small, tiny_teacher: Path, tmp_path: Path) -> None:
    report = candidates(small.options(tiny_teacher, miners=("labelled", "random:4"), K=3, max_negative_score=0.0))
    assert report["counts"]["absolute"] > 0
    path = tmp_path / "lists.jsonl"
    folder = str(tmp_path / "candidates")
    scores(ScoresOptions(action="export", file=str(path), candidates=folder, form="flagembedding"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["query"] for row in rows] == list(small.dataset.queries)
    for row, record in zip(rows, small.dataset, strict=True):
        assert row["pos"] == small.corpus.take(record.positives)
        if record.negatives:  # the limit of 0 leaves what a person labelled, else the lowest
            assert row["neg"] == small.corpus.take(record.negatives)
        assert len(row["neg"]) == len(row["neg_scores"]) == 1


def test_lists_of_several_data_versions_are_exported(small: Small, tiny_teacher: Path, tmp_path: Path) -> None:
    for name in ("train", "valid"):
        file = small.root / "more" / f"{name}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"query,positive\n{name} of more,text of {name}\nsecond {name},second text of {name}\n")
    candidates(small.options(tiny_teacher, data_version=("small", "more")))
    path, folder = tmp_path / "lists.jsonl", str(tmp_path / "candidates")
    scores(ScoresOptions(action="export", file=str(path), candidates=folder, form="flagembedding"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["query"] for row in rows] == [*small.dataset.queries, "train of more", "second train"]
    assert rows[-1]["pos"] == ["second text of train"]


def test_lists_of_queries_without_labels_are_exported(
    small: Small, tiny_teacher: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    (small.root / "small" / "queries.csv").write_text("query,count,source\nasked without labels,2,\n")
    report = candidates(small.options(tiny_teacher, tiny_encoder, irrelevant_below=0.0))
    assert report["counts"]["unlabelled"] == 1
    path, folder = tmp_path / "lists.jsonl", str(tmp_path / "candidates")
    scores(ScoresOptions(action="export", file=str(path), candidates=folder, form="flagembedding"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["query"] for row in rows] == [*small.dataset.queries, "asked without labels"]
    assert rows[-1]["pos"] and set(rows[-1]["pos"]) <= set(small.corpus)


def test_lists_of_changed_data_are_not_exported(small: Small, tiny_teacher: Path, tmp_path: Path) -> None:
    candidates(small.options(tiny_teacher))
    with (small.root / "small" / "corpus.csv").open("a") as file:
        file.write("one more\n")
    options = ScoresOptions(action="export", file=str(tmp_path / "x.parquet"), candidates=str(tmp_path / "candidates"))
    with pytest.raises(
        ArtifactError, match=r"data version small has changed since .*\n  do: run bistill candidates ag"
    ):
        scores(options)
    with pytest.raises(ArtifactError, match="does not exist"):
        scores(ScoresOptions(action="export", file="x.parquet", candidates=str(tmp_path / "nowhere")))


@pytest.mark.slow
def test_scores_made_elsewhere_are_learned(
    small: Small, tiny_teacher: Path, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates(small.options(tiny_teacher, tiny_encoder))
    pairs, filled = tmp_path / "pairs.parquet", tmp_path / "filled.jsonl"
    folder = str(tmp_path / "candidates")
    scores(ScoresOptions(action="export", file=str(pairs), candidates=folder, form="pairs"))
    rows = pq.read_table(pairs).to_pylist()
    assert {row["label"] for row in rows} == {0, 1} and sum(row["label"] for row in rows) == 11
    for row in rows:
        row["score"] = 0.9 if row["label"] else 0.2
    filled.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    imported = ScoresOptions(
        action="import", file=str(filled), name="bought", data_version="small", data_root=str(small.root)
    )
    capsys.readouterr()
    scores(imported)
    said = capsys.readouterr().err
    assert f"{len(rows)} of {len(rows)} pairs have texts of small" in said
    assert f"{len(rows)} scores imported; teacher scores:bought has {len(rows)} pairs" in said
    record = train(
        DistillationOptions(
            teacher_path="scores:bought",
            output_dir=str(tmp_path / "student"),
            student_name=str(tiny_encoder),
            data_root=str(small.root),
            data_version="small",
            miners=("labelled", "random"),
            K=4,
            epochs=2,
            max_len=32,
            batch_size=4,
            lr=1e-3,
        )
    )
    assert record["teacher_path"] == "scores:bought" and record["teacher_gate"] is None
    (event,) = [
        item
        for item in map(json.loads, (tmp_path / "student" / "journal.jsonl").read_text().splitlines())
        if item["event"] == "candidates"
    ]
    assert (event["queries"], event["scored"], event["unscored"], event["left_out"]) == (10, 0, 0, 0)
    assert event["pairs"] == len(rows)


def test_the_last_of_two_scores_counts(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("query,document,score\nq,d,0.5\nq,e,0.25\nq,d,0.75\n")
    scores(ScoresOptions(action="import", file=str(path), name="x"))
    with ScoreCache.open(imported_identity("x")) as cache:
        found = cache.get(cache.keys([digest("q")] * 2, [digest("d"), digest("e")]))
    assert found.tolist() == pytest.approx([1.0986123, -1.0986123])


def test_scores_of_queries_without_labels_are_of_their_data_version(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (small.root / "small", small.root / "unlabelled"):
        folder.mkdir(exist_ok=True)
        (folder / "queries.csv").write_text("query,count,source\nasked without labels,2,\n")
    (small.root / "unlabelled" / "valid_queries.csv").write_text("query,count,source\nheld out,1,\n")
    (small.root / "unlabelled" / "corpus.csv").write_text("document\nslow tree\n")
    path = tmp_path / "scores.csv"
    rows = [f"{query},slow tree,0.5\n" for query in ("asked without labels", "held out", "how to file", "nobody asked")]
    path.write_text("query,document,score\n" + "".join(rows))
    shared = {"action": "import", "file": str(path), "name": "x", "data_root": str(small.root)}
    scores(ScoresOptions(**shared, data_version="small"))
    assert "2 of 4 pairs have texts of small" in capsys.readouterr().err
    scores(ScoresOptions(**shared, data_version="unlabelled"))
    assert "2 of 4 pairs have texts of unlabelled" in capsys.readouterr().err


def test_scores_of_other_texts_and_no_scores_are_errors(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("query,document,score\nq,d,0.5\n")
    shared = {"action": "import", "file": str(path), "name": "x", "data_root": str(small.root)}
    with pytest.raises(DataError, match="none of 1 score is for texts of small"):
        scores(ScoresOptions(**shared, data_version="small"))
    with pytest.raises(DataError, match="nowhere: no such data version"):
        scores(ScoresOptions(**shared, data_version="nowhere"))
    path.write_text("query,document,score\nq,d,\n")
    with pytest.raises(DataError, match=r"the file holds no score\n  do: fill in the column score"):
        scores(ScoresOptions(**shared))
    assert listing() == []


def test_two_sources_are_compared_on_the_pairs_that_both_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Relevance 0.9, 0.6, 0.2 of one query against logits of 0.8, 0.3 and one of another text."""
    one, other = tmp_path / "one.csv", tmp_path / "other.jsonl"
    one.write_text("query,document,score\nq,a,0.9\nq,b,0.6\nq,c,0.2\n")
    rows = [("q", "a", 0.3), ("q", "b", 0.8), ("q", "d", 0.5)]
    other.write_text(
        "".join(json.dumps(dict(zip(("query", "document", "score"), row, strict=True))) + "\n" for row in rows)
    )
    scores(ScoresOptions(action="compare", file=str(one), other=str(other)))
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "2, 1, 1" in said
        and "0.4000, 0.5800, 0.6000" in said
        and "100.00%" in said
        and "one.csv and other.jsonl" in said
    )


def test_sources_without_a_common_pair_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("query,document,score\nq,a,0.9\n")
    other.write_text("query,document,score\nq,b,0.9\nq,c,0.2\n")
    with pytest.raises(DataError, match=r"(?s)no pair of the same texts.*found: 1 pair, 2 pairs"):
        scores(ScoresOptions(action="compare", file=str(one), other=str(other)))
