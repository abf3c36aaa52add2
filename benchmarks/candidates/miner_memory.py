"""Memory and time of the miners over synthetic pools of several sizes.

python benchmarks/candidates/miner_memory.py --documents 10000 100000 1000000

Documents have 40 to 120 words, drawn by Zipf's law from 200,000 (English letters, or Hangul syllables with a particle
behind each). They lie in a memory-mapped Arrow file, as parsed data does. Of the dense miner only the search is
measured, over random unit vectors of 384 dimensions written straight into the .npy file: encoding a million texts is
a matter of hours on a CPU. Every line is a new process; "peak" is the most it had in memory (ru_maxrss), which counts
pages of memory-mapped files that the system takes back when it needs them; "start" is before anything is
read (a new process begins with the figure of its parent).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bistill.console import say, table
from bistill.data.store.texts import TEXT_SCHEMA, ArrowWriter, Texts

VOCABULARY = 200_000
DIM = 384
DEPTH = 100
BLOCK = 10_000
PARTICLES = ("은", "는", "이", "가", "을", "를", "에서", "으로", "의", "")


def main() -> None:
    """Write pools, measure each miner in a child process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--miners", nargs="+", default=list(CHILDREN), choices=list(CHILDREN))
    parser.add_argument("--child", choices=list(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child](options.file, options.queries)))
        return
    rows = []
    for count in options.documents:
        for miner in options.miners:
            with tempfile.TemporaryDirectory(prefix="bistill-miners-") as folder:
                file = Path(folder) / "pool"
                written = write_vectors(file, count) if miner == "dense" else write_texts(file, count, miner)
                measured = run_child(miner, file, options.queries)
            cells = [f"{measured[name]:.1f}" for name in ("first", "search")]
            memory = [f"{measured[name]:.0f}" for name in ("start", "peak")]
            rows.append([miner, f"{count:,}", f"{written / 2**20:.0f}", *cells, *memory])
            say("  ".join(rows[-1]))
    headers = ["miner", "documents", "file MiB", "index s", f"{options.queries} queries s", "start MiB", "peak MiB"]
    table(headers, rows)


def write_texts(file: Path, count: int, miner: str) -> int:
    """Synthetic documents in an Arrow file; bytes written."""
    random = np.random.default_rng(0)
    words = np.array(hangul_words(random) if miner in KOREAN else [f"{number:x}word" for number in range(VOCABULARY)])
    ranks = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    with ArrowWriter(file, TEXT_SCHEMA) as writer:
        for start in range(0, count, BLOCK):
            ends = np.cumsum(random.integers(40, 121, size=min(BLOCK, count - start)))
            drawn = words[np.searchsorted(ranks, random.random(ends[-1]) * ranks[-1])]
            if miner in KOREAN:
                drawn = np.char.add(drawn, random.choice(PARTICLES, len(drawn)))
            for document in np.split(drawn, ends[:-1]):
                writer.append(" ".join(document.tolist()))
    return file.stat().st_size


def hangul_words(random: np.random.Generator) -> list[str]:
    """Words of one to four of the 2,000 first syllables."""
    lengths = random.integers(1, 5, size=VOCABULARY)
    return ["".join(map(chr, 0xAC00 + random.integers(2_000, size=length))) for length in lengths]


def write_vectors(file: Path, count: int) -> int:
    """Random unit vectors in a .npy file; bytes written."""
    random = np.random.default_rng(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, DIM)}
    with file.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, count, BLOCK):
            out.write(unit_vectors(min(BLOCK, count - start), random).data)
    return file.stat().st_size


def unit_vectors(count: int, random: np.random.Generator) -> np.ndarray:
    """Random vectors of length 1, float32."""
    vectors = random.standard_normal((count, DIM), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run_child(miner: str, file: Path, queries: int) -> dict[str, float]:
    """Measure one miner in a new process."""
    command = [sys.executable, __file__, "--child", miner, "--file", str(file), "--queries", str(queries)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def lexical(kind: str) -> Callable[[Path, int], dict[str, float]]:
    """What measures the lexical miner with one kind of tokens."""

    def measure(file: Path, queries: int) -> dict[str, float]:
        from bistill.candidates.mining.lexical import LexicalMiner

        start = peak()
        pool = Texts(file)
        asked = [" ".join(pool[row].split()[:10]) for row in np.linspace(0, len(pool) - 1, queries).astype(int)]
        miner = LexicalMiner(asked, pool, tokens=kind)  # type: ignore[arg-type]
        return measured(start, lambda ids: miner.mine(ids, DEPTH), queries)

    return measure


def dense(file: Path, queries: int) -> dict[str, float]:
    """Measure the search of the dense miner; its first query carries the building of the index."""
    from bistill.candidates.mining import nearest

    start = peak()
    documents = np.load(file, mmap_mode="r")
    asked = unit_vectors(queries, np.random.default_rng(1))
    return measured(start, lambda ids: nearest.nearest(asked[ids], documents, DEPTH), queries)


def measured(start: float, mine: Callable[[np.ndarray], np.ndarray], queries: int) -> dict[str, float]:
    """Seconds of the first query and of all, and MiB."""
    began = time.monotonic()
    mine(np.arange(1))
    first = time.monotonic()
    mine(np.arange(queries))
    return {"first": first - began, "search": time.monotonic() - first, "start": start, "peak": peak()}


def peak() -> float:
    """Most memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


CHILDREN = {"words": lexical("words"), "bigrams": lexical("bigrams"), "morphemes": lexical("morphemes"), "dense": dense}
KOREAN = ("bigrams", "morphemes")


if __name__ == "__main__":
    main()
