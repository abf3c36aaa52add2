"""Queries in their documents, and documents without them."""

from __future__ import annotations

import pytest

from bistill.data.made.found import Found, is_balanced, share_of, whole_words, within, words


@pytest.mark.parametrize(
    ("piece", "query"),
    [
        ("Seoul is a city.", "Seoul is a city"),
        ("  - Seoul  is\n a city,", "Seoul is a city"),
        ("3. How do I wait?", "How do I wait?"),
        ("(2) 환불 방법", "환불 방법"),
        ("Q: 환불이 되나요?", "환불이 되나요?"),
        ("## 설치 방법", "설치 방법"),
        ("“가자.”", "가자"),
        ('called the "Big Bang"', 'called the "Big Bang"'),
        ("자연주의 (철학)", "자연주의 (철학)"),
        ("알려져 있다.[12][3]", "알려져 있다"),
    ],
)
def test_what_nobody_types_around_a_query_is_left_out(piece: str, query: str) -> None:
    text = f"before {piece} behind"
    assert within(text, 7, 7 + len(piece)) == Found(query, ((7, 7 + len(piece)),))


@pytest.mark.parametrize(
    "piece", ["...", "- ", "in humans (n = 17", "n = 17) and others", 'he said "go', "조선()은 영토", "[3] 뒤 [4]의"]
)
def test_nothing_and_what_is_open_or_lost_are_no_queries(piece: str) -> None:
    assert within(piece, 0, len(piece)) is None


def test_brackets_close_in_their_order() -> None:
    assert is_balanced("a (b [c] d) 「e」") and is_balanced("") and is_balanced("it's")
    assert not any(map(is_balanced, ("(a]", ")(", "((a)", '"a')))


def test_words_have_a_letter_or_a_digit() -> None:
    text = "one - two,  3 ... 넷!"
    assert [text[start:end] for start, end in words(text)] == ["one", "two,", "3", "넷!"]


def test_the_share_of_pieces_counts_no_blanks() -> None:
    assert share_of("ab  cd ef", ((0, 2), (4, 6))) == pytest.approx(4 / 6)
    assert share_of("ab  cd ef", ((0, 9),)) == 1.0


def test_a_noun_goes_with_the_rest_of_its_word() -> None:
    text = "유도는 올림픽에서 인정받는다"
    assert text[slice(*whole_words(text, 4, 7))] == "올림픽에서"
    assert whole_words(text, 0, 2) == (0, 3)
