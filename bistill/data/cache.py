"""Parsed data by content: a folder per key, written aside and renamed, verified by sha256 whenever it is opened."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.console import say
from bistill.errors import ArtifactError

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"


def entry_folder(key: str) -> Path:
    """Folder of a key."""
    return artifacts.cache_dir() / "data" / key[:32]


def open_entry(key: str) -> tuple[Path, dict[str, Any]] | None:
    """Folder and manifest of a key; None where there is none, or where it is damaged (which is said)."""
    folder = entry_folder(key)
    if not folder.exists():
        return None
    try:
        manifest = artifacts.read_json(folder / MANIFEST)
        _verify(folder, key, manifest)
    except ArtifactError as error:
        say(f"parsed data is damaged and made again: {error.what} ({folder})")
        return None
    return folder, manifest


def write_entry(key: str, fill: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """Make the folder of a key.

    Args:
        key: the content key.
        fill: writes files into the folder it is given and returns what the manifest shall say beside them.
    """
    final = entry_folder(key)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    try:
        manifest = fill(temporary)
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": artifacts.sha256_of_file(file)}
            for file in sorted(temporary.iterdir())
        }
        manifest |= {"version": FORMAT_VERSION, "key": key, "files": files}
        artifacts.write_json(temporary / MANIFEST, manifest)
        temporary.chmod(0o755)
        if final.exists():  # damaged, or just made by another process: the same content either way
            shutil.rmtree(final, ignore_errors=True)
        try:
            temporary.rename(final)
        except OSError:
            if open_entry(key) is None:
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final, manifest


def _verify(folder: Path, key: str, manifest: dict[str, Any]) -> None:
    if manifest.get("version") != FORMAT_VERSION or manifest.get("key") != key:
        raise ArtifactError("the manifest is of another version", where=str(folder))
    for name, facts in manifest["files"].items():
        file = folder / name
        if not file.exists() or file.stat().st_size != facts["bytes"]:
            raise ArtifactError(f"{name} is missing or cut", where=str(folder))
        if artifacts.sha256_of_file(file) != facts["sha256"]:
            raise ArtifactError(f"{name} has another sha256", where=str(folder))
