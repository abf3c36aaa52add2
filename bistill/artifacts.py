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
REJECTED_FILE: Final = "rejected.csv"
PREPARE_RECORD: Final = "prepare.json"
UNFINISHED_DATA: Final = ".unfinished-data"

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
EVALUATION_FILES: Final = (EVALUATION_JSON, EVALUATION_PNG, EVALUATION_PAGE)

# candidate lists
CANDIDATES_FILE: Final = "candidates.parquet"
CANDIDATES_RECORD: Final = "candidates.json"
CANDIDATES_PNG: Final = "candidates.png"
FILTERED_FILE: Final = "filtered.csv"
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

# other cache entries
MANIFEST: Final = "manifest.json"
DOCUMENTS_FILE: Final = "documents.arrow"
QUERIES_FILE: Final = "queries.arrow"
RECORDS_FILE: Final = "records.arrow"
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

CACHE_VARIABLE: Final = "BISTILL_CACHE"
CACHE_TODO: Final = f"set {CACHE_VARIABLE} to a folder that can be written"


def cache_dir() -> Path:
    """Folder of everything that can be made again: ``$BISTILL_CACHE``, else ``$XDG_CACHE_HOME/bistill``, else
    ``~/.cache/bistill``.

    Raises:
        ArtifactError: there is no home folder, as for a user without an entry in the system, and no variable.
    """
    try:
        if explicit := os.environ.get(CACHE_VARIABLE):
            return Path(explicit).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bistill"
    except RuntimeError:  # of pathlib, about "~" without a home
        raise ArtifactError("there is no home folder to keep the cache in", todo=CACHE_TODO) from None


@contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """Say of a folder of the cache that cannot be written which variable names another one.

    Only what writes into the cache belongs into the block: any error of the system there counts as the cache's.

    Raises:
        ArtifactError: the folder cannot be made or written.
    """
    try:
        yield
    except OSError as error:
        raise cache_unwritable(folder, error) from None


def check_cache(folder: Path) -> None:
    """Make a folder of the cache and see that it can be written, before work whose result is to lie there.

    Raises:
        ArtifactError: it cannot.
    """
    with writing_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def cache_unwritable(folder: Path, error: OSError) -> ArtifactError:
    """What is said where the cache cannot be written."""
    return ArtifactError(
        f"the cache folder cannot be written ({error.strerror or error})", where=str(folder), todo=CACHE_TODO
    )


@contextmanager
def scratch(otherwise: Path) -> Iterator[Path]:
    """A folder for what is needed no longer than the block: in the cache, or where that cannot be written, in a folder
    that the command writes anyway.

    Raises:
        ArtifactError: neither can be written.
    """
    try:
        folder = cache_dir()
        with writing_cache(folder):
            folder.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix="scratch-", dir=folder)
    except ArtifactError:
        try:
            otherwise.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=".scratch-", dir=otherwise)
        except OSError as error:
            raise unwritable(otherwise, error) from None
    with made as name:
        yield Path(name)


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
        temporary.chmod(0o666 & ~_umask())
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


def move_model(unfinished: Path, folder: Path) -> None:
    """Move the files of a model that is written whole into its folder, in place of those of an earlier one.

    The record of the earlier model goes first: a folder without it holds a model whose move was broken off. What an
    earlier model left that this one would be read together with, such as weights of another form, goes too; what is
    not a model's stays.
    """
    for name in (MODEL_RECORD, STAGE_RECORD):
        (folder / name).unlink(missing_ok=True)
    earlier = _decisive(folder)
    for path in sorted(unfinished.rglob("*")):
        place = folder / path.relative_to(unfinished)
        earlier.discard(place)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            flush(path)
            path.replace(place)
    for path in earlier:
        path.unlink(missing_ok=True)
    for path in (folder, *(place for place in folder.iterdir() if place.is_dir())):
        flush(path)
    shutil.rmtree(unfinished)


def _decisive(folder: Path) -> set[Path]:
    """Files of an earlier model that decide how a folder is read, and what is read from it."""
    patterns = (
        *(MODULES_FILE, SENTENCE_CONFIG, SENTENCE_TRANSFORMERS_CONFIG, CALIBRATION_FILE, LORA_CONFIG, BEST_MODEL),
        *("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.bin.index.json"),
        *("tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json"),
        *(ADAPTER_CONFIG, f"{ADAPTER_DIR}/*", "[0-9]_*/*"),
    )
    return {path for pattern in patterns for path in folder.glob(pattern) if not path.is_dir()}


def weights(folder: Path) -> list[Path]:
    """Files of weights that a model's folder holds, in any of the usual forms; those of adapters lie deeper."""
    patterns = ("*.safetensors", "pytorch_model*.bin", BEST_MODEL)
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def weights_fingerprint(folder: Path) -> str:
    """SHA-256 over the weight files of a model folder."""
    files = sorted({*folder.glob("*.safetensors"), *folder.glob("*.bin")})
    return fingerprint({file.name: sha256_of_file(file) for file in files})


def append_file(source: Path, target: Path) -> None:
    """Let a file begin with what it holds and end with another's content, at once: none of both is ever half there."""
    with atomic_path(target) as temporary, temporary.open("wb") as out:
        for path in (target, source):
            if path.exists():
                with path.open("rb") as file:
                    shutil.copyfileobj(file, out)


def model_files(folder: Path) -> list[str]:
    """Paths, below a model's folder, of the files that make it up: weights, configuration, tokenizer, records, adapter;
    not what the run, a monitor or a pipeline keeps beside them."""
    patterns = (
        "*.safetensors",
        "*.bin",
        "*.pt",
        "*.json",
        "*.txt",
        "*.model",
        "*.py",
        "*_*/*.json",
        f"{ADAPTER_DIR}/*",
    )
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(str(path.relative_to(folder)) for path in found if path.name not in BESIDE_MODEL)


def share_weights(folder: Path) -> None:
    """Give a model's weights the permissions of an ordinary new file; safetensors writes 0600."""
    for path in (*folder.glob("*.safetensors"), *folder.glob(f"{ADAPTER_DIR}/*.safetensors")):
        if not path.is_symlink():
            path.chmod(0o666 & ~_umask())


def _umask() -> int:
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
