"""Keyphrases: RAKE by hand, Korean nouns, and how they become queries."""

from __future__ import annotations

import pytest

from bistill.data.made.found import Source
from bistill.data.made.keyphrases import candidates, phrases
from bistill.data.sampling import generator


def listed(text: str, title: str = "") -> list[str]:
    return [text[start:end] for start, end in phrases(Source(text, title))]


def test_the_order_of_english_phrases_by_hand() -> None:
    # Runs: deep blue sea | blue sea | ship. Degree over frequency: deep 3/1, blue (3+2)/2, sea (3+2)/2, ship 1/1.
    # deep blue sea 3 + 2.5 + 2.5 = 8, blue sea 5, ship 1 + ln 2 (it stands twice).
    assert listed("The deep blue sea is under a ship. A blue sea, the ship.") == ["deep blue sea", "blue sea", "ship"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("genes normally expressed in mice", ["mice", "genes"]),
        ("about 14.7-kilodalton proteins of 3.5 and .077", ["14.7-kilodalton proteins"]),
        ("the very large number of green tea extract pills", ["green tea extract pills"[6:], "large number"]),
        ("tea tea, and", []),
        ("Activin/Nodal signalling", ["Activin/Nodal signalling"]),
    ],
)
def test_what_a_phrase_is(text: str, expected: list[str]) -> None:
    assert sorted(listed(text)) == sorted(expected)


def test_korean_phrases_are_nouns_side_by_side_and_end_with_the_title() -> None:
    pytest.importorskip("kiwipiepy")
    found = listed("유도 유도는 일본 고베의 스포츠이다.", "유도")
    assert sorted(found) == ["스포츠", "유도", "일본 고베"] and found[0] == "일본 고베"


@pytest.mark.usefixtures("without_morphemes")
def test_korean_phrases_without_morphemes() -> None:
    assert listed("유도의 수련은 미카게에서 시작되었다.") == ["유도", "수련", "미카게"]


def test_queries_are_up_to_three_phrases_in_the_order_of_the_text() -> None:
    text = "Kidney beans contain magnesium salts. Cooked carrots have fiber. Sweet potatoes like brown sugar in winter."
    known = listed(text)
    drawn = [found for seed in range(60) for found in candidates(Source(text), generator(seed, "x"))]
    assert {len(found.spans) for found in drawn} == {1, 2, 3}
    for found in drawn:
        pieces = [text[start:end].rstrip(".") for start, end in found.spans]
        assert found.query == " ".join(pieces) and {*pieces} <= {*known}
        assert list(found.spans) == sorted(found.spans)
    first = [found.query for found in drawn if len(found.spans) == 1]
    assert first.count(known[0]) > first.count(known[3])


def test_a_korean_phrase_is_taken_out_with_its_particle() -> None:
    pytest.importorskip("kiwipiepy")
    text = "유도는 일본 고베에서 시작된 스포츠이다."
    drawn = {found for seed in range(20) for found in candidates(Source(text), generator(seed, "x"))}
    assert ("유도 일본 고베", ((0, 3), (4, 11))) in drawn
    assert all(" " in found.query for found in drawn)


def test_no_phrase_gives_no_query() -> None:
    assert list(candidates(Source("It is what it was."), generator(0, "x"))) == []
