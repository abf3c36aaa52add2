from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bistill.data.made import korean


@pytest.fixture
def without_morphemes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without kiwipiepy."""
    monkeypatch.setattr(korean, "is_installed", lambda: False)
    korean.analysed.cache_clear()
    yield
    korean.analysed.cache_clear()


@pytest.fixture
def taken() -> Callable[[str, tuple[tuple[int, int], ...]], list[str]]:
    """The pieces of a text that spans are of."""
    return lambda text, spans: [text[start:end] for start, end in spans]
