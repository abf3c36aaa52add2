from __future__ import annotations

import itertools
import random

import pytest

from bistill.data.prepare.duplicates import find_duplicates, jaccard, normalised_text, shingles


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Hello,\tWORLD!! ", "hello world"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("“Quoted” — text…", "quoted text"),
        ("straße", "strasse"),
        ("C#", "c#"),
        ("-1", "-1"),
        ("서울은 「수도」다.", "서울은 수도 다"),
        ("???", "???"),
    ],
)
def test_normalised_text(text: str, normal: str) -> None:
    assert normalised_text(text) == normal


def test_jaccard_of_shingles() -> None:
    assert shingles("abcdefg") == {"abcde", "bcdef", "cdefg"}
    assert shingles("abc") == {"abc"}
    assert jaccard(shingles("abcdefg"), shingles("abcdefgh")) == 3 / 4


def test_exact_and_near_duplicates_join_the_first() -> None:
    base = "the quick brown fox jumps over the lazy dog and runs far away into the dark forest"
    texts = ["something else entirely", base, base.upper() + "!", base + " x", "something else entirely"]
    found = find_duplicates(texts, 0.9)
    assert found.exact.tolist() == [0, 1, 1, 3, 0]
    assert found.near.tolist() == [0, 1, 1, 1, 0]
    assert (found.exact_count, found.near_count) == (2, 1)
    only_equal = find_duplicates(texts, 1.0)
    assert only_equal.near.tolist() == [0, 1, 1, 3, 0]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_clusters_are_those_of_brute_force(threshold: float) -> None:
    generator = random.Random(3)
    words = [f"w{number:02d}" for number in range(60)]
    texts = []
    for _ in range(25):
        base = generator.choices(words, k=30)
        for edits in (0, 1, 2, 4, 8):
            edited = list(base)
            for place in generator.sample(range(30), edits):
                edited[place] = generator.choice(words)
            texts.append(" ".join(edited))
    generator.shuffle(texts)
    parent = list(range(len(texts)))

    def root(item: int) -> int:
        return item if parent[item] == item else root(parent[item])

    sets = [shingles(normalised_text(text)) for text in texts]
    joined = 0
    for left, right in itertools.combinations(range(len(texts)), 2):
        if jaccard(sets[left], sets[right]) >= threshold:
            low, high = sorted((root(left), root(right)))
            parent[high] = low
            joined += 1
    assert joined > 5
    assert find_duplicates(texts, threshold).near.tolist() == [root(item) for item in range(len(texts))]
