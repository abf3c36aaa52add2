from __future__ import annotations

from pathlib import Path

import pytest

from bistill import hub
from bistill.data.read import hugging_face
from bistill.data.settings import RowReading
from bistill.errors import ArtifactError, DataError
from tests import hub as hubs


def test_a_data_set_of_a_hub_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.silent() as address:
        hubs.use(monkeypatch, address, tmp_path)
        assert hub.silence(seconds=0.3) and address.connected()
        with pytest.raises(DataError, match=rf"cannot be loaded \({address}: no answer within 0\.3 s\)"):
            hugging_face.load("owner/questions", RowReading())
        assert address.left_alone()


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match="set BISTILL_CACHE to a folder that can be written"):
        hugging_face.load("owner/questions", RowReading())
