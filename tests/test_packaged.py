from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bistill import packaged


def test_a_file_is_found_without_importing_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "carrier_of_a_test"
    (package / "vendor").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "vendor" / "file.js").write_text("1")
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged.find("carrier_of_a_test", "vendor", "file.js") == package / "vendor" / "file.js"
    assert packaged.find("carrier_of_a_test", "vendor", "other.js") is None
    assert packaged.find("no_such_package", "file.js") is None
    assert "carrier_of_a_test" not in sys.modules
