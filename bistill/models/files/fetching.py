"""Models of the hub: fetched within limits of time, else taken from the hub's cache; and what to name instead."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from bistill import artifacts, console, hub
from bistill.errors import ArtifactError, ModelError
from bistill.models.settings import PACKAGED_MODEL

# What a model is asked for: a Bi-Encoder, a trained re-ranker, or what a re-ranker can start as.
Wanted = Literal["bi-encoder", "re-ranker", "start"]

# Patterns match across "/"; weights in subfolders are exports for other runtimes. One form of weights is enough.
BESIDE_WEIGHTS: Final = ("*.json", "*.txt", "*.model", "*.py", "*README.md")
WEIGHTS: Final = ("*.safetensors", "*.bin")
UNWRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EDQUOT)

# Models that this process has brought up to date: nothing is asked for twice.
up_to_date: set[str] = set()


def fetched(name: str, wanted: Wanted | None = None) -> str:
    """Folder of a hub model in the hub's cache, brought up to date where the hub answers; asked for once a process.

    Where it does not, or breaks off, the model is taken as it was fetched before, which is said.

    Args:
        name: "owner/name".
        wanted: what the user is told to name instead.

    Raises:
        ModelError: the model is neither here whole nor could it be fetched.
    """
    problem = "" if name in up_to_date else hub.silence() or _updated(name)
    folder = at_hand(name)
    if folder is None:
        raise ModelError(
            f"the model is neither on this machine nor could it be fetched from the hub ({problem or 'no weights'})",
            where=name,
            todo=alternatives(wanted),
        )
    if not problem:
        up_to_date.add(name)
    elif problem != hub.OFFLINE:
        console.say_once(f"{name}: taken as it was fetched before, since the hub could not be asked ({problem})")
    return folder


def at_hand(name: str) -> str | None:
    """Folder of a hub model as it was fetched before; None where it is not there, or not whole."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True, allow_patterns=[artifacts.CONFIG_FILE]))
    except (OSError, ValueError):  # not there; or a name that can be none of the hub's
        return None
    return str(folder) if _is_whole(folder) else None


def alternatives(wanted: Wanted | None = None) -> str:
    """What a user whose model cannot be reached can name instead, found on this machine and of the kind asked for."""
    folders = sorted(str(config.parent) for config in Path("models").glob(f"*/{artifacts.CONFIG_FILE}"))
    choices = [folder for folder in folders if wanted is None or wanted in kinds(Path(folder))]
    choices += [name for name, folder in _cached() if wanted is None or wanted in kinds(folder)]
    if wanted != "re-ranker":
        choices.insert(0, PACKAGED_MODEL)
    if not choices:
        return "train a teacher with train_teacher_model.py and give its folder, or the folder of any re-ranker"
    what = "the folder of any re-ranker" if wanted == "re-ranker" else f"any folder with a {artifacts.CONFIG_FILE}"
    return f"give a model that is on this machine: {', '.join(choices)}, or {what}"


def kinds(folder: Path) -> frozenset[Wanted]:
    """What a model folder can be used as, by its configuration and what lies beside it."""
    config, record = _json(folder / artifacts.CONFIG_FILE), _json(folder / artifacts.MODEL_RECORD)
    architectures = [str(name) for name in config.get("architectures") or [config.get("model_type", "")]]
    made_by = _json(folder / artifacts.SENTENCE_TRANSFORMERS_CONFIG).get("model_type")
    # sentence-transformers writes modules.json for a CrossEncoder, too, since 5.4.
    modules = (folder / artifacts.MODULES_FILE).is_file() and made_by != "CrossEncoder"
    students = modules or record.get("stage") == "student"
    if not config:
        return frozenset()
    if students:
        return frozenset({"bi-encoder", "start"})
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        outputs = config.get("num_labels", len(config.get("id2label") or (0, 1)))
        return frozenset({"re-ranker", "start"}) if outputs == 1 else frozenset()
    if any(name.endswith("ForCausalLM") for name in architectures):
        return frozenset({"re-ranker"})
    if any("For" in name and not name.endswith(("ForMaskedLM", "ForPreTraining")) for name in architectures):
        return frozenset()
    return frozenset({"bi-encoder", "start"})


def _updated(name: str) -> str:
    """Fetch what the cache lacks of a hub model; returns why that was not possible, "" where it was."""
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import tqdm

    bytes_come = _counting(tqdm)
    try:
        hub.within(hub.STALL_SECONDS, lambda: _fetch(name, bytes_come), progress=bytes_come.seen)
    except TimeoutError as error:
        return hub.note_silence(error, hub.STALL_SECONDS)
    except errors.GatedRepoError:
        return "its owner must be asked for access on its page, and HF_TOKEN set to your token"
    except errors.RepositoryNotFoundError:
        return "the hub has no such model; a private one needs HF_TOKEN"
    except Exception as error:  # the client's, of the network underneath it, and of the file system
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            return f"the hub's cache cannot be written: {error.strerror}; set HF_HOME to a folder that can be"
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ""


def _fetch(name: str, bytes_come: type[Any]) -> None:
    """Bring a model's files into the hub's cache; nothing is asked for twice where the newest version lies there."""
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(name, timeout=hub.ANSWER_SECONDS)
    files = _chosen([str(file.rfilename) for file in info.siblings or []])
    folder = at_hand(name)
    if folder and Path(folder).name == info.sha and all((Path(folder) / file).is_file() for file in files):
        return
    console.say(f"{name}: fetching {console.counted(len(files), 'file')} from the hub")
    for file in files:
        hf_hub_download(name, file, tqdm_class=bytes_come)
        bytes_come.count += 1


def _chosen(files: Sequence[str]) -> list[str]:
    """Of a model's files those that are read here: weights in one form, safetensors where there are any."""
    weights = next((found for form in WEIGHTS if (found := [f for f in files if _in_root(f, form)])), [])
    return [file for file in files if file in weights or any(fnmatch.fnmatch(file, form) for form in BESIDE_WEIGHTS)]


def _in_root(file: str, form: str) -> bool:
    return "/" not in file and fnmatch.fnmatch(file, form)


def _counting(bar: type[Any]) -> type[Any]:
    """A progress bar of the hub's client that counts what came, in whatever file and direction."""

    class Counting(bar):  # type: ignore[misc]  # the client's own class
        count = 0

        def update(self, amount: float | None = 1) -> Any:
            type(self).count += 1
            return super().update(amount)

        @classmethod
        def seen(cls) -> int:
            return cls.count

    return Counting


def _is_whole(folder: Path) -> bool:
    """Whether a snapshot has its configuration and all its weights: fetching may have been broken off."""
    listed: list[str] = []
    for index in (*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")):
        listed += set((_json(index).get("weight_map") or {}).values())
    weights = any(any(folder.glob(form)) for form in WEIGHTS)
    return weights and (folder / artifacts.CONFIG_FILE).is_file() and all((folder / file).is_file() for file in listed)


def _cached() -> list[tuple[str, Path]]:
    """Name and folder of each hub model that lies whole in the hub's cache."""
    from huggingface_hub import scan_cache_dir

    found = []
    with contextlib.suppress(Exception):  # an unreadable cache only shortens the list
        names = sorted(repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model")
        found = [(name, Path(folder)) for name in names if (folder := at_hand(name))]
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        return artifacts.read_json(file)
    except ArtifactError:
        return {}
