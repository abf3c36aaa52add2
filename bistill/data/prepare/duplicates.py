"""Equal and nearly equal texts: equal after normalisation, or of a Jaccard similarity of their 5-grams."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bistill.arrays import Ints
from bistill.data.prepare.near_texts import GRAM, Rarity, grams, near_clusters
from bistill.data.queries.same_text import normalised_form, same_text, without_invisible

# Signs that carry meaning ("C#" is not "C", "-1" is not "1") are kept; other punctuation is like a blank.
MEANINGFUL: Final = frozenset("#%&@*/\\_-")


@dataclass(frozen=True)
class Duplicates:
    """Which texts are the same.

    Attributes:
        exact: int64 of shape (n,): lowest id with the same normalised text.
        near: int64 of shape (n,): lowest id of the cluster of nearly equal texts; joins ``exact`` clusters.
    """

    exact: Ints
    near: Ints

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

    Punctuation stays where nothing else is left. This goes further than ``same_text``, on which it builds: it asks
    whether two texts of a data set need both be kept.
    """
    folded = without_invisible(normalised_form("NFKC", same_text(text)).casefold())
    if folded.isascii():
        kept = re.sub(r"[!\"'(),.:;?\[\]{}\s]+", " ", folded)
    else:
        kept = "".join(" " if _like_blank(character) else character for character in folded)
    return " ".join(kept.split()) or folded.strip()


def shingles(text: str) -> set[str]:
    """Character 5-grams of a normalised text; the whole text where it is shorter."""
    if len(text) <= GRAM:
        return {text}
    return {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)}


def jaccard(left: set[str], right: set[str]) -> float:
    """Size of the intersection over size of the union; both sets are not empty."""
    common = len(left & right)
    return common / (len(left) + len(right) - common)


def find_duplicates(
    texts: Sequence[str], threshold: float, advance: Callable[[int], None] = lambda _count: None
) -> Duplicates:
    """Clusters of equal and nearly equal texts.

    Two texts are joined when the Jaccard similarity of their 5-gram sets is at least ``threshold``; clusters are the
    connected components. All pairs are found that comparing each with each would find (``near_texts``).

    Args:
        texts: the texts; read one at a time.
        threshold: Jaccard similarity in 0.5..1; 1: equal normalised texts only.
        advance: called with the number of texts done since the last call.
    """
    near = threshold < 1.0
    rarity = Rarity()
    first: dict[bytes, int] = {}
    exact = np.empty(len(texts), dtype=np.int64)
    for number, text in enumerate(texts):
        normal = normalised_text(text)
        digest = hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        exact[number] = first.setdefault(digest, number)
        if near and exact[number] == number:
            rarity.add(grams(normal))
    del first
    if not near:
        advance(len(texts))
        return Duplicates(exact, exact.copy())
    different = np.flatnonzero(exact == np.arange(len(texts)))
    advance(len(texts) - len(different))
    found = near_clusters(
        lambda place: normalised_text(texts[int(different[place])]), len(different), rarity, threshold, advance
    )
    clusters = np.empty(len(texts), dtype=np.int64)
    clusters[different] = different[found]
    return Duplicates(exact, clusters[exact])


def _like_blank(character: str) -> bool:
    return character.isspace() or (unicodedata.category(character)[0] == "P" and character not in MEANINGFUL)
