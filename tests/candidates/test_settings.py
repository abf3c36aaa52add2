"""Settings of candidate lists."""

from __future__ import annotations

import pytest

from bistill.candidates.settings import Lists
from bistill.errors import OptionError


def test_own_negatives_are_all_or_those_of_own_documents() -> None:
    assert [Lists(8, own).own_negatives for own in (None, 2, 1)] == [7, 1, 0]
    with pytest.raises(OptionError, match=r"give less than `Lists\.size` 8"):
        Lists(8, 9)
    with pytest.raises(OptionError, match=r"`Lists\.own_documents`: the value is out of range\n  found: 0"):
        Lists(8, 0)
