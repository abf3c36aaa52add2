"""The teacher: query and document read together, one relevance logit a pair; sigmoid of it lies in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bistill import artifacts
from bistill.arrays import Floats
from bistill.errors import ModelError
from bistill.models import lora
from bistill.models.compute import batching, packable, packing, scoring, sharing, tokenizing
from bistill.models.compute.precision import autocasting, device_of, keep_float32, resolve_precision
from bistill.models.files import directories, loading
from bistill.models.settings import Lora, Precision

Pair = scoring.Pair


class CrossEncoder:
    """A sequence-classification model with one output, and its tokenizer.

    Attributes:
        model: transformers model, or the ``PeftModel`` around it.
        source: folder it was loaded from.
        max_len: tokens of query and document together; a pair's longer text is cut first.
        new_keys: parameters that were random after loading.
        made: how another process makes the same model; None: it cannot.
        prompt: text around a pair; none, since such a model reads query and document alone.
    """

    prompt: str = ""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        source: str,
        max_len: int,
        precision: Precision,
        new_keys: Sequence[str] = (),
    ) -> None:
        self.model, self.tokenizer, self.source, self.max_len = model, tokenizer, source, max_len
        self.new_keys = list(new_keys)
        self.made: sharing.Made | None = None
        self._head_modules = frozenset(lora.whole_modules(model, self.new_keys)) if new_keys else frozenset()
        self.precision = resolve_precision(precision, self.device)
        self._autocast = autocasting(self.precision, self.device)

    @classmethod
    def load(
        cls,
        name: str,
        *,
        max_len: int | None = None,
        precision: Precision = "auto",
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> CrossEncoder:
        """Load a trained Cross-Encoder.

        Args:
            name: folder (or the ``best_model.pt`` in it) or hub name.
            max_len: unset: the tokenizer's own limit.
            precision: arithmetic of the forward pass.
            device: such as "cuda:1"; unset: the GPU if there is one.
            trust_remote_code: whether code that the model brings along may run.

        Raises:
            ModelError: it cannot be loaded, has no trained head, or has several outputs.
        """
        folder = loading.local_folder(name, "re-ranker")
        encoder = cls.start(
            folder,
            max_len=max_len,
            precision=precision,
            seed=0,
            device=device,
            trust_remote_code=trust_remote_code,
        )
        if encoder.new_keys:
            raise ModelError(
                "the model is no trained Cross-Encoder: its head is missing",
                where=name,
                found=encoder.new_keys,
                todo="train it first with train_teacher_model.py",
            )
        return encoder

    @classmethod
    def start(
        cls,
        name: str,
        *,
        max_len: int | None,
        precision: Precision,
        seed: int,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> CrossEncoder:
        """Load any encoder as the start of a Cross-Encoder; a missing head is drawn from ``seed``.

        Raises:
            ModelError: it cannot be loaded, or is a classifier with several outputs.
        """
        from transformers import AutoModelForSequenceClassification

        path = loading.local_folder(name, "start")
        config = loading.load_config(path, trust_remote_code=trust_remote_code)
        classifies = any("ForSequenceClassification" in kind for kind in config.architectures or [])
        if classifies and config.num_labels != 1:
            raise ModelError("a relevance model with one output is expected", where=name, found=config.num_labels)
        config.num_labels = 1
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model, report = loading.load_model(
                AutoModelForSequenceClassification, path, trust_remote_code=trust_remote_code, config=config
            )
        tokenizer = loading.load_tokenizer(path, trust_remote_code=trust_remote_code)
        model.config.pad_token_id = tokenizer.pad_token_id
        model.to(device_of(device)).eval()
        for head in lora.heads(model):
            keep_float32(model.get_submodule(head))
        encoder = cls(
            model,
            tokenizer,
            source=path,
            max_len=loading.input_length(name, max_len, tokenizer, model.config),
            precision=precision,
            new_keys=sorted(report["missing_keys"]),
        )
        if device is None:
            settings = {"precision": precision, "seed": seed, "trust_remote_code": trust_remote_code}
            encoder.made = sharing.Made(cls.start, (name,), {"max_len": max_len, **settings})
        return encoder

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        where: torch.device = next(self.model.parameters()).device
        return where

    @cached_property
    def packs(self) -> bool:
        """Whether pairs of one forward share a row, without padding."""
        return packable.packs(self.model, self.precision)

    def new_head(self) -> frozenset[str]:
        """Names of the parameters of a head that started at random, the pooler below it included; else none."""
        names = (name for name, _ in self.model.named_parameters())
        return frozenset(name for name in names if self._head_modules & set(name.split(".")))

    def tokenize(self, pairs: Sequence[Pair]) -> list[batching.Encoding]:
        """Token ids of pairs."""
        return tokenizing.tokenize(self.tokenizer, pairs, self.max_len)

    def forward(self, encodings: Sequence[batching.Encoding]) -> Tensor:
        """Relevance logits of tokenized pairs in one pass: float32 of shape (n,), with graph where gradients are on."""
        batch = batching.padded(self.tokenizer, encodings, self.device)
        lengths = batching.lengths(encodings)
        with self._autocast(), packing.packed(self.model, lengths) if self.packs else nullcontext():
            output: Tensor = self.model(**batch).logits
        return output.squeeze(-1).float()

    def logits(self, pairs: Sequence[Pair], *, max_items: int = 64) -> Tensor:
        """Relevance logits of pairs, float32 of shape (n,), in the order given; with graph where gradients are on."""
        [found] = scoring.logits(self, [pairs], max_items=max_items)
        return found

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 64, description: str = "") -> Floats:
        """Relevance logits of pairs without gradients: float32 of shape (n,), in the order given.

        Args:
            pairs: (query, document) texts.
            batch_size: pairs of one forward at most.
            description: shown with the progress; "" for none.
        """
        return scoring.score(self, pairs, batch_size=batch_size, description=description)

    def save(self, folder: Path, adapters: Lora | None) -> None:
        """Write a directory that ``CrossEncoder(path)`` of sentence-transformers and ``AutoModel...`` load as it is.

        Adapters are merged into it and also written to ``adapter/``; ``best_model.pt`` holds the merged weights and
        ``lora_config.json`` the LoRA settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        plain: Any = lora.merged(self.model)
        plain.config.id2label, plain.config.label2id = {0: "relevance"}, {"relevance": 0}
        plain.config.sentence_transformers = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
        directories.write_tokenizer(folder, self.tokenizer, self.max_len)
        lora.save(folder, self.model, plain, adapters, self.source)
        weights = {name: value.detach().cpu() for name, value in plain.state_dict().items()}
        # Into an open file: given a path, torch writes the (temporary, random) file name into the archive.
        with artifacts.atomic_path(folder / artifacts.BEST_MODEL) as temporary, temporary.open("wb") as file:
            torch.save(weights, file)
