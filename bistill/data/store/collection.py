"""Labelled queries and the documents that are found for them."""

from __future__ import annotations

from typing import NamedTuple

from bistill.data.store.changed import WithChanged
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset


class Collection(NamedTuple):
    """Queries with their labels, and what is searched for them; "test collection" is the field's word.

    Attributes:
        dataset: queries and labels.
        corpus: documents, those of ``dataset`` first under their own ids.
    """

    dataset: Dataset
    corpus: Corpus

    @property
    def documents(self) -> WithChanged:
        """What lists hold: the corpus, and behind it documents without the queries that were made from them."""
        return WithChanged(self.corpus, self.dataset)
