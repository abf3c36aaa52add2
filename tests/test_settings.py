"""Settings objects: types and ranges of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from bistill.errors import OptionError
from bistill.models.settings import Lora
from bistill.settings import Settings, Within, range_of


@dataclass(frozen=True)
class Example(Settings):
    count: Annotated[int, Within(1)] = 3
    share: Annotated[float, Within(0, 1)] = 0.5
    limit: Annotated[float, Within(0)] | None = None
    kind: Literal["a", "b"] = "a"
    sizes: tuple[Annotated[int, Within(8)], ...] = ()
    name: str = ""
    on: bool = False
    lora: Lora | None = None


def test_values_are_taken_as_their_types_want_them() -> None:
    made = Example(np.int64(4), share=1, limit=2, sizes=[16, 8], lora=Lora(4))  # type: ignore[arg-type]
    assert made == Example(4, 1.0, 2.0, sizes=(16, 8), lora=Lora(rank=4))
    assert [type(value) for value in (made.count, made.share, made.limit, made.sizes)] == [int, float, float, tuple]


@pytest.mark.parametrize(
    ("given", "what", "todo"),
    [
        ({"count": "3"}, "a whole number is expected", "give a whole number"),
        ({"count": 3.0}, "a whole number is expected", "give a whole number"),
        ({"count": True}, "a whole number is expected", "give a whole number"),
        ({"count": 0}, "the value is out of range", "give at least 1"),
        ({"share": 1.5}, "the value is out of range", "give 0 to 1"),
        ({"share": float("nan")}, "the value is out of range", "give 0 to 1"),
        ({"limit": -1}, "the value is out of range", "give at least 0"),
        ({"limit": "none"}, "a number or None is expected", "give a number or None"),
        ({"kind": "c"}, "'a' or 'b' is expected", "give 'a' or 'b'"),
        ({"sizes": 8}, "a list is expected", "give a list"),
        ({"sizes": "88"}, "a list is expected", "give a list"),
        ({"sizes": [16, 4]}, "the value is out of range", "give at least 8"),
        ({"name": 3}, "text is expected", "give text"),
        ({"on": 1}, "True or False is expected", "give True or False"),
        ({"lora": {"rank": 4}}, "Lora or None is expected", "give Lora or None"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_the_parameter(given: dict, what: str, todo: str) -> None:
    with pytest.raises(OptionError) as caught:
        Example(**given)
    assert (caught.value.what, caught.value.todo) == (what, todo)
    assert caught.value.where == f"`Example.{next(iter(given))}`"


def test_the_range_of_a_field_is_known() -> None:
    assert range_of(Lora, "dropout") == (0, 1)
    assert str(range_of(Lora, "rank")) == "at least 1"
    assert str(range_of(Example, "kind")) == ""
