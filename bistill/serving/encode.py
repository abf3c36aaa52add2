"""The vectors of all documents or queries of a file, in a folder that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

from bistill import artifacts, console, distributed
from bistill.data.settings import TextKind
from bistill.data.store.opening import load_documents, load_queries
from bistill.data.store.texts import Texts, fingerprint_of_texts
from bistill.errors import ArtifactError, OptionError
from bistill.models.compute.encoding import WINDOW_BATCHES
from bistill.models.compute.unfinished import alone, inputs_of
from bistill.models.files import loading
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder
from bistill.serving import shards
from bistill.serving.writing import TEXT_FILES, write_shards, write_whole

SCHEMA: Final = "bistill.vectors/1"
# Of a shard, each of 16 batches.
SHARD_WINDOWS: Final = 4


class Encoded(NamedTuple):
    """What a folder of vectors holds.

    Attributes:
        record: schema, model, everything that decides the vectors, dim, rows, SHA-256 of the files, versions. Of
            vectors in shards also ``shards`` (``file``, ``first`` row, ``rows``, ``sha256`` of each, in order),
            ``shard_rows``, ``computed`` (``workers`` and their ``threads``) and ``set_aside`` (``first``, ``rows`` and
            ``why`` of each block that has no vectors).
        made: whether it was written now, and not there before.
    """

    record: dict[str, Any]
    made: bool


def encode(
    model: EncoderStart,
    documents: str | Path | Sequence[str | Path],
    output_dir: str | Path,
    *,
    kind: TextKind = "document",
    batch_size: int = 64,
    overwrite: bool = False,
    hire: Callable[[], AbstractContextManager[None]] = nullcontext,
    shard_windows: int = SHARD_WINDOWS,
) -> Encoded:
    """Write the unit vectors of texts, the texts in the same order, and a record of both.

    What is there already from the same inputs is kept, what was broken off goes on, and what is of other inputs is
    refused unless it may be overwritten. Where a crew is at work (``distributed.hired``), it encodes, and the vectors
    lie in shards.

    Args:
        model: its folder or hub name, and how it reads texts.
        documents: a file with a document column, a folder of such files, or several of both; of ``kind`` "query" with
            a query column.
        output_dir: folder of vectors, texts and record.
        kind: which texts of the files, each kind with its own prompt.
        batch_size: texts encoded at once.
        overwrite: whether vectors of other inputs in the folder may be replaced.
        hire: context of the work, entered once the inputs were checked and something is left to do.
        shard_windows: windows of 16 batches in a shard.

    Raises:
        OptionError: the folder holds vectors of other inputs.
        DataError: the texts cannot be used.
        ModelError: the model cannot be loaded.
        ArtifactError: the folder cannot be written.
        ProcessError: no worker of the crew can encode; or blocks were set aside, and everything else was written.
    """
    texts = {"document": load_documents, "query": load_queries}[kind](documents)
    encoder = UnloadedEncoder(model)
    folder, inputs = Path(output_dir), _inputs(encoder, texts, kind)
    with alone(folder, str(folder)):
        there = _read_record(folder)
        if there is not None and not _differences(there, inputs) and _is_whole(folder, there, kind):
            console.say(f"{folder}: the vectors of these inputs are there already; nothing to do")
            return Encoded(there, made=False)
        if not overwrite:
            _refuse_others(folder, there, inputs)
        record = {"schema": SCHEMA, "model": loading.portable(model.name), **inputs}
        with hire():
            if (crew := distributed.crew()) is None:
                write_whole(folder, encoder, texts, record, batch_size)
            else:
                before = {} if there is None or _differences(there, inputs) else there
                size = shard_windows * WINDOW_BATCHES * batch_size
                write_shards(
                    folder, crew, encoder, texts, record, before=before, shard_rows=size, batch_size=batch_size
                )
    console.say(f"{folder}: {record['rows']} vectors of {record['dim']} numbers")
    return Encoded(record, made=True)


def _inputs(encoder: UnloadedEncoder, texts: Texts, kind: TextKind) -> dict[str, Any]:
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
    """Whether every text has its vector, and vectors and texts are what the record says; said where they are not."""
    if record.get("set_aside"):
        return False
    in_shards = shards.shards_of(record)
    if in_shards is not None and not all(shards.is_whole(folder, shard) for shard in in_shards):
        return False
    listed = record.get("sha256")
    for name in (TEXT_FILES[kind], *([artifacts.VECTORS_FILE] if in_shards is None else [])):
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
    there = inputs_of(folder) or shards.inputs_of(folder) or record
    if there is not None:
        what = _differences(there, inputs)
    else:
        names = [artifacts.VECTORS_FILE, artifacts.VECTORS_RECORD, *TEXT_FILES.values()]
        found = [name for name in names if (folder / name).exists()] + shards.names_in(folder)[:1]
        what = ", ".join(f"{name} of unknown origin" for name in found)
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
