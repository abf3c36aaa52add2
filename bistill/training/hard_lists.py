"""Lists of what BM25 ranks highest for a query, over which a teacher and a student's start are measured."""

from __future__ import annotations

from bistill.candidates.filtering import like
from bistill.candidates.lists import CandidateList, random_documents
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miners import kept
from bistill.config import DistillationOptions, TeacherOptions
from bistill.data import choice
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.data.sampling import generator
from bistill.training.validation import LIST_SIZE


def hard_lists(valid: Dataset, corpus: Corpus, options: TeacherOptions | DistillationOptions) -> list[CandidateList]:
    """Lists of validation queries: positives (at most half of a list), labelled negatives, then BM25's first documents,
    random ones where it finds too few; ``LIST_SIZE`` documents where there are as many.

    Args:
        valid: validation queries.
        corpus: documents to find candidates in, those of ``valid`` first.
        options: number of queries, seed, and what a word is.

    Raises:
        DataError: no validation query has a positive.
    """
    query_ids = choice.with_positive(valid, options.seed, "valid", options.valid_samples)
    miner = LexicalMiner(valid.queries, corpus, tokens=options.lexical_tokens)
    found = kept(miner, valid, corpus, query_ids, 2 * LIST_SIZE)
    return [
        _list(int(query), row[row >= 0].tolist(), valid, corpus, options.seed)
        for query, row in zip(query_ids, found, strict=True)
    ]


def _list(query_id: int, ranked: list[int], valid: Dataset, corpus: Corpus, seed: int) -> CandidateList:
    record = valid[query_id]
    positives = record.positives[: LIST_SIZE // 2]
    labelled = record.negatives[: LIST_SIZE - len(positives)]
    room = LIST_SIZE - len(positives) - len(labelled)
    refused = like(record.positives, corpus)
    mined = [document for document in ranked if document not in record.negatives and not refused(document)][:room]
    stream = generator(seed, "gate", query_id)
    others = random_documents(len(corpus), {*record.negatives, *mined}, room - len(mined), stream, refused)
    documents = (*positives, *labelled, *mined, *others)
    labels = (*record.positive_labels[: len(positives)], *[0.0] * (len(documents) - len(positives)))
    return CandidateList(query_id, documents, labels, len(positives), len(labelled), len(mined))
