"""Memory that runs out (9 and 10 on the scoreboard of faults) loses no update, and a text that never fits is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bistill.errors import TrainingError
from bistill.models.compute import batching
from bistill.training.loop import budget
from tests.faults.updates.bench import AT, SAVE_STEPS, UPDATES, Bench, Outcome, check_equal, checkpoints, out_of_memory


def schedule_at(folder: Path, step: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "checkpoints" / f"step-{step:08d}" / "schedule.json").read_text())
    return found


def memory_runs_out(bench: Bench, where: str, step: int = AT, times: int = 1) -> None:
    def forward(rows: Tensor, _encodings: Sequence[batching.Encoding]) -> Tensor:
        if bench.once(step, times):
            raise out_of_memory()
        return rows

    def backward(gradient: Tensor) -> Tensor:
        if bench.once(step, times):
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")
        return gradient

    def stepped(own: torch.optim.Optimizer, plain: Callable[..., Any]) -> Any:
        if not bench.once(step, times):
            return plain()
        if where == "middle of the optimizer":
            groups = own.param_groups
            own.param_groups = groups[:1]
            plain()
            own.param_groups = groups
        raise out_of_memory()

    if where == "forward":
        bench.in_forward(forward)
    elif where == "backward":
        bench.in_backward(backward)
    else:
        bench.in_optimizer(stepped)


# Sums in another order differ in the last bits, and Adam turns gradients that are all rounding (those of the keys'
# biases are zero by their nature) into small steps.
REORDERED = 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("where", ["forward", "backward", "optimizer", "middle of the optimizer"])
def test_memory_that_runs_out_once_loses_nothing(
    bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """9: the update is done again in smaller pieces: every sample once, as many updates, equal weights."""
    expected = undisturbed(bench.kind)
    memory_runs_out(bench, where)
    found = bench.run(tmp_path / "run")
    assert bench.fired == 1
    check_equal(found, expected, REORDERED)
    trouble = found.of("trouble")[0]
    samples = expected.seen[-UPDATES:][AT - 1][1]
    assert (trouble["kind"], trouble["step"], trouble["samples"]) == ("out_of_memory", AT, samples)
    tokens = trouble["micro_batch_tokens"]
    said = " ".join(capsys.readouterr().err.split())
    assert f"step {AT}, samples {samples}: memory ran out (" in said
    assert f"the update is undone and done again with at most {tokens} tokens at once" in said
    micro_batches = {item["step"]: item["micro_batches"] for item in found.of("step")}
    before = {item["step"]: item["micro_batches"] for item in expected.of("step")}
    assert micro_batches[AT] > before[AT] or where == "middle of the optimizer"
    if where == "middle of the optimizer":
        assert found.troubles() == ["out_of_memory", "rollback"]
        rollback = found.of("trouble")[1]
        assert (rollback["step"], rollback["to_step"]) == (AT - 1, SAVE_STEPS)
        seen = [*expected.seen[-UPDATES:][:AT], *expected.seen[-UPDATES:][SAVE_STEPS:]]
        assert found.seen[-len(seen) :] == seen
    else:
        assert found.troubles() == ["out_of_memory"]
        assert found.seen == expected.seen


@pytest.mark.slow
def test_the_smaller_budget_is_kept_also_by_a_run_that_goes_on(
    teacher_bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path
) -> None:
    """9: what fitted once is not tried again at twice the size, in this process and in the next."""
    bench, folder = teacher_bench, tmp_path / "run"
    memory_runs_out(bench, "forward", times=2)
    bench.in_forward(lambda rows, _: stop(bench, rows))
    with pytest.raises(KeyError, match="the process ends"):
        bench.run(folder)
    budgets = [item["micro_batch_tokens"] for item in bench.last(folder).of("trouble")]
    assert len(budgets) == 2 and budgets[1] == budgets[0] // 2
    assert checkpoints(folder) == [4, 8]
    assert schedule_at(folder, 4)["micro_batch_tokens"] > budgets[0]
    assert schedule_at(folder, 8)["micro_batch_tokens"] == budgets[1]
    bench.heal()
    found = bench.run(folder)
    resumed = {item["step"]: item["micro_batches"] for item in found.of("step") if item["step"] > 10}
    expected = undisturbed("teacher")
    assert all(resumed[item["step"]] > item["micro_batches"] for item in expected.of("step") if item["step"] > 10)
    check_equal(found, expected, REORDERED)


@pytest.fixture
def short_rest() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:  # one that ``heal`` does not undo
        patch.setattr(budget, "REST", 3)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("short_rest")
def test_a_run_that_goes_on_takes_the_steps_back_that_it_would_have_taken(teacher_bench: Bench, tmp_path: Path) -> None:
    """9: the budget doubles after updates 7 and 10; the process ends between its checkpoint of update 8 and 10."""
    bench, folder = teacher_bench, tmp_path / "run"
    memory_runs_out(bench, "forward", step=5)
    expected = bench.run(tmp_path / "whole")
    pieces = {item["step"]: item["micro_batches"] for item in expected.of("step")}
    assert [pieces[step] > 1 for step in (4, 5, 6, 7, 11, 12)] == [False, True, True, True, False, False]
    budgets = [item["micro_batch_tokens"] for item in expected.events if "micro_batch_tokens" in item]
    most, low = budgets[:2]
    assert budgets == [most, low, 2 * low, 4 * low] and most > 4 * low
    bench.heal()
    bench.fired = 0
    memory_runs_out(bench, "forward", step=5)
    bench.in_forward(lambda rows, _: stop(bench, rows))
    with pytest.raises(KeyError, match="the process ends"):
        bench.run(folder)
    saved = schedule_at(folder, 8)["budget"]
    assert (saved["tokens"], saved["most"], saved["calm"]) == (2 * low, most, 1)
    bench.heal()
    found = bench.run(folder)
    assert found.of("resume")[-1]["step"] == 8
    check_equal(found, expected)
    assert {item["step"]: item["micro_batches"] for item in found.of("step")} == pieces


def stop(bench: Bench, rows: Tensor) -> Tensor:
    if bench.step == 10:
        raise KeyError("the process ends")
    return rows


@pytest.mark.slow
def test_an_optimizer_without_memory_for_it_never_saves_half_an_update(
    teacher_bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path
) -> None:
    """9: no smaller budget can help, some weights are changed: the checkpoint before stays the newest."""
    bench, folder = teacher_bench, tmp_path / "run"
    memory_runs_out(bench, "middle of the optimizer", times=10**6)
    with pytest.raises(TrainingError, match="memory does not suffice for the loss or the optimizer alone"):
        bench.run(folder, micro_batch_tokens=1)
    assert checkpoints(folder)[-1] == SAVE_STEPS
    bench.heal()
    check_equal(bench.run(folder, micro_batch_tokens=1), undisturbed("teacher", micro_batch_tokens=1))


@pytest.mark.slow
def test_a_text_that_never_fits_stops_the_run_with_its_name(
    bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path
) -> None:
    """10: id, text and tokens are said, what is done is saved, and the run goes on where the fault is gone."""
    folder, expected = tmp_path / "run", undisturbed(bench.kind)
    known: list[list[int]] = []

    def refuse(rows: Tensor, encodings: Sequence[batching.Encoding]) -> Tensor:
        ids = [encoding["input_ids"].tolist() for encoding in encodings]
        if bench.step == AT and not known:
            known.append(sorted(ids, key=len)[0])  # a short one, which others keep company to the end
        if bench.step == AT and known[0] in ids:
            bench.fired += 1
            raise out_of_memory()
        return rows

    bench.in_forward(refuse)
    with pytest.raises(TrainingError) as caught:
        bench.run(folder)
    left = bench.last(folder)
    text = str(caught.value)
    samples = expected.seen[-UPDATES:][AT - 1][1]
    name = r"pair \d+ \('how to" if bench.kind == "teacher" else r"(query|document) \d+ '"
    pattern = rf"^step {AT}, samples {samples}: ".replace("[", r"\[").replace("]", r"\]")
    words = bench.words(known[0])
    found = expected_message(text, pattern, name, len(known[0]))
    assert all(word in found for word in words)
    assert "found: 'CUDA out of memory. Tried to allocate 20.00 MiB'" in text and re.search(
        r"do: lower `\w+\.max_len`", text
    )
    assert set(left.troubles()) == {"out_of_memory"} and len(left.of("trouble")) == bench.fired - 1
    assert left.of("end")[-1]["status"] == "failed" and left.of("end")[-1]["error"] == text
    assert checkpoints(folder)[-1] == AT - 1
    bench.heal()
    check_equal(bench.run(folder), expected, REORDERED)
    assert bench.last(folder).of("resume")[-1]["step"] == AT - 1


def expected_message(text: str, start: str, name: str, tokens: int) -> str:
    match = re.search(rf"{start}memory does not suffice for ({name}.*) alone \({tokens} tokens\)\n", text)
    assert match, text
    return match[1]
