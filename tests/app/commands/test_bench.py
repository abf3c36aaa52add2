"""The whole command on tiny models and data; weights and tokens by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bistill.app.commands.bench import bench
from bistill.app.config import BenchOptions
from bistill.app.profile import measuring, rate, works
from bistill.app.profile.arithmetic import PRODUCTS, Weights
from bistill.app.profile.measuring import MeasuredWork, Outcome, Timing
from bistill.app.profile.meters import Read, TokenMeter, token_weights
from bistill.errors import OptionError
from bistill.models import lora
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import packable
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import Lora
from tests.training.conftest import TOPICS

# conftest's encoder: two layers of four 32 x 32 products and two of 32 x 64; pooler and head see one vector a text.
TINY_WEIGHTS = 2 * (4 * 32 * 32 + 2 * 32 * 64)


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "CPU_SHAPES", ((8, 4, 4),))


@pytest.fixture
def options(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path], tiny_encoder: Path, tiny_teacher: Path
) -> BenchOptions:
    for split in ("train", "valid"):
        rows = [["query", "positive", "negative"]]
        rows += [[f"how to {word}", f"returns the {word}", f"error in {word}"] for word in TOPICS]
        write_csv(tmp_path / "data" / "tiny" / f"{split}.csv", rows)
    return BenchOptions(
        data_version="tiny",
        data_root=str(tmp_path / "data"),
        teacher_path=str(tiny_teacher),
        student_name=str(tiny_encoder),
        output_dir=str(tmp_path / "out"),
        batch_size=2,
        K=3,
        steps=1,
        documents=4,
        max_len=32,
    )


def files(*folders: Path) -> dict[Path, tuple[int, int]]:
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.slow
def test_linear_layers_that_tokens_pass_are_counted_pooler_and_head_not(tiny_teacher: Path, tiny_encoder: Path) -> None:
    teacher = CrossEncoder.start(str(tiny_teacher), max_len=None, precision="fp32", seed=0)
    assert token_weights(teacher.model, lambda: teacher.logits([("file", "list")])) == Weights(TINY_WEIGHTS)
    student = BiEncoder.load(str(tiny_encoder))
    text = student.tokenize_documents(["file list"])
    student.model = lora.apply(student.model, Lora(rank=4), new_keys=[], seed=0)
    adapters = 2 * (4 * 4 * (32 + 32) + 2 * 4 * (32 + 64))
    assert token_weights(student.model, lambda: student.forward(text)) == Weights(TINY_WEIGHTS, adapters)


@pytest.mark.parametrize(("packs", "padded"), [(True, 3 + 5 + 3), (False, 2 * 5 + 3)])
def test_tokens_read_with_and_without_gradient_are_told_apart(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, packs: bool, padded: int
) -> None:
    monkeypatch.setattr(packable, "packs", lambda *_: packs)
    student = BiEncoder.load(str(tiny_encoder))
    texts = student.tokenize_documents(["file", "file list sort"])  # 3 and 5 tokens with [CLS] and [SEP]
    with TokenMeter(student.model) as meter:
        student.forward(texts)
        with torch.no_grad():
            student.forward(texts[:1])
        assert meter.take() == Read(tokens=3 + 5 + 3, padded=padded, padded_without_gradient=3)
        assert meter.take() == Read(0, 0, 0)


def test_figures_by_hand() -> None:
    samples = [Timing(2.0, 1.0, 100, 4), Timing(4.0, 0.0, 100, 4), Timing(1.0, 0.1, 100, 4)]
    measured = MeasuredWork(samples, Read(90, 120, 20), 5.0, {PRODUCTS: 2.0}, micro_batches=1)
    found = measuring.figures(Outcome(measured, Weights(10), 7), rate.Rate(8000.0, "torch", (1, 1, 1)))
    assert (found["seconds"], found["tokens_per_second"], found["items_per_second"]) == (2.0, 50.0, 2.0)
    assert found["mfu"] == pytest.approx(6 * 10 * 50 / 8000)
    assert found["products_rate"] == pytest.approx((6 * 10 * 100 + 2 * 10 * 20) / 2.0 / 8000)
    assert (found["padding"], found["waiting"], found["peak_mib"]) == (0.25, 0.1, 7)
    assert found["shares"][PRODUCTS] == 0.4
    scoring = MeasuredWork(samples, Read(90, 120, 120), 5.0, {}, micro_batches=None)
    without = measuring.figures(Outcome(scoring, Weights(10), 7), rate.Rate(8000.0, "torch", (1, 1, 1)))
    assert without["mfu"] == pytest.approx(2 * 10 * 50 / 8000)
    assert without["products_rate"] is None


@pytest.mark.slow
def test_the_whole_command_writes_its_figures_and_nothing_else(
    options: BenchOptions, tmp_path: Path, tiny_encoder: Path, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(tmp_path / "data", tiny_encoder, tiny_teacher)
    report = bench(options)
    assert files(tmp_path / "data", tiny_encoder, tiny_teacher) == before
    assert set(files(tmp_path / "out")) == {tmp_path / "out" / "bench.json"}
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "out", "cache"}
    written: dict[str, Any] = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert written == json.loads(json.dumps(report))
    assert written["schema"] == "bistill.bench/1"
    assert written["machine"]["products"]["shape"] == [8, 4, 4]
    assert list(written["works"]) == ["teacher", "scoring", "distillation", "encoding"]
    for name, item in written["works"].items():
        assert item["weights"] == {"base": TINY_WEIGHTS, "adapters": 0}
        assert len(item["samples"]) == 1
        assert item["samples"][0]["items"] == {"teacher": 2, "scoring": 6, "distillation": 2, "encoding": 4}[name]
        assert sum(item["shares"].values()) == pytest.approx(1)
        assert item["peak_mib"] > 0
    printed = capsys.readouterr().out
    assert "encoding: limited by " in printed
    assert "bench.json" in printed


def test_lists_are_scored_whole_before_distillation_and_only_once(options: BenchOptions) -> None:
    from bistill.app import assembling

    dataset, _ = assembling.version(options).training(rejected_to=Path(options.output_dir))
    lists = works.draw_lists(dataset, options)
    assert len(lists.query_ids) == 2 * (1 + measuring.UNTIMED)
    works.score(dataset, lists, options)
    scored = lists.logits.copy()
    assert not torch.isnan(torch.from_numpy(scored)).any()
    outcome = works.distil(dataset, lists, options)
    assert (lists.logits == scored).all()
    assert outcome.measured.micro_batches is not None


def test_nothing_to_measure_is_an_error(options: BenchOptions) -> None:
    import dataclasses

    with pytest.raises(OptionError, match="nothing is to be measured"):
        bench(dataclasses.replace(options, work=()))
