"""The kind of teacher that encodes queries and documents apart: a Bi-Encoder, whose relevance follows its cosine.

Its vectors lie where those of the dense miner, of search and of evaluation do, by model and texts
(``models.compute.vectors``): what one of them encoded the others find. There is no cache of its scores beside that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from bistill.arrays import Floats, Ints
from bistill.candidates.scores.scoring import Scored
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.data.queries.copies import Selection
from bistill.data.sampling import subset
from bistill.data.store.changed import WithChanged
from bistill.data.store.corpus import Corpus
from bistill.errors import OptionError
from bistill.models.compute.vectors import cached_vectors
from bistill.models.files import loading
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import AnyEncoder, UnloadedEncoder

# Queries and documents by whose mean cosine relevance 0 is set.
SAMPLE: Final = 256
# The highest cosine that counts as chance: a model whose texts are all alike still has a scale.
HIGHEST_CHANCE: Final = 0.98
# Between these two the relevance of a pair, the sigmoid of its logit, follows its cosine.
LOWEST: Final = 0.01
HIGHEST: Final = 1 - 1e-6
# Where at least this share of all documents is asked for, all are encoded: other lists and the miner want them, too.
WHOLE_FROM: Final = 0.5
PAIRS_AT_ONCE: Final = 65_536


class Rows(NamedTuple):
    """Vectors of some texts, in a memory-mapped file that may hold those of others.

    Attributes:
        vectors: unit vectors, float32 of shape (texts, dim).
        rows: which of them belong to the ids asked for, int64 of shape (ids,).
        further: those of changed documents, float32 of shape (changed, dim), whose rows go on behind the others.
    """

    vectors: Floats
    rows: Ints
    further: Floats | None = None

    def take(self, places: Ints | slice) -> Floats:
        """Vectors of some of the ids asked for, by their places among them: float32 of shape (places, dim)."""
        rows = self.rows[places]
        if self.further is None:
            return self.vectors[rows]
        behind = rows >= len(self.vectors)
        found = np.empty((len(rows), self.further.shape[1]), dtype=np.float32)
        found[~behind] = self.vectors[rows[~behind]]
        found[behind] = self.further[rows[behind] - len(self.vectors)]
        return found


class EmbeddingTeacher(CachedTeacher):
    """A Bi-Encoder as a teacher of pairs; its weights stay on disk until a text is asked for that the cache lacks.

    Args:
        name: as the user gave it.
        model: the same, and how it reads texts.
        batch_size: texts encoded at once.
    """

    def __init__(self, name: str, model: EncoderStart, *, batch_size: int) -> None:
        self._unloaded, self._batch_size = UnloadedEncoder(model), batch_size
        self.name, self.identity, self.encoder = name, identity(self._unloaded), model
        self._chances: list[tuple[Sequence[str], Sequence[str], float]] = []

    @property
    def imported(self) -> bool:
        """False: it can score any pair."""
        return False

    def logits(self, queries: Sequence[str], documents: Sequence[str], pairs: Ints, description: str) -> Scored:
        """Logits of (query id, document id) pairs whose sigmoid is ``relevance_of`` their cosines; it reads texts, so
        no pair counts as read."""
        if not len(pairs):
            return Scored(np.empty(0, dtype=np.float32), 0, 0)
        encoder = self._unloaded
        asked = query_rows(encoder, queries, pairs[:, 0], self._batch_size, description)
        found = document_rows(encoder, documents, pairs[:, 1], self._batch_size, description)
        cosines = np.empty(len(pairs), dtype=np.float32)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            sides = (side.take(part) for side in (asked, found))
            cosines[part] = np.einsum("ij,ij->i", *sides)
        chance = self._chance(encoder, queries, documents)
        return Scored(logits_of(relevance_of(cosines, chance)), len(pairs), 0)

    def _chance(self, encoder: UnloadedEncoder, queries: Sequence[str], documents: Sequence[str]) -> float:
        """Mean cosine of queries with documents that were drawn for none of them: a function of the texts alone.

        The texts are kept beside it: an address alone may soon be that of others.
        """
        documents = documents.corpus if isinstance(documents, WithChanged) else documents
        for own_queries, own_documents, chance in self._chances:
            if own_queries is queries and own_documents is documents:
                return chance
        sides = (
            (query_rows, queries, subset(0, "chance of queries", len(queries), SAMPLE)),
            (document_rows, documents, subset(0, "chance of documents", len(documents), SAMPLE)),
        )
        found = (rows(encoder, texts, ids, self._batch_size, "") for rows, texts, ids in sides)
        means = [side.take(slice(None)).mean(axis=0, dtype=np.float64) for side in found]
        self._chances.append((queries, documents, float(means[0] @ means[1])))
        return self._chances[-1][2]

    def close(self) -> None:
        """Free the weights."""
        self._unloaded.free()


def open_teacher(name: str, reading: TeacherReading) -> EmbeddingTeacher:
    """The Bi-Encoder of a name.

    Raises:
        ModelError: it is not there, or has modules that a Bi-Encoder cannot have.
        OptionError: an instruction, which it does not take.
    """
    if reading.instruction is not None:
        raise OptionError(
            f"{name} is a Bi-Encoder, which reads query and document alone, without an instruction",
            where="`TeacherReading.instruction`",
            found=reading.instruction,
            todo="leave it out; a Bi-Encoder's prompts are those of its own files",
        )
    trusted = reading.trust_remote_code
    model = EncoderStart(name, reading.max_len, precision=reading.precision, trust_remote_code=trusted)
    return EmbeddingTeacher(name, model, batch_size=reading.batch_size)


def identity(encoder: UnloadedEncoder) -> dict[str, Any]:
    """Everything that decides a Bi-Encoder's cosines: fingerprint, length, prompts, pooling and precision."""
    return {
        "fingerprint": loading.model_fingerprint(encoder.source),
        "kind": "bi_encoder",
        "max_len": encoder.max_len,
        "query_prompt": encoder.prompts.query,
        "document_prompt": encoder.prompts.document,
        "pooling": encoder.mode,
        "precision": encoder.precision,
    }


