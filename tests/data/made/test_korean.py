"""Nouns and particles of Korean, with morphemes and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bistill.data.made import korean
from bistill.data.made.korean import analysed, by_endings

Taken = Callable[[str, tuple[tuple[int, int], ...]], list[str]]
TEXT = "유도의 수련은 일본 고베 근처의 해변 마을인 미카게에서 시작되었습니다."


def test_nouns_and_particles_by_morphemes(taken: Taken) -> None:
    pytest.importorskip("kiwipiepy")
    nouns, particles = analysed(TEXT)
    assert taken(TEXT, nouns) == ["유도", "수련", "일본", "고베", "근처", "해변", "마을", "미카게"]
    assert taken(TEXT, particles) == ["의", "은", "의", "에서"]


def test_roots_of_verbs_vague_nouns_and_parts_of_names_are_no_nouns(taken: Taken) -> None:
    pytest.importorskip("kiwipiepy")
    text = "1971년 이후 회사가 설립되는 경우 의회는 그것을 결정한다"
    assert taken(text, analysed(text).nouns) == ["회사", "의회"]


@pytest.mark.usefixtures("without_morphemes")
def test_nouns_and_particles_by_endings(taken: Taken) -> None:
    assert korean.version() == "endings"
    assert analysed(TEXT) == by_endings(TEXT)
    nouns, particles = analysed(TEXT)
    assert taken(TEXT, nouns) == ["유도", "수련", "근처", "미카게"]
    assert taken(TEXT, particles) == ["의", "은", "의", "에서"]


def test_english_has_none() -> None:
    assert analysed("Seoul is a city of 서") == analysed("Seoul is a city of 서")
    assert analysed("Seoul is a city.") == ((), ())


def test_an_analyser_that_names_wrong_places_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Token:
        def __init__(self, form: str, tag: str, start: int) -> None:
            self.form, self.tag, self.start, self.len = form, tag, start, len(form)

    class Analyser:
        def tokenize(self, text: str) -> list[Token]:
            return [Token("수련", "NNG", 0), Token("은", "JX", 6)]

    monkeypatch.setattr(korean, "is_installed", lambda: True)
    monkeypatch.setattr(korean, "analyser", Analyser)
    analysed.cache_clear()
    assert analysed(TEXT) == by_endings(TEXT)
    analysed.cache_clear()


def test_a_long_text_is_analysed_to_its_limit(taken: Taken) -> None:
    text = "서울에서 " * 5_000
    nouns, particles = analysed(text)
    assert nouns[-1][1] <= particles[-1][1] <= korean.LONGEST
    assert {*taken(text, nouns)} == {"서울"}
