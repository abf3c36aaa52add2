"""Headers and cells as spreadsheets, pandas and `cat` leave them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.read import table
from bistill.data.store.opening import load_documents, load_split
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]


def test_empty_columns_without_a_name_are_passed_over(write: Write) -> None:
    """As many commas as the header, fewer, or more: they carry nothing."""
    dataset = load_split(write("rows.csv", "query,positive,,\u200b\na,b,,\nc,d\ne,f,\ng,h,,, ,\n"))
    assert list(dataset.documents) == ["b", "d", "f", "h"]
    assert dataset.notes == ("columns without a name, not read: 2",)


def test_the_index_of_pandas_is_passed_over(write: Write) -> None:
    dataset = load_split(write("rows.csv", ",query,positive\n0,a,b\n1,c,d\n"))
    assert list(dataset.queries) == ["a", "c"]
    assert dataset.notes == ("columns without a name, not read: 1",)


def test_rows_without_a_value_are_no_rows_at_the_end_alone(write: Write) -> None:
    rows = "query,positive,negative\na,b,c\n"
    assert len(load_split(write("end.csv", rows + ",,\n\n \t,\u200b,\n,,,,\n\x1a"))) == 1
    file = write("rows.csv", rows + ",,\n\nd,e,f\ng\n,,\nh,i,j\n,,\n")
    rejected = file.parent / "rejected.csv"
    assert len(load_split(file, on_bad_rows="skip", rejected_to=rejected)) == 3
    lines = [line.split(",")[1:4] for line in rejected.read_text(encoding="utf-8").splitlines()[1:]]
    assert [(number, reason) for number, _, reason in lines if "empty" in reason] == [
        ("3", "the row is empty"),
        ("4", "the row is empty"),
        ("7", "the row is empty"),
    ]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_header_of_a_joined_file_is_no_row(mark: str, write: Write) -> None:
    rows = f'query,positive\na,b\n{mark}query,positive\nc,d\n{mark}"query", positive\u200b\ne,f\n'
    dataset = load_split(write("rows.csv", rows))
    assert list(dataset.queries) == ["a", "c", "e"]
    assert dataset.notes == ("the header stands again in row 3, 5: passed over (files joined to one?)",)


def test_long_cells_are_not_compared_with_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing normalises, which takes time for every cell, and for some texts the square of their length."""
    compared: list[int] = []
    monkeypatch.setattr(table, "role_of", lambda name: compared.append(len(name)))
    load_split(write("rows.csv", f"query,positive\na,{'b' * 5000}\nc,d\n"))
    assert compared and max(compared) == 1


def test_a_byte_order_mark_before_a_quote_in_a_joined_file(write: Write) -> None:
    assert list(load_split(write("rows.csv", 'query,positive\na,b\n\ufeff"c, d",e\n')).queries) == ["a", "c, d"]


def test_a_file_joined_without_a_line_end_costs_one_row(write: Write) -> None:
    with pytest.raises(RowError, match=r"row 2, column 'after positive': an extra field: 3 fields"):
        load_split(write("rows.csv", "query,positive\na,b\ufeffquery,positive\nc,d\n"))


def test_a_second_header_with_other_columns_ends_the_reading(write: Write) -> None:
    file = write("rows.csv", "query,positive\na,b\npositive,query\nd,c\n")
    for policy in ("stop", "skip"):
        with pytest.raises(DataError, match="a second header in row 3 has other columns than the first"):
            load_split(file, on_bad_rows=policy)  # type: ignore[arg-type]


def test_a_word_that_is_the_name_of_the_only_column_is_a_text(write: Write) -> None:
    assert list(load_documents(write("corpus.csv", "passage\na\npassage\n"))) == ["a", "passage"]
    assert list(load_documents(write("joined.csv", "passage\na\n\ufeffpassage\nb\n"))) == ["a", "b"]


def test_invisible_characters_of_a_header(write: Write) -> None:
    dataset = load_split(write("rows.csv", "\u200bquery\u200b,positive\ufeff,id\u00ad\na,b,1\n"))
    assert list(dataset.documents) == ["b"]


def test_truth_is_a_label_in_every_format(write: Write) -> None:
    for yes, no in (("True", "False"), ("TRUE", "FALSE"), ("true", "false"), (" True ", "0")):
        dataset = load_split(write("rows.csv", f"query,passage,label\na,b,{yes}\na,c,{no}\n"))
        assert [(record.positives, record.negatives) for record in dataset] == [((0,), (1,))]


def test_words_that_mean_nothing_elsewhere_are_kept_letter_by_letter(write: Write) -> None:
    words = ["None", "null", "NA", "nan", "N/A", "007", "1e5", "-", "True", "#N/A", "=1+1", " x "]
    rows = "".join(f"{word},about {word}\n" for word in words)
    assert list(load_split(write("rows.csv", "query,positive\n" + rows)).queries) == words
