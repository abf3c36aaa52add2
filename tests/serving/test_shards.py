"""Vectors in shards, made by a crew: the bytes of one process, kept where they are whole, never beside stale ones."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill import artifacts, distributed
from bistill.data.store.texts import Texts
from bistill.errors import OptionError, ProcessError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import crewed
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder
from bistill.serving.encode import Encoded, encode
from tests.clusters import cluster
from tests.conftest import WORDS
from tests.faults import hindered

pytestmark = pytest.mark.slow

TEXTS = [
    " ".join(WORDS[(number + place) % 40] for place in range(1 + number % 9)) + f" {number}" for number in range(150)
]
COMMON = [artifacts.DOCUMENTS_FILE, artifacts.VECTORS_RECORD, artifacts.VECTORS_LOCK]
Encode = Callable[..., Encoded]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def crew(address: str) -> Iterator[distributed.Crew]:
    """Workers of one thread."""
    with distributed.hired(address):
        found = distributed.crew()
        assert found is not None
        yield found


def corpus(path: Path, texts: list[str]) -> Path:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def write(tmp_path: Path, tiny_encoder: Path) -> Encode:
    """Encode texts, 16 in a shard, into a folder."""

    def write(texts: list[str] = TEXTS, **settings: Any) -> Encoded:
        model = settings.pop("model", EncoderStart(str(tiny_encoder)))
        settings = {"batch_size": 1, "shard_windows": 1, **settings}
        return encode(model, corpus(tmp_path / "texts.txt", texts), tmp_path / "out", **settings)

    return write


@pytest.fixture
def alone(tiny_encoder: Path) -> Callable[..., np.ndarray]:
    def vectors(texts: list[str] = TEXTS, batch_size: int = 1, count: int = 1) -> np.ndarray:
        with threads(count):
            return BiEncoder.load(str(tiny_encoder)).encode_documents(texts, batch_size=batch_size)

    return vectors


def read(folder: Path) -> np.ndarray:
    """All rows, in the order of the manifest, every shard with the rows that it says."""
    manifest = artifacts.read_json(folder / artifacts.VECTORS_RECORD)
    found = [np.load(folder / shard["file"]) for shard in manifest["shards"]]
    assert [len(rows) for rows in found] == [shard["rows"] for shard in manifest["shards"]]
    return np.concatenate(found)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob(artifacts.SHARD_FILES)}


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Before `crew` is hired: a process has one at a time.
def test_threads_of_the_workers(address: str, write: Encode, alone: Callable[..., np.ndarray], tmp_path: Path) -> None:
    texts = TEXTS[:40]
    record = write(texts, hire=lambda: distributed.hired(address, 2)).record
    assert record["computed"] == {"workers": 1, "threads": 2}
    found = read(tmp_path / "out")
    assert found.tobytes() == alone(texts, count=2).tobytes()
    for count in (1, 4):  # other sums of small products
        np.testing.assert_allclose(found, alone(texts, count=count), atol=1e-6)


@pytest.mark.parametrize(("batch_size", "shard_windows", "size"), [(1, 1, 16), (4, 1, 64), (1, 4, 64)])
def test_shards_have_the_bytes_of_one_process(
    batch_size: int,
    shard_windows: int,
    size: int,
    crew: object,
    write: Encode,
    alone: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    record = write(batch_size=batch_size, shard_windows=shard_windows).record
    folder, firsts = tmp_path / "out", range(0, len(TEXTS), size)
    assert list(Texts(folder / artifacts.DOCUMENTS_FILE)) == TEXTS
    rows = [range(first, min(first + size, len(TEXTS))) for first in firsts]
    assert [(shard["first"], shard["rows"]) for shard in record["shards"]] == [(one.start, len(one)) for one in rows]
    files = [f"vectors-{one.start:012}-{one.stop - 1:012}.npy" for one in rows]
    assert [shard["file"] for shard in record["shards"]] == files
    assert names(folder) == sorted([*files, *COMMON])
    assert all(shard["sha256"] == artifacts.sha256_of_file(folder / shard["file"]) for shard in record["shards"])
    assert (record["computed"], record["set_aside"]) == ({"workers": 2, "threads": 1}, [])
    assert artifacts.read_json(folder / artifacts.VECTORS_RECORD) == record
    assert (read(folder).dtype, read(folder).tobytes()) == (np.float32, alone(batch_size=batch_size).tobytes())


def test_a_finished_folder_is_left_whichever_layout_it_has(
    crew: object, write: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnloadedEncoder, "loaded", property(lambda _: pytest.fail("the driver loads no weights")))
    sharded = write()
    before = times(tmp_path / "out")
    refused = {"hire": lambda: pytest.fail("there is nothing to do")}
    assert write(**refused) == sharded._replace(made=False) == write(batch_size=3, **refused)
    assert times(tmp_path / "out") == before
    monkeypatch.undo()
    monkeypatch.setattr(distributed, "crew", lambda: None)
    shutil.rmtree(tmp_path / "out")
    whole = write()
    monkeypatch.undo()
    assert write(**refused) == whole._replace(made=False)
    assert names(tmp_path / "out") == sorted([*COMMON, artifacts.VECTORS_FILE])


def test_what_is_damaged_is_made_again_and_nothing_else(
    crew: object,
    write: Encode,
    alone: Callable[[], np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "out"
    record = write().record
    before = times(folder)
    changed, missing = (record["shards"][place]["file"] for place in (3, 7))
    (folder / changed).write_bytes((folder / changed).read_bytes()[:-1] + b"x")
    (folder / missing).unlink()
    assert write().record == record
    said = capsys.readouterr().err
    assert f"{changed}: not the file that was written" in said and f"{missing}: not the file that was written" in said
    assert "going on with 118 of 150 there" in said
    assert {name for name, time in times(folder).items() if before.get(name) != time} == {changed, missing}
    assert read(folder).tobytes() == alone().tobytes()


def test_other_inputs_are_refused_and_leave_no_shard_when_replaced(
    crew: object, write: Encode, alone: Callable[..., np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write()
    before = times(folder)
    with pytest.raises(OptionError, match="rows was 150, is 40, other texts"):
        write(TEXTS[:40])
    assert times(folder) == before and (folder / artifacts.VECTORS_RECORD).exists()
    record = write(TEXTS[:40], overwrite=True, batch_size=2).record
    assert names(folder) == sorted([*COMMON, *(shard["file"] for shard in record["shards"])])
    assert read(folder).tobytes() == alone(TEXTS[:40], 2).tobytes()
    monkeypatch.setattr(distributed, "crew", lambda: None)
    write(TEXTS[:30], overwrite=True)
    assert names(folder) == sorted([*COMMON, artifacts.VECTORS_FILE])
    assert (folder / artifacts.VECTORS_FILE).stat().st_size == 128 + 30 * 32 * 4
    monkeypatch.undo()
    write(TEXTS[:20], overwrite=True)
    assert names(folder) == sorted([*COMMON, *times(folder)]) and read(folder).shape == (20, 32)
    for name in COMMON[:2]:
        (folder / name).unlink()
    with pytest.raises(OptionError, match=r"vectors-0+-0+15\.npy of unknown origin"):
        write(TEXTS[:20])


def test_a_block_that_fails_is_set_aside_and_tried_again(
    crew: object,
    write: Encode,
    alone: Callable[..., np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(crewed, "encoded", hindered.encoded)
    folder, first, second = tmp_path / "out", tmp_path / "first", tmp_path / "second"
    texts = [*TEXTS[:40], f"poison {first}", *TEXTS[40:90], f"poison {second}", *TEXTS[90:]]
    first.touch()
    second.touch()
    with pytest.raises(ProcessError, match="32 of 152 documents have no vectors") as caught:
        write(texts)
    assert "2 blocks set aside" in str(caught.value) and "the same command tries these alone again" in str(caught.value)
    said = capsys.readouterr().err
    assert "documents 32 to 47 have no vectors: KeyError: 'poison'" in said
    assert "documents 80 to 95 have no vectors: KeyError: 'poison'" in said
    record = artifacts.read_json(folder / artifacts.VECTORS_RECORD)
    assert [(aside["first"], aside["rows"]) for aside in record["set_aside"]] == [(32, 16), (80, 16)]
    assert record["set_aside"][0]["why"] == "KeyError: 'poison'"
    assert sum(shard["rows"] for shard in record["shards"]) == 120 == len(read(folder))
    before = times(folder)
    second.unlink()
    with pytest.raises(ProcessError, match="16 of 152 documents"):
        write(texts)
    first.unlink()
    record = write(texts).record
    assert record["set_aside"] == [] and read(folder).tobytes() == alone(texts).tobytes()
    assert before.items() <= times(folder).items() and len(before) == len(times(folder)) - 2


def test_a_worker_that_is_killed_costs_nothing_but_time(
    crew: distributed.Crew,
    write: Encode,
    alone: Callable[..., np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(crewed, "encoded", hindered.encoded)
    gate = tmp_path / "gate"
    gate.touch()
    texts = [*TEXTS[:70], f"wait {gate}", *TEXTS[70:]]

    def kill() -> None:
        """The worker that stands at the gate, once the other one has done what it could."""
        while not (gate.read_text(encoding="utf-8") and len(times(tmp_path / "out")) >= 6):
            time.sleep(0.05)
        os.kill(int(gate.read_text(encoding="utf-8")), signal.SIGKILL)
        gate.unlink()

    killer = threading.Thread(target=kill, daemon=True)
    repeated = crew.repeated
    killer.start()
    write(texts)
    killer.join()
    said = capsys.readouterr().err
    assert "is gone" in said and "are begun again" in said and crew.repeated > repeated
    assert read(tmp_path / "out").tobytes() == alone(texts).tobytes()


@pytest.mark.parametrize("how", ["gone", "another"])
def test_a_worker_without_the_model_is_named_with_it(
    how: str, crew: object, write: Encode, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_encoder, model)

    @contextmanager
    def changed() -> Iterator[None]:
        """The driver has read the model; no worker has."""
        if how == "gone":
            shutil.rmtree(model)
        else:
            with (model / artifacts.TOKENIZER_CONFIG).open("a", encoding="utf-8") as file:
                file.write(" ")
        yield

    begun = time.monotonic()
    with pytest.raises(ProcessError, match="no worker can do this work") as caught:
        write(model=EncoderStart(str(model)), hire=changed)
    assert time.monotonic() - begun < 60
    said = capsys.readouterr().err
    assert os.uname().nodename in str(caught.value) and os.uname().nodename in said
    assert (
        f"{model}: no such model folder" in said
        if how == "gone"
        else "not the model of the driver: other files" in said
    )
    assert not (tmp_path / "out" / artifacts.VECTORS_RECORD).exists()
