"""The queries of one document."""

from __future__ import annotations

from collections import Counter

import pytest

from bistill.data.made.found import Source
from bistill.data.made.making import LONGEST, MOST_WORDS, Made, made_from, order_of
from bistill.data.made.mistakes import CHANGES
from bistill.data.queries import taken_out
from bistill.data.queries.same_text import same_text
from bistill.data.queries.taken_out import left_without
from bistill.data.settings import MadeKind, Making
from bistill.errors import OptionError

TEXT = (
    "Kidney beans Kidney beans contain magnesium and are a source of protein for the people of the coast. "
    "How are kidney beans cooked in winter? Cooked carrots increase the fiber in a diet of the old. "
    "Sweet potatoes taste good with brown sugar and with butter in the long nights of winter."
)
SOURCE = Source(TEXT, "Kidney beans")
ALL: tuple[MadeKind, ...] = ("titles", "questions", "sentences", "spans", "keyphrases")


def left(one: Made) -> str:
    spans = taken_out.read(one.taken_out)
    assert spans
    return left_without(one.source, spans)


def plain(**settings: object) -> Making:
    return Making(**{"typed": 0.0, "taken_out": 0.0, **settings})  # type: ignore[arg-type]


def test_every_kind_is_found_and_a_query_of_a_kind_stands_in_the_document() -> None:
    made = list(made_from(SOURCE, plain(each=40)))
    assert {one.kind for one in made} == {*ALL}
    assert [one.query for one in made if one.kind == "titles"] == ["Kidney beans"]
    assert [one.query for one in made if one.kind == "questions"] == ["How are kidney beans cooked in winter?"]
    assert len({same_text(one.query) for one in made}) == len(made)
    for one in made:
        assert one.source == TEXT and one.taken_out == "" and one.typed == ""
        pieces = one.query.split() if one.kind == "keyphrases" else [one.query]
        assert all(piece in TEXT for piece in pieces)
        assert len(one.query) <= LONGEST and len(one.query.split()) <= MOST_WORDS


def test_a_query_depends_on_seed_and_text_alone_and_fewer_are_the_first() -> None:
    making = Making(each=8)
    made = list(made_from(SOURCE, making))
    list(made_from(Source("Something else was asked about in between."), making))
    assert list(made_from(SOURCE, making)) == made
    assert list(made_from(SOURCE, Making(each=3))) == made[:3]
    assert list(made_from(SOURCE, Making(each=8, seed=43))) != made
    assert [order_of(one.source, place, 42) for place, one in enumerate(made)] == sorted(
        order_of(one.source, place, 42) for place, one in enumerate(made)
    )


def test_kinds_are_drawn_by_their_shares() -> None:
    making = plain(kinds=("spans", "keyphrases"), shares=(3, 1))
    counts = Counter(
        one.kind for number in range(600) for one in made_from(Source(f"{TEXT} Number {number} it is."), making)
    )
    assert sum(counts.values()) == 600
    assert counts["spans"] / 600 == pytest.approx(0.75, abs=0.06)  # 3.4 standard deviations
    none_of_one = plain(kinds=("spans", "titles"), shares=(1, 0), each=5)
    assert {one.kind for one in made_from(SOURCE, none_of_one)} == {"spans"}


def test_what_a_query_is_taken_out_of_is_the_document_without_it() -> None:
    made = list(made_from(SOURCE, plain(each=40, taken_out=1.0)))
    title = next(one for one in made if one.kind == "titles")
    assert left(title) == TEXT[len("Kidney beans ") :]
    question = next(one for one in made if one.kind == "questions")
    assert left(question) == TEXT.replace("How are kidney beans cooked in winter? ", "")
    for one in made:
        if one.kind in ("sentences", "spans"):
            assert one.query not in left(one) and 0.5 * len(TEXT) < len(left(one)) < len(TEXT)


def test_a_document_that_would_be_too_short_stays_whole() -> None:
    text = "Sweet potatoes taste good with sugar. Carrots are cheap."
    made = list(made_from(Source(text), plain(each=20, taken_out=1.0)))
    assert made and {one.taken_out for one in made} == {""}


def test_a_query_that_is_most_of_its_document_and_an_address_are_none() -> None:
    assert list(made_from(Source("Sweet potatoes taste good with sugar."), plain(kinds=("sentences",)))) == []
    assert list(made_from(Source("서울"), plain())) == []
    text = "See our site https://example.com/a/b and www.example.com/c for all of the many further details there"
    made = list(made_from(Source(text), plain(kinds=("spans",), each=20)))
    assert not any("://" in one.query or "www." in one.query for one in made)
    assert list(made_from(Source("3.4 5.6 7.8 9.1 2.2 3.3 4.4 5.5 6.6 7.7 8.8 9.9 1.1 2.2"), plain())) == []


def test_shares_of_typed_and_taken_out_queries() -> None:
    sources = [Source(f"{TEXT} Number {number} it is.", "Kidney beans") for number in range(600)]
    made = [one for source in sources for one in made_from(source, Making(kinds=("titles",), typed=0.25))]
    assert len(made) == 600
    assert sum(bool(one.typed) for one in made) / 600 == pytest.approx(0.25, abs=0.06)  # 3.4 standard deviations
    assert sum(bool(one.taken_out) for one in made) / 600 == pytest.approx(0.5, abs=0.07)
    assert {name for one in made for name in one.typed.split()} <= {*CHANGES}
    assert {one.query for one in made if not one.typed} == {"Kidney beans"}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"kinds": ()}, "each kind of query is named once"),
        ({"kinds": ("spans", "spans")}, "each kind of query is named once"),
        ({"kinds": ("spans",), "shares": (1, 2)}, "1 kinds of queries need as many shares"),
        ({"kinds": ("spans",), "shares": (0,)}, "not all of them 0"),
        ({"kinds": ("words",)}, "`Making.kinds`"),
        ({"shares": (-1, 1, 1, 1, 1)}, "out of range"),
    ],
)
def test_settings_that_say_nothing(settings: dict[str, object], what: str) -> None:
    with pytest.raises(OptionError, match=what):
        Making(**settings)  # type: ignore[arg-type]
