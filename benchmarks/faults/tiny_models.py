"""A tiny student, a tiny teacher and data for both trainers: random weights, made-up sentences, no network."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Final, NamedTuple

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SYLLABLES: Final = ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne", "po", "ra", "su", "ti")
WORDS: Final = tuple(first + second for first in SYLLABLES for second in SYLLABLES)
TOKENS: Final = 32
QUERIES: Final = {"train": 64, "valid": 16, "test": 16}


class Triplet(NamedTuple):
    """A query, a document that answers it, and one that does not."""

    query: str
    positive: str
    negative: str


def triplets(split: str) -> list[Triplet]:
    """The same sentences each time: a document is random words, its query four of them."""
    numbers = random.Random(f"faults-{split}")
    rows = []
    for _ in range(QUERIES[split]):
        positive, negative = (numbers.sample(WORDS, numbers.randint(8, 20)) for _ in range(2))
        rows.append(Triplet(" ".join(numbers.sample(positive, 4)), " ".join(positive), " ".join(negative)))
    return rows


def write_data(root: Path, version: str) -> None:
    """``root/version/{train,valid,test}.csv`` as bistill reads them."""
    folder = root / version
    folder.mkdir(parents=True)
    for split in QUERIES:
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Triplet._fields, *triplets(split)])


def write_student(folder: Path) -> None:
    """A bare BERT of two layers and 32 dimensions, dropout as BERT has it."""
    import torch
    from transformers import BertModel

    torch.manual_seed(0)
    BertModel(_config()).save_pretrained(folder)
    _write_tokenizer(folder)


def write_teacher(folder: Path) -> None:
    """A Cross-Encoder of the same size with a random head."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(1)
    BertForSequenceClassification(_config(num_labels=1)).save_pretrained(folder)
    _write_tokenizer(folder)


def _config(**changes: int) -> object:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=2 * TOKENS,
        **changes,
    )


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=2 * TOKENS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **dict(zip(names, SPECIAL, strict=True)),
    ).save_pretrained(folder)
