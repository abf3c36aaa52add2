"""What is left of a document that a query was taken out of."""

from __future__ import annotations

import pytest

from bistill.data.queries import taken_out
from bistill.data.queries.taken_out import Spans, fits, joined, left_without, written


def test_a_document_without_pieces_of_it() -> None:
    text = "서울은 한국의 수도이다.\n\n부산은 항구 도시이다. 끝"
    assert left_without(text, ((0, 13),)) == "부산은 항구 도시이다. 끝"
    assert left_without(text, ((4, 7), (15, 18))) == "서울은 수도이다. 항구 도시이다. 끝"
    assert left_without(text, ((0, len(text)),)) == ""
    assert left_without(text, ()) == text


def test_pieces_that_overlap_are_one() -> None:
    assert joined(((0, 10), (6, 8), (9, 12), (12, 14), (20, 21))) == ((0, 12), (12, 14), (20, 21))
    assert joined(()) == ()


@pytest.mark.parametrize(("spans", "cell"), [((), ""), (((12, 45),), "12-45"), (((0, 3), (3, 9)), "0-3 3-9")])
def test_a_cell_gives_what_was_written(spans: Spans, cell: str) -> None:
    assert written(spans) == cell and taken_out.read(f" {cell} ") == spans


@pytest.mark.parametrize("cell", ["5", "5-", "a-b", "5-3", "4-4", "0-3 2-5", "9-12 0-3", "-3-5", "1-2,3-4", "٣-٤"])
def test_a_cell_that_is_no_places(cell: str) -> None:
    assert taken_out.read(cell) is None


def test_pieces_lie_inside_their_document_and_leave_something() -> None:
    assert fits("abc def", ((0, 3),)) and fits("abc def", ())
    assert not fits("abc def", ((0, 8),)) and not fits("abc def", ((0, 3), (3, 7)))
