"""A teacher in a program: pairs of texts in, relevance out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bistill.arrays import Floats
from bistill.evaluation.measures.margins import sigmoid
from bistill.models import rerankers
from bistill.models.settings import Precision
from bistill.serving.scores import asked


class Teacher:
    """A teacher of ``bistill teacher``, or any other re-ranker: a Cross-Encoder or a causal re-ranker.

    It reads every pair anew; what training and evaluation have scored lies in a cache of theirs.

    Args:
        name: folder or hub name.
        max_len: tokens of query and document together; None: as many as the model can read.
        instruction: task told to a causal re-ranker; None: the model card's own.
        precision: arithmetic of the model.
        device: such as "cpu", "cuda" or "cuda:1"; None: the GPU if there is one.
        trust_remote_code: whether code that the model brings along may run.

    Attributes:
        name: as given.
        reranker: the model.

    Raises:
        ModelError: the model cannot be loaded or is no re-ranker.
        OptionError: there is no such device, or an instruction for a model that takes none.
    """

    def __init__(
        self,
        name: str,
        *,
        max_len: int | None = None,
        instruction: str | None = None,
        precision: Precision = "auto",
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.name = name
        self.reranker = rerankers.load(
            name,
            max_len=max_len,
            precision=precision,
            instruction=instruction,
            device=device,
            trust_remote_code=trust_remote_code,
        )

    def score(self, queries: str | Iterable[str], documents: Iterable[str], *, batch_size: int = 64) -> Floats:
        """Relevance of documents to queries, in 0..1 (the sigmoid of the logit).

        Args:
            queries: one text: the result has shape (documents,); or several: (queries, documents).
            documents: texts, the same for every query.
            batch_size: pairs at once.

        Returns:
            float32.

        Raises:
            OptionError: a dict, a table or, as documents, a single text is given, or an item is no text.
            ModelError: a score is NaN or infinite.
        """
        texts = asked(queries, documents)
        pairs = [(query, document) for query in texts.queries for document in texts.documents]
        logits = self.reranker.score(pairs, batch_size=batch_size)
        relevance = sigmoid(logits).astype(np.float32)
        return texts.shaped(relevance.reshape(len(texts.queries), len(texts.documents)))

    def __repr__(self) -> str:
        return f"Teacher({self.name!r}, device={str(self.reranker.device)!r})"
