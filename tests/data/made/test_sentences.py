"""Sentences: where they end, that nothing of a text is lost, and which of them are queries."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from bistill.data.made.found import Source
from bistill.data.made.sentences import candidates, parts, sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Seoul is big.", "Busan is a port!", "Is it?", "Yes."],
        ["수도는 서울이다.", "부산은 항구다!", "그런가요?", "네…"],
        ["Dr. Kim met J. Smith at 5 p.m. in Washington D.C. on Monday.", "Then he left."],
        ["It grew by 3.5 percent, e.g. in Korea.", "See Fig. 3 for more."],
        ["“가자.” 라고 말했다.", "그는 갔다."],
        ["“가자.”", "그는 갔다."],
        ["그는 (잠시.) 멈췄다.", "끝."],
        ["1. 첫째 항목", "2. 둘째 항목", "3. 셋째 항목"],
        ["これは文です。", "次の文です。"],
    ],
    ids=lambda expected: expected[0][:12],
)
def test_where_sentences_end(expected: list[str]) -> None:
    glue = "\n" if expected[0].startswith("1.") else "" if "。" in expected[0] else " "
    assert cut(glue.join(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cells were seen.A line scan was used.", ["Cells were seen.", "A line scan was used."]),
        ("Made in the ER.This assay was of 2000.A total.", ["Made in the ER.", "This assay was of 2000.", "A total."]),
        ('A "cork in a bottle."Obstruction ends.', ['A "cork in a bottle."', "Obstruction ends."]),
        ("Node C.H.Fi by J.Smith in version 2.5.", ["Node C.H.Fi by J.Smith in version 2.5."]),
        ("서울이다.그러나 아니다.", ["서울이다.", "그러나 아니다."]),
        ("Use node.js or www.Example.com today.", ["Use node.js or www.Example.com today."]),
        ("A line that is\nwrapped hard.\nAnother one.", ["A line that is\nwrapped hard.", "Another one."]),
    ],
)
def test_sentences_without_a_blank_between_them_and_lines(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


PITFALLS = {
    "numbered lines": "1. 하나\n2. 둘\n3. 셋",
    "initials": "그는 C.H.Fi 회사의 J. R. R. Tolkien이다. 끝.",
    "an unclosed quote": "그는 “가자고 말했다. 그리고 갔다. '누가 알까? 아무도.",
    "no full stop": "가나다라마바사아" * 5_000,
    "no full stop, with blanks": "가나다 라마바 " * 6_000,
    "only full stops": "." * 40_000,
    "only quotes": '"' * 40_000,
    "a zero-width space": "앞\u200b문장이다.\u200b 뒤\u200b문장이다.\u200b",
    "a quoting verb": "“이것은 좋다.” 라고 그가 말했다. “왜?” 하고 물었다.",
    "line ends": "a.\r\nb.\rc.\n\n\nd",
}


@pytest.mark.parametrize("name", PITFALLS)
def test_nothing_is_lost_and_the_time_is_short(name: str) -> None:
    text = PITFALLS[name]
    began = time.monotonic()
    found = sentences(text)
    assert time.monotonic() - began < 10
    assert "".join("".join(text[start:end].split()) for start, end in found) == "".join(text.split())
    assert all(here[1] <= there[0] for here, there in pairwise(found))
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in found)


def test_what_they_make_of_the_hard_cases() -> None:
    assert cut(PITFALLS["numbered lines"]) == ["1. 하나", "2. 둘", "3. 셋"]
    assert cut(PITFALLS["initials"]) == ["그는 C.H.Fi 회사의 J. R. R. Tolkien이다.", "끝."]
    assert cut(PITFALLS["a quoting verb"]) == ["“이것은 좋다.” 라고 그가 말했다.", "“왜?” 하고 물었다."]
    assert cut(PITFALLS["line ends"]) == ["a.", "b.", "c.", "d"]
    assert len(cut(PITFALLS["no full stop"])) == 1


def test_a_title_is_a_part_of_its_own() -> None:
    source = Source("Green tea Green tea is safe. It is green.", "Green tea")
    assert [source.text[start:end] for start, end in parts(source)] == [
        "Green tea",
        "Green tea is safe.",
        "It is green.",
    ]
    assert [found.query for found in candidates(source)] == ["Green tea is safe"]


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("However, the cells grow in culture.", ["the cells grow in culture"]),
        ("RESULTS Mice grew in every cage.", ["Mice grew in every cage"]),
        ("These cells grow in culture well.", []),
        ("In mice we found new large cells.", []),
        ("Is the cell found in mice?", []),
        ("Cells grow.", []),
        ("또한, 추석에는 고향에 모여 차례를 지낸다.", ["추석에는 고향에 모여 차례를 지낸다"]),
        ("그는 일찍이 수학에 관심을 가졌다.", []),
        ("이탈리아는 유럽의 남쪽 나라이다.", ["이탈리아는 유럽의 남쪽 나라이다"]),
        (" ".join(["word"] * 17) + ".", []),
    ],
)
def test_which_sentences_are_queries(text: str, queries: list[str]) -> None:
    found = candidates(Source(text))
    assert [own.query for own in found] == queries
    assert all(own.spans == ((0, len(text)),) for own in found)
