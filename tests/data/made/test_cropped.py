"""Cropped spans."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from bistill.data.made.cropped import candidates
from bistill.data.made.found import Source
from bistill.data.sampling import generator

ENGLISH = (
    "Kidney beans contain magnesium and are a great source of protein and fiber for the people of the coast. "
    "Cooked carrots increase the fiber in a diet, while sweet potatoes taste good with brown sugar in winter."
)
KOREAN = (
    "백악관과 펜타곤을 포함한 미국의 주요 정부 기관이 워싱턴 안에 있다. "
    "상원 의석은 없으나 표결권이 없는 대표를 하원에 파견한다."
)


@pytest.mark.parametrize("text", [ENGLISH, KOREAN])
def test_spans_stand_in_one_sentence_and_have_4_to_12_words(text: str) -> None:
    drawn = [found for seed in range(16) for found in candidates(Source(text), generator(seed, "x"))]
    assert len({found.query for found in drawn}) > 30
    for found in drawn:
        assert found.query in text and 4 <= len(found.query.split()) <= 12
        assert not re.search(r"[.] ", found.query)
        ((start, end),) = found.spans
        assert found.query in text[start:end]
    assert {len(found.query.split()) for found in drawn} >= set(range(4, 10))


def test_words_without_a_meaning_do_not_stand_at_the_ends() -> None:
    for seed in range(40):
        for found in candidates(Source(ENGLISH), generator(seed, "x")):
            assert not {found.query.split()[0].lower(), found.query.split()[-1]} & {
                "the",
                "of",
                "a",
                "and",
                "for",
                "in",
            }


def test_a_particle_at_the_end_is_left_out(without_morphemes: None) -> None:
    found = candidates(Source("하나 둘셋 넷다섯 여섯일곱을"), generator(0, "x"))
    assert {own.query for own in found} == {"하나 둘셋 넷다섯 여섯일곱"}


def test_the_same_chance_gives_the_same_spans_and_short_texts_none() -> None:
    twice = [list(islice(candidates(Source(KOREAN), generator(7, "x")), 5)) for _ in range(2)]
    assert twice[0] == twice[1] and len(twice[0]) == 5
    assert list(candidates(Source("세 단어 문장. 또 세 단어."), generator(7, "x"))) == []
