"""Figures of the calibrated score, thresholds and shuffled queries against plain numpy and scikit-learn."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, precision_recall_curve

from bistill import artifacts
from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.errors import ArtifactError
from bistill.evaluation import questions
from bistill.evaluation.measures import margins
from tests.evaluation.conftest import Evaluated, brute_force

KINDS = ("labelled_negatives", "random_negatives")


def cosines(everything: Evaluated) -> dict[str, list[np.ndarray]]:
    """Of the student, for each query: those of its positives and of both kinds of negatives."""
    found, dataset = brute_force(everything.options.model_path, everything.options.test_data)
    records = list(dataset)
    return {
        "positives": [found[record.query_id, list(record.positives)] for record in records],
        "labelled_negatives": [found[record.query_id, list(record.negatives)] for record in records],
        "random_negatives": [
            found[record.query_id, questions.random_negatives(record, dataset.documents, 42)] for record in records
        ],
    }


def probability(cosine: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(30.0 * cosine.astype(np.float64) - 28.5)))


def test_calibrated_figures_equal_brute_force(everything: Evaluated) -> None:
    found, values = everything.result["calibrated"]["student"], cosines(everything)
    assert (found["a"], found["b"]) == (30.0, -28.5)
    high = probability(np.concatenate(values["positives"]))
    for kind in KINDS:
        low = probability(np.concatenate(values[kind]))
        assert found[kind]["mean_positive"] == pytest.approx(high.mean(), abs=1e-5)
        assert found[kind]["mean_negative"] == pytest.approx(low.mean(), abs=1e-5)
        assert found[kind]["margin"] == pytest.approx(high.mean() - low.mean(), abs=1e-5)
        assert found[kind]["variance"] == pytest.approx(np.concatenate([high, low]).var(), abs=1e-5)
        assert found[kind]["uniformity"] == found[kind]["variance"] > 0
        # a rising line changes no order
        assert found[kind]["auc"] == pytest.approx(everything.result["separation"]["student"][kind]["auc"], abs=1e-9)
        margins = [
            probability(a).mean() - probability(b).mean()
            for a, b in zip(values["positives"], values[kind], strict=True)
            if len(b)
        ]
        assert found[kind]["query_margins"]["mean"] == pytest.approx(np.mean(margins), abs=1e-5)
        assert sum(found["histogram"][kind]) == len(low)
    assert set(found["random_negatives"]) == set(found["labelled_negatives"])  # no ceiling on this scale


def test_reliability_equals_sklearn(everything: Evaluated) -> None:
    values = cosines(everything)
    high = probability(np.concatenate(values["positives"]))
    for kind in KINDS:
        low = probability(np.concatenate(values[kind]))
        relevant, predicted = np.repeat([1, 0], [len(high), len(low)]), np.concatenate([high, low])
        found = everything.result["calibrated"]["student"]["reliability"][kind]
        share, mean = calibration_curve(relevant, predicted, n_bins=15, strategy="uniform")
        filled = [item for item in found["bins"] if item["count"]]
        assert [item["share_relevant"] for item in filled] == pytest.approx(share.tolist(), abs=1e-5)
        assert [item["mean_predicted"] for item in filled] == pytest.approx(mean.tolist(), abs=1e-5)
        counts = np.array([item["count"] for item in filled])
        error = float(counts @ np.abs(share - mean)) / len(predicted)
        assert found["expected_calibration_error"] == pytest.approx(error, abs=1e-5)
        assert found["brier"] == pytest.approx(brier_score_loss(relevant, predicted), abs=1e-5)


def test_without_the_file_there_are_no_calibrated_figures(everything: Evaluated) -> None:
    for role in ("base", "compared"):
        assert everything.result["calibrated"][role] is None
    found = everything.result["shuffled_queries"]["base"]["labelled_negatives"]
    assert (found["calibrated_margin"], found["calibrated_true_margin"]) == (None, None)


def test_a_torn_calibration_is_an_error(everything: Evaluated, tmp_path: Path, tiny_encoder: Path) -> None:
    import shutil

    shutil.copytree(tiny_encoder, tmp_path / "student")
    (tmp_path / "student" / artifacts.CALIBRATION_FILE).write_text(json.dumps({"a": -1, "b": 0}))
    with pytest.raises(ArtifactError, match="no rising line"):
        evaluate(
            EvaluationOptions(
                model_path=str(tmp_path / "student"),
                test_data=everything.options.test_data,
                output_dir=str(tmp_path),
                bm25=False,
            )
        )


def test_thresholds_equal_sklearn_and_both_scales_decide_alike(everything: Evaluated) -> None:
    values = cosines(everything)
    high = np.concatenate(values["positives"])
    for kind in KINDS:
        low = np.concatenate(values[kind])
        relevant, scores = np.repeat([1, 0], [len(high), len(low)]), np.concatenate([high, low]).astype(np.float64)
        precision, recall, cut = (part[: len(set(scores))] for part in precision_recall_curve(relevant, scores))
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        found = everything.result["thresholds"][kind]
        assert found["best_f1"]["f1"] == pytest.approx(f1.max())
        expected = {"best_f1": cut[f1 >= f1.max() - 1e-12].max(), "recall_95": cut[recall >= 0.95].max()}
        if (precision >= 0.95).any():
            expected["precision_95"] = cut[precision >= 0.95].min()
        else:
            assert found["precision_95"] is None
        for name, value in expected.items():
            cosine, calibrated = found[name]["cosine"], found[name]["calibrated"]
            assert cosine["threshold"] == pytest.approx(value, abs=1e-6)
            assert cosine["low"] <= cosine["threshold"] <= (cosine["high"] or math.inf)
            for end in ("threshold", "low", "high"):
                if cosine[end] is not None:
                    assert calibrated[end] == pytest.approx(probability(np.array(cosine[end])), abs=1e-9)


def test_shuffled_queries_equal_brute_force(everything: Evaluated) -> None:
    found, dataset = brute_force(everything.options.model_path, everything.options.test_data)
    records, others = list(dataset), questions.derangement(len(dataset), 42)
    assert all(other != place for place, other in enumerate(others))
    asked: dict[str, list[float]] = {"positives": [], "labelled_negatives": [], "random_negatives": []}
    for record in records:
        other = int(others[record.query_id])
        documents = {
            "positives": record.positives,
            "labelled_negatives": record.negatives,
            "random_negatives": questions.random_negatives(record, dataset.documents, 42),
        }
        for kind, ids in documents.items():
            asked[kind] += [float(found[other, place]) for place in ids if place not in records[other].positives]
    high = np.array(asked["positives"])
    for kind in KINDS:
        low = np.array(asked[kind])
        figures = everything.result["shuffled_queries"]["student"][kind]
        assert (figures["positives"], figures["negatives"]) == (len(high), len(low))
        assert figures["margin"] == pytest.approx((high.mean() - low.mean()) / 2, abs=1e-6)
        assert figures["auc"] == pytest.approx(margins.auc(high, low), abs=1e-3)
        assert figures["calibrated_margin"] == pytest.approx(
            probability(high).mean() - probability(low).mean(), abs=1e-5
        )
        true = everything.result["separation"]["student"][kind]
        assert (figures["true_margin"], figures["true_auc"]) == (true["margin"], true["auc"])
