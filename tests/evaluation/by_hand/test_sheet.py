"""A sheet to judge, against the rankings of its models computed apart."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.teachers import imported_identity
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_documents, load_log
from bistill.data.store.texts import Texts, digest
from bistill.errors import ModelError, OptionError
from bistill.evaluation.by_hand.sheet import Sheet, make
from bistill.evaluation.settings import Judging
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder

TEXT = "file list set map tree graph query key value red blue green fast slow string error json network"
WORDS = TEXT.split()


@pytest.fixture
def texts(tmp_path: Path) -> tuple[Texts, Corpus]:
    """12 queries of two words, the last of them a document, too, and 36 documents of three."""
    random = np.random.default_rng(3)
    documents = [" ".join(random.choice(WORDS, 3, replace=False)) + f" {number}" for number in range(36)]
    queries = [" ".join(random.choice(WORDS, 2, replace=False)) + f" {number}" for number in range(11)]
    for name, column, rows in (("queries", "query", [*queries, documents[4]]), ("corpus", "document", documents)):
        (tmp_path / f"{name}.csv").write_text("\n".join([column, *rows]) + "\n", encoding="utf-8")
    return load_log(tmp_path / "queries.csv").queries, Corpus(load_documents(tmp_path / "corpus.csv"))


def sheet(path: Path, texts: tuple[Texts, Corpus], models: Sequence[object], **settings: int) -> Sheet:
    return make(*texts, [str(model) for model in models], path, Judging(**settings))


def rows(path: Path) -> list[tuple[str, str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *found = csv.reader(file)
    assert header == ["query", "document", "label"]
    return [(query, document, label) for query, document, label in found]


def found_by(model: Path, texts: tuple[Texts, Corpus]) -> dict[str, list[str]]:
    """The documents of every query by falling cosine, without its own text."""
    queries, corpus = texts
    encoder = BiEncoder.load(str(model))
    order = np.argsort(-encoder.encode_queries(list(queries)) @ encoder.encode_documents(list(corpus)).T, kind="stable")
    return {
        query: [corpus[int(row)] for row in found if corpus[int(row)] != query]
        for query, found in zip(queries, order, strict=True)
    }


def test_the_pools_are_what_the_models_rank_first(
    tmp_path: Path, texts: tuple[Texts, Corpus], tiny_encoder: Path, other_encoder: Path, tiny_teacher: Path
) -> None:
    path = tmp_path / "judge.csv"
    models = [tiny_encoder, other_encoder, tiny_teacher, "bm25"]
    made = sheet(path, texts, models, number=1000, depth=2, rerank_depth=4)
    queries, corpus = texts
    lexical = LexicalMiner(queries, corpus).mine(np.arange(len(queries)), 5)
    searched = [found_by(tiny_encoder, texts), found_by(other_encoder, texts)]
    searched.append(
        {
            query: [corpus[row] for row in found if row >= 0 and corpus[row] != query]
            for query, found in zip(queries, lexical.tolist(), strict=True)
        }
    )
    teacher = CrossEncoder.load(str(tiny_teacher))
    for query in queries:
        read = sorted({document for ranking in searched for document in ranking[query][:4]})
        logits = teacher.score([(query, document) for document in read])
        best = [read[place] for place in np.argsort(-np.asarray(logits))[:2]]
        expected = {*best, *(document for ranking in searched for document in ranking[query][:2])}
        found = [document for asked, document, _ in rows(path) if asked == query]
        assert len(found) == len(expected) and {*found} == expected
    assert made.pairs == len(rows(path)) and made.queries == 12
    assert {label for _, _, label in rows(path)} == {""}


def test_a_sheet_is_for_spreadsheets_and_names_no_model(
    tmp_path: Path, texts: tuple[Texts, Corpus], tiny_encoder: Path, other_encoder: Path
) -> None:
    path = tmp_path / "judge.csv"
    sheet(path, texts, [tiny_encoder, other_encoder, "bm25"], number=30)
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfquery,document,label\n")
    for name in (tiny_encoder.name, other_encoder.name, "bm25", "encoder"):
        assert name.encode() not in content
    asked = [query for query, _, _ in rows(path)]
    assert len([one for one, before in zip(asked, [None, *asked], strict=False) if one != before]) == len({*asked})


def test_the_same_inputs_give_the_same_file_whatever_the_order_of_the_models(
    tmp_path: Path, texts: tuple[Texts, Corpus], tiny_encoder: Path, other_encoder: Path
) -> None:
    files = {}
    for name, models, seed in (
        ("one", [tiny_encoder, other_encoder], 1),
        ("again", [tiny_encoder, other_encoder], 1),
        ("turned", [other_encoder, tiny_encoder], 1),
        ("other", [tiny_encoder, other_encoder], 2),
    ):
        sheet(tmp_path / name, texts, models, number=40, depth=3, seed=seed)
        files[name] = (tmp_path / name).read_bytes()
    assert files["one"] == files["again"] == files["turned"] != files["other"]


def test_two_models_that_find_the_same_give_each_row_once(
    tmp_path: Path, texts: tuple[Texts, Corpus], tiny_encoder: Path
) -> None:
    twin = tmp_path / "twin"
    twin.symlink_to(tiny_encoder)
    sheet(tmp_path / "both.csv", texts, [tiny_encoder, twin], number=20, depth=4)
    sheet(tmp_path / "one.csv", texts, [tiny_encoder], number=20, depth=4)
    assert (tmp_path / "both.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert len(rows(tmp_path / "one.csv")) == 20  # 5 queries with 4 documents each
    assert len({*rows(tmp_path / "one.csv")}) == 20


def test_labels_in_a_sheet_are_not_lost(tmp_path: Path, texts: tuple[Texts, Corpus], tiny_encoder: Path) -> None:
    path = tmp_path / "judge.csv"
    path.write_text("query,document,label\na,b,1\n", encoding="utf-8")
    with pytest.raises(OptionError, match="somebody's labels") as refused:
        sheet(path, texts, [tiny_encoder])
    assert "`overwrite`" in str(refused.value) and path.read_text(encoding="utf-8").endswith("a,b,1\n")
    make(*texts, [str(tiny_encoder)], path, Judging(number=5), overwrite=True)
    assert len(rows(path)) == 5


def test_models_that_cannot_be_used_together_are_said(
    tmp_path: Path, texts: tuple[Texts, Corpus], tiny_encoder: Path, tiny_teacher: Path
) -> None:
    with ScoreCache.open(imported_identity("llm")) as cache:
        cache.put(cache.keys([digest("q")], [digest("d")]), np.array([1.0], dtype=np.float32))
    for models, said in (
        ([tiny_teacher], "no model that searches"),
        ([tiny_encoder, tiny_encoder], "a model is named twice"),
        (["bm25", "scores:llm"], "its scores were imported"),
    ):
        with pytest.raises(OptionError, match=said):
            sheet(tmp_path / "judge.csv", texts, models)
    with pytest.raises(ModelError):
        sheet(tmp_path / "judge.csv", texts, ["bm25", tmp_path / "nowhere"])
    assert not (tmp_path / "judge.csv").exists()
