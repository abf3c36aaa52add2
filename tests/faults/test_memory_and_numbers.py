"""Memory that runs out, numbers that are none and losses that leap, put into real runs of tiny models.

The numbers in the docstrings are those of the scoreboard of faults.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn

from bistill.config import DistillationOptions, TeacherOptions, TrainingOptions
from bistill.encoders import batching
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.errors import TrainingError
from bistill.journal import read
from bistill.training import distillation, optimizer, teacher
from bistill.training.batch import Batch
from bistill.training.hook import Progress
from bistill.training.hooks import Validate, WatchLeaps
from bistill.training.teacher import PairTask
from bistill.training.update import Update
from tests.training.conftest import TOPICS

NAN, INFINITY = float("nan"), float("inf")
UPDATES = 12
SAVE_STEPS = 4
AT = 7  # the update that is disturbed: the one before its checkpoint is 4


@dataclass
class Outcome:
    """What a run left.

    Attributes:
        digest: sha256 of the model's weights, the best ones.
        weights: the last ones, "" where the run failed.
        seen: update and samples of each batch that was taken; one more is made ahead.
        events: of the journal.
    """

    digest: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict)
    seen: list[tuple[int, list[int]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.events if item["event"] == event]

    def troubles(self) -> list[str]:
        return [item["kind"] for item in self.of("trouble")]

    def losses(self) -> dict[int, float]:
        """By update; of one that was done again, the last."""
        return {item["step"]: item["terms"]["loss"] for item in self.of("step")}


class Bench:
    """Runs of one stage, with faults.

    Attributes:
        step: 1-based update that is at work.
        fired: how often a fault was raised.
    """

    def __init__(self, kind: str, root: Path, encoder: Path, teacher_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.kind, self.root, self.patch = kind, root, patch
        self.encoder: Any = CrossEncoder if kind == "teacher" else BiEncoder
        self.step, self.fired = 0, 0
        self.head: dict[str, Tensor] = {}
        self._encoder_path, self._teacher_path = encoder, teacher_path
        self._outcome = Outcome()
        self._watch()

    def options(self, **changes: Any) -> TeacherOptions | DistillationOptions:
        common = {
            "data_version": "tiny",
            "data_root": str(self.root),
            "lr": 1e-4,
            "max_len": 32,
            "save_steps": SAVE_STEPS,
            "save_minutes": 0.0,
        }
        if self.kind == "teacher":
            own: dict[str, Any] = {
                "model_name": str(self._encoder_path),
                "epochs": 2,
                "batch_size": 8,
                "negatives_per_positive": 3,
            }
            return TeacherOptions(**{**common, **own, **changes})
        own = {
            "teacher_path": str(self._teacher_path),
            "student_name": str(self._encoder_path),
            "epochs": 4,
            "batch_size": 4,
            "K": 5,
            "allow_weak_teacher": True,
            "max_negative_ratio": None,
        }
        return DistillationOptions(**{**common, **own, **changes})

    def run(self, folder: Path, **changes: Any) -> Outcome:
        """One run to its end; an exception passes, and ``last`` gives what it left."""
        self._outcome = Outcome()
        made = self.options(output_dir=str(folder), **changes)
        (teacher.train if self.kind == "teacher" else distillation.train)(made)  # type: ignore[operator]
        return self.last(folder)

    def last(self, folder: Path) -> Outcome:
        outcome = self._outcome
        outcome.events = list(read(folder / "journal.jsonl"))
        model = folder / "model.safetensors"
        outcome.digest = hashlib.sha256(model.read_bytes()).hexdigest() if model.exists() else ""
        return outcome

    def in_forward(self, fault: Callable[[Tensor, Sequence[batching.Encoding]], Tensor]) -> None:
        """Pass the rows of each training forward through a fault."""
        plain = self.encoder.forward

        def forward(encoder: Any, encodings: Sequence[batching.Encoding]) -> Tensor:
            rows = plain(encoder, encodings)
            return fault(rows, encodings) if encoder.model.training and self.step else rows

        self.patch.setattr(self.encoder, "forward", forward)

    def in_backward(self, fault: Callable[[Tensor], Tensor]) -> None:
        """Pass the gradient of the rows of each training forward through a fault."""

        def hooked(rows: Tensor, _encodings: Sequence[batching.Encoding]) -> Tensor:
            return Backward.apply(rows, fault) if rows.requires_grad else rows

        self.in_forward(hooked)

    def in_optimizer(self, fault: Callable[[torch.optim.Optimizer, Callable[..., Any]], Any]) -> None:
        """Replace the optimizer's step by ``fault(optimizer, step)``."""
        plain = optimizer.adamw

        def adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
            made = plain(groups)
            step = made.step
            made.step = lambda _closure=None: fault(made, step)  # type: ignore[method-assign]
            return made

        self.patch.setattr(optimizer, "adamw", adamw)

    def once(self, step: int = AT, times: int = 1) -> bool:
        """Whether a fault is to be raised now."""
        if self.step != step or self.fired >= times:
            return False
        self.fired += 1
        return True

    def words(self, ids: list[int]) -> list[str]:
        """Words of a tokenized text."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self._encoder_path)
        text: str = tokenizer.decode(ids, skip_special_tokens=True)
        return text.split()

    def heal(self) -> None:
        """Take all faults away."""
        self.patch.undo()
        self._watch()

    def _watch(self) -> None:
        update, at_end = Update.run, Validate.at_end

        def run(own: Update, make: Callable[[], Batch], samples: np.ndarray, seed: int, step: int) -> Any:
            def taken() -> Batch:
                self._outcome.seen.append((step, samples.tolist()))
                return make()

            self.step = step
            try:
                return update(own, taken, samples, seed, step)
            finally:
                self.step = 0

        def ended(own: Validate, progress: Progress) -> None:
            self._outcome.weights = {name: value.detach().clone() for name, value in own._trainable()}
            at_end(own, progress)

        self.patch.setattr(Update, "run", run)
        self.patch.setattr(Validate, "at_end", ended)


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor, fault: Callable[[Tensor], Tensor]) -> Tensor:
        context.fault = fault
        return value.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return context.fault(gradient), None


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults")
    (root / "tiny").mkdir()
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:])):
        rows = [f"how to {word},returns the {word}{' map' * n},error in {TOPICS[n]}" for n, word in enumerate(words)]
        (root / "tiny" / f"{split}.csv").write_text("\n".join(["query,positive,negative", *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def undisturbed(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Outcome]:
    """The run that nothing happened to, by stage and options."""
    known: dict[tuple[Any, ...], Outcome] = {}

    def find(kind: str, **changes: Any) -> Outcome:
        key = (kind, *sorted(changes.items()))
        if key not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
                bench = Bench(kind, data_root, tiny_encoder, tiny_teacher, patch)
                known[key] = bench.run(tmp_path_factory.mktemp("undisturbed"), **changes)
        return known[key]

    return find


@pytest.fixture(params=["teacher", "student"])
def bench(request: pytest.FixtureRequest, data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        yield Bench(request.param, data_root, tiny_encoder, tiny_teacher, patch)


@pytest.fixture
def teacher_bench(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        yield Bench("teacher", data_root, tiny_encoder, tiny_teacher, patch)


def check_equal(found: Outcome, expected: Outcome, limit: float = 0.0) -> None:
    """Same updates on same samples, same weights."""
    assert list(found.losses()) == list(expected.losses())
    assert list(found.losses().values()) == pytest.approx(list(expected.losses().values()), abs=max(10 * limit, 1e-9))
    assert found.of("end")[-1]["status"] == "finished"
    assert found.weights.keys() == expected.weights.keys()
    largest = max(float(value.abs().max()) for value in expected.weights.values())
    error = max(float((found.weights[name] - value).abs().max()) for name, value in expected.weights.items())
    assert error <= limit * largest
    if limit == 0.0:
        assert found.digest == expected.digest


def checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))


def schedule_at(folder: Path, step: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "checkpoints" / f"step-{step:08d}" / "schedule.json").read_text())
    return found


def all_finite(folder: Path, step: int) -> bool:
    path = folder / "checkpoints" / f"step-{step:08d}"
    tensors = [*load_file(path / "weights.safetensors").values(), *load_file(path / "optimizer.safetensors").values()]
    return all(bool(torch.isfinite(value).all()) for value in tensors)


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


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
    budget = trouble["micro_batch_tokens"]
    said = " ".join(capsys.readouterr().err.split())
    assert f"step {AT}, samples {samples}: memory ran out (" in said
    assert f"the update is undone and done again with at most {budget} tokens at once" in said
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


def stop(bench: Bench, rows: Tensor) -> Tensor:
    if bench.step == 10:
        raise KeyError("the process ends")
    return rows


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
    assert "found: 'CUDA out of memory. Tried to allocate 20.00 MiB'" in text and "do: lower --max_len" in text
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
    assert trouble["message"].startswith(f"step {AT}, samples {samples}: the {what} is no number; ")
    if where == "gradient":
        assert trouble["terms"] == pytest.approx(found.of("step")[AT - 1]["terms"], abs=1e-6)
    assert trouble["grad_norm"] is None  # NaN, or not known


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
    assert text.startswith(f"step {AT}, samples {samples}: the {what} is no number twice at the same place; ")
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


LONG = {"epochs": 5, "eval_steps": 10}  # 30 updates of the teacher: a leap shows from the 21st on


def watch_weights(bench: Bench, at: int, times: int) -> None:
    """Multiply the head's weights and more by -1000 after an update, as a bad update would."""
    plain = WatchLeaps.after_step

    def after_step(own: WatchLeaps, progress: Progress) -> None:
        plain(own, progress)
        if progress.step == at and bench.fired < times:
            bench.fired += 1
            with torch.no_grad():
                for value in bench.head.values():
                    value.mul_(-1000)

    bench.patch.setattr(WatchLeaps, "after_step", after_step)


