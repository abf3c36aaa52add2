"""Vectors whose encoding is killed, torn, changed or done twice at once: the file in the end has the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill import artifacts, cache_folder, console
from bistill.errors import ArtifactError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import unfinished
from bistill.models.compute.unfinished import UnfinishedVectors, inputs_of
from bistill.models.compute.vectors import cached_vectors, vectors_key

TEXTS = [f"{word} {number}" for number in range(7) for word in ("file", "tree", "서울", "날씨", "red socket")]
WINDOWS = np.arange(48, dtype=np.float32).reshape(4, 3, 4)  # four windows of three rows
INPUTS = {"key": "k"}
# Encodes windows of 16 texts, every one durable at once, and is killed without warning when asked for the third.
KILLED = """
import os, signal, sys
from bistill.models.compute import unfinished
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.vectors import cached_vectors

unfinished.SAVE_SECONDS = 0.0
original = BiEncoder.document_windows

def killed(self, texts, **settings):
    for number, window in enumerate(original(self, texts, **settings)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield window

BiEncoder.document_windows = killed
cached_vectors(BiEncoder.load(sys.argv[1]), sys.stdin.read().splitlines(), batch_size=1)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "vectors"
    folder.mkdir()
    return folder


def opened(folder: Path, inputs: dict[str, str] = INPUTS) -> UnfinishedVectors:
    return UnfinishedVectors(folder / artifacts.VECTORS_FILE, (12, 4), inputs)


def finish(folder: Path) -> bytes:
    """Append the windows that are missing; the bytes of the finished file, which must have the checksum told."""
    with opened(folder) as file:
        for window in WINDOWS[file.rows // 3 :]:
            file.append(window)
        sha256 = file.finish()
        file.publish()
    content = (folder / artifacts.VECTORS_FILE).read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256
    return content


def begin(folder: Path, windows: int) -> None:
    with opened(folder) as file:
        for window in WINDOWS[:windows]:
            file.append(window)
        file.save()


def test_the_file_is_what_numpy_would_write(folder: Path) -> None:
    np.save(folder / "numpy.npy", WINDOWS.reshape(12, 4))
    assert finish(folder) == (folder / "numpy.npy").read_bytes()
    assert sorted(file.name for file in folder.iterdir()) == ["numpy.npy", artifacts.VECTORS_FILE]


def cut(count: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:-count]


def changed(place: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


HEAD = 128  # bytes in front of the rows of a .npy file; a window here has 48
DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], int]] = {
    "torn last window": (artifacts.UNFINISHED_VECTORS, cut(10), 6),
    "byte of an early window": (artifacts.UNFINISHED_VECTORS, changed(HEAD + 48 + 5), 3),
    "byte of the head": (artifacts.UNFINISHED_VECTORS, changed(3), 0),
    "a window that is not recorded": (artifacts.UNFINISHED_VECTORS, lambda content: content + b"x" * 60, 9),
    "no vectors": (artifacts.UNFINISHED_VECTORS, lambda _: b"", 0),
    "record cut in mid-line": (artifacts.UNFINISHED_RECORD, cut(10), 6),
    "record cut in its first line": (artifacts.UNFINISHED_RECORD, lambda content: content[:20], 0),
    "line that is no record": (artifacts.UNFINISHED_RECORD, lambda content: content + b"[3]\n", 9),
    "rows beyond the end": (
        artifacts.UNFINISHED_RECORD,
        lambda content: content.replace(b'"rows": 3', b'"rows": 99'),
        0,
    ),
    "rows that are no number": (artifacts.UNFINISHED_RECORD, lambda content: content.replace(b": 3,", b": true,"), 0),
    "line told twice": (artifacts.UNFINISHED_RECORD, lambda content: content + content.splitlines(True)[-1], 9),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_cut_off_and_made_again(folder: Path, damage: str) -> None:
    name, change, rows = DAMAGES[damage]
    expected = finish(folder)
    begin(folder, 3)
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    with opened(folder) as file:
        assert file.rows == rows
        # What counts no longer is gone from both files, so that nothing can follow it.
        assert (folder / artifacts.UNFINISHED_VECTORS).stat().st_size == HEAD + 16 * rows
        assert len((folder / artifacts.UNFINISHED_RECORD).read_bytes().splitlines()) == 1 + rows // 3
    assert finish(folder) == expected


def test_other_inputs_begin_anew(folder: Path) -> None:
    begin(folder, 3)
    assert inputs_of(folder) == INPUTS
    with opened(folder, {"key": "other"}) as file:
        assert file.rows == 0
    assert inputs_of(folder) == {"key": "other"}
    assert inputs_of(folder / "nowhere") is None


def test_a_window_is_recorded_only_after_its_bytes_are_on_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable: list[tuple[int, int]] = []  # bytes of the vectors, lines of the record at each fsync

    def fsync(handle: int) -> None:
        record = folder / artifacts.UNFINISHED_RECORD
        vectors = (folder / artifacts.UNFINISHED_VECTORS).stat().st_size
        durable.append((vectors, len(record.read_bytes().splitlines())))

    with opened(folder) as file:
        monkeypatch.setattr(unfinished, "SAVE_SECONDS", 3600.0)
        monkeypatch.setattr(os, "fsync", fsync)
        for window in WINDOWS[:2]:
            file.append(window)
        assert durable == []  # windows of a short time share an fsync
        file.save()
        assert durable == [(HEAD + 96, 1), (HEAD + 96, 3)]
        monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)
        file.append(WINDOWS[2])
        assert durable[2:] == [(HEAD + 144, 3), (HEAD + 144, 4)]


