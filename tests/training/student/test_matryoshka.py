"""The mean over prefixes by hand and against sentence-transformers' own loss; and that a student keeps note of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss
from torch import Tensor, nn

from bistill import losses
from bistill.app import assembling
from bistill.app.commands.distill import train
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from bistill.journal import read
from bistill.models.bi_encoder import BiEncoder
from bistill.training.student.matryoshka import over_prefixes
from bistill.training.student.objective import Objective
from tests.assembled import built, list_task, opened
from tests.losses.contract import distillation
from tests.training.conftest import distillation_options as options

QUERIES = 2


def made_up() -> tuple[Tensor, Tensor, Tensor]:
    """Teacher's relevance, positives and mask of two queries and three documents."""
    teacher = torch.tensor([[0.9, 0.3, 0.1], [0.2, 0.8, 0.4]], dtype=torch.float64)
    return teacher, torch.eye(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)


def list_terms(vectors: Tensor) -> dict[str, Tensor]:
    teacher, positive, mask = made_up()
    scores = losses.linear_score(vectors[:QUERIES] @ vectors[QUERIES:].T)
    return distillation(teacher, scores, positive, mask)


def test_values_and_gradient_are_the_mean_by_hand_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    vectors = raw / raw.norm(dim=1, keepdim=True)
    found_at, expected_at = (vectors.clone().requires_grad_() for _ in range(2))
    terms = over_prefixes(list_terms, found_at, (12, 8))
    teacher, positive, mask = made_up()
    total = torch.zeros((), dtype=torch.float64)
    for size in (16, 12, 8):
        cosine = torch.stack(
            [
                torch.stack(
                    [(q[:size] @ d[:size]) / (q[:size].norm() * d[:size].norm()) for d in expected_at[QUERIES:]]
                )
                for q in expected_at[:QUERIES]
            ]
        )
        total = total + distillation(teacher, (cosine + 1) / 2, positive, mask)["loss"] / 3
    terms["loss"].backward()
    total.backward()
    assert found_at.grad is not None and expected_at.grad is not None
    assert terms["loss"].item() == pytest.approx(total.item(), rel=1e-12)
    # A whole vector is of length 1 already: along itself its gradient is free, so both are compared across it.
    gradients = [grad - (grad * vectors).sum(1, keepdim=True) * vectors for grad in (found_at.grad, expected_at.grad)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-10)
    whole = list_terms(vectors)
    assert terms["full_loss"].item() == pytest.approx(whole["loss"].item())
    assert {name: terms[name].item() for name in whole if name != "loss"} == {
        name: pytest.approx(value.item()) for name, value in whole.items() if name != "loss"
    }


class ListLoss(nn.Module):
    """Our list losses as a loss of sentence-transformers: one text a column, queries first."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Iterable[dict[str, Tensor]], _labels: Any) -> Tensor:
        vectors = torch.cat([self.model(item)["sentence_embedding"] for item in features])
        return list_terms(vectors)["loss"]


def test_loss_and_gradient_equal_those_of_sentence_transformers(tiny_encoder: Path) -> None:
    texts = ["how to read", "sort a list", "read a file", "sort set", "network socket"]
    reference = SentenceTransformer(str(tiny_encoder), device="cpu").eval()
    theirs = MatryoshkaLoss(reference, ListLoss(reference), [32, 16, 8], [1 / 3, 1 / 3, 1 / 3])
    expected = theirs([reference.preprocess([text]) for text in texts], None)
    expected.backward()
    ours = BiEncoder.load(str(tiny_encoder), precision="fp32")
    vectors = ours.forward(ours.tokenize_documents(texts))
    found = over_prefixes(list_terms, vectors, (16, 8))["loss"]
    found.backward()
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)
    gradients = {
        name: value.grad for name, value in reference[0].auto_model.named_parameters() if value.grad is not None
    }
    own = {name: value.grad for name, value in ours.model.named_parameters() if value.grad is not None}
    assert own.keys() == gradients.keys() and len(own) > 30
    for name, grad in own.items():
        torch.testing.assert_close(grad, gradients[name], atol=1e-6, rtol=1e-3)


def test_a_batch_learns_whole_vectors_and_prefixes(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, matryoshka=(16, 8))
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, np.arange(12), teachers)
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    plain = options(data_root, tiny_teacher, tiny_encoder)
    batches = [
        list_task(own, student, Collection(dataset, corpus), pools).batch(np.arange(3), 0) for own in (made, plain)
    ]
    vectors = batches[0].forward(batches[0].places).detach()
    terms, whole = (batch.terms(vectors, batch.places) for batch in batches)
    shorter = [
        batches[1].terms(vectors[:, :size] / vectors[:, :size].norm(dim=1, keepdim=True), batches[1].places)["loss"]
        for size in (16, 8)
    ]
    assert terms["loss"].item() == pytest.approx(
        np.mean([value.item() for value in [whole["loss"], *shorter]]), abs=1e-6
    )
    assert terms["full_loss"].item() == whole["loss"].item()


@pytest.mark.slow
@pytest.mark.parametrize("use_lora", [False, True])
def test_a_student_says_where_its_vectors_may_be_cut(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, use_lora: bool
) -> None:
    changes = {"matryoshka": (16, 8), "epochs": 1, "use_lora": use_lora, "score": "calibrated"}
    made = options(data_root, tiny_teacher, tiny_encoder, **changes)
    record = train(made)
    folder = Path(made.output_dir)
    assert record["matryoshka"] == [16, 8] == json.loads((folder / "bistill.json").read_text())["matryoshka"]
    assert json.loads((folder / "config.json").read_text())["matryoshka_dimensions"] == [8, 16, 32]
    step = next(item for item in read(folder / "journal.jsonl") if item["event"] == "step")
    assert {"loss", "full_loss", "listwise_kl"} <= step["terms"].keys()
    short = SentenceTransformer(made.output_dir, truncate_dim=8, device="cpu")
    vectors = BiEncoder.load(made.output_dir).encode_queries(["how to sort"])[:, :8]
    expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode_query(["how to sort"], normalize_embeddings=True), expected, atol=1e-6)
    assert (
        train(options(data_root, tiny_teacher, tiny_encoder, epochs=1, output_dir=str(data_root)))["matryoshka"] is None
    )


@pytest.mark.parametrize("sizes", [(64, 128), (64, 64), (64, 7), (0,)])
def test_what_is_no_falling_list_of_sizes_is_an_error(sizes: tuple[int, ...]) -> None:
    with pytest.raises(OptionError) as caught:
        Objective(matryoshka=sizes)
    least = min(sizes) < 8
    assert caught.value.where == ("`Objective.matryoshka`" if least else "`matryoshka`")
    assert caught.value.todo == ("give at least 8" if least else "give numbers such as 256 128 64")


def test_prefixes_are_shorter_than_the_vectors(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    with pytest.raises(OptionError, match=r"(?s)`matryoshka`: a prefix is shorter.*32.*give numbers below 32"):
        train(options(data_root, tiny_teacher, tiny_encoder, matryoshka=(32, 16)))
