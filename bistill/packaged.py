"""Files that other installed packages carry, found without importing the packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

# Tables of the program that the Korean font was drawn with; of no use to who reads, and browsers refuse them.
FONT_SOURCE_TABLES: Final = frozenset({"TSI0", "TSI1", "TSI2", "TSI3", "TSI5"})


def find(package: str, *parts: str) -> Path | None:
    """Path of a file that an installed package carries, or None where the package or the file is missing.

    The package is only searched for: importing may cost seconds, change settings of the whole process, or run code that
    nobody here has read.

    Args:
        package: name as in an import statement, without a dot.
        parts: the file's path inside the package's folder.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*parts)
    return path if path.is_file() else None


def korean_font() -> Path | None:
    """NanumGothic (SIL OFL) as koreanize-matplotlib ships it; importing that package changes matplotlib's settings."""
    return find("koreanize_matplotlib", "fonts", "NanumGothic.ttf")
