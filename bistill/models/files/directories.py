"""Reading and writing the directory layout of sentence-transformers.

The older schema is written (``sentence_transformers.models.*`` types, ``pooling_mode_*`` booleans): every release of
sentence-transformers, text-embeddings-inference and vLLM reads it, while some misread the one that
sentence-transformers >= 5.4 writes by default.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.errors import ModelError
from bistill.models import pooling
from bistill.models.families import Prompts

# What transformers notes in a tokenizer's settings about how it was loaded; nothing reads it there.
HOW_IT_WAS_LOADED: Final = ("is_local", "local_files_only")


@dataclass(frozen=True)
class Layout:
    """What a student's directory says beyond its transformer.

    Attributes:
        mode: key of ``pooling.POOLINGS``; None where no file says it.
        max_len: ``max_seq_length``, or None.
        prompts: prompts by name.
    """

    mode: str | None = None
    max_len: int | None = None
    prompts: dict[str, str] = field(default_factory=dict)


def read_layout(path: str) -> Layout:
    """Layout of a model folder; of a bare transformer what is there of it.

    Raises:
        ModelError: it has a module that is no transformer, pooling or normalisation of sentence-transformers (its
            vectors would differ).
    """
    modules = json_of(path, artifacts.MODULES_FILE) or []
    for module in modules:
        _check_module(module["type"], f"{path}/{artifacts.MODULES_FILE}")
    folder = next((module["path"] for module in modules if module["type"].endswith("Pooling")), "1_Pooling")
    pooling_config = json_of(path, f"{folder}/config.json")
    sentence_config = json_of(path, artifacts.SENTENCE_CONFIG) or {}
    own = json_of(path, artifacts.SENTENCE_TRANSFORMERS_CONFIG) or {}
    prompts = {name: text for name, text in (own.get("prompts") or {}).items() if isinstance(text, str)}
    # sentence-transformers writes empty prompts for want of any; in a folder of ours they are meant.
    if not any(prompts.values()) and not (Path(path) / artifacts.MODEL_RECORD).is_file():
        prompts = {}
    return Layout(
        mode=pooling.mode_of_config(pooling_config, f"{path}/{folder}/config.json") if pooling_config else None,
        max_len=sentence_config.get("max_seq_length"),
        prompts=prompts,
    )


def check_complete(path: str, missing_keys: Iterable[str]) -> None:
    """Refuse a folder whose vectors would be random or are no student's.

    Raises:
        ModelError: weights are missing (but for a pooler, through which no token vector passes), or it is a teacher.
    """
    record = Path(path) / artifacts.MODEL_RECORD
    if record.is_file() and artifacts.read_json(record).get("stage") == "teacher":
        raise ModelError("the folder holds a teacher, not a student", where=path, todo="give the student's folder")
    if missing := sorted(key for key in missing_keys if "pooler" not in key):
        raise ModelError("weights are missing from the model", where=path, found=missing, todo="fetch it again")


def write_tokenizer(folder: Path, tokenizer: Any, max_len: int) -> None:
    """Write the tokenizer with the model's length as its limit; the one in use stays as it is.

    The same tokenizer gives the same bytes wherever it was loaded from, online or not: the fingerprint of a model
    covers its tokenizer's files.
    """
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_max_length = max_len
    for name in HOW_IT_WAS_LOADED:
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.save_pretrained(str(folder))


def write_layout(folder: Path, *, mode: str, dim: int, max_len: int, prompts: Prompts) -> None:
    """Write everything of a student's directory but the transformer and the tokenizer."""
    types = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": index, "name": str(index), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for index, (place, kind) in enumerate(types)
    ]
    artifacts.write_text(folder / artifacts.MODULES_FILE, json.dumps(modules, indent=2) + "\n")
    switches = {name: name == mode for name in pooling.POOLINGS}
    artifacts.write_json(
        folder / artifacts.POOLING_CONFIG, {"word_embedding_dimension": dim, **switches, "include_prompt": True}
    )
    (folder / "2_Normalize").mkdir(exist_ok=True)
    artifacts.write_json(folder / artifacts.SENTENCE_CONFIG, {"max_seq_length": max_len, "do_lower_case": False})
    record = {
        "prompts": {"query": prompts.query, "document": prompts.document},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    artifacts.write_json(folder / artifacts.SENTENCE_TRANSFORMERS_CONFIG, record)


def json_of(path: str, name: str) -> Any:
    """Content of a JSON file of a model folder, None where it has none.

    Raises:
        ModelError: the file is not JSON.
    """
    file = Path(path) / name
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"the file is not JSON ({error})", where=f"{path}/{name}") from None


def _check_module(kind: str, where: str) -> None:
    """Refuse a module class that is not computed here as sentence-transformers computes it; no class is imported.

    Its releases write ``sentence_transformers.models.Pooling`` or, since 5.4, the full path below
    ``sentence_transformers``; a class of any other package would be that package's code, or the folder's.
    """
    package, _, name = kind.partition(".")
    if package != "sentence_transformers":
        raise ModelError(
            "the module's class is not of sentence-transformers, and other code is never run",
            where=where,
            found=kind,
            todo="start from a model of Transformer, Pooling and Normalize",
        )
    if (name := name.rpartition(".")[2]) not in ("Transformer", "Pooling", "Normalize"):
        raise ModelError(
            f"module {name!r} is not supported in a student",
            where=where,
            found=kind,
            todo="start from a model of Transformer, Pooling and Normalize",
        )
