from __future__ import annotations

import pytest

from bistill.data.read.columns import ColumnMap, resolve_columns
from bistill.data.settings import Columns
from bistill.errors import DataError

NONE = Columns()


def test_triplets_with_numbered_negatives_in_numeric_order() -> None:
    header = ["negative_10", "id", "positive", "negative_2", "query", "negative"]
    assert resolve_columns(header, "f.csv", NONE) == ColumnMap(
        form="triplets",
        query="query",
        positive="positive",
        negatives=("negative", "negative_2", "negative_10"),
        ignored=("id",),
    )


def test_pairs_in_any_order() -> None:
    found = resolve_columns(["라벨", "본문", "질의"], "f.csv", NONE)
    assert (found.form, found.query, found.passage, found.label) == ("pairs", "질의", "본문", "라벨")


def test_overrides_win_over_recognised_names() -> None:
    overrides = Columns(query="frage", positive="text", negatives=("b", "a"))
    found = resolve_columns(["frage", "text", "a", "b", "label", "query"], "f.csv", overrides)
    assert (found.form, found.query, found.positive, found.negatives) == ("triplets", "frage", "text", ("b", "a"))
    assert found.ignored == ("label", "query")


@pytest.mark.parametrize(
    ("header", "overrides", "parts"),
    [
        (["query", "negative"], NONE, ["f.csv", "missing column: positive", "`Columns.positive`"]),
        (["query", "passage"], NONE, ["missing column: label", "`Columns.label`", "['query', 'passage']"]),
        (["positive", "negative"], NONE, ["missing column: query"]),
        (["질문", "라벨"], NONE, ["missing column: passage", "(passages, passage_text, 문서, 본문 are known, too)"]),
        (["a", "b"], NONE, ["missing columns: neither positive", "['a', 'b']"]),
        (["query", "question", "positive"], NONE, ["more than one column can be the query: 'query', 'question'"]),
        (["query", "positive", "passage", "label"], NONE, ["can be read as query, positive, negative and as"]),
        (["query", "positive", "score"], NONE, ["can be read as"]),
        (["query", "positive", "neg_1", "부정_1"], NONE, ["same negative: 'neg_1', '부정_1'", "`Columns.negatives`"]),
        (["query", "positive", "query"], NONE, ["'query' more than once"]),
        (["query", "positive"], Columns(query="x"), ["missing column 'x', which `Columns.query` names"]),
        (
            ["query", "positive", "passage", "label"],
            Columns(positive="positive", label="label"),
            ["can be read as"],
        ),
    ],
)
def test_headers_that_are_refused(header: list[str], overrides: Columns, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        resolve_columns(header, "f.csv", overrides)
    for part in parts:
        assert part in str(caught.value)
