"""Who is hired, and what is said where nobody can be."""

from __future__ import annotations

import sys

import pytest

from bistill import distributed
from bistill.distributed import hired
from bistill.errors import OptionError, ProcessError


def test_no_crew_beside_processes_of_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistill.distributed.crews.here", lambda: object())
    with pytest.raises(OptionError, match="two ways of sharing the work"), hired("local"):
        pass


def test_nobody_is_hired_without_an_address() -> None:
    with hired(None):
        assert distributed.crew() is None


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match="Ray is not installed") as raised, hired("local"):
        pass
    assert "bistill[ray]" in raised.value.todo


def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(ProcessError, match="no cluster of Ray that can be entered") as raised, hired("127.0.0.1:1"):
        pass
    assert raised.value.where == "127.0.0.1:1" and "ray start --head" in raised.value.todo
    assert distributed.crew() is None
