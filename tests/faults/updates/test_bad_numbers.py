"""Losses and gradients that are NaN or infinite (11 on the scoreboard of faults) change no weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bistill.errors import TrainingError
from tests.faults.updates.bench import AT, UPDATES, Bench, Outcome, check_equal, checkpoints

NAN, INFINITY = float("nan"), float("inf")


def bad_number(bench: Bench, where: str, value: float, times: int) -> None:
    """Rows, or only their gradient, times ``value`` in ``times`` attempts of one update."""

    def spoil(numbers: Tensor) -> Tensor:
        factors = torch.ones(len(numbers), *[1] * (numbers.ndim - 1))
        factors[0] = value
        return numbers * factors

    if where == "forward":
        bench.in_forward(lambda rows, _: spoil(rows) if bench.once(times=times) else rows)
    else:
        bench.in_backward(lambda gradient: spoil(gradient) if bench.once(times=times) else gradient)


def all_finite(folder: Path, step: int) -> bool:
    path = folder / "checkpoints" / f"step-{step:08d}"
    tensors = [*load_file(path / "weights.safetensors").values(), *load_file(path / "optimizer.safetensors").values()]
    return all(bool(torch.isfinite(value).all()) for value in tensors)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "value"), [("forward", NAN), ("forward", INFINITY), ("gradient", NAN)])
def test_one_bad_number_changes_nothing(
    bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path, where: str, value: float
) -> None:
    """11: no update is made with it; the update is done once more and the weights are the same to the bit."""
    expected = undisturbed(bench.kind)
    bad_number(bench, where, value, times=1)
    found = bench.run(tmp_path / "run")
    assert bench.fired == 1
    check_equal(found, expected)
    assert found.seen == expected.seen
    (trouble,) = found.of("trouble")
    samples = expected.seen[-UPDATES:][AT - 1][1]
    assert (trouble["kind"], trouble["step"], trouble["samples"]) == ("non_finite", AT, samples)
    what = "loss" if where == "forward" else "gradient"
    assert trouble["message"].startswith(f"step {AT}, samples {samples}: the {what} is NaN or infinite; ")
    if where == "gradient":
        assert trouble["terms"] == pytest.approx(found.of("step")[AT - 1]["terms"], abs=1e-6)
    assert trouble["grad_norm"] is None  # NaN, or not known


@pytest.mark.slow
@pytest.mark.parametrize(("where", "value"), [("forward", NAN), ("gradient", NAN), ("gradient", INFINITY)])
def test_a_bad_number_that_comes_again_stops_the_run_with_a_diagnosis(
    bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path, where: str, value: float
) -> None:
    """11: text and layer or gradient are said; weights and checkpoint are those before; the run can go on from it."""
    folder, expected = tmp_path / "run", undisturbed(bench.kind)
    bad_number(bench, where, value, times=10**6)
    with pytest.raises(TrainingError) as caught:
        bench.run(folder)
    left, text = bench.last(folder), str(caught.value)
    samples = expected.seen[-UPDATES:][AT - 1][1]
    what = "loss" if where == "forward" else "gradient"
    assert text.startswith(f"step {AT}, samples {samples}: the {what} is NaN or infinite twice at the same place; ")
    first = f"pair {samples[0]} ('how to " if bench.kind == "teacher" else "query "
    if where == "forward":
        assert f"Diagnosis: the output for {first}" in text and "behind the model's last layer" in text
    else:
        assert f"Diagnosis: the gradient of {first}" in text and ", first in " in text
    assert left.troubles() == ["non_finite"]
    assert left.of("end")[-1]["error"] == text
    assert list(left.losses()) == list(range(1, AT))
    assert checkpoints(folder)[-1] == AT - 1 and all_finite(folder, AT - 1)
    bench.heal()
    check_equal(bench.run(folder), expected)
