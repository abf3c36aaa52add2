"""Which queries of a corpus are kept, against a plain dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.data.made.choice import SHARED_BY, Candidates
from bistill.data.queries.same_text import text_key

NOTHING = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))


def candidates(*rows: tuple[int, str, str]) -> Candidates:
    found = Candidates()
    for order, query, source in rows:
        found.add(order, text_key(query), text_key(source))
    return found


def keys(*texts: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.frombuffer(b"".join(map(text_key, texts)), dtype=np.uint64)


def test_of_several_documents_the_one_of_lowest_order_keeps_the_query() -> None:
    chosen = candidates((5, "A b", "one"), (3, "c", "two"), (4, "a  B", "three"), (9, "a b", "four")).choose(
        None, NOTHING
    )
    assert chosen.kept.tolist() == [False, True, True, False]
    assert chosen.left_out["of several documents, kept for one"] == 2


def test_a_formula_is_kept_for_none() -> None:
    rows = [(number, "Introduction", f"d{number}") for number in range(SHARED_BY + 1)]
    assert candidates(*rows[:-1]).choose(None, NOTHING).kept.tolist() == [True] + [False] * (SHARED_BY - 1)
    chosen = candidates(*rows, (0, "x", "d0")).choose(None, NOTHING)
    assert chosen.kept.tolist() == [False] * (SHARED_BY + 1) + [True]
    assert chosen.left_out[f"of more than {SHARED_BY} documents"] == SHARED_BY + 1


def test_queries_and_documents_of_other_files_are_left_out() -> None:
    other = (keys("B"), keys("FOUR"))
    chosen = candidates((1, "a", "one"), (2, "b", "two"), (3, "c", "three"), (4, "d", "four")).choose(None, other)
    assert chosen.kept.tolist() == [True, False, True, False]
    assert chosen.left_out["in another file, with their document"] == 2


@pytest.mark.parametrize("number", [None, 1, 7, 1000])
def test_many_at_random_against_a_dictionary(number: int | None) -> None:
    chance = np.random.default_rng(3)
    rows = [(int(order), f"q{chance.integers(60)}", f"d{place}") for place, order in enumerate(chance.permutation(200))]
    texts = [query for _, query, _ in rows]
    few = [row for row in rows if texts.count(row[1]) <= SHARED_BY and row[1] != "q7"]
    best = {query: min(row for row in few if row[1] == query) for _, query, _ in few}
    expected = {*sorted(best.values())[:number]}
    chosen = candidates(*rows).choose(number, (keys("q7"), NOTHING[1]))
    assert {row for row, kept in zip(rows, chosen.kept, strict=True) if kept} == expected
    assert sum(chosen.left_out.values()) == 200 - len(expected)


def test_none_of_none() -> None:
    assert len(candidates().choose(5, NOTHING).kept) == 0
