"""Nearly equal texts found by rare grams and bitmaps are those that comparing all pairs finds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest

from bistill.data.prepare import near_texts
from bistill.data.prepare.duplicates import find_duplicates, jaccard, normalised_text, shingles
from bistill.data.prepare.near_texts import Clusters, Rarity, grams, jaccard_of_grams, near_clusters
from bistill.data.queries.same_text import same_text

WORDS = [
    f"{first}{last}" for first in ("ba", "ke", "lo", "서울", "müh") for last in ("n", "dar", "티", "x9", "io", "ll")
]


def filled(chance: random.Random, template: list[str], slots: int) -> str:
    """A template with some words filled in."""
    words = list(template)
    for place in chance.sample(range(len(words)), slots):
        words[place] = chance.choice(WORDS)
    return " ".join(words)


def templated(chance: random.Random) -> list[str]:
    """Of three templates: few slots and many, so that similarities lie on both sides of any threshold."""
    templates = [chance.choices(WORDS, k=40) for _ in range(3)]
    return [filled(chance, chance.choice(templates), chance.choice((0, 1, 1, 2, 3, 6, 15))) for _ in range(90)]


def drifting(chance: random.Random) -> list[str]:
    """Each changes a word of the one before: the first and the last of a chain have little in common."""
    words, texts = chance.choices(WORDS, k=40), []
    for _ in range(80):
        words[chance.randrange(40)] = chance.choice(WORDS)
        texts.append(" ".join(words))
    chance.shuffle(texts)
    return texts


def short(chance: random.Random) -> list[str]:
    """Some without letters, some shorter than a gram."""
    return ["".join(chance.choices("ab 티", k=chance.randint(0, 9))) for _ in range(150)]


def all_pairs(texts: list[str], threshold: float) -> list[int]:
    """The lowest text of each one's component, by sets of strings."""
    label = list(range(len(texts)))
    sets = [shingles(text) for text in texts]
    for left, right in itertools.combinations(range(len(texts)), 2):
        if label[left] != label[right] and jaccard(sets[left], sets[right]) >= threshold:
            low, high = sorted((label[left], label[right]))
            label = [low if own == high else own for own in label]
    return label


@pytest.mark.parametrize("threshold", [0.5, 0.85, 0.95])
@pytest.mark.parametrize("make", [templated, drifting, short])
def test_clusters_are_those_of_all_pairs(
    make: Callable[[random.Random], list[str]], threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_texts, "AT_ONCE", 7)
    texts = [normalised_text(text) for text in make(random.Random(1))]
    expected = all_pairs(texts, threshold)
    assert len(set(expected)) < len(texts) - 5
    done: list[int] = []
    found = find_duplicates(texts, threshold, done.append)
    assert found.near.tolist() == expected
    assert sum(done) == len(texts)


def test_a_table_in_which_all_grams_share_a_place_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_texts, "COUNTED", 4)
    texts = templated(random.Random(3))
    assert find_duplicates(texts, 0.9).near.tolist() == all_pairs([normalised_text(text) for text in texts], 0.9)


def test_hashes_stand_for_the_strings_of_a_text() -> None:
    for text in (
        "",
        "a",
        "abcd",
        "abcde",
        "abcdef",
        "서울은 수도다 서울은 수도다",
        "x" * 50,
        "\U0001f600 ab\ud800c",
        *WORDS,
    ):
        own = grams(text)
        assert len(own) == len(shingles(text)) and (own[1:] > own[:-1]).all()
    for left, right in itertools.combinations([" ".join(WORDS[at : at + 8]) for at in range(20)], 2):
        assert jaccard_of_grams(grams(left), grams(right)) == jaccard(shingles(left), shingles(right))
    assert grams("abcde")[0] in grams("xabcdey") and not np.isin(grams("abcd"), grams("abcde")).any()


def compared(texts: list[str], threshold: float, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many pairs were compared gram by gram."""
    counts = []

    def counted(left: np.ndarray, right: np.ndarray) -> float:
        counts.append(1)
        return jaccard_of_grams(left, right)

    rarity = Rarity()
    for text in texts:
        rarity.add(grams(text))
    with monkeypatch.context() as patch:
        patch.setattr(near_texts, "jaccard_of_grams", counted)
        near_clusters(texts.__getitem__, len(texts), rarity, threshold, lambda _: None)
    return len(counts)


def test_texts_of_a_template_are_told_apart_without_reading_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of one template, 400 letters and more, and records that are all nearly equal: at most a comparison each."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrst", k=7)) for _ in range(3_000)]
    template = chance.choices(words, k=60)

    def pages(slots: int) -> list[str]:
        made = []
        for _ in range(200):
            own = list(template)
            for place in range(slots):
                own[place * 60 // slots] = chance.choice(words)
            made.append(" ".join(own))
        return made

    assert compared(pages(20), 0.9, monkeypatch) == 0
    assert compared(pages(8), 0.9, monkeypatch) < 20  # of 19,900 pairs with a similarity of about 0.8
    assert compared(pages(1), 0.9, monkeypatch) < 400


def test_sets_take_the_label_of_the_larger_and_know_their_lowest() -> None:
    sets = Clusters(6)
    for left, right in ((4, 5), (5, 3), (2, 1), (1, 3), (3, 4)):
        sets.join(left, right)
    assert sets.lowest().tolist() == [0, 1, 1, 1, 1, 1]
    assert len(set(sets.label.tolist())) == 2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Paris", " PARIS\u200b"),
        ("e\u200b\u0301t\u00e9", "\u00c9te\u0301"),
        ("ＡＢＣ　d", "abc D"),
        ("ﬁn ſ", "ﬁn S"),
        ("x²", "X²"),
    ],
)
def test_what_is_the_same_text_is_merged(left: str, right: str) -> None:
    assert same_text(left) == same_text(right)
    assert normalised_text(left) == normalised_text(right)
