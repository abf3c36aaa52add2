"""A Bi-Encoder known by its files: what decides its vectors is read at once, its weights when a text is encoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from bistill.arrays import Floats
from bistill.models import layers, reading
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.precision import default_device, resolve_precision
from bistill.models.compute.sharing import Made
from bistill.models.files import loading
from bistill.models.settings import EncoderStart


class UnloadedEncoder:
    """What ``models.compute.vectors`` asks of a ``BiEncoder``, without its weights while the cache has the vectors.

    Args:
        start: the Bi-Encoder, and how it reads texts.

    Attributes:
        start: as above.
        source: folder with its files.
        mode, max_len, prompts, precision, start_layers, dim, made: as of the ``BiEncoder`` that it becomes.

    Raises:
        ModelError: the model is not at hand, has modules that a Bi-Encoder cannot have, or its configuration or
            tokenizer cannot be loaded.
        OptionError: this machine cannot compute in the precision.
    """

    def __init__(self, start: EncoderStart) -> None:
        self.start, trusted = start, start.trust_remote_code
        self.source = loading.local_folder(start.name, "bi-encoder")
        config = loading.load_config(self.source, trust_remote_code=trusted)
        tokenizer = loading.load_tokenizer(self.source, trust_remote_code=trusted)
        reads = reading.decide(
            start.name,
            self.source,
            query_prompt=start.query_prompt,
            document_prompt=start.document_prompt,
            pooling_name=start.pooling,
        )
        reading.say(reads)
        self.mode, self.prompts = reads.mode, reads.prompts
        self.max_len = loading.input_length(start.name, start.max_len, tokenizer, config, reads.max_len)
        self.precision = resolve_precision(start.precision, default_device())
        text = config.get_text_config()
        count = int(text.num_hidden_layers)
        self.start_layers = None if start.layers in (None, count) else layers.evenly(count, start.layers)
        self.dim = int(text.hidden_size)
        elsewhere = dataclasses.replace(start, name=loading.portable(start.name), precision=self.precision)
        self.made: Made | None = Made(BiEncoder.start, (elsewhere,))
        self._loaded: BiEncoder | None = None

    @property
    def loaded(self) -> BiEncoder:
        """The Bi-Encoder with its weights, which stay until ``free``.

        Raises:
            ModelError, OptionError: as ``BiEncoder.load``.
        """
        self._loaded = self._loaded or BiEncoder.start(self.start)
        return self._loaded

    def free(self) -> None:
        """Let go of the weights."""
        self._loaded = None

    def query_windows(self, texts: Iterable[str], *, batch_size: int = 64, description: str = "") -> Iterator[Floats]:
        """As ``BiEncoder.query_windows``."""
        return self.loaded.query_windows(texts, batch_size=batch_size, description=description)

    def document_windows(
        self, texts: Iterable[str], *, batch_size: int = 64, description: str = ""
    ) -> Iterator[Floats]:
        """As ``BiEncoder.document_windows``."""
        return self.loaded.document_windows(texts, batch_size=batch_size, description=description)


AnyEncoder = BiEncoder | UnloadedEncoder
