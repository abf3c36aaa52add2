"""Whose scores are learned: one teacher as it is, several by the mean of their calibrated relevance."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from bistill import cache_folder
from bistill.candidates.lists import for_validation
from bistill.candidates.scores.teachers import CachedTeacher, Teachers, imported_identity, relevance
from bistill.candidates.settings import TeacherReading
from bistill.errors import ArtifactError, DataError, ModelError, OptionError
from bistill.models import calibration, rerankers
from bistill.models.cross_encoder import CrossEncoder
from tests.candidates.conftest import Small, import_scores
from tests.conftest import bert_config, write_tokenizer

QUERIES = ["how to sort", "read a file"]
DOCUMENTS = ["sort list", "open file", "서울 날씨", "red blue"]
PAIRS = np.array([(0, 0), (1, 2), (0, 3), (1, 1)])


def texts(pairs: np.ndarray = PAIRS) -> list[tuple[str, str]]:
    return [(QUERIES[query], DOCUMENTS[document]) for query, document in pairs]


def another_teacher(folder: Path, seed: int) -> Path:
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(seed)
    BertForSequenceClassification(bert_config(num_labels=1, initializer_range=0.5)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def test_the_logits_of_a_single_teacher_are_taken_as_they_are(small: Small, tiny_teacher: Path) -> None:
    with Teachers.open([str(tiny_teacher)], (), TeacherReading(precision="fp32")) as teachers:
        teachers.calibrate(small.valid, seed=0)
        assert teachers.calibrations is None
        found = teachers.logits(QUERIES, DOCUMENTS, PAIRS)
        assert (found.requested, found.scored) == (4, 4)
    np.testing.assert_allclose(found.logits, CrossEncoder.load(str(tiny_teacher)).score(texts()), atol=1e-5)
    np.testing.assert_allclose(relevance(found.logits), 1 / (1 + np.exp(-found.logits.astype(float))), atol=1e-6)
    assert relevance(found.logits).dtype == np.float32


def test_several_teachers_are_a_weighted_mean_of_calibrated_relevance(
    small: Small, tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(tiny_teacher), str(another_teacher(tmp_path / "other", 5))]
    lines = [calibration.Calibration(0.7, -0.4), calibration.Calibration(2.5, 1.0)]
    given: list[tuple[np.ndarray, np.ndarray]] = []

    def fit(logits: np.ndarray, labels: np.ndarray) -> calibration.Calibration:
        given.append((logits, labels))
        return lines[len(given) - 1]

    monkeypatch.setattr(calibration, "fit", fit)
    with Teachers.open(names, (1.0, 3.0), TeacherReading(precision="fp32")) as teachers:
        np.testing.assert_allclose(teachers.weights, [0.25, 0.75])
        teachers.calibrate(small.valid, seed=3)
        found = teachers.logits(QUERIES, DOCUMENTS, PAIRS)
        assert [item["calibration"] for item in teachers.identities()] == [dataclasses.asdict(line) for line in lines]
    assert (found.requested, found.scored) == (8, 8)
    encoders = [CrossEncoder.load(name) for name in names]
    own = [encoder.score(texts()).astype(np.float64) for encoder in encoders]
    mean = sum(
        weight / (1 + np.exp(-(line.a * logits + line.b)))
        for weight, line, logits in zip((0.25, 0.75), lines, own, strict=True)
    )
    np.testing.assert_allclose(relevance(found.logits), mean, atol=1e-5)
    # Fitted on the labelled validation lists.
    lists = [for_validation(small.valid, query, size=20, seed=3) for query in range(4)]
    pairs = [(small.valid.queries[item.query_id], small.valid.documents[n]) for item in lists for n in item.documents]
    labels = [n in small.valid[item.query_id].positives for item in lists for n in item.documents]
    for (logits, relevant), encoder in zip(given, encoders, strict=True):
        np.testing.assert_allclose(logits, encoder.score(pairs), atol=1e-5)
        assert relevant.tolist() == labels and sum(labels) == 4


def test_means_near_0_and_1_keep_finite_logits() -> None:
    pairs = dict.fromkeys(texts(), 1e4)
    names = [import_scores(name, {pair: sign * logit for pair, logit in pairs.items()}) for name, sign in
             (("one", 1), ("two", 1), ("three", -1))]  # fmt: skip
    for chosen, sign in ((names[:2], 1), (names[2:] * 2, -1)):
        teachers = Teachers([CachedTeacher.open(name, TeacherReading()) for name in chosen], [0.5, 0.5])
        teachers.calibrations = [calibration.Calibration(1.0, 0.0)] * 2
        with teachers:
            found = teachers.logits(QUERIES, DOCUMENTS, PAIRS).logits
        assert np.isfinite(found).all() and (sign * found > 20).all()


def test_a_mean_is_missing_where_any_score_is() -> None:
    first, *rest = texts()
    one = import_scores("one", dict.fromkeys([first, *rest], 2.0))
    two = import_scores("two", dict.fromkeys(rest, 2.0))
    teachers = Teachers([CachedTeacher.open(name, TeacherReading()) for name in (one, two)], [0.5, 0.5])
    teachers.calibrations = [calibration.Calibration(1.0, 0.0)] * 2
    with teachers:
        np.testing.assert_allclose(teachers.logits(QUERIES, DOCUMENTS, PAIRS).logits, [np.nan, 2, 2, 2], rtol=1e-6)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0, 1.0), (-1.0, 2.0), (0.0, 0.0), (float("nan"), 1.0)])
def test_wrong_weights_are_an_error(weights: tuple[float, ...]) -> None:
    name = import_scores("one", {("q", "d"): 1.0})
    with pytest.raises(OptionError, match=r"`teacher_weights`: one weight for each .*\n  found: .*\n  do: give 2 numb"):
        Teachers.open([name, name], weights, TeacherReading(precision="fp32"))


def test_imported_scores_are_looked_up_and_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerankers, "load", None)
    logits = {pair: 0.5 * row for row, pair in enumerate(texts()[1:])}
    with Teachers.open([import_scores("bought", logits)], (), TeacherReading(precision="fp32")) as teachers:
        assert teachers.members[0].imported
        found = teachers.logits(QUERIES, DOCUMENTS, PAIRS)
        np.testing.assert_array_equal(found.logits, np.array([np.nan, 0, 0.5, 1], dtype=np.float32))
        assert (found.requested, found.scored) == (4, 0)
        assert [item["imported"] for item in teachers.identities()] == ["bought"]


def test_an_unknown_name_of_imported_scores_is_told_from_the_known_ones(tmp_path: Path) -> None:
    import_scores("bought", {("q", "d"): 1.0})
    for _ in range(2):
        with pytest.raises(ArtifactError, match="no scores are imported under this name") as caught:
            CachedTeacher.open("scores:bougth", TeacherReading())
        assert (caught.value.where, caught.value.found) == ("scores:bougth", ["bought"])
        assert len(list((cache_folder.cache_dir() / "teacher_scores").glob("[!.]*/scores.sqlite"))) == 1


def test_imported_scores_without_validation_pairs_cannot_be_averaged(small: Small, tiny_teacher: Path) -> None:
    name = import_scores("bought", {("how to list", "returns the list"): 1.0})
    names = [name, str(tiny_teacher)]
    message = r"scores:bought: the imported scores lack the validation pairs .*\n  found: 0 of 32 pairs, 0 of them rel"
    with (
        Teachers.open(names, (), TeacherReading(precision="fp32")) as teachers,
        pytest.raises(DataError, match=message),
    ):
        teachers.calibrate(small.valid, seed=0)


def test_what_decides_scores_decides_the_cache(tiny_teacher: Path, tiny_causal_reranker: Path, tmp_path: Path) -> None:
    same = tmp_path / "same"
    shutil.copytree(tiny_teacher, same)
    other = another_teacher(tmp_path / "other", 9)

    def folder(name: Path, **settings: object) -> Path:
        with Teachers.open([str(name)], (), TeacherReading(**{"precision": "fp32", **settings})) as teachers:  # type: ignore[arg-type]
            return teachers.members[0].cache.folder

    base = folder(tiny_teacher)
    assert folder(same) == folder(tiny_teacher, batch_size=3) == folder(tiny_teacher, max_len=64) == base
    causal = folder(tiny_causal_reranker)
    different = {
        base,
        causal,
        folder(tiny_teacher, max_len=16),
        folder(tiny_causal_reranker, instruction="Find code"),
        folder(other),
    }
    with Teachers.open([str(tiny_teacher)], (), TeacherReading(precision="bf16")) as teachers:
        different.add(teachers.members[0].cache.folder)
    with (same / "config.json").open("a") as file:
        file.write("\n")
    different.add(folder(same))
    assert len(different) == 7


def test_an_instruction_for_a_teacher_that_reads_none_is_an_error(tiny_teacher: Path) -> None:
    with pytest.raises(OptionError, match=r"`TeacherReading\.instruction`"):
        Teachers.open([str(tiny_teacher)], (), TeacherReading(instruction="Find code", precision="fp32"))


def test_a_teacher_that_is_not_there_or_has_no_head_is_an_error(tiny_teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        Teachers.open([str(tmp_path / "nowhere")], (), TeacherReading(precision="fp32"))
    headless = tmp_path / "headless"
    shutil.copytree(tiny_teacher, headless)
    weights = load_file(headless / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(kept, headless / "model.safetensors", metadata={"format": "pt"})
    with (
        Teachers.open([str(headless)], (), TeacherReading(precision="fp32")) as teachers,
        pytest.raises(ModelError, match="its head is missing"),
    ):
        teachers.logits(QUERIES, DOCUMENTS, PAIRS)


def test_lora_settings_of_a_teacher_are_said(
    tiny_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "teacher"
    shutil.copytree(tiny_teacher, folder)
    settings = {"use_lora": True, "lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.1}
    for use_lora in (True, False):
        (folder / "lora_config.json").write_text(json.dumps(settings | {"use_lora": use_lora}))
        CachedTeacher.open(str(folder), TeacherReading()).close()
        assert (f"teacher {folder}: LoRA rank 4, alpha 8, merged" in capsys.readouterr().err) is use_lora


def test_the_identity_of_imported_scores_is_their_name() -> None:
    assert imported_identity("a") == {"imported": "a"} != imported_identity("b")
