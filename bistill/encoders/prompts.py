"""Texts that model families expect in front of queries and documents.

Sources are the model cards: a model trained with a prompt loses quality without it. A prompt that the model's own
``config_sentence_transformers.json`` names goes before this table, a flag before both.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

RETRIEVAL_TASK: Final = "Given a web search query, retrieve relevant passages that answer the query"


class Prompts(NamedTuple):
    """Text in front of each query and of each document; "" for none."""

    query: str
    document: str


# First match wins: narrower names stand before wider ones.
FAMILIES: Final[tuple[tuple[str, Prompts], ...]] = (
    (r"e5-.*instruct|e5-mistral", Prompts(f"Instruct: {RETRIEVAL_TASK}\nQuery: ", "")),
    (r"(^|[-_/])e5[-_]", Prompts("query: ", "passage: ")),
    (r"qwen3-embedding", Prompts(f"Instruct: {RETRIEVAL_TASK}\nQuery:", "")),
    (r"gte-qwen", Prompts(f"Instruct: {RETRIEVAL_TASK}\nQuery: ", "")),
    (r"bge-m3|kure|koe5-m3", Prompts("", "")),
    (r"bge-.*-en", Prompts("Represent this sentence for searching relevant passages: ", "")),
    (r"bge-.*-zh", Prompts("为这个句子生成表示以用于检索相关文章：", "")),
    (r"arctic-embed-.*(v2|v2\.0)", Prompts("query: ", "")),
    (r"arctic-embed", Prompts("Represent this sentence for searching relevant passages: ", "")),
    (r"gte-|minilm", Prompts("", "")),
)


def of_family(model_name: str) -> Prompts:
    """Prompts of the model family that a hub name or folder name belongs to; none for an unknown family."""
    name = model_name.lower().rstrip("/")
    if cached := re.search(r"models--([^/]+)/snapshots/", name):  # a hub model's folder in the local cache
        name = cached[1].replace("--", "/")
    for pattern, prompts in FAMILIES:
        if re.search(pattern, name):
            return prompts
    return Prompts("", "")


def choose(model_name: str, own: dict[str, str], query: str | None, document: str | None) -> Prompts:
    """Prompts of a model: each from the flag if given, else from the model's own record, else from its family.

    Args:
        model_name: hub name or folder.
        own: ``prompts`` of ``config_sentence_transformers.json``; keys query and document (or passage, corpus).
        query: text from the flag, or None.
        document: text from the flag, or None.
    """
    family = of_family(model_name)
    own_document = next((own[key] for key in ("document", "passage", "corpus") if key in own), family.document)
    return Prompts(
        query=own.get("query", family.query) if query is None else query,
        document=own_document if document is None else document,
    )
