"""What an update of a student sees: candidate lists of queries, their tokens, and the losses over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bistill.arrays import Ints
from bistill.candidates.in_batch import InBatchNegatives
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.candidates.settings import Lists
from bistill.candidates.shared_negatives import SharedNegatives
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.queries.turns import Turns
from bistill.data.store.collection import Collection
from bistill.errors import shown
from bistill.losses import ListScores, linear_score, weighted_sum
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import batching
from bistill.models.compute.tokens import cached_tokens
from bistill.training.loop.gradients import Batch, Terms
from bistill.training.student import matryoshka
from bistill.training.student.calibrated import ScoreLine
from bistill.training.student.module import StudentModule
from bistill.training.student.objective import Objective
from bistill.training.student.vector_targets import VectorTarget, own_cosines


class ListTask:
    """Candidate lists of queries, with the teacher's scores and all texts' tokens at hand.

    Tokens of every text that a list may hold are made first, or found in the cache: no epoch tokenizes anything.

    Args:
        encoder: the student in training.
        collection: queries, and documents of the lists.
        pools: scored candidates of the queries trained on.
        lists: what a list holds.
        objective: losses, and whether all documents of a batch stand behind the lists.
        seed: of the choice of lists.
        shared: what fills lists of ``own_documents``.
        line: from cosines to the scores that the losses see, trained, too; None: they see the linear score.
        turns: those of the pools in an epoch, one sample each; None: one of each.
        vectors: of each embedding teacher.
        targets: how those vectors themselves are met, of each teacher; (): they are not learned.
    """

    def __init__(
        self,
        encoder: BiEncoder,
        collection: Collection,
        pools: ScoredPools,
        lists: Lists,
        objective: Objective,
        *,
        seed: int,
        shared: SharedNegatives | None = None,
        line: ScoreLine | None = None,
        turns: Turns | None = None,
        vectors: Sequence[TeacherVectors] = (),
        targets: Sequence[VectorTarget] = (),
    ) -> None:
        self._encoder, self._collection, self._line = encoder, collection, line
        self._texts = collection.documents
        self._vectors, self._maps = tuple(vectors), [target.through for target in targets]
        self._lists, self._objective, self._seed = lists, objective, seed
        self._model: nn.Module = encoder.model
        maps = [through for through in self._maps if through is not None]
        if line is not None or maps:
            self._model = StudentModule(encoder.model, line, maps).to(encoder.device)
        self._pools, self._shared, self._turns = pools, shared, turns or one_each(pools)
        assert (shared is None) == (lists.own_documents is None)
        whole_batch = objective.in_batch == "floor" and shared is None
        self._in_batch = InBatchNegatives(collection, pools) if whole_batch else None
        tokenizer, max_len, prompts = encoder.tokenizer, encoder.max_len, encoder.prompts
        self._queries = cached_tokens(
            tokenizer,
            collection.dataset.queries,
            pools.query_ids,
            prompt=prompts.query,
            max_len=max_len,
            description="tokens: queries",
        )
        self._documents = cached_tokens(
            tokenizer,
            self._texts,
            pools.document_ids(),
            prompt=prompts.document,
            max_len=max_len,
            description="tokens: documents",
        )

    @property
    def model(self) -> nn.Module:
        """What is trained: the student's transformer, and what serves the losses beside it (``StudentModule``)."""
        return self._model

    def line_parameters(self) -> frozenset[str]:
        """Names of the parameters that make scores of cosines; they learn at a rate of their own."""
        names = () if self._line is None else (name for name, _ in self._line.named_parameters())
        return frozenset(f"line.{name}" for name in names)

    @property
    def samples(self) -> int:
        """Queries of one epoch, a query that comes again counted again."""
        return self._turns.samples

    def order(self, seed: int, epoch: int) -> Ints:
        """Queries shuffled."""
        return self._turns.order(seed, epoch)

    def fingerprints(self) -> dict[str, str]:
        """What the lists are made from: an interrupted run goes on only with the same."""
        shared = {} if self._shared is None else {"shared": self._shared.fingerprint()}
        vectors = {"vectors": " ".join(item.fingerprint() for item in self._vectors)} if self._vectors else {}
        return {"pools": self._pools.fingerprint(), **shared, **vectors}

    def lists(self, samples: Ints, epoch: int) -> list[CandidateList]:
        """The candidate lists of a batch: each query's own documents, then those that others of the batch brought."""
        own = training_lists(self._pools, self._lists, samples, seed=self._seed, epoch=epoch, turns=self._turns)
        if self._shared is not None:
            return self._shared.extended(own, epoch)
        return own if self._in_batch is None else self._in_batch.extended(own, self._turns.of(samples, epoch)[0])

    def batch(self, samples: Ints, epoch: int) -> Batch:
        """The losses of a batch of queries over whole vectors and their prefixes.

        Scores form a (queries, different documents of the batch) matrix, so that a document of several lists is encoded
        once; the mask holds what is no candidate of a query. Texts are the queries, then the documents.
        """
        encoder = self._encoder
        lists = self.lists(samples, epoch)
        documents = np.unique(np.concatenate([item.documents for item in lists]))
        queries = [item.query_id for item in lists]
        encodings = self._queries.encodings(queries) + self._documents.encodings(documents)
        targets = self.targets(lists, documents)
        rows = self._turns.of(samples, epoch)[0]
        teacher_cosines = [torch.from_numpy(item.cosines(rows, documents)) for item in self._vectors]
        met = [torch.from_numpy(item.of(rows, documents)) for item in self._vectors] if self._maps else []

        def terms(vectors: Tensor, _places: Ints) -> Terms:
            teacher, positive, mask = (value.to(vectors.device) for value in targets)
            cosines = tuple(value.to(vectors.device) for value in teacher_cosines)
            whole = tuple(value.to(vectors.device) for value in met)

            def of_vectors(vectors: Tensor) -> Terms:
                cosine = vectors[: len(lists)] @ vectors[len(lists) :].T
                own = tuple(own_cosines(vectors, *pair) for pair in zip(whole, self._maps, strict=True))
                scores = ListScores(teacher, cosine, self._score(cosine), positive, mask, cosines, own)
                return weighted_sum(self._objective.losses, scores)

            sizes = self._objective.matryoshka
            return matryoshka.over_prefixes(of_vectors, vectors, sizes) if sizes else of_vectors(vectors)

        def describe(place: int) -> str:
            if place < len(lists):
                return f"query {queries[place]} {shown(self._collection.dataset.queries[queries[place]])}"
            number = int(documents[place - len(lists)])
            return f"document {number} {shown(self._texts[number])}"

        return Batch(
            lengths=batching.lengths(encodings),
            forward=lambda places: encoder.forward([encodings[place] for place in places]),
            terms=terms,
            separable=False,
            packed=encoder.packs,
            describe=describe,
            encodings=encodings,
        )

    def _score(self, cosine: Tensor) -> Tensor:
        return linear_score(cosine) if self._line is None else self._line(cosine).sigmoid()

    def targets(self, lists: list[CandidateList], documents: Ints) -> tuple[Tensor, Tensor, Tensor]:
        """Teacher's relevance, positives and mask, each (queries, documents)."""
        teacher = np.full((len(lists), len(documents)), np.nan, dtype=np.float32)
        positive = np.zeros(teacher.shape, dtype=bool)
        for row, item in enumerate(lists):
            own = np.searchsorted(documents, item.documents)
            teacher[row, own] = item.relevance
            positive[row, own[: item.positives]] = True
        mask = ~np.isnan(teacher)
        return torch.from_numpy(np.nan_to_num(teacher)), torch.from_numpy(positive), torch.from_numpy(mask)


def one_each(pools: ScoredPools) -> Turns:
    """One turn of one sample for each query: samples are rows of the pools."""
    return Turns(np.ones(len(pools), dtype=np.int64))


def training_lists(
    pools: ScoredPools, lists: Lists, samples: Ints, *, seed: int, epoch: int, turns: Turns | None = None
) -> list[CandidateList]:
    """The candidate lists of a batch of samples; without ``turns`` these are rows of the pools."""
    rows, _, epochs = (turns or one_each(pools)).of(samples, epoch)
    pairs = zip(rows, epochs, strict=True)
    return [pools.training_list(int(row), lists, seed=seed, epoch=int(own)) for row, own in pairs]
