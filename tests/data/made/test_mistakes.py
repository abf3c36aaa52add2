"""Queries as people type them."""

from __future__ import annotations

import unicodedata

import pytest

from bistill.data.made.keyboard import KOREAN, LATIN, korean_slip, latin_slip
from bistill.data.made.mistakes import CHANGES, typed
from bistill.data.sampling import generator


def outcomes(name: str, text: str) -> set[str]:
    return {CHANGES[name](text, generator(seed, "x")) for seed in range(200)}


def edits(left: str, right: str) -> int:
    """Edit distance in which two neighbours that change places are one edit (optimal string alignment)."""
    rows = [list(range(len(right) + 1))]
    for i in range(1, len(left) + 1):
        rows.append([i] + [0] * len(right))
        for j in range(1, len(right) + 1):
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (left[i - 1] != right[j - 1]))
            if i > 1 and j > 1 and left[i - 1] == right[j - 2] and left[i - 2] == right[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def test_stop_words_are_left_out_first() -> None:
    found = outcomes("words", "the capital of the republic")
    assert "capital republic" in found and found <= {
        " ".join(word for word in ("the", "capital", "of", "the", "republic") if word not in gone or keep)
        for gone in ((), ("the",), ("of",), ("the", "of"))
        for keep in (False,)
    } | {
        "the capital republic",
        "capital the republic",
        "capital of republic",
        "the capital of republic",
        "capital of the republic",
    }
    assert outcomes("words", "where is the sea") == {"where sea", "where is sea", "where the sea", "where is the sea"}
    assert outcomes("words", "서울 부산 대구 광주") == {
        "부산 대구 광주",
        "서울 대구 광주",
        "서울 부산 광주",
        "서울 부산 대구",
    }
    assert outcomes("words", "서울 부산 대구") == {"서울 부산 대구"}


def test_particles_are_dropped_and_words_stay() -> None:
    pytest.importorskip("kiwipiepy")
    found = outcomes("particles", "한국의 수도는 서울이다")
    assert found == {"한국의 수도는 서울이다", "한국 수도는 서울이다", "한국의 수도 서울이다", "한국 수도 서울이다"}
    assert outcomes("particles", "capital of Korea") == {"capital of Korea"}


def test_blanks_between_korean_words_are_dropped() -> None:
    assert outcomes("spacing", "대전 관광 명소") == {"대전관광 명소", "대전 관광명소", "대전관광명소"}
    assert outcomes("spacing", "new York") == {"new York"}


def test_a_slip_on_the_latin_keyboard_is_one_edit_behind_the_first_letter() -> None:
    found = {latin_slip("thread", generator(seed, "x")) for seed in range(400)}
    assert {"htread", "hread"}.isdisjoint(found) and {"trhead", "tread", "thrread"} <= found and len(found) > 20
    assert all(word[0] == "t" and edits("thread", word) <= 1 for word in found)
    assert {*LATIN["s"]} == set("adwezx") and {*LATIN["p"]} == set("ol")


def test_slips_on_the_korean_keyboard_are_of_letters() -> None:
    def slips(syllable: str, following: str) -> set[tuple[str, str]]:
        return {korean_slip(syllable, following, generator(seed, "x")) for seed in range(400)}

    assert {*KOREAN["ㅏ"]} == set("ㅓㅣㅑㅐㅡ") and {*KOREAN["ㄱ"]} == set("ㄷㅅㄹㅇ")
    eaten = slips("먹", "어")
    assert ("머", "거") in eaten  # the consonant moved
    assert ("머", "어") in eaten  # it was left out
    assert ("덱", "어") not in eaten and ("넉", "어") in eaten
    assert ("되", "") in slips("돼", "") and ("햇", " ") in slips("했", " ") and ("게", "") in slips("개", "")
    for syllable, following in eaten:
        letters = unicodedata.normalize("NFD", syllable + following)
        assert edits(unicodedata.normalize("NFD", "먹어"), letters) in (1, 2)


def test_a_typed_query_says_what_was_changed() -> None:
    pytest.importorskip("kiwipiepy")
    for query in ("How do I wait for the thread?", "한국의 수도는 어디에 있나요?"):
        found = {typed(query, generator(seed, "x")) for seed in range(100)}
        assert len(found) > 20
        for text, names in found:
            assert 1 <= len(names.split()) <= 2 and {*names.split()} <= {*CHANGES}
            assert text.casefold() != query.casefold().rstrip("?") and text == text.lower() and not text.endswith("?")
    assert typed("1984", generator(0, "x")) == ("1984", "")
    assert typed("한국의 수도", generator(3, "x")) == typed("한국의 수도", generator(3, "x"))
