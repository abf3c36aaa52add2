"""Vectors of a corpus on the disk: what is written, when nothing is done, what is refused, going on after Ctrl-C."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.feather as feather
import pytest

from bistill import artifacts
from bistill.app.commands.encode import encode
from bistill.app.config import EncodeOptions
from bistill.data.store.opening import load_documents
from bistill.data.store.texts import Texts
from bistill.errors import OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.files import loading

ROWS = [[f"read {number}", f"file {number}", f"tree {number % 20}"] for number in range(20)]
DOCUMENTS = [text for row in ROWS for text in row[1:]]  # file 0, tree 0, file 1, ...: 40 of them, each once
QUERIES = [row[0] for row in ROWS]
FINISHED = [artifacts.DOCUMENTS_FILE, artifacts.VECTORS_RECORD, artifacts.VECTORS_LOCK, artifacts.VECTORS_FILE]
# The command, with Ctrl-C pressed while its third window is encoded.
INTERRUPTED = """
import os, signal, sys
from bistill.app import cli
from bistill.models.bi_encoder import BiEncoder

signal.signal(signal.SIGINT, signal.default_int_handler)
original = BiEncoder.document_windows

def interrupted(self, texts, **settings):
    for number, window in enumerate(original(self, texts, **settings)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        yield window

BiEncoder.document_windows = interrupted
cli.run_command("encode", sys.argv[1:])
"""


@pytest.fixture
def options(tmp_path: Path, tiny_encoder: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> EncodeOptions:
    path = write_csv(tmp_path / "rows.csv", [["query", "positive", "negative_1"], *ROWS])
    return EncodeOptions(model_path=str(tiny_encoder), documents=(str(path),), output_dir=str(tmp_path / "encoded"))


def content_of(options: EncodeOptions) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(Path(options.output_dir).iterdir())}


def test_row_i_of_the_vectors_is_text_i(options: EncodeOptions, capsys: pytest.CaptureFixture[str]) -> None:
    record = encode(options)
    folder = Path(options.output_dir)
    assert sorted(content_of(options)) == sorted(FINISHED)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    assert (vectors.dtype, vectors.shape) == (np.float32, (40, 32))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    encoder = BiEncoder.load(options.model_path)
    np.testing.assert_array_equal(vectors, encoder.encode_documents(DOCUMENTS))
    assert feather.read_table(folder / "documents.arrow")["text"].to_pylist() == DOCUMENTS
    assert list(Texts(folder / "documents.arrow")) == list(load_documents(options.documents)) == DOCUMENTS
    assert artifacts.read_json(folder / "vectors.json") == record
    decisive = ("kind", "pooling", "prompt", "max_len", "precision", "dim", "rows")
    assert [record[name] for name in decisive] == ["document", "pooling_mode_mean_tokens", "", 64, "fp32", 32, 40]
    assert (record["schema"], record["model"]) == ("bistill.vectors/1", options.model_path)
    assert record["model_fingerprint"] == loading.model_fingerprint(options.model_path)
    assert record["sha256"] == {
        name: artifacts.sha256_of_file(folder / name) for name in ("vectors.npy", "documents.arrow")
    }
    assert capsys.readouterr().out.split() == [
        str(folder / name) for name in ("vectors.npy", "documents.arrow", "vectors.json")
    ]


def test_queries_have_their_own_prompt(options: EncodeOptions, tmp_path: Path) -> None:
    model = tmp_path / "e5-tiny"  # a family with two prompts
    shutil.copytree(options.model_path, model)
    options = replace(options, model_path=str(model))
    assert encode(options)["prompt"] == "passage: "
    record = encode(replace(options, kind="query", overwrite=True))
    assert (record["prompt"], record["kind"], record["rows"]) == ("query: ", "query", 20)
    folder = Path(options.output_dir)
    vectors = np.load(folder / "vectors.npy")
    np.testing.assert_array_equal(vectors, BiEncoder.load(str(model)).encode_queries(QUERIES))
    assert list(Texts(folder / "queries.arrow")) == QUERIES
    assert not (folder / "documents.arrow").exists()


def test_what_is_there_is_not_made_again(
    options: EncodeOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    record = encode(options)
    before = content_of(options)
    monkeypatch.setattr(BiEncoder, "document_windows", None)
    moved = tmp_path / "moved"
    shutil.copytree(options.model_path, moved)
    for again in (options, replace(options, overwrite=True), replace(options, model_path=str(moved), batch_size=2)):
        assert encode(again) == record
        assert "are there already; nothing to do" in capsys.readouterr().err
    assert content_of(options) == before


@pytest.mark.parametrize("name", ["vectors.npy", "documents.arrow"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_what_is_damaged_is_made_again(
    name: str, damage: str, options: EncodeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    encode(options)
    before = content_of(options)
    path = Path(options.output_dir) / name
    if damage == "changed":
        path.write_bytes(before[name][:-1] + b"x")
    else:
        path.unlink()
    capsys.readouterr()
    encode(options)
    assert content_of(options) == before
    assert f"{path}: not the file that was written" in capsys.readouterr().err


def test_vectors_of_other_inputs_are_refused_by_name(options: EncodeOptions, tmp_path: Path) -> None:
    encode(options)
    before = content_of(options)
    model = tmp_path / "other"
    shutil.copytree(options.model_path, model)
    with (model / "tokenizer_config.json").open("a", encoding="utf-8") as file:
        file.write(" ")
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("document\nfile 0\ntree 0\n", encoding="utf-8")
    for changes, told in (
        ({"max_len": 16}, "max_len was 64, is 16"),
        ({"model_path": str(model)}, "other vectors: other model\n"),
        ({"documents": (str(fewer),)}, "rows was 40, is 2, other texts"),
        ({"kind": "query"}, "kind was 'document', is 'query'"),
    ):
        with pytest.raises(OptionError) as caught:
            encode(replace(options, **changes))  # type: ignore[arg-type]
        assert told in str(caught.value)
        assert "`overwrite`" in str(caught.value)
    assert content_of(options) == before
    assert encode(replace(options, documents=(str(fewer),), overwrite=True))["rows"] == 2
    assert np.load(Path(options.output_dir) / "vectors.npy").shape == (2, 32)


@pytest.mark.parametrize("record", [None, "{", '{"schema": "bistill.vectors/2"}'])
def test_files_of_unknown_origin_are_refused(record: str | None, options: EncodeOptions) -> None:
    folder = Path(options.output_dir)
    folder.mkdir()
    (folder / "vectors.npy").write_bytes(b"mine")
    if record is not None:
        (folder / "vectors.json").write_text(record, encoding="utf-8")
    with pytest.raises(OptionError, match=r"other vectors: vectors.npy of unknown origin"):
        encode(options)
    assert (folder / "vectors.npy").read_bytes() == b"mine"
    assert encode(replace(options, overwrite=True))["rows"] == 40


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(options: EncodeOptions, capsys: pytest.CaptureFixture[str]) -> None:
    options = replace(options, batch_size=1)
    whole = replace(options, output_dir=f"{options.output_dir}-whole")
    encode(whole)
    given = ("model_path", options.model_path), ("documents", *options.documents), ("output_dir", options.output_dir)
    arguments = [part for name, *values in (*given, ("batch_size", "1")) for part in (f"--{name}", *values)]
    command = [sys.executable, "-c", INTERRUPTED, *arguments]
    stopped = subprocess.run(command, text=True, check=False, capture_output=True)
    assert stopped.returncode == 130, stopped.stderr
    assert "documents: broken off after 32 of 40; the same command goes on" in stopped.stderr
    assert not (Path(options.output_dir) / "vectors.npy").exists()
    with pytest.raises(OptionError, match="max_len was 64, is 16"):
        encode(replace(options, max_len=16))
    capsys.readouterr()
    encode(options)
    assert "documents: going on from text 32 of 40" in capsys.readouterr().err
    assert content_of(options) == content_of(whole)
