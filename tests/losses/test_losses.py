"""Hand-computed values, float64 gradients, and what must not change a loss."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from scipy.special import rel_entr, softmax

from bistill import losses
from tests.documented import documented
from tests.losses.contract import distillation

TEACHER = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.6, 0.3]], dtype=torch.float64)
STUDENT = torch.tensor([[0.7, 0.5, 0.2], [0.6, 0.9, 0.1]], dtype=torch.float64)
POSITIVE = torch.tensor([[True, False, False], [True, False, False]])
MASK = torch.ones(2, 3, dtype=torch.bool)


def test_linear_score_brings_cosines_to_zero_one() -> None:
    assert losses.linear_score(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0.0, 0.5, 1.0]


def test_listwise_kl_of_two_candidates_by_hand() -> None:
    # tau 0.5: teacher logits differ by (1 - 0) / 0.5 = 2, student logits by 0, so KL = sum p log(2 p).
    teacher = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    student = torch.tensor([[0.4, 0.4]], dtype=torch.float64)
    p = 1 / (1 + math.exp(-2))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    value = losses.listwise_kl(teacher, student, torch.ones(1, 2, dtype=torch.bool), tau=0.5)
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_listwise_kl_equals_scipy() -> None:
    p, q = softmax(TEACHER.numpy() / 0.2, axis=1), softmax(STUDENT.numpy() / 0.2, axis=1)
    expected = rel_entr(p, q).sum(axis=1).mean()
    assert losses.listwise_kl(TEACHER, STUDENT, MASK, tau=0.2).item() == pytest.approx(expected, abs=1e-12)


def test_listwise_kl_equals_sentence_transformers_up_to_its_tau_squared() -> None:
    # sentence-transformers' DistillKLDivLoss is torch's kl_div with batchmean, times tau^2.
    reference = torch.nn.functional.kl_div(
        (STUDENT / 0.2).log_softmax(1), (TEACHER / 0.2).log_softmax(1), reduction="batchmean", log_target=True
    )
    torch.testing.assert_close(losses.listwise_kl(TEACHER, STUDENT, MASK, tau=0.2), reference)


def test_listwise_kl_is_zero_for_equal_scores_shifted_by_a_constant() -> None:
    assert losses.listwise_kl(TEACHER, TEACHER - 0.3, MASK, tau=0.1).item() == pytest.approx(0, abs=1e-12)


def test_a_list_of_one_teaches_nothing_and_ties_ask_for_equal_probabilities() -> None:
    """The first teacher's scores are all 1.0 in bfloat16, and keep their order; one document alone has none."""
    logits = [[6.5, 8.0, 11.0, 15.0], [15.0, 0.0, 0.0, 0.0], [11.0, 11.0, 11.0, 11.0]]
    teacher = torch.tensor(logits, dtype=torch.float64).sigmoid()
    mask = torch.tensor([[True] * 4, [True, False, False, False], [True] * 4])
    student = [[0.8, 0.4, 0.6, 0.2], [0.9, 0.1, 0.1, 0.1], [0.1, 0.5, 0.5, 0.9]]
    learned = torch.tensor(student, dtype=torch.float64, requires_grad=True)
    term = losses.listwise_kl(teacher, learned, mask, tau=0.01)
    targets = [softmax(teacher[0].numpy() / 0.01), softmax([0.0] * 4)]
    assert (targets[0][1:] > targets[0][:-1]).all() and targets[1].tolist() == [0.25] * 4
    made = [softmax([score / 0.01 for score in student[row]]) for row in (0, 2)]
    expected = sum(rel_entr(p, q).sum() for p, q in zip(targets, made, strict=True)) / 3
    assert term.item() == pytest.approx(expected, rel=1e-9)
    term.backward()
    assert learned.grad is not None and learned.grad.any(dim=1).tolist() == [True, False, True]