def query_rows(encoder: AnyEncoder, queries: Sequence[str], ids: Ints, batch_size: int, description: str) -> Rows:
    """Vectors of queries by id; ids of shape (n,), also repeated."""
    unique, rows = np.unique(ids, return_inverse=True)
    texts = Selection(queries, unique)
    said = f"{description}: queries" if description else ""
    return Rows(cached_vectors(encoder, texts, kind="query", batch_size=batch_size, description=said), rows)


def document_rows(encoder: AnyEncoder, documents: Sequence[str], ids: Ints, batch_size: int, description: str) -> Rows:
    """Vectors of documents by id, each text once; ids of shape (n,), also repeated."""
    if isinstance(documents, WithChanged):
        return _with_changed(encoder, documents, ids, batch_size, description)
    pool: Sequence[str] = documents
    if isinstance(documents, Corpus):
        pool = documents.different()
        ids = documents.copies.numbers(ids) if isinstance(pool, Selection) else ids
    unique, rows = np.unique(ids, return_inverse=True)
    said = f"{description}: documents" if description else ""
    if len(unique) >= WHOLE_FROM * len(pool):
        return Rows(cached_vectors(encoder, pool, batch_size=batch_size, description=said), np.asarray(ids))
    return Rows(cached_vectors(encoder, Selection(pool, unique), batch_size=batch_size, description=said), rows)


def _with_changed(encoder: AnyEncoder, documents: WithChanged, ids: Ints, batch_size: int, description: str) -> Rows:
    """``document_rows`` where some may be changed documents: the others lie where everybody finds them."""
    ids, count = np.asarray(ids), len(documents.corpus)
    behind = ids >= count
    found = document_rows(encoder, documents.corpus, ids[~behind], batch_size, description)
    if not behind.any():
        return found
    unique, rows = np.unique(ids[behind], return_inverse=True)
    said = f"{description}: documents without their query" if description else ""
    further = cached_vectors(encoder, Selection(documents, unique), batch_size=batch_size, description=said)
    placed = np.empty(len(ids), dtype=np.int64)
    placed[~behind], placed[behind] = found.rows, len(found.vectors) + rows
    return Rows(found.vectors, placed, further)


def relevance_of(cosines: Floats, chance: float) -> Floats:
    """How far cosines lie on the way from chance, 0, to the same text, 1: (cosine - chance) / (1 - chance).

    A limit that is a share of the positive's relevance is then one of its cosine, as TopK-PercPos of NV-Retriever has
    it (arXiv 2407.15831), on a scale that begins where texts have nothing to do with each other: the cosines of an e5
    lie between 0.7 and 1, and 95 % of a positive's 0.88 would leave no hard negative.

    Args:
        cosines: in -1..1, of any shape.
        chance: mean cosine of unrelated texts; below 0 it counts as 0, above ``HIGHEST_CHANCE`` as that.

    Returns:
        float32 of the same shape, at most 1; below 0 where a cosine is less than chance.
    """
    chance = min(max(chance, 0.0), HIGHEST_CHANCE)
    relevance: Floats = ((cosines - chance) / (1 - chance)).astype(np.float32)
    return relevance


def logits_of(relevance: Floats) -> Floats:
    """Logits whose sigmoid is a relevance.

    Below ``LOWEST`` there is no such logit, or hardly; there they fall on along the tangent, so that the order of all
    is kept and none is infinite. From ``HIGHEST`` on all are one: texts that are the same.

    Args:
        relevance: at most 1, of any shape.

    Returns:
        float32 of the same shape.
    """
    values = np.minimum(relevance.astype(np.float64), HIGHEST)
    inside = np.maximum(values, LOWEST)
    tangent = (values - inside) / (LOWEST * (1 - LOWEST))
    logits: Floats = (np.log(inside) - np.log1p(-inside) + tangent).astype(np.float32)
    return logits
