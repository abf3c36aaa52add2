"""What a bomb would leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def marker(tmp_path: Path) -> Any:
    """What a bomb would make; checked after every test that asks for it."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()
