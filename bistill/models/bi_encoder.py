"""The student: queries and documents encoded apart into unit vectors; relevance is their cosine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bistill.arrays import Floats
from bistill.models import layers, lora, pooling, reading
from bistill.models.compute import batching, encoding, packable, packing, sharing, tokenizing
from bistill.models.compute.precision import autocasting, device_of, resolve_precision
from bistill.models.families import Prompts
from bistill.models.files import directories, loading
from bistill.models.settings import EncoderStart, Lora, Pooling, Precision


class BiEncoder:
    """A transformer, its tokenizer, its pooling and its prompts.

    Attributes:
        model: transformers model, or the ``PeftModel`` around it.
        source: folder it was loaded from.
        mode: key of ``pooling.POOLINGS``.
        max_len: tokens of a text, prompt included.
        prompts: text in front of queries and of documents.
        start_layers: which layers of the model at ``source`` these are; None: all.
        made: how another process makes the same model; None: it cannot.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        source: str,
        mode: str,
        max_len: int,
        texts: Prompts,
        precision: Precision,
        start_layers: list[int] | None = None,
    ) -> None:
        self.model, self.tokenizer, self.source = model, tokenizer, source
        self.mode, self.max_len, self.prompts, self.start_layers = mode, max_len, texts, start_layers
        self.made: sharing.Made | None = None
        self.precision = resolve_precision(precision, self.device)
        self._autocast = autocasting(self.precision, self.device)

    @classmethod
    def load(
        cls,
        name: str,
        *,
        max_len: int | None = None,
        layer_count: int | None = None,
        precision: Precision = "auto",
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        pooling_name: Pooling | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> BiEncoder:
        """Load a sentence-transformers directory, a bare transformer, or a hub model.

        Args:
            name: folder or hub name.
            max_len: unset: the directory's own ``max_seq_length``; never more than the model has positions.
            layer_count: keep so many layers, evenly chosen; unset: all.
            precision: arithmetic of the forward pass.
            query_prompt: unset: the directory's own, else the model family's.
            document_prompt: likewise.
            pooling_name: likewise, how token vectors become one.
            device: such as "cuda:1"; unset: the GPU if there is one.
            trust_remote_code: whether code that the model brings along may run.

        Raises:
            ModelError: it cannot be loaded, has modules that a student cannot have, or layers that cannot be left out.
            OptionError: it has fewer layers, or there is no such device.
        """
        from transformers import AutoModel

        path = loading.local_folder(name, "bi-encoder")
        reads = reading.decide(
            name, path, query_prompt=query_prompt, document_prompt=document_prompt, pooling_name=pooling_name
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)  # a bare transformer's unused pooler may be drawn at random
            model, report = loading.load_model(AutoModel, path, trust_remote_code=trust_remote_code)
        directories.check_complete(path, report["missing_keys"])
        tokenizer = loading.load_tokenizer(path, trust_remote_code=trust_remote_code)
        model.to(device_of(device)).eval()
        reading.say(reads)
        start_layers = None
        if layer_count is not None:
            model, start_layers = layers.cut(model, layer_count)
        encoder = cls(
            model,
            tokenizer,
            source=path,
            mode=reads.mode,
            max_len=loading.input_length(name, max_len, tokenizer, model.config, reads.max_len),
            texts=reads.prompts,
            precision=precision,
            start_layers=start_layers,
        )
        if device is None:
            reads_texts = {
                "query_prompt": query_prompt,
                "document_prompt": document_prompt,
                "pooling_name": pooling_name,
            }
            # In another folder and on another machine it is the same model, in the same arithmetic.
            settings = {"layer_count": layer_count, "precision": encoder.precision}
            settings |= {"max_len": max_len, "trust_remote_code": trust_remote_code}
            encoder.made = sharing.Made(cls.load, (loading.portable(name),), {**settings, **reads_texts})
        return encoder

    @classmethod
    def start(cls, start: EncoderStart) -> BiEncoder:
        """``load``, told by one object."""
        return cls.load(
            start.name,
            max_len=start.max_len,
            layer_count=start.layers,
            precision=start.precision,
            query_prompt=start.query_prompt,
            document_prompt=start.document_prompt,
            pooling_name=start.pooling,
            trust_remote_code=start.trust_remote_code,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        where: torch.device = next(self.model.parameters()).device
        return where

    @cached_property
    def packs(self) -> bool:
        """Whether texts of one forward share a row, without padding."""
        return packable.packs(self.model, self.precision)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self.model.config.get_text_config().hidden_size)

    def tokenize_queries(self, texts: Sequence[str]) -> list[batching.Encoding]:
        """Token ids of queries, prompt included."""
        return tokenizing.tokenize(self.tokenizer, [self.prompts.query + text for text in texts], self.max_len)

    def tokenize_documents(self, texts: Sequence[str]) -> list[batching.Encoding]:
        """Token ids of documents, prompt included."""
        return tokenizing.tokenize(self.tokenizer, [self.prompts.document + text for text in texts], self.max_len)

    def forward(self, encodings: Sequence[batching.Encoding]) -> Tensor:
        """Unit vectors of tokenized texts in one pass: float32 of shape (n, dim), with graph where gradients are on."""
        batch = batching.padded(self.tokenizer, encodings, self.device)
        lengths = batching.lengths(encodings)
        with self._autocast(), packing.packed(self.model, lengths) if self.packs else nullcontext():
            hidden: Tensor = self.model(**batch).last_hidden_state
        vectors = pooling.POOLINGS[self.mode](hidden.float(), batch["attention_mask"])
        return torch.nn.functional.normalize(vectors, dim=-1)

    def encode_queries(self, texts: Iterable[str], *, batch_size: int = 64, description: str = "") -> Floats:
        """Unit vectors of queries without gradients: float32 of shape (n, dim)."""
        return encoding.vectors(self, texts, self.prompts.query, batch_size, description)

    def encode_documents(self, texts: Iterable[str], *, batch_size: int = 64, description: str = "") -> Floats:
        """Unit vectors of documents without gradients: float32 of shape (n, dim)."""
        return encoding.vectors(self, texts, self.prompts.document, batch_size, description)

    def query_windows(self, texts: Iterable[str], *, batch_size: int = 64, description: str = "") -> Iterator[Floats]:
        """What ``encode_queries`` gives, in pieces of up to ``16 * batch_size`` rows in the order of the texts."""
        return encoding.vectors_in_windows(self, texts, self.prompts.query, batch_size, description)

    def document_windows(
        self, texts: Iterable[str], *, batch_size: int = 64, description: str = ""
    ) -> Iterator[Floats]:
        """What ``encode_documents`` gives, in pieces of up to ``16 * batch_size`` rows in the order of the texts."""
        return encoding.vectors_in_windows(self, texts, self.prompts.document, batch_size, description)

    def save(self, folder: Path, adapters: Lora | None) -> None:
        """Write a stock sentence-transformers directory; adapters merged, of an uncut model in ``adapter/``, too."""
        folder.mkdir(parents=True, exist_ok=True)
        directories.write_tokenizer(folder, self.tokenizer, self.max_len)
        directories.write_layout(folder, mode=self.mode, dim=self.dim, max_len=self.max_len, prompts=self.prompts)
        # An adapter of a cut model fits no model that can be loaded: on the whole one it would change other layers.
        cut = self.start_layers is not None
        lora.save(folder, self.model, lora.merged(self.model), adapters, self.source, adapter=not cut)
