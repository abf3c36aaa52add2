from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from bistill.models.files import directories
from tests.conftest import write_tokenizer


def written(tokenizer: Any, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    directories.write_tokenizer(folder, tokenizer, 32)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_tokenizer_is_written_the_same_whether_it_was_loaded_online_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tokenizer(tmp_path)
    loaded = []
    for offline in (False, True):
        monkeypatch.setattr("transformers.tokenization_utils_base.is_offline_mode", lambda offline=offline: offline)
        loaded.append(AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=offline))
    assert [tokenizer.init_kwargs["local_files_only"] for tokenizer in loaded] == [False, True]
    online, offline = (written(tokenizer, tmp_path / name) for tokenizer, name in zip(loaded, "ab", strict=True))
    assert online == offline


def test_the_tokenizer_in_use_keeps_its_length_and_settings(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path))
    before = dict(tokenizer.init_kwargs)
    files = written(tokenizer, tmp_path / "written")
    assert (tokenizer.model_max_length, tokenizer.init_kwargs) == (64, before)
    assert b'"model_max_length": 32' in files["tokenizer_config.json"]
    assert AutoTokenizer.from_pretrained(str(tmp_path / "written")).model_max_length == 32
