"""The files of the page: our own, the charting library, and Korean letters for machines that have none."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from bistill import packaged
from bistill.errors import ArtifactError

PAGE: Final = "page.html"
MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}
# uPlot 1.6.31 (MIT), the bytes that npm has; the package that carries them is not trusted beyond these sums.
CARRIER: Final = "youplot"
CARRIED: Final = {
    "uPlot.js": ("uplot.iife.min.js", "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2"),
    "uPlot.css": ("uplot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
}
KOREAN_FONT: Final = "korean.ttf"
# The font has 4.3 MB; a browser keeps it for a day.
FONT_CACHE: Final = "private, max-age=86400"


class Asset(NamedTuple):
    """A file as it is sent."""

    body: bytes
    media_type: str
    cache: str = "no-store"


def load() -> dict[str, Asset]:
    """All files by the name under which the page asks for them; a fixed table, so that no path is ever looked up.

    Raises:
        ArtifactError: the package that carries the charting library is missing, or carries another file.
    """
    found = {name: _charting(*place) for name, place in CARRIED.items()}
    found |= {path.name: path.read_bytes() for path in files(__package__).joinpath("static").iterdir()}
    return {name: Asset(body, MEDIA_TYPES["." + name.rpartition(".")[2]]) for name, body in found.items()}


@cache
def korean_font() -> Asset | None:
    """NanumGothic without the tables that browsers refuse, made when a page first asks; None where it is missing."""
    from fontTools.ttLib import TTFont

    path = packaged.korean_font()
    if path is None:
        return None
    font, written = TTFont(path, lazy=True, recalcBBoxes=False, recalcTimestamp=False), io.BytesIO()
    for table in packaged.FONT_SOURCE_TABLES.intersection(font.keys()):
        del font[table]
    font.save(written)
    return Asset(written.getvalue(), MEDIA_TYPES[".ttf"], FONT_CACHE)


def _charting(name: str, expected: str) -> bytes:
    path = packaged.find(CARRIER, "vendor", name)
    if path is None:
        what = "the package that carries the page's charting library is not installed"
        raise ArtifactError(what, where="`web`", todo="pip install 'bistill[monitor]'")
    body = path.read_bytes()
    if (found := hashlib.sha256(body).hexdigest()) != expected:
        what = f"the charting library is not the published one (sha256 {expected})"
        todo = f"pip install --force-reinstall {CARRIER}==1.0.0"
        raise ArtifactError(what, where=str(path), found=found, todo=todo)
    return body
