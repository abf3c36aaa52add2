from __future__ import annotations

import dataclasses

import pytest

from bistill.config import CandidatesOptions, DistillationOptions, EvaluationOptions, PipelineOptions, TeacherOptions
from bistill.errors import OptionError
from bistill.options import from_mapping


def test_the_contract_defaults() -> None:
    options = DistillationOptions(teacher_path="t", output_dir="s")
    assert (options.K, options.batch_size, options.max_len) == (16, 16, 256)
    assert (options.use_lora, options.lora_dropout) == (False, 0.1)
    assert TeacherOptions().lora_dropout == 0.1


def test_the_recipe_by_default_is_the_best_one_found() -> None:
    """See docs/decisions/0017: the contract's literal recipe has tau 0.2 and weights 0.3 and 0.4."""
    options = DistillationOptions(teacher_path="t", output_dir="s")
    assert (options.tau, options.score) == (0.05, "linear")
    assert options.listwise_weight == 1
    assert (options.contrastive_weight, options.negative_penalty_weight, options.info_nce_weight) == (0, 0, 1)
    assert (options.in_batch, options.info_nce_tau, options.lr) == ("floor", 0.05, None)
    assert (options.miners, options.choice) == (("labelled", "lexical", "random"), "stratified")
    assert options.merge_with_start == (0.8, 0.6, 0.4, 0.2)


def test_weights_that_leave_nothing_to_learn_are_refused() -> None:
    DistillationOptions(teacher_path="t", output_dir="s", listwise_weight=0)
    with pytest.raises(OptionError, match="nothing to learn") as raised:
        DistillationOptions(teacher_path="t", output_dir="s", listwise_weight=0, info_nce_weight=0)
    assert "--listwise_weight" in str(raised.value) and "--info_nce_weight" in str(raised.value)
    with pytest.raises(OptionError, match="no loss acts on the score"):
        DistillationOptions(teacher_path="t", output_dir="s", listwise_weight=0, score="calibrated")
    DistillationOptions(teacher_path="t", output_dir="s", listwise_weight=0, contrastive_weight=0.3, score="calibrated")


def test_a_value_out_of_range_names_flag_value_and_range() -> None:
    with pytest.raises(OptionError, match=r"--lora_dropout: .*\n  found: 1.5\n  do: give at least 0, at most 1"):
        TeacherOptions(lora_dropout=1.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": 4, "own_documents": 4}, r"none left for those of other queries\n  found: 4\n  do: give less than --K 4"),
        ({"own_documents": 0}, r"--own_documents: the value is out of range\n  found: 0\n  do: give at least 1"),
        ({"K": 9, "own_documents": 2, "batch_size": 4}, r"fewer documents than a list\n.*\n  do: give --batch_size 5,"),
    ],
)
def test_own_documents_that_cannot_be_are_said(changes: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        DistillationOptions(teacher_path="t", output_dir="s", **changes)


def test_own_negatives_are_all_or_those_of_own_documents() -> None:
    options = DistillationOptions(teacher_path="t", output_dir="s", K=8, batch_size=4)
    assert options.own_negatives == 7
    assert dataclasses.replace(options, own_documents=2).own_negatives == 1
    assert CandidatesOptions(teacher_path="t", K=8, own_documents=1).own_negatives == 0
    with pytest.raises(OptionError, match="give less than --K 8"):
        CandidatesOptions(teacher_path="t", K=8, own_documents=9)


def test_from_mapping_fills_sections_and_keeps_other_defaults() -> None:
    mapping = {"data_version": "v", "teacher": {"epochs": 2, "lr": "3e-5"}, "searches": ["one", "two"]}
    options = from_mapping(PipelineOptions(), mapping, where="x.yaml")
    assert (options.data_version, options.teacher.epochs, options.teacher.lr) == ("v", 2, 3e-5)
    assert options.searches == ("one", "two")
    assert options.teacher.batch_size == 16


def test_a_list_of_one_needs_no_brackets() -> None:
    distillation = {"miners": "labelled", "matryoshka": 256, "merge_with_start": 0.5, "more_teachers": "models/b"}
    mapping = {"searches": "how do I wait", "distillation": distillation}
    options = from_mapping(PipelineOptions(), mapping, where="x.yaml")
    assert options.searches == ("how do I wait",)
    found = options.distillation
    assert (found.miners, found.matryoshka, found.merge_with_start) == (("labelled",), (256,), (0.5,))
    assert found.more_teachers == ("models/b",)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"teacher": {"epoch": 2}}, "x.yaml, teacher, epoch: unknown option\n  do: did you mean 'epochs'?"),
        ({"teacher": 3}, "x.yaml, teacher: a section of options is expected here\n  found: 3"),
        ({"teacher": {"epochs": "two"}}, "x.yaml, teacher, epochs: a value of another type is expected"),
        ({"teacher": {"epochs": True}}, "found: True"),
        ({"searches": {"one": 1}}, "x.yaml, searches: a value of another type is expected"),
        ({"distillation": {"matryoshka": [256, "x"]}}, "x.yaml, distillation, matryoshka: a value of another type"),
        ({"teacher": {"precision": "int8"}}, "x.yaml, teacher, precision: not one of the choices"),
        ({"teacher": {"epochs": 0}}, "--epochs: the value is out of range"),
    ],
)
def test_a_wrong_mapping_is_named(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as error:
        from_mapping(PipelineOptions(), mapping, where="x.yaml")
    assert message in str(error.value)


def test_required_options_are_required() -> None:
    with pytest.raises(TypeError):
        EvaluationOptions()  # type: ignore[call-arg]
