from __future__ import annotations

import pytest

from bistill.data.read.column_names import RECOGNISED, normalised_name, role_of


def test_every_listed_name_is_in_its_normal_form_and_has_one_role() -> None:
    names = [name for names in RECOGNISED.values() for name in names]
    assert len(names) == len(set(names))
    assert [name for name in names if normalised_name(name) != name] == []


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Query", "query"),
        ("\ufeff Search-Query ", "query"),
        ("질문", "query"),
        ("검색 질의", "query"),
        ("Positive Passage", "positive"),
        ("정답 문서", "positive"),
        ("hard_negative", "negative"),
        ("negative_12", "negative"),
        ("neg3", "negative"),
        ("부정_2", "negative"),
        ("오답1", "negative"),
        ("문서", "passage"),
        ("Label", "label"),
        ("관련도", "label"),
        ("positive_2", None),
        ("id", None),
        ("1", None),
    ],
)
def test_roles_of_names(name: str, role: str | None) -> None:
    assert role_of(name) == role
