"""A teacher that is a language model: the relevance of a pair is how much rather it would say "yes" than "no".

The form of Qwen3-Reranker (Zhang et al. 2025, "Qwen3 Embedding: Advancing Text Embedding and Reranking Through
Foundation Models", and its model card): query and document stand in a chat prompt, and the logits of the two answers
are compared where the answer would begin. Their difference is the relevance logit: its sigmoid is the softmax over
the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from bistill.arrays import Floats
from bistill.errors import ModelError, OptionError
from bistill.models import families, pooling
from bistill.models.compute import batching, packable, packing, scoring, sharing
from bistill.models.compute.precision import autocasting, device_of, resolve_precision
from bistill.models.compute.scoring import Pair
from bistill.models.files import loading
from bistill.models.settings import Precision

# Word for word as on the model card: the model was trained with it.
PREFIX: Final = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
SUFFIX: Final = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
ANSWERS: Final = ("yes", "no")
# A tokenizer that takes these to pieces belongs to a model that was never trained with this prompt.
MARKS: Final = ("<|im_start|>", "<|im_end|>")


def prompt(instruction: str | None) -> str:
    """The whole prompt with ``{query}`` and ``{document}`` where the texts go; instruction None: the card's own."""
    return PREFIX + _body(instruction, ("{query}", "{document}")) + SUFFIX


def _body(instruction: str | None, pair: Pair) -> str:
    """What stands between prefix and suffix."""
    task = families.RETRIEVAL_TASK if instruction is None else instruction
    return f"<Instruct>: {task}\n<Query>: {pair[0]}\n<Document>: {pair[1]}"


class CausalReranker:
    """A causal language model that answers "yes" or "no", and its tokenizer.

    Attributes:
        model: transformers model.
        source: folder it was loaded from.
        max_len: tokens of the whole prompt; what exceeds it is cut from the document's end, then from the query's.
        precision: arithmetic of the forward pass, made concrete.
        prompt: the whole prompt, its instruction filled in.
        made: how another process makes the same model; None: it cannot.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        source: str,
        max_len: int,
        precision: Precision,
        instruction: str | None = None,
    ) -> None:
        self.model, self.tokenizer, self.source, self.max_len = model, tokenizer, source, max_len
        self.prompt, self._instruction = prompt(instruction), instruction
        self.made: sharing.Made | None = None
        self.precision = resolve_precision(precision, self.device)
        self._autocast = autocasting(self.precision, self.device)
        self._yes, self._no, *_ = (_token(tokenizer, text, source) for text in (*ANSWERS, *MARKS))
        self._prefix, self._suffix, bare = self._ids([PREFIX, SUFFIX, _body(instruction, ("", ""))])
        self._room = max_len - len(self._prefix) - len(self._suffix)
        if self._room <= len(bare):
            raise OptionError(
                f"the prompt alone has {len(self._prefix) + len(bare) + len(self._suffix)} tokens",
                where="`TeacherReading.max_len`",
                found=max_len,
                todo="give more tokens or a shorter instruction",
            )

    @classmethod
    def load(
        cls,
        name: str,
        *,
        max_len: int | None = None,
        precision: Precision = "auto",
        instruction: str | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> CausalReranker:
        """Load a trained re-ranker.

        Args:
            name: folder or hub name.
            max_len: unset: as many tokens as the model can read.
            precision: arithmetic of the forward pass.
            instruction: what the documents are searched for; unset: the model card's own.
            device: such as "cuda:1"; unset: the GPU if there is one.
            trust_remote_code: whether code that the model brings along may run.

        Raises:
            ModelError: it cannot be loaded, weights are missing, or its tokenizer does not fit the prompt.
            OptionError: ``max_len`` leaves no room for the texts.
        """
        from transformers import AutoModelForCausalLM

        path = loading.local_folder(name, "re-ranker")
        model, report = loading.load_model(AutoModelForCausalLM, path, trust_remote_code=trust_remote_code)
        if missing := sorted(report["missing_keys"]):
            raise ModelError("weights are missing from the model", where=name, found=missing, todo="fetch it again")
        tokenizer = loading.load_tokenizer(path, pad_with_end=True, trust_remote_code=trust_remote_code)
        model.to(device_of(device)).eval()
        encoder = cls(
            model,
            tokenizer,
            source=path,
            max_len=loading.input_length(name, max_len, tokenizer, model.config),
            precision=precision,
            instruction=instruction,
        )
        if device is None:
            settings = {"precision": precision, "instruction": instruction, "trust_remote_code": trust_remote_code}
            encoder.made = sharing.Made(cls.load, (name,), {"max_len": max_len, **settings})
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

    def logits(self, pairs: Sequence[Pair], *, max_items: int = 64) -> Tensor:
        """Relevance logits of pairs, float32 of shape (n,), in the order given; with graph where gradients are on."""
        [found] = scoring.logits(self, [pairs], max_items=max_items)
        return found

    def tokenize(self, pairs: Sequence[Pair]) -> list[batching.Encoding]:
        """Token ids of pairs in the prompt."""
        bodies = self._ids([_body(self._instruction, pair) for pair in pairs])
        rows = ([*self._prefix, *body[: self._room], *self._suffix] for body in bodies)
        return [{"input_ids": np.array(row, dtype=np.int32)} for row in rows]

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 64, description: str = "") -> Floats:
        """Relevance logits of pairs without gradients: float32 of shape (n,), in the order given.

        Args:
            pairs: (query, document) texts.
            batch_size: pairs of one forward at most.
            description: shown with the progress; "" for none.
        """
        return scoring.score(self, pairs, batch_size=batch_size, description=description)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, nothing added: what begins and ends a prompt stands in the prompt itself."""
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids

    def forward(self, encodings: list[batching.Encoding]) -> Tensor:
        """Padding on the right is exact: under a causal mask no token sees what stands behind it."""
        batch = batching.padded(self.tokenizer, encodings, self.device)
        lengths = batching.lengths(encodings)
        with self._autocast(), packing.packed(self.model, lengths) if self.packs else nullcontext():
            hidden: Tensor = self.model.get_decoder()(**batch, use_cache=False).last_hidden_state
        return self._relevance(pooling.lasttoken(hidden, batch["attention_mask"]).float())

    def _relevance(self, hidden: Tensor) -> Tensor:
        """Logit of "yes" minus that of "no" by two rows of the vocabulary head, float32: (n, dim) -> (n,)."""
        head = self.model.get_output_embeddings()
        answers = [self._yes, self._no]
        bias = None if getattr(head, "bias", None) is None else head.bias[answers].float()
        yes, no = torch.nn.functional.linear(hidden, head.weight[answers].float(), bias).unbind(dim=1)
        return yes - no


def _token(tokenizer: Any, text: str, source: str) -> int:
    """Id of the single token that a text is.

    Raises:
        ModelError: the tokenizer has none.
    """
    number = tokenizer.convert_tokens_to_ids(text)
    if number is None or number == tokenizer.unk_token_id:
        raise ModelError(
            f"the tokenizer has no single token {text!r}",
            where=source,
            todo="give a re-ranker of the Qwen3-Reranker form, or a sequence-classification model",
        )
    return int(number)
