"""Queries that come again among those held out."""

from __future__ import annotations

from bistill.data.prepare.duplicates import jaccard, normalised_text, shingles
from bistill.data.queries.held_out import apart

LONG = "how do I change the password of an account that I share with other people"


def test_the_same_and_nearly_the_same_queries_are_left_out() -> None:
    near = LONG.replace("other people", "other  People?")  # the same after normalisation
    nearly = LONG + "s"
    other = LONG.replace("password", "address")
    assert jaccard(shingles(normalised_text(LONG)), shingles(normalised_text(nearly))) >= 0.9
    assert jaccard(shingles(normalised_text(LONG)), shingles(normalised_text(other))) < 0.9
    kept = apart([["a", near, other], [], [nearly, "b"]], [["c", LONG], ["b!"]])
    assert [ids.tolist() for ids in kept] == [[0, 2], [], []]
    kept = apart([["a", near, other], [], [nearly, "b"]], [["c", LONG], ["b!"]], threshold=1.0)
    assert [ids.tolist() for ids in kept] == [[0, 2], [], [0]]


def test_a_query_near_to_one_that_goes_goes_with_it() -> None:
    further = [LONG + "0123456789abcdef"[:count] for count in (3, 6, 9, 12)]
    pairs = zip([LONG, *further], further, strict=False)
    assert all(jaccard(shingles(a), shingles(b)) >= 0.9 for a, b in pairs)
    assert jaccard(shingles(LONG), shingles(further[-1])) < 0.9
    assert [ids.tolist() for ids in apart([further, ["x"]], [[LONG]])] == [[], [0]]


def test_nothing_is_left_out_where_nothing_is_held_out() -> None:
    assert [ids.tolist() for ids in apart([["a", "a"], ["a"]], [])] == [[0, 1], [0]]
