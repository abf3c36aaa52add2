"""Settings of data: what is refused, and by which name."""

from __future__ import annotations

import math

import pytest

from bistill.data.settings import Columns, RowReading, Splitting
from bistill.errors import OptionError


@pytest.mark.parametrize(
    ("maximum", "todo"),
    [*((value, "give a number above 0") for value in (0, -1.0, math.inf)), (math.nan, "give a number")],
)
def test_the_highest_label_is_a_number_above_0(maximum: float, todo: str) -> None:
    with pytest.raises(OptionError) as refused:
        RowReading(label_maximum=maximum)
    assert (refused.value.where, refused.value.todo) == ("`RowReading.label_maximum`", todo)
    assert RowReading(label_maximum=3).label_maximum == 3.0


def test_a_column_is_a_name_and_negatives_are_a_list_of_names() -> None:
    assert Columns(negatives=["a", "b"]).negatives == ("a", "b")  # type: ignore[arg-type]
    for given in ({"query": 0}, {"negatives": "a"}, {"label": ["a"]}):
        with pytest.raises(OptionError) as refused:
            Columns(**given)
        assert refused.value.where == f"`Columns.{next(iter(given))}`"


def test_shares_leave_queries_for_training() -> None:
    assert Splitting(valid=0.5, test=0.4).valid == 0.5
    with pytest.raises(OptionError, match="leave no query for training") as refused:
        Splitting(valid=0.5, test=0.5)
    assert refused.value.where == "`Splitting.valid`, `Splitting.test`"
    with pytest.raises(OptionError, match="out of range"):
        Splitting(near_duplicates=0.4)
