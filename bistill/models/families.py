"""What families of embedding models expect: texts in front of queries and documents, and how token vectors become one.

A model trained with a prompt or a pooling loses quality without it, and nothing fails. What a model's own files say
goes before this table, a flag before both (``reading``). ``docs/models.md`` shows the table.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from bistill.models.settings import Pooling

RETRIEVAL_TASK: Final = "Given a web search query, retrieve relevant passages that answer the query"
REPRESENT: Final = "Represent this sentence for searching relevant passages: "


class Prompts(NamedTuple):
    """Text in front of each query and of each document; "" for none."""

    query: str
    document: str


class Family(NamedTuple):
    """Models that are read alike.

    Attributes:
        name: as messages say it.
        source: model cards, or the paper, that say how they are read.
        names: pattern of the names of its models, in lower case with "-" between words.
        prompts: of its models.
        pooling: of its models.
        causal: whether these are language models, in which a token sees only what stands before it.
    """

    name: str
    source: str
    names: str
    prompts: Prompts
    pooling: Pooling
    causal: bool = False


NONE: Final = Prompts("", "")
E5: Final = Prompts("query: ", "passage: ")
INSTRUCT: Final = Prompts(f"Instruct: {RETRIEVAL_TASK}\nQuery: ", "")
QUERY: Final = Prompts("query: ", "")
NOMIC: Final = Prompts("search_query: ", "search_document: ")

# First match wins: narrower names stand before wider ones.
FAMILIES: Final[tuple[Family, ...]] = (
    # E5: Wang et al. 2022 (arXiv 2212.03533), 2024 (arXiv 2402.05672); with instructions 2024 (arXiv 2401.00368).
    Family("e5-mistral", "intfloat/e5-mistral-7b-instruct", r"e5-mistral", INSTRUCT, "lasttoken", causal=True),
    Family("e5-instruct", "intfloat/multilingual-e5-large-instruct", r"\b\w*e5-.*instruct", INSTRUCT, "mean"),
    Family(
        "e5-korean", "upskyy/e5-base-korean, upskyy/e5-large-korean", r"\be5-(small|base|large)-korean", NONE, "mean"
    ),
    Family(
        "e5",
        "intfloat/e5-base-v2, intfloat/multilingual-e5-base, nlpai-lab/KoE5, dragonkue/multilingual-e5-small-ko",
        r"\b(ko|m|koen-)?e5\b",
        E5,
        "mean",
    ),
    Family("mxbai-german", "mixedbread-ai/deepset-mxbai-embed-de-large-v1", r"mxbai-embed-de-", E5, "mean"),
    # Qwen3-Embedding: Zhang et al. 2025 (arXiv 2506.05176). No blank stands behind its "Query:".
    Family(
        "Qwen3-Embedding",
        "Qwen/Qwen3-Embedding-0.6B",
        r"qwen3-embedding",
        Prompts(INSTRUCT.query.rstrip(), ""),
        "lasttoken",
        causal=True,
    ),
    # GTE: Li et al. 2023 (arXiv 2308.03281), Zhang et al. 2024 (arXiv 2407.19669).
    Family("gte-Qwen", "Alibaba-NLP/gte-Qwen2-7B-instruct", r"gte-qwen", INSTRUCT, "lasttoken", causal=True),
    Family(
        "gte with CLS",
        "Alibaba-NLP/gte-multilingual-base, Alibaba-NLP/gte-base-en-v1.5, Alibaba-NLP/gte-modernbert-base, "
        "thenlper/gte-base-zh",
        r"gte-(multilingual|modernbert|\w+-en-v1\.5|\w+-zh)",
        NONE,
        "cls",
    ),
    Family("gte", "thenlper/gte-base", r"\bgte-(small|base|large)\b", NONE, "mean"),
    # Nomic Embed: Nussbaum et al. 2024 (arXiv 2402.01613).
    Family(
        "nomic-embed-code",
        "nomic-ai/nomic-embed-code",
        r"nomic-embed-code",
        Prompts("Represent this query for searching relevant code: ", ""),
        "lasttoken",
        causal=True,
    ),
    Family(
        "nomic-embed",
        "nomic-ai/nomic-embed-text-v1.5, nomic-ai/nomic-embed-text-v2-moe, nomic-ai/modernbert-embed-base",
        r"nomic-embed|modernbert-embed",
        NOMIC,
        "mean",
    ),
    # BGE: Xiao et al. 2023 (arXiv 2309.07597); M3: Chen et al. 2024 (arXiv 2402.03216).
    Family(
        "bge-m3",
        "BAAI/bge-m3, nlpai-lab/KURE-v1, dragonkue/BGE-m3-ko, upskyy/bge-m3-korean, deepvk/USER-bge-m3",
        r"bge-m3|\bkure\b",
        NONE,
        "cls",
    ),
    Family("bge-en", "BAAI/bge-base-en-v1.5", r"bge-(small|base|large)-en", Prompts(REPRESENT, ""), "cls"),
    Family(
        "bge-zh",
        "BAAI/bge-base-zh-v1.5",
        r"bge-(small|base|large)-zh",
        Prompts("为这个句子生成表示以用于检索相关文章：", ""),
        "cls",
    ),
    # Arctic-Embed: Merrick et al. 2024 (arXiv 2405.05374), Yu et al. 2024 (arXiv 2412.04506).
    Family(
        "arctic-embed-v2",
        "Snowflake/snowflake-arctic-embed-l-v2.0, dragonkue/snowflake-arctic-embed-l-v2.0-ko, telepix/PIXIE-Rune-v1.0",
        r"arctic-embed-.*v2|arctic-.*v2\.0|\bpixie-rune",
        QUERY,
        "cls",
    ),
    Family("arctic-embed", "Snowflake/snowflake-arctic-embed-m", r"arctic-embed", Prompts(REPRESENT, ""), "cls"),
    Family(
        "mxbai-xsmall", "mixedbread-ai/mxbai-embed-xsmall-v1", r"mxbai-embed-xsmall", Prompts(REPRESENT, ""), "mean"
    ),
    Family("mxbai", "mixedbread-ai/mxbai-embed-large-v1", r"mxbai-embed", Prompts(REPRESENT, ""), "cls"),
    # Jina: Günther et al. 2023 (arXiv 2310.19923), Sturua et al. 2024 (arXiv 2409.10173).
    Family(
        "jina-v3",
        "jinaai/jina-embeddings-v3",
        r"jina-embeddings-v3",
        Prompts("Represent the query for retrieving evidence documents: ", "Represent the document for retrieval: "),
        "mean",
    ),
    Family("jina-v2", "jinaai/jina-embeddings-v2-base-en", r"jina-embeddings-v2", NONE, "mean"),
    Family("granite-embedding", "ibm-granite/granite-embedding-278m-multilingual", r"granite-embedding", NONE, "cls"),
    # Sentence-BERT: Reimers and Gurevych 2019 (arXiv 1908.10084).
    Family(
        "sentence-transformers",
        "sentence-transformers/all-MiniLM-L6-v2, sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2, "
        "jhgan/ko-sroberta-multitask, snunlp/KR-SBERT-V40K-klueNLI-augSTS",
        r"\ball-(minilm|mpnet|distilroberta|roberta)|paraphrase-(multilingual-)?(minilm|mpnet)|all-minilm"
        r"|\bko-s(ro)?bert(a)?-|\bkr-sbert",
        NONE,
        "mean",
    ),
)


class Structure(NamedTuple):
    """What a configuration alone tells.

    Attributes:
        values: of ``config.json``, which only these models have; of a tuple any one.
        families: names of rows of ``FAMILIES``; where several share the structure, only what they agree in is known.
    """

    values: dict[str, Any]
    families: tuple[str, ...]


# Qwen3-Embedding was cut to the words it uses: the language models below it have 151,936. bge-m3 stretched XLM-R to
# 8,192 positions, and others went on from there. A BERT of 250,037 words comes from Multilingual-MiniLM, as
# multilingual-e5-small and paraphrase-multilingual-MiniLM do.
STRUCTURES: Final = (
    Structure({"model_type": "qwen3", "vocab_size": (151_665, 151_669)}, ("Qwen3-Embedding",)),
    Structure({"model_type": "xlm-roberta", "max_position_embeddings": 8194}, ("bge-m3", "arctic-embed-v2")),
    Structure({"model_type": "nomic_bert"}, ("nomic-embed",)),
    Structure({"model_type": ("new", "gte")}, ("gte with CLS", "arctic-embed-v2")),
    Structure({"model_type": "jina_embeddings_v3"}, ("jina-v3",)),
    Structure({"model_type": "bert", "position_embedding_type": "alibi"}, ("jina-v2",)),
    Structure({"model_type": "bert", "vocab_size": 250_037}, ("e5", "sentence-transformers")),
)


def named(name: str, *, causal: bool | None = None) -> Family | None:
    """The family that a model's name belongs to; None for an unknown one.

    Args:
        name: "owner/name" or a folder's name; of both the last part counts.
        causal: whether the model is a language model; None: not known. A family of the other kind is none of it.
    """
    last = re.sub(r"[_\s]+", "-", name.strip().rstrip("/\\").replace("\\", "/").rpartition("/")[2].lower())
    for family in FAMILIES:
        if re.search(family.names, last) and causal in (None, family.causal):
            return family
    return None


def structured(config: dict[str, Any]) -> tuple[Family, ...]:
    """The families whose structure a configuration has; none for one that many models have."""
    for structure in STRUCTURES:
        if all(_is_one_of(config.get(name), values) for name, values in structure.values.items()):
            return tuple(family for family in FAMILIES if family.name in structure.families)
    return ()


def is_causal(config: dict[str, Any]) -> bool:
    """Whether a configuration is that of a language model, in which a token sees only what stands before it."""
    from transformers.models.auto import modeling_auto

    kind = str(config.get("model_type", ""))
    if config.get("is_encoder_decoder") or config.get("use_bidirectional_attention"):
        return False
    masked = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind == "xlnet"
    return kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not masked


def _is_one_of(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, tuple) else value == wanted
