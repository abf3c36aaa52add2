"""Each pair scored once, ever: also after kills, with two processes at once, and with a teacher that breaks down."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.scoring import Scored, score
from bistill.errors import ModelError
from bistill.models.compute.scoring import FORWARDS_OF_A_CHUNK
from bistill.models.cross_encoder import CrossEncoder

IDENTITY = {"model": "tiny"}
WORDS = ["file", "list", "sort", "set", "map", "tree", "graph", "query", "key", "value", "red", "blue"]
QUERIES = [f"how to {' '.join(WORDS[: 1 + n])}" for n in range(8)]
DOCUMENTS = [f"{' '.join(WORDS[n:])} 서울 {n}" for n in range(12)]
PAIRS = np.array([(query, document) for query in range(8) for document in range(12)])
BATCH = 2
LOST_AT_MOST = FORWARDS_OF_A_CHUNK * BATCH


class Reading:
    """A teacher that writes down what it reads."""

    def __init__(self, folder: Path) -> None:
        self.encoder = CrossEncoder.load(str(folder))
        self.source, self.asked, self.loads = self.encoder.source, [], 0
        self.before: Callable[[], object] = lambda: None

    def load(self) -> Any:
        self.loads += 1
        return self

    def score(self, pairs: Sequence[tuple[str, str]], **settings: Any) -> np.ndarray:
        self.before()
        self.asked += pairs
        return self.encoder.score(pairs, **settings)


def run(teacher: Reading | None, pairs: np.ndarray = PAIRS) -> Scored:
    with ScoreCache.open(IDENTITY) as cache:
        load = teacher.load if teacher else None
        return score(cache, load, QUERIES, DOCUMENTS, pairs, batch_size=BATCH, description="scores")


def texts(pairs: np.ndarray) -> list[tuple[str, str]]:
    return [(QUERIES[query], DOCUMENTS[document]) for query, document in pairs]


def test_every_pair_is_scored_once_and_as_the_cross_encoder_does(tiny_teacher: Path) -> None:
    teacher = Reading(tiny_teacher)
    first = run(teacher, PAIRS[::2])
    assert (first.requested, first.scored, teacher.loads) == (48, 48, 1)
    both = run(teacher)
    assert (both.requested, both.scored) == (96, 48)
    assert sorted(teacher.asked) == sorted(texts(PAIRS))
    expected = np.concatenate([teacher.encoder.score([pair]) for pair in texts(PAIRS)])
    np.testing.assert_allclose(both.logits, expected, atol=1e-5)
    assert np.array_equal(both.logits[::2], first.logits)
    with ScoreCache.open(IDENTITY) as cache:
        assert len(cache) == 96


def test_a_second_call_scores_nothing_and_loads_no_teacher(tiny_teacher: Path) -> None:
    teacher = Reading(tiny_teacher)
    first = run(teacher)
    again = run(teacher)
    assert (again.requested, again.scored, teacher.loads) == (96, 0, 1)
    assert np.array_equal(again.logits, first.logits)


def test_no_pairs_are_no_work(tiny_teacher: Path) -> None:
    teacher = Reading(tiny_teacher)
    found = run(teacher, np.empty((0, 2), dtype=np.int64))
    assert (found.logits.shape, found.requested, found.scored, teacher.loads) == ((0,), 0, 0, 0)


def test_the_same_text_under_another_id_is_known(tiny_teacher: Path) -> None:
    teacher = Reading(tiny_teacher)
    first = run(teacher, PAIRS[:12])
    with ScoreCache.open(IDENTITY) as cache:
        moved = np.array([(1, 11 - document) for document in range(12)])
        found = score(cache, None, ["x", QUERIES[0]], DOCUMENTS[::-1], moved, batch_size=8, description="")
        other = score(cache, None, ["x"], DOCUMENTS, np.array([(0, 0)]), batch_size=8, description="")
    assert np.isnan(other.logits).all() and (other.requested, other.scored) == (1, 0)
    assert np.array_equal(found.logits, first.logits) and found.scored == 0


def test_the_order_of_the_pairs_does_not_matter(
    tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(Reading(tiny_teacher)).logits
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "other"))
    order = np.random.default_rng(0).permutation(len(PAIRS))
    other = run(Reading(tiny_teacher), PAIRS[order])
    assert other.scored == 96
    np.testing.assert_allclose(other.logits, first[order], atol=1e-5)
    assert np.array_equal(run(None, PAIRS[order]).logits, other.logits)


def test_without_a_teacher_missing_pairs_are_nan(tiny_teacher: Path) -> None:
    known = run(Reading(tiny_teacher), PAIRS[:10])
    found = run(None)
    assert (found.requested, found.scored) == (96, 0)
    assert np.array_equal(found.logits[:10], known.logits)
    assert np.isnan(found.logits[10:]).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_teacher_that_gives_no_number_is_named_with_the_pair(tiny_teacher: Path, value: float) -> None:
    teacher = Reading(tiny_teacher)
    calls = 0

    def break_the_third() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            with torch.no_grad():
                teacher.encoder.model.classifier.bias.fill_(value)

    teacher.before = break_the_third
    with pytest.raises(ModelError, match="gives a score that is NaN or infinite") as caught:
        run(teacher)
    read = [teacher.asked[start : start + LOST_AT_MOST] for start in range(0, len(teacher.asked), LOST_AT_MOST)]
    assert len(read) == 3 and caught.value.found == read[2][0] and caught.value.where == str(tiny_teacher)
    place = {pair: row for row, pair in enumerate(texts(PAIRS))}
    known = ~np.isnan(run(None).logits)
    assert set(np.flatnonzero(known)) == {place[pair] for batch in read[:2] for pair in batch}


CHILD = """
import os, signal, sys
from pathlib import Path
from tests.candidates.scores.test_scoring import Reading, run
teacher = Reading(Path(sys.argv[1]))
left = int(sys.argv[2])
def before():
    global left
    print(len(teacher.asked), flush=True)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
