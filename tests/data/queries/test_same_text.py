from __future__ import annotations

import random
import unicodedata

import pytest

from bistill.data.queries.same_text import (
    LONGEST_RUN,
    is_blank,
    normalised_form,
    same_text,
    text_key,
    without_invisible,
)

SAME = [
    ("Seoul is the capital", "seoul  IS\nthe\tcapital "),
    ("서울은 수도다", unicodedata.normalize("NFD", "서울은 수도다")),
    ("서울은 수도다", "서울은\u3000수도다"),
    ("서울은 수도다", "\ufeff서울\u200b은 수\u2060도다"),
    ("ABC 12", "ＡＢＣ　１２"),
    ("ガス", "ｶﾞｽ"),
    ("한글", "한글\u3164"),
    ("café", "CAFE\u0301"),
    ("e\u0301", "e\u200b\u0301"),
    ("STRASSE", "straße"),
    ("co\u00adoperate", "cooperate"),
    ("\u1e9e", "SS"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_form_case_width_invisible_characters_and_blanks_make_no_difference(left: str, right: str) -> None:
    assert same_text(left) == same_text(right)
    assert text_key(left) == text_key(right)
    assert len(text_key(left)) == 8


@pytest.mark.parametrize(
    ("left", "right"),
    [("x²", "x2"), ("C#", "C"), ("-1", "1"), ("yes.", "yes"), ("re sign", "resign"), ("①", "1"), ("가", "나")],
)
def test_what_a_reader_can_tell_apart_stays_apart(left: str, right: str) -> None:
    assert same_text(left) != same_text(right)
    assert text_key(left) != text_key(right)


def test_folding_again_changes_nothing() -> None:
    letters = "aÀß가나ﾡ\u1100\u1161\u11a8ＡＺｶﾞ\u200b\u0301\u0345İ \u3000\n²①\u2800"
    choose = random.Random(1)
    for _ in range(2000):
        text = "".join(choose.choices(letters, k=choose.randint(0, 8)))
        assert same_text(same_text(text)) == same_text(text), ascii(text)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\ufeff\n", "\u3164\u3000", "\u00ad\u2060", "\u2800", "\x00"])
def test_blank_is_what_nobody_can_see(text: str) -> None:
    assert is_blank(text)
    assert same_text(text) == ""


@pytest.mark.parametrize("text", ["a", "\u200b.", "👍\ufe0f", "가"])
def test_one_visible_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_invisible_characters_are_taken_out_and_nothing_else() -> None:
    assert without_invisible("\ufeffque\u200bry") == "query"
    assert without_invisible("a\tb\nc") == "a\tb\nc"
    assert without_invisible("plain") == "plain"


def test_marks_of_a_letter_are_sorted_in_runs_that_stay_short() -> None:
    """Sorting all 5,000 in one run by insertion would take time that grows with their square."""
    draw = random.Random(5)
    marks = "".join(draw.choice("\u0301\u0323\u0327") for _ in range(5000))
    for form in ("NFC", "NFKC"):
        found = normalised_form(form, "a" + marks)  # type: ignore[arg-type]
        runs = [sum(map(bool, map(unicodedata.combining, run))) for run in found.split("\u034f")]
        assert max(runs) <= LONGEST_RUN and sum(runs) >= len(marks) - 2
    text = "é 각 e\u0301\u0323 " * 300
    assert normalised_form("NFC", text) == unicodedata.normalize("NFC", text)
    assert same_text(unicodedata.normalize("NFD", text)) == same_text(text)
