"""``scores``: what the caches of teacher scores hold; lists for other tools; scores made elsewhere, or here of a file;
how far two sources agree; repair."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import numpy as np

from bistill import artifacts, cache_folder, console, distributed
from bistill.app import assembling
from bistill.app.config import DataOptions, ScoresOptions
from bistill.app.options import from_mapping
from bistill.candidates.listing import read_pools
from bistill.candidates.scores.cache import ScoreCache, digest, listing, rebuild
from bistill.candidates.scores.exchange import Scale, export, read_scores
from bistill.candidates.scores.filling import fill
from bistill.candidates.scores.teachers import IMPORTED, CachedTeacher, imported_identity
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_log, load_split
from bistill.data.store.texts import windows
from bistill.errors import ArtifactError, DataError, OptionError, Told
from bistill.evaluation.measures import margins
from bistill.evaluation.measures.agreement import agreement
from bistill.training.run.data import TrainingData

BATCH: Final = 8192


def scores(options: ScoresOptions) -> None:
    """Do the action of the options.

    Raises:
        OptionError: an option that the action needs is missing.
        BistillError: a file cannot be used.
    """
    actions = {
        "show": _show,
        "export": _export,
        "import": _import,
        "fill": _fill,
        "compare": _compare,
        "rebuild": _rebuild,
    }
    actions[options.action](options)


def _show(_options: ScoresOptions) -> None:
    rows = []
    for entry in listing():
        facts = entry.identity
        teacher = IMPORTED + facts["imported"] if "imported" in facts else facts.get("fingerprint", "unknown")[:16]
        reads = f"{facts['kind']}, {facts['max_len']} tokens, {facts['precision']}" if "kind" in facts else ""
        rows.append([teacher, reads, str(entry.pairs), f"{entry.bytes / 2**20:.1f}", entry.damage or str(entry.folder)])
    if not rows:
        console.say(f"no teacher scores below {cache_folder.cache_dir()}")
        return
    console.table(["teacher", "reads", "pairs", "MiB", "folder"], rows, title="cached teacher scores")


def _export(options: ScoresOptions) -> None:
    folder = Path(options.candidates)
    path = Path(_needed(options.file, "--file"))
    collection = _collection(folder)
    lists = (pool.whole() for pool in read_pools(folder / artifacts.CANDIDATES_FILE))
    written = export(path, options.form, lists, collection, scale=options.scale)
    console.say(f"{options.file}: {console.counted(written, 'row')} as {options.form}")


def _collection(folder: Path) -> Collection:
    """The data of the lists in a folder that ``bistill candidates`` wrote.

    Raises:
        ArtifactError: the folder has no lists, or its data version has changed since.
    """
    report = artifacts.read_json(folder / artifacts.CANDIDATES_RECORD)
    names = ("data_version", "data_root", "on_bad_rows")
    own = {name: report["options"][name] for name in names}
    data = from_mapping(DataOptions(), own, where=str(folder / artifacts.CANDIDATES_RECORD))
    version = assembling.version(data)
    unlabelled = report["options"].get("unlabelled", 0)  # a report that is older than the option has none
    dataset, _ = TrainingData(version, data.on_bad_rows, unlabelled=unlabelled).read(folder)
    corpus = version.corpus(dataset)
    if report["data"] != {"train": dataset.fingerprint, "corpus": corpus.fingerprint()}:
        raise ArtifactError(
            f"the data version {', '.join(version.names)} has changed since the lists were made",
            where=str(folder),
            todo="run bistill candidates again",
        )
    return Collection(dataset, corpus)


def _import(options: ScoresOptions) -> None:
    path, name = Path(_needed(options.file, "--file")), _needed(options.name, "--name")
    scale = options.scale or "probability"
    if options.data_version is not None:
        _check_texts(path, options)
    batches = windows(read_scores(path, scale), BATCH)
    first = next(batches, None)
    if first is None:
        raise DataError("the file holds no score", where=str(path), todo="fill in the column score")
    total = 0
    with ScoreCache.open(imported_identity(name)) as cache:
        for batch in itertools.chain([first], batches):
            queries, documents, logits = zip(*batch, strict=True)
            keys = cache.keys([digest(text) for text in queries], [digest(text) for text in documents])
            # The last score of a pair counts, as in a file that was added to.
            last = dict(zip(keys, logits, strict=True))
            cache.put(list(last), np.array(list(last.values()), dtype=np.float32))
            total += len(batch)
        held = console.counted(len(cache), "pair")
        console.say(f"{console.counted(total, 'score')} imported; teacher {IMPORTED}{name} has {held}")


def _check_texts(path: Path, options: ScoresOptions) -> None:
    """Count the pairs whose texts the data version holds, its queries with labels and without.

    Raises:
        DataError: there is none, or no such data version.
    """
    data = DataOptions(data_version=options.data_version or "", data_root=options.data_root)
    version = assembling.version(data)
    documents = set(map(digest, version.documents(on_bad_rows="skip")))
    splits = filter(Path.is_file, map(version.path, artifacts.SPLITS))
    logs = filter(Path.is_file, (version.folder / name for name in artifacts.LOG_FILES.values()))
    queries = {digest(query) for path in splits for query in load_split(path, on_bad_rows="skip").queries}
    queries |= {digest(query) for path in logs for query in load_log(path, on_bad_rows="skip").queries}
    found = total = 0
    for query, document, _ in read_scores(path, options.scale or "probability"):
        total += 1
        found += digest(query) in queries and digest(document) in documents
    console.say(f"{path}: {found:,} of {console.counted(total, 'pair has', 'pairs have')} texts of {data.data_version}")
    if not found:
        raise DataError(
            f"none of {console.counted(total, 'score')} is for texts of {data.data_version}",
            where=str(path),
            todo="export the pairs with bistill scores export --form pairs, and fill in their scores",
        )


def _fill(options: ScoresOptions) -> None:
    """Score the pairs of a file."""
    path, name = Path(_needed(options.file, "--file")), _needed(options.teacher_path, "--teacher_path")
    output = Path(options.output) if options.output is not None else None
    reading = assembling.teacher_reading(options, options.precision)
    with (
        CachedTeacher.open(name, reading) as teacher,
        distributed.hired(options.ray, options.ray_threads),
    ):
        filled = fill(teacher, path, output, scale=options.scale or "probability")
        held = console.counted(len(teacher.cache), "pair")
    console.say(
        f"{path}: {console.counted(filled.pairs, 'pair')}, {filled.scored} of them read; the cache holds {held}"
    )
    if output is not None:
        print(output)
    if filled.failed is not None:
        raise filled.failed


def _compare(options: ScoresOptions) -> None:
    """How far two files disagree on the pairs that both have."""
    files = [Path(_needed(options.file, "--file")), Path(_needed(options.other, "--other"))]
    first, second = (_relevances(path, options.scale or "probability") for path in files)
    both = [pair for pair in first if pair in second]
    if not both:
        raise DataError(
            "the two files have no pair of the same texts",
            where=f"{files[0]}, {files[1]}",
            found=Told(f"{console.counted(len(first), 'pair')}, {console.counted(len(second), 'pair')}"),
            todo="export the pairs once, and have both sources score that file",
        )
    numbers: dict[bytes, int] = {}
    queries = np.array([numbers.setdefault(query, len(numbers)) for query, _ in both])
    found = agreement(np.array([first[pair] for pair in both]), np.array([second[pair] for pair in both]), queries)
    rows = [
        [
            "pairs in both, in the first alone, in the second alone",
            f"{len(both)}, {len(first) - len(both)}, {len(second) - len(both)}",
        ],
        [
            "difference of relevance: mean, 95th percentile, largest",
            f"{found.mean_difference:.4f}, {found.high_difference:.4f}, {found.largest_difference:.4f}",
        ],
        ["rank correlation of all pairs (Spearman)", f"{found.correlation:.4f}"],
        [
            f"two documents of a query in the contrary order, {console.counted(found.queries, 'query')}",
            f"{found.reversed_order:.2%}",
        ],
        ["two documents that only one source scores equally", f"{found.tied:.2%}"],
        ["queries with the same first document", f"{found.same_first:.2%}"],
    ]
    console.table(["", "figure"], rows, title=f"{files[0].name} and {files[1].name}")


def _relevances(path: Path, scale: Scale) -> dict[tuple[bytes, bytes], float]:
    """Relevance in 0..1 by the digests of query and document; the last score of a pair counts."""
    found = {(digest(query), digest(document)): logit for query, document, logit in read_scores(path, scale)}
    return dict(zip(found, margins.sigmoid(np.array(list(found.values()))).tolist(), strict=True))


def _rebuild(options: ScoresOptions) -> None:
    folder = _needed(options.cache, "--cache")
    kept, dropped = rebuild(Path(folder))
    console.say(
        f"{folder}: {console.counted(kept, 'score')} kept, {dropped} dropped; dropped ones are scored again when needed"
    )


def _needed(value: str | None, flag: str) -> str:
    if value is None:
        raise OptionError("the action needs this option", where=flag, todo=f"give {flag}")
    return value
