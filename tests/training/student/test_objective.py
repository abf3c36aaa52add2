"""What a student learns, and from which documents: a loss and a miner of one's own beside those of the package."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bistill.app import assembling
from bistill.candidates.settings import Labelled
from bistill.errors import OptionError
from bistill.journal import read
from bistill.losses import EmbeddingKL, ListwiseKL, VectorDistance
from bistill.training.student import train as stage
from bistill.training.student.objective import Objective
from tests.documented import documented
from tests.training.conftest import distillation_options


class First:
    """The first documents of the corpus for every query."""

    name = "first"

    def fingerprint(self) -> str:
        return "1"

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        return np.tile(np.arange(depth), (len(query_ids), 1))


@pytest.mark.slow
def test_a_loss_and_a_miner_of_ones_own_are_trained_with_recorded_and_in_the_journal(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = documented("bistill/losses/margin_mse.py", tmp_path, monkeypatch)
    options = distillation_options(data_root, tiny_teacher, tiny_encoder, epochs=1)
    objective = Objective(losses=(ListwiseKL(tau=0.2), module.MarginMSE(weight=0.5)))
    training = assembling.student_training(options)
    candidates = dataclasses.replace(training.candidates, miners=(Labelled(), First()))
    record = stage.train(
        assembling.taught_by(options),
        assembling.training_data(options),
        dataclasses.replace(training, objective=objective, candidates=candidates),
        place=assembling.place(options),
        checkpointing=assembling.checkpointing(options),
    )
    journal = list(read(Path(options.output_dir) / "journal.jsonl"))
    terms = [item["terms"] for item in journal if item["event"] == "step"]
    assert len(terms) == 3 and all(item["margin_mse"] > 0 for item in terms)
    assert [item["loss"] for item in terms] == pytest.approx(
        [item["listwise_kl"] + 0.5 * item["margin_mse"] for item in terms], abs=1e-5
    )
    (known,) = record["options"]["losses"]
    assert known.startswith("bistill.losses.margin_mse.MarginMSE(weight=0.5), sha256 ")
    labelled, first = record["options"]["miners"]
    assert labelled == "labelled" and first.startswith(f"{__name__}.First(name='first', fingerprint='1'), sha256 ")
    (counted,) = [item["candidates"] for item in journal if item["event"] == "candidates"]
    assert set(counted) == {"labelled", "first"} and counted["first"] > 0


def test_the_loss_of_the_document_is_left_out_where_its_weight_is_0_or_the_teacher_is_weak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = documented("bistill/losses/margin_mse.py", tmp_path, monkeypatch)
    objective = Objective(losses=(ListwiseKL(weight=0), module.MarginMSE(weight=2)))
    assert [loss.name for loss in objective.losses] == ["margin_mse"]
    assert [(loss.name, loss.weight) for loss in objective.heard(lists=False, batch=False).losses] == [("info_nce", 2)]
    with pytest.raises(OptionError, match=r"`MarginMSE\.weight`: the value is out of range"):
        module.MarginMSE(weight=-1)


def test_what_is_heard_of_an_embedding_teacher_stands_behind_the_other_terms() -> None:
    objective = Objective(score="calibrated", embedding=EmbeddingKL(tau=0.02, weight=0.5))
    both, alone = (objective.heard(lists=lists, batch=True) for lists in (True, False))
    assert [loss.name for loss in both.losses] == ["listwise_kl", "info_nce", "embedding_kl"]
    assert (both.losses[-1], both.score) == (EmbeddingKL(tau=0.02, weight=0.5), "calibrated")
    # Nothing that is left acts on the score.
    assert ([loss.name for loss in alone.losses], alone.score) == (["info_nce", "embedding_kl"], "linear")
    assert objective.heard(lists=True, batch=False) == objective
    silent = Objective((ListwiseKL(weight=3),), embedding=EmbeddingKL(weight=0)).heard(lists=False, batch=True)
    assert [(loss.name, loss.weight) for loss in silent.losses] == [("info_nce", 3)]
    vectors = Objective(embedding=EmbeddingKL(weight=0), vectors=VectorDistance(weight=5))
    assert (vectors.of_batch, vectors.meets_vectors) == ((VectorDistance(weight=5),), False)
    alone = vectors.heard(lists=False, batch=True)
    assert ([loss.name for loss in alone.losses], alone.meets_vectors) == (["info_nce", "vector_distance"], True)
    assert not both.meets_vectors and both.of_batch == (EmbeddingKL(tau=0.02, weight=0.5),)
    with pytest.raises(OptionError, match="a loss is there twice\n  found: 'embedding_kl'"):
        Objective((EmbeddingKL(),)).heard(lists=True, batch=True)
