"""Lines of text in the room that a terminal has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text


class Section(NamedTuple):
    """Lines about one subject.

    Attributes:
        lines: the most important first.
        least: how many of them are shown also where there is little room.
    """

    lines: list[Text]
    least: int


def rule(title: str, width: int, style: str) -> Text:
    """A title in a line across the screen."""
    line = Text.assemble(("── ", "dim"), (title, style), " ")
    line.truncate(width, overflow="ellipsis")
    line.append("─" * (width - line.cell_len), "dim")
    return line


def cut(line: Text, width: int) -> Text:
    """The line, ended by an ellipsis where it is too wide."""
    line.truncate(width, overflow="ellipsis")
    return line


def wrapped(line: Text, width: int, most: int) -> list[Text]:
    """The line in at most so many rows, broken between words; what is left over after them is cut by an ellipsis."""
    rows: list[Text] = []
    rest = line
    while rest.cell_len > width and len(rows) < most - 1:
        room = width
        while cell_len(rest.plain[:room]) > width:  # letters of two columns
            room -= 1
        at = rest.plain.rfind(" ", 0, room + 1)
        head, rest = rest.divide([at if at > 0 else room])
        rows.append(head)
        rest = rest[1:] if at > 0 else rest
    return [*rows, cut(rest, width)]


def headed(title: str, section: Section, width: int, *, roomy: bool) -> Section:
    """The section under its title, where there is room for titles and anything under them."""
    if not roomy or not section.lines:
        return section
    return Section([rule(title, width, "bold"), *section.lines], section.least + 1)


def joined(*sections: Section) -> Section:
    """Sections one below the other."""
    return Section([line for section in sections for line in section.lines], sum(section.least for section in sections))


def beside(left: Section, right: Section, left_width: int, width: int) -> Section:
    """Two sections side by side, the right one from the column after ``left_width`` and a gap on."""
    lines = []
    for place in range(max(len(left.lines), len(right.lines))):
        line = left.lines[place].copy() if place < len(left.lines) else Text()
        line.pad_right(left_width + 2 - line.cell_len)
        lines.append(cut(line.append_text(right.lines[place]) if place < len(right.lines) else line, width))
    return Section(lines, max(left.least, right.least))


def fitted(sections: Sequence[Section], rows: int) -> list[Text]:
    """Lines of the sections in their order: first the least of each, then what more there is room for."""
    counts, room = [], max(rows, 0)
    for section in sections:
        counts.append(min(section.least, len(section.lines), room))
        room -= counts[-1]
    for place, section in enumerate(sections):
        more = min(len(section.lines) - counts[place], room)
        counts[place] += more
        room -= more
    return [line for section, count in zip(sections, counts, strict=True) for line in section.lines[:count]]


def ending(text: str, width: int) -> str:
    """The end of a text, after an ellipsis where it is too wide."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"
