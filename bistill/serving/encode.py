"""The vectors of all documents or queries of a file, in a folder that other programs read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

from bistill import artifacts, console, journal
from bistill.data.settings import TextKind
from bistill.data.store.opening import load_documents, load_queries
from bistill.data.store.texts import Texts, fingerprint_of_texts
from bistill.errors import ArtifactError, OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.unfinished import alone, inputs_of
from bistill.models.compute.vectors import NAMES, write_vectors
from bistill.models.files import loading
from bistill.models.settings import EncoderStart

SCHEMA: Final = "bistill.vectors/1"
TEXT_FILES: Final[dict[TextKind, str]] = {"document": artifacts.DOCUMENTS_FILE, "query": artifacts.QUERIES_FILE}


class Encoded(NamedTuple):
    """What a folder of vectors holds.

    Attributes:
        record: schema, model, everything that decides the vectors, dim, rows, SHA-256 of both files, versions.
        made: whether it was written now, and not there before.
    """

    record: dict[str, Any]
    made: bool


def encode(
    model: EncoderStart,
    documents: str | Path,
    output_dir: str | Path,
    *,
    kind: TextKind = "document",
    batch_size: int = 64,
    overwrite: bool = False,
) -> Encoded:
    """Write the unit vectors of a file's texts, the texts in the same order, and a record of both.

    What is there already from the same inputs is kept, what was broken off goes on, and what is of other inputs is
    refused unless it may be overwritten.

    Args:
        model: its folder or hub name, and how it reads texts.
        documents: a file with a document column; of ``kind`` "query" with a query column.
        output_dir: folder of vectors, texts and record.
        kind: which texts of the file, each kind with its own prompt.
        batch_size: texts encoded at once.
        overwrite: whether vectors of other inputs in the folder may be replaced.

    Raises:
        OptionError: the folder holds vectors of other inputs.
        DataError: the texts cannot be used.
        ModelError: the model cannot be loaded.
        ArtifactError: the folder cannot be written.
    """
    texts = {"document": load_documents, "query": load_queries}[kind](documents)
    encoder = BiEncoder.start(model)
    folder, inputs = Path(output_dir), _inputs(encoder, texts, kind)
    with alone(folder, str(folder)):
        record = _read_record(folder)
        if record is not None and not _differences(record, inputs) and _is_whole(folder, record, kind):
            console.say(f"{folder}: the vectors of these inputs are there already; nothing to do")
            return Encoded(record, made=False)
        if not overwrite:
            _refuse_others(folder, record, inputs)
        record = {"schema": SCHEMA, "model": loading.portable(model.name), **inputs}
        _write(folder, encoder, texts, record, batch_size)
    console.say(f"{folder}: {record['rows']} vectors of {record['dim']} numbers")
    return Encoded(record, made=True)


def _inputs(encoder: BiEncoder, texts: Texts, kind: TextKind) -> dict[str, Any]:
    """Everything that decides the vectors. The model counts by its files: its folder may move."""
    return {
        "kind": kind,
        "model_fingerprint": loading.model_fingerprint(encoder.source),
        "pooling": encoder.mode,
        "prompt": encoder.prompts.query if kind == "query" else encoder.prompts.document,
        "max_len": encoder.max_len,
        "precision": encoder.precision,
        "dim": encoder.dim,
        "rows": len(texts),
        "texts_fingerprint": fingerprint_of_texts(texts),
    }


def _write(folder: Path, encoder: BiEncoder, texts: Texts, record: dict[str, Any], batch_size: int) -> None:
    """Vectors window by window; texts and record, which is completed, once these are whole and before they take their
    place."""
    kind: TextKind = record["kind"]
    text_file = TEXT_FILES[kind]

    def conclude(checksum: str) -> None:
        with artifacts.atomic_path(folder / text_file) as temporary:
            shutil.copyfile(texts.file, temporary)
            sha256 = {artifacts.VECTORS_FILE: checksum, text_file: artifacts.sha256_of_file(temporary)}
        for other in set(TEXT_FILES.values()) - {text_file}:
            (folder / other).unlink(missing_ok=True)
        record.update(sha256=sha256, versions=journal.versions())
        artifacts.write_json(folder / artifacts.VECTORS_RECORD, record)

    write_vectors(
        folder / artifacts.VECTORS_FILE,
        encoder,
        texts,
        inputs={name: value for name, value in record.items() if name not in ("schema", "model")},
        conclude=conclude,
        kind=kind,
        batch_size=batch_size,
        description=NAMES[kind],
    )


def _read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a folder; None where there is none that this version can read."""
    path = folder / artifacts.VECTORS_RECORD
    if not path.exists():
        return None
    try:
        record = artifacts.read_json(path)
    except ArtifactError as error:
        console.say(str(error))
        return None
    return record if record.get("schema") == SCHEMA else None


def _is_whole(folder: Path, record: dict[str, Any], kind: TextKind) -> bool:
    """Whether vectors and texts are what the record says; said where they are not."""
    listed = record.get("sha256")
    for name in (artifacts.VECTORS_FILE, TEXT_FILES[kind]):
        try:
            found = artifacts.sha256_of_file(folder / name)
        except FileNotFoundError:
            found = "missing"
        if not isinstance(listed, dict) or listed.get(name) != found:
            console.say(f"{folder / name}: not the file that was written (its checksum differs); it is made again")
            return False
    return True


def _refuse_others(folder: Path, record: dict[str, Any] | None, inputs: dict[str, Any]) -> None:
    """Raise OptionError where the folder holds vectors of other inputs, finished or not, or files of another origin."""
    there = inputs_of(folder) or record
    if there is not None:
        what = _differences(there, inputs)
    else:
        names = (artifacts.VECTORS_FILE, artifacts.VECTORS_RECORD, *TEXT_FILES.values())
        what = ", ".join(f"{name} of unknown origin" for name in names if (folder / name).exists())
    if what:
        raise OptionError(
            f"the folder holds other vectors: {what}",
            where="`output_dir`",
            found=str(folder),
            todo="give another `output_dir`, or `overwrite` to replace them",
        )


def _differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    """What was otherwise, as a list for a message; "" where nothing was."""
    found = []
    for name in now:
        if then.get(name) != now[name]:
            values = f"{name} was {then.get(name)!r}, is {now[name]!r}"
            found.append(f"other {name.removesuffix('_fingerprint')}" if name.endswith("_fingerprint") else values)
    return ", ".join(found)
