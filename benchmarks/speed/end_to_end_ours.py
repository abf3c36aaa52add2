"""``bistill distill`` as it stands, with a count of the pairs that the teacher reads in each epoch.

python benchmarks/speed/end_to_end_ours.py FOLDER models STUDENT TEACHER TOKENS
python benchmarks/speed/end_to_end_ours.py FILE (run|lists) OPTIONS OF bistill distill

``run`` writes the counts to FILE. Outside of the time that ``end_to_end.py`` takes, ``models`` writes what both sides
start from, and ``lists`` the pairs that a run scored and the lists of its updates, for the peer.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from start_models import write_student, write_teacher

from bistill.app import cli
from bistill.journal import Journal
from bistill.models.cross_encoder import CrossEncoder


def main() -> None:
    """Do what the second argument names."""
    target, kind, *command = sys.argv[1:]
    if kind == "models":
        write_student(command[0], Path(target) / "student", max_len=int(command[2]), dropout=True)
        write_teacher(command[1], Path(target) / "teacher", max_len=int(command[2]), dropout=True)
        return
    if kind == "lists":
        write_lists(Path(target), cli.parse("distill", command, "bistill distill"))
        return
    pairs = counted()
    try:
        cli.run_command("distill", command, program="bistill distill")
    finally:
        Path(target).write_text(json.dumps(pairs), encoding="utf-8")


def counted() -> Counter[str]:
    """Pairs that Cross-Encoders score from now on, by the epoch in which they do; 0 before the first update."""
    score, write = CrossEncoder.score, Journal.write
    pairs: Counter[str] = Counter()
    epochs = [0]

    def scored(encoder: CrossEncoder, texts: Any, **settings: Any) -> Any:
        pairs[str(epochs[-1])] += len(texts)
        return score(encoder, texts, **settings)

    def written(journal: Journal, event: str, **fields: Any) -> None:
        write(journal, event, **fields)
        if event == "step":
            epochs.append(fields["epoch"] + 1)

    CrossEncoder.score = scored  # type: ignore[method-assign]
    Journal.write = written  # type: ignore[method-assign]
    return pairs


def write_lists(target: Path, options: Any) -> None:
    """All candidates of the run with their queries, and queries and documents of every update."""
    from lists import list_task

    from bistill.app import assembling
    from bistill.data.store.opening import load_split
    from bistill.models.bi_encoder import BiEncoder
    from bistill.training.loop.updates import Updates

    loop = assembling.student_training(options).loop
    dataset = load_split(assembling.version(options).path("train"))
    encoder = BiEncoder.load(options.student_name, max_len=options.max_len)
    task, corpus = list_task(options, encoder, dataset)
    pairs = [
        (dataset.queries[pool.query_id], corpus[int(document)]) for pool in task._pools for document in pool.documents
    ]
    updates = [
        [(dataset.queries[item.query_id], [corpus[document] for document in item.documents]) for item in lists]
        for lists in (task.lists(samples, epoch) for epoch, samples in Updates(task.order, task.samples, loop))
    ]
    target.write_text(json.dumps({"pairs": pairs, "updates": updates}), encoding="utf-8")


if __name__ == "__main__":
    main()
