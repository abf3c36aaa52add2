"""The gradient on two and on eight processes is that of one; rows without gradients have the same bits."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WORDS
from tests.distributed.launching import command, run

SCRIPT = str(Path(__file__).with_name("gradients_of_processes.py"))
KINDS = (
    *(f"student, {name}" for name in ("lists", "contract", "lora", "matryoshka", "calibrated", "shared documents")),
    *(f"teacher, {name}" for name in ("pairs", "pairs, lora", "lists")),
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[2, 8])
def said(
    request: pytest.FixtureRequest,
    tiny_encoder: Path,
    tiny_teacher: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    folder = tmp_path_factory.mktemp("models")
    for source, name in ((tiny_encoder, "encoder"), (tiny_teacher, "teacher")):
        shutil.copytree(source, folder / name)
    data = folder / "data" / "tiny"
    data.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split, count in (("train", 48), ("valid", 8)):
        rows = ["query,positive,negative"]
        for number in range(count):
            sizes = (3 + number % 6, 5 + number * 7 % 25, 4 + number * 5 % 20)
            rows.append(",".join(" ".join(random.choice(WORDS, size)) for size in sizes))
        (data / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    code, found = run(command(request.param, SCRIPT, str(folder)), env={"BISTILL_CACHE": str(folder / "cache")})
    assert code == 0, found
    return found


def lines(said: str, word: str) -> list[Any]:
    return [json.loads(line) for line in re.findall(rf"^{word} (.*)$", said, re.MULTILINE)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_an_update_is_that_of_one_process(said: str, kind: str) -> None:
    """The loss to the last bits of a float32, all numbers of the gradient together to 1e-6 of its norm; of a single
    tensor sums in another order make more where its parts nearly cancel (``test_gradients.py``)."""
    cases = [case for case in lines(said, "CASE") if case["name"].startswith(f"{kind}, ")]
    assert len(cases) >= 6
    for case in cases:
        assert case["terms"] < 3e-7 and case["norm"] < 1e-6 and case["gradient"] < 1e-5, case
        assert case["texts"][0] == case["texts"][1] == list(range(len(case["texts"][0])))


def test_weights_that_the_leader_has_changed_and_layers_that_compute_twice(said: str) -> None:
    cases = {case["name"]: case for case in lines(said, "CASE")}
    for name in ("student, lists, 5, changed", "student, lists, 5, twice"):
        assert cases[name]["norm"] < 1e-6


def test_gradients_are_added_up_once_an_update(said: str) -> None:
    cases = lines(said, "CASE")
    assert {case["collectives"] for case in cases} == {1} and len({case["processes"] for case in cases}) == 1
    assert max(case["groups"] for case in cases) > 10  # pieces, of which each could have been added up by itself


def test_rows_without_gradients_have_the_same_bits(said: str) -> None:
    """As loaded, and after the leader's weights were changed."""
    assert lines(said, "INFERENCE") == [{"bi-encoder": [True, True], "cross-encoder": [True, True]}]


def test_teacher_scores_have_the_same_bits(said: str) -> None:
    """Of pairs of which none is known, and of those that are left where a third is known."""
    assert lines(said, "SCORES") == [[True, True]]


def test_models_that_the_leader_has_let_go_are_held_by_nobody(said: str) -> None:
    [held] = lines(said, "HELD")
    assert len(held) in (2, 8) and all(own == held[0] for own in held) and len(held[0]) == 1
