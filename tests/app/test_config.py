from __future__ import annotations

import dataclasses

import pytest

from bistill.app.config import (
    DEFAULT_STUDENT,
    DEFAULT_TEACHER,
    DistillationOptions,
    EvaluationOptions,
    MonitorOptions,
    PipelineOptions,
    PrepareOptions,
    TeacherOptions,
)
from bistill.app.options import from_mapping, notes
from bistill.errors import OptionError
from bistill.losses import ContrastiveHinge, EmbeddingKL, InfoNCE, ListwiseKL, NegativePenalty, VectorDistance
from bistill.settings import range_of


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


def test_a_value_out_of_range_names_flag_value_and_range() -> None:
    with pytest.raises(OptionError, match=r"--lora_dropout: .*\n  found: 1.5\n  do: give 0 to 1"):
        TeacherOptions(lora_dropout=1.5)


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
        ({"teacher": {"epochs": "two"}}, "x.yaml, teacher, epochs: a whole number is expected"),
        ({"teacher": {"epochs": True}}, "found: True"),
        ({"searches": {"one": 1}}, "x.yaml, searches: text is expected"),
        ({"distillation": {"matryoshka": [256, "x"]}}, "x.yaml, distillation, matryoshka: a whole number is expected"),
        (
            {"teacher": {"precision": "int8"}},
            "x.yaml, teacher, precision: 'auto' or 'fp32' or 'tf32' or 'bf16' or 'fp16' is expected",
        ),
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


def test_an_option_has_the_range_and_the_default_of_what_it_becomes() -> None:
    """Range and name come from the setting; losses load torch, which options must not, so theirs stand twice."""
    other = {"max_len": 256, "student_name": DEFAULT_STUDENT, "model_name": DEFAULT_TEACHER}
    for kind in (TeacherOptions, DistillationOptions, EvaluationOptions, MonitorOptions, PrepareOptions):
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        for name, note in notes(kind).items():
            if note.of is not None:
                setting = {field.name: field.default for field in dataclasses.fields(note.of[0])}[note.of[1]]
                assert note.within == range_of(*note.of), name
                assert defaults[name] == other.get(name, setting), (kind.__name__, name)
    found = notes(DistillationOptions)
    for loss, tau, weight in ((InfoNCE, "info_nce_tau", "info_nce_weight"), (ListwiseKL, "tau", "listwise_weight")):
        assert (found[tau].within, found[weight].within) == (range_of(loss, "tau"), range_of(loss, "weight"))
    for name, setting in (
        ("embedding_weight", "weight"),
        ("embedding_tau", "tau"),
        ("embedding_teacher_tau", "teacher_tau"),
    ):
        assert found[name].within == range_of(EmbeddingKL, setting)
    for loss, weight in (
        (ContrastiveHinge, "contrastive_weight"),
        (NegativePenalty, "negative_penalty_weight"),
        (VectorDistance, "vector_weight"),
    ):
        assert found[weight].within == range_of(loss, "weight")