def test_info_nce_by_hand_and_against_the_in_batch_loss_of_sentence_transformers() -> None:
    cosine = torch.tensor([[0.9, 0.4, -0.2], [0.1, 0.3, 0.8]], dtype=torch.float64)
    positive = torch.tensor([[True, False, False], [False, True, False]])
    # tau 0.5; the second query has one negative alone: log(1 + exp((0.1 - 0.3) / 0.5)).
    negative = torch.tensor([[False, True, True], [True, False, False]])
    first = math.log(1 + math.exp((0.4 - 0.9) / 0.5) + math.exp((-0.2 - 0.9) / 0.5))
    expected = (first + math.log(1 + math.exp(-0.4))) / 2
    assert losses.info_nce(cosine, positive, negative, tau=0.5).item() == pytest.approx(expected, abs=1e-12)
    # MultipleNegativesRankingLoss with scale 20: cross-entropy of the diagonal over all documents of the batch.
    square = cosine[:, :2]
    reference = torch.nn.functional.cross_entropy(square * 20, torch.arange(2))
    diagonal = torch.eye(2, dtype=torch.bool)
    torch.testing.assert_close(losses.info_nce(square, diagonal, ~diagonal, tau=0.05), reference)


def test_info_nce_gradient_in_float64_and_nothing_for_what_is_no_negative() -> None:
    cosine = torch.tensor([[0.9, 0.4, -0.2], [0.1, 0.3, 0.8]], dtype=torch.float64, requires_grad=True)
    positive = torch.tensor([[True, False, False], [False, True, False]])
    negative = torch.tensor([[False, True, False], [True, False, True]])
    assert torch.autograd.gradcheck(lambda values: losses.info_nce(values, positive, negative, tau=0.3), cosine)
    losses.info_nce(cosine, positive, negative, tau=0.3).backward()
    assert cosine.grad is not None and cosine.grad[0, 2] == 0 and cosine.grad[0, 1] > 0 > cosine.grad[0, 0]


def test_contrastive_hinge_by_hand() -> None:
    # gaps: 0.7 - (0.5 + 0.2) / 2 = 0.35 -> 0.35 short of 0.7; 0.6 - (0.9 + 0.1) / 2 = 0.1 -> 0.6 short.
    assert losses.contrastive_hinge(STUDENT, POSITIVE, MASK).item() == pytest.approx((0.35 + 0.6) / 2)


def test_contrastive_hinge_is_zero_beyond_the_margin() -> None:
    student = torch.tensor([[0.95, 0.2]])
    assert losses.contrastive_hinge(student, torch.tensor([[True, False]]), torch.ones(1, 2).bool()).item() == 0


def test_negative_penalty_by_hand() -> None:
    # all negatives above 0.15: 0.35, 0.05, 0.75, 0 -> mean 0.2875; query means 0.35 and 0.5 -> 0.2 and 0.35 above.
    expected = 0.5 * 0.2875 + 0.5 * (0.2 + 0.35) / 2
    assert losses.negative_penalty(STUDENT, POSITIVE, MASK).item() == pytest.approx(expected)


def test_terms_are_summed_by_weight() -> None:
    terms = distillation(TEACHER, STUDENT, POSITIVE, MASK)
    expected = terms["listwise_kl"] + 0.3 * terms["contrastive_hinge"] + 0.4 * terms["negative_penalty"]
    assert list(terms) == ["loss", "listwise_kl", "contrastive_hinge", "negative_penalty"]
    torch.testing.assert_close(terms["loss"], expected)


def test_a_term_of_weight_0_does_not_exist() -> None:
    class Untouched(losses.ListwiseKL):
        def __call__(self, scores: losses.ListScores) -> torch.Tensor:
            raise AssertionError("computed")

    terms = distillation(TEACHER, STUDENT, POSITIVE, MASK, (Untouched(weight=0), losses.ContrastiveHinge(weight=2)))
    assert list(terms) == ["loss", "contrastive_hinge"]
    assert terms["loss"] == 2 * losses.contrastive_hinge(STUDENT, POSITIVE, MASK)


def test_each_object_computes_its_function() -> None:
    scores = losses.ListScores(TEACHER, 2 * STUDENT - 1, STUDENT, POSITIVE, MASK)
    found = [
        loss(scores) for loss in (losses.ListwiseKL(0.3), losses.ContrastiveHinge(0.5), losses.NegativePenalty(0.4))
    ]
    assert found == [
        losses.listwise_kl(TEACHER, STUDENT, MASK, 0.3),
        losses.contrastive_hinge(STUDENT, POSITIVE, MASK, 0.5),
        losses.negative_penalty(STUDENT, POSITIVE, MASK, 0.4),
    ]
    first = torch.zeros_like(POSITIVE)
    first[:, 0] = True
    scores = losses.ListScores(TEACHER, 2 * STUDENT - 1, STUDENT, first, MASK)
    assert losses.InfoNCE(0.1)(scores) == losses.info_nce(2 * STUDENT - 1, first, MASK & ~first, 0.1)


