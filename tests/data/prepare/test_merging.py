from __future__ import annotations

import numpy as np

from bistill.data.prepare.duplicates import Duplicates
from bistill.data.prepare.merging import JudgedQuery, merge, regroup, split_shares
from bistill.data.records import Record


def same(exact: list[int], near: list[int]) -> Duplicates:
    return Duplicates(np.array(exact), np.array(near))


def record(query: int, positives: dict[int, float], negatives: dict[int, float]) -> Record:
    return Record(
        query,
        f"q{query}",
        tuple(positives),
        tuple(positives.values()),
        tuple(negatives),
        tuple(negatives.values()),
    )


def test_documents_and_queries_are_merged_and_conflicts_lose_the_negative() -> None:
    records = {"all": [record(0, {0: 0.8}, {1: 0.0}), record(1, {2: 1.0}, {3: 0.2}), record(2, {4: 1.0}, {})]}
    # query 1 repeats query 0; document 3 is a near duplicate of document 0, document 2 of document 1
    found = merge(records, {"all": 0}, {"all": 0}, same([0, 0, 2], [0, 0, 2]), same([0, 1, 2, 3, 4], [0, 1, 1, 0, 4]))
    assert found.splits == {"all": [JudgedQuery(0, {0: 0.8, 1: 1.0}, {}), JudgedQuery(2, {4: 1.0}, {})]}
    assert (found.equal_queries, found.conflicts) == (1, 2)


def test_queries_of_two_splits_stay_in_test_before_valid_before_train() -> None:
    records = {
        "train": [record(0, {0: 1.0}, {}), record(1, {1: 1.0}, {}), record(2, {2: 1.0}, {})],
        "valid": [record(0, {0: 1.0}, {}), record(1, {1: 1.0}, {})],
        "test": [record(0, {0: 1.0}, {})],
    }
    queries = {"test": 0, "valid": 1, "train": 3}
    # test 0; valid 1 nearly equals test 0, valid 2 is its own; train 3 equals test 0, train 4 equals valid 2
    found = merge(
        records,
        queries,
        {"test": 0, "valid": 1, "train": 3},
        same([0, 1, 2, 0, 2, 5], [0, 0, 2, 0, 2, 5]),
        same(list(range(6)), list(range(6))),
    )
    kept = {split: [item.query for item in items] for split, items in found.splits.items()}
    assert kept == {"test": [0], "valid": [2], "train": [5]}
    assert (found.equal_across, found.near_across) == (2, 1)


def test_a_query_without_a_positive_gives_way_to_the_same_query_with_one() -> None:
    records = {
        "train": [record(0, {0: 1.0}, {}), record(1, {}, {1: 0.0}), record(2, {}, {2: 0.0}), record(3, {}, {0: 0.0})],
        "test": [record(0, {}, {0: 0.0}), record(1, {}, {1: 0.0}), record(2, {2: 1.0}, {})],
    }
    # train 3 equals test 0 and train 4 test 1; train 5 nearly equals test 2; train 6 repeats train 3
    found = merge(
        records,
        {"test": 0, "train": 3},
        {"test": 0, "train": 3},
        same([0, 1, 2, 0, 1, 5, 0], [0, 1, 2, 0, 1, 2, 0]),
        same(list(range(6)), list(range(6))),
    )
    assert found.splits == {
        "test": [JudgedQuery(1, {}, {1: 0.0}), JudgedQuery(2, {2: 1.0}, {})],
        "train": [JudgedQuery(3, {3: 1.0}, {})],
    }
    assert (found.equal_queries, found.equal_across, found.near_across, found.conflicts) == (1, 2, 1, 1)


def test_a_query_of_which_no_judgement_is_left_is_none() -> None:
    records = {"all": [record(0, {}, {}), record(1, {}, {0: 0.0})]}
    found = merge(records, {"all": 0}, {"all": 0}, same([0, 1], [0, 1]), same([0], [0]))
    assert found.splits == {"all": [JudgedQuery(1, {}, {0: 0.0})]}


def test_shares_are_met_and_do_not_depend_on_order() -> None:
    groups = {number: [f"query {number}"] for number in range(100)}
    shares = {"test": 0.1, "valid": 0.2}
    split_of = split_shares(groups, shares, "train", 1)
    sizes = {split: list(split_of.values()).count(split) for split in ("test", "valid", "train")}
    assert sizes == {"test": 10, "valid": 20, "train": 70}
    backwards = split_shares(dict(reversed(groups.items())), shares, "train", 1)
    assert backwards == split_of
    assert split_shares(groups, shares, "train", 2) != split_of


def test_groups_stay_together_and_small_sets_keep_a_query_for_each_split() -> None:
    groups = {0: ["a", "a x", "a y"], 3: ["b"], 4: ["c"]}
    split_of = split_shares(groups, {"test": 0.1, "valid": 0.1}, "train", 0)
    assert sorted(split_of.values()) == ["test", "train", "valid"]
    queries = [JudgedQuery(number) for number in range(5)]
    splits = regroup(queries, np.array([0, 0, 0, 3, 4]), split_of)
    assert [item.query for item in splits[split_of[0]]] == [0, 1, 2]
    assert split_shares(groups, {"test": 0.0, "valid": 0.0}, "train", 0) == dict.fromkeys(groups, "train")
