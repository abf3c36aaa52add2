"""Search against brute force; the index in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts
from bistill.config import SearchOptions
from bistill.data.texts import fingerprint_of_texts
from bistill.encoders.bi_encoder import BiEncoder
from bistill.errors import OptionError
from bistill.serving import index
from bistill.serving.search import answer, search, shortened

WORDS = "file list set map tree 서울 부산 날씨 red"
DOCUMENTS = [f"{word} of the {number}" for number, word in enumerate(WORDS.split())]
QUERIES = ["read a file", "서울 날씨"]


@pytest.fixture
def encoder(tiny_encoder: Path) -> BiEncoder:
    return BiEncoder.load(str(tiny_encoder))


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of documents of each encoding."""
    counts: list[int] = []
    original = BiEncoder.encode_documents

    def counted(self: BiEncoder, texts: list[str], **settings: object) -> np.ndarray:
        counts.append(len(texts))
        return original(self, texts, **settings)

    monkeypatch.setattr(BiEncoder, "encode_documents", counted)
    return counts


def entry() -> Path:
    (folder,) = (artifacts.cache_dir() / "index").iterdir()
    return folder


def test_search_equals_brute_force(encoder: BiEncoder) -> None:
    found = index.open_index(encoder, DOCUMENTS).search(QUERIES, 4)
    cosines = encoder.encode_queries(QUERIES) @ encoder.encode_documents(DOCUMENTS).T
    for row, hits in enumerate(found):
        order = np.argsort(-cosines[row])[:4]
        assert [hit.document_id for hit in hits] == order.tolist()
        assert [hit.score for hit in hits] == pytest.approx(cosines[row][order].tolist(), abs=1e-6)
        assert [hit.text for hit in hits] == [DOCUMENTS[place] for place in order]


def test_the_index_is_made_once(encoder: BiEncoder, encodings: list[int]) -> None:
    first = index.open_index(encoder, DOCUMENTS)
    again = index.open_index(encoder, DOCUMENTS)
    assert encodings == [len(DOCUMENTS)]
    assert isinstance(again.vectors, np.memmap)
    assert np.array_equal(first.vectors, again.vectors)


def test_other_documents_or_settings_make_another_index(encoder: BiEncoder, encodings: list[int]) -> None:
    keys = {index.index_key(encoder, DOCUMENTS), index.index_key(encoder, DOCUMENTS[:-1])}
    encoder.max_len -= 1
    keys.add(index.index_key(encoder, DOCUMENTS))
    encoder.prompts = encoder.prompts._replace(document="passage: ")
    keys.add(index.index_key(encoder, DOCUMENTS))
    assert len(keys) == 4
    assert fingerprint_of_texts(["ab", "c"]) != fingerprint_of_texts(["a", "bc"])


@pytest.mark.parametrize("damage", ["torn", "changed", "no vectors", "no manifest", "manifest torn"])
def test_a_damaged_index_is_made_again(encoder: BiEncoder, encodings: list[int], damage: str) -> None:
    expected = np.array(index.open_index(encoder, DOCUMENTS).vectors)
    vectors, manifest = entry() / artifacts.VECTORS_FILE, entry() / artifacts.MANIFEST
    content = vectors.read_bytes()
    if damage == "torn":
        vectors.write_bytes(content[:-100])
    elif damage == "changed":
        vectors.write_bytes(content[:-4] + b"\x00\x00\x80\x3f")
    elif damage == "no vectors":
        vectors.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text(encoding="utf-8")[:20], encoding="utf-8")
    assert np.array_equal(index.open_index(encoder, DOCUMENTS).vectors, expected)
    assert len(encodings) == 2


def test_no_documents(encoder: BiEncoder) -> None:
    assert index.open_index(encoder, []).search(QUERIES, 3) == [[], []]


def test_search_prints_both_models(
    tmp_path: Path,
    tiny_encoder: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_csv(tmp_path / "documents.csv", [["document"], *([text] for text in DOCUMENTS)])
    options = SearchOptions(
        model_path=str(tiny_encoder), documents=str(path), query=tuple(QUERIES), top_k=2, compare_with=str(tiny_encoder)
    )
    answers = search(options)
    assert [item.query for item in answers] == QUERIES
    assert all(len(item.hits) == 2 and item.hits == item.compared for item in answers)
    printed = capsys.readouterr().out
    for item in answers:
        assert item.query in printed
        assert printed.count(f"{item.hits[0].score:.3f}") >= 2


def test_answer_without_comparison(tiny_encoder: Path) -> None:
    (found,) = answer(["red"], str(tiny_encoder), DOCUMENTS, top_k=100)
    assert found.compared is None
    assert len(found.hits) == len(DOCUMENTS)


@pytest.mark.parametrize("queries", [(), ("read", " ")])
def test_an_empty_query_is_refused(tiny_encoder: Path, queries: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="at least one query"):
        answer(queries, str(tiny_encoder), DOCUMENTS)


def test_shortened_by_hand() -> None:
    assert shortened("a\n b   c", 9) == "a b c"
    assert shortened("abc def ghi", 5) == "abc…"
