"""The comparison of speed runs on a CPU, and its sides learn the same."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

WORDS = "file list sort set map tree graph query key value red blue".split()  # noqa: SIM905


@pytest.mark.slow
def test_ours_sentence_transformers_and_a_plain_loop_have_the_same_losses(
    tmp_path: Path,
    tiny_encoder: Path,
    tiny_teacher: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    compare = script("speed/compare")
    rows = [[f"how to {word}", f"returns the {word}", f"error in {WORDS[row - 1]}"] for row, word in enumerate(WORDS)]
    write_csv(tmp_path / "tiny" / "train.csv", [["query", "positive", "negative"], *rows])
    options = argparse.Namespace(
        data_root=str(tmp_path), student=str(tiny_encoder), teacher=str(tiny_teacher), precision="fp32"
    )
    vars(options).update(batch_size=4, K=3, lr=1e-2, pairs=0, documents=0, rounds=1, steps=1, warmup=1, check_steps=3)
    vars(options).update(threads=1, ours=[], flagembedding_python=None, workers=0)
    folder = tmp_path / "speed"
    folder.mkdir()
    given = compare.prepared("distillation", "tiny:16", options, folder)
    assert [len(step["queries"]) for step in given["batches"]] == [4, 4, 4]
    sides = compare.sides_of("distillation", [], None, 0, "6")
    left = compare.checked(sides, options, folder, compare.Lines(None))  # losses that differ end it
    assert [side.name for side in left] == ["bistill", "sentence-transformers 6", "plain PyTorch"]
    said = [line.strip("| ").split(" | ") for line in capfd.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(said) == 4  # head and sides
    for name, first, last, _, largest in said[1:]:
        assert float(largest) < 1e-3 * float(first), name
        assert float(last) != float(first), name  # they train
