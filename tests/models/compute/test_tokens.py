"""Tables of token ids: equal to the tokenizer's own, made once, made again when damaged, and read by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bistill import artifacts, cache_folder
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import tokenizing, tokens
from bistill.models.compute.batching import Encoding
from bistill.models.compute.tokens import cached_tokens, tokens_key
from bistill.models.files import loading

TEXTS = [f"{'how to read a file ' * (number % 5)}서울 {number} blue" for number in range(40)] + [""]
CHOSEN = np.array([40, 3, 17, 4, 3, 39, 0])


class Watched(list[str]):
    """Texts that remember which of them were read."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__(texts)
        self.read: set[int] = set()

    def __getitem__(self, index: Any) -> Any:
        self.read.add(index)
        return super().__getitem__(index)


@pytest.fixture
def tokenizer(tiny_encoder: Path) -> Any:
    return loading.load_tokenizer(str(tiny_encoder))


@pytest.fixture
def tokenized(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Texts of each call of the tokenizer."""
    calls: list[list[str]] = []
    original = tokenizing.tokenize_counting_cuts

    def counted(tokenizer: Any, texts: Sequence[str], max_len: int) -> tuple[list[Encoding], int]:
        calls.append(list(texts))
        return original(tokenizer, texts, max_len)

    monkeypatch.setattr(tokenizing, "tokenize_counting_cuts", counted)
    return calls


def entry() -> Path:
    (folder,) = (path for path in (cache_folder.cache_dir() / "tokens").iterdir() if path.is_dir())
    return folder


def same(found: list[Encoding], expected: list[Encoding]) -> bool:
    return len(found) == len(expected) and all(
        list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in other)
        for one, other in zip(found, expected, strict=True)
    )


def test_tokens_equal_those_of_the_encoder(tiny_encoder: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), max_len=12, query_prompt="query ", document_prompt="the ")
    settings: dict[str, Any] = {"max_len": encoder.max_len}
    queries = cached_tokens(encoder.tokenizer, TEXTS, CHOSEN, prompt=encoder.prompts.query, **settings)
    documents = cached_tokens(encoder.tokenizer, TEXTS, CHOSEN, prompt=encoder.prompts.document, **settings)
    wanted = [17, 0, 40, 39, 3, 3]
    texts = [TEXTS[number] for number in wanted]
    assert same(queries.encodings(wanted), encoder.tokenize_queries(texts))
    assert same(documents.encodings(wanted), encoder.tokenize_documents(texts))
    assert not same(documents.encodings(wanted), encoder.tokenize_queries(texts))
    assert len(queries) == 6
    assert all(value.dtype == np.int32 for value in queries.encoding(17).values())


def test_only_chosen_texts_are_read_and_tokenized_once(tokenizer: Any, tokenized: list[list[str]]) -> None:
    texts = Watched(TEXTS)
    cached_tokens(tokenizer, texts, CHOSEN, max_len=16)
    again = cached_tokens(tokenizer, texts, np.sort(CHOSEN), max_len=16)
    assert tokenized == [[TEXTS[number] for number in (0, 3, 4, 17, 39, 40)]]
    assert texts.read == {0, 3, 4, 17, 39, 40}
    assert same([again.encoding(4)], tokenizing.tokenize(tokenizer, [TEXTS[4]], 16))


def test_windows_are_written_one_behind_the_other(
    tokenizer: Any, tokenized: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tokens, "WINDOW", 16)
    table = cached_tokens(tokenizer, TEXTS, np.arange(41), max_len=16, description="tokens: documents")
    assert [len(call) for call in tokenized] == [16, 16, 9]
    assert same(table.encodings(range(41)), tokenizing.tokenize(tokenizer, TEXTS, 16))
    assert "tokens: documents: 41/41 texts" in capsys.readouterr().err


def test_a_text_that_was_not_chosen_is_an_error(tokenizer: Any) -> None:
    table = cached_tokens(tokenizer, TEXTS, CHOSEN, max_len=16)
    for missing in (1, 41, -1):
        with pytest.raises(KeyError, match=f"text {missing} is not among the 6 of the table"):
            table.encoding(missing)


def test_no_texts_and_texts_without_tokens(tiny_causal_reranker: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_causal_reranker), pad_with_end=True)
    assert len(cached_tokens(tokenizer, TEXTS, np.array([], dtype=np.int64), max_len=8)) == 0
    found = cached_tokens(tokenizer, ["", ""], np.arange(2), max_len=8).encoding(1)
    assert {name: value.tolist() for name, value in found.items()} == {"input_ids": [], "attention_mask": []}


def test_inputs_that_differ_within_a_text_are_kept(tokenizer: Any, tmp_path: Path) -> None:
    rows = [{"input_ids": [5, 6], "token_type_ids": [0, 1]}, {"input_ids": [7], "token_type_ids": [0]}]
    made = [{name: np.array(values, dtype=np.int32) for name, values in row.items()} for row in rows]
    table = tokens.TokenTable(tmp_path, tokens.write_table(tmp_path, np.array([4, 9]), iter([made[:1], made[1:]])))
    assert same(table.encodings([9, 4]), made[::-1])


def test_what_changes_tokens_changes_the_key_and_nothing_else_does(tokenizer: Any) -> None:
    from tokenizers import normalizers

    def key(texts: Sequence[str] = TEXTS, ids: Sequence[int] = (0, 1), prompt: str = "", max_len: int = 16) -> str:
        return tokens_key(tokenizer, texts, np.array(ids), prompt=prompt, max_len=max_len)

    first = key()
    tokenizer(TEXTS, truncation=True, max_length=5, padding=True)
    assert key([*TEXTS, "red"]) == key() == first  # neither what was tokenized before nor a text that is not chosen
    keys = {first, key(["x", *TEXTS[1:]]), key(ids=(0, 2)), key(prompt="query "), key(max_len=15)}
    tokenizer.truncation_side = "left"
    keys.add(key())
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    keys.add(key())
    assert len(keys) == 7


@pytest.mark.parametrize("damage", ["torn", "changed", "no tokens", "no manifest", "manifest torn"])
def test_a_damaged_table_is_said_and_made_again(
    tokenizer: Any, tokenized: list[list[str]], damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cached_tokens(tokenizer, TEXTS, CHOSEN, max_len=16)
    file, manifest = entry() / "input_ids.bin", entry() / artifacts.MANIFEST
    content = file.read_bytes()
    if damage == "torn":
        file.write_bytes(content[:-4])
    elif damage == "changed":
        file.write_bytes(content[:-4] + b"\x07\x00\x00\x00")
    elif damage == "no tokens":
        file.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text(encoding="utf-8")[:20], encoding="utf-8")
    table = cached_tokens(tokenizer, TEXTS, CHOSEN, max_len=16)
    assert "cached tokens are damaged and made again" in capsys.readouterr().err
    assert len(tokenized) == 2 and file.read_bytes() == content
    assert same([table.encoding(39)], tokenizing.tokenize(tokenizer, [TEXTS[39]], 16))


def test_tokenizing_that_breaks_off_leaves_nothing(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> list[Encoding]:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(tokenizing, "tokenize_counting_cuts", broken)
        cached_tokens(tokenizer, TEXTS, CHOSEN, max_len=16)
    assert [path for path in (cache_folder.cache_dir() / "tokens").iterdir() if path.is_dir()] == []
    assert len(cached_tokens(tokenizer, TEXTS, CHOSEN, max_len=16)) == 6


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="resident files are counted by Linux alone")
def test_what_was_read_is_not_held(tmp_path: Path) -> None:
    count, length = 4_000, 2_000  # 32 MB of token ids
    row = {"input_ids": np.arange(length, dtype=np.int32), "attention_mask": np.ones(length, dtype=np.int32)}
    table = tokens.TokenTable(
        tmp_path, tokens.write_table(tmp_path, np.arange(count), ([row] * 100 for _ in range(40)))
    )
    assert not (tmp_path / "attention_mask.bin").exists()
    before = psutil.Process().memory_info().shared
    highest = 0
    for number in range(count):
        assert table.encoding(number)["input_ids"][-1] == length - 1
        highest = max(highest, psutil.Process().memory_info().shared)
    assert highest - before < 16e6


def test_texts_that_are_cut_are_said_also_where_their_tokens_are_cached(
    tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["read a file", "sort " * 9, "sort " * 6, "sort " * 7]
    for _ in range(2):
        cached_tokens(tokenizer, texts, np.arange(4), max_len=8, description="documents")
        said = capsys.readouterr().err
        assert "documents: 2 of 4 texts have more than 8 tokens and are cut there; `max_len` sets it" in said
    cached_tokens(tokenizer, texts, np.arange(4), max_len=11, description="documents")
    assert "cut" not in capsys.readouterr().err
