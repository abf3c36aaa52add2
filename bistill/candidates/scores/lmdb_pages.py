"""The pages of an lmdb file of fixed-size entries, read without lmdb: a check of their structure, and their entries.

lmdb trusts its file: a flipped bit in a page number, an offset or a size makes it read outside its map, and the process
dies without a word (https://github.com/jnwatson/py-lmdb/issues/267 and others). So the file is checked before lmdb
follows it. This costs one reading of the file, done in numpy: all pages reachable from the root, all sizes, offsets
and orders in them, and the lists of free pages.

Layout as in ``mdb.c`` of LMDB 0.9 (data version 1) on a 64-bit machine. Entries have keys of 16 bytes and values of 8.
A leaf node of them takes 32 bytes; since lmdb packs nodes from the end of the page, each begins at a multiple of 32.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

KEY_BYTES: Final = 16
VALUE_BYTES: Final = 8
NODE_BYTES: Final = 32
HEADER_BYTES: Final = 16
NODE_HEADER_BYTES: Final = 8
PAGES_AT_ONCE: Final = 2048
FIRST_PAGE: Final = 2  # pages 0 and 1 are the two metas
NO_PAGE: Final = 2**64 - 1
DEEPEST: Final = 32
MAGIC: Final = 0xBEEFC0DE
VERSION: Final = 1
BRANCH, LEAF, OVERFLOW, META = 0x01, 0x02, 0x04, 0x08
BIG_DATA: Final = 0x01
INTEGER_KEY: Final = 0x08

# The key as two big-endian numbers: their order is the order of the bytes.
KEY: Final = np.dtype([("high", ">u8"), ("low", ">u8")])
NODE: Final = np.dtype([("size", "u4"), ("flags", "u2"), ("key_size", "u2"), ("key", KEY), ("value", "V8")])
HEADER: Final = np.dtype([("number", "u8"), ("pad", "u2"), ("flags", "u2"), ("lower", "u2"), ("upper", "u2")])
TREE: Final = np.dtype(
    [
        *(("pad", "u4"), ("flags", "u2"), ("depth", "u2"), ("branches", "u8"), ("leaves", "u8")),
        *(("overflow", "u8"), ("entries", "u8"), ("root", "u8")),
    ]
)
META_PAGE: Final = np.dtype(
    [
        *(("header", HEADER), ("magic", "u4"), ("version", "u4"), ("address", "u8"), ("map_size", "u8")),
        *(("free", TREE), ("main", TREE), ("last", "u8"), ("transaction", "u8")),
    ]
)
assert NODE.itemsize == NODE_BYTES and HEADER.itemsize == HEADER_BYTES and META_PAGE.itemsize == 152


class DamageError(Exception):
    """What is wrong with the file, in one sentence; the caller makes it an error for users."""


class Pages:
    """An lmdb data file as an array of pages, memory-mapped read-only.

    Args:
        file: data.mdb, not empty.

    Raises:
        DamageError: it is not an lmdb file of data version 1, or both metas are not whole.
        OSError: the file cannot be opened.
    """

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes = np.frombuffer(self._map, dtype=np.uint8)
        self.page_size = self._page_size()
        self.count = len(self.bytes) // self.page_size
        self.pages = self.bytes[: self.count * self.page_size].reshape(self.count, self.page_size)
        for number in range(FIRST_PAGE):
            self._check_meta(number)

    def check(self, transaction: int) -> bool:
        """Check all that lmdb follows in the state of a transaction, which a reader must hold meanwhile.

        Returns:
            False where later transactions have overwritten the meta of this one: ask again with a newer one.

        Raises:
            DamageError: the first thing found wrong.
        """
        meta = self.meta(transaction & 1)
        if int(meta["transaction"]) != transaction:
            if int(self.meta(1 - (transaction & 1))["transaction"]) == transaction:
                raise DamageError("a meta page has the number of another transaction")
            return False
        if int(meta["main"]["flags"]) != 0 or int(meta["free"]["flags"]) != INTEGER_KEY:
            raise DamageError("the flags of a tree in the meta page are none that were written")
        leaves, live, separators = self._descend(meta["main"], int(meta["last"]))
        self._check_leaves(leaves, int(meta["main"]["entries"]), separators)
        self._check_free(meta["free"], int(meta["last"]), live)
        return True

    def meta(self, number: int) -> np.void:
        """One of the two meta pages, as a copy."""
        start = number * self.page_size
        return self.bytes[start : start + META_PAGE.itemsize].copy().view(META_PAGE)[0]

    def newest(self) -> np.void:
        """The meta page of the newest transaction."""
        return max((self.meta(0), self.meta(1)), key=lambda meta: int(meta["transaction"]))

    def live_nodes(self, meta: np.void) -> Iterator[np.ndarray]:
        """Entries of a checked state in the order of keys: arrays of ``NODE``."""
        leaves, _, _ = self._descend(meta["main"], int(meta["last"]))
        for start in range(0, len(leaves), PAGES_AT_ONCE):
            yield self._nodes_of_leaves(leaves[start : start + PAGES_AT_ONCE])[0]

    def _page_size(self) -> int:
        if len(self.bytes) < META_PAGE.itemsize:
            raise DamageError("the file is too short for lmdb")
        size = int(self.bytes[: META_PAGE.itemsize].view(META_PAGE)[0]["free"]["pad"])
        if int(self.bytes[: META_PAGE.itemsize].view(META_PAGE)[0]["magic"]) != MAGIC:
            raise DamageError("the file is not an lmdb file")
        if size < 512 or size > 32768 or size & (size - 1):
            raise DamageError(f"the page size in the file is {size}")
        if len(self.bytes) < FIRST_PAGE * size:
            raise DamageError("the file is cut within its first two pages")
        return size

    def _check_meta(self, number: int) -> None:
        meta = self.meta(number)
        if int(meta["magic"]) != MAGIC or int(meta["header"]["flags"]) != META:
            raise DamageError(f"meta page {number} is none")
        if int(meta["version"]) != VERSION:
            raise DamageError(f"the file is of lmdb data version {int(meta['version'])}, not {VERSION}")
        if int(meta["header"]["number"]) != number or int(meta["free"]["pad"]) != self.page_size:
            raise DamageError(f"meta page {number} contradicts itself")

    def _descend(self, tree: np.void, last: int) -> tuple[np.ndarray, np.ndarray, list[_Separators]]:
        """Leaf pages of a tree in the order of keys, all its pages, and the keys of its branches by level."""
        depth, root = int(tree["depth"]), int(tree["root"])
        if root == NO_PAGE and depth == 0 and int(tree["entries"]) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), []
        if not 0 < depth <= DEEPEST:
            raise DamageError(f"a tree of depth {depth}")
        level = self._inside([root], last)
        seen, separators = [level], []
        for _ in range(depth - 1):
            branches = [self._branch(int(number)) for number in level]
            separators.append(_Separators(branches))
            level = self._inside([child for children, _ in branches for child in children], last)
            seen.append(level)
        live = np.concatenate(seen)
        if len(np.unique(live)) != len(live):
            raise DamageError("a page has two places in the tree")
        if (len(live) - len(level), len(level)) != (int(tree["branches"]), int(tree["leaves"])):
            raise DamageError("the number of pages differs from the one in the meta page")
        return level, live, separators

    def _inside(self, numbers: list[int], last: int) -> np.ndarray:
        highest = min(last, self.count - 1)
        for number in (min(numbers), max(numbers)):
            if not FIRST_PAGE <= number <= highest:
                cut = f": the file is cut, {len(self.bytes):,} bytes long" if number <= last else ""
                raise DamageError(f"page {number} is not in the file{cut}")
        if len(numbers) > self.count:
            raise DamageError("a page has two places in the tree")
        return np.array(numbers, dtype=np.int64)

    def _branch(self, number: int) -> tuple[list[int], list[bytes]]:
        """Children and keys of a branch page; the first key is empty or not used."""
        page = self.pages[number]
        pointers, upper = self._pointers(page, number, BRANCH)
        children, keys, used = [], [], 0
        for pointer in pointers:
            low, high, top, key_size = (int(part) for part in page[pointer : pointer + 8].view(np.uint16))
            if key_size not in (0, 8, KEY_BYTES) or pointer + NODE_HEADER_BYTES + key_size > self.page_size:
                raise DamageError(f"a key of {key_size} bytes in branch page {number}")
            begin = pointer + NODE_HEADER_BYTES
            children.append(low | high << 16 | top << 32)
            keys.append(page[begin : begin + key_size].tobytes())
            used += NODE_HEADER_BYTES + key_size
        if used != self.page_size - upper or len(set(pointers)) != len(pointers):
            raise DamageError(f"the nodes of branch page {number} overlap")
        return children, keys

    def _pointers(self, page: np.ndarray, number: int, kind: int) -> tuple[list[int], int]:
        """Offsets of a page's nodes, all within its used part, and where this part begins."""
        header = page[:HEADER_BYTES].view(HEADER)[0]
        lower, upper = int(header["lower"]), int(header["upper"])
        if int(header["number"]) != number or int(header["flags"]) != kind:
            raise DamageError(f"page {number} is another or of another kind")
        if not HEADER_BYTES < lower <= upper <= self.page_size - NODE_HEADER_BYTES or lower % 2:
            raise DamageError(f"the bounds of page {number} are {lower} and {upper}")
        pointers = [int(pointer) for pointer in page[HEADER_BYTES:lower].view(np.uint16)]
        if min(pointers) < upper or max(pointers) > self.page_size - NODE_HEADER_BYTES or any(p % 2 for p in pointers):
            raise DamageError(f"a node of page {number} lies outside it")
        return pointers, upper

    def _check_leaves(self, leaves: np.ndarray, entries: int, separators: list[_Separators]) -> None:
        first, last, counted = np.zeros(len(leaves), KEY), np.zeros(len(leaves), KEY), 0
        for start in range(0, len(leaves), PAGES_AT_ONCE):
            nodes, counts = self._nodes_of_leaves(leaves[start : start + PAGES_AT_ONCE])
            keys = np.ascontiguousarray(nodes["key"])
            ends = np.cumsum(counts)
            first[start : start + len(ends)] = keys[ends - counts]
            last[start : start + len(ends)] = keys[ends - 1]
            inner = np.ones(len(keys), dtype=bool)
            inner[ends - counts] = False
            if not _less(keys[:-1], keys[1:])[inner[1:]].all():
                raise DamageError("the keys of a leaf page are not in order")
            counted += len(keys)
        if counted != entries:
            raise DamageError(f"{counted:,} entries where the meta page counts {entries:,}")
        if not _less(last[:-1], first[1:]).all():
            raise DamageError("the keys of leaf pages are not in order")
        for level in reversed(separators):
            first, last = level.check(first, last)

    def _nodes_of_leaves(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nodes of leaf pages in the order of keys (``NODE``), and how many each page has."""
        block = self.pages[numbers]
        header = np.ascontiguousarray(block[:, :HEADER_BYTES]).view(HEADER)[:, 0]
        lower, upper = header["lower"].astype(np.int64), header["upper"].astype(np.int64)
        counts = (lower - HEADER_BYTES) // 2
        good = (header["number"] == numbers) & (header["flags"] == LEAF) & (lower % 2 == 0) & (counts > 0)
        good &= (lower <= upper) & (upper == self.page_size - counts * NODE_BYTES)
        if not good.all():
            raise DamageError(f"the header of leaf page {int(numbers[~good][0])} is wrong")
        most = int(counts.max())
        pointers = np.ascontiguousarray(block[:, HEADER_BYTES : HEADER_BYTES + 2 * most]).view(np.uint16)
        used = np.arange(most) < counts[:, None]
        ordered = np.sort(np.where(used, pointers, np.uint16(0xFFFF)).astype(np.int64), axis=1)
        packed = (ordered == upper[:, None] + NODE_BYTES * np.arange(most)) | ~used
        if not packed.all():
            raise DamageError(f"the nodes of leaf page {int(numbers[~packed.all(axis=1)][0])} overlap")
        rows = np.arange(len(block))[:, None]
        nodes = block.view(NODE)[rows, np.where(used, pointers // NODE_BYTES, 0)][used]
        if not ((nodes["size"] == VALUE_BYTES) & (nodes["flags"] == 0) & (nodes["key_size"] == KEY_BYTES)).all():
            raise DamageError("an entry has another size than all that were written")
        return nodes, counts

    def _check_free(self, tree: np.void, last: int, live: np.ndarray) -> None:
        """No page that is in use may stand among the free ones: lmdb would write over it."""
        leaves, own, _ = self._descend(tree, last)
        used, free, entries = [live, own], [], 0
        for number in leaves:
            page = self.pages[int(number)]
            for pointer in self._pointers(page, int(number), LEAF)[0]:
                listed, extent = self._free_record(page, pointer, last)
                free.append(listed)
                used.append(extent)
                entries += 1
        if entries != int(tree["entries"]):
            raise DamageError("the number of lists of free pages differs from the one in the meta page")
        together = np.concatenate([*used, *free])
        if len(np.unique(together)) != len(together):
            raise DamageError("a page is both free and in use, or has two uses")

    def _free_record(self, page: np.ndarray, pointer: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """The free pages that one entry lists, and the overflow pages that it occupies itself."""
        size, flags, key_size = (int(page[pointer : pointer + 8].view(kind)[at]) for kind, at in _NODE_PARTS)
        begin = pointer + NODE_HEADER_BYTES + 8
        held = 8 if flags == BIG_DATA else size
        if key_size != 8 or flags not in (0, BIG_DATA) or size < 8 or size % 8 or begin + held > self.page_size:
            raise DamageError("a list of free pages is none")
        content, extent = page[begin : begin + held], np.zeros(0, np.int64)
        if flags == BIG_DATA:
            start = int(content.copy().view(np.uint64)[0])
            needed = (HEADER_BYTES + size + self.page_size - 1) // self.page_size
            extent = self._inside(list(range(start, start + needed)) if start <= last else [start], last)
            header = self.pages[start][:HEADER_BYTES].view(HEADER)[0]
            pages = int(header["lower"]) | int(header["upper"]) << 16
            if (int(header["number"]), int(header["flags"]), pages) != (start, OVERFLOW, needed):
                raise DamageError(f"overflow page {start} is none")
            offset = start * self.page_size + HEADER_BYTES
            content = self.bytes[offset : offset + size]
        words = content.copy().view(np.uint64)
        listed = words[1:]
        if int(words[0]) != len(listed) or not (listed[:-1] > listed[1:]).all():
            raise DamageError("a list of free pages is not in order")
        if len(listed) and not FIRST_PAGE <= int(listed[-1]) <= int(listed[0]) <= last:
            raise DamageError("a list of free pages names a page that is not in the file")
        return listed.astype(np.int64), extent


_NODE_PARTS: Final[tuple[tuple[Any, int], ...]] = ((np.uint32, 0), (np.uint16, 2), (np.uint16, 3))


class _Separators:
    """Keys of one level of branch pages: each lies above all keys before it and not above those of its child."""

    def __init__(self, branches: list[tuple[list[int], list[bytes]]]) -> None:
        self.counts = np.array([len(children) for children, _ in branches])
        self.first = np.cumsum(self.counts) - self.counts
        # The first key of a branch stands for "less than all": lmdb never reads it.
        self.keys = [key for _, keys in branches for key in (b"", *keys[1:])]

    def check(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compare with the first and last key of every child; gives those of every branch page."""
        inner = np.ones(len(self.keys), dtype=bool)
        inner[self.first] = False
        places = np.flatnonzero(inner)
        if any(len(self.keys[place]) != KEY_BYTES for place in places):
            raise DamageError("a key in a branch page has another size than all that were written")
        keys = np.frombuffer(b"".join(self.keys[place] for place in places), dtype=KEY)
        if not _less(last[places - 1], keys).all() or _less(first[places], keys).any():
            raise DamageError("a key in a branch page is not between those of its children")
        return first[self.first], last[self.first + self.counts - 1]


def _less(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    equal = left["high"] == right["high"]
    return (left["high"] < right["high"]) | (equal & (left["low"] < right["low"]))


def loose_nodes(file: Path) -> Iterator[np.ndarray]:
    """Whatever in a file of any condition looks like an entry, live or left over: arrays of ``NODE``."""
    with file.open("rb") as opened:
        while block := opened.read(PAGES_AT_ONCE * 4096):
            slots = np.frombuffer(block[: len(block) // NODE_BYTES * NODE_BYTES], dtype=NODE)
            like = (slots["size"] == VALUE_BYTES) & (slots["flags"] == 0) & (slots["key_size"] == KEY_BYTES)
            yield slots[like]
