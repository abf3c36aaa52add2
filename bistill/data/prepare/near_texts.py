"""Which of many texts are nearly equal: sets of character 5-grams of at least a Jaccard similarity, found exactly.

Neither all pairs are compared nor is anything left to chance. A pair of similarity t shares one of the rarest 5-grams
of each (prefix filter: Chaudhuri et al. 2006; Bayardo et al. 2007, "Scaling up all pairs similarity search"), so that
texts made from one template meet only in what differs between them. What meets is held against the two sizes and
against a bitmap of each set, by which most pairs are known to differ too much (bitmap filter: Sandes et al. 2020),
thousands at once; only the others are compared gram by gram.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bistill.arrays import Flags, Ints, Keys

GRAM: Final = 5
# Odd numbers without a pattern; the last two are of MurmurHash3's 64-bit finaliser (Appleby 2011).
FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
MIX: Final = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
# How often grams occur is counted in so many numbers, whatever the texts; grams that share one only seem less rare.
COUNTED: Final = 1 << 22
KEY_BITS: Final = np.uint64(40)
BITMAP_BITS: Final = 2_048
# Candidates whose bitmaps are compared at once: 4 MiB.
AT_ONCE: Final = 16_384
# Texts whose grams are kept for the next comparison: some MiB where texts have some thousand letters.
KEPT: Final = 256


def grams(text: str) -> Keys:
    """Hashes of the different character 5-grams of a text, rising, uint64; of the whole text where it is shorter.

    Different grams share a hash with a chance of about 2^-64.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    codes = np.concatenate([np.zeros(max(GRAM - len(codes), 0), dtype=np.uint64), codes])  # NUL is in no text
    count = len(codes) - GRAM + 1
    hashes = codes[:count].copy()
    for place in range(1, GRAM):
        hashes *= FACTOR
        hashes += codes[place : place + count]
    for factor in MIX:
        hashes ^= hashes >> np.uint64(33)
        hashes *= factor
    hashes ^= hashes >> np.uint64(33)
    hashes.sort()  # faster than np.unique, which asks a table first
    new = np.ones(count, dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=new[1:])
    return hashes[new]


def jaccard_of_grams(left: Keys, right: Keys) -> float:
    """Size of the intersection over size of the union of two ``grams``."""
    both = np.sort(np.concatenate([left, right]), kind="stable")
    common = int((both[1:] == both[:-1]).sum())
    return common / (len(left) + len(right) - common)


class Rarity:
    """How many texts have a gram, or one that shares its place in a table of fixed size."""

    def __init__(self) -> None:
        self._counts = np.zeros(COUNTED, dtype=np.uint32)

    def add(self, own: Keys) -> None:
        """Count the grams of one more text."""
        self._counts[(own & np.uint64(COUNTED - 1)).astype(np.int64)] += 1  # a place once, whatever shares it

    def rarest(self, own: Keys, count: int) -> Keys:
        """Keys of the ``count`` rarest grams of a text, uint64, without those that no other text has.

        The order is that of the keys, which is the same for all texts.
        """
        often = self._counts[(own & np.uint64(COUNTED - 1)).astype(np.int64)].astype(np.uint64)
        keys = np.minimum(often, np.uint64((1 << 24) - 1)) << KEY_BITS | own >> np.uint64(64) - KEY_BITS
        if count < len(keys):
            keys = np.partition(keys, count - 1)[:count]
        return keys[keys >> KEY_BITS > 1]


