"""Titles and headings as queries."""

from __future__ import annotations

from bistill.data.made.found import Source
from bistill.data.made.titles import candidates


def queries(text: str, title: str = "") -> list[str]:
    return [found.query for found in candidates(Source(text, title))]


def test_the_title_that_a_file_has() -> None:
    source = Source("추석 추석은 명절이다.", "추석")
    (found,) = candidates(source)
    assert found == ("추석", ((0, 2),))
    assert queries("A scan of newborns. Alterations of matter.", "A scan of newborns.") == ["A scan of newborns"]


def test_a_first_line_that_is_one() -> None:
    assert queries("How soil is formed\nThere are four parts.") == ["How soil is formed"]
    assert queries("Soil is formed by rain.\nThere are four parts.") == []
    assert queries("Soil is formed by rain") == []
    assert queries(f"{'long ' * 40}\nText.") == []


def test_headings_of_markdown_and_wikis() -> None:
    text = "# 설치 안내\n\n본문이다.\n\n## 개요\n글.\n### 윈도우에서 설치하기 ##\n글.\n"
    assert queries(text) == ["설치 안내", "윈도우에서 설치하기"]
    assert queries("Text here.\n== Early life ==\nBorn.\n=== Death ===\nDied.") == ["Early life"]
    assert queries("Text here.\n\nUsing the API\n=============\nCall it.\n") == ["Using the API"]
    assert queries("a = b == c\nx == y\n#hashtag of mine\n") == ["a = b == c"]
