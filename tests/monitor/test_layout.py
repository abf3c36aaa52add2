"""Lines in little room."""

from __future__ import annotations

from rich.text import Text

from bistill.monitor import layout
from bistill.monitor.layout import Section, beside, ending, fitted, headed, rule


def section(letter: str, lines: int, least: int) -> Section:
    return Section([Text(f"{letter}{number}") for number in range(lines)], least)


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_each_section_gets_its_least_before_any_gets_more() -> None:
    sections = [section("a", 3, 1), section("b", 1, 1), section("c", 4, 2)]
    assert plain(fitted(sections, 2)) == ["a0", "b0"]
    assert plain(fitted(sections, 4)) == ["a0", "b0", "c0", "c1"]
    assert plain(fitted(sections, 7)) == ["a0", "a1", "a2", "b0", "c0", "c1", "c2"]
    assert plain(fitted(sections, 99)) == ["a0", "a1", "a2", "b0", "c0", "c1", "c2", "c3"]
    assert fitted(sections, -1) == []


def test_side_by_side() -> None:
    both = beside(section("a", 1, 1), section("b", 2, 2), 4, 8)
    assert plain(both.lines) == ["a0    b0", "      b1"] and both.least == 2


def test_headings_and_rules() -> None:
    assert rule("한국어", 14, "").plain == "── 한국어 ────"
    assert rule("longer than it", 9, "").cell_len == 9
    assert plain(headed("a", section("a", 1, 1), 8, roomy=True).lines) == ["── a ───", "a0"]
    assert plain(headed("a", section("a", 1, 1), 8, roomy=False).lines) == ["a0"]
    assert headed("a", section("a", 0, 0), 8, roomy=True).lines == []


def test_the_end_of_a_text() -> None:
    assert ending("models/run", 10) == "models/run"
    assert ending("models/run", 6) == "…s/run"
    assert ending("모델/학생", 6) == "…/학생"
    assert ending("모델/학생", 5) == "…학생"
    assert ending("모델/학생", 4) == "…생"  # a wide letter that would not fit whole


def test_a_long_line_is_broken_between_words_and_cut_after_the_last_row() -> None:
    def rows(text: str, width: int, most: int) -> list[str]:
        found = layout.wrapped(Text(text), width, most)
        assert max(row.cell_len for row in found) <= width
        return [row.plain for row in found]

    assert rows("one two", 10, 3) == ["one two"]
    assert rows("one two three four", 8, 3) == ["one two", "three", "four"]
    assert rows("one two three four", 8, 2) == ["one two", "three f…"]
    assert rows("/a/path/without/blanks", 8, 2) == ["/a/path/", "without…"]
    assert rows("한국어 오류 메시지", 8, 3) == ["한국어", "오류", "메시지"]
