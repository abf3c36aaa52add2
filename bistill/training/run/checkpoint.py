"""Checkpoints on disk of a run under way.

A checkpoint is a folder ``step-00000050`` of safetensors and JSON files, with a manifest that holds the size and
SHA-256 of each and a fingerprint of itself. It is written under an unfinished name, flushed to disk and renamed, so
a folder with a checkpoint's name was whole once; what is read is compared with the manifest, so it is whole still.
There is one writer at a time; the lock of the run sees to that.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bistill import artifacts
from bistill.errors import ArtifactError, Told, TrainingError
from bistill.models.files import folder as model_folder

SCHEMA: Final = "bistill.checkpoint/2"
# The first one also held the states of the random generators, which decide nothing and are left unread.
READABLE: Final = (SCHEMA, "bistill.checkpoint/1")
TENSOR_FILES: Final = {
    artifacts.CHECKPOINT_WEIGHTS: "weights",
    artifacts.CHECKPOINT_BEST: "best",
    artifacts.CHECKPOINT_OPTIMIZER: "optimizer",
}
JSON_FILES: Final = {artifacts.CHECKPOINT_SCHEDULE: "schedule", artifacts.CHECKPOINT_HOOKS: "hooks"}
FILES: Final = TENSOR_FILES | JSON_FILES

_STEP: Final = re.compile(rf"{artifacts.CHECKPOINT_PREFIX}([0-9]{{8,}})")
_DAMAGED: Final = re.compile(rf"{artifacts.DAMAGED_PREFIX}{_STEP.pattern}(-[0-9]+)?")
_UNFINISHED: Final = re.compile(rf"{artifacts.UNFINISHED_PREFIX}{_STEP.pattern}(-replaced|-removed)?")


@dataclass(frozen=True)
class State:
    """Everything that a run needs to go on as if it had never stopped. Tensors are on the CPU.

    It is read back bit for bit, but the order of names in a dictionary of tensors is not kept.
    """

    step: int  # updates done
    run: dict[str, Any]  # JSON: what the run is (options, fingerprints of data and model, versions)
    weights: dict[str, Tensor]  # trainable parameters and persistent buffers by name
    best: dict[str, Tensor]  # best weights so far, may be empty
    best_step: int  # update that ``best`` belongs to; 0 where it is empty
    optimizer: dict[str, Tensor]
    schedule: dict[str, Any]  # JSON
    hooks: dict[str, Any]  # JSON, by hook name


class _DamageError(Exception):
    """A checkpoint is not what was written; the text names the file and what is wrong with it."""


class Checkpoints:
    """The checkpoints of one run. Only folders with their names are ever touched: no links, no other names.

    Args:
        folder: where they lie; made when the first is written.
        keep: how many whole ones stay, at least 1.
        on_damage: told of each damaged checkpoint: where it lies now, and what is wrong with it.
    """

    def __init__(self, folder: Path, *, keep: int, on_damage: Callable[[Path, str], None] = lambda *_: None) -> None:
        assert keep >= 1, "a run keeps at least its newest checkpoint"
        self.folder, self.keep, self.on_damage = folder, keep, on_damage

    def write(self, state: State) -> int:
        """Write a checkpoint, flush it to disk, then remove the older ones beyond ``keep``; bytes written.

        A checkpoint of the same step is replaced. When writing fails, the others stay as they were.

        Raises:
            TrainingError: weights, best weights or the optimizer hold NaN or infinity; nothing is written.
            ArtifactError: the disk is full or refuses for another reason.
            ValueError: a JSON field holds NaN or infinity; nothing is written.
        """
        _check_finite(state)
        texts = {name: _json_bytes(getattr(state, field)) for name, field in JSON_FILES.items()}
        manifest = {"schema": SCHEMA, "step": state.step, "best_step": state.best_step, "run": state.run}
        manifest = json.loads(_json_bytes(manifest))  # so that its fingerprint is that of what will be read
        unfinished = self._path(state.step, artifacts.UNFINISHED_PREFIX)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            artifacts.flush(self.folder.parent)
            self.remove_unfinished()  # what an earlier failure left: its space may be needed now
            unfinished.mkdir()
            written = _write_files(unfinished, state, texts, manifest)
            self._move_in(unfinished, state.step)
        except (OSError, SafetensorError) as error:
            raise self._write_error(error, state) from error
        finally:  # also when the user interrupts
            shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(OSError, ArtifactError):  # the new one is safe; this is tried again after the next
            older = [step for step in self.steps() if step < state.step]
            for step in older[: max(0, len(older) - self.keep + 1)]:
                self._remove(step)
        return written

    def read_newest(self) -> State | None:
        """Read the newest whole checkpoint; damaged ones are renamed, reported and passed over.

        Returns:
            None where no whole checkpoint is left.

        Raises:
            ArtifactError: a checkpoint is of another version or cannot be accessed; it keeps its name.
        """
        with self._access("the checkpoints cannot be read"):
            self._restore_replaced()
            for step in reversed(self.steps()):
                try:
                    return _read(self._path(step), step)
                except _DamageError as damage:
                    self.on_damage(self._set_aside(step), str(damage))
        return None

    def doubt(self, step: int, reason: str) -> None:
        """Treat a checkpoint as damaged though it is what was written, if there is one before it to go back to.

        Raises:
            ArtifactError: it cannot be renamed.
        """
        if step in (steps := self.steps()) and step != steps[0]:
            with self._access("the checkpoint cannot be renamed"):
                self.on_damage(self._set_aside(step), reason)

    def steps(self) -> list[int]:
        """Steps of the checkpoints by their names, rising; their content is not looked at.

        Raises:
            ArtifactError: the folder cannot be read.
        """
        with self._access("the checkpoints cannot be listed"):
            return sorted(int(match[1]) for match in self._folders(_STEP))

    def newest_run(self) -> tuple[int, dict[str, Any]] | None:
        """Step and ``run`` of the newest checkpoint with a readable manifest, or None; no tensors are read."""
        for step in reversed(self.steps()):
            with contextlib.suppress(_DamageError, ArtifactError, OSError):
                return step, _read_manifest(self._path(step), step)["run"]
        return None

    def remove_all(self) -> None:
        """Remove every checkpoint, damaged and unfinished ones too, then the folder if nothing else is in it.

        Raises:
            ArtifactError: something cannot be removed.
        """
        with self._access("the checkpoints cannot be removed"):
            for match in (*self._folders(_UNFINISHED), *self._folders(_DAMAGED)):
                shutil.rmtree(self.folder / match[0])
            for step in self.steps():
                self._remove(step)
        with contextlib.suppress(OSError):  # it is not there, is a link, or holds what is not ours
            self.folder.rmdir()

    def remove_unfinished(self) -> None:
        """Remove what a killed run left half written or half removed.

        Raises:
            ArtifactError: something cannot be removed.
        """
        with self._access("an unfinished checkpoint cannot be removed"):
            self._restore_replaced()
            for match in self._folders(_UNFINISHED):
                shutil.rmtree(self.folder / match[0])

    def _path(self, step: int, before: str = "", after: str = "") -> Path:
        return self.folder / f"{before}{artifacts.CHECKPOINT_PREFIX}{step:08d}{after}"

    def _folders(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        """Matches of the names of our folders; a name is ours only as we would write it (no step-000000050)."""
        entries = list(os.scandir(self.folder)) if self.folder.is_dir() else []
        matches = [pattern.fullmatch(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [match for match in matches if match and f"{int(match[1]):08d}" == match[1]]

    def _move_in(self, unfinished: Path, step: int) -> None:
        """Give a written checkpoint its name; one that has the name already steps aside and is then removed."""
        final = self._path(step)
        replaced = self._path(step, artifacts.UNFINISHED_PREFIX, "-replaced")
        if step in self.steps():
            final.rename(replaced)
        try:
            unfinished.rename(final)
        except OSError:
            self._restore_replaced()
            raise
        artifacts.flush(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def _restore_replaced(self) -> None:
        """Give a checkpoint its name back that stepped aside for one that did not arrive."""
        for match in self._folders(_UNFINISHED):
            final = self._path(int(match[1]))
            if match[2] == "-replaced" and not os.path.lexists(final):
                (self.folder / match[0]).rename(final)

    def _remove(self, step: int) -> None:
        """Remove a checkpoint under an unfinished name: killed halfway, it must not look like a damaged one."""
        removed = self._path(step, artifacts.UNFINISHED_PREFIX, "-removed")
        shutil.rmtree(removed, ignore_errors=True)
        shutil.rmtree(self._path(step).rename(removed))

    def _set_aside(self, step: int) -> Path:
        """Rename a damaged checkpoint to the first name that is free; the new path."""
        names = (self._path(step, artifacts.DAMAGED_PREFIX, f"-{n}" if n > 1 else "") for n in itertools.count(1))
        return self._path(step).rename(next(path for path in names if not os.path.lexists(path)))

    def _write_error(self, error: Exception, state: State) -> ArtifactError:
        found = f"at least {bytes_of(state)} bytes needed"
        with contextlib.suppress(OSError):
            found += f", {shutil.disk_usage(self.folder).free} bytes free"
        what = f"the checkpoint of update {state.step} cannot be written ({getattr(error, 'strerror', None) or error})"
        todo = "free space, or mend quota or permissions; the checkpoints before are whole"
        return ArtifactError(what, where=str(self.folder), found=Told(found), todo=todo)

    @contextlib.contextmanager
    def _access(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where, todo = str(error.filename or self.folder), "mend the permissions or the disk"
            raise ArtifactError(f"{what} ({error.strerror or error})", where=where, todo=todo) from error


def bytes_of(state: State) -> int:
    """Bytes that the tensors of a state take."""
    tensors = [tensor for field in TENSOR_FILES.values() for tensor in getattr(state, field).values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _check_finite(state: State) -> None:
    parts = (("the weights are", state.weights), ("the best weights are", state.best))
    for subject, tensors in (*parts, ("the state of the optimizer is", state.optimizer)):
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                what = f"{subject} not written: {name} holds NaN or infinite values"
                raise TrainingError(what, where=f"update {state.step}", todo="try a lower learning rate")


def _json_bytes(value: Any) -> bytes:
    """JSON in ASCII: a path among the options may hold bytes that are no UTF-8."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, contiguous and none in the memory of another (tied weights are), as safetensors wants."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        whole = tensor.detach().contiguous()
        memory = whole.untyped_storage().data_ptr()
        result[name] = whole.clone() if memory in seen else whole
        seen.add(memory)
    return result


