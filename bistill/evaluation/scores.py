"""What the models answer: cosines of pairs and rankings of an encoder, re-ranked lists of a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bistill.arrays import Doubles, Floats, Ints
from bistill.candidates.mining import bm25, lexical
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.evaluation import dimensions
from bistill.evaluation.measures import exact, margins, ranking
from bistill.evaluation.questions import Pairs, Questions
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.compute.vectors import cached_vectors
from bistill.models.files import calibration_file, loading
from bistill.models.files import folder as model_folder
from bistill.progress import progress

# Documents that a ranking keeps, as in trec_eval: average precision is 0 for a relevant document below it.
RANKING_DEPTH: Final = 1000


@dataclass(frozen=True)
class EncoderScores:
    """Answers of a student or base model.

    Attributes:
        description: where it came from and how it read, for the report.
        positives: cosines of the labelled relevant pairs, float32 of shape (pairs,).
        negatives: of the labelled irrelevant pairs.
        random: of the random pairs.
        ids: ranked documents of each query, int64 of shape (queries, depth), -1 where there are no more.
        cosines: their cosines, float32, falling along a row.
        shuffled: cosines of "positives", "negatives" and "random" with each query replaced by another
            (``Questions.shuffled``).
        calibration: the line beside the model; None without one.
        elsewhere: nDCG@10 of each query of each further questions, float64.
        by_dimension: ranking figures by the first numbers of each vector alone; None where none were asked for.
    """

    description: dict[str, Any]
    positives: Floats
    negatives: Floats
    random: Floats
    ids: Ints
    cosines: Floats
    shuffled: Mapping[str, Floats]
    calibration: Calibration | None
    elsewhere: tuple[Doubles, ...] = ()
    by_dimension: dimensions.ByDimension | None = None

    def run(self, asked: Questions) -> ranking.Rankings:
        """The ranking as ``ranking.figures`` takes it."""
        return ranking.Rankings(asked.query_ids(), self.ids, self.cosines)


@dataclass(frozen=True)
class LexicalScores:
    """Answers of BM25.

    Attributes:
        description: tokens and constants, for the report.
        ids: ranked documents of each query, int64 of shape (queries, depth), -1 where no more share a token with it.
        scores: their BM25, float32, falling along a row.
    """

    description: dict[str, Any]
    ids: Ints
    scores: Floats

    def run(self, asked: Questions) -> ranking.Rankings:
        """The ranking as ``ranking.figures`` takes it."""
        return ranking.Rankings(asked.query_ids(), self.ids, self.scores)


@dataclass(frozen=True)
class RerankedScores:
    """Answers of a teacher.

    Attributes:
        description: where it came from and what it re-ranked, for the report.
        ids: documents of each query in its order, int64 of shape (queries, depth).
        relevance: sigmoid of the logit by (query row, document id), for every pair it read.
    """

    description: dict[str, Any]
    ids: Ints
    relevance: dict[tuple[int, int], float]

    def run(self, asked: Questions) -> ranking.Rankings:
        """The ranking as ``ranking.figures`` takes it: places, since below the depth there are no scores."""
        places = np.broadcast_to(-np.arange(self.ids.shape[1], dtype=np.float64), self.ids.shape)
        return ranking.Rankings(asked.query_ids(), self.ids, places)


@dataclass(frozen=True)
class Answers:
    """What all models answered to one asked; None where one is left out."""

    student: EncoderScores
    base: EncoderScores | None = None
    bm25: LexicalScores | None = None
    teacher: RerankedScores | None = None
    compared: EncoderScores | None = None
    cut: EncoderScores | None = None

    def encoders(self) -> dict[str, EncoderScores | None]:
        """Those with cosines, by role."""
        return {"base": self.base, "cut": self.cut, "student": self.student, "compared": self.compared}

    def ranked(self) -> dict[str, EncoderScores | LexicalScores | RerankedScores | None]:
        """All of them, by role: each has ranked the documents of every query."""
        return {
            "base": self.base,
            "cut": self.cut,
            "bm25": self.bm25,
            "teacher": self.teacher,
            "student": self.student,
            "compared": self.compared,
        }


def of_encoder(
    encoder: BiEncoder,
    asked: Questions,
    *,
    role: str,
    name: str,
    batch_size: int,
    elsewhere: Sequence[Questions] = (),
    sizes: Sequence[int] = (),
    cached: bool = False,
) -> EncoderScores:
    """Encode the questions' texts once and score their pairs and rankings; the rankings of further questions, too.

    Args:
        encoder: the model.
        asked: what is asked.
        role: its name in messages, such as "student".
        name: the model as the user named it.
        batch_size: texts encoded at once.
        elsewhere: further questions, whose rankings alone are wanted.
        sizes: how many first numbers of each vector shall rank alone, too.
        cached: whether the documents' vectors are looked for in the cache, and put there; the encoder then has the
            weights of its folder.

    Raises:
        ModelError: a vector has a value that is NaN or infinite.
        ArtifactError: the calibration beside the model is no rising line.
    """
    calibration = calibration_file.read(name)
    queries, documents = _encoded(encoder, asked, role, batch_size, cached)
    ranked = queries[: asked.ranked]
    with progress(f"{role}: ranking", len(ranked), "queries") as advance:
        ids, cosines = asked.best(partial(exact.top_documents, ranked, documents, advance=advance), RANKING_DEPTH)
    pairs = {"positives": asked.positives, "negatives": asked.negatives, "random": asked.random}
    shuffled = {kind: cosines_of(queries, documents, asked.shuffled(found)) for kind, found in pairs.items()}
    return EncoderScores(
        description=describe_encoder(encoder, name),
        **{kind: cosines_of(queries, documents, found) for kind, found in pairs.items()},
        ids=ids,
        cosines=cosines,
        shuffled=shuffled,
        calibration=calibration,
        elsewhere=tuple(_ndcg(encoder, further, role, batch_size, cached) for further in elsewhere),
        by_dimension=dimensions.rankings(ranked, documents, asked, sizes, RANKING_DEPTH),
    )


def of_lexical(asked: Questions) -> LexicalScores:
    """Rank the questions' documents by BM25, over tokens that the documents decide, as the lexical miner does."""
    miner = lexical.LexicalMiner(asked.queries, asked.corpus)
    ids, scores = asked.best(partial(miner.search, np.arange(asked.ranked)), RANKING_DEPTH)
    description = {
        "method": bm25.METHOD,
        "tokens": miner.tokens,
        "k1": bm25.K1,
        "b": bm25.B,
        "fingerprint": miner.fingerprint(),
    }
    return LexicalScores(description, ids, scores)


