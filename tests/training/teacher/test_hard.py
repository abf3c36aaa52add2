"""A teacher's negatives that are searched for, and what it learns of their order."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill import losses
from bistill.app import assembling
from bistill.app.commands.teacher import train
from bistill.app.config import TeacherOptions
from bistill.candidates.settings import Labelled, Lexical, Random
from bistill.data.queries.same_text import text_key
from bistill.data.store.version import Version
from bistill.errors import OptionError
from bistill.journal import read
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.teacher.hard import HardNegatives, searched
from bistill.training.teacher.pairs import PairTask
from tests.training.teacher.test_train import options as teacher_options

QUERIES = np.arange(12)


@pytest.fixture
def options(data_root: Path, tiny_encoder: Path) -> Any:
    return partial(teacher_options, data_root, tiny_encoder, miners=("labelled", "lexical:6", "random:6"))


def hard_of(options: TeacherOptions) -> tuple[HardNegatives, Any]:
    version = Version(Path(options.data_root), options.data_version)
    train_data, _ = version.training(rejected_to=Path(options.output_dir))
    collection = version.collection(train_data)
    found = searched(collection, QUERIES, assembling.teacher_training(options))
    assert found is not None
    return found, collection


def task_of(options: TeacherOptions, list_weight: float) -> PairTask:
    hard, collection = hard_of(options)
    encoder = CrossEncoder.start(options.model_name, max_len=32, precision="fp32", seed=0)
    return PairTask(
        encoder,
        collection.dataset,
        QUERIES,
        negatives_per_positive=3,
        seed=42,
        hard=hard,
        list_weight=list_weight,
    )


def test_miners_that_search_make_hard_negatives_and_others_do_not(options: Any) -> None:
    assert assembling.teacher_training(options(miners=("labelled", "random"))).hard is None
    hard = assembling.teacher_training(options(list_weight=0.5)).hard
    assert hard is not None and hard.list_weight == 0.5
    assert hard.miners == (Labelled(), Lexical(6), Random(6))
    with pytest.raises(OptionError, match="unknown miner"):
        assembling.teacher_training(options(miners=("lexicle",)))


def test_negatives_are_what_was_found_and_never_relevant(options: Any) -> None:
    hard, collection = hard_of(options())
    changed = 0
    for query in QUERIES:
        record = collection.dataset[int(query)]
        first, labels = hard.of(record, 3, epoch=0)
        relevant = {text_key(collection.corpus[document]) for document in record.positives}
        assert len(set(first)) == min(3, hard.size(int(query)))
        assert not relevant & {text_key(collection.corpus[document]) for document in first}
        # What a person called irrelevant comes first, with its own label.
        assert set(first[: len(record.negatives)]) == set(record.negatives)
        known = dict(zip(record.negatives, record.negative_labels, strict=True))
        assert labels == tuple(known.get(document, 0.0) for document in first)
        assert hard.of(record, 3, epoch=0) == (first, labels)
        changed += hard.of(record, 3, epoch=1)[0] != first
    assert changed


def test_an_epoch_has_three_negatives_of_each_query_or_all_that_were_left(options: Any) -> None:
    hard, _ = hard_of(options())
    task = task_of(options(), 1.0)
    assert task.samples == 12 + sum(min(3, hard.size(int(query))) for query in QUERIES) > 40
    pairs, labels = task.drawn(task.samples)
    assert labels.sum() == 12 and len(set(pairs)) == task.samples


def test_the_loss_is_that_of_pairs_and_that_of_lists(options: Any) -> None:
    task = task_of(options(), 0.5)
    order = np.arange(8)  # the lists of the first two queries, four pairs each
    batch = task.batch(order, epoch=0)
    logits = torch.linspace(-1, 1, 8)
    terms = batch.terms(logits, batch.places)
    labels = torch.tensor([task.pair(int(sample), 0)[1] for sample in order])
    bce = losses.pointwise_bce(logits, labels)
    of_list = [-torch.log_softmax(logits[start : start + 4], dim=0)[0] for start in (0, 4)]  # the positive comes first
    assert not batch.separable and labels.tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    torch.testing.assert_close(terms["pointwise_bce"], bce)
    torch.testing.assert_close(terms["localized_contrast"], sum(of_list) / 2)
    torch.testing.assert_close(terms["loss"], bce + 0.5 * sum(of_list) / 2)
    assert task_of(options(), 0.0).batch(order, epoch=0).separable


def test_a_training_with_hard_negatives_says_both_terms_and_is_known_by_them(options: Any) -> None:
    given = options(epochs=1)
    record = train(given)
    steps = [line for line in read(Path(given.output_dir) / "journal.jsonl") if line["event"] == "step"]
    assert len(steps) == 6
    for line in steps:
        terms = line["terms"]
        assert terms["loss"] == pytest.approx(terms["pointwise_bce"] + terms["localized_contrast"], abs=2e-6)
    stored = json.loads((Path(given.output_dir) / "bistill.json").read_text(encoding="utf-8"))
    assert stored["options"]["miners"] == ["labelled", "lexical:6", "random:6"]
    assert stored["options"]["list_weight"] == record["options"]["list_weight"] == 1.0
    with pytest.raises(OptionError, match="list_weight"):
        train(options(epochs=1, list_weight=0.5))


@pytest.mark.parametrize("miners", [("labelled",), ("random:50", "labelled"), ("random", "random"), ()])
def test_miners_that_would_change_nothing_are_refused(options: Any, miners: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="`miners`: none of the miners searches"):
        assembling.teacher_training(options(miners=miners))
    assert assembling.teacher_training(options(miners=("random", "labelled"))).hard is None


def test_a_re_ranker_as_start_searches_nothing_by_vectors(options: Any, tiny_teacher: Path) -> None:
    with pytest.raises(OptionError, match=r"(?s)`miners`: the dense miner .* labelled lexical random"):
        hard_of(options(model_name=str(tiny_teacher), miners=("labelled", "dense")))
