"""``candidates``: mine, score and filter the lists of the training queries, and show them to a person."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bistill import artifacts, console, distributed
from bistill.app import assembling
from bistill.app.config import CandidatesOptions
from bistill.candidates import inspection, picture
from bistill.candidates.building import build
from bistill.candidates.listing import write_pools
from bistill.candidates.scores.teachers import Teachers
from bistill.data.queries import choice
from bistill.journal import finite, versions

SCHEMA = "bistill.candidates/1"


def candidates(options: CandidatesOptions) -> dict[str, Any]:
    """Make the scored candidates that ``distill`` draws its lists from, write and show them.

    A second call finds everything in the caches: no index, no vector, no teacher score is made again; ``distill`` with
    the same options neither.

    Returns:
        The report also written to ``candidates.json``.

    Raises:
        BistillError: data, a model or an option cannot be used.
    """
    output_dir = Path(options.output_dir)
    wanted = assembling.candidates(options)  # what is wrong is said before anything is read
    data = assembling.training_data(options)
    dataset, valid = data.read(output_dir)
    collection = data.version.collection(dataset)
    query_ids = choice.for_lists(dataset, options.seed, data.max_samples, data.unlabelled)
    console.say(f"candidates: {choice.chosen_for_lists(dataset, query_ids)}")
    names = (options.teacher_path, *options.more_teachers)
    reading = assembling.teacher_reading(options, options.precision)
    with (
        Teachers.open(names, options.teacher_weights, reading) as teachers,
        distributed.hired(options.ray, options.ray_threads),
    ):
        teachers.calibrate(valid, seed=options.seed)
        pools = build(
            collection,
            query_ids,
            teachers,
            miners=wanted.miners,
            lists=wanted.lists,
            limits=wanted.limits,
            epochs=options.epochs,
            start=assembling.student_start(options, options.precision),
            seed=options.seed,
            promotion=wanted.promotion,
            lexical=wanted.lexical,
        )
        identities = teachers.identities()
    write_pools(output_dir / artifacts.CANDIDATES_FILE, pools, dataset)
    removed = inspection.filtered(pools, options.seed)
    inspection.write_filtered(output_dir / artifacts.FILTERED_FILE, removed, collection)
    above = inspection.promoted(pools, dataset)
    inspection.write_promoted(output_dir / artifacts.PROMOTED_FILE, above, collection)
    suspects = inspection.suspects(pools, options.irrelevant_below)
    inspection.write_suspects(output_dir / artifacts.SUSPECT_FILE, suspects, collection)
    report: dict[str, Any] = finite(
        {
            "schema": SCHEMA,
            "counts": dataclasses.asdict(pools.counts),
            "by_rank": inspection.by_rank(pools),
            "by_miner": inspection.by_miner(pools),
            "teachers": identities,
            "data": {"train": dataset.fingerprint, "corpus": collection.corpus.fingerprint()},
            "options": dataclasses.asdict(options),
            "versions": versions(),
        }
    )
    artifacts.write_json(output_dir / artifacts.CANDIDATES_RECORD, report)
    picture.draw(output_dir / artifacts.CANDIDATES_PNG, pools)
    inspection.show(report, removed, above, suspects, collection, options.irrelevant_below)
    for name in (artifacts.CANDIDATES_FILE, artifacts.CANDIDATES_RECORD, artifacts.CANDIDATES_PNG):
        print(output_dir / name)
    return report
