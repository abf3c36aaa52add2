"""`bistill encode --ray`, its driver killed where two steps must not come apart, and a second job in the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts, distributed
from bistill.data.store.texts import Texts
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import crewed
from bistill.models.settings import EncoderStart
from bistill.serving.encode import encode
from tests.clusters import ROOT, cluster
from tests.conftest import WORDS

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed_in_shards.py")
TEXTS = [f"{WORDS[number % 40]} of {WORDS[number % 7]} {number}" for number in range(600)]  # ten shards of 64


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def start(moment: str, model: Path, documents: Path, output: Path, address: str) -> subprocess.Popen[str]:
    options = {"model_path": model, "documents": documents, "output_dir": output, "batch_size": 1, "ray": address}
    words = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(KILLED), moment, "encode", *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells a file from one that was made again, of each shard."""
    found = {path.name: path.stat() for path in folder.glob(artifacts.SHARD_FILES)}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def recorded(folder: Path) -> set[str]:
    lines = (folder / artifacts.UNFINISHED_SHARDS).read_text(encoding="ascii").splitlines()
    return {json.loads(line)["file"] for line in lines[1:]}


def test_a_killed_driver_loses_a_shard_at_most_and_doubles_none(
    address: str,
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    documents, folder = tmp_path / "texts.txt", tmp_path / "out"
    documents.write_text("\n".join(TEXTS), encoding="utf-8")
    with start("unrecorded", tiny_encoder, documents, folder, address) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == -9, said
    first = files(folder)
    [unrecorded] = first.keys() - recorded(folder)
    assert len(first) == 3 and not (folder / artifacts.VECTORS_RECORD).exists()

    with start("unlisted", tiny_encoder, documents, folder, address) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if line.startswith("ray "))  # it holds the folder
        model = EncoderStart(str(tiny_encoder))
        monkeypatch.setattr(crewed, "encoded", None)  # a block that is given out now cannot be done
        found = encode(model, documents, folder, batch_size=1, hire=lambda: distributed.hired(address))
        said += process.stderr.read()
    assert process.returncode == -9 and "going on with 128 of 600 there" in said
    second = files(folder)
    assert {name for name, stat in first.items() if second[name] == stat} == first.keys() - {unrecorded}
    own = capsys.readouterr().err
    assert f"{folder}: another process is encoding them; waiting for it" in own
    assert "going on with 600 of 600 there" in own and found.made

    manifest = artifacts.read_json(folder / artifacts.VECTORS_RECORD)
    assert manifest == found.record and [shard["file"] for shard in manifest["shards"]] == sorted(second)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*second, artifacts.DOCUMENTS_FILE, artifacts.VECTORS_RECORD, artifacts.VECTORS_LOCK]
    )
    assert list(Texts(folder / artifacts.DOCUMENTS_FILE)) == TEXTS
    vectors = np.concatenate([np.load(folder / name) for name in sorted(second)])
    alone = BiEncoder.load(str(tiny_encoder)).encode_documents(TEXTS, batch_size=1)
    assert vectors.tobytes() == alone.tobytes()
    begun = time.monotonic()
    assert not encode(model, documents, folder, hire=lambda: pytest.fail("nothing is left to do")).made
    assert time.monotonic() - begun < 10
