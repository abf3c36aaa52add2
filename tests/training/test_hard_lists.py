"""Lists of a query's hard documents, beside the same found word by word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bistill.app.config import TeacherOptions
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from tests.assembled import hard_lists_of
from tests.training.conftest import distillation_options as options
from tests.training.student.test_gate import valid_of


def test_lists_hold_positives_labelled_negatives_then_bm25(wide: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(wide, tiny_teacher, tiny_encoder)
    valid, corpus = valid_of(made)
    for item in hard_lists_of(Collection(valid, corpus), made):
        record = valid[item.query_id]
        texts = corpus.take(item.documents)
        assert len(set(item.documents)) == len(texts) == 20 and item.positives == 1
        assert item.documents[:2].tolist() == [*record.positives, *record.negatives] and item.labelled.sum() == 1
        assert item.labels.tolist() == [1.0] + [0.0] * 19
        assert "Returns  the JSON" not in texts or record.query != "how to json"
        word = record.query.split()[-1]
        sharing = {number for number, text in enumerate(corpus) if word in text.lower().split()}
        sharing -= {*record.positives, *(number for number in sharing if corpus[number] == "Returns  the JSON")}
        assert sharing <= set(item.documents)
        mined = item.documents[item.mined].tolist()
        assert sharing - set(record.negatives) <= set(mined)
        assert all(set(record.query.split()) & set(corpus[number].lower().split()) for number in mined)


def test_lists_stand_in_an_order_that_the_seed_decides(wide: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    def queries(**changes: object) -> list[int]:
        made = options(wide, tiny_teacher, tiny_encoder, **changes)
        return [item.query_id for item in hard_lists_of(valid_of(made), made)]

    whole = queries(valid_samples=4)
    assert sorted(whole) == [0, 1, 2, 3]
    assert [queries(valid_samples=count) for count in (3, 2, 500)] == [whole[:3], whole[:2], whole]
    assert len({tuple(queries(seed=seed)) for seed in range(8)}) > 3


def test_neither_a_copy_of_a_positive_nor_the_query_comes_in_labelled_or_not(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "positive", "negative"], ["what is red", "Red is a colour", "red is a  COLOUR"]]
    valid = load_split(write_csv(tmp_path / "valid.csv", rows))
    corpus = Corpus(valid.documents, ["ＲED is a colour", "what is red", "blue is one"])
    (item,) = hard_lists_of(Collection(valid, corpus), TeacherOptions())
    assert (item.query_id, item.documents.tolist(), item.labels.tolist()) == (0, [0, 4], [1.0, 0.0])
    assert (item.positives, item.labelled.tolist(), item.mined.tolist()) == (1, [False] * 2, [False, True])
    assert corpus[item.documents[1]] == "blue is one"


def test_many_positives_leave_half_of_a_list_to_negatives(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "passage", "label"], *[["read", f"read file {number}", "1"] for number in range(30)]]
    valid = load_split(write_csv(tmp_path / "valid.csv", rows))
    corpus = Corpus(valid.documents, [f"read tree {number}" for number in range(7)] + [f"key {n}" for n in range(50)])
    (item,) = hard_lists_of(Collection(valid, corpus), TeacherOptions())
    assert (len(item.documents), item.positives, item.labelled.any()) == (20, 10, False)
    assert not {*valid[0].positives} & {*item.documents[10:]}
