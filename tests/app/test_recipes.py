"""Which recipe a command line or a YAML file runs, what wins over it, and what is recorded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bistill.app import assembling, cli, pipeline, recipes
from bistill.app.assembling import checkpointing
from bistill.app.config import DistillationOptions, PipelineOptions
from bistill.errors import OptionError
from bistill.training.run.given import refuse_changes
from bistill.training.student import recorded

REQUIRED = ("--teacher_path", "t", "--output_dir", "s")
CONTRACT = {
    "tau": 0.2, "contrastive_weight": 0.3, "negative_penalty_weight": 0.4, "K": 16, "batch_size": 16, "max_len": 256,
    "miners": ("labelled", "random"), "choice": "random",
    "info_nce_weight": 0.0, "in_batch": "never", "merge_with_start": (),
}  # fmt: skip


def parsed(*arguments: str) -> DistillationOptions:
    options = cli.parse("distill", [*REQUIRED, *arguments], "prog")
    assert isinstance(options, DistillationOptions)
    return options


def differing(options: DistillationOptions) -> dict[str, Any]:
    """Values that are not the defaults, but for the recipe's name."""
    defaults = DistillationOptions(teacher_path="t", output_dir="s")
    names = [field.name for field in dataclasses.fields(options) if field.name != "recipe"]
    return {name: getattr(options, name) for name in names if getattr(options, name) != getattr(defaults, name)}


def test_without_a_recipe_and_loss_flags_nothing_differs_from_the_defaults() -> None:
    assert differing(parsed()) == {} and parsed().recipe == "best"
    assert differing(parsed("--K", "8", "--info_nce_weight", "0.5")) == {"K": 8, "info_nce_weight": 0.5}


def test_the_contract_is_its_literal_recipe() -> None:
    options = parsed("--recipe", "contract")
    assert {name: getattr(options, name) for name in CONTRACT} == CONTRACT
    assert differing(options).keys() <= CONTRACT.keys()
    losses = {type(loss).__name__: loss.weight for loss in assembling.objective(options).losses}
    assert losses == {"ListwiseKL": 1.0, "ContrastiveHinge": 0.3, "NegativePenalty": 0.4}


def test_one_constant_gives_the_contract_the_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "CONTRACT_KEEPS_ADDITIONS", True)
    assert differing(parsed("--recipe", "contract")) == {
        "tau": 0.2, "contrastive_weight": 0.3, "negative_penalty_weight": 0.4,
        "miners": ("labelled", "random"), "choice": "random",
    }  # fmt: skip


@pytest.mark.parametrize("flag", ["--tau=0.1", "--contrastive-weight=0.1", "--negative_penalty_weight=0.1"])
def test_one_of_the_three_loss_flags_means_the_contract_and_wins_over_it(flag: str) -> None:
    options, name = parsed(flag), flag[2:].partition("=")[0].replace("-", "_")
    assert options.recipe == "contract"
    assert {key: getattr(options, key) for key in CONTRACT} == CONTRACT | {name: 0.1}


def test_a_recipe_that_is_given_wins_over_the_loss_flags_and_every_flag_over_the_recipe() -> None:
    assert differing(parsed("--tau", "0.2", "--recipe", "best")) == {"tau": 0.2}
    options = parsed("--recipe=contract", "--miners", "lexical", "--merge_with_start", "0.5", "--in_batch", "floor")
    assert (options.miners, options.merge_with_start, options.in_batch) == (("lexical",), (0.5,), "floor")
    assert (options.choice, options.tau) == ("random", 0.2)


@pytest.mark.slow
def test_the_pipeline_reads_flags_and_file_alike(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"

    def of(text: str, *arguments: str) -> DistillationOptions:
        path.write_text(text)
        options = cli.parse("pipeline", ["--config", str(path), *arguments], "prog")
        assert isinstance(options, PipelineOptions)
        return pipeline.joined(options)[1]

    assert (of("data_version: v\n").recipe, of("data_version: v\n").tau) == ("best", 0.05)
    assert of("distillation:\n  tau: 0.1\n").recipe == "contract"
    assert of("distillation:\n  tau: 0.1\n").tau == 0.1
    assert of("recipe: contract\ndistillation:\n  K: 4\n").K == 4
    assert of("recipe: contract\n").choice == "random"
    assert of("recipe: contract\n", "--recipe", "best").choice == "stratified"
    assert of("data_version: v\n", "--distillation.contrastive_weight", "0.3").info_nce_weight == 0
    with pytest.raises(OptionError, match=r"distillation.recipe: the pipeline decides .*\n.*\n  do: give --recipe to"):
        of("distillation:\n  recipe: contract\n")


def test_the_recipe_in_force_is_one_line() -> None:
    assert recipes.said(parsed()) == "recipe: best (--recipe contract is the other one)"
    assert recipes.said(parsed("--tau", "0.2")) == "recipe: contract (--recipe best is the other one)"
    assert recipes.said(parsed("--recipe", "contract", "--tau", "0.1", "--miners", "lexical", "random")) == (
        "recipe: contract, but for --tau 0.1, --miners lexical random (--recipe best is the other one)"
    )


def test_a_recipe_is_recorded_and_decides_nothing() -> None:
    def given(options: DistillationOptions) -> Any:
        taught, data = assembling.taught_by(options), assembling.training_data(options)
        training, place = assembling.student_training(options), assembling.place(options)
        return recorded.given(taught, data, training, place, checkpointing(options))

    best = given(parsed())
    assert best.values["recipe"] == "best" and "recipe" not in best.deciding()
    earlier = {name: value for name, value in best.deciding().items() if name != "recipe"} | {"tau": 0.2}
    refuse_changes({"options": earlier}, {"options": given(parsed("--tau", "0.2", "--recipe", "best")).deciding()})
    with pytest.raises(OptionError, match=r"`choice` was 'stratified', is 'random'.*`info_nce_weight` was 1.0, is 0.0"):
        refuse_changes({"options": earlier}, {"options": given(parsed("--tau", "0.2")).deciding()})
