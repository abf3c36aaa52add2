"""Curves and bars by hand."""

from __future__ import annotations

import math

import pytest

from bistill.monitor.curves import bars, curve, filled, shared


def test_curve_of_eight_levels() -> None:
    assert curve([1, 2, 3, 4, 5, 6, 7, 8], 8) == ["▁▂▃▄▅▆▇█"]
    assert curve([-1.0, 1.0, 0.0], 9) == ["▁█▅"]  # the middle: 1 + round(3.5), to even
    assert curve([5.0, 5.0], 9) == ["▄▄"]
    assert curve([], 9) == [""]
    assert curve([1.0, 2.0], 0) == [""]


def test_gaps_of_what_is_no_number() -> None:
    assert curve([0.0, None, math.nan, math.inf, 1.0], 9) == ["▁   █"]
    assert curve([None, math.nan], 9) == ["  "]


def test_curve_of_two_rows() -> None:
    # 16 levels: 0 -> 1, 0.5 -> 1 + round(7.5) = 9, 1 -> 16
    assert curve([0.0, 0.5, 1.0], 9, height=2) == [" ▁█", "▁██"]


def test_more_values_than_columns_share_them_as_means() -> None:
    assert shared([1.0, 3.0, 5.0, 9.0], 2) == [2.0, 7.0]
    assert shared([1.0, 3.0, 5.0, 9.0, 10.0], 2) == [2.0, 8.0]  # two, then three
    assert shared([1.0, None, None, None], 2) == [1.0, None]
    assert curve([0.0, 2.0, 8.0, 8.0], 2) == ["▁█"]


def test_bars_begin_at_nothing_and_show_every_count() -> None:
    assert bars([0, 1, 500, 1000]) == [" ▁▄█"]
    assert bars([0, 1, 500, 1000], height=2) == ["   █", " ▁██"]
    assert bars([0, 0]) == ["  "]
    assert bars([]) == [""]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, ("", "░░░░")), (0.5, ("██", "░░")), (1.0, ("████", "")), (1.7, ("████", ""))]
)
def test_filled(share: float, expected: tuple[str, str]) -> None:
    assert filled(share, 4) == expected
