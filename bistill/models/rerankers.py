"""Any re-ranker as a teacher: which kind a model is, loading it, and what decides its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from bistill.arrays import Floats
from bistill.errors import OptionError
from bistill.models import causal_reranker
from bistill.models.causal_reranker import CausalReranker
from bistill.models.compute.precision import default_device, resolve_precision
from bistill.models.compute.scoring import Pair
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from bistill.models.settings import Precision


class Reranker(Protocol):
    """What scores pairs, whatever its kind.

    Attributes:
        source: folder it was loaded from.
        max_len: tokens of a pair, those of the prompt included.
        precision: arithmetic of the forward pass, made concrete.
        prompt: text around a pair with ``{query}`` and ``{document}``; "" for none.
    """

    source: str
    max_len: int
    precision: Precision
    prompt: str

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def logits(self, pairs: Sequence[Pair], *, max_items: int = 64) -> Tensor:
        """Relevance logits of pairs, float32 of shape (n,), in the order given; with graph where gradients are on."""

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 64, description: str = "") -> Floats:
        """Relevance logits of pairs without gradients: float32 of shape (n,), in the order given."""


def load(
    name: str,
    *,
    max_len: int | None = None,
    precision: Precision = "auto",
    instruction: str | None = None,
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Reranker:
    """Load a trained re-ranker: a language model that answers "yes" or "no", or a classifier with one output.

    Args:
        name: folder (or the ``best_model.pt`` in it) or hub name.
        max_len: tokens of a pair; unset: as many as the model can read.
        precision: arithmetic of the forward pass.
        instruction: what the documents are searched for, of a language model; unset: the model card's own.
        device: such as "cuda:1"; unset: the GPU if there is one.
        trust_remote_code: whether code that the model brings along may run.

    Raises:
        ModelError: it cannot be loaded or is no re-ranker.
        OptionError: an instruction for a model that takes none, no room for the texts in ``max_len``, or no such
            device.
    """
    name = loading.local_folder(name, "re-ranker")
    config = loading.load_config(name, trust_remote_code=trust_remote_code)
    settings: dict[str, Any] = {
        "max_len": max_len,
        "precision": precision,
        "device": device,
        "trust_remote_code": trust_remote_code,
    }
    if is_causal(config, name, instruction):
        return CausalReranker.load(name, instruction=instruction, **settings)
    return CrossEncoder.load(name, **settings)


def identity(
    name: str,
    *,
    max_len: int | None = None,
    precision: Precision = "auto",
    instruction: str | None = None,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Everything that decides the scores of the model that ``load`` would give, without building the model.

    A hub model is fetched first (``loading.local_folder``), so that its fingerprint is that of its files and a newer
    version under the same name is another model.

    Returns:
        ``fingerprint`` of weights, configuration and tokenizer; ``kind``, "causal" or "sequence_classification";
        ``max_len``, ``prompt`` and ``precision`` as the loaded model has them.

    Raises:
        ModelError: the model is not at hand, or its configuration or tokenizer cannot be loaded.
        OptionError: as ``load``.
    """
    folder = loading.local_folder(name, "re-ranker")
    config = loading.load_config(folder, trust_remote_code=trust_remote_code)
    causal = is_causal(config, name, instruction)
    tokenizer = loading.load_tokenizer(folder, pad_with_end=causal, trust_remote_code=trust_remote_code)
    return {
        "fingerprint": loading.model_fingerprint(folder),
        "kind": "causal" if causal else "sequence_classification",
        "max_len": loading.input_length(name, max_len, tokenizer, config),
        "prompt": causal_reranker.prompt(instruction) if causal else "",
        "precision": resolve_precision(precision, default_device()),
    }


def is_causal(config: Any, name: str, instruction: str | None) -> bool:
    """Whether the model is a language model.

    Raises:
        OptionError: it is none, but an instruction is given.
    """
    causal = any(kind.endswith("ForCausalLM") for kind in config.architectures or [])
    if instruction is not None and not causal:
        raise OptionError(
            f"{name} reads query and document alone, without an instruction",
            where="`TeacherReading.instruction`",
            found=instruction,
            todo="leave it out, or give a teacher of the Qwen3-Reranker form",
        )
    return causal
