"""Every file name on disk, and the only ways in which files are written and fingerprinted."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bistill.errors import ArtifactError

# preprocessed/<data_version>/
SPLITS: Final = ("train", "valid", "test")
SPLIT_FILES: Final = {split: f"{split}.csv" for split in SPLITS}
CORPUS_FILE: Final = "corpus.csv"
# Queries without labels: those to learn from, and those held out to choose the best weights by.
LOG_FILES: Final = {"train": "queries.csv", "valid": "valid_queries.csv"}
REJECTED_FILE: Final = "rejected.csv"
DATA_FILES: Final = (*SPLIT_FILES.values(), CORPUS_FILE, *LOG_FILES.values(), REJECTED_FILE)
PREPARE_RECORD: Final = "prepare.json"
UNFINISHED_DATA: Final = ".unfinished-data"

# made_queries/
MADE_FOLDER: Final = "made_queries"
MADE_QUERIES: Final = "made.jsonl"  # in the making
ANSWERS_FOLDER: Final = "answers"  # in the cache
ANSWERS_FILE: Final = "answers.sqlite"
RECORD_SUFFIX: Final = ".json"  # of the name of a file of made queries: what it was made from

# model directories
BEST_MODEL: Final = "best_model.pt"
LORA_CONFIG: Final = "lora_config.json"
ADAPTER_DIR: Final = "adapter"
MODEL_RECORD: Final = "bistill.json"
CALIBRATION_FILE: Final = "calibration.json"
WEIGHTS_FILE: Final = "model.safetensors"
JOURNAL: Final = "journal.jsonl"

# model directories while their run is under way
CHECKPOINTS_FOLDER: Final = "checkpoints"
CHECKPOINT_PREFIX: Final = "step-"
DAMAGED_PREFIX: Final = "damaged-"
UNFINISHED_PREFIX: Final = "unfinished-"
CHECKPOINT_MANIFEST: Final = "manifest.json"
CHECKPOINT_WEIGHTS: Final = "weights.safetensors"
CHECKPOINT_BEST: Final = "best.safetensors"
CHECKPOINT_OPTIMIZER: Final = "optimizer.safetensors"
CHECKPOINT_SCHEDULE: Final = "schedule.json"
CHECKPOINT_HOOKS: Final = "hooks.json"
SHARED_SCORES: Final = "shared_scores.npz"
RUN_LOCK: Final = "run.lock"
RUN_OWNER: Final = "run.json"
UNFINISHED_MODEL: Final = "unfinished-model"
STACKS_FILE: Final = "stacks.txt"
# in it a run keeps all of the above while the folder around it holds a finished model
REPLACEMENT_FOLDER: Final = "replacement"

# model directories that a monitor looked after
MONITOR_JOURNAL: Final = "monitor.jsonl"
MONITOR_LOCK: Final = "monitor.lock"
RUN_OUTPUT: Final = "run_output.txt"
EVALUATION_OUTPUT: Final = "evaluation_output.txt"

# evaluation results
EVALUATION_FOLDER: Final = "evaluation_results"
EVALUATION_JSON: Final = "bi_encoder_evaluation_results.json"
EVALUATION_PNG: Final = "bi_encoder_evaluation_analysis.png"
EVALUATION_PAGE: Final = "bi_encoder_evaluation_report.html"
EVALUATION_QUERIES: Final = "bi_encoder_evaluation_queries.csv"
EVALUATION_FILES: Final = (EVALUATION_JSON, EVALUATION_PNG, EVALUATION_PAGE, EVALUATION_QUERIES)

# candidate lists
CANDIDATES_FILE: Final = "candidates.parquet"
CANDIDATES_RECORD: Final = "candidates.json"
CANDIDATES_PNG: Final = "candidates.png"
FILTERED_FILE: Final = "filtered.csv"
PROMOTED_FILE: Final = "promoted.csv"
SUSPECT_FILE: Final = "suspect_labels.csv"
MINED_FILE: Final = "mined.npy"

# speed of a machine
BENCH_JSON: Final = "bench.json"

# pipeline
STAGE_RECORD: Final = "stage.json"
# What runs, monitor, pipeline, evaluation and bench may leave in a model's folder: no part of the model.
BESIDE_MODEL: Final = frozenset(
    {
        STAGE_RECORD,
        RUN_OWNER,
        STACKS_FILE,
        RUN_OUTPUT,
        EVALUATION_OUTPUT,
        EVALUATION_JSON,
        CANDIDATES_RECORD,
        BENCH_JSON,
    }
)

# model directories of the ecosystem
CONFIG_FILE: Final = "config.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
MODULES_FILE: Final = "modules.json"
POOLING_CONFIG: Final = "1_Pooling/config.json"
SENTENCE_CONFIG: Final = "sentence_bert_config.json"
SENTENCE_TRANSFORMERS_CONFIG: Final = "config_sentence_transformers.json"

# caches of teacher scores
SCORES_FOLDER: Final = "teacher_scores"
SCORES_FILE: Final = "scores.sqlite"
SQLITE_ENDS: Final = ("-wal", "-shm", "-journal")  # of the names of files that SQLite keeps beside its own
# What releases up to 0.1 stored in its place.
LMDB_SCORES_FILE: Final = "data.mdb"
LMDB_SCORES_LOCK: Final = "lock.mdb"
SCORES_FILES: Final = (SCORES_FILE, LMDB_SCORES_FILE)
SCORES_IDENTITY: Final = "identity.json"

# vectors of texts, in the cache and in folders of `bistill encode`
VECTORS_FILE: Final = "vectors.npy"
VECTORS_RECORD: Final = "vectors.json"
VECTORS_LOCK: Final = "vectors.lock"
UNFINISHED_VECTORS: Final = "unfinished-vectors.npy"
UNFINISHED_RECORD: Final = "unfinished-vectors.jsonl"
# Vectors in shards, by the numbers of their first and last row.
SHARD_FILE: Final = "vectors-{first:012}-{last:012}.npy"
SHARD_FILES: Final = f"vectors-{'[0-9]' * 12}*-{'[0-9]' * 12}*.npy"
UNFINISHED_SHARDS: Final = "unfinished-shards.jsonl"

# other cache entries
MANIFEST: Final = "manifest.json"
DOCUMENTS_FILE: Final = "documents.arrow"
QUERIES_FILE: Final = "queries.arrow"
RECORDS_FILE: Final = "records.arrow"
PARTS_FILE: Final = "parts.npy"  # of several files joined
UNLABELLED_FILE: Final = "unlabelled.npy"
# Beside it: what was taken out of the documents that queries were made from.
TAKEN_OUT_FILE: Final = "taken_out.npy"
# Beside a file of texts: what each text is the same as (data/queries/copies.py).
KEYS_SUFFIX: Final = ".keys.npy"
# Likewise, of a file of documents alone: how many of its rows hold each text.
ROWS_SUFFIX: Final = ".rows.npy"
REJECTIONS_FILE: Final = "rejections.jsonl"
COMMANDS_FOLDER: Final = "commands"
PREPARED_FOLDER: Final = "prepared"
PRODUCTS_FOLDER: Final = "products"
TOKENS_FOLDER: Final = "tokens"
TEXT_IDS_FILE: Final = "text_ids.bin"
OFFSETS_FILE: Final = "offsets.bin"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name once the block ends well: written, fsynced, renamed.

    A reader sees the old file or the whole new one, never a part; when the block raises, the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        flush(temporary)
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented UTF-8 JSON atomically; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: the file is missing, cannot be read, is no JSON, or no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError("the file does not exist", where=str(path)) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"the file is not JSON ({error})", where=str(path), todo="delete it and run again"
        ) from None
    except OSError as error:  # no permission, or a file where a folder is expected
        raise ArtifactError(f"the file cannot be read ({error.strerror})", where=str(path)) from None
    if not isinstance(value, dict):
        raise ArtifactError("the file does not hold a JSON object", where=str(path), found=value)
    return value


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(values: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of JSON-able values, independent of the order of keys."""
    text = json.dumps(values, ensure_ascii=True, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def append_file(source: Path, target: Path) -> None:
    """Let a file begin with what it holds and end with another's content, at once: none of both is ever half there."""
    with atomic_path(target) as temporary, temporary.open("wb") as out:
        for path in (target, source):
            if path.exists():
                with path.open("rb") as file:
                    shutil.copyfileobj(file, out)


def umask() -> int:
    """The permissions that a new file of this process lacks."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


# More than file systems keep inside an inode, so that a full disk shows.
PROBE_BYTES: Final = 1 << 16
# What file systems without flock answer: of the network, of FUSE, of some containers.
WITHOUT_LOCKS: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})


@contextmanager
def probe(folder: Path) -> Iterator[int]:
    """Make a folder and write into it, before hours of work that is to be written there: permissions alone tell nothing
    about root, full disks and read-only mounts. Gives the handle of a file that is gone afterwards.

    Raises:
        ArtifactError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe.") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            yield file.fileno()
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> ArtifactError:
    """What is said where an output folder cannot be written."""
    return ArtifactError(
        f"the output folder cannot be written ({error.strerror})",
        where=str(folder),
        todo="give another `output_dir`, or make it writable",
    )


def flush(path: Path) -> None:
    """Have the disk write a file, or the names in a folder, now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
