"""Lists of a query's hard documents, beside the same found word by word."""

from __future__ import annotations

from pathlib import Path

from bistill.training.hard_lists import hard_lists
from tests.training.test_distillation import options
from tests.training.test_gate import valid_of


def test_lists_hold_positives_labelled_negatives_then_bm25(wide: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(wide, tiny_teacher, tiny_encoder)
    valid, corpus = valid_of(made)
    for item in hard_lists(valid, corpus, made):
        record = valid[item.query_id]
        texts = corpus.take(item.documents)
        assert len(set(item.documents)) == len(texts) == 20 and item.positives == 1
        assert item.documents[:2] == (*record.positives, *record.negatives) and item.labelled == 1
        assert item.labels == (1.0,) + (0.0,) * 19
        assert "Returns  the JSON" not in texts or record.query != "how to json"
        word = record.query.split()[-1]
        sharing = {number for number, text in enumerate(corpus) if word in text.lower().split()}
        sharing -= {*record.positives, *(number for number in sharing if corpus[number] == "Returns  the JSON")}
        assert sharing <= set(item.documents)
        mined = item.documents[2 : 2 + item.mined]
        assert sharing - set(record.negatives) <= set(mined)
        assert all(set(record.query.split()) & set(corpus[number].lower().split()) for number in mined)
