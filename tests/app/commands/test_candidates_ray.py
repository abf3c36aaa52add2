"""``bistill candidates --ray``: vectors, mining and scores by workers of Ray, and the files of one process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bistill import artifacts, distributed
from bistill.app.commands.candidates import candidates
from bistill.candidates.scores.cache import listing
from tests.candidates.conftest import Small
from tests.conftest import pin_products


def test_the_lists_are_those_of_one_process(
    small: Small,
    tiny_teacher: Path,
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = small.options(tiny_teacher, tiny_encoder, miners=("labelled", "random", "lexical:3", "dense:4"))
    candidates(alone)
    [scores] = listing()
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "other"))
    pin_products(tmp_path / "other")
    shared = dataclasses.replace(alone, ray="local", output_dir=str(tmp_path / "shared"))
    capsys.readouterr()
    candidates(shared)
    assert "ray (local): " in capsys.readouterr().err and distributed.crew() is None
    for name in (artifacts.CANDIDATES_FILE, artifacts.FILTERED_FILE, artifacts.SUSPECT_FILE):
        assert (tmp_path / "shared" / name).read_bytes() == (Path(alone.output_dir) / name).read_bytes(), name
    [others] = listing()
    assert (others.pairs, others.identity) == (scores.pairs, scores.identity) and others.folder != scores.folder
