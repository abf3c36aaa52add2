"""One output folder, one run: two that write to the same folder would ruin each other's checkpoints."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import BaseFileLock, FileLock, Timeout

from bistill import artifacts, console, distributed
from bistill.distributed.launch import launch
from bistill.errors import ArtifactError, BistillError, OptionError, Told
from bistill.journal import Journal
from bistill.models.files import folder as model_folder


@contextmanager
def owned(folder: Path, command: str) -> Iterator[None]:
    """Hold a folder for this run alone, and leave a note in it who holds it.

    The lock ends with the process however that ends, so what a killed run left behind hinders nobody. The note is a
    file of its own since others, in trying, may empty the file that is locked.

    Args:
        folder: made if missing.
        command: name of the command, for the note.

    Raises:
        ArtifactError: another run holds the folder, or it cannot be written.
        OptionError: a launcher started this process beside others that it was not joined with; nothing is written.
    """
    _refuse_unjoined()  # before the lock: all but one would be told of another run
    lock = _lock(folder) if _try_writing(folder) else None
    owner = folder / artifacts.RUN_OWNER
    try:
        try:
            artifacts.write_json(owner, _this_run(command))
        except OSError as error:
            raise artifacts.unwritable(folder, error) from None
        yield
    finally:
        with contextlib.suppress(OSError):  # an error of the run itself says more
            owner.unlink(missing_ok=True)
        if lock is not None:
            lock.release()


def _refuse_unjoined() -> None:
    if distributed.here() is None and (launched := launch()) is not None:
        raise OptionError(
            "each of several processes would train by itself",
            where="torchrun",
            found=Told(f"{launched.size} processes"),
            todo="have the program do its work in `with bistill.distributed.session():`, or start it alone",
        )


def folder_of_work(output_dir: Path) -> Path:
    """Where a run keeps its journal, checkpoints and unfinished model: in ``output_dir``, or where that holds a model
    already in a folder inside, so that the model and the record of its making stay as they are until the new one is
    whole.

    A run that was broken off is found where it was at work.
    """
    replacement = output_dir / artifacts.REPLACEMENT_FOLDER
    if has_checkpoints(replacement):
        return replacement
    if has_checkpoints(output_dir):
        return output_dir
    there = (output_dir / artifacts.MODEL_RECORD).exists() or model_folder.weights(output_dir)
    return replacement if there else output_dir


def take_place(folder: Path, output_dir: Path, journal: Journal) -> None:
    """Let the records of a run whose model is written take the place of those of the model before.

    Both journals become one, in which the newest run is the last; a monitor's record likewise. Bad rows that were set
    aside are those of the new data.

    Raises:
        OSError: the disk is full or refuses for another reason; what was there is whole.
    """
    if folder == output_dir:
        return
    for name in (artifacts.MONITOR_JOURNAL, artifacts.JOURNAL):
        if (folder / name).exists():
            artifacts.append_file(folder / name, output_dir / name)
    journal.go_on_in(output_dir / artifacts.JOURNAL)
    for split in artifacts.SPLITS:
        name = f"{split}_{artifacts.REJECTED_FILE}"
        if (folder / name).exists():
            (folder / name).replace(output_dir / name)
        else:
            (output_dir / name).unlink(missing_ok=True)


def leave(folder: Path, output_dir: Path) -> None:
    """Remove the folder inside in which a run was at work, now that all that matters of it has taken its place."""
    if folder != output_dir:
        shutil.rmtree(folder, ignore_errors=True)


def has_checkpoints(folder: Path) -> bool:
    """Whether a run was broken off in a folder, and not before its first checkpoint was begun."""
    return any((folder / artifacts.CHECKPOINTS_FOLDER).glob(f"*{artifacts.CHECKPOINT_PREFIX}*"))


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk has no room for. Quotas of users and projects do not show here.

    Args:
        folder: where it is to be written; it need not exist yet.
        needed: bytes.
        what: what needs them, as the subject of a sentence.

    Raises:
        ArtifactError: less is free.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ArtifactError(
            f"{what} needs {readable_size(needed)}, free are {readable_size(free)}",
            where=str(folder),
            todo="free space, keep fewer checkpoints (`keep` 1), or give another `output_dir`",
        )


def _try_writing(folder: Path) -> bool:
    """Make the folder and write into it.

    Returns:
        Whether the file system locks files, which is said where it does not. Asked here, since filelock would take a
        file that outlives a killed process for a lock there, which is worse than none.
    """
    with artifacts.probe(folder) as handle:
        return _locks(handle, folder)


def _locks(handle: int, folder: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in artifacts.WITHOUT_LOCKS:
            raise
        console.say(f"{folder}: this file system cannot lock files; see to it that no other run uses the folder")
        return False
    return True


def _lock(folder: Path) -> BaseFileLock:
    """The lock, held."""
    lock = FileLock(folder / artifacts.RUN_LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ArtifactError(
            "another run is at work in this folder",
            where=str(folder),
            found=Told(_owner(folder)),
            todo="wait for it, stop it, or give another `output_dir`",
        ) from None
    except OSError as error:
        raise artifacts.unwritable(folder, error) from None
    return lock


def _this_run(command: str) -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    process = psutil.Process()
    return {
        "pid": process.pid,
        "process_started": process.create_time(),
        "host": platform.node(),
        "user": user,
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _owner(folder: Path) -> str:
    """Who holds the folder, from the note; the holder may be about to write it, or may be of another version."""
    try:
        note = artifacts.read_json(folder / artifacts.RUN_OWNER)
        return f"pid {note['pid']} on host {note['host']}, started {note['started']}, command {note['command']}"
    except (BistillError, OSError, KeyError):
        return f"a run whose name is not known (no readable {artifacts.RUN_OWNER})"


def readable_size(count: int) -> str:
    """Bytes in the largest unit that fits, and exactly."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit} ({count} bytes)"
