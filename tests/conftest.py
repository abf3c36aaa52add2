"""Tiny real encoders, built once a session: a word-level vocabulary and random weights, no network."""

from __future__ import annotations

import os
import string
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
# Sums of several threads are added up as the machine has processors, and their last bits are compared here: between
# processes, and with those of other runs. Read once, when the libraries are loaded, and by the processes begun here.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

WORDS = """
    how to read a file open close write list sort set map tree graph query key value fast slow red blue green
    서울 부산 날씨 음식 역사 과학 the of in is and returns number string error parse json network socket thread
""".split()  # noqa: SIM905


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = [*string.ascii_lowercase, *string.digits]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, *alphabet])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    ).save_pretrained(folder)


def bert_config(**changes: object) -> object:
    from transformers import BertConfig

    settings = {
        "vocab_size": 5 + len(WORDS) + 36,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        **changes,
    }
    return BertConfig(**settings)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare BERT folder: the start of a teacher or a student."""
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("tiny-encoder")
    torch.manual_seed(0)
    BertModel(bert_config()).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Cross-Encoder folder with a (random) head, as if trained elsewhere."""
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("tiny-teacher")
    torch.manual_seed(1)
    BertForSequenceClassification(bert_config(num_labels=1)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_causal_tokenizer(folder: Path) -> int:
    """Byte-level BPE as Qwen's, with the merges that make "yes" and "no" single tokens; the size of its vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [("y", "e"), ("ye", "s"), ("n", "o")]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(merge) for merge in merges)]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=2048,
        model_input_names=["input_ids", "attention_mask"],
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
    ).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def qwen3_config(**changes: object) -> object:
    from transformers import Qwen3Config

    settings = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,  # large enough that different pairs have clearly different scores
        **changes,
    }
    return Qwen3Config(**settings)


@pytest.fixture(scope="session")
def tiny_causal_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the Qwen3-Reranker form: a language model that answers yes or no."""
    from transformers import Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("tiny-causal-reranker")
    torch.manual_seed(2)
    Qwen3ForCausalLM(qwen3_config(vocab_size=write_causal_tokenizer(folder))).save_pretrained(folder)
    return folder


def pin_products(cache: Path) -> None:
    """Write into a cache folder that torch's own products in float32 are the fastest, so that what this machine is
    fastest in decides no value, in the tests' own processes either."""
    from bistill import artifacts
    from bistill.models.compute import products

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(cache))
        for threads in {1, 2, torch.get_num_threads()}:
            artifacts.write_json(products.record(threads), products.Fastest(False, False, False)._asdict())


@pytest.fixture(autouse=True, scope="session")
def pinned_products(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this process has not read anew is pinned as well: fixtures of modules run before any test's own cache."""
    from bistill.models.compute import products

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        pin_products(Path(os.environ["BISTILL_CACHE"]))
        products.fastest.cache_clear()
        products.fastest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or leaves anything in the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BISTILL_CACHE", str(cache))
    pin_products(cache)


@pytest.fixture
def write_csv() -> Callable[[Path, list[list[str]]], Path]:
    """Write rows (the header first) as UTF-8 CSV."""
    import csv

    def write(path: Path, rows: list[list[str]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        return path

    return write
