"""What contradicts itself among the options of a distillation is said when settings are made of them, in flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from bistill.app import assembling, flags
from bistill.app.config import DistillationOptions
from bistill.candidates.settings import MinerSettings
from bistill.errors import OptionError


def training(**changes: object) -> object:
    return assembling.student_training(DistillationOptions(teacher_path="t", output_dir="s", **changes))  # type: ignore[arg-type]


def said(**changes: object) -> str:
    with pytest.raises(OptionError) as raised:
        training(**changes)
    return flags.spoken(str(raised.value))


def test_weights_that_leave_nothing_to_learn_are_refused() -> None:
    training(listwise_weight=0)
    assert said(listwise_weight=0, info_nce_weight=0).startswith(
        "--listwise_weight, --contrastive_weight, --negative_penalty_weight, --info_nce_weight: the weights of all "
        "losses are 0, so there is nothing to learn\n"
    )
    assert "no loss acts on the score" in said(listwise_weight=0, score="calibrated")
    training(listwise_weight=0, contrastive_weight=0.3, score="calibrated")


def test_own_documents_that_cannot_be_are_said() -> None:
    assert said(K=4, own_documents=4).endswith(
        "found: 4\n  do: give less than --K 4, or leave it out: then all are the query's own"
    )
    assert said(K=9, own_documents=2, batch_size=4) == (
        "--own_documents: a batch holds fewer documents than a list\n"
        "  found: --batch_size 4, --own_documents 2, --K 9\n"
        "  do: give --batch_size 5, more --own_documents, or a lower --K"
    )


def test_a_weak_teacher_cannot_be_allowed_and_stop_the_run() -> None:
    options = DistillationOptions(teacher_path="t", output_dir="s", allow_weak_teacher=True, weak_teacher="stop")
    with pytest.raises(OptionError, match="one of them goes on with a weak teacher"):
        assembling.taught_by(options)


def test_miners_that_are_repeated_unknown_or_none_are_said() -> None:
    assert said(miners=("lexical:5", "lexical")) == (
        "--miners: two miners have one name\n  found: 'lexical'\n  do: name each once"
    )
    assert said(miners=("bm25",)).startswith("--miners: unknown miner\n  found: 'bm25'")
    assert said(miners=()).startswith("--miners: at least one miner is needed")


@dataclass(frozen=True)
class Opening(MinerSettings):
    """A miner that was added to the registry."""

    name: ClassVar[str] = "opening"


def test_a_miner_of_the_registry_takes_the_depth_of_all_or_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(assembling.MINERS, "opening", Opening)
    for given, depth in (("opening", 30), ("opening:20", 20)):
        options = DistillationOptions(teacher_path="t", output_dir="s", miners=("random", given), mining_depth=30)
        found = assembling.candidates(options).miners
        assert [miner.depth for miner in found] == [None, depth]  # random is no retrieval
