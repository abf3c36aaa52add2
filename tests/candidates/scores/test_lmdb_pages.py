"""Damage to the structure of the file is found before lmdb reads it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.lmdb_pages import NODE_BYTES, Pages
from tests.candidates.scores.caches import (
    TEACHER,
    child,
    data_file,
    fill,
    flip,
    keys,
    logits,
    output_of,
    refusal_of_opening,
)


def test_structure_that_would_mislead_lmdb_is_found_at_opening() -> None:
    fill(6000, batches=3)
    intact = data_file().read_bytes()
    pages = Pages(data_file())
    root, size = int(pages.newest()["main"]["root"]), pages.page_size
    leaf = int(pages._descend(pages.newest()["main"], int(pages.newest()["last"]))[0][5])
    free = int(pages.newest()["free"]["root"])
    upper = size - NODE_BYTES
    places = {
        "page number of the root": (root * size, "kind"),
        "kind of a leaf": (leaf * size + 10, "header of leaf page"),
        "end of a leaf's offsets": (leaf * size + 12, "header of leaf page"),
        "an offset in a leaf": (leaf * size + 16, "overlap"),
        "size of an entry": (leaf * size + upper, "another size"),
        "first byte of a key": (leaf * size + upper + 8, "not in order"),
        "a child of the root": (
            root * size + pages._pointers(pages.pages[root], root, 1)[0][1],
            "two places|differs|kind|header|not in the file",
        ),
        "count of a list of free pages": (free * size + size - 8, "free"),
        "magic number": (16, "not an lmdb file"),
        "magic number of the second": (size + 16, "meta page 1"),
        "version": (20, "version"),
    }
    for name, (place, message) in places.items():
        data_file().write_bytes(intact)
        flip(place, bit=7 if name == "first byte of a key" else 0)
        try:
            error = refusal_of_opening()
        except pytest.fail.Exception:
            pytest.fail(f"not found: {name}")
        assert "bistill scores rebuild" in error.todo
        assert re.search(message, error.what), (name, error.what)
    data_file().write_bytes(intact)
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(6000))), logits(range(6000)))


def test_flips_anywhere_never_give_a_wrong_score_and_never_end_the_process() -> None:
    fill(3000, batches=10)
    code = (
        "import random\n"
        "random.seed(1)\n"
        "intact = data_file().read_bytes()\n"
        "for _ in range(60):\n"
        "    data_file().write_bytes(intact)\n"
        "    flip(random.randrange(len(intact)), random.randrange(8))\n"
        "    try:\n"
        "        with ScoreCache.open(TEACHER) as cache:\n"
        "            cache.put(keys(cache, range(0, 3000, 7)), logits(range(0, 3000, 7)))\n"
        "            found = cache.get(keys(cache, range(3000)))\n"
        "    except ArtifactError:\n"
        "        kept, dropped = rebuild(folder_of(TEACHER))\n"
        "        assert kept >= 2999, (kept, dropped)\n"
        "        with ScoreCache.open(TEACHER) as cache:\n"
        "            found = cache.get(keys(cache, range(3000)))\n"
        "    wrong = ~np.isnan(found) & (found != logits(range(3000)))\n"
        "    assert not wrong.any()\n"
    )
    output_of(child(code))
