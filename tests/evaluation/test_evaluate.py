"""The whole evaluation on tiny models, its figures against a plain numpy computation."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, nDCG
from sklearn.metrics import roc_auc_score

from bistill import artifacts
from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.data.store.opening import load_split
from bistill.errors import ArtifactError, BistillError, DataError, ModelError, OptionError
from bistill.evaluation import questions
from bistill.evaluation.report import summary
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from tests.evaluation.conftest import Evaluated, brute_force, judged_and_ranked, write

MEASURES = {nDCG @ 10: "ndcg_at_10", RR @ 10: "mrr_at_10", AP: "map", R @ 1: "recall_at_1", R @ 10: "recall_at_10"}


@pytest.fixture
def options(tmp_path: Path, test_file: Path, tiny_encoder: Path, other_encoder: Path, tiny_teacher: Path) -> dict:
    return {
        "model_path": str(tiny_encoder),
        "base_model": str(other_encoder),
        "teacher_path": str(tiny_teacher),
        "test_data": str(test_file),
        "output_dir": str(tmp_path / "results"),
        "rerank_depth": 5,
        "bm25": False,  # the Korean words of the file would have every evaluation load the morphemes
    }


def ranking(cosines: np.ndarray, dataset: Any) -> dict[str, float]:
    qrels, run = judged_and_ranked(cosines, dataset)
    found = ir_measures.calc_aggregate(list(MEASURES), qrels, run)
    return {name: found[measure] for measure, name in MEASURES.items()}


def test_report_is_whole_and_written(options: dict, capsys: pytest.CaptureFixture[str]) -> None:
    result = evaluate(EvaluationOptions(**options))
    output = Path(options["output_dir"])
    assert json.loads((output / artifacts.EVALUATION_JSON).read_text(encoding="utf-8")) == result
    assert list(result) == [
        "schema", "versions", "options", "models", "data", "counts", "separation", "calibrated", "shuffled_queries",
        "thresholds", "moved", "ranking", "matryoshka", "comparisons", "forgetting", "failures", "samples",
        "teacher_gate", "beside_start",
    ]  # fmt: skip
    assert result["schema"] == "bistill.evaluation/1"
    assert result["counts"]["queries"] == 24
    assert result["counts"]["labelled_positives"] == 48
    assert result["counts"]["labelled_negatives"] == 24
    assert result["counts"]["random_negatives"] == 24 * 4
    assert result["models"]["teacher"]["reranks"] == "base"
    assert result["models"]["teacher"]["depth"] == 5
    assert len(result["samples"]["best"]) == len(result["samples"]["worst"]) == 10
    printed = capsys.readouterr().out
    assert "nDCG@10" in printed
    assert artifacts.EVALUATION_PNG in printed
    assert (output / artifacts.EVALUATION_PNG).read_bytes().startswith(b"\x89PNG")
    assert (output / artifacts.EVALUATION_PAGE).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_every_key_is_documented(everything: Evaluated) -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for item in value.values() for key in keys(item)}
        return {key for item in value for key in keys(item)} if isinstance(value, list) else set()

    result = {**everything.result, "options": None, "versions": None}
    missing = sorted(key for key in keys(result) if f"`{key}`" not in text)
    assert missing == []


def test_ranking_equals_brute_force(options: dict, tiny_encoder: Path, other_encoder: Path, test_file: Path) -> None:
    result = evaluate(EvaluationOptions(**options))
    for role, model in (("student", tiny_encoder), ("base", other_encoder)):
        expected = ranking(*brute_force(model, test_file))
        assert {name: result["ranking"][role][name] for name in expected} == pytest.approx(expected)


@pytest.mark.slow
def test_teacher_reorders_the_head_of_the_base_ranking(
    options: dict, other_encoder: Path, tiny_teacher: Path, test_file: Path
) -> None:
    result = evaluate(EvaluationOptions(**options))
    cosines, dataset = brute_force(other_encoder, test_file)
    teacher = CrossEncoder.load(str(tiny_teacher))
    reranked = np.zeros_like(cosines)
    for row, scores in enumerate(cosines):
        order = np.argsort(-scores)
        logits = teacher.score([(dataset.queries[row], dataset.documents[int(place)]) for place in order[:5]])
        order = np.concatenate([order[:5][np.argsort(-logits)], order[5:]])
        reranked[row, order] = -np.arange(len(order))
    expected = ranking(reranked, dataset)
    assert {name: result["ranking"]["teacher"][name] for name in expected} == pytest.approx(expected)
    assert result["ranking"]["teacher"] != result["ranking"]["base"]


@pytest.mark.slow
def test_a_bi_encoder_as_the_teacher_reorders_by_its_cosines(
    options: dict, tiny_encoder: Path, other_encoder: Path, test_file: Path
) -> None:
    result = evaluate(EvaluationOptions(**{**options, "teacher_path": str(tiny_encoder)}))
    own, _ = brute_force(tiny_encoder, test_file)
    base, dataset = brute_force(other_encoder, test_file)
    reranked = np.zeros_like(base)
    for row in range(len(base)):
        order = np.argsort(-base[row], kind="stable")
        order[:5] = sorted(order[:5], key=lambda document: -own[row, document])
        reranked[row, order] = -np.arange(len(order))
    found = result["models"]["teacher"]
    expected = ranking(reranked, dataset)
    assert {name: result["ranking"]["teacher"][name] for name in expected} == pytest.approx(expected)
    assert (found["kind"], found["query_prompt"], found["depth"]) == ("bi_encoder", "", 5)


@pytest.mark.slow
def test_separation_equals_brute_force(options: dict, tiny_encoder: Path, test_file: Path) -> None:
    result = evaluate(EvaluationOptions(**options))
    cosines, dataset = brute_force(tiny_encoder, test_file)
    linear = (cosines.astype(np.float64) + 1) / 2
    records = list(dataset)
    positives = [linear[record.query_id, list(record.positives)] for record in records]
    negatives = [linear[record.query_id, list(record.negatives)] for record in records]
    random = [linear[record.query_id, questions.random_negatives(record, dataset.documents, 42)] for record in records]
    for kind, others in (("labelled_negatives", negatives), ("random_negatives", random)):
        high, low = np.concatenate(positives), np.concatenate(others)
        found = result["separation"]["student"][kind]
        assert found["mean_positive"] == pytest.approx(high.mean(), abs=1e-6)
        assert found["std_negative"] == pytest.approx(low.std(), abs=1e-6)
        assert found["margin"] == pytest.approx(high.mean() - low.mean(), abs=1e-6)
        assert found["variance"] == pytest.approx(np.concatenate([high, low]).var(), abs=1e-6)
        assert found["uniformity"] == found["variance"]
        labels = [1] * len(high) + [0] * len(low)
        assert found["auc"] == pytest.approx(roc_auc_score(labels, np.concatenate([high, low])), abs=1e-3)
        margins = [a.mean() - b.mean() for a, b in zip(positives, others, strict=True) if len(b)]
        assert found["query_margins"]["queries"] == len(margins)
        assert found["query_margins"]["median"] == pytest.approx(np.median(margins), abs=1e-6)
    mean_cosine = 2 * np.concatenate(random).mean() - 1
    assert result["separation"]["student"]["random_negatives"]["ceiling"] == pytest.approx(
        0.5 * (1 - abs(mean_cosine)), abs=1e-6
    )
    histogram = result["separation"]["student"]["histogram"]
    assert sum(histogram["positives"]) == 48
    assert len(histogram["edges"]) == len(histogram["positives"]) + 1


@pytest.mark.slow
def test_samples_are_the_extremes(options: dict, tiny_encoder: Path, tiny_teacher: Path, test_file: Path) -> None:
    result = evaluate(EvaluationOptions(**options))
    best, worst = result["samples"]["best"], result["samples"]["worst"]
    margins = [sample["margin"] for sample in best + worst[::-1]]
    assert margins == sorted(margins, reverse=True)
    cosines, dataset = brute_force(tiny_encoder, test_file)
    queries, documents = list(dataset.queries), list(dataset.documents)
    sample = next(item for item in best + worst if item["negative"]["source"] == "labelled")
    record = dataset[queries.index(sample["query"])]
    linear = (cosines[record.query_id] + 1) / 2
    assert sample["positive"]["student"] == pytest.approx(linear[list(record.positives)].max(), abs=1e-6)
    assert sample["negative"]["student"] == pytest.approx(linear[list(record.negatives)].max(), abs=1e-6)
    assert sample["margin"] == pytest.approx(sample["positive"]["student"] - sample["negative"]["student"])
    assert documents.index(sample["positive"]["document"]) in record.positives
    logit = CrossEncoder.load(str(tiny_teacher)).score([(sample["query"], sample["positive"]["document"])])[0]
    assert sample["positive"]["teacher"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)


@pytest.mark.slow
def test_same_result_twice(options: dict, tmp_path: Path) -> None:
    first = evaluate(EvaluationOptions(**options))
    assert evaluate(EvaluationOptions(**options)) == first


@pytest.mark.slow
def test_max_samples_limits_queries_and_no_documents(options: dict) -> None:
    result = evaluate(EvaluationOptions(**options, max_samples=6))
    assert result["counts"]["queries"] == 6
    assert result["counts"]["queries_in_file"] == 24
    assert result["counts"]["documents"] == result["counts"]["documents_of_test_data"] > 6
    assert len(result["samples"]["best"]) == len(result["samples"]["worst"]) == 3


@pytest.mark.slow
def test_more_documents_are_ranked_but_none_twice(options: dict, tmp_path: Path, test_file: Path) -> None:
    known = load_split(test_file).documents[0]
    corpus = tmp_path / "corpus.csv"
    with corpus.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["document"], [known], ["another tree"], ["another graph"]])
    before = evaluate(EvaluationOptions(**options))
    after = evaluate(EvaluationOptions(**options, documents=str(corpus)))
    assert after["counts"]["documents_of_corpus_data"] == 2
    assert after["counts"]["documents"] == before["counts"]["documents"] + 2
    assert after["ranking"]["student"]["map"] <= before["ranking"]["student"]["map"]


@pytest.mark.slow
def test_queries_without_a_positive_are_not_ranked_but_their_labelled_pairs_count(
    options: dict, tiny_encoder: Path, tmp_path: Path, test_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = {**options, "forgetting_data": (str(test_file),)}
    plain = evaluate(EvaluationOptions(**calls))
    dataset = load_split(test_file)
    alone = [[f"error in file {number}", dataset.documents[number], "0"] for number in range(6)]
    with (tmp_path / "more.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*csv.reader(test_file.read_text(encoding="utf-8").splitlines()), *alone])
    more = {**calls, "test_data": str(tmp_path / "more.csv"), "forgetting_data": (str(tmp_path / "more.csv"),)}
    capsys.readouterr()
    result = evaluate(EvaluationOptions(**more))
    assert "6 queries have no positive" in capsys.readouterr().err
    assert result["ranking"] == plain["ranking"]
    assert result["comparisons"] == plain["comparisons"]
    for found, expected in zip(result["forgetting"], plain["forgetting"], strict=True):
        assert (found["queries"], found["ndcg_at_10"]) == (24, expected["ndcg_at_10"])
    counts = {"labelled_negatives": 24 + 6, "queries_without_positive": 6, "queries_in_file": 30}
    assert result["counts"] == {**plain["counts"], **counts}
    cosines, wider = brute_force(tiny_encoder, tmp_path / "more.csv")
    negatives = [(1 + cosines[row, place]) / 2 for row, record in enumerate(wider) for place in record.negatives]
    student = result["separation"]["student"]
    assert student["labelled_negatives"]["mean_negative"] == pytest.approx(np.mean(negatives), abs=1e-6)
    margins = plain["separation"]["student"]["labelled_negatives"]["query_margins"]
    assert student["labelled_negatives"]["query_margins"] == margins
    assert student["random_negatives"] == plain["separation"]["student"]["random_negatives"]


def test_a_file_without_a_positive_cannot_be_ranked(options: dict, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("query,passage,label\nfile,list,0\n", encoding="utf-8")
    with pytest.raises(DataError, match="no query has a relevant document"):
        evaluate(EvaluationOptions(**{**options, "test_data": str(path)}))


@pytest.mark.slow
def test_no_labelled_negatives(options: dict, tmp_path: Path) -> None:
    options["test_data"] = str(write(tmp_path / "positives.csv", negatives=False))
    result = evaluate(EvaluationOptions(**options))
    figures = result["separation"]["student"]["labelled_negatives"]
    assert figures["negatives"] == 0
    assert [figures[key] for key in ("mean_negative", "std_negative", "margin", "auc")] == [None] * 4
    assert figures["query_margins"]["mean"] is None
    assert result["separation"]["student"]["random_negatives"]["auc"] is not None
    assert {sample["negative"]["source"] for sample in result["samples"]["best"]} == {"random"}


@pytest.mark.slow
def test_one_query_with_one_document(options: dict, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("query,passage,label\nread a file,open,1\n", encoding="utf-8")
    result = evaluate(EvaluationOptions(**{**options, "test_data": str(path)}))
    assert result["counts"]["random_negatives"] == 0
    assert result["ranking"]["student"]["mrr_at_10"] == 1.0
    assert result["samples"] == {"best": [], "worst": []}


@pytest.mark.slow
def test_models_come_from_the_students_record(
    options: dict, tmp_path: Path, tiny_encoder: Path, other_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_encoder, student)
    record = {"base_model": str(other_encoder), "teacher_path": str(tmp_path / "gone")}
    artifacts.write_json(student / artifacts.MODEL_RECORD, record)
    result = evaluate(
        EvaluationOptions(model_path=str(student), test_data=options["test_data"], output_dir=options["output_dir"])
    )
    assert result["models"]["base"]["path"] == str(other_encoder)
    assert result["ranking"]["base"] is not None
    assert result["ranking"]["teacher"] is None
    assert result["models"]["teacher"] == {"path": record["teacher_path"], "left_out": "no such model folder"}
    assert "no teacher to compare with" in capsys.readouterr().err


@pytest.mark.slow
def test_a_student_alone(options: dict, tiny_encoder: Path) -> None:
    del options["base_model"], options["teacher_path"]
    result = evaluate(EvaluationOptions(**options))
    assert result["separation"]["base"] is None
    assert result["ranking"]["base"] is None
    assert "neither the options nor bistill.json" in result["models"]["base"]["left_out"]


@pytest.mark.slow
def test_teacher_reranks_the_student_without_a_base(options: dict) -> None:
    del options["base_model"]
    assert evaluate(EvaluationOptions(**options))["models"]["teacher"]["reranks"] == "student"


@pytest.mark.slow
def test_the_teacher_reads_a_pair_once_ever(options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluate(EvaluationOptions(**options))
    monkeypatch.setattr(CrossEncoder, "load", None)  # a second reading would need the model
    assert evaluate(EvaluationOptions(**options)) == first


@pytest.mark.slow
def test_the_gate_of_the_record_is_in_the_report(
    options: dict, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_encoder, student)
    figures = {"rerank_ndcg_at_10": 0.75, "auc": 0.9}
    gate = {"queries": 7, "documents": 20, "teacher": figures, "student": {**figures, "auc": 0.8}, "leads": True}
    (student / artifacts.MODEL_RECORD).write_text(json.dumps({"teacher_gate": gate}), encoding="utf-8")
    assert evaluate(EvaluationOptions(**{**options, "model_path": str(student)}))["teacher_gate"] == gate
    assert "validation queries: teacher 0.7500, base model 0.7500." in capsys.readouterr().out


@pytest.mark.slow
def test_a_student_that_is_its_start_is_said_first(
    options: dict, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_encoder, student)
    beside = {"queries": 7, "share": 0.2, "ndcg_at_10": {"trained": 0.5, "start": 0.75}, "kept": "start"}
    (student / artifacts.MODEL_RECORD).write_text(json.dumps({"beside_start": beside}), encoding="utf-8")
    result = evaluate(EvaluationOptions(**{**options, "model_path": str(student)}))
    assert result["beside_start"] == beside
    expected = (
        "The student is the base model: on 7 validation queries the training gained nothing "
        "(nDCG@10 trained 0.5000, base model 0.7500)."
    )
    assert next(summary.sentences(result)) == expected
    assert expected in capsys.readouterr().out
    result["beside_start"]["kept"] = "trained"
    assert expected not in summary.sentences(result)


@pytest.mark.slow
def test_imported_scores_are_no_teacher_of_an_evaluation(options: dict, tiny_encoder: Path, tmp_path: Path) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_encoder, student)
    (student / artifacts.MODEL_RECORD).write_text(json.dumps({"teacher_path": "scores:llm"}), encoding="utf-8")
    del options["teacher_path"]
    entry = evaluate(EvaluationOptions(**{**options, "model_path": str(student)}))["models"]["teacher"]
    assert entry == {"path": "scores:llm", "left_out": "its scores were imported: it cannot read other pairs"}


def test_imported_scores_are_refused_as_the_teacher_that_an_option_names(options: dict) -> None:
    with pytest.raises(OptionError, match=r"`Beside\.teacher`: its scores were imported"):
        evaluate(EvaluationOptions(**{**options, "teacher_path": "scores:llm"}))


@pytest.mark.slow
def test_depth_zero_leaves_the_teacher_out(options: dict) -> None:
    result = evaluate(EvaluationOptions(**{**options, "rerank_depth": 0}))
    assert result["ranking"]["teacher"] is None
    assert "rerank_depth is 0" in result["models"]["teacher"]["left_out"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model_path", "no such model folder"),
        ("teacher_path", "no such model folder"),
        ("test_data", "the file does not exist"),
        ("documents", "the file does not exist"),
    ],
)
def test_what_the_user_names_must_exist_and_no_folder_is_made_before(
    options: dict, tmp_path: Path, name: str, said: str
) -> None:
    output = tmp_path / "made" / "results"
    with pytest.raises(BistillError, match=said):
        evaluate(EvaluationOptions(**{**options, name: str(tmp_path / "gone.csv"), "output_dir": str(output)}))
    assert not output.parent.exists()


def test_a_broken_student_is_an_error(options: dict, tmp_path: Path, tiny_encoder: Path) -> None:
    import torch
    from transformers import BertModel

    broken = tmp_path / "broken"
    shutil.copytree(tiny_encoder, broken)
    model = BertModel.from_pretrained(broken)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.fill_(float("nan"))
    model.save_pretrained(broken)
    with pytest.raises(ModelError, match="NaN or infinite") as raised:
        evaluate(EvaluationOptions(**{**options, "model_path": str(broken)}))
    assert str(broken) in str(raised.value) and "`precision` fp32" in str(raised.value)


def test_a_folder_that_cannot_be_written_is_said_before_any_model_is_asked(
    options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(BiEncoder, "load", asked)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match="cannot be written") as raised:
        evaluate(EvaluationOptions(**{**options, "output_dir": str(tmp_path / "file" / "results")}))
    assert str(tmp_path / "file" / "results") in str(raised.value) and "`output_dir`" in str(raised.value)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
