from __future__ import annotations

import importlib.metadata
import io
import re
import sys
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from bistill import packaged
from bistill.errors import ArtifactError
from bistill.monitor.web import assets


def test_the_page_asks_only_for_what_is_there() -> None:
    found = assets.load()
    texts = {name: asset.body.decode() for name, asset in found.items() if not name.startswith("uPlot")}
    asked = {name for text in texts.values() for name in re.findall(r'(?:/static/|from "\./)([\w.]+)', text)}
    assert asked - {assets.KOREAN_FONT} == found.keys() - {assets.PAGE}
    kinds = {asset.media_type.split(";")[0] for asset in found.values()}
    assert kinds == {"text/html", "text/javascript", "text/css", "image/svg+xml"}


def test_our_own_files_name_no_other_host_and_make_no_markup() -> None:
    for name, asset in assets.load().items():
        text = asset.body.decode().replace("http://www.w3.org/2000/svg", "")
        if name not in assets.CARRIED:
            assert not re.search(r"https?:|//[a-z]+\.|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        if name.endswith(".html"):
            assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", text)


def test_the_carrier_is_pinned_and_its_code_is_never_run() -> None:
    assets.load()
    assert importlib.metadata.version(assets.CARRIER) == "1.0.0"
    assert assets.CARRIER not in sys.modules


def test_a_charting_library_that_is_missing_or_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find", lambda *_: None)
    with pytest.raises(ArtifactError, match=r"pip install 'bistill\[monitor\]'"):
        assets.load()
    other = tmp_path / "uPlot.js"
    other.write_text("var uPlot;")
    monkeypatch.setattr(packaged, "find", lambda *_: other)
    with pytest.raises(ArtifactError, match="not the published one"):
        assets.load()


def test_the_korean_font_is_one_that_browsers_take() -> None:
    asset = assets.korean_font()
    assert asset is not None and asset.media_type == "font/ttf"
    font = TTFont(io.BytesIO(asset.body), lazy=True)
    assert not packaged.FONT_SOURCE_TABLES & set(font.keys())
    assert {ord("가"), ord("힣")} <= font.getBestCmap().keys()