def test_the_loss_of_the_document_is_the_squared_error_of_margins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = documented("bistill/losses/margin_mse.py", tmp_path, monkeypatch)
    # Margins: teacher 0.7, 0.8 and 0.2, 0.5; student 0.2, 0.5 and -0.3, 0.5.
    assert distillation(TEACHER, STUDENT, POSITIVE, MASK, [module.MarginMSE(weight=3)])["loss"].item() == pytest.approx(
        3 * (0.5**2 + 0.3**2 + 0.5**2 + 0) / 4
    )
    teacher, student, positive, mask = case(1)

    def value(scores: torch.Tensor) -> torch.Tensor:
        return distillation(teacher, scores, positive, mask, [module.MarginMSE()])["margin_mse"]

    assert torch.autograd.gradcheck(value, student.requires_grad_())
    negative = mask & ~positive
    margins = [(scores[:, :1] - scores)[negative] for scores in (student, teacher)]
    torch.testing.assert_close(value(student), torch.nn.functional.mse_loss(*margins))
    alone = value_of_no_negative(module.MarginMSE())
    assert alone.item() == 0 and alone.requires_grad


def value_of_no_negative(loss: losses.Loss) -> torch.Tensor:
    one = torch.ones(2, 1, dtype=torch.bool)
    return distillation(torch.rand(2, 1), torch.rand(2, 1, requires_grad=True), one, one, [loss])["loss"]


def test_pointwise_bce_by_hand() -> None:
    logits, labels = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.25])
    # sigmoid: 0.5 and 0.75; -log 0.5, and -(0.25 log 0.75 + 0.75 log 0.25)
    expected = (math.log(2) - 0.25 * math.log(0.75) - 0.75 * math.log(0.25)) / 2
    assert losses.pointwise_bce(logits, labels).item() == pytest.approx(expected)


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random scores of 4 queries with 1 to 5 negatives."""
    random = torch.Generator().manual_seed(seed)
    teacher, student = torch.rand(2, 4, 6, generator=random, dtype=torch.float64)
    mask = torch.arange(6) <= torch.randint(1, 6, (4, 1), generator=random)
    positive = torch.zeros(4, 6, dtype=torch.bool)
    positive[:, 0] = True
    return teacher, student, positive, mask


@pytest.mark.parametrize("term", ["loss", "listwise_kl", "contrastive_hinge", "negative_penalty"])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_in_float64(term: str, seed: int) -> None:
    teacher, student, positive, mask = case(seed)

    def value(scores: torch.Tensor) -> torch.Tensor:
        return distillation(teacher, scores, positive, mask)[term]

    assert torch.autograd.gradcheck(value, student.requires_grad_())


@pytest.mark.parametrize("seed", range(3))
def test_padding_changes_nothing(seed: int) -> None:
    teacher, student, positive, mask = case(seed)
    padding = torch.full((4, 3), 1e6, dtype=torch.float64)
    none = torch.zeros(4, 3, dtype=torch.bool)
    plain = distillation(teacher, student, positive, mask)
    wider = distillation(
        torch.cat([teacher, padding], 1),
        torch.cat([student, -padding], 1),
        torch.cat([positive, none], 1),
        torch.cat([mask, none], 1),
    )
    torch.testing.assert_close(plain, wider)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_candidates_and_queries_changes_nothing(seed: int) -> None:
    tensors = case(seed)
    columns = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    rows = torch.tensor([2, 0, 3, 1])
    plain = distillation(*tensors)
    moved = distillation(*(tensor[rows][:, columns] for tensor in tensors))
    torch.testing.assert_close(plain, moved)


def test_queries_without_negatives_give_zero_with_graph() -> None:
    student = torch.rand(2, 1, requires_grad=True)
    one = torch.ones(2, 1, dtype=torch.bool)
    terms = distillation(torch.rand(2, 1), student, one, one)
    assert terms["loss"].item() == 0
    terms["loss"].backward()
    assert student.grad is not None
    assert student.grad.abs().sum().item() == 0


def test_gradients_stay_finite_where_the_teacher_is_sure_and_columns_are_masked() -> None:
    student = torch.tensor([[0.9, 0.1, 0.5]], requires_grad=True)
    teacher, mask = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[True, True, False]])
    losses.listwise_kl(teacher, student, mask, tau=0.01).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert student.grad[0, 2].item() == 0
