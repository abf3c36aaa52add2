"""How often an epoch comes to each query: once, or so often that every data version has as many turns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bistill.arrays import Ints
from bistill.console import counted
from bistill.data.sampling import generator, permutation
from bistill.data.settings import Balance
from bistill.data.store.dataset import Dataset


class _Part(NamedTuple):
    """The turns of a group of which an epoch has some: their numbers, int64, and how many samples it has of them."""

    group: int
    turns: Ints
    samples: int


class Turns:
    """The turns of queries, each of one or several samples, and those that an epoch has.

    Without groups each query has one turn in every epoch. With groups each of these has as many as the largest, m: of
    a group of n queries each has m // n turns, and m % n of them, others each epoch, one more. Where a turn is of
    several samples, these m % n end with the sample by which the group has its share, so that all epochs have the same
    number of samples.

    What an epoch has is a function of (seed, epoch, group), so that a run goes on where it was interrupted.

    Args:
        sizes: samples of one turn of each query, int64 of shape (queries,).
        groups: number of the group of each query, int64 of shape (queries,); None: without groups.

    Attributes:
        samples: of one epoch. Their numbers reach up to that of all turns that there may be.
        most: turns of one query in an epoch at most.
        groups: how many there are.
        largest: queries of the largest.
    """

    def __init__(self, sizes: Ints, groups: Ints | None = None) -> None:
        groups = np.zeros(len(sizes), dtype=np.int64) if groups is None else groups
        members = {int(group): np.flatnonzero(groups == group) for group in np.unique(groups)}
        self.groups, self.largest = len(members), max(map(len, members.values()), default=0)
        self.most = max((-(-self.largest // len(rows)) for rows in members.values()), default=1)
        # The first turns of all queries come first, under the queries' own numbers.
        rows, numbers = [np.arange(len(sizes))], [np.zeros(len(sizes), dtype=np.int64)]
        always = [rows[0]]
        self._parts: list[_Part] = []
        for group, own in members.items():
            whole, rest = divmod(self.largest, len(own))
            for number in range(1, whole + (rest > 0)):
                turns = np.arange(len(own)) + sum(map(len, rows))
                rows.append(own)
                numbers.append(np.full(len(own), number))
                if number < whole:
                    always.append(turns)
                else:
                    self._parts.append(_Part(group, turns, int(sizes[own].sum()) * rest // len(own)))
        self._rows, self._numbers, self._always = map(np.concatenate, (rows, numbers, always))
        self._ends = np.cumsum(sizes[self._rows])
        self._starts = self._ends - sizes[self._rows]
        fixed = int(sizes[self._rows[self._always]].sum())
        self._single = bool((sizes == 1).all())
        self.samples = fixed + sum(part.samples for part in self._parts)

    def order(self, seed: int, epoch: int) -> Ints:
        """Samples of an epoch, int64 of shape (samples,): turns shuffled, the samples of a turn together."""
        chosen, stops = [self._always], [self._ends[self._always]]
        for part in self._parts:
            drawn, stop = self._drawn(part, seed, epoch)
            chosen.append(drawn)
            stops.append(stop)
        starts, ends = self._starts[np.concatenate(chosen)], np.concatenate(stops)
        mixed = permutation(seed, epoch, len(starts))
        if self._single:
            return starts[mixed]
        return np.concatenate([np.arange(starts[turn], ends[turn]) for turn in mixed])

    def of(self, samples: Ints, epoch: int) -> tuple[Ints, Ints, Ints]:
        """What samples are.

        Args:
            samples: int64 of shape (n,).
            epoch: 0-based.

        Returns:
            The query of each, its place in its turn, and an epoch of its own: no two turns of a query have the same in
            all epochs of a run, so what is drawn by it differs. All int64 of shape (n,).
        """
        turns = np.searchsorted(self._ends, samples, side="right")
        return self._rows[turns], samples - self._starts[turns], epoch * self.most + self._numbers[turns]

    def said(self) -> str:
        """What a line about a run ends with where versions are balanced, else ""."""
        return f"; {counted(self.largest, 'query')} of each of {self.groups} data versions" if self.groups > 1 else ""

    def _drawn(self, part: _Part, seed: int, epoch: int) -> tuple[Ints, Ints]:
        """Turns of a part that an epoch has, and behind which sample each of them ends."""
        drawn = generator(seed, "balance", epoch, part.group).permutation(part.turns)
        through = np.cumsum(self._ends[drawn] - self._starts[drawn])
        count = int(np.searchsorted(through, part.samples)) + 1
        stops = self._ends[drawn[:count]]
        stops[-1] -= through[count - 1] - part.samples
        return drawn[:count], stops


def turns_of(dataset: Dataset, query_ids: Ints, sizes: Ints, balance: Balance) -> Turns:
    """The turns of some queries of a data set; balanced by the files that it comes from, where that is wanted. Queries
    without labels, of whatever files, are together as one file more.

    Args:
        dataset: of one file, or of several joined.
        query_ids: int64 of shape (queries,).
        sizes: samples of one turn of each, int64 of shape (queries,).
        balance: "rows": every query has one turn; "versions": see ``Turns``.
    """
    groups = np.searchsorted(dataset.ends, query_ids, side="right") if balance == "versions" else None
    return Turns(sizes, groups)
