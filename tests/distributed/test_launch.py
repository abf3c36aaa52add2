from __future__ import annotations

import os

import pytest

from bistill.distributed import launch
from bistill.distributed.launch import Launch
from bistill.errors import OptionError

TOLD = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "first", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TOLD, "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def test_what_a_launcher_tells() -> None:
    assert launch.launch() == Launch(rank=5, size=8, local_rank=1, address="first", local_size=2)


@pytest.mark.parametrize("name", ["LOCAL_RANK", "WORLD_SIZE"])
def test_a_process_that_is_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system may tell WORLD_SIZE without having launched anything."""
    if name == "LOCAL_RANK":
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, "1")
    assert launch.launch() is None


@pytest.mark.parametrize(("name", "value", "said"), [("MASTER_ADDR", None, "no MASTER_ADDR"), ("RANK", "x", "'x'")])
def test_a_launcher_that_tells_too_little(
    name: str, value: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=said):
        launch.launch()


def test_nothing_is_left_by_which_a_library_would_take_the_process_for_one_of_several() -> None:
    launch.forget()
    assert not {*TOLD, "LOCAL_WORLD_SIZE"} & os.environ.keys()
