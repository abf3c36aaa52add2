"""What a text file is taken for, and what is said of bytes that may be two things."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.read.encoding import CP949, UNKNOWN, UTF8, UTF16, UTF32, TextEncoding, detect_encoding, open_text
from bistill.data.store.opening import load_split
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
HEADER = "query,positive\n"
KOREAN = "질의,정답문서,부정\n서울은 어디,대한민국의 수도,일본의 수도\n"
ROWS = "".join(f"질문 번호 {number},이것은 {number}번째 답입니다\n" for number in range(20))
ENGLISH = "".join(f"question {number},the pump runs at {number} bar\n" for number in range(50))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (KOREAN.encode("utf-8"), UTF8),
        (KOREAN.encode("utf-8-sig"), UTF8),
        (KOREAN.encode("utf-16"), UTF16),
        (b"\xfe\xff" + KOREAN.encode("utf-16-be"), UTF16),
        (KOREAN.encode("utf-32"), UTF32),
        (KOREAN.encode("cp949"), CP949),
        (b"query,positive\nplain,ascii\n", UTF8),
        (KOREAN.encode("utf-8") + b"\xb0\xa1,x,y\n", UTF8),  # one broken row in a UTF-8 file
        ((HEADER + ROWS).encode("utf-8") + ROWS[:200].encode("cp949"), UTF8),  # a file of another encoding behind it
        ((HEADER + ENGLISH + "pump,펌프 사용 설명서\n").encode("cp949"), CP949),  # one Korean cell in an English file
        ((HEADER + "水의 뜻은?,물 수(水)를 말한다\n漢字,한자의 표기\n").encode("cp949"), CP949),
        ((HEADER + ROWS + "온도,끓는점은 100℃ · “약” ㎡ ㅋㅋㅋ\n").encode("cp949"), CP949),
        ((HEADER + "똠방각하는 누구,그는 소설 속의 사람입니다\n").encode("cp949"), CP949),
    ],
)
def test_what_is_certain_or_plausible(content: bytes, encoding: TextEncoding, write: Write) -> None:
    assert detect_encoding(write("rows.csv", content)) == encoding


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp1252", "boil it at 5°C or 40°F,a strip of 5 µm or ±2°C and ½ of £a"),
        ("cp1252", "café à la crème,São Paulo, ação e informação « Ñandú » ÀÉÈ"),
        ("cp1252", "a line of dots ······· and »»»» ¼½¾,¿Qué es? ¡Hola!"),
        ("latin-1", "où est la forêt,près de l'étang"),
        ("cp1250", "příliš žluťoučký kůň,úpěl ďábelské ódy"),
        ("cp1251", "где стоит дом,дом стоит на берегу реки ПРОВЕРКА"),
        ("cp1253", "ένα απλό κείμενο,είναι στα ελληνικά"),
        ("gbk", "首都在哪里,中文维基百科是维基百科协作计划的中文版本正式成立"),
        ("big5", "首都在哪裡,中文維基百科是維基百科協作計劃的中文版本"),
        ("shift_jis", "日本の首都,東京です。これはテストのページです"),
        ("euc_jp", "日本の首都,東京です。これはテストのページです"),
        ("mac_roman", "café à la crème,5°C"),
    ],
)
def test_bytes_of_other_encodings_are_not_taken_for_korean(codec: str, text: str, write: Write) -> None:
    """As the only such row and as all rows of a file."""
    for content in (HEADER + ENGLISH + text, HEADER + f"{text}\n" * 30, text):
        assert detect_encoding(write("rows.csv", content.encode(codec))) == UNKNOWN


def test_doubt_is_an_error_of_the_row_that_shows_both_readings(write: Write) -> None:
    rows = write("rows.csv", (HEADER + ENGLISH + "how hot,at 5°C it opens\n").encode("cp1252"))
    with pytest.raises(RowError) as caught:
        load_split(rows)
    assert (caught.value.row, caught.value.column, caught.value.found) == (52, "positive", b"\xb0")
    assert "as cp1252 'at 5°C it opens', as cp949 'at 5캜 it opens'" in caught.value.what
    assert "iconv" in caught.value.todo
    dataset = load_split(rows, on_bad_rows="skip", rejected_to=rows.parent / "rejected.csv")
    assert (len(dataset), dataset.rejected) == (50, 1)


@pytest.mark.parametrize("lines", ["JSON", "CSV"])
def test_one_cut_byte_costs_its_row_alone(lines: str, write: Write) -> None:
    content = (HEADER + ROWS).encode("cp949")
    name = "rows.csv"
    if lines == "JSON":
        objects = [f'{{"query": "질문 {number}", "positive": "{number}번째 답입니다"}}' for number in range(20)]
        name, content = "rows.jsonl", "\n".join(objects).encode("cp949")
    at = content.index("5번째 답".encode("cp949")) + 1  # the first byte of a syllable
    file = write(name, content[:at] + content[at + 1 :])
    dataset = load_split(file, on_bad_rows="skip", rejected_to=file.parent / "rejected.csv")
    assert (len(dataset), dataset.rejected) == (19, 1)
    number = 7 if lines == "CSV" else 6
    assert f'{file},{number},positive,"bytes that are not cp949, at character' in (
        file.parent / "rejected.csv"
    ).read_text(encoding="utf-8")


def test_a_cell_of_another_encoding_in_a_korean_file(write: Write) -> None:
    """A degree sign with the letter behind it is a valid syllable of cp949, which no Korean word holds."""
    content = (HEADER + ROWS).encode("cp949") + "how hot,at 5°C\n".encode("cp1252")
    with pytest.raises(RowError, match=r"row 22, .* as cp949 'at 5캜', as cp1252 'at 5°C'"):
        load_split(write("rows.csv", content))
    kept = load_split(write("rows.csv", (HEADER + ROWS + "음식,똠양꿍\n").encode("cp949")))
    assert kept.documents[-1] == "똠양꿍"


def test_every_encoding_gives_the_same_rows_and_is_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    for codec, name in (("utf-16", "UTF-16"), ("utf-32", "UTF-32"), ("cp949", "cp949")):
        dataset = load_split(write(f"{codec}.csv", KOREAN.encode(codec)))
        assert (dataset[0].query, list(dataset.documents)) == ("서울은 어디", ["대한민국의 수도", "일본의 수도"])
        lines = '{"query": "서울은 어디", "positive": "대한민국의 수도"}\n{"query": "b", "positive": "c"}\n'
        assert load_split(write(f"{codec}.jsonl", lines.encode(codec))).queries[0] == "서울은 어디"
        assert capsys.readouterr().err.count(f"read as {name}") == 2


def test_a_cut_utf16_file_loses_its_last_row(write: Write) -> None:
    content = (HEADER + "a,b\nc,d").encode("utf-16")[:-1]
    with pytest.raises(RowError, match=r"row 3, column 'positive': bytes that are not UTF-16"):
        load_split(write("rows.csv", content))


def test_a_gzipped_file_is_unpacked_and_a_missing_one_named(write: Write, tmp_path: Path) -> None:
    file = write("rows.jsonl.gz", gzip.compress(KOREAN.encode("cp949")))
    assert detect_encoding(file) == CP949
    with open_text(file, CP949, newline="\n") as text:
        assert text.read() == KOREAN
    with pytest.raises(DataError, match="does not exist"):
        detect_encoding(tmp_path / "none.csv")


def test_a_word_at_the_end_of_a_chunk_is_not_cut(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read two bytes at a time, every word would fall into single syllables."""
    file = write("rows.csv", (HEADER + "서울의 인구,천만 명의 사람").encode("cp949"))
    monkeypatch.setattr("bistill.data.read.encoding.CHUNK_BYTES", 2)
    assert detect_encoding(file) == CP949