def _write_files(folder: Path, state: State, texts: dict[str, bytes], manifest: dict[str, Any]) -> int:
    """Write and flush every file, the manifest last; bytes written."""
    for name, field in TENSOR_FILES.items():
        save_file(_separate(getattr(state, field)), folder / name)
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    model_folder.share_weights(folder)
    files: dict[str, dict[str, Any]] = {}
    for name in FILES:
        artifacts.flush(folder / name)
        files[name] = {"sha256": artifacts.sha256_of_file(folder / name), "bytes": (folder / name).stat().st_size}
    manifest["files"] = files
    manifest["fingerprint"] = artifacts.fingerprint(manifest)
    path = folder / artifacts.CHECKPOINT_MANIFEST
    size = path.write_bytes(_json_bytes(manifest))
    artifacts.flush(path)
    artifacts.flush(folder)
    sizes: list[int] = [file["bytes"] for file in files.values()]
    return size + sum(sizes)


def _read_manifest(folder: Path, step: int) -> dict[str, Any]:
    name = artifacts.CHECKPOINT_MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(_content(folder / name, Path.read_bytes))
        known, schema = manifest.pop("fingerprint", None), manifest["schema"]
        same = known == artifacts.fingerprint(manifest)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _DamageError(f"{name} is no manifest ({error})") from None
    # Another version may go without a fingerprint; one that is there and differs is damage in any version.
    if schema not in READABLE and (same or known is None):
        what = "the checkpoint is of another version of bistill"
        todo = "go on with that version, or give `restart` to begin anew"
        raise ArtifactError(what, where=str(folder), found=schema, todo=todo)
    if not same:
        raise _DamageError(f"{name}: its fingerprint differs (one bit or more has changed)")
    if manifest["step"] != step:
        raise _DamageError(f"{name} is of step {manifest['step']}")
    return manifest