teacher.before = before
found = run(teacher)
Path(sys.argv[3]).write_bytes(found.logits.tobytes())
print(found.scored, flush=True)
"""


def child(folder: Path, batches: int, out: Path) -> subprocess.Popen[str]:
    """A process that scores all pairs and kills itself before it reads a batch beyond ``batches``."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(batches), str(out)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_bits(
    tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    for batches in (3, 4):
        process = child(tiny_teacher, batches, tmp_path / "none")
        output, _ = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL and not (tmp_path / "none").exists()
        read.append(int(output.split()[-1]))
    # Each was killed while it read one batch more: what came before is not read again.
    assert read == [3 * LOST_AT_MOST, 4 * LOST_AT_MOST]
    resumed = run(Reading(tiny_teacher))
    assert resumed.scored == len(PAIRS) - 7 * LOST_AT_MOST
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "uninterrupted"))
    whole = run(Reading(tiny_teacher))
    assert whole.scored == len(PAIRS)
    assert resumed.logits.tobytes() == whole.logits.tobytes()


@pytest.mark.slow
def test_two_processes_at_once_end_with_the_right_scores(tiny_teacher: Path, tmp_path: Path) -> None:
    teacher = Reading(tiny_teacher)
    other = child(tiny_teacher, -1, tmp_path / "other")
    assert other.stdout is not None
    assert other.stdout.readline() == "0\n"  # it begins to read
    own = run(teacher)
    output, _ = other.communicate(timeout=60)
    assert other.returncode == 0
    assert len(PAIRS) <= own.scored + int(output.split()[-1]) <= 2 * len(PAIRS)
    expected = np.concatenate([teacher.encoder.score([pair]) for pair in texts(PAIRS)])
    for found in (own.logits, np.frombuffer((tmp_path / "other").read_bytes(), np.float32), run(None).logits):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_another_process_scored_meanwhile_is_not_read_again(tiny_teacher: Path) -> None:
    teacher, other = Reading(tiny_teacher), Reading(tiny_teacher)

    def overtake() -> None:
        if not other.asked:
            run(other)

    teacher.before = overtake
    found = run(teacher)
    # It had planned all pairs; of them it reads the batch that it had begun, then finds the other's scores.
    assert (found.scored, len(other.asked)) == (LOST_AT_MOST, len(PAIRS))
    assert np.array_equal(found.logits, run(None).logits)
