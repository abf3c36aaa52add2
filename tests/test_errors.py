"""What a message shows of what was found."""

from __future__ import annotations

from bistill.errors import DataError, Told


def test_a_value_stands_as_it_was_written_and_words_of_ours_without_quotes() -> None:
    def message(found: object) -> str:
        return str(DataError("wrong", where="rows.csv", found=found, todo="mend it"))

    assert message("3 of 4 pairs") == "rows.csv: wrong\n  found: '3 of 4 pairs'\n  do: mend it"
    assert message(Told("3 of 4 pairs")) == "rows.csv: wrong\n  found: 3 of 4 pairs\n  do: mend it"
    assert message(["a", Told("b")]) == "rows.csv: wrong\n  found: ['a', b]\n  do: mend it"
    assert message(Told("x" * 130)) == f"rows.csv: wrong\n  found: {'x' * 57} ... {'x' * 57}\n  do: mend it"
