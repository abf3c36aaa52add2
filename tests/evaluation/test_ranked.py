"""Which documents are ranked, by where the test file lies and what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from bistill.evaluation.ranked import further
from bistill.evaluation.report.summary import ranked_among

TRAIN, TEST, REST = "alpha beta", "gamma delta", "nobody asked for this"


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A data version made by hand: without ``prepare.json``, as its owner wrote it."""
    folder = tmp_path / "preprocessed" / "mine"
    folder.mkdir(parents=True)
    for split, text in (("train", TRAIN), ("test", TEST)):
        (folder / f"{split}.csv").write_text(f"query,positive\nask {text},{text}\n", encoding="utf-8")
    (folder / "corpus.csv").write_text(f"document\n{REST}\n{TEST}\n", encoding="utf-8")
    return folder


def test_a_split_is_ranked_among_its_whole_version(version: Path) -> None:
    for test in (version / "test.csv", str(version / "test.csv"), load_split(version / "test.csv")):
        found = further(test, None)
        assert list(found.texts) == [TRAIN, TEST, REST]
        assert found.record() == {"which": "version", "path": str(version)}


def test_a_split_may_be_ranked_alone(version: Path) -> None:
    for documents in ("test", ()):
        found = further(version / "test.csv", documents)
        assert list(found.texts) == [] and found.record() is None


def test_a_file_elsewhere_is_ranked_alone_and_is_of_no_version(version: Path, tmp_path: Path) -> None:
    own = tmp_path / "elsewhere" / "test.csv"
    own.parent.mkdir()
    own.write_bytes((version / "test.csv").read_bytes())
    assert further(own, None).record() is None
    with pytest.raises(OptionError, match="no data version"):
        further(own, "version")


def test_documents_of_a_file_and_of_a_program(version: Path) -> None:
    found = further(version / "test.csv", version / "corpus.csv")
    assert list(found.texts) == [REST, TEST]
    assert found.record() == {"which": "file", "path": str(version / "corpus.csv")}
    assert further(version / "test.csv", ["one", "two"]).record() == {"which": "texts", "path": None}


@pytest.mark.parametrize(
    ("corpus", "english", "korean"),
    [
        (
            None,
            "Ranked among 1,234 documents: those of the test file alone.",
            "테스트 파일의 문서 1,234개 중에서 순위를 매겼습니다.",
        ),
        (
            {"which": "version", "path": "preprocessed/mine"},
            "Ranked among 1,234 documents: all of the data version preprocessed/mine.",
            "데이터 버전 preprocessed/mine의 전체 문서 1,234개 중에서 순위를 매겼습니다.",
        ),
        (
            {"path": "all.csv"},  # a report of an earlier version
            "Ranked among 1,234 documents: those of the test file and of all.csv.",
            "테스트 파일과 all.csv의 문서 1,234개 중에서 순위를 매겼습니다.",
        ),
        (
            {"which": "texts", "path": None},
            "Ranked among 1,234 documents: those of the test file and the further ones that were given.",
            "테스트 파일과 추가로 지정한 문서를 합한 1,234개 중에서 순위를 매겼습니다.",
        ),
    ],
)
def test_the_report_says_which_documents(corpus: dict | None, english: str, korean: str) -> None:
    result = {"data": {"corpus": corpus}, "counts": {"documents": 1234}}
    assert ranked_among(result) == english
    assert ranked_among(result, "ko") == korean
