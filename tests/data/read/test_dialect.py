"""How fields are separated and quoted: found by what is recognised and whole, and read letter by letter."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.read.dialect import Dialect
from bistill.data.settings import Columns, RowReading
from bistill.data.store.opening import load_documents, load_split
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
TEXTS = ['"Good morning" was all she said.', 'a 36" screen', '"Dear all, the goat is gone', 'ends "here"', "plain"]


def documents(file: Path) -> list[str]:
    return list(load_split(file).documents)


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("rows.csv", "query;positive\na;b, c\n", "columns are separated by semicolons"),
        ("rows.csv", "query\tpositive\na\tb, c\n", "columns are separated by tabs"),
        ("rows.csv", "질문|정답\na|b, c\n", "columns are separated by bars"),
        ("rows.tsv", 'query,positive\na,"b, c"\n', "columns are separated by commas"),
        ("rows.csv", "sep=;\r\nquery;positive\r\na;b, c\r\n", "columns are separated by semicolons, as its first line"),
        ("rows.csv", "\ufeffSEP=^\nquery^positive\na^b, c\n", "columns are separated by '^', as its first line says"),
        ("rows.csv", 'query,"positive"\na,"b, c"\n', ""),
        ("rows.tsv", "query\tpositive\na\tb, c\n", ""),
    ],
)
def test_separators(name: str, content: str, note: str, write: Write) -> None:
    dataset = load_split(write(name, content))
    assert (list(dataset.queries), list(dataset.documents)) == (["a"], ["b, c"])
    assert [found[: len(note)] for found in dataset.notes] == ([note] if note else [])


def test_a_separator_is_found_by_names_that_the_user_gives(write: Write) -> None:
    reading = RowReading(columns=Columns(query="frage", positive="antwort"))
    assert load_split(write("rows.csv", "frage;antwort\na;b\n"), reading=reading).queries[0] == "a"


def test_the_separator_line_is_no_row(write: Write) -> None:
    with pytest.raises(RowError, match=r"row 2, column 'positive': the cell is empty"):
        load_split(write("rows.csv", "sep=;\nquery;positive\na;\n"))


def test_quotes_of_a_tab_separated_dump_are_text(write: Write) -> None:
    rows = "".join(f"q{number}\t{text}\n" for number, text in enumerate(TEXTS))
    dataset = load_split(write("rows.tsv", "query\tpositive\n" + rows))
    assert list(dataset.documents) == TEXTS
    assert dataset.notes == ("read without quoting: double quotes are part of the texts",)


def test_rows_of_such_a_dump_are_never_joined(write: Write) -> None:
    """Between the quotes that open and close here, three rows would be one field."""
    dataset = load_split(write("rows.tsv", 'query\tpositive\na\t"open\nb\tc\nd\tclosed"\ne\t"x" y\n'))
    assert list(dataset.documents) == ['"open', "c", 'closed"', '"x" y']


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_proper_quoting_stays_quoting(delimiter: str, write: Write) -> None:
    texts = [*TEXTS, "two\nlines", f"with{delimiter}a separator", 'both "\n\t," in one', "C:\\", 'say \\"hi\\"', '\\"']
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerows([("query", "positive"), *((f"q{number}", text) for number, text in enumerate(texts))])
    file = write("rows.tsv" if delimiter == "\t" else "rows.csv", out.getvalue())
    dataset = load_split(file)
    assert list(dataset.documents) == texts
    assert dataset.notes == ()


def test_backslashes_before_quotes(write: Write) -> None:
    content = 'query,positive\na,"\\"Good, morning\\" he said"\nb,"36\\" wide"\nc,"C:\\\\"\nd,"one\ntwo \\"lines\\""\n'
    dataset = load_split(write("rows.csv", content))
    assert list(dataset.documents) == ['"Good, morning" he said', '36" wide', "C:\\", 'one\ntwo "lines"']
    assert dataset.notes == ("backslashes before double quotes are read as the quotes alone",)


def test_other_backslashes_stay(write: Write) -> None:
    content = 'query,positive\na,"\\"x\\" \\n C:\\new"\nb,"say \\"y\\""\n'
    assert documents(write("rows.csv", content)) == ['"x" \\n C:\\new', 'say "y"']


def test_one_broken_row_among_proper_ones_is_still_an_error(write: Write) -> None:
    with pytest.raises(RowError, match=r"row 3, column 'positive': text follows the closing double quote"):
        load_split(write("rows.csv", 'query,positive\na,"b"\nc,"d"e\n'))
    with pytest.raises(RowError, match=r"row 3"):
        load_split(write("rows.tsv", 'query\tpositive\na\t"b\tc"\nd\t"e"f\n'))


def test_line_ends_of_three_kinds(write: Write) -> None:
    content = 'query,positive\r\na,"one\r\ntwo"\nb,"old\rmac"\rc,"x\u2028y\x85z\x0b"\r\n'
    assert documents(write("rows.csv", content)) == ["one\r\ntwo", "old\rmac", "x\u2028y\x85z\x0b"]
    assert documents(write("mac.csv", "query,positive\ra,b\rc,d\r")) == ["b", "d"]


def test_a_text_of_one_column_keeps_its_quotes_and_lines(write: Write) -> None:
    assert list(load_documents(write("corpus.tsv", 'passage\n"one ""x""\ntwo"\n"y"\n'))) == ['one "x"\ntwo', "y"]


def test_a_header_that_nothing_recognises_is_shown_as_it_is(write: Write) -> None:
    with pytest.raises(DataError, match="missing columns") as caught:
        load_split(write("rows.csv", "a;b\n1;2\n"))
    assert caught.value.found == ["a;b"]


def test_notes_of_the_usual_dialect() -> None:
    assert Dialect(",").notes(",") == []
    assert Dialect(",").notes("\t") == ["columns are separated by commas"]
