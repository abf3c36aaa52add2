"""A batch of lists: its losses and its tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from bistill.app import assembling
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.losses import ListwiseKL
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import batching, tokenizing
from bistill.models.cross_encoder import CrossEncoder
from tests.assembled import built, list_task, opened
from tests.losses.contract import CONTRACT, distillation
from tests.training.conftest import distillation_options as options


def test_a_batch_equals_the_losses_of_its_matrices(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, listwise_weight=0.5)
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, np.arange(12), teachers)
    teacher, student = CrossEncoder.load(str(tiny_teacher)), BiEncoder.load(str(tiny_encoder), max_len=32)
    task = list_task(made, student, Collection(dataset, corpus), pools)
    batch = np.array([7, 2, 9])
    made_batch = task.batch(batch, epoch=1)
    terms = made_batch.terms(made_batch.forward(made_batch.places), made_batch.places)

    lists = [pools.training_list(int(row), assembling.lists(made), seed=42, epoch=1) for row in batch]
    assert np.array_equal(task.lists(batch, 1)[2].documents, lists[2].documents) and task.samples == 12
    documents = [[dataset.documents[number] for number in item.documents] for item in lists]
    reference = SentenceTransformer(str(tiny_encoder), device="cpu")
    cosine = np.stack(
        [
            reference.encode([dataset.queries[int(row)]], normalize_embeddings=True)
            @ reference.encode(texts, normalize_embeddings=True).T
            for row, texts in zip(batch, documents, strict=True)
        ]
    )[:, 0]
    pairs = [(dataset.queries[int(row)], text) for row, texts in zip(batch, documents, strict=True) for text in texts]
    scores = torch.sigmoid(torch.tensor(teacher.score(pairs))).reshape(3, 5)
    positive = torch.tensor([[True, False, False, False, False]] * 3)
    expected = distillation(
        scores,
        torch.tensor((cosine + 1) / 2),
        positive,
        torch.ones(3, 5, dtype=torch.bool),
        (ListwiseKL(0.2, weight=0.5), *CONTRACT[1:]),
    )
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, atol=1e-5, rtol=1e-5)


def test_tokens_of_a_batch_are_those_of_the_encoder_and_made_once(
    data_root: Path,
    tiny_encoder: Path,
    tiny_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, K=8)
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, np.arange(10), teachers)
    student = BiEncoder.load(str(tiny_encoder), max_len=6, query_prompt="query ", document_prompt="the ")
    task = list_task(made, student, Collection(dataset, corpus), pools)
    said = capsys.readouterr().err
    assert "tokens: queries: 10/10 texts" in said and "tokens: documents: " in said
    rows = np.array([7, 2, 9])
    lists = task.lists(rows, 3)
    documents = np.unique(np.concatenate([item.documents for item in lists]))
    expected = student.tokenize_queries([dataset.queries[int(row)] for row in rows])
    expected += student.tokenize_documents(corpus.take(documents))

    seen: list[batching.Encoding] = []
    monkeypatch.setattr(BiEncoder, "forward", lambda _, encodings: seen.extend(encodings))
    monkeypatch.setattr(tokenizing, "tokenize", lambda *_: pytest.fail("a text was tokenized again"))
    again = list_task(made, student, Collection(dataset, corpus), pools)
    batch = again.batch(rows, 3)
    batch.forward(batch.places)
    assert "tokens: " not in capsys.readouterr().err
    assert len(seen) == len(expected) == 3 + len(documents)
    for found, wanted in zip(seen, expected, strict=True):
        assert list(found) == list(wanted)
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert batch.describe(1) == "query 2 'how to sort'"
