from __future__ import annotations

from pathlib import Path

import pytest

from bistill.monitor.commanded import Commanded
from bistill.monitor.runs import Runs


@pytest.mark.parametrize("writable", [True, False])
def test_a_command_is_watched_with_and_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    cache = tmp_path / "cache"
    if not writable:
        cache.write_text("no folder")
    monkeypatch.setenv("BISTILL_CACHE", str(cache))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    commanded = Commanded(["echo", "said by the command"], Runs(tmp_path / "models"))
    commanded.child.wait(timeout=30)
    assert commanded.last_words().startswith("said by the command\n")
    assert commanded.output.is_relative_to(cache) == writable
