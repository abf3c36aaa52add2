"""Writing a folder of vectors: in one file by this process, or in shards by a crew; texts and record behind them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bistill import artifacts, console, journal
from bistill.console import counted
from bistill.data.settings import TextKind
from bistill.data.store.texts import Texts
from bistill.distributed import Crew
from bistill.distributed.blocks import rows
from bistill.errors import SetAsideError, Told
from bistill.models.compute import crewed
from bistill.models.compute.unfinished import explained
from bistill.models.compute.vectors import NAMES, write_vectors
from bistill.models.unloaded import UnloadedEncoder
from bistill.progress import progress
from bistill.serving import shards
from bistill.serving.shards import UnfinishedShards

TEXT_FILES: Final[dict[TextKind, str]] = {"document": artifacts.DOCUMENTS_FILE, "query": artifacts.QUERIES_FILE}


def write_whole(folder: Path, encoder: UnloadedEncoder, texts: Texts, record: dict[str, Any], batch_size: int) -> None:
    """Vectors window by window in one file; texts and record once these are whole and before they take their place.

    Args:
        folder: held ``alone``.
        encoder: the model.
        texts: of the kind that the record says.
        record: schema, model and everything that decides the vectors; completed here.
        batch_size: texts encoded at once.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    kind: TextKind = record["kind"]

    def conclude(checksum: str) -> None:
        sha256 = {artifacts.VECTORS_FILE: checksum, **_write_texts(folder, texts, kind)}
        shards.remove_all_but(folder)
        (folder / artifacts.UNFINISHED_SHARDS).unlink(missing_ok=True)
        record.update(sha256=sha256, versions=journal.versions())
        artifacts.write_json(folder / artifacts.VECTORS_RECORD, record)

    write_vectors(
        folder / artifacts.VECTORS_FILE,
        encoder,
        texts,
        inputs=_inputs_in(record),
        conclude=conclude,
        kind=kind,
        batch_size=batch_size,
        description=NAMES[kind],
    )


def write_shards(
    folder: Path,
    crew: Crew,
    encoder: UnloadedEncoder,
    texts: Texts,
    record: dict[str, Any],
    *,
    before: Mapping[str, Any],
    shard_rows: int,
    batch_size: int,
) -> None:
    """A shard for each block that the crew does; then texts and record.

    Args:
        folder: held ``alone``.
        crew: encodes; its workers write nothing.
        encoder: the model, whose weights are not loaded here.
        texts: of the kind that the record says.
        record: schema, model and everything that decides the vectors; completed here.
        before: the record of the folder from the same inputs; {} where there is none.
        shard_rows: rows of a shard, whole windows; one that an earlier process began with goes first.
        batch_size: texts encoded at once.

    Raises:
        ArtifactError: the folder cannot be written, or a row is missing.
        ProcessError: no worker can encode.
        SetAsideError: blocks were set aside, and everything else was written.
    """
    kind: TextKind = record["kind"]
    with UnfinishedShards(folder, (len(texts), encoder.dim), _inputs_in(record), shard_rows, before) as unfinished:
        if not before:  # shards of other inputs lose their record before the first of them is replaced
            shards.disown(folder)
        set_aside = _encoded(unfinished, crew, encoder, texts, record, batch_size)
        made = unfinished.all_but(set_aside)
        with explained(folder):
            for name in (artifacts.VECTORS_FILE, artifacts.UNFINISHED_VECTORS, artifacts.UNFINISHED_RECORD):
                (folder / name).unlink(missing_ok=True)
        record.update(
            sha256=_write_texts(folder, texts, kind),
            versions=journal.versions(),
            shards=[shard._asdict() for shard in made],
            shard_rows=unfinished.shard_rows,
            computed={"workers": crew.size, "threads": crew.threads},
            set_aside=[{"first": part.start, "rows": len(part), "why": why} for part, why in set_aside.items()],
        )
        artifacts.write_json(folder / artifacts.VECTORS_RECORD, record)
        unfinished.forget()
    if set_aside:
        _tell(folder, set_aside, record["rows"], NAMES[kind])


def _encoded(
    unfinished: UnfinishedShards,
    crew: Crew,
    encoder: UnloadedEncoder,
    texts: Texts,
    record: Mapping[str, Any],
    batch_size: int,
) -> dict[range, str]:
    """Have the missing shards made; the rows of blocks that were set aside, in order, and why they were."""
    kind: TextKind = record["kind"]
    missing, description, work = unfinished.missing(), NAMES[kind], crewed.work(encoder, record["model_fingerprint"])
    there = unfinished.rows
    if there:
        console.say(f"{description}: going on with {there} of {len(texts)} there")
    if not missing:
        return {}
    blocks = (crewed.block(encoder, texts, part.start, len(part), kind, batch_size) for part in missing)
    set_aside, cut = {}, 0
    try:
        with progress(description, len(texts), "texts", done=there) as advance:
            for done in crew.each(work, blocks):
                if done.why:
                    set_aside[missing[done.place]] = done.why
                    continue
                vectors, longer = done.result
                unfinished.add(missing[done.place].start, vectors)
                cut += longer
                advance(done.block.size)
    except KeyboardInterrupt:
        console.say(f"{description}: broken off after {unfinished.rows} of {len(texts)}; the same command goes on")
        raise
    crewed.say_cut(encoder, description, cut, unfinished.rows - there)
    return {part: set_aside[part] for part in missing if part in set_aside}


def _tell(folder: Path, set_aside: Mapping[range, str], count: int, description: str) -> None:
    """Name each block that has no vectors.

    Raises:
        SetAsideError: always.
    """
    for part, why in set_aside.items():
        console.say(f"{description} {rows(part.start, len(part))} have no vectors: {why}")
    lacking = sum(map(len, set_aside))
    raise SetAsideError(
        f"{lacking:,} of {count:,} {description} have no vectors",
        where=str(folder),
        found=Told(f"{counted(len(set_aside), 'block')} set aside, see above"),
        todo="the same command tries these alone again",
    )


def _write_texts(folder: Path, texts: Texts, kind: TextKind) -> dict[str, str]:
    """The file of the texts, and none of the other kind; its name and SHA-256."""
    name = TEXT_FILES[kind]
    with explained(folder):
        with artifacts.atomic_path(folder / name) as temporary:
            shutil.copyfile(texts.file, temporary)
            sha256 = artifacts.sha256_of_file(temporary)
        for other in set(TEXT_FILES.values()) - {name}:
            (folder / other).unlink(missing_ok=True)
    return {name: sha256}


def _inputs_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that a record begins with."""
    return {name: value for name, value in record.items() if name not in ("schema", "model")}