class Meetings(NamedTuple):
    """Which texts share rare grams: entries of (text, gram), ordered by text.

    Attributes:
        ends: of each text's entries, int64 of shape (texts + 1,).
        places: of each entry in ``members``, int64.
        starts: where the texts of the entry's gram begin in ``members``.
        group: number of the entry's gram.
        members: texts of all grams, rising within one, int32.
        groups: number of grams.
    """

    ends: Ints
    places: Ints
    starts: Ints
    group: Ints
    members: npt.NDArray[np.int32]
    groups: int

    @classmethod
    def of(cls, keys: list[Keys]) -> Meetings:
        """The meetings of texts with these ``Rarity.rarest`` grams; grams of a single text are left out."""
        texts = np.repeat(np.arange(len(keys), dtype=np.int32), [len(own) for own in keys])
        joined = np.concatenate([np.empty(0, dtype=np.uint64), *keys])
        order = np.argsort(joined, kind="stable")
        ordered = joined[order]
        new = np.ones(len(joined), dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        group = np.cumsum(new) - 1
        starts = np.flatnonzero(new)[group] if len(joined) else group
        several = np.bincount(group)[group] > 1 if len(joined) else new
        places = np.empty(len(joined), dtype=np.int64)
        places[order] = np.arange(len(joined))
        kept = several[places]
        places = places[kept]
        counts = np.bincount(texts[kept], minlength=len(keys))
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        return cls(ends, places, starts[places], group[places], texts[order], int(new.sum()))


class Clusters:
    """Disjoint sets of 0..n-1: of two sets the smaller takes the label of the larger.

    Attributes:
        label: of each item's set, int64 of shape (n,).
    """

    def __init__(self, size: int) -> None:
        self.label = np.arange(size, dtype=np.int64)
        self._members: dict[int, list[int]] = {}

    def join(self, left: int, right: int) -> None:
        """Unite the sets of two items."""
        labels = sorted(
            (int(self.label[left]), int(self.label[right])), key=lambda label: len(self._members.get(label, [label]))
        )
        small, large = labels
        if small != large:
            moved = self._members.pop(small, [small])
            self.label[moved] = large
            self._members.setdefault(large, [large]).extend(moved)

    def lowest(self) -> Ints:
        """Lowest member of each item's set, int64 of shape (n,)."""
        first = np.full(len(self.label), len(self.label), dtype=np.int64)
        np.minimum.at(first, self.label, np.arange(len(self.label)))
        found: Ints = first[self.label]
        return found


def near_clusters(
    texts: Callable[[int], str], count: int, rarity: Rarity, threshold: float, advance: Callable[[int], None]
) -> Ints:
    """Lowest text of each text's cluster, the connected components of all pairs of at least a similarity.

    Args:
        texts: the text of a number; each is read once, and again where it must be compared.
        count: of texts.
        rarity: of the grams of all these texts.
        threshold: Jaccard similarity above 0 and below 1.
        advance: called with the number of texts done since the last call, half of them while texts are read.

    Returns:
        int64 of shape (count,).
    """
    keys, sizes = [], np.empty(count, dtype=np.int64)
    bitmaps = np.empty((count, BITMAP_BITS // 64), dtype=np.uint64)
    for number in range(count):
        own = grams(texts(number))
        sizes[number], bitmaps[number] = len(own), _bitmap(own)
        keys.append(rarity.rarest(own, len(own) - math.ceil(threshold * len(own) - 1e-9) + 1))
        advance(number % 2)
    return _Search(texts, sizes, bitmaps, Meetings.of(keys), threshold).clusters(advance)


def _bitmap(own: Keys) -> Keys:
    """Of each class of grams whether a text has an odd number of them: uint64 of shape (BITMAP_BITS / 64,).

    Two such bitmaps differ in at most as many bits as the sets differ in grams.
    """
    counts = np.bincount((own & np.uint64(BITMAP_BITS - 1)).astype(np.int64), minlength=BITMAP_BITS)
    return np.packbits((counts & 1).astype(bool)).view(np.uint64)


class _Search:
    """The comparison of each text with the earlier ones that it meets."""

    def __init__(
        self,
        texts: Callable[[int], str],
        sizes: Ints,
        bitmaps: Keys,
        meetings: Meetings,
        threshold: float,
    ) -> None:
        self._sizes, self._bitmaps, self._meetings, self._threshold = sizes, bitmaps, meetings, threshold
        self._grams = lru_cache(KEPT)(lambda number: grams(texts(number)))
        self._sets = Clusters(len(sizes))
        # Whether all texts of a gram that came so far are of one set: then one of them answers for all.
        self._one_set = np.ones(meetings.groups, dtype=bool)
        self._met = np.zeros(len(sizes), dtype=bool)

    def clusters(self, advance: Callable[[int], None]) -> Ints:
        """``near_clusters``."""
        for number in range(len(self._sizes)):
            self._place(number)
            advance(1 - number % 2)
        return self._sets.lowest()

    def _place(self, number: int) -> None:
        """Unite a text with the sets of all earlier ones that it is nearly equal to."""
        meetings, label = self._meetings, self._sets.label
        own = slice(*meetings.ends[number : number + 2])
        places, starts, group = meetings.places[own], meetings.starts[own], meetings.group[own]
        earlier = places > starts
        places, starts, group = places[earlier], starts[earlier], group[earlier]
        if not len(places):
            return
        # Of each gram the first and the latest text: where there are thousands that are nearly equal, one of these
        # joins them, and most grams need no other.
        firsts = meetings.members[starts]
        self._join(number, np.unique(np.concatenate([firsts, meetings.members[places - 1]])))
        rest = ~(self._one_set[group] & (label[firsts] == label[number]))
        for start, place in zip(starts[rest].tolist(), places[rest].tolist(), strict=True):
            self._met[meetings.members[start:place]] = True
        others = np.flatnonzero(self._met[:number])
        self._met[others] = False
        self._join(number, others)
        self._one_set[group] &= label[firsts] == label[number]

    def _join(self, number: int, others: Ints) -> None:
        """Compare a text with others and unite it with those that are nearly equal."""
        for start in range(0, len(others), AT_ONCE):
            for other in self._possible(number, others[start : start + AT_ONCE]).tolist():
                if self._sets.label[other] == self._sets.label[number]:
                    continue
                if jaccard_of_grams(self._grams(other), self._grams(number)) >= self._threshold:
                    self._sets.join(other, number)

    def _possible(self, number: int, others: Ints) -> Ints:
        """The others of another set whose sizes and bitmaps allow the similarity."""
        others = others[self._sets.label[others] != self._sets.label[number]]
        mine, sizes = self._sizes[number], self._sizes[others]
        fit = np.minimum(sizes, mine) >= self._threshold * np.maximum(sizes, mine) - 1e-9
        others, sizes = others[fit], sizes[fit]
        both = sizes + mine
        most = both - 2 * np.ceil(self._threshold / (1 + self._threshold) * both - 1e-9)
        differing: Ints = np.bitwise_count(self._bitmaps[others] ^ self._bitmaps[number]).sum(axis=1, dtype=np.int64)
        near: Flags = differing <= most
        return others[near]
