"""Which language a terminal is spoken to in, and how a text is said in it."""

from __future__ import annotations

import pytest

from bistill.languages import Language, of_locale, said


@pytest.mark.parametrize(
    ("variables", "encoding", "expected"),
    [
        ({"LANG": "ko_KR.UTF-8"}, "utf-8", "ko"),
        ({"LANG": "ko_KR.eucKR"}, "euc-kr", "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "utf-8", "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8", "LC_ALL": ""}, "utf-8", "ko"),
        ({"LANG": "ko_KR"}, "ascii", "en"),
        ({}, "utf-8", "en"),
        ({"LANG": "ko"}, "", "en"),
    ],
)
def test_the_language_of_a_terminal(variables: dict[str, str], encoding: str, expected: Language) -> None:
    assert of_locale(variables, encoding) == expected


def test_a_text_is_said_with_its_values_or_as_it_is() -> None:
    table = {"{count} more": "{count}개 더"}
    assert said(table, "{count} more", "ko", {"count": 3}) == "3개 더"
    assert said(table, "{count} more", "en", {"count": 3}) == "3 more"
    assert said(table, "nDCG@10", "ko", {}) == "nDCG@10"
    assert said(table, "{as it is}", "en", {}) == "{as it is}"
