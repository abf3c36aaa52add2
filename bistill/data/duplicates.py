"""Equal and nearly equal texts: equal after normalisation, or MinHash-LSH candidates verified by Jaccard similarity."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xxhash
from datasketch import MinHash, MinHashLSH

from bistill.data.same_text import normalised_form, without_invisible

SHINGLE: Final = 5
PERMUTATIONS: Final = 64
LEAST_RECALL: Final = 0.999
# Signs that carry meaning ("C#" is not "C", "-1" is not "1") are kept; other punctuation is like a blank.
MEANINGFUL: Final = frozenset("#%&@*/\\_-")


@dataclass(frozen=True)
class Duplicates:
    """Which texts are the same.

    Attributes:
        exact: int64 of shape (n,): lowest id with the same normalised text.
        near: int64 of shape (n,): lowest id of the cluster of nearly equal texts; joins ``exact`` clusters.
    """

    exact: np.ndarray
    near: np.ndarray

    @property
    def exact_count(self) -> int:
        """Texts that repeat an earlier one."""
        return int((self.exact != np.arange(len(self.exact))).sum())

    @property
    def near_count(self) -> int:
        """Texts that nearly repeat an earlier one, without those that repeat it exactly."""
        return int((self.near != np.arange(len(self.near))).sum()) - self.exact_count


def normalised_text(text: str) -> str:
    """NFKC, case folded, without invisible characters, runs of blanks and punctuation as one space.

    Punctuation stays where nothing else is left. This goes further than ``same_text``: it asks whether two texts of a
    data set need both be kept.
    """
    folded = without_invisible(normalised_form("NFKC", text).casefold())
    if folded.isascii():
        kept = re.sub(r"[!\"'(),.:;?\[\]{}\s]+", " ", folded)
    else:
        kept = "".join(" " if _like_blank(character) else character for character in folded)
    return " ".join(kept.split()) or folded.strip()


def shingles(text: str) -> set[str]:
    """Character 5-grams of a normalised text; the whole text where it is shorter."""
    if len(text) <= SHINGLE:
        return {text}
    return {text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)}


def jaccard(left: set[str], right: set[str]) -> float:
    """Size of the intersection over size of the union; both sets are not empty."""
    common = len(left & right)
    return common / (len(left) + len(right) - common)


def find_duplicates(
    texts: Sequence[str], threshold: float, advance: Callable[[int], None] = lambda _count: None
) -> Duplicates:
    """Clusters of equal and nearly equal texts.

    Two texts are joined when the Jaccard similarity of their 5-gram sets is at least ``threshold``; clusters are the
    connected components. Candidates come from MinHash-LSH whose bands find a pair at the threshold with probability
    of at least 0.999; each is verified, so no pair below the threshold is ever joined.

    Args:
        texts: the texts; read one at a time.
        threshold: Jaccard similarity in 0.5..1; 1: equal normalised texts only.
        advance: called with the number of texts done since the last call.
    """
    exact = _exact(texts)
    if threshold >= 1.0:
        advance(len(texts))
        return Duplicates(exact, exact.copy())
    sets = _UnionFind(len(texts))
    bands, rows = _bands(threshold)
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(bands, rows))
    empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=xxhash.xxh32_intdigest)
    for number, text in enumerate(texts):
        advance(1)
        if exact[number] != number:
            sets.join(int(exact[number]), number)
            continue
        mine = shingles(normalised_text(text))
        sketch = empty.copy()
        sketch.update_batch([shingle.encode("utf-8") for shingle in mine])
        for other in sorted(index.query(sketch)):
            if sets.root(other) == sets.root(number):
                continue
            if jaccard(mine, shingles(normalised_text(texts[other]))) >= threshold:
                sets.join(other, number)
        index.insert(number, sketch, check_duplication=False)
    return Duplicates(exact, np.array([sets.root(number) for number in range(len(texts))], dtype=np.int64))


class _UnionFind:
    """Disjoint sets of 0..n-1; the root of a set is its lowest member."""

    def __init__(self, size: int) -> None:
        self.parent = np.arange(size, dtype=np.int64)

    def root(self, item: int) -> int:
        """Lowest member of the item's set."""
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = int(self.parent[item])
        return item

    def join(self, left: int, right: int) -> None:
        """Unite two sets."""
        first, second = sorted((self.root(left), self.root(right)))
        self.parent[second] = first


def _exact(texts: Sequence[str]) -> np.ndarray:
    first: dict[bytes, int] = {}
    ids = np.empty(len(texts), dtype=np.int64)
    for number, text in enumerate(texts):
        digest = hashlib.blake2b(normalised_text(text).encode("utf-8"), digest_size=16).digest()
        ids[number] = first.setdefault(digest, number)
    return ids


def _bands(threshold: float) -> tuple[int, int]:
    """Bands and rows per band: the longest bands that still find a pair at the threshold with LEAST_RECALL."""
    for rows in range(PERMUTATIONS, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= LEAST_RECALL:
            return bands, rows
    return PERMUTATIONS, 1


def _like_blank(character: str) -> bool:
    return character.isspace() or (unicodedata.category(character)[0] == "P" and character not in MEANINGFUL)
