"""Time and memory of finding nearly equal documents where they are made from templates.

python benchmarks/data/templated.py --documents 10000 30000 100000

Four kinds of documents, of some 1,100 letters:

- "pages": one of ten templates, of which a third of the words is filled in: what product catalogues, drug and disease
  pages look like. Two of a template have a similarity of about 0.5.
- "forms": one of ten templates, of which every twentieth word is filled in: a similarity of about 0.85, just below the
  threshold, where neither sizes nor rare words tell two documents apart.
- "records": one template with two words filled in: all are nearly equal, one cluster.
- "prose": words by chance, nothing in common.

Of each kind every fiftieth document is an earlier one with one word changed. Each number is measured in a process of
its own; memory is the highest resident one, documents and interpreter included.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time

from bistill.console import table
from bistill.data.prepare.duplicates import find_duplicates

WORDS = 150
THRESHOLD = 0.9
KINDS = {"pages": (10, 3), "forms": (10, 20), "records": (1, 75), "prose": (1, 1)}


def main() -> None:
    """Measure each kind and number in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.kinds[0], options.documents[0])))
        return
    rows = []
    for kind in options.kinds:
        for count in options.documents:
            command = [sys.executable, __file__, "--child", "--kinds", kind, "--documents", str(count)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            each = f"{found['seconds'] / count * 1e3:.2f}"
            rows.append([kind, f"{count:,}", f"{found['seconds']:.1f}", each, f"{found['merged']:,}", found["mib"]])
            print(" ".join(map(str, rows[-1])), file=sys.stderr)
    headers = ["kind", "documents", "processor s", "ms a document", "merged", "MiB"]
    table(headers, [[str(cell) for cell in row] for row in rows])


def measure(kind: str, count: int) -> dict[str, float]:
    """Processor seconds, documents merged into another, and highest resident memory of one run."""
    texts = documents(kind, count)
    started = time.process_time()
    found = find_duplicates(texts, THRESHOLD)
    seconds = time.process_time() - started
    merged = found.exact_count + found.near_count
    return {"seconds": seconds, "merged": merged, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def documents(kind: str, count: int) -> list[str]:
    """Documents of a kind, the same for the same number."""
    chance = random.Random(count)
    vocabulary = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(4, 9))) for _ in range(30_000)]
    number, every = KINDS[kind]
    templates = [chance.choices(vocabulary[:2_000], k=WORDS) for _ in range(number)]
    made: list[list[str]] = []
    for place in range(count):
        if place % 50 == 49:
            words = list(made[chance.randrange(place)])
            words[chance.randrange(WORDS)] = chance.choice(vocabulary)
        else:
            template = chance.choice(templates)
            offset = chance.randrange(every)
            words = [
                chance.choice(vocabulary) if (slot + offset * (every < 20)) % every == 0 else word
                for slot, word in enumerate(template)
            ]
        made.append(words)
    return [" ".join(words) for words in made]


if __name__ == "__main__":
    main()
