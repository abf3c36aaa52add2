"""Teacher scores read by workers of Ray: no pair lost or stored twice, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from bistill.candidates.scores.cache import ScoreCache, folder_of
from bistill.candidates.scores.reranker import loaded
from bistill.candidates.scores.scoring import score
from bistill.distributed import Crew
from bistill.errors import ArtifactError, ProcessError, SetAsideError
from bistill.models.compute.scoring import FORWARDS_OF_A_CHUNK
from tests.clusters import crew_here
from tests.faults import scorers
from tests.faults.commands import ROOT
from tests.faults.scorers import BATCH, DOCUMENTS, IDENTITY, PAIRS, QUERIES

BLOCK = FORWARDS_OF_A_CHUNK * BATCH  # of so few pairs


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with crew_here() as found:
        yield found


@pytest.fixture(scope="module")
def expected(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What this process gives alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("alone")))
        found = scorers.run(str(tiny_teacher))
    assert (found.requested, found.scored) == (len(PAIRS), len(PAIRS))
    return found.logits


def stored() -> int:
    try:
        with ScoreCache.open(IDENTITY, read_only=True) as cache:
            return len(cache)
    except ArtifactError:
        return 0


def begun(teacher: Path, marker: Path) -> subprocess.Popen[str]:
    """A driver of its own whose first scores are stored; its workers take their time and tell who they are."""
    command = [sys.executable, "-m", "tests.faults.scorers", str(teacher), "slow", str(marker)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not stored():
        assert driver.poll() is None
        time.sleep(0.1)
    return driver


def wait_for(marker: Path) -> int:
    """The process that a marker tells."""
    while not (marker.exists() and marker.read_text()):
        time.sleep(0.05)
    return int(marker.read_text())


def test_a_driver_that_is_killed_loses_what_was_on_its_way(
    tiny_teacher: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    driver = begun(tiny_teacher, marker)
    driver.kill()
    driver.wait()
    worker, known = int(marker.read_text()), stored()
    assert 0 < known < len(PAIRS) and known % BLOCK == 0
    until = time.monotonic() + 30
    while psutil.pid_exists(worker) and time.monotonic() < until:
        time.sleep(0.2)
    assert not psutil.pid_exists(worker), "a worker outlives its driver"
    again = scorers.run(str(tiny_teacher))
    assert again.scored == len(PAIRS) - known and stored() == len(PAIRS)
    assert np.array_equal(again.logits, expected)


def test_a_driver_that_is_told_to_end_keeps_what_is_there(
    tiny_teacher: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    driver = begun(tiny_teacher, tmp_path / "pid")
    driver.terminate()
    said = driver.communicate(timeout=60)[1]
    assert driver.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM; the same command goes on" in said and "PC: @" not in said
    known = stored()
    assert scorers.run(str(tiny_teacher)).scored == len(PAIRS) - known


def test_workers_give_the_scores_of_one_process(crew: Crew, tiny_teacher: Path, expected: np.ndarray) -> None:
    found = scorers.run(str(tiny_teacher))
    assert (found.requested, found.scored, stored()) == (len(PAIRS), len(PAIRS), len(PAIRS))
    assert np.array_equal(found.logits, expected)
    assert scorers.run(str(tiny_teacher)).scored == 0


def test_what_a_killed_worker_was_reading_is_read_again(
    crew: Crew, tiny_teacher: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    marker, before = tmp_path / "pid", crew.repeated
    killer = threading.Thread(target=lambda: os.kill(wait_for(marker), signal.SIGKILL))
    killer.start()
    found = scorers.run(str(tiny_teacher), "slow", str(marker))
    killer.join()
    assert (found.scored, stored()) == (len(PAIRS), len(PAIRS)) and np.array_equal(found.logits, expected)
    assert 0 < crew.repeated - before <= 2 * BLOCK


@pytest.mark.parametrize(("how", "why"), [("raise", "cannot read this text"), ("die", "its worker is gone")])
def test_pairs_that_break_a_worker_are_set_aside_and_all_others_scored(
    crew: Crew, tiny_teacher: Path, expected: np.ndarray, how: str, why: str
) -> None:
    with pytest.raises(SetAsideError, match=f"{BLOCK} pairs could not be scored; all others were") as raised:
        scorers.run(str(tiny_teacher), how)
    assert why in str(raised.value.found) and stored() == len(PAIRS) - BLOCK
    healed = scorers.run(str(tiny_teacher))
    assert healed.scored == BLOCK and np.array_equal(healed.logits, expected)


def test_a_worker_with_another_model_does_not_score(crew: Crew, tiny_teacher: Path) -> None:
    load = partial(loaded, str(tiny_teacher), "0" * 64)
    with (
        ScoreCache.open(IDENTITY) as cache,
        pytest.raises(ProcessError, match="no worker can do this work") as raised,
    ):
        score(cache, load, QUERIES, DOCUMENTS, PAIRS, batch_size=BATCH, description="scores")
    assert "has other files than the one that was asked for" in raised.value.what
    assert str(tiny_teacher) in raised.value.what and stored() == 0
    assert folder_of(IDENTITY).is_dir()
