"""Commands on a small data version, each in several forms, and the result of each when nothing disturbs it."""

from __future__ import annotations

import csv
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import pin_products
from tests.faults.commands import STUDENT, TEACHER, Child, Run
from tests.training.conftest import TOPICS

# Those with LoRA validate once, at the end, so that the weights of the last update are the model; the others after each
# epoch, so that the best weights of an update long ago are.
LORA = {"use_lora": True, "lora_r": 4, "eval_steps": 1000}
FORMS = {
    "teacher": (TEACHER, {}),
    "teacher-lora": (TEACHER, LORA),
    "student": (STUDENT, {}),
    "student-lora": (STUDENT, LORA),
}
# Two negatives a query, one of them labelled and one drawn anew each epoch: 36 pairs, 6 updates an epoch.
TEACHER_OPTIONS = {"epochs": 12, "batch_size": 6, "negatives_per_positive": 2}
# Three negatives a query, drawn anew each epoch from the scored ones: 12 lists, 4 updates an epoch.
STUDENT_OPTIONS = {"epochs": 18, "batch_size": 3, "K": 4, "allow_weak_teacher": True, "weak_student": "trained"}
STEPS = 72  # of all forms


@pytest.fixture(scope="session")
def data_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the version ``tiny``."""
    root = tmp_path_factory.mktemp("preprocessed")
    (root / "tiny").mkdir()
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:]), ("test", TOPICS[8:])):
        rows = [[f"how to {word}", f"returns the {word}", f"error in {TOPICS[n]}"] for n, word in enumerate(words)]
        with (root / "tiny" / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["query", "positive", "negative"], *rows])
    return root


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of every child: its own cache, one thread, so that sums are formed in one order."""
    cache = tmp_path_factory.mktemp("cache")
    pin_products(cache)
    return {"BISTILL_CACHE": str(cache), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="session")
def children() -> Iterator[list[Child]]:
    """All processes that were started; those that still run at the end are killed."""
    started: list[Child] = []
    yield started
    for child in started:
        child.send(signal.SIGKILL)


@pytest.fixture(scope="session")
def make_run(
    data_version: Path,
    environment: dict[str, str],
    children: list[Child],
    tiny_encoder: Path,
    tiny_teacher: Path,
) -> Callable[[str, Path], Run]:
    """A form of a command (a key of ``FORMS``) by its output folder."""

    def make(form: str, output: Path) -> Run:
        script, changed = FORMS[form]
        options = {"data_version": "tiny", "data_root": data_version, "max_len": 32, "lr": 1e-3, "save_steps": 5}
        if script == TEACHER:
            options |= {"model_name": tiny_encoder, **TEACHER_OPTIONS}
        else:
            options |= {"student_name": tiny_encoder, "teacher_path": tiny_teacher, **STUDENT_OPTIONS}
        return Run(script, {**options, **changed}, output, environment, children)

    return make


@pytest.fixture(scope="session")
def undisturbed(make_run: Callable[[str, Path], Run], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A form's run that nothing interrupted, done once a session."""
    done: dict[str, Run] = {}

    def run(form: str) -> Run:
        if form not in done:
            done[form] = make_run(form, tmp_path_factory.mktemp("undisturbed") / form)
            done[form].finish()
        return done[form]

    return run


@pytest.fixture
def own_data(data_version: Path, tmp_path: Path) -> Path:
    """A copy of the data root that a test may change."""
    return Path(shutil.copytree(data_version, tmp_path / "preprocessed"))
