from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.registry import LABELLED_BIT
from bistill.candidates.scores.exchange import Form, export, most_kept, read_scores
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.errors import DataError, OptionError, RowError

NAN = math.nan


class Given(NamedTuple):
    """A query with its documents and the teacher's logit of each."""

    query: str
    positives: list[tuple[str, float]]
    negatives: list[tuple[str, float]]


LISTS = [
    Given("how to read a file", [("open file", 4.0), ("read json", 2.5)], [("red", -3.0), ("blue", -1.0)]),
    Given("서울 날씨", [("서울", 1.0)], [("부산", 0.5), ("음식", -6.0), ("green", -7.0)]),
    Given("sort list", [("sort", NAN)], [("tree", -2.0)]),
    Given("set map", [("set", 3.0)], [("map", NAN), ("graph", -0.5)]),
]
# Every pair of LISTS with a known score.
KNOWN = {
    (item.query, document): logit
    for item in LISTS
    for document, logit in item.positives + item.negatives
    if not math.isnan(logit)
}


def written(path: Path, form: Form, lists: list[Given], **changes: Any) -> int:
    """Export lists that a data set of the same texts holds."""
    texts = [document for item in lists for document, _ in item.positives + item.negatives]
    ids = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    made = [
        replace(
            CandidateList.unscored(
                number,
                [ids[document] for document, _ in item.positives],
                {ids[document]: LABELLED_BIT for document, _ in item.negatives},
            ),
            logits=np.array([logit for _, logit in item.positives + item.negatives], dtype=np.float32),
        )
        for number, item in enumerate(lists)
    ]
    nothing = np.empty(0, dtype=np.int64)
    queries: Any = SimpleNamespace(
        queries=[item.query for item in lists], labelled=len(lists), sources=nothing, taken_out=nothing.reshape(3, 0)
    )
    return export(path, form, iter(made), Collection(queries, Corpus(list(ids))), **changes)


def rows_of(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_pairs_hold_everything_and_come_back(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / f"pairs.{ending}"
    assert written(path, "pairs", LISTS) == 13
    rows = rows_of(path)
    assert rows[0] == {
        "query": "how to read a file",
        "document": "open file",
        "score": pytest.approx(1 / (1 + math.exp(-4)), rel=1e-6),
        "label": 1,
    }
    assert [row["label"] for row in rows] == [1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0]
    assert [row["document"] for row in rows if row["score"] is None] == ["sort", "map"]
    found = {(query, document): logit for query, document, logit in read_scores(path, "probability")}
    assert found == pytest.approx(KNOWN, abs=1e-4)
    assert "left out 2 pairs without a score" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_flagembedding_has_a_score_for_every_text(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"lists.{ending}"
    assert written(path, "flagembedding", LISTS) == 3
    rows = rows_of(path)
    assert rows[0] == {
        "query": "how to read a file",
        "pos": ["open file", "read json"],
        "neg": ["red", "blue"],
        "pos_scores": [4.0, 2.5],
        "neg_scores": [-3.0, -1.0],
    }
    assert rows[2]["neg"] == ["graph"] and rows[2]["neg_scores"] == [-0.5]
    said = capsys.readouterr().err
    assert "2 documents without a score" in said and "1 query without" in said
    found = {(query, document): logit for query, document, logit in read_scores(path, "logit")}
    assert found == {pair: logit for pair, logit in KNOWN.items() if pair[0] != "sort list"}


def test_sentence_transformers_keeps_most_negatives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.parquet"
    assert written(path, "sentence-transformers", LISTS) == 3
    assert pq.read_schema(path).names == ["query", "positive", "negative_1", "negative_2", "label"]
    assert [row["label"] for row in rows_of(path)] == [[4.0, -3.0, -1.0], [2.5, -3.0, -1.0], [1.0, 0.5, -6.0]]
    said = capsys.readouterr().err
    assert "1 row with fewer than 2 negatives" in said and "1 negative of rows with more than 2" in said
    assert ("서울 날씨", "음식", -6.0) in set(read_scores(path, "logit"))
    assert written(path, "sentence-transformers", LISTS, negatives=1) == 4
    assert [row["label"] for row in rows_of(path)] == [[4.0, -3.0], [2.5, -3.0], [1.0, 0.5], [3.0, -0.5]]


def test_most_kept_by_hand() -> None:
    assert most_kept(Counter({1: 1, 15: 99})) == 15  # 1485 against 100
    assert most_kept(Counter({2: 10, 3: 1})) == 2  # 22 against 3
    assert most_kept(Counter({1: 1, 2: 1})) == 1  # 2 and 2: the one that loses no row
    assert most_kept(Counter({0: 5, 4: 1})) == 4


def test_rows_go_out_and_come_in_by_groups(tmp_path: Path) -> None:
    lists = [Given(f"q{n}", [(f"p{n}", n / 8)], [(f"n{n}", -n / 8), (f"m{n}", 0.0)]) for n in range(2500)]
    path = tmp_path / "rows.parquet"
    for form, size in (("sentence-transformers", 2500), ("flagembedding", 2500), ("pairs", 7500)):
        assert written(path, form, lists, scale="logit") == size  # type: ignore[arg-type]
        assert pq.ParquetFile(path).metadata.num_row_groups == -(-size // 1024)
        found = list(read_scores(path, "logit"))
        assert len(found) == 7500 and found[3] == ("q1", "p1", 0.125) and found[-2] == ("q2499", "n2499", -312.375)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_nothing_to_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("old")
    for form in ("sentence-transformers", "flagembedding"):
        with pytest.raises(DataError, match="nothing to export"):
            written(path, form, LISTS[2:3])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="nothing to export"):
        written(path, "pairs", [])
    with pytest.raises(OptionError, match="end of the file's name"):
        written(tmp_path / "rows.xlsx", "pairs", LISTS)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("loss_name", ["DistillKLDivLoss", "MarginMSELoss"])
def test_sentence_transformers_trains_on_the_file(loss_name: str, tmp_path: Path, tiny_encoder: Path) -> None:
    import torch
    from datasets import load_dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    path = tmp_path / "rows.parquet"
    written(path, "sentence-transformers", LISTS)
    data = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "hub"))
    transformer = Transformer(str(tiny_encoder))
    model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen: list[tuple[int, torch.Tensor]] = []

    class Watched(getattr(losses, loss_name)):  # type: ignore[misc]
        def compute_loss_from_embeddings(self, embeddings: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
            seen.append((len(embeddings), labels))
            return super().compute_loss_from_embeddings(embeddings, labels)

    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=3, report_to=[], use_cpu=True,
        learning_rate=1e-3, warmup_steps=0, save_strategy="no",
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=Watched(model))
    assert math.isfinite(trainer.train().training_loss)
    ((texts, labels),) = seen
    assert texts == 4  # query, positive, two negatives
    assert sorted(labels.tolist()) == [[1.0, 0.5, -6.0], [2.5, -3.0, -1.0], [4.0, -3.0, -1.0]]
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_csv_of_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("id,document,query,score\n1,d1,q,0.5\n2,d2,q,\n3,d3,q,1\n4,d4,q,0\n5,d5,q,2e-1\n", encoding="utf-8")
    found = list(read_scores(path, "probability"))
    assert [pair[:2] for pair in found] == [("q", "d1"), ("q", "d3"), ("q", "d4"), ("q", "d5")]
    expected = [0.0, math.log(999_999), -math.log(999_999), math.log(0.25)]
    assert [pair[2] for pair in found] == pytest.approx(expected, rel=1e-9)
    assert "left out 1 pair without a score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("score", "scale", "message"),
    [
        ("1.01", "probability", "not a probability"),
        ("-0.1", "probability", "not a probability"),
        ("nan", "logit", "not a finite number"),
        ("inf", "logit", "not a finite number"),
        ("1e39", "logit", "not a finite number"),
        ("high", "logit", "not a finite number"),
    ],
)
def test_a_bad_score_is_named_with_row_and_column(score: str, scale: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"query,document,score\nq,d,0.5\nq,e,{score}\n")
    with pytest.raises(RowError, match=message) as caught:
        list(read_scores(path, scale))  # type: ignore[arg-type]
    assert (caught.value.row, caught.value.column) == (3, "score")


