"""A student in a program: texts in; unit vectors, scores of relevance and search out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bistill.arrays import Floats
from bistill.data.read.texts_in_memory import text_list
from bistill.errors import DataError
from bistill.evaluation.measures.exact import top_columns
from bistill.evaluation.measures.margins import linear_score
from bistill.models.bi_encoder import BiEncoder
from bistill.models.files import calibration_file
from bistill.models.settings import Precision
from bistill.serving.history import history
from bistill.serving.index import Hit, Index, open_index
from bistill.serving.scores import Scores, asked

if TYPE_CHECKING:
    import pandas as pd

FORMER_NAMES: Final = {"encode_queries": "encode_query", "encode_documents": "encode_document"}


class Student:
    """A student of ``bistill distill``, or any other Bi-Encoder, ready to encode, score and search.

    Texts are given in lists, columns of DataFrames, arrays or generators. Nothing here waits for other programs: the
    calls work alike in a script, in a notebook and where an event loop runs.

    Args:
        name: folder or hub name.
        max_len: tokens of a text; None: the model's own limit.
        precision: arithmetic of the model.
        device: such as "cpu", "cuda" or "cuda:1"; None: the GPU if there is one.
        trust_remote_code: whether code that the model brings along may run.

    Attributes:
        name: as given.
        encoder: the model.
        calibration: the line from its cosines to probabilities; None where it has none.

    Raises:
        ModelError: the model cannot be loaded.
        ArtifactError: its calibration is damaged.
        OptionError: there is no such device.
    """

    def __init__(
        self,
        name: str,
        *,
        max_len: int | None = None,
        precision: Precision = "auto",
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.name = name
        self.encoder = BiEncoder.load(
            name, max_len=max_len, precision=precision, device=device, trust_remote_code=trust_remote_code
        )
        self.calibration = calibration_file.read(name)

    @property
    def history(self) -> pd.DataFrame:
        """Steps and validations of its training, see ``serving.history.history``.

        Raises:
            ArtifactError: it was not trained here.
        """
        return history(self.name)

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self.encoder.dim

    def encode_query(self, texts: Iterable[str], *, batch_size: int = 64) -> Floats:
        """Unit vectors of queries, prompt included: float32 of shape (queries, dim).

        Raises:
            OptionError: a single text, a dict or a table is given, or an item is no text.
            ModelError: a vector holds NaN or infinite values.
        """
        return self.encoder.encode_queries(text_list(texts, "texts"), batch_size=batch_size)

    def encode_document(self, texts: Iterable[str], *, batch_size: int = 64) -> Floats:
        """Unit vectors of documents, prompt included: float32 of shape (documents, dim); raises as above."""
        return self.encoder.encode_documents(text_list(texts, "texts"), batch_size=batch_size)

    def similarity(self, queries: Any, documents: Any) -> Floats:
        """Cosines of vectors: float32 of shape (queries, documents).

        Args:
            queries: unit vectors of shape (queries, dim), as ``encode_query`` gives them.
            documents: likewise, of shape (documents, dim).

        Raises:
            DataError: other shapes.
        """
        left, right = np.asarray(queries), np.asarray(documents)
        for values, name in ((left, "queries"), (right, "documents")):
            if values.ndim != 2 or values.shape[1] != self.dim:
                raise DataError(
                    f"vectors of shape (n, {self.dim}) are expected",
                    where=f"`{name}`",
                    found=values.shape,
                    todo="give what encode_query and encode_document return",
                )
        cosines: Floats = left @ right.T
        return cosines.astype(np.float32, copy=False)

    def score(self, queries: str | Iterable[str], documents: Iterable[str], *, batch_size: int = 64) -> Scores:
        """How relevant documents are to queries.

        Args:
            queries: one text: scores have shape (documents,); or several: (queries, documents).
            documents: texts, the same for every query.
            batch_size: texts encoded at once.

        Raises:
            OptionError: a dict, a table or, as documents, a single text is given, or an item is no text.
            ModelError: a vector holds NaN or infinite values.
        """
        texts = asked(queries, documents)
        vectors = self.encoder.encode_documents(texts.documents, batch_size=batch_size)
        found = self.encoder.encode_queries(texts.queries, batch_size=batch_size) @ vectors.T
        cosine = texts.shaped(found)
        calibrated = None if self.calibration is None else self.calibration.apply(cosine)
        return Scores(cosine, linear_score(cosine), calibrated)

    def rank(self, query: str, documents: Iterable[str], *, top_k: int = 10, batch_size: int = 64) -> list[Hit]:
        """The ``top_k`` documents of highest cosine, the best first; equal ones in the order given.

        Raises:
            OptionError: as ``score``; or several queries are given.
        """
        texts = asked(text_list([query], "query")[0], documents)
        found = self.score(query, texts.documents, batch_size=batch_size)
        chances = found.calibrated
        return [
            Hit(
                place,
                float(found.cosine[place]),
                texts.documents[place],
                None if chances is None else float(chances[place]),
            )
            for place in top_columns(found.cosine, top_k).tolist()
        ]

    def index(self, documents: Iterable[str], *, batch_size: int = 64) -> Index:
        """An exact index over documents: ``.search(queries, top_k)``.

        Their vectors are kept in the cache folder: the same model and documents are encoded once, ever.

        Raises:
            OptionError: a single text, a dict or a table is given, or an item is no text.
            ArtifactError: the cache cannot be written.
        """
        return open_index(self.encoder, text_list(documents, "documents"), batch_size=batch_size)

    def __getattr__(self, name: str) -> Any:
        if name in FORMER_NAMES:
            raise AttributeError(f"Student.{name} is called Student.{FORMER_NAMES[name]} since 0.2.0")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Student({self.name!r}, device={str(self.encoder.device)!r})"