def test_windows_of_a_block_that_fails_are_kept(folder: Path) -> None:
    with pytest.raises(RuntimeError), opened(folder) as file:
        file.append(WINDOWS[0])
        raise RuntimeError
    with opened(folder) as file:
        assert file.rows == 3


def test_broken_off_between_the_description_and_the_move(folder: Path) -> None:
    expected = finish(folder)
    (folder / artifacts.VECTORS_FILE).unlink()
    with opened(folder) as file:
        for window in WINDOWS:
            file.append(window)
        file.finish()
    assert finish(folder) == expected


def test_a_full_disk_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with opened(folder) as file:
        file.append(WINDOWS[0])
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ArtifactError, match=r"cannot be written.*No space left.*\n.*the same command goes on"):
            file.save()


@pytest.mark.slow
def test_a_killed_process_loses_no_recorded_window(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = BiEncoder.load(str(tiny_encoder))
    entry = cache_folder.cache_dir() / "index" / vectors_key(encoder, TEXTS)
    expected = np.array(cached_vectors(encoder, TEXTS, batch_size=1))
    content, manifest = ((entry / name).read_bytes() for name in (artifacts.VECTORS_FILE, artifacts.MANIFEST))
    (entry / artifacts.VECTORS_FILE).unlink()
    (entry / artifacts.MANIFEST).unlink()
    command = [sys.executable, "-c", KILLED, str(tiny_encoder)]
    process = subprocess.run(command, input="\n".join(TEXTS), text=True, check=False, capture_output=True)
    assert process.returncode == -9, process.stderr
    assert not (entry / artifacts.VECTORS_FILE).exists()
    capsys.readouterr()
    np.testing.assert_array_equal(cached_vectors(encoder, TEXTS, batch_size=1), expected)
    assert "documents: going on from text 32 of 35" in capsys.readouterr().err
    assert (entry / artifacts.VECTORS_FILE).read_bytes() == content
    assert (entry / artifacts.MANIFEST).read_bytes() == manifest
    assert json.loads(manifest)["sha256"] == hashlib.sha256(content).hexdigest()


def test_who_comes_second_waits_and_takes_what_the_first_made(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = BiEncoder.load(str(tiny_encoder)), BiEncoder.load(str(tiny_encoder))
    expected = first.encode_documents(TEXTS)
    at_work, waiting = threading.Event(), threading.Event()

    def slow(texts: list[str], **settings: Any) -> Iterator[np.ndarray]:
        at_work.set()
        assert waiting.wait(60)
        yield expected

    monkeypatch.setattr(first, "document_windows", slow)
    monkeypatch.setattr(second, "document_windows", None)  # it must not encode
    monkeypatch.setattr(console, "say", lambda message: waiting.set() if "waiting for it" in message else None)
    with ThreadPoolExecutor(2) as pool:
        made = pool.submit(cached_vectors, first, TEXTS)
        assert at_work.wait(60)
        taken = pool.submit(cached_vectors, second, TEXTS)
        np.testing.assert_array_equal(made.result(60), expected)
        np.testing.assert_array_equal(taken.result(60), expected)