@pytest.mark.parametrize(
    ("lines", "row", "column", "message"),
    [
        (['{"query": "q", "document": "d", "score": true}'], 1, "score", "not a finite"),
        (['{"query": "q", "document": "d", "score": NaN}'], 1, "score", "not a finite"),
        ([f'{{"query": "q", "document": "d", "score": {"9" * 400}}}'], 1, "score", "not a finite"),
        ([f'{{"query": "q", "document": "d", "score": -{"9" * 5000}}}'], 1, "score", "not a finite"),
        (['{"query": "q", "document": "d", "score": 1e400}'], 1, "score", "not a finite"),
        (['{"query": "q", "document": " ", "score": 1}'], 1, "document", "empty"),
        (
            ['{"query": "q", "document": "d", "score": 1}', '{"query": "q", "score": 1}'],
            2,
            "document",
            "missing column",
        ),
        (['{"query": "q", "pos": ["a"], "neg": "b", "pos_scores": [1], "neg_scores": [1]}'], 1, "neg", "not a list"),
        (
            ['{"query": "q", "pos": ["a"], "neg": [], "pos_scores": [1, 2], "neg_scores": []}'],
            1,
            "pos_scores",
            "2 scores",
        ),
        (['{"query": "q", "positive": "a", "negative": "b", "label": [0.3]}'], 1, "label", "1 score for 2 documents"),
        (["nothing"], 1, "", "not JSON"),
    ],
)
def test_a_bad_row_is_named(lines: list[str], row: int, column: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(RowError, match=message) as caught:
        list(read_scores(path, "logit"))
    assert (caught.value.row, caught.value.column) == (row, column)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with pytest.raises(DataError, match="does not exist"):
        list(read_scores(path, "logit"))
    path.write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_scores(path, "logit"))
    pq.write_table(pa.table({"query": ["q"], "text": ["d"]}), path)
    with pytest.raises(DataError, match="missing columns"):
        list(read_scores(path, "logit"))
    written(path, "pairs", LISTS)
    with pytest.raises(DataError, match="are of scale probability"):
        list(read_scores(path, "logit"))
    empty = tmp_path / "scores.csv"
    empty.write_text("query,document,score\n")
    with pytest.raises(DataError, match="an empty file"):
        list(read_scores(empty, "logit"))
    empty.write_text("query,document,score,score\nq,d,1,2\n")
    with pytest.raises(DataError, match="more than once"):
        list(read_scores(empty, "logit"))


@pytest.mark.parametrize("negatives", [(None, None), (None, []), ([], []), ([""], [-1.0]), ([None, " "], [0.5, 0.0])])
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_empty_negatives_have_no_score(negatives: tuple[object, object], ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"scores.{ending}"
    row = {"query": "q", "pos": ["p"], "pos_scores": [2.5], "neg": negatives[0], "neg_scores": negatives[1]}
    path.write_text(json.dumps([row]) if ending == "json" else json.dumps(row) + "\n", encoding="utf-8")
    assert list(read_scores(path, "logit")) == [("q", "p", 2.5)]