def _read(folder: Path, step: int) -> State:
    """Compare every file with the manifest, then load them."""
    manifest = _read_manifest(folder, step)
    for name in FILES:
        listed = manifest["files"].get(name) or {"bytes": "no such file"}
        if (size := _content(folder / name, lambda path: path.stat().st_size)) != listed["bytes"]:
            raise _DamageError(f"{name} has {size} bytes where the manifest says {listed['bytes']}")
        if _content(folder / name, artifacts.sha256_of_file) != listed["sha256"]:
            raise _DamageError(f"{name}: sha256 differs from the manifest's (one bit or more has changed)")
    fields: dict[str, Any] = {}
    for name, field in FILES.items():
        try:
            values = load_file(folder / name) if name in TENSOR_FILES else json.loads((folder / name).read_bytes())
        except (SafetensorError, ValueError) as error:
            raise _DamageError(f"{name} cannot be loaded ({error})") from None
        # Copies: what is loaded is mapped, and would hold the disk space of a checkpoint removed since.
        fields[field] = {key: tensor.clone() for key, tensor in values.items()} if name in TENSOR_FILES else values
    return State(step=step, run=manifest["run"], best_step=manifest["best_step"], **fields)


def _content(path: Path, read: Callable[[Path], Any]) -> Any:
    """What ``read`` finds in a file. A missing file or broken sector is damage; a lack of permission is none."""
    try:
        return read(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR):
            raise _DamageError(f"{path.name} is missing") from None
        if error.errno == errno.EIO:
            raise _DamageError(f"{path.name} cannot be read ({error.strerror})") from None
        raise
