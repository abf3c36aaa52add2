"""The miners of a run: which ones, how deep, and their answers put together and kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bistill import artifacts, console
from bistill.candidates.depths import Depths
from bistill.candidates.filtering import refusal
from bistill.candidates.lists import random_documents
from bistill.candidates.mining.miner import Miner
from bistill.config import ListOptions, StudentOptions
from bistill.data.queries.copies import Selection, without_own
from bistill.data.sampling import generator
from bistill.data.store import cache
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.errors import ArtifactError, OptionError
from bistill.models.settings import Precision

# Their place here is their bit in the file of lists.
NAMES: Final = ("labelled", "random", "lexical", "dense", "cross_encoder")
# Miners whose answer depends on texts alone and is worth keeping.
RETRIEVAL: Final = ("lexical", "dense", "cross_encoder")


@dataclass(frozen=True)
class Source:
    """One miner of a run.

    Attributes:
        name: one of ``NAMES``.
        depth: documents of each query; None where what the lists take decides (``Depths``).
    """

    name: str
    depth: int | None

    @property
    def bit(self) -> int:
        """1 shifted by the miner's place in ``NAMES``: which miners gave a document is a sum of these."""
        return 1 << NAMES.index(self.name)


@dataclass(frozen=True)
class Mined:
    """The answer of one miner. Of miners that need no search it is made when it is asked for: some query may have
    thousands of labelled negatives.

    Attributes:
        source: the miner.
        answer: of a slice of the queries, document ids of the corpus: rows of integers, best first, -1 at the end of a
            shorter row of an array.
    """

    source: Source
    answer: Callable[[slice], np.ndarray | list[list[int]]]

    def rows(self, queries: slice) -> Iterator[list[int]]:
        """Document ids of each query of a slice, best first."""
        for row in self.answer(queries):
            yield [document for document in (row if isinstance(row, list) else row.tolist()) if document >= 0]


def parse(options: ListOptions) -> list[Source]:
    """The miners that ``--miners`` names.

    Raises:
        OptionError: an unknown or repeated miner, a depth that is no number above 0, or no miner at all.
    """
    sources: list[Source] = []
    for given in options.miners:
        name, colon, depth = given.partition(":")
        if name not in NAMES:
            raise OptionError("unknown miner", where="--miners", found=given, todo=f"give any of {', '.join(NAMES)}")
        if colon and not (depth.isdecimal() and int(depth) > 0):
            raise OptionError("the depth is no number above 0", where="--miners", found=given, todo=f"give {name}:50")
        if name in (source.name for source in sources):
            raise OptionError("the miner is named twice", where="--miners", found=given)
        unset = options.mining_depth if name in RETRIEVAL else None
        sources.append(Source(name, int(depth) if colon else unset))
    if not sources:
        raise OptionError("at least one miner is needed", where="--miners", todo="give labelled lexical random")
    return sources


