"""A document in ``docs/ko/`` holds the sections, code, figures and names of its English sister, and the two link."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).parents[1] / "docs"
KOREAN = sorted((DOCS / "ko").glob("*.md"))
NAMES = [path.name for path in KOREAN]
INDEXES = [DOCS / "README.md", DOCS.parent / "README.md", DOCS.parent / "README.ko.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Where English spells a number, Korean may have its digits.
SPELLED = {"half": "0.5", "one": "1", "two": "2", "three": "3", "five": "5", "ten": "10", "twelve": "12"}


class Section(NamedTuple):
    """What a heading and the text below it hold that no translation changes."""

    anchor: str
    code: list[str]
    rows: list[tuple[int, Counter[str], set[str]]]  # columns, numbers and names of each row of its tables
    numbers: Counter[str]
    names: set[str]
    words: set[str]


def slug(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(text: str) -> list[str]:
    """Of each heading but the title: its ``<a id>``, else its words."""
    found = re.findall(r'^(?:<a id="([^"]+)"></a>\n)?##+ (.+)$', without_code(text), flags=re.M)
    return [given or slug(words) for given, words in found]


def facts(text: str) -> tuple[Counter[str], set[str]]:
    """Numbers outside of names, and names: what stands between backticks. Targets of links are neither."""
    text = " ".join(LINK.sub("]", text).split())
    return Counter(re.findall(r"\d+(?:[.,]\d+)*", re.sub("`[^`]*`", "", text))), set(re.findall("`([^`]*)`", text))


def row(line: str) -> tuple[int, Counter[str], set[str]]:
    return (len(re.findall(r"(?<!\\)\|", line)), *facts(line))


def sections(text: str) -> Iterator[Section]:
    """The part before the first heading, then each section in order. Comments in code may be in either language."""
    blocks = re.split(r'^(?:<a id="[^"]+"></a>\n)?##+ .+$', text, flags=re.M)
    for anchor, block in zip(["", *anchors(text)], blocks, strict=True):
        code = [re.sub(r"(?m)(^|\s+)# .*$", "", one) for one in re.findall(r"^```.*?^```$", block, flags=re.M | re.S)]
        lines = without_code(block).splitlines()
        prose = "\n".join(line for line in lines if not line.startswith("|"))
        rows = [row(line) for line in lines if line.startswith("|")]
        yield Section(anchor, code, rows, *facts(prose), set(prose.lower().split()))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_korean_document_has_the_code_and_the_figures_of_the_english_one(name: str) -> None:
    english, korean = read(DOCS / name), read(DOCS / "ko" / name)
    assert anchors(korean) == anchors(english)
    for here, there in zip(sections(korean), sections(english), strict=True):
        place = f"section {there.anchor!r} of docs/ko/{name}"
        assert here.code == there.code, place
        assert here.rows == there.rows, place
        assert here.names == there.names, place
        spelled = {SPELLED[word] for word in there.words & SPELLED.keys()}
        assert not there.numbers - here.numbers and set(here.numbers - there.numbers) <= spelled, place


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_of_two_languages_link_to_each_other_in_their_first_lines(name: str) -> None:
    assert f"[한국어](ko/{name})" in read(DOCS / name).splitlines()[:4]
    assert f"[English](../{name})" in read(DOCS / "ko" / name).splitlines()[:4]


@pytest.mark.parametrize("path", [*KOREAN, *INDEXES], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_links_lead_somewhere_and_to_korean_where_there_is_korean(path: Path) -> None:
    text = without_code(read(path)).replace(f"[English](../{path.name})", "")
    for target in LINK.findall(text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(read(file)), target
        if path in KOREAN and file.parent == DOCS:
            assert file.name not in NAMES, f"{target} is there in Korean"


def test_the_index_names_every_document_once() -> None:
    targets = Counter(LINK.findall(read(DOCS / "README.md")))
    there = {str(path.relative_to(DOCS)) for path in [*DOCS.glob("*.md"), *KOREAN]} - {"README.md"}
    assert targets == dict.fromkeys([*there, "decisions/README.md"], 1)
