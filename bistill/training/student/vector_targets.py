"""A Bi-Encoder teacher's own vectors as targets: met as they are, or through a linear map that is trained beside.

The vectors of two models lie in spaces of their own, also where they are of one size: there a map stands between
them (the linear layer of LEAF, arXiv 2509.12539), which is dropped at the end, so that the student stays a stock model.
It begins as the orthogonal Procrustes solution (Schönemann 1966): a turn, which leaves all cosines of the student what
they are, so that what is learned through it is learned of the cosines by which the student will rank.

A student that is made of layers of its teacher already has its space, and needs none.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bistill import console
from bistill.arrays import Floats
from bistill.candidates.pools import ScoredPools
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.queries.copies import Selection
from bistill.data.sampling import subset
from bistill.data.store.collection import Collection
from bistill.models.bi_encoder import BiEncoder
from bistill.models.files import loading
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder

# Queries, and documents, by whose vectors a map is fitted: more than twice the numbers of a usual vector.
FITTED: Final = 1024


class VectorMap(nn.Module):
    """A linear map, without bias, from a student's vectors into the space of a teacher's.

    Args:
        weight: to begin with, float32 of shape (numbers of the teacher's vectors, of the student's).
    """

    def __init__(self, weight: Floats) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))

    def forward(self, vectors: Tensor) -> Tensor:
        """Unit vectors in the teacher's space: (n, size) -> (n, dim); of a shorter ``size`` those of the prefixes."""
        mapped: Tensor = functional.normalize(vectors @ self.weight[:, : vectors.shape[1]].T, dim=-1)
        return mapped


class VectorTarget(NamedTuple):
    """How the vectors of one teacher are met.

    Attributes:
        through: the map between the spaces; None: the student has its teacher's.
        facts: for the records.
    """

    through: VectorMap | None
    facts: dict[str, Any]


def own_cosines(vectors: Tensor, targets: Tensor, through: VectorMap | None) -> Tensor:
    """Cosine of the vector of each text with the teacher's of the same text.

    Args:
        vectors: unit vectors of the student or of prefixes of them, (texts, size).
        targets: unit vectors of the teacher, (texts, dim).
        through: from one to the other; None: prefixes are compared with prefixes.

    Returns:
        Shape (texts,), in -1..1.
    """
    if through is None:
        targets = functional.normalize(targets[:, : vectors.shape[1]], dim=-1)
    else:
        vectors = through(vectors)
    return (vectors * targets).sum(dim=-1)


def target_of(
    teacher: EncoderStart,
    vectors: TeacherVectors,
    encoder: BiEncoder,
    collection: Collection,
    pools: ScoredPools,
    *,
    seed: int,
) -> VectorTarget:
    """How a student that has not begun to learn meets the vectors of a teacher.

    As they are where both are the same model with the same pooling, of which the student may have fewer layers; else
    through a map, fitted to ``FITTED`` queries and as many documents.

    Args:
        teacher: the Bi-Encoder.
        vectors: its own.
        encoder: the student.
        collection: queries and documents.
        pools: candidates of the queries trained on.
        seed: of the choice of texts.
    """
    read = UnloadedEncoder(teacher)
    same = loading.model_fingerprint(encoder.source) == loading.model_fingerprint(read.source)
    if same and encoder.mode == read.mode:
        console.say(f"vectors of {teacher.name}: met as they are, the student is made of its layers")
        return VectorTarget(None, {"teacher": teacher.name, "map": None})
    rows = subset(seed, "queries of a map", len(pools), FITTED)
    ids = pools.document_ids()
    documents = ids[subset(seed, "documents of a map", len(ids), FITTED)]
    queries = Selection(collection.dataset.queries, pools.query_ids[rows])
    student = np.concatenate(
        [
            encoder.encode_queries(queries, description="map: queries"),
            encoder.encode_documents(Selection(collection.documents, documents), description="map: documents"),
        ]
    )
    targets = vectors.of(rows, documents)
    through = VectorMap(procrustes(student, targets))
    with torch.no_grad():
        cosines = own_cosines(torch.from_numpy(student), torch.from_numpy(targets), through)
    distance = float((2 - 2 * cosines).mean())
    size = list(through.weight.shape[::-1])
    console.say(
        f"vectors of {teacher.name}: met through a linear map from {size[0]} to {size[1]} numbers, fitted to "
        f"{len(student):,} texts; mean squared distance {distance:.3f}"
    )
    facts = {"map": size, "texts": len(student), "distance": round(distance, 4)}
    return VectorTarget(through, {"teacher": teacher.name, **facts})


def procrustes(student: Floats, teacher: Floats) -> Floats:
    """The map W with the highest sum of t . W s among those that keep lengths: orthonormal columns, or rows where the
    teacher's vectors are the shorter ones (Schönemann 1966, "A generalized solution of the orthogonal Procrustes
    problem"). With U S V^T the singular value decomposition of sum t s^T it is U V^T.

    Args:
        student: vectors s of shape (texts, student's numbers).
        teacher: vectors t of shape (texts, teacher's numbers).

    Returns:
        float32 of shape (teacher's numbers, student's numbers).
    """
    left, _, right = np.linalg.svd(teacher.T.astype(np.float64) @ student.astype(np.float64), full_matrices=False)
    found: Floats = (left @ right).astype(np.float32)
    return found