def catch_head(bench: Bench) -> None:
    """Know the head of the model that is trained."""
    plain = PairTask.__init__

    def init(own: PairTask, encoder: CrossEncoder, *rest: Any) -> None:
        plain(own, encoder, *rest)
        bench.head = dict(encoder.model.classifier.named_parameters())

    bench.patch.setattr(PairTask, "__init__", init)


def test_a_leap_of_the_loss_is_undone(
    teacher_bench: Bench, undisturbed: Callable[..., Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """12: back to the last checkpoint, and with the cause gone to the same bits as without it."""
    expected = undisturbed("teacher", **LONG)
    catch_head(teacher_bench)
    watch_weights(teacher_bench, at=25, times=1)
    found = teacher_bench.run(tmp_path / "run", **LONG)
    check_equal(found, expected)
    (trouble,) = found.of("trouble")
    assert (trouble["kind"], trouble["step"], trouble["to_step"]) == ("rollback", 26, 24)
    assert "the loss leapt to " in trouble["message"] and "at step 26 (median before: " in trouble["message"]
    assert trouble["message"].endswith("the learning rate is 1 times that of the options; back at step 24")
    assert trouble["message"] in " ".join(capsys.readouterr().err.split())
    seen = expected.seen[-30:]
    assert found.seen[-32:] == [*seen[:26], *seen[24:]]


def test_a_leap_whose_cause_is_in_the_checkpoint_is_undone_from_the_one_before(
    teacher_bench: Bench, tmp_path: Path
) -> None:
    """12: an update spoils the weights, they are saved, and only the next loss shows it."""
    catch_head(teacher_bench)
    watch_weights(teacher_bench, at=24, times=1)
    found = teacher_bench.run(tmp_path / "run", **LONG)
    assert found.troubles() == ["rollback", "damaged_checkpoint", "rollback"]
    assert [item["to_step"] for item in found.of("trouble") if item["kind"] == "rollback"] == [24, 20]
    assert found.of("end")[-1]["status"] == "finished"
    assert max(item["terms"]["loss"] for item in found.of("step")[-10:]) < 2


@pytest.mark.parametrize(
    ("limit", "factors", "places"), [(2, [1, 0.5], [24, 20]), (3, [1, 0.5, 0.25], [24, 20, 24]), (0, [], [])]
)
def test_a_leap_that_comes_again_is_met_with_half_the_rate_and_then_borne(
    teacher_bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    limit: int,
    factors: list[float],
    places: list[int],
) -> None:
    """12: at most --spike_rollbacks times, the second time with half the learning rate, from the checkpoint before."""
    catch_head(teacher_bench)
    watch_weights(teacher_bench, at=25, times=10**6)
    found = teacher_bench.run(tmp_path / "run", spike_rollbacks=limit, **LONG)
    assert teacher_bench.fired == limit + 1
    rollbacks = [item for item in found.of("trouble") if item["kind"] == "rollback"]
    assert len(rollbacks) == limit
    said = [
        f"the learning rate is {factor:g} times that of the options; back at step {place}"
        for factor, place in zip(factors, places, strict=True)
    ]
    assert all(item["message"].endswith(text) for item, text in zip(rollbacks, said, strict=True))
    assert "; the run goes on" in " ".join(capsys.readouterr().err.split())
    rates = [item["lr"] for item in found.of("step") if item["step"] == 25]
    assert rates == pytest.approx([rates[0] * factor for factor in (1, *factors)])
    assert found.of("step")[-1]["step"] == 30 and found.of("end")[-1]["status"] == "finished"
    assert all(bool(torch.isfinite(value).all()) for value in found.weights.values())


def leaps(losses: Sequence[float], limit: int = 2) -> list[int]:
    """0-based places at which the watch asks for the last checkpoint."""
    watch, found = WatchLeaps(limit), []
    for place, loss in enumerate(losses):
        progress = Progress(total_steps=len(losses), step=place + 1, terms={"loss": loss})
        watch.after_step(progress)
        if progress.go_back:
            found.append(place)
    return found


def test_ordinary_noise_is_no_leap() -> None:
    """12: no false alarm in 200 falling and noisy series."""
    for seed in range(200):
        random = np.random.default_rng(seed)
        falling = 0.2 + np.exp(-np.arange(300) / 60)
        assert leaps((falling * random.lognormal(0, 0.3, 300)).tolist()) == []


def test_leaps_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """12: median 1, absolute deviations of 0.1: leaps above max(1 + 12 * 1.4826 * 0.1, 3) = 3."""
    steady = [0.9, 1.1] * 10
    assert leaps([*steady, 2.99]) == []
    assert leaps([*steady, 3.01]) == [20]
    assert leaps([*steady[1:], 100.0]) == []  # 19 losses before: too few to tell
    assert leaps([*[1.0] * 20, 2.99, 3.01]) == [21]  # no deviation at all: the factor alone decides
    wide = [0.5, 1.5] * 10  # 1 + 12 * 1.4826 * 0.5 = 9.9
    assert leaps([*wide, 9.8]) == [] and leaps([*wide, 10.0]) == [20]
    capsys.readouterr()
    assert leaps([*steady, 50.0], limit=0) == []
    assert "the loss leapt to 50 at step 21 (median before: 1); the run goes on" in capsys.readouterr().err


def test_the_window_holds_the_last_fifty_losses_and_travels_with_the_checkpoint() -> None:
    watch = WatchLeaps(2)
    for step in range(60):
        watch.after_step(Progress(total_steps=99, step=step + 1, terms={"loss": float(step)}))
    state = json.loads(json.dumps(watch.state()))
    assert state == {"losses": [float(step) for step in range(10, 60)]}
    other = WatchLeaps(2)
    other.restore(state, {})
    progress = Progress(total_steps=99, step=61, terms={"loss": 10**4})
    other.after_step(progress)
    assert progress.go_back == "the loss leapt to 1e+04 at step 61 (median before: 34.5)"


class Line:
    """A model of one weight in each of two groups, and faults by attempt."""

    def __init__(self, scaled: bool = False, **options: Any) -> None:
        self.model = nn.Linear(1, 1)
        self.accelerator = Accelerator()
        if scaled:  # as for fp16 on a GPU
            self.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
            self.accelerator.native_amp = True
            self.accelerator.state._mixed_precision = "fp16"
        self.attempt, self.troubles = 0, list[str]()
        groups = [{"params": [self.model.weight], "lr": 0.1}, {"params": [self.model.bias], "lr": 0.1}]
        self.optimizer = optimizer.adamw(groups)
        self.update = Update(self.model, self.optimizer, self.accelerator, TrainingOptions(**options), self._note)

    def run(
        self,
        fault: Callable[[int, Tensor], Tensor] = lambda _attempt, loss: loss,
        *,
        lengths: Sequence[int] = (3, 3),
        too_large: int | None = None,
    ) -> Any:
        """One update.

        Args:
            fault: changes the loss of each attempt, 1-based.
            lengths: of the texts.
            too_large: place of a text that never fits.
        """

        def forward(places: np.ndarray) -> Tensor:
            if too_large in places:
                raise out_of_memory()
            rows: Tensor = self.model(torch.ones(len(places), 1))
            return rows

        def terms(rows: Tensor, _places: np.ndarray) -> dict[str, Tensor]:
            self.attempt += 1
            return {"loss": fault(self.attempt, rows.sum())}

        batch = Batch(
            lengths=np.array(lengths),
            forward=forward,
            terms=terms,
            separable=True,
            packed=False,
            describe=lambda place: f"text {place}",
        )
        return self.update.run(lambda: batch, np.arange(2), 1, 1)

    def _note(self, kind: str, _message: str, **_facts: Any) -> None:
        self.troubles.append(kind)


@pytest.mark.parametrize(("place", "tokens"), [(0, 10), (1, 4), (2, 4), (3, 3)])
def test_of_texts_at_work_together_the_one_that_does_not_fit_is_named(place: int, tokens: int) -> None:
    """10: a short text has company while the longest one of the batch is alone already."""
    line = Line(micro_batch_tokens=10)
    with pytest.raises(TrainingError, match=rf"memory does not suffice for text {place} alone \({tokens} tokens\)"):
        line.run(lengths=(10, 4, 4, 3), too_large=place)
    assert line.run(lengths=(10, 4, 4, 3)).tokens == 21


def test_a_loss_of_fp16_that_is_no_number_is_no_matter_of_its_scale() -> None:
    """11: in fp16 a bad loss is done once more, at the same scale."""
    line = Line(scaled=True)
    done = line.run(lambda attempt, loss: loss * (NAN if attempt == 1 else 1))
    assert done is not None and line.troubles == ["non_finite"] and line.attempt == 2
    assert line.accelerator.scaler.get_scale() == 2**10
    with pytest.raises(TrainingError, match="the loss term loss"):
        line.run(lambda _attempt, loss: loss * NAN)


def test_a_gradient_of_fp16_that_overflows_is_tried_at_half_the_scale() -> None:
    """11: 2^10, 2^9, 2^8: then it fits; nothing is told, as it belongs to fp16."""
    line = Line(scaled=True)

    def overflow(attempt: int, loss: Tensor) -> Tensor:
        return Backward.apply(loss, lambda gradient: gradient * (INFINITY if attempt <= 2 else 1))

    assert line.run(overflow) is not None
    assert (line.attempt, line.troubles) == (3, [])
    assert line.accelerator.scaler.get_scale() == 2**8
    assert line.run(lambda _attempt, loss: loss) is not None


def test_memory_of_fp16_that_runs_out_in_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """9: gradients that were unscaled already are forgotten with the attempt."""
    line = Line(scaled=True)
    plain, calls = line.accelerator.clip_grad_norm_, []

    def clip(*arguments: Any) -> Any:
        norm = plain(*arguments)
        calls.append(norm)
        if len(calls) == 1:
            raise out_of_memory()
        return norm

    monkeypatch.setattr(line.accelerator, "clip_grad_norm_", clip)
    done = line.run(lambda _attempt, loss: loss)
    assert done is not None and line.troubles == ["out_of_memory"]
    assert done.grad_norm == pytest.approx(2 * 2**0.5)  # two texts: 2 for the weight, 2 for the bias