def of_teacher(
    teacher: CachedTeacher,
    asked: Questions,
    ranked: Ints,
    *,
    depth: int,
    extra: Sequence[tuple[int, int]],
) -> RerankedScores:
    """Re-order the head of each query's ranking by the teacher; the rest keeps its order.

    Scores come from the cache where the pair was scored before.

    Args:
        teacher: a re-ranker behind its cache.
        asked: what is asked.
        ranked: document ids to re-rank, shape (queries, documents), -1 at the end of a row that has fewer.
        depth: documents of each query that the teacher reads.
        extra: further (query row, document id) pairs whose relevance is wanted.

    Raises:
        ModelError: a score is NaN or infinite.
    """
    head = ranked[:, :depth]
    there = [[document for document in ids if document >= 0] for ids in head.tolist()]
    wanted = dict.fromkeys((row, document) for row, ids in enumerate(there) for document in ids)
    wanted.update(dict.fromkeys(extra))
    pairs = np.array(list(wanted), dtype=np.int64).reshape(-1, 2)
    logits = teacher.logits(asked.queries, asked.corpus, pairs, "teacher: pairs").logits
    logit_of = dict(zip(wanted, logits.tolist(), strict=True))
    ids = ranked.copy()
    for row, documents in enumerate(there):
        # By logit: a sigmoid near 1 makes different logits equal. Python's sort keeps the order of equal ones.
        ids[row, : len(documents)] = sorted(documents, key=lambda document: -logit_of[row, document])
    relevance = dict(zip(wanted, margins.sigmoid(logits).tolist(), strict=True))
    return RerankedScores({**describe_teacher(teacher), "depth": int(head.shape[1])}, ids, relevance)


def cosines_of(queries: Floats, documents: Floats, pairs: Pairs) -> Floats:
    """Cosines of pairs from unit vectors (queries, dim) and (documents, dim): float32 of shape (pairs,)."""
    return exact.pair_cosines(queries, documents, pairs.queries, pairs.documents)


def _encoded(encoder: BiEncoder, asked: Questions, role: str, batch_size: int, cached: bool) -> tuple[Floats, Floats]:
    """Unit vectors of the queries and documents."""
    queries = encoder.encode_queries(asked.queries, batch_size=batch_size, description=f"{role}: queries")
    encode = partial(cached_vectors, encoder) if cached else encoder.encode_documents
    documents = encode(asked.corpus, batch_size=batch_size, description=f"{role}: documents")
    return queries, documents


def _ndcg(encoder: BiEncoder, asked: Questions, role: str, batch_size: int, cached: bool) -> Doubles:
    """nDCG@10 of each query of a asked: float64 of shape (queries,)."""
    queries, documents = _encoded(encoder, asked, f"{role}, forgetting", batch_size, cached)
    ranked = asked.best(partial(exact.top_documents, queries[: asked.ranked], documents), RANKING_DEPTH)
    by_query = ranking.figures_by_query(asked.qrels(), ranking.Rankings(asked.query_ids(), *ranked))
    return np.array([by_query[str(query)]["ndcg_at_10"] for query in asked.query_ids()])


def describe_encoder(encoder: BiEncoder, name: str) -> dict[str, Any]:
    """Identity of an encoder and what decides its vectors."""
    return {
        "path": name,
        "fingerprint": loading.model_fingerprint(encoder.source),
        "weights": model_folder.weights_fingerprint(Path(loading.local_folder(encoder.source))),
        "dimensions": encoder.dim,
        "max_len": encoder.max_len,
        "pooling": encoder.mode,
        "query_prompt": encoder.prompts.query,
        "document_prompt": encoder.prompts.document,
        "precision": encoder.precision,
    }


def describe_teacher(teacher: CachedTeacher) -> dict[str, Any]:
    """Identity of a teacher and what decides its scores."""
    return {"path": teacher.name, **teacher.identity}