class LabelledMiner:
    """The negatives of the data file."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self._dataset, self._seed = dataset, seed

    def mine(self, query_ids: np.ndarray, depth: int) -> list[list[int]]:
        """The first ``depth`` labelled negatives of each query, in the order of the file."""
        return [list(self._dataset[int(query)].negatives[:depth]) for query in query_ids]

    def draw(self, query_ids: np.ndarray, count: int) -> list[list[int]]:
        """``count`` labelled negatives of each query, drawn by (seed, query id), all where there are no more; in the
        order of the file. A larger count only adds some."""
        return [self._some(int(query), count) for query in query_ids]

    def _some(self, query_id: int, count: int) -> list[int]:
        negatives = self._dataset[query_id].negatives
        order = generator(self._seed, "labelled candidates", query_id).permutation(len(negatives))
        return [negatives[place] for place in sorted(order[:count])]


class RandomMiner:
    """Documents by chance, never the text of one that is labelled for the query or of the query itself, and no text
    twice; a larger depth only adds documents."""

    def __init__(self, dataset: Dataset, corpus: Corpus, seed: int) -> None:
        self._dataset, self._corpus, self._seed = dataset, corpus, seed

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        """``depth`` documents of each query, drawn by (seed, query id)."""
        return _rows([self.draw(int(query), depth) for query in query_ids])

    def draw(self, query_id: int, count: int, *, but: frozenset[int] = frozenset()) -> list[int]:
        """``count`` documents of a query, fewer where the corpus has no more; none of ``but``."""
        record = self._dataset[query_id]
        excluded = {*record.positives, *record.negatives, *but}
        stream = generator(self._seed, "random candidates", query_id)
        refused = refusal(record, self._corpus, [*record.negatives, *but])
        return random_documents(len(self._corpus), excluded, count, stream, refused)


def mine(
    options: ListOptions,
    student: StudentOptions,
    dataset: Dataset,
    corpus: Corpus,
    query_ids: np.ndarray,
    *,
    depths: Depths,
    seed: int,
    precision: Precision,
    teacher: Any,
) -> list[Mined]:
    """The answers of all miners of a run; those of retrieval come from the cache where they were given before.

    Retrieval searches each text once, among documents that are the same the first, and leaves a query's own text out;
    both are found elsewhere and taken out before the depth is cut, so that every place holds another candidate.

    Args:
        options: which miners, how deep.
        student: the dense miner's model and lengths, where ``options`` name no other.
        dataset: queries and labels.
        corpus: documents, those of the data set first.
        query_ids: queries mined for.
        depths: of the miners where none is given.
        seed: of what is drawn.
        precision: arithmetic of the dense miner.
        teacher: ``teachers.Teachers`` that the cross_encoder miner asks.
    """
    found = []
    pool = corpus.different()
    own = own_texts(dataset, corpus, query_ids)
    for source in parse(options):
        depth = source.depth or depths.of_miner(source.name)
        if source.name == "labelled":
            labelled = LabelledMiner(dataset, seed)
            found.append(Mined(source, _asked(labelled.mine if source.depth else labelled.draw, query_ids, depth)))
        elif source.name == "random":
            found.append(Mined(source, _asked(RandomMiner(dataset, corpus, seed).mine, query_ids, depth)))
        else:
            miner = retrieval_miner(source.name, options, student, dataset, pool, precision, teacher)
            depth = max(depth, 1) + bool((own >= 0).any())
            if source.name == "cross_encoder" and any(member.imported for member in teacher.members):
                documents = miner.mine(query_ids, depth)  # more scores of the same name give another ranking
            else:
                documents = kept(miner, dataset, pool, query_ids, depth)
            found.append(Mined(source, partial(_without_own, documents, pool, own)))
    return found


def own_texts(dataset: Dataset, corpus: Corpus, query_ids: np.ndarray) -> np.ndarray:
    """The first document of the corpus that is the text of each query, int64 of shape (queries,); -1 where none
    is, and where it is labelled positive for the query."""
    own = corpus.copies.find(Selection(dataset.queries, query_ids))
    for row in np.flatnonzero(own >= 0):
        positives = np.asarray(dataset[int(query_ids[row])].positives, dtype=np.int64)
        if own[row] in corpus.copies.first[positives]:
            own[row] = -1
    return own


def in_corpus(documents: np.ndarray, pool: Corpus | Selection) -> np.ndarray:
    """Documents of the pool of different texts by their ids in the corpus; -1 stays."""
    return np.where(documents >= 0, pool.ids[documents], -1) if isinstance(pool, Selection) else documents


def _without_own(documents: np.ndarray, pool: Corpus | Selection, own: np.ndarray, queries: slice) -> np.ndarray:
    """A slice of a miner's answer by the ids of the corpus, without the queries' own texts."""
    found = in_corpus(documents[queries], pool)
    return without_own(found, own[queries], found.shape[1] - 1)[0] if (own >= 0).any() else found


def _asked(mine: Callable[[np.ndarray, int], Any], query_ids: np.ndarray, depth: int) -> Callable[[slice], Any]:
    return lambda queries: mine(query_ids[queries], depth)


def retrieval_miner(
    name: str,
    options: ListOptions,
    student: StudentOptions,
    dataset: Dataset,
    corpus: Corpus | Selection,
    precision: Precision,
    teacher: Any,
) -> Miner:
    """The miner of a name out of ``RETRIEVAL``; nothing is indexed or encoded before it is asked."""
    if name == "lexical":
        from bistill.candidates.mining.lexical import LexicalMiner

        return LexicalMiner(dataset.queries, corpus, tokens=options.lexical_tokens)
    if name == "dense":
        from bistill.candidates.mining.dense import DenseMiner

        own = options.miner_model is None
        return DenseMiner(
            dataset.queries,
            corpus,
            options.miner_model or student.student_name,
            precision=precision,
            batch_size=64,
            max_len=student.max_len if own else None,
            query_prompt=student.query_prompt if own else None,
            document_prompt=student.document_prompt if own else None,
            pooling_name=student.pooling if own else None,
            trust_remote_code=student.trust_remote_code,
        )
    from bistill.candidates.mining.reranking import CrossEncoderMiner

    first = [
        Kept(retrieval_miner(other, options, student, dataset, corpus, precision, teacher), dataset, corpus)
        for other in ("lexical", "dense")
    ]
    return CrossEncoderMiner(dataset.queries, corpus, teacher, first, reads=options.cross_encoder_reads)


class Kept:
    """A retrieval miner whose answers are ``kept``."""

    def __init__(self, miner: Miner, dataset: Dataset, corpus: Corpus | Selection) -> None:
        self.name = miner.name
        self._miner, self._dataset, self._corpus = miner, dataset, corpus

    def fingerprint(self) -> str:
        """The miner's own."""
        return self._miner.fingerprint()

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        """See ``Miner.mine``."""
        return kept(self._miner, self._dataset, self._corpus, query_ids, depth)


def kept(miner: Miner, dataset: Dataset, corpus: Corpus | Selection, query_ids: np.ndarray, depth: int) -> np.ndarray:
    """A retrieval miner's answer out of the cache, mined and put there where it is new; see ``Miner.mine``."""
    key = artifacts.fingerprint(
        {
            "kind": "mined",
            "miner": miner.name,
            "facts": miner.fingerprint(),
            "data": dataset.fingerprint,
            "corpus": corpus.fingerprint(),
            "queries": hashlib.sha256(np.ascontiguousarray(query_ids, dtype=np.int64).tobytes()).hexdigest(),
            "depth": depth,
        }
    )

    def fill(folder: Path) -> dict[str, Any]:
        console.say(f"{miner.name} miner: {len(query_ids)} queries over {len(corpus)} documents")
        np.save(folder / artifacts.MINED_FILE, miner.mine(query_ids, depth), allow_pickle=False)
        return {"miner": miner.name}

    folder, _ = cache.obtain(key, fill)
    try:
        documents: np.ndarray = np.load(folder / artifacts.MINED_FILE, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ArtifactError(
            f"the file is no array of numbers ({error})",
            where=str(folder / artifacts.MINED_FILE),
            todo=f"delete {folder} and run again",
        ) from None
    return documents


def _rows(lists: list[Any]) -> np.ndarray:
    """int64 of shape (lists, longest), shorter lists filled with -1."""
    rows = np.full((len(lists), max(map(len, lists), default=0)), -1, dtype=np.int64)
    for row, documents in zip(rows, lists, strict=True):
        row[: len(documents)] = documents
    return rows
