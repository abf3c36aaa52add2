"""Contrast of the page's colours, by the formula of WCAG 2."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bistill.monitor import web

STYLE = (Path(web.__file__).parent / "static" / "page.css").read_text(encoding="utf-8")
PAIRS = {name: (light, dark) for name, light, dark in re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\)", STYLE)}
# What WCAG asks of text (level AA).
LEAST = 4.5


def luminance(colour: str) -> float:
    letters = colour.removeprefix("#")
    letters = "".join(2 * letter for letter in letters) if len(letters) == 3 else letters
    shares = [int(letters[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read(theme: int) -> None:
    grounds = [PAIRS[name][theme] for name in ("page", "card")]
    texts = {name: pair[theme] for name, pair in PAIRS.items() if name not in ("page", "card", "line")}
    runs = {"first", "second", "third", "fourth", "fifth", "sixth"}
    assert texts.keys() == {"text", "soft", "good", "bad"} | runs
    for name, colour in texts.items():
        assert min(contrast(colour, ground) for ground in grounds) >= LEAST, name
